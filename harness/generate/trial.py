"""One run of a scenario on a cluster: which cells are wrong, and how many gave a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.cluster import Cluster
from harness.errors import ClusterError
from harness.model import (
    Cell,
    CellResult,
    CellStatus,
    Observation,
    Probe,
    Scenario,
    Step,
    TruthTable,
    Verdict,
)
from harness.predecessor import Predecessor, Syncing
from harness.runner import ScenarioRun, without_policies
from harness.settle import Rounds, Timing
from harness.variants import variant


@dataclass(frozen=True, slots=True)
class Wrong:
    """A cell that gave another verdict than the policies give, with evidence for it."""

    step: str
    probe: Probe
    expected: Verdict
    seen: Verdict

    def is_like(self, other: Wrong) -> bool:
        """Return whether the other one is wrong in the same way."""
        return (self.expected, self.seen) == (other.expected, other.seen)

    def __str__(self) -> str:
        return f"{self.step}: {self.probe} gives {self.seen}, not {self.expected}"


@dataclass(frozen=True, slots=True)
class Trial:
    """What a run of a scenario showed.

    ``doubtful`` counts wrong cells of pairs that do not connect without policies either.
    """

    wrong: tuple[Wrong, ...]
    proven: int = 0
    no_verdict: int = 0
    doubtful: int = 0


@dataclass(frozen=True, slots=True)
class Bench:
    """A cluster on which scenarios are tried one after the other."""

    cluster: Cluster
    timing: Timing
    predecessor: Predecessor

    def tried(self, scenario: Scenario) -> Trial:
        """Run all steps of a scenario, with kinds of policy that the cluster has.

        Raises HarnessError, also for a scenario with a step that has no such variant.
        """
        ours = variant(scenario, self.cluster.capabilities)
        if ours.lack is not None:
            raise ClusterError(ours.lack)
        scenario = ours.scenario
        run = ScenarioRun(self.cluster, scenario, self.timing, predecessor=self.predecessor)
        done = [run.run(index) for index in range(len(scenario.steps))]
        results = [(step.step, found) for step in done for found in step.reachability.results]
        connected = {
            found.cell.probe
            for _, found in results
            if found.connected or found.outcome is Verdict.ALLOWED
        }
        wrong = [(step, found) for step, found in results if found.status is CellStatus.WRONG]
        for step in done:
            closed = [
                found.cell
                for found in step.reachability.mismatches
                if found.outcome is not Verdict.ALLOWED and found.cell.probe not in connected
            ]
            connected |= self._connected(scenario, step.step, closed)
        shown = tuple(_wrong(wrong, connected))
        statuses = [found.status for _, found in results]
        return Trial(
            wrong=shown,
            proven=statuses.count(CellStatus.PROVEN),
            no_verdict=statuses.count(CellStatus.NO_VERDICT),
            doubtful=len(wrong) - len(shown),
        )

    def _connected(self, scenario: Scenario, step: Step, cells: Sequence[Cell]) -> set[Probe]:
        """Return the pairs that connect in the state of a step without policies."""
        if not cells:
            return set()
        Syncing(self.cluster, scenario, self.predecessor).sync(without_policies(step.state))
        rounds = Rounds(self.cluster, TruthTable(tuple(cells)), self.timing, _connects)
        rounds.until_right(self.timing.clock.now() + self.timing.settle_on(self.cluster))
        return {p for p, seen in rounds.latest.items() if seen.outcome is Verdict.ALLOWED}


def _connects(_: Cell, observation: Observation) -> bool:
    return observation.outcome is Verdict.ALLOWED


def _wrong(results: Iterable[tuple[Step, CellResult]], connected: set[Probe]) -> Iterator[Wrong]:
    """Yield the wrong cells with evidence: a pair that is closed must have connected."""
    for step, found in results:
        outcome = found.outcome
        is_evident = outcome is Verdict.ALLOWED or found.cell.probe in connected
        if isinstance(outcome, Verdict) and is_evident:
            yield Wrong(step.name, found.cell.probe, found.cell.expected, outcome)
