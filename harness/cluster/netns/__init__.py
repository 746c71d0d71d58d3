"""The embedded cluster: Linux network namespaces, real packets, no root needed."""

from harness.cluster.netns.cluster import NetnsCluster, why_unavailable

__all__ = ["NetnsCluster", "why_unavailable"]
