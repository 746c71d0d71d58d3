"""Rounds of probes over one table until it is right and stays right, with a timeline per cell.

The first round probes the whole table. Until the settle time is over, wrong cells are probed
again. Then the whole table must be right once more (the confirming round), or for the whole hold
time.

- If the table stops being right in the confirming round, it is settled again. Cells that gave a
  wrong verdict after a right one are marked as flapped.
- If the table was completely right and stops being right within the hold time, it is wrong and
  not probed again.
- A cell without a verdict is neither right nor wrong. After the settle time, or within the hold
  time, it is probed a few more times, and is then an error of the step.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.cluster import Cluster
from harness.cluster.waiting import REAL, Clock
from harness.model import Cell, Flap, Observation, Probe, ProbeError, TruthTable, Verdict


@dataclass(frozen=True, slots=True)
class Timing:
    """All waits of a step, in seconds, and the clock that measures them.

    ``settle_s``: how long a table may take to become right; None is the cluster's default.
    ``hold_s``: how long a right table must stay right; 0 means one confirming round.
    ``pause_s``: the pause between two rounds, to save CPU time.
    ``settle`` and ``hold`` of a step take precedence.
    """

    settle_s: float | None = None
    hold_s: float = 0.0
    pause_s: float = 0.05
    clock: Clock = REAL

    def settle_on(self, cluster: Cluster) -> float:
        """Return how long a table may take to become right on a cluster, in seconds."""
        return cluster.capabilities.settle_s if self.settle_s is None else self.settle_s


Satisfied = Callable[[Cell, Observation], bool]
"""Whether an observation is what a cell expects."""


# ------------------------------------------------------------------ progress


class Phase(enum.StrEnum):
    """What a step waits for at this moment."""

    APPLY = "applying"
    CONTROL = "control step"
    SETTLE = "settling"
    CONFIRM = "confirming"
    HOLD = "holding"
    WATCH = "watching"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a step is: its phase and, while its table is probed, the round, which counts from 1.

    ``right`` of ``cells`` were right when they were probed last. ``left_s`` is the rest of the
    time that the phase may take, or None if it has no limit.
    """

    phase: Phase
    round: int = 0
    right: int = 0
    cells: int = 0
    left_s: float | None = None


Tell = Callable[[Progress], None]
"""Receives the progress of a step, at the start and at the end of each round."""


def tell_nobody(_progress: Progress) -> None:
    """Ignore the progress."""


# ------------------------------------------------------------------ timelines


@dataclass(frozen=True, slots=True)
class Streak:
    """Consecutive probes of one cell with the same verdict, or without one.

    ``first`` and ``last`` are the start times of the first and the last of them.
    """

    outcome: Verdict | ProbeError
    right: bool
    first: float
    last: float


@dataclass(slots=True)
class Timeline:
    """The outcomes of one cell, in chronological order."""

    streaks: list[Streak] = field(default_factory=list)

    def add(self, observation: Observation, right: bool) -> None:
        """Add an observation, and whether it is as expected."""
        moment, outcome = observation.started, observation.outcome
        last = self.streaks[-1] if self.streaks else None
        if last and last.right == right and _same(last.outcome, outcome):
            self.streaks[-1] = Streak(outcome, right, last.first, moment)
        else:
            self.streaks.append(Streak(outcome, right, moment, moment))

    @property
    def wrong_from(self) -> float | None:
        """The first time at which the cell was not right."""
        return next((streak.first for streak in self.streaks if not streak.right), None)

    @property
    def wrong_until(self) -> float | None:
        """The last time at which the cell was not right."""
        return next((s.last for s in reversed(self.streaks) if not s.right), None)

    def flaps(self, since: float) -> tuple[Flap, ...]:
        """Return the wrong verdicts after the first right one, in seconds after ``since``."""
        first_right = next((i for i, s in enumerate(self.streaks) if s.right), None)
        if first_right is None:
            return ()
        return tuple(
            Flap(streak.outcome, streak.first - since, streak.last - since)
            for streak in self.streaks[first_right:]
            if not streak.right and isinstance(streak.outcome, Verdict)
        )


def _same(one: Verdict | ProbeError, other: Verdict | ProbeError) -> bool:
    """Return whether both are the same verdict, or both are probe errors."""
    return one is other or (isinstance(one, ProbeError) and isinstance(other, ProbeError))


# ------------------------------------------------------------------ rounds

_LATE_ROUNDS = 3
"""The maximum number of rounds for cells without a verdict after the settle time."""


@dataclass(slots=True)
class Rounds:
    """The rounds over one table, and their outcomes.

    ``full`` counts rounds over the whole table, ``late`` rounds for cells without a verdict
    after the settle time, ``number`` all rounds. ``held_s`` is how long the table had been
    completely right when it stopped being right within the hold time, or None.
    """

    cluster: Cluster
    table: TruthTable
    timing: Timing
    satisfied: Satisfied
    tell: Tell = tell_nobody
    full: int = 0
    late: int = 0
    number: int = 0
    held_s: float | None = None
    latest: dict[Probe, Observation] = field(default_factory=dict)
    timelines: dict[Probe, Timeline] = field(default_factory=dict)
    _phase: Phase = Phase.SETTLE
    _until: float = 0.0

    def until_right(self, deadline: float) -> bool:
        """Probe the whole table, then wrong cells until all were right or the deadline passes."""
        self._enter(Phase.SETTLE, deadline)
        return self._chase(self._full_round(), deadline)

    def until_confirmed(self, deadline: float) -> None:
        """Settle, and require that the whole table is right once more."""
        right = self.until_right(deadline)
        while right:
            self._enter(Phase.CONFIRM, deadline)
            wrong = self._full_round()
            if not wrong:
                return
            right = self._chase(wrong, deadline)

    def until_held(self, deadline: float, hold_s: float) -> None:
        """Settle, and require that the whole table stays right for the hold time."""
        self._enter(Phase.SETTLE, deadline)
        began = self._now()
        wrong = self._full_round()
        while wrong:
            if not self._chase(wrong, deadline):
                return
            began = self._now()
            wrong = self._full_round()
        self._hold(began, hold_s)

    def _hold(self, since: float, hold_s: float) -> None:
        self._enter(Phase.HOLD, since + hold_s)
        began = since
        while began < since + hold_s:
            self.timing.clock.sleep(self.timing.pause_s)
            began = self._now()
            wrong = self._until_verdicts(self._full_round())
            verdicts = [cell for cell in wrong if self._latest_is_verdict(cell)]
            if verdicts:
                self.held_s = min(self.latest[cell.probe].started for cell in verdicts) - since
            if wrong:
                return

    def _chase(self, wrong: tuple[Cell, ...], deadline: float) -> bool:
        if wrong:
            self._enter(Phase.SETTLE, deadline)
        while wrong and self._now() < deadline:
            self.timing.clock.sleep(self.timing.pause_s)
            wrong = self._round(wrong)
        return not self._until_verdicts(wrong)

    def _until_verdicts(self, wrong: tuple[Cell, ...]) -> tuple[Cell, ...]:
        """Probe the cells a few more times while none has a verdict; return the wrong ones.

        On a slow cluster a probe sometimes gives no verdict. A wrong verdict is final.
        """
        while wrong and self.late < _LATE_ROUNDS and not any(map(self._latest_is_verdict, wrong)):
            self.late += 1
            self.timing.clock.sleep(self.timing.pause_s)
            wrong = self._round(wrong)
        return wrong

    def _latest_is_verdict(self, cell: Cell) -> bool:
        return isinstance(self.latest[cell.probe].outcome, Verdict)

    def _full_round(self) -> tuple[Cell, ...]:
        self.full += 1
        return self._round(self.table.cells)

    def _round(self, cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
        """Probe the cells, first those that will time out; return those that are not right."""
        ordered = sorted(cells, key=lambda cell: cell.expected is Verdict.ALLOWED)
        began = self._now()
        self.number += 1
        self._tell()
        seen: dict[Probe, Observation] = {}
        for observation in self.cluster.probe([cell.probe for cell in ordered]):
            seen[observation.probe] = observation
        for cell in cells:
            if cell.probe not in seen:
                missing = ProbeError("the cluster returned no observation")
                seen[cell.probe] = Observation(cell.probe, began, self._now(), missing)
        self.latest.update(seen)
        wrong = tuple(cell for cell in cells if not self._noted(cell, seen[cell.probe]))
        self._tell()
        return wrong

    def _noted(self, cell: Cell, observation: Observation) -> bool:
        """Add the observation to the cell's timeline; return whether it is right."""
        right = self.satisfied(cell, observation)
        self.timelines.setdefault(cell.probe, Timeline()).add(observation, right)
        return right

    def _enter(self, phase: Phase, until: float) -> None:
        self._phase, self._until = phase, until

    def _tell(self) -> None:
        right = sum(timeline.streaks[-1].right for timeline in self.timelines.values())
        left_s = max(0.0, self._until - self._now())
        self.tell(Progress(self._phase, self.number, right, len(self.table.cells), left_s))

    def _now(self) -> float:
        return self.timing.clock.now()
