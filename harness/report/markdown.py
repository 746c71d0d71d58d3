"""Markdown in the dialect of GitHub."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SPECIAL = re.compile(r"[\\`*_\[\]<|~&]")


def escaped(text: str) -> str:
    """Return a text as Markdown that shows it as it is, on one line."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def row(cells: Iterable[str]) -> str:
    """Return a row of a table; the cells are Markdown."""
    return f"| {' | '.join(cells)} |"


def head(names: Iterable[str]) -> list[str]:
    """Return the two lines at the top of a table."""
    found = list(names)
    return [row(found), "|" + "---|" * len(found)]
