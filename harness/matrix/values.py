"""The values of a matrix."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from harness.application import Ignored, Note
from harness.model import Probe, State
from harness.oracle import Decider


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


class Seen(enum.StrEnum):
    """How what packets showed of a pair compares with what the policies say."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNPROVEN = "unproven"
    """A denial of a pair that does not connect without policies either."""
    NO_VERDICT = "no verdict"
    NOT_PROBED = "not probed"


@dataclass(frozen=True, slots=True)
class Packets:
    """What packets showed of a pair, and why, one reason per line."""

    seen: Seen
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A pair, and why its word is what it is, one reason per line.

    ``probes`` are those that the word is about: several if replicas differ. ``packets`` is None
    as long as no packet was sent. ``by`` is what decides, unless replicas differ.
    """

    source: str
    destination: str
    word: Word
    reasons: tuple[str, ...] = ()
    probes: tuple[Probe, ...] = ()
    packets: Packets | None = None
    by: tuple[Decider, ...] = ()


@dataclass(frozen=True, slots=True)
class Cut:
    """Which pairs are judged: patterns of titles, like ``shop/*``; empty means all.

    ``namespaces`` keeps the pairs with an end in one of them.
    """

    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


ALL = Cut()
NO_STATE = State("application")


@dataclass(frozen=True, slots=True)
class Matrix:
    """All pairs, source by source; ``sources`` and ``destinations`` are in order.

    ``state`` is what the probes are about.
    """

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    cells: tuple[Cell, ...]
    notes: tuple[Note, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    state: State = NO_STATE
