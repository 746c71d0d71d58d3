"""A connectivity test harness for NetworkPolicy; the map is ``docs/architecture.md``."""
