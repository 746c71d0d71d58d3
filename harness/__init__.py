"""A connectivity test harness for NetworkPolicy; the map is ``docs/architecture.md``."""

VERSION = "0.1.0"
"""The version of the project; the build reads it here."""
