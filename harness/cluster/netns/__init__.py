"""The embedded cluster: Linux network namespaces, real packets, no root needed."""
