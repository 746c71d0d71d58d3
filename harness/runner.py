"""One scenario on one Cluster: the control step, then sync and probe for each step.

``settle`` decides when a table is right. A denial counts only if the same pair was seen
connecting with the same pods, nodes and outside hosts behind its names (``evidence``), in an
earlier step or in the control step. The control step probes the topologies of the steps without
policies, before the first step; later it could repair what a step must find broken.

Scenarios of one fixture share its pods (``predecessor``), and no evidence. If the control step
shows that the scenario before spoilt the fixture, the fixture is made again once.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from harness.cluster import Cluster
from harness.errors import ClusterError, Problem, ScenarioError
from harness.evidence import Evidence, Topology
from harness.limitations import limited
from harness.model import (
    Cell,
    CellResult,
    FirstMoments,
    Observation,
    Probe,
    Reachability,
    Scenario,
    State,
    Step,
    StepResult,
    TruthTable,
    Verdict,
    Watch,
    satisfies,
    skips,
)
from harness.predecessor import Predecessor, Syncing
from harness.settle import Phase, Progress, Rounds, Satisfied, Tell, Timing, tell_nobody
from harness.watch import Span, started, watched


@dataclass(frozen=True, slots=True)
class _Visit:
    """A step whose topology the control step applies, and the cells that it probes there."""

    index: int
    needed: tuple[Cell, ...]
    exempt: tuple[Cell, ...]


_CONTROL = "the control step, which applies no policies,"


class ScenarioRun:
    """Runs the steps of a scenario on a cluster, in order; remembers what was seen connecting."""

    def __init__(
        self,
        cluster: Cluster,
        scenario: Scenario,
        timing: Timing | None = None,
        selected: Iterable[int] | None = None,
        predecessor: Predecessor | None = None,
        tell: Tell = tell_nobody,
    ) -> None:
        """``selected`` are the indices of the steps that will run; None means all of them.

        Steps whose features the cluster lacks never run. The control step provides the evidence
        that steps which do not run would provide.
        ``predecessor`` is the scenario before on this cluster, and this one afterwards.
        ``tell`` receives the progress of each step.
        """
        before = predecessor or Predecessor()
        self._cluster = cluster
        self._before = before.path if before.has_fixture_of(scenario) else None
        """The scenario that used the fixture before this one."""
        self._syncing = Syncing(cluster, scenario, before)
        self.rebuilt = ""
        """Why the fixture was made again; empty if it was not."""
        self._scenario = limited(scenario, cluster.capabilities.known_cells)
        self._timing = timing or Timing()
        self._tell = tell
        chosen = range(len(scenario.steps)) if selected is None else selected
        has = cluster.capabilities.provides(scenario.steps)
        skipped = enumerate(skips(scenario.steps, has))
        self._skipped = {index for index, skip in skipped if skip}
        self._selected = tuple(sorted(set(chosen) - self._skipped))
        self._topology = functools.cache(lambda index: Topology(scenario.steps[index].state))
        self._connected: dict[Evidence, str] = {}
        """The first step that saw it connect."""
        self._resolved: set[Evidence] = set()
        self._control: dict[Evidence, Observation] = {}
        self._controlled = False
        self._synced = self._measured = -1

    def run(self, index: int) -> StepResult:
        """Apply the step's state and measure its table. It is none that the cluster skips.

        Raises ClusterError, NotRefused, and ScenarioError if a ``never-allowed`` pair was seen
        connecting.
        """
        began = self._now()
        if not self._controlled:
            self._run_control()
            self._controlled = True
        step = self._scenario.steps[index]
        self._refuse_connecting(index)
        for earlier in range(self._synced + 1, index):
            passed_over = self._scenario.steps[earlier]
            is_skipped = earlier in self._skipped
            self._syncing.sync(passed_over.state_if_skipped if is_skipped else passed_over.state)
        result = self._apply(index) if step.watch is None else self._watch(index, step.watch)
        return replace(result, duration_s=self._now() - began)

    def _apply(self, index: int) -> StepResult:
        began = self._now()
        step = self._scenario.steps[index]
        self._tell(Progress(Phase.APPLY))
        with self._starts(step) as moments:
            self._syncing.sync(step.state)
            self._synced = index
            result = self._measure(index, began)
        right = functools.partial(self._satisfied, self._topology(index))
        cells = (cell for cell in step.table.cells if cell.probe in step.from_start)
        return replace(result, started=tuple(started(cell, moments, right) for cell in cells))

    def _starts(self, step: Step) -> AbstractContextManager[FirstMoments]:
        probes = step.from_start
        return self._cluster.watch_starts(probes) if probes else nullcontext(FirstMoments())

    def _watch(self, index: int, watch: Watch) -> StepResult:
        """Apply and measure the step while the cluster probes its watched pairs."""
        if self._measured != index - 1:
            self._settle_watched(self._scenario.steps[index - 1], index - 1, watch)
        with self._cluster.watch(watch.probes) as seen:
            began = self._now()
            result = self._apply(index)
            left_s = max(0.0, began + watch.for_s - self._now())
            self._tell(Progress(Phase.WATCH, left_s=left_s))
            self._timing.clock.sleep(left_s)
            span = Span(began, self._now(), self._cluster.capabilities.watch_silence_s)
        right = functools.partial(self._satisfied, self._topology(index))
        cells = (cell for cell in result.step.table.cells if cell.probe in watch.probes)
        pairs = tuple(watched(cell, watch, seen, right, span) for cell in cells)
        return replace(result, watched=pairs)

    def _settle_watched(self, step: Step, index: int, watch: Watch) -> None:
        """Wait until the watched pairs are right in the step before, which was not measured."""
        cells = tuple(cell for cell in step.table.cells if cell.probe in watch.probes)
        satisfied = functools.partial(self._satisfied, self._topology(index))
        rounds = Rounds(self._cluster, TruthTable(cells), self._timing, satisfied, self._tell)
        rounds.until_right(self._now() + self._settle_s(step))

    # -------------------------------------------------------------- control

    def _run_control(self) -> None:
        """Run the control step; if the scenario before spoilt the fixture, make it again.

        Raises ClusterError.
        """
        began = self._now()
        try:
            closed = self._control_rounds()
        except ClusterError as error:
            if self._before is None:
                raise
            self._rebuild()
            self.rebuilt = f"after {self._before} the fixture did not come back: {error.message}"
            self._control_rounds()
            return
        if self._before is None or not closed:
            return
        waited = f"for {self._now() - began:.0f} s"
        self._rebuild()
        still = {str(item.probe) for item in self._control_rounds()}
        spoilt = [item for item in closed if str(item.probe) not in still]
        fact = _did_not_connect(spoilt or closed, waited)
        self.rebuilt = (
            f"after {self._before} the fixture did not come back: {fact}"
            if spoilt
            else f"the fixture was made again after {self._before}, without effect: {fact}"
        )

    def _rebuild(self) -> None:
        """Remove everything of the fixture, and forget what was seen of it."""
        self._syncing.remove_all(self._scenario.steps[0].state)
        self._connected.clear()
        self._resolved.clear()
        self._control.clear()

    def _control_rounds(self) -> list[Observation]:
        """Probe, without policies, the pairs that need evidence, and those declared exempt.

        Returns the last observation of each pair that had to connect and did not.
        """
        closed: list[Observation] = []
        synced: State | None = None
        for visit in self._control_plan():
            step, topology = self._scenario.steps[visit.index], self._topology(visit.index)
            state = without_policies(step.state)
            if state != synced:
                self._tell(Progress(Phase.CONTROL))
                self._syncing.sync(state)
                synced = state
            opened = tuple(replace(cell, expected=Verdict.ALLOWED) for cell in visit.needed)
            satisfied = functools.partial(self._satisfied, topology)
            # Exempt pairs come last: a Service that does not work yet would hide a wrong reason.
            closed += self._observe_control(step, topology, opened, satisfied)
            self._observe_control(step, topology, visit.exempt, _has_verdict)
        return closed

    def _observe_control(
        self, step: Step, topology: Topology, cells: tuple[Cell, ...], right: Satisfied
    ) -> list[Observation]:
        """Probe cells until they are right; return the observations that are not."""
        if not cells:
            return []
        rounds = Rounds(
            self._cluster,
            TruthTable(cells),
            self._timing,
            right,
            lambda progress: self._tell(replace(progress, phase=Phase.CONTROL)),
        )
        rounds.until_right(self._now() + self._settle_s(step))
        for observation in rounds.latest.values():
            self._control[topology.evidence(observation.probe)] = observation
            self._remember(topology, observation, _CONTROL)
        latest = ((cell, rounds.latest.get(cell.probe)) for cell in cells)
        return [seen for cell, seen in latest if seen and not right(cell, seen)]

    def _control_plan(self) -> Sequence[_Visit]:
        """Return a few topologies that together show everything needed, in the order of steps."""
        needed, exempt = self._wanted()
        left = {**needed, **exempt}
        plan: list[_Visit] = []
        while left:
            places = [(index, self._shown_at(index, left)) for index in self._selected]
            index, shown = max(places, key=lambda place: len(place[1]))
            opened = tuple(left[evidence] for evidence in shown if evidence in needed)
            exempted = tuple(left[evidence] for evidence in shown if evidence not in needed)
            plan.append(_Visit(index, opened, exempted))
            left = {evidence: cell for evidence, cell in left.items() if evidence not in shown}
        if self._before is not None:
            plan = self._with_allowed(plan)
        return sorted(plan, key=lambda visit: visit.index)

    def _with_allowed(self, plan: Sequence[_Visit]) -> list[_Visit]:
        """Add the allowed pairs of the first topology, which may still be denied there."""
        first = self._selected[0]
        seen = {cell.probe for visit in plan for cell in visit.needed if visit.index == first}
        added: dict[Probe, Cell] = {}
        for index in self._selected:
            for cell in self._scenario.steps[index].table.cells:
                evidence = self._topology(index).evidence(cell.probe)
                is_there = self._topology(first).evidence(cell.probe) == evidence
                if is_there and _must_connect(cell) and cell.probe not in seen:
                    added.setdefault(cell.probe, cell)
        found = [visit for visit in plan if visit.index == first]
        visit = found[0] if found else _Visit(first, (), ())
        others = [item for item in plan if item.index != first]
        return [*others, replace(visit, needed=(*visit.needed, *added.values()))]

    def _wanted(self) -> tuple[dict[Evidence, Cell], dict[Evidence, Cell]]:
        """Return the pairs that must connect in the control step, and the exempt ones."""
        shown: set[Evidence] = set()
        needed: dict[Evidence, Cell] = {}
        exempt: dict[Evidence, Cell] = {}
        for index in self._selected:
            evidence = self._topology(index).evidence
            for cell in self._scenario.steps[index].table.cells:
                if needs_proof(cell) and evidence(cell.probe) not in shown:
                    needed.setdefault(evidence(cell.probe), cell)
                if _is_exempt(cell):
                    exempt.setdefault(evidence(cell.probe), cell)
                if cell.expected is Verdict.ALLOWED:
                    shown.add(evidence(cell.probe))
        return needed, exempt

    def _shown_at(self, index: int, wanted: Iterable[Evidence]) -> list[Evidence]:
        topology = self._topology(index)
        return [item for item in wanted if topology.evidence(item.probe) == item]

    def _refuse_connecting(self, index: int) -> None:
        """Raise ScenarioError for exempt pairs of the step that were seen connecting."""
        problems = []
        for cell in self._scenario.steps[index].table.cells:
            seen_by = self._connected.get(self._topology(index).evidence(cell.probe))
            if seen_by and _is_exempt(cell):
                problems.append(
                    Problem(
                        cell.location,
                        f"{cell.probe} is declared never-allowed ({cell.never_allowed}), "
                        f"but {seen_by} saw it {Verdict.ALLOWED}",
                        hint="remove the pair from `never-allowed`",
                    )
                )
        if problems:
            raise ScenarioError(problems)

    def _remember(self, topology: Topology, observation: Observation, seen_by: str) -> None:
        evidence = topology.evidence(observation.probe)
        if observation.outcome is Verdict.ALLOWED:
            self._connected.setdefault(evidence, seen_by)
        if observation.outcome in {Verdict.ALLOWED, Verdict.REFUSED}:
            self._resolved.add(evidence)

    # ----------------------------------------------------------------- step

    def _measure(self, index: int, began: float) -> StepResult:
        accepted = self._now()
        step, topology = self._scenario.steps[index], self._topology(index)
        satisfied = functools.partial(self._satisfied, topology)
        rounds = Rounds(self._cluster, step.table, self._timing, satisfied, self._tell)
        deadline = accepted + self._settle_s(step)
        hold_s = self._timing.hold_s if step.hold_s is None else step.hold_s
        if hold_s:
            rounds.until_held(deadline, hold_s)
        else:
            rounds.until_confirmed(deadline)
        for observation in rounds.latest.values():
            self._remember(topology, observation, f"step '{step.name}'")
        self._measured = index
        results = tuple(self._result(topology, c, rounds, accepted) for c in step.table.cells)
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

    def _result(
        self, topology: Topology, cell: Cell, rounds: Rounds, accepted: float
    ) -> CellResult:
        timeline = rounds.timelines[cell.probe]
        observation = rounds.latest.get(cell.probe)
        return CellResult(
            cell=cell,
            observation=observation,
            evidence=not needs_proof(cell) or self._proven(topology, cell),
            control=self._control.get(topology.evidence(cell.probe)),
            connected=self._is_connected(topology, cell),
            denies_by=self._cluster.capabilities.denies_by,
            wrong_from_s=_after(accepted, timeline.wrong_from),
            wrong_until_s=_after(accepted, timeline.wrong_until),
            flapped=timeline.flaps(accepted),
        )

    def _proven(self, topology: Topology, cell: Cell) -> bool:
        if cell.expected is Verdict.DNS:
            return topology.evidence(cell.probe) in self._resolved
        return self._is_connected(topology, cell)

    def _is_connected(self, topology: Topology, cell: Cell) -> bool:
        return topology.evidence(cell.probe) in self._connected

    def _satisfied(self, topology: Topology, cell: Cell, observation: Observation) -> bool:
        if cell.undefined is not None:
            return _has_verdict(cell, observation)
        denies_by = self._cluster.capabilities.denies_by
        connected = self._is_connected(topology, cell)
        return satisfies(cell, observation.outcome, denies_by, connected)

    def _now(self) -> float:
        return self._timing.clock.now()

    def _settle_s(self, step: Step) -> float:
        return self._timing.settle_on(self._cluster) if step.settle_s is None else step.settle_s


def needs_proof(cell: Cell) -> bool:
    """Return whether the cell is a denial that counts only after the pair was seen connecting.

    This also holds if a limitation changes the expected verdict of a denial: a REFUSED may
    come from a dead server.
    """
    exempt = cell.never_allowed is not None or cell.undefined is not None
    denials = {cell.expected, cell.stated} & {Verdict.TIMEOUT, Verdict.DNS}
    return bool(denials) and not exempt


def _is_exempt(cell: Cell) -> bool:
    """Return whether the author declares that the pair of this denial never connects."""
    declared = cell.never_allowed is not None and cell.undefined is None
    return declared and cell.expected is not Verdict.ALLOWED


def _must_connect(cell: Cell) -> bool:
    """Return whether the pair is allowed in its step, so that it connects without policies."""
    open_to_all = cell.undefined is None and cell.limitation is None
    return open_to_all and cell.never_allowed is None and cell.expected is Verdict.ALLOWED


_SHOWN_PAIRS = 3


def _did_not_connect(observations: Sequence[Observation], waited: str) -> str:
    """Return which pairs did not connect, and how long they were probed."""
    pairs = [f"{item.probe} {_word(item)}" for item in observations[:_SHOWN_PAIRS]]
    more = len(observations) - len(pairs)
    others = [f"and {more} more"] if more > 0 else []
    return f"{', '.join([*pairs, *others])} {waited}"


def _word(observation: Observation) -> str:
    outcome = observation.outcome
    return str(outcome) if isinstance(outcome, Verdict) else "without a verdict"


def _has_verdict(_: Cell, observation: Observation) -> bool:
    return isinstance(observation.outcome, Verdict)


def without_policies(state: State) -> State:
    """Return the state with the same topology and no policies, before any restart of agents."""
    return replace(state, policies=(), refused=(), agent_restarts=0)


def _after(start: float, moment: float | None) -> float | None:
    return None if moment is None else moment - start


def _longest(results: Iterable[CellResult]) -> float | None:
    return max((result.wrong_until_s or 0.0 for result in results), default=None)
