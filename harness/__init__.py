"""A connectivity test harness for Kubernetes NetworkPolicy; the map is ``docs/architecture.md``."""
