"""Texts that fit into a number of columns of a terminal.

Wide characters, such as Chinese ones, take two columns, and combining ones none.
"""

from __future__ import annotations

from itertools import accumulate
from unicodedata import combining, east_asian_width

_MARK = "..."


def columns(text: str) -> int:
    """Return how many columns the text takes."""
    return sum(map(_columns, text))


def cut(text: str, room: int) -> str:
    """Return the text without its end, if it takes more than ``room`` columns."""
    if columns(text) <= room:
        return text
    mark = _MARK[: max(room, 0)]
    kept = sum(each <= room - len(mark) for each in accumulate(map(_columns, text)))
    return text[:kept] + mark


def shortened(text: str, room: int) -> str:
    """Return the text without its beginning, if it takes more than ``room`` columns."""
    if columns(text) <= room:
        return text
    mark = _MARK[: max(room, 0)]
    kept = sum(each <= room - len(mark) for each in accumulate(map(_columns, reversed(text))))
    return mark + text[len(text) - kept :]


def _columns(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1
