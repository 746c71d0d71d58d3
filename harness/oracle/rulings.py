"""Rulings with three values, and how several are combined."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.model import Verdict
from harness.policy import Direction

Tri = bool | None
"""True, False, or None for what the API does not say (Kleene's logic)."""


class Ruling(enum.Enum):
    """What the API says about a connection; reports print the value."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class Decider:
    """What decides on one end of a connection.

    ``policies`` are the policy whose rule number ``rule`` decides, or those that isolate the end
    while no rule allows. There is none if the API itself decides.
    """

    direction: Direction
    ruling: Ruling
    policies: tuple[str, ...] = ()
    rule: int | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A ruling and its reasons, one per line; details are indented.

    ``undefined`` says what the API leaves open, if that decides the ruling. ``by`` is what
    decides; an end that no policy isolates has no entry.
    """

    ruling: Ruling
    reasons: tuple[str, ...] = ()
    undefined: str | None = None
    by: tuple[Decider, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """The verdicts that a correct cluster may give; if there are none, every verdict is permitted.

    ``not_judged`` is the reason why they are not certain: an object of unknown meaning may
    affect a pod of the probe.
    """

    verdicts: frozenset[Verdict]
    judgement: Judgement
    not_judged: str | None = None

    def contradicts(self, verdict: Verdict) -> bool:
        """Return whether a correct cluster cannot give that verdict."""
        return self.not_judged is None and bool(self.verdicts) and verdict not in self.verdicts


def undefined(cause: str) -> Prediction:
    """Return the prediction for a probe that the API says nothing about."""
    return Prediction(frozenset(), Judgement(Ruling.UNDEFINED, (), cause))


def without_policy(verdicts: Iterable[Verdict], reason: str) -> Prediction:
    """Return the prediction for a probe that no policy denies, but that cannot connect."""
    return Prediction(frozenset(verdicts), Judgement(Ruling.ALLOWED, (reason,)))


def all_of(values: Iterable[Tri]) -> Tri:
    """Return whether all values are true."""
    seen = set(values)
    return False if False in seen else None if None in seen else True


def any_of(values: Iterable[Tri]) -> Tri:
    """Return whether one of the values is true."""
    seen = set(values)
    return True if True in seen else None if None in seen else False


def both(first: Judgement, second: Judgement) -> Judgement:
    """Return the combined ruling of two ends: both must allow, and one denial decides (R61)."""
    rulings = (first.ruling, second.ruling)
    reasons = first.reasons + second.reasons
    by = first.by + second.by
    if Ruling.DENIED in rulings:
        return Judgement(Ruling.DENIED, reasons, by=by)
    if Ruling.UNDEFINED in rulings:
        return Judgement(Ruling.UNDEFINED, reasons, first.undefined or second.undefined, by)
    return Judgement(Ruling.ALLOWED, reasons, by=by)


def agree(readings: Sequence[tuple[str, Judgement]], cause: str) -> Judgement:
    """Return the ruling if all permitted readings agree, otherwise undefined with that cause."""
    first = readings[0][1]
    if all(judgement.ruling is first.ruling for _, judgement in readings):
        return first
    own = [j.undefined for _, j in readings if j.undefined is not None]
    return Judgement(Ruling.UNDEFINED, listed(readings), own[0] if own else cause)


def listed(readings: Sequence[tuple[str, Judgement]]) -> tuple[str, ...]:
    """Return each reading with its ruling, and its reasons below."""
    lines: list[str] = []
    for reading, judgement in readings:
        lines += [f"{reading}: {judgement.ruling.value}", *indented(judgement.reasons)]
    return tuple(lines)


def indented(lines: Iterable[str]) -> Iterator[str]:
    """Return the lines one level deeper."""
    return (f"  {line}" for line in lines)
