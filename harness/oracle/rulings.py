"""Rulings with three values, and how several of them make one."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.model import Verdict

Tri = bool | None
"""True, False, or None for what the API does not say (Kleene's logic)."""


class Ruling(enum.Enum):
    """What the API says of a connection; the value is how it is printed."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A ruling and the path to it, line by line; deeper lines are indented.

    ``undefined`` says in one sentence what the API leaves open, if that decides.
    """

    ruling: Ruling
    reasons: tuple[str, ...] = ()
    undefined: str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """The verdicts that a right cluster may give; none of them means that any will do.

    ``not_judged`` is the reason why they are not certain: an object whose meaning is not known
    may act on a pod that the probe concerns.
    """

    words: frozenset[Verdict]
    judgement: Judgement
    not_judged: str | None = None

    def contradicts(self, word: Verdict) -> bool:
        """Return whether a right cluster cannot give that verdict."""
        return self.not_judged is None and bool(self.words) and word not in self.words


def undefined(cause: str) -> Prediction:
    """Return the prediction for a probe that the API says nothing about."""
    return Prediction(frozenset(), Judgement(Ruling.UNDEFINED, (), cause))


def without_policy(words: Iterable[Verdict], reason: str) -> Prediction:
    """Return the prediction where no policy denies, and still nothing can connect."""
    return Prediction(frozenset(words), Judgement(Ruling.ALLOWED, (reason,)))


def all_of(values: Iterable[Tri]) -> Tri:
    """Return whether all values are true."""
    seen = set(values)
    return False if False in seen else None if None in seen else True


def any_of(values: Iterable[Tri]) -> Tri:
    """Return whether one of the values is true."""
    seen = set(values)
    return True if True in seen else None if None in seen else False


def both(first: Judgement, second: Judgement) -> Judgement:
    """Return the ruling of two ends: both must allow, and one denial decides (R61)."""
    rulings = (first.ruling, second.ruling)
    reasons = first.reasons + second.reasons
    if Ruling.DENIED in rulings:
        return Judgement(Ruling.DENIED, reasons)
    if Ruling.UNDEFINED in rulings:
        return Judgement(Ruling.UNDEFINED, reasons, first.undefined or second.undefined)
    return Judgement(Ruling.ALLOWED, reasons)


def agree(readings: Sequence[tuple[str, Judgement]], cause: str) -> Judgement:
    """Return the ruling on which all permitted readings agree, else undefined for that cause."""
    first = readings[0][1]
    if all(judgement.ruling is first.ruling for _, judgement in readings):
        return first
    own = [j.undefined for _, j in readings if j.undefined is not None]
    return Judgement(Ruling.UNDEFINED, listed(readings), own[0] if own else cause)


def listed(readings: Sequence[tuple[str, Judgement]]) -> tuple[str, ...]:
    """Return each reading with its ruling, and its reasons below."""
    lines: list[str] = []
    for words, judgement in readings:
        lines += [f"{words}: {judgement.ruling.value}", *indented(judgement.reasons)]
    return tuple(lines)


def indented(lines: Iterable[str]) -> Iterator[str]:
    """Return the lines one level deeper."""
    return (f"  {line}" for line in lines)
