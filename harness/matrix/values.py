"""The values of a matrix."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from harness.application import Ignored, Note


class Word(enum.StrEnum):
    """What the policies say about a pair; a pair that has no meaning has no cell."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNDEFINED = "undefined"
    """The API leaves it open."""
    NOT_JUDGED = "not judged"
    """An object of unknown meaning may affect it."""
    DIFFERS = "differs"
    """It depends on the replica."""
    NO_ENDPOINT = "no endpoint"
    """Policies do not matter: nothing would answer."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A pair, and why its word is what it is, one reason per line."""

    source: str
    destination: str
    word: Word
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cut:
    """Which pairs are judged: patterns of titles, like ``shop/*``; empty means all.

    ``namespaces`` keeps the pairs with an end in one of them.
    """

    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


ALL = Cut()


@dataclass(frozen=True, slots=True)
class Matrix:
    """All pairs, source by source; ``sources`` and ``destinations`` are in order."""

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    cells: tuple[Cell, ...]
    notes: tuple[Note, ...] = ()
    ignored: tuple[Ignored, ...] = ()
