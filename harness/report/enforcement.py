"""How long a cluster took to enforce changes, over the steps of a run, by kind of change.

A step counts if it is right and its change turned a verdict to a denial, or to allowed. Its time
is that of its slowest such cell; 0 means that the first round was right already.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from harness.report.record import Outcome, StepRecord
from harness.report.tally import counted

_ALL = "all"
_WORTH_REPORTING_S = 0.01


@dataclass(frozen=True, slots=True)
class Times:
    """The times of the steps with one kind of change; ``p95_s`` is the nearest rank.

    ``measure`` is ``time-to-deny`` or ``time-to-allow``; ``change`` is ``all`` for the whole run.
    """

    measure: str
    change: str
    steps: int
    median_s: float
    p95_s: float
    max_s: float


def times(steps: Iterable[StepRecord]) -> tuple[Times, ...]:
    """Return the statistics of the whole run, and of each kind of change."""
    right = [step for step in steps if step.outcome in {Outcome.PASSED, Outcome.LIMITED}]
    denied = [(s.change, s.time_to_deny_s) for s in right if s.turned_denied]
    allowed = [(s.change, s.time_to_allow_s) for s in right if s.turned_allowed]
    return (*_by_change("time-to-deny", denied), *_by_change("time-to-allow", allowed))


def lines(steps: Iterable[StepRecord]) -> Iterator[str]:
    """Yield the statistics as text: a line for each measure, then one for each kind of change.

    A measure of a single step, and one that never took noticeable time, is left out.
    """
    found = times(steps)
    shown = {
        item.measure
        for item in found
        if item.change == _ALL and item.steps > 1 and item.max_s >= _WORTH_REPORTING_S
    }
    for item in found:
        if item.measure in shown:
            name = item.measure if item.change == _ALL else f"  {item.change}"
            yield (
                f"{name}: median {item.median_s:.2f} s, p95 {item.p95_s:.2f} s, "
                f"max {item.max_s:.2f} s, {counted(item.steps, 'step')}"
            )


def _by_change(measure: str, of_steps: Iterable[tuple[str, float | None]]) -> Iterator[Times]:
    found = [(change, seconds) for change, seconds in of_steps if seconds is not None]
    if not found:
        return
    yield _times(measure, _ALL, [seconds for _, seconds in found])
    for change in sorted({change for change, _ in found}):
        yield _times(measure, change, [seconds for each, seconds in found if each == change])


def _times(measure: str, change: str, seconds: list[float]) -> Times:
    ordered = sorted(seconds)
    p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
    return Times(measure, change, len(ordered), round(median(ordered), 3), p95, ordered[-1])
