"""What the steps of a run gave for each requirement that their scenarios cover."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.report.record import Outcome, StepRecord

_WORST_FIRST = (
    Outcome.CLUSTER_ERROR,
    Outcome.NO_VERDICT,
    Outcome.WRONG,
    Outcome.NOT_REFUSED,
    Outcome.UNPROVEN,
    Outcome.LIMITED,
    Outcome.PASSED,
)


@dataclass(frozen=True, slots=True)
class Tried:
    """What some steps gave in one run.

    ``worst`` is the worst outcome of the steps that ran, or None; ``ran`` is how many they are.
    ``skipped`` has the reason of each step that did not run.
    """

    worst: Outcome | None = None
    ran: int = 0
    skipped: tuple[str, ...] = ()

    def __or__(self, other: Tried) -> Tried:
        seen = [outcome for outcome in (self.worst, other.worst) if outcome]
        worst = min(seen, key=_WORST_FIRST.index, default=None)
        return Tried(worst, self.ran + other.ran, self.skipped + other.skipped)

    @property
    def word(self) -> str:
        """The worst outcome, ``skipped``, or empty if there is no step."""
        return str(self.worst or (Outcome.SKIPPED if self.skipped else ""))


NOTHING = Tried()


def tried(step: StepRecord) -> Tried:
    """Return what one step gave."""
    if step.outcome is Outcome.SKIPPED:
        return Tried(skipped=(step.message,))
    return Tried(step.outcome, 1)


def by_requirement(steps: Iterable[StepRecord]) -> Mapping[str, Tried]:
    """Return what the steps of the scenarios that cover a requirement gave together, by its id."""
    found: dict[str, Tried] = {}
    for step in steps:
        for id_ in step.covers:
            found[id_] = found.get(id_, NOTHING) | tried(step)
    return dict(sorted(found.items()))
