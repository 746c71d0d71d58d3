"""One scenario on one Cluster: the control, then for each step sync and probe until it is right.

``settle`` decides when a table is right. A denial counts only where the same pair was seen
connecting: in an earlier step, or in the control, which is the same topology without policies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.cluster import Cluster, KnownCell
from harness.model import (
    Cell,
    CellResult,
    Limitation,
    Observation,
    Probe,
    Reachability,
    Scenario,
    State,
    Step,
    StepResult,
    TruthTable,
    Verdict,
)
from harness.settle import Rounds, Timing


class ScenarioRun:
    """The steps of one scenario on one cluster, in order; holds what was seen connecting."""

    def __init__(
        self,
        cluster: Cluster,
        scenario: Scenario,
        timing: Timing | None = None,
        selected: Iterable[int] | None = None,
    ) -> None:
        """``selected`` are the indices of the steps that will be run; None means all of them.

        What an unselected step would have shown is then shown by the control.
        """
        self._cluster = cluster
        self._scenario = _limited(scenario, cluster.capabilities.known_cells)
        self._timing = timing or Timing()
        chosen = range(len(scenario.steps)) if selected is None else selected
        self._selected = tuple(sorted(set(chosen)))
        self._connected: set[Probe] = set()
        self._resolved: set[Probe] = set()
        self._control: dict[Probe, Observation] = {}
        self._controlled = False
        self._synced = -1

    def run(self, index: int) -> StepResult:
        """Make the step's state true and measure its table. Raises ClusterError, NotRefused."""
        if not self._controlled:
            self._run_control()
            self._controlled = True
        step = self._scenario.steps[index]
        for earlier in range(self._synced + 1, index):
            self._cluster.sync(self._scenario.steps[earlier].state)
        began = self._now()
        self._cluster.sync(step.state)
        self._synced = index
        return self._measure(step, began)

    # -------------------------------------------------------------- control

    def _run_control(self) -> None:
        """See the pairs connect that a selected step will call denied and none shows before."""
        synced: State | None = None
        for step, needed in self._control_plan():
            topology = without_policies(step.state)
            if topology != synced:
                self._cluster.sync(topology)
                synced = topology
            table = TruthTable(tuple(replace(cell, expected=Verdict.ALLOWED) for cell in needed))
            rounds = Rounds(self._cluster, table, self._timing, self._satisfied)
            rounds.until_right(self._now() + self._settle_s(step))
            for observation in rounds.latest.values():
                self._control[observation.probe] = observation
                self._remember(observation)

    def _control_plan(self) -> Sequence[tuple[Step, tuple[Cell, ...]]]:
        shown: set[Probe] = set()
        plan = []
        for index in self._selected:
            step = self._scenario.steps[index]
            needed = tuple(
                cell for cell in step.table.cells if needs_proof(cell) and cell.probe not in shown
            )
            if needed:
                plan.append((step, needed))
            shown.update(cell.probe for cell in needed)
            shown.update(c.probe for c in step.table.cells if c.expected is Verdict.ALLOWED)
        return plan

    def _remember(self, observation: Observation) -> None:
        if observation.outcome is Verdict.ALLOWED:
            self._connected.add(observation.probe)
        if observation.outcome in {Verdict.ALLOWED, Verdict.REFUSED}:
            self._resolved.add(observation.probe)

    # ----------------------------------------------------------------- step

    def _measure(self, step: Step, began: float) -> StepResult:
        accepted = self._now()
        rounds = Rounds(self._cluster, step.table, self._timing, self._satisfied)
        deadline = accepted + self._settle_s(step)
        hold_s = self._timing.hold_s if step.hold_s is None else step.hold_s
        if hold_s:
            rounds.until_held(deadline, hold_s)
        else:
            rounds.until_confirmed(deadline)
        for observation in rounds.latest.values():
            self._remember(observation)
        results = tuple(self._result(cell, rounds, accepted) for cell in step.table.cells)
        return StepResult(
            scenario=self._scenario,
            step=step,
            reachability=Reachability(results),
            full_rounds=rounds.full,
            sync_s=accepted - began,
            probe_s=self._now() - accepted,
            time_to_deny_s=_longest(r for r in results if r.cell.expected is not Verdict.ALLOWED),
            time_to_allow_s=_longest(r for r in results if r.cell.expected is Verdict.ALLOWED),
            held_s=rounds.held_s,
        )

    def _result(self, cell: Cell, rounds: Rounds, accepted: float) -> CellResult:
        timeline = rounds.timelines[cell.probe]
        observation = rounds.latest.get(cell.probe)
        return CellResult(
            cell=cell,
            observation=observation,
            evidence=not needs_proof(cell) or self._proven(cell),
            control=self._control.get(cell.probe),
            rejected=observation is not None and self._rejected(cell, observation),
            wrong_from_s=_after(accepted, timeline.wrong_from),
            wrong_until_s=_after(accepted, timeline.wrong_until),
            flapped=timeline.flaps(accepted),
        )

    def _proven(self, cell: Cell) -> bool:
        if cell.expected is Verdict.DNS:
            return cell.probe in self._resolved
        return cell.probe in self._connected

    def _satisfied(self, cell: Cell, observation: Observation) -> bool:
        if cell.undefined is not None:
            return isinstance(observation.outcome, Verdict)
        rejected = self._rejected(cell, observation)
        return (Verdict.TIMEOUT if rejected else observation.outcome) is cell.expected

    def _rejected(self, cell: Cell, observation: Observation) -> bool:
        """Whether a refusal is this cluster's way to deny, by a pair that did connect."""
        return (
            Verdict.TIMEOUT in {cell.expected, cell.stated}
            and observation.outcome is Verdict.REFUSED
            and self._cluster.capabilities.denies_by == "reject"
            and cell.probe in self._connected
        )

    def _now(self) -> float:
        return self._timing.clock.now()

    def _settle_s(self, step: Step) -> float:
        if step.settle_s is not None:
            return step.settle_s
        if self._timing.settle_s is not None:
            return self._timing.settle_s
        return self._cluster.capabilities.settle_s


def needs_proof(cell: Cell) -> bool:
    """Whether the cell is a denial that counts only after the pair was seen connecting.

    A cell that the author calls denied stays one where a limitation says another verdict: a
    REFUSED in its place may come from a dead server.
    """
    exempt = cell.never_allowed is not None or cell.undefined is not None
    denials = {cell.expected, cell.stated} & {Verdict.TIMEOUT, Verdict.DNS}
    return bool(denials) and not exempt


def without_policies(state: State) -> State:
    """The same topology, nothing restricted."""
    return replace(state, policies=(), refused=())


def _limited(scenario: Scenario, known_cells: Iterable[KnownCell]) -> Scenario:
    """Expect of each known cell what the cluster is known to give, beside the author's word."""
    known = {
        (item.step, item.probe): item for item in known_cells if item.scenario == scenario.slug
    }
    if not known:
        return scenario

    def limited(step: Step, cell: Cell) -> Cell:
        found = known.get((step.name, str(cell.probe)))
        if found is None or found.gives is cell.expected:
            return cell
        limitation = Limitation(cell.expected, found.reason)
        return replace(cell, expected=found.gives, undefined=None, limitation=limitation)

    tables = [
        replace(step.table, cells=tuple(limited(step, cell) for cell in step.table.cells))
        for step in scenario.steps
    ]
    steps = zip(scenario.steps, tables, strict=True)
    return replace(scenario, steps=tuple(replace(step, table=table) for step, table in steps))


def _after(start: float, moment: float | None) -> float | None:
    return None if moment is None else moment - start


def _longest(results: Iterable[CellResult]) -> float | None:
    return max((result.wrong_until_s or 0.0 for result in results), default=None)
