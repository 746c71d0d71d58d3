"""A connectivity test harness for NetworkPolicy; the map is ``docs/architecture.md``."""


def version() -> str:
    """Return the version, or "unknown" where the harness is not installed."""
    from importlib import metadata

    try:
        return metadata.version("netpol-harness")
    except metadata.PackageNotFoundError:
        return "unknown"
