"""Words that tell the harness which objects are its own, and which no author may write."""

RESERVED_PREFIX = "netpol.harness/"
RESERVED_HINT = "use a prefix of your own"


def reserved_fact(word: str) -> str:
    """Return what is wrong with a label or annotation of that key."""
    return f"{word!r} is reserved for the harness"
