"""The values of a comparison of two applications."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from harness.errors import Location
from harness.matrix import Cell, Word
from harness.matrix.values import NO_STATE
from harness.model import State
from harness.oracle import Ruling
from harness.policy import Direction


class Kind(enum.StrEnum):
    """How a connection changed."""

    OPENED = "opened"
    CLOSED = "closed"
    UNCERTAIN = "uncertain"
    """It was undefined or is undefined, or depends on the replica."""
    OTHER = "other"
    """It did not connect and does not, for another reason."""


@dataclass(frozen=True, slots=True)
class Named:
    """A policy and the place that states it."""

    name: str
    location: Location | None


@dataclass(frozen=True, slots=True)
class By:
    """What decides on one end of a connection; no policies: none selects the end for this."""

    direction: Direction
    ruling: Ruling
    policies: tuple[Named, ...] = ()
    rule: int | None = None

    def __str__(self) -> str:
        names = ", ".join(policy.name for policy in self.policies)
        way = self.direction.lower()
        if not names:
            return f"no policy for {way}"
        if self.rule is not None:
            return f"{names}, {way} rule {self.rule}"
        return f"isolated for {way} by {names}"


@dataclass(frozen=True, slots=True)
class Said:
    """What the policies of one version say about a connection: the part that is not the same.

    ``word`` is None if the version has no such connection. ``why`` are reasons that are no
    policies. ``cell`` has all that is known of the pair.
    """

    word: Word | None
    by: tuple[By, ...] = ()
    why: tuple[str, ...] = ()
    cell: Cell | None = field(default=None, compare=False)

    def __str__(self) -> str:
        reasons = "; ".join([*map(str, self.by), *self.why])
        word = self.word or "none"
        return f"{word}: {reasons}" if reasons else word


@dataclass(frozen=True, slots=True)
class Change:
    """A connection that changed. ``is_exposure``: a host outside reaches what it did not reach."""

    kind: Kind
    source: str
    destination: str
    before: Said
    after: Said
    is_exposure: bool = False


class What(enum.StrEnum):
    """What an end is."""

    WORKLOAD = "workload"
    SERVICE = "Service"
    PORT = "port"


class How(enum.StrEnum):
    """How an end changed."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class Reached:
    """A destination, and the sources that reach it."""

    destination: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EndChange:
    """A workload, a Service or a port that only one version has, or that has another name.

    ``reached`` and ``reaches`` are its connections in the version that has it; ``was`` is its
    name before. ``why`` says more, if there is more to say.
    """

    what: What
    how: How
    name: str
    location: Location | None
    was: str | None = None
    reached: tuple[Reached, ...] = ()
    reaches: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A policy that only one version has (``how``), or whose rules differ (None)."""

    name: str
    how: How | None
    location: Location | None
    is_judged: bool = True


@dataclass(frozen=True, slots=True)
class Unchanged:
    """How many connections are the same in both versions, by what the policies say."""

    allowed: int = 0
    denied: int = 0
    other: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two versions of an application; exposures are first in ``changes``.

    ``old_state`` and ``new_state`` are what the probes of the changed cells are about.
    """

    old: str
    new: str
    changes: tuple[Change, ...] = ()
    ends: tuple[EndChange, ...] = ()
    policies: tuple[PolicyChange, ...] = ()
    unchanged: Unchanged = Unchanged()
    notes: tuple[str, ...] = ()
    old_state: State = NO_STATE
    new_state: State = NO_STATE

    @property
    def same(self) -> bool:
        """Whether no connection changed, as far as the policies can be judged."""
        changed = any(not item.is_judged for item in self.policies)
        return not (self.changes or self.ends or changed)
