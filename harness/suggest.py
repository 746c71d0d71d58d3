"""Which known word a person probably meant. Used for every "did you mean"."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable

_MOST_COMPARED = 500
_LONGEST_COMPARED = 100
"""A comparison takes time with the product of both lengths: a hint is not worth minutes."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant, or None if no word is near enough.

    Case does not count. Short words need not match as well: one slip is a large part of them.
    A beginning of at least three letters stands for its word, if for one only.
    """
    by_fold = {name.lower(): name for name in itertools.islice(known, _MOST_COMPARED)}
    word = word[:_LONGEST_COMPARED]
    cutoff = 0.6 if len(word) < 5 else 0.7
    near = difflib.get_close_matches(word.lower(), by_fold, n=1, cutoff=cutoff)
    if near:
        return by_fold[near[0]]
    begun = [name for fold, name in by_fold.items() if fold.startswith(word.lower())]
    return begun[0] if len(begun) == 1 and len(word) >= 3 else None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return a hint that names the word that was probably meant, or None."""
    found = closest(word, known)
    return f"did you mean {found!r}?" if found else None


def nearest_or_all(word: str, known: Iterable[str], kind: str) -> str:
    """Return a hint that names the nearest known word, or else the known words."""
    names = list(dict.fromkeys(known))
    if not names:
        return f"there are no {kind}"
    shown = ", ".join(names[:9]) + (", ..." if len(names) > 9 else "")
    return nearest(word, names) or f"{kind} are {shown}"
