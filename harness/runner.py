"""One scenario on one Cluster: control, then step by step sync, probe until settled, confirm.

Nothing here sleeps for luck, and nothing turns an error into a pass:

- a step is right when every cell of one full round is as expected and one more full round
  agrees; in between only the wrong cells are probed again, until the settle time is over;
- a denial counts only where the same pair was seen connecting: in an earlier step, or in the
  control, which is the same topology without policies;
- a cell without a verdict stays without one; when the settle time is over it is asked a few
  times more, while a wrong verdict stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from harness.cluster import Cluster, KnownCell
from harness.errors import ClusterError, Location, NotEnforcing
from harness.model import (
    Cell,
    CellResult,
    ContainerPort,
    Destination,
    Labels,
    Limitation,
    Manifest,
    Namespace,
    Observation,
    Pod,
    PodRef,
    Probe,
    ProbeError,
    Reachability,
    Scenario,
    State,
    Step,
    StepResult,
    TruthTable,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Timing:
    """All waits of the runner, in seconds.

    ``settle_s``: how long a step may take to become right; None is the cluster's own.
    ``hold_s``: how long a right table must stay right; 0 means one confirming round.
    ``pause_s``: between two looks at the wrong cells, so that waiting costs no CPU.
    A step's own ``settle`` and ``hold`` win.
    """

    settle_s: float | None = None
    hold_s: float = 0.0
    pause_s: float = 0.05


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
        began = time.monotonic()
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
            rounds = _Rounds(self._cluster, table, self._timing.pause_s, self._satisfied)
            deadline = time.monotonic() + self._settle_s(step)
            rounds.until_right(deadline)
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
        accepted = time.monotonic()
        rounds = _Rounds(self._cluster, step.table, self._timing.pause_s, self._satisfied)
        hold_s = self._timing.hold_s if step.hold_s is None else step.hold_s
        rounds.until_confirmed(accepted + self._settle_s(step), hold_s)
        for observation in rounds.latest.values():
            self._remember(observation)
        results = tuple(self._result(cell, rounds, accepted) for cell in step.table.cells)
        return StepResult(
            scenario=self._scenario,
            step=step,
            reachability=Reachability(results),
            full_rounds=rounds.full,
            sync_s=accepted - began,
            probe_s=time.monotonic() - accepted,
            time_to_deny_s=_longest(r for r in results if r.cell.expected is not Verdict.ALLOWED),
            time_to_allow_s=_longest(r for r in results if r.cell.expected is Verdict.ALLOWED),
        )

    def _result(self, cell: Cell, rounds: _Rounds, accepted: float) -> CellResult:
        wrong = rounds.wrong_at.get(cell.probe)
        observation = rounds.latest.get(cell.probe)
        return CellResult(
            cell=cell,
            observation=observation,
            evidence=not needs_proof(cell) or self._proven(cell),
            control=self._control.get(cell.probe),
            rejected=observation is not None and self._rejected(cell, observation),
            wrong_from_s=wrong[0] - accepted if wrong else None,
            wrong_until_s=wrong[1] - accepted if wrong else None,
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
        TruthTable(tuple(limited(step, cell) for cell in step.table.cells))
        for step in scenario.steps
    ]
    steps = zip(scenario.steps, tables, strict=True)
    return replace(scenario, steps=tuple(replace(step, table=table) for step, table in steps))


def _longest(results: Iterable[CellResult]) -> float | None:
    return max((result.wrong_until_s or 0.0 for result in results), default=None)


_LATE_ROUNDS = 3
"""How often in all a table's silent cells are asked again when the settle time is over."""


@dataclass(slots=True)
class _Rounds:
    """Rounds of probes over one table, and the moments at which each cell was wrong.

    ``full`` counts those over the whole table, ``late`` those for silence after the settle time.
    """

    cluster: Cluster
    table: TruthTable
    pause_s: float
    satisfied: Callable[[Cell, Observation], bool]
    full: int = 0
    late: int = 0
    latest: dict[Probe, Observation] = field(default_factory=dict)
    wrong_at: dict[Probe, tuple[float, float]] = field(default_factory=dict)

    def until_right(self, deadline: float) -> bool:
        """One full round, then the wrong cells again until none is left or time is over."""
        self.full += 1
        return self._chase(self._round(self.table.cells), deadline)

    def until_confirmed(self, deadline: float, hold_s: float) -> None:
        """Settle, then agree once more in full, for ``hold_s`` at least."""
        right = self.until_right(deadline)
        while right:
            since = time.monotonic()
            wrong = self._full_round()
            while not wrong and time.monotonic() < since + hold_s:
                time.sleep(self.pause_s)
                wrong = self._full_round()
            if not wrong:
                return
            right = self._chase(wrong, deadline)

    def _full_round(self) -> tuple[Cell, ...]:
        self.full += 1
        return self._round(self.table.cells)

    def _chase(self, wrong: tuple[Cell, ...], deadline: float) -> bool:
        while wrong and (time.monotonic() < deadline or self._may_be_late(wrong)):
            time.sleep(self.pause_s)
            wrong = self._round(wrong)
        return not wrong

    def _may_be_late(self, wrong: tuple[Cell, ...]) -> bool:
        """Whether cells are asked again although the settle time is over: only if all are silent.

        A slow cluster costs a verdict now and then. A wrong one stands as it is.
        """
        silent = all(isinstance(self.latest[cell.probe].outcome, ProbeError) for cell in wrong)
        self.late += silent
        return silent and self.late <= _LATE_ROUNDS

    def _round(self, cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
        """Probe the cells, those that will only wait first; give the wrong ones."""
        ordered = sorted(cells, key=lambda cell: cell.expected is Verdict.ALLOWED)
        began = time.monotonic()
        seen: dict[Probe, Observation] = {}
        for observation in self.cluster.probe([cell.probe for cell in ordered]):
            seen[observation.probe] = observation
        for cell in cells:
            if cell.probe not in seen:
                silence = ProbeError("the cluster gave no observation")
                seen[cell.probe] = Observation(cell.probe, began, time.monotonic(), silence)
        self.latest.update(seen)
        wrong = tuple(cell for cell in cells if not self.satisfied(cell, seen[cell.probe]))
        for cell in wrong:
            moment = seen[cell.probe].started
            first, _ = self.wrong_at.get(cell.probe, (moment, moment))
            self.wrong_at[cell.probe] = (first, moment)
        return wrong


# ------------------------------------------------------------------ canary


def canary(cluster: Cluster, timing: Timing | None = None) -> None:
    """See that a deny-all denies, on the same node and across nodes.

    Raises NotEnforcing if it does not, ClusterError if pods cannot reach each other even
    without policies, give no verdict, or are denied in a way that this cluster is not known
    for: then nothing that a scenario says would mean anything.
    """
    scenario = _canary_scenario()
    run = ScenarioRun(cluster, scenario, timing)
    before = run.run(0).reachability
    _refuse_silence(before)
    if before.mismatches:
        pairs = ", ".join(f"{result.cell.probe} {result.outcome}" for result in before.mismatches)
        raise ClusterError(
            f"pods cannot reach each other on {cluster.capabilities.name} "
            f"before any policy exists: {pairs}",
            hint="the cluster's network does not work; see `kubectl get pods -A`",
        )
    after = run.run(1).reachability
    _refuse_silence(after)
    name = cluster.capabilities.name
    open_still = [result for result in after.mismatches if result.outcome is Verdict.ALLOWED]
    if open_still:
        raise NotEnforcing(
            f"cluster {name} does not enforce NetworkPolicy: a policy that denies all ingress "
            f"was accepted, and {open_still[0].cell.probe} still connects",
            hint="use a CNI that implements NetworkPolicy (Calico, Cilium, kube-router, ...); "
            "flannel and kubenet accept policies and ignore them",
        )
    if after.mismatches:
        odd = after.mismatches[0]
        raise ClusterError(
            f"cluster {name} seems to deny by rejecting, and is not known to: under a policy that "
            f"denies all ingress, {odd.cell.probe} gave {odd.outcome}",
            hint="name a CNI profile that denies so, --cni=kube-router for one",
        )


def _refuse_silence(reachability: Reachability) -> None:
    for result in reachability.unmeasured:
        raise ClusterError(f"the canary got no verdict on {result.cell.probe}: {result.outcome}")


def _canary_scenario() -> Scenario:
    here = Location("<canary>", 1, 1)
    name = "canary"
    pods = (
        Pod(name, "client", Labels({"app": "client"}), node=1),
        Pod(name, "near", Labels({"app": "near"}), (ContainerPort(8080),), node=1),
        Pod(name, "far", Labels({"app": "far"}), (ContainerPort(8080),), node=2),
    )
    policy = Manifest(
        api_version="networking.k8s.io/v1",
        kind="NetworkPolicy",
        namespace=name,
        name="deny-all",
        json='{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy",'
        '"metadata":{"name":"deny-all","namespace":"canary"},'
        '"spec":{"podSelector":{},"policyTypes":["Ingress"]}}',
    )
    open_state = State(scope=name, namespaces=(Namespace(name),), pods=pods)
    shut_state = replace(open_state, policies=(policy,))

    def step(title: str, state: State, word: Verdict) -> Step:
        cells = tuple(
            Cell(Probe(pods[0].ref, Destination(PodRef(name, to), 8080)), word, here)
            for to in ("near", "far")
        )
        return Step(title, here, (), state, TruthTable(cells))

    return Scenario(
        path="<canary>",
        name="canary",
        slug=name,
        why="a policy that denies all must deny",
        steps=(
            step("nothing is restricted", open_state, Verdict.ALLOWED),
            step("all ingress is denied", shut_state, Verdict.TIMEOUT),
        ),
    )
