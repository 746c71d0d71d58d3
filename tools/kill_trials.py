"""The trials of the kill table: one scenario, run with a defect or without one.

Apart from the command (``kill_table``), so that the processes that run trials and the one that
collects their outcomes import one and the same module.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import catalogue, scenario
from harness.catalogue import Effect, KnownDefect
from harness.cluster import Cluster
from harness.cluster.netns import NetnsCluster
from harness.errors import HarnessError
from harness.model import Cell, CellStatus, Scenario, StepResult, Verdict
from harness.runner import ScenarioRun
from harness.settle import Timing

SCENARIOS = Path(__file__).parents[1] / "scenarios"
INCLUDED = frozenset({"disruptive", "scale"})
"""Needs that are asked for by name, and that the embedded cluster can meet."""

SETTLE_S = 0.4
"""The embedded cluster enforces a policy before ``sync`` returns, so a wrong cell stays wrong."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A scenario to be run with a defect, or without one; ``beside`` is another one that is on.

    ``delay_s`` is the delay of a defect that depends on time, None for its default.
    """

    path: Path
    defect: str | None
    beside: str | None = None
    delay_s: float | None = None

    @property
    def switched_on(self) -> str | None:
        """What ``--defect`` is given."""
        if self.defect and self.delay_s is not None:
            return f"{self.defect}:{self.delay_s:g}s"
        return "+".join(filter(None, (self.defect, self.beside))) or None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trial showed: the first cell that is wrong in the direction of the defect, in words.

    ``skipped`` is what the embedded cluster lacks for the scenario, ``failed`` the error that it
    raised.
    """

    trial: Trial
    killed_by: str = ""
    skipped: str = ""
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A pair that had another verdict than its table states."""

    step: str
    cell: Cell
    verdict: Verdict

    @property
    def effect(self) -> Effect | None:
        """What was done to the connection; None if it was neither opened nor closed."""
        match self.cell.expected, self.verdict:
            case Verdict.TIMEOUT, Verdict.ALLOWED:
                return Effect.OPENS
            case Verdict.ALLOWED, Verdict.TIMEOUT | Verdict.REFUSED:
                return Effect.CLOSES
            case _:
                return None

    def __str__(self) -> str:
        return f"{self.step}: `{self.cell.probe}` gives {self.verdict}, not {self.cell.expected}"


def wrong_pairs(done: StepResult) -> Iterator[Wrong]:
    """Yield each wrong cell of a step, each gap of its watch, each pair wrong from the start."""
    for result in done.reachability.mismatches:
        if isinstance(result.outcome, Verdict):
            yield Wrong(done.step.name, result.cell, result.outcome)
    for pair in done.watched:
        yield from (Wrong(done.step.name, pair.cell, gap.verdict) for gap in pair.intolerable)
    for start in done.started:
        if start.is_wrong:
            denied = start.cell.expected is not Verdict.ALLOWED
            seen = Verdict.ALLOWED if denied else Verdict.TIMEOUT
            yield Wrong(done.step.name, start.cell, seen)


def lacking(done: StepResult) -> Iterator[str]:
    """Yield in words each pair of a step that has no verdict, or no evidence for its denial."""
    for status in (CellStatus.NO_VERDICT, CellStatus.UNPROVEN):
        for result in done.reachability.having(status):
            yield f"{done.step.name}: `{result.cell.probe}` is {status}"
    for pair in done.watched:
        if pair.is_silent:
            yield f"{done.step.name}: `{pair.cell.probe}` was not watched all the time"
    for start in done.started:
        if start.is_silent:
            yield f"{done.step.name}: `{start.cell.probe}` has no verdict from the start"


def tried(trial: Trial) -> Outcome:
    """Run one trial."""
    read = scenario.load(trial.path)
    if read.needs.on_request - INCLUDED:
        return Outcome(trial, skipped="runs only where it is asked for")
    try:
        with NetnsCluster(defect=trial.switched_on) as cluster:
            lacks = cluster.capabilities.lacks(read.needs)
            return Outcome(trial, skipped=lacks) if lacks else _run(trial, read, cluster)
    except HarnessError as error:
        return Outcome(trial, failed=error.message)


def _run(trial: Trial, read: Scenario, cluster: Cluster) -> Outcome:
    """Run the steps in order, up to the first that decides. Raises HarnessError."""
    known = None if trial.defect is None else _named(trial.defect)
    run = ScenarioRun(cluster, read, Timing(settle_s=SETTLE_S))
    for index, skipped in enumerate(cluster.capabilities.skips(read)):
        if skipped:
            continue
        done = run.run(index)
        for wrong in wrong_pairs(done):
            if known is None or (wrong.effect and known.effect in {wrong.effect, Effect.BOTH}):
                return Outcome(trial, killed_by=str(wrong))
        why = next(lacking(done), "") if known is None else ""
        if why:
            return Outcome(trial, failed=why)
    return Outcome(trial)


def _named(name: str) -> KnownDefect:
    return next(entry for entry in catalogue.defects().values() if entry.name == name)
