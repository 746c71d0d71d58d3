"""The pairs of a matrix with packets: on a cluster, compared with what the policies say.

The pairs are the table of one step, so a denial counts as everywhere: only if the same pair was
seen connecting without policies. A pair whose verdict is open, or would be another one on the
cluster, is not probed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness import oracle
from harness.application.state import with_dns
from harness.cluster import Cluster
from harness.errors import ClusterError, Location
from harness.matrix.values import Cell, Packets, Seen, Word
from harness.model import Cell as Expected
from harness.model import (
    CellResult,
    CellStatus,
    ContainerPort,
    Pod,
    Probe,
    Protocol,
    Scenario,
    State,
    Step,
    TruthTable,
    Verdict,
)
from harness.policy import Effect, effect_of
from harness.runner import ScenarioRun
from harness.scenario.networks import with_outside
from harness.settle import Timing

MOST_PODS = 500
_HERE = Location("<application>", 1, 1)
_OF_CLUSTER = "kube-system"
_OPEN = {
    Word.NOT_JUDGED: "its policies are not judged",
    Word.UNDEFINED: "the API leaves it open",
    Word.NO_ENDPOINT: "nothing would answer",
}
_CERTAIN = (frozenset({Verdict.ALLOWED}), frozenset({Verdict.TIMEOUT}))


def proven(
    cluster: Cluster, state: State, cells: Sequence[Cell], timing: Timing | None = None
) -> tuple[Cell, ...]:
    """Return the cells with what packets showed; ``state`` is that of their matrix.

    Raises ClusterError if the cluster cannot have the State.
    """
    if len(state.pods) > MOST_PODS:
        fact = f"{len(state.pods)} pods are too many to be probed"
        raise ClusterError(fact, f"name fewer files: at most {MOST_PODS} pods can be probed")
    site = _Site(cluster, state, timing or Timing())
    left = [site.left_out(cell) for cell in cells]
    asked = [cell for cell, why in zip(cells, left, strict=True) if not why]
    found = site.results(probe for cell in asked for probe in cell.probes)
    return tuple(
        replace(cell, packets=Packets(Seen.NOT_PROBED, (why,)) if why else _seen(cell, found))
        for cell, why in zip(cells, left, strict=True)
    )


class _Site:
    """A State as a cluster can have it, and the probes that mean the same there."""

    def __init__(self, cluster: Cluster, state: State, timing: Timing) -> None:
        self._cluster = cluster
        self._timing = timing
        self._has_sctp = "sctp" in cluster.capabilities.features
        self._state = _placed(state, cluster.capabilities.nodes, self._has_sctp)
        self._said = oracle.Judge(state)
        self._here = oracle.Judge(with_dns(self._state))
        self._verdicts: dict[Probe, Verdict] = {}

    def left_out(self, cell: Cell) -> str:
        """Return why a cell is not probed; empty if it is."""
        if cell.word in _OPEN:
            return _OPEN[cell.word]
        for probe in cell.probes:
            verdicts = self._said.predict(probe).verdicts
            if verdicts not in _CERTAIN:
                return "it is open for some replicas"
            if probe.destination.protocol is Protocol.SCTP and not self._has_sctp:
                return f"{self._cluster.capabilities.name} has no SCTP"
            if self._here.predict(probe).verdicts != verdicts:
                return self._difference(cell)
            self._verdicts[probe] = next(iter(verdicts))
        return ""

    def _difference(self, cell: Cell) -> str:
        name = self._cluster.capabilities.name
        if any(f"{_OF_CLUSTER}/" in end for end in (cell.source, cell.destination)):
            return f"{name} has a {_OF_CLUSTER} of its own"
        return f"pods on host networks share a node on {name}"

    def results(self, probes: Iterable[Probe]) -> Mapping[Probe, _Result]:
        """Probe with policies, and what is closed against them also without."""
        expected = {probe: self._verdicts[probe] for probe in probes}
        found = self._run(expected)
        closed = {
            probe: Verdict.TIMEOUT
            for probe, result in found.items()
            if result.status is CellStatus.WRONG
            and result.outcome is not Verdict.ALLOWED
            and not result.connected
        }
        again = self._run(closed)
        return {
            probe: _Result(result, probe not in closed or again[probe].connected)
            for probe, result in found.items()
        }

    def _run(self, expected: Mapping[Probe, Verdict]) -> dict[Probe, CellResult]:
        if not expected:
            return {}
        cells = tuple(Expected(probe, verdict, _HERE) for probe, verdict in expected.items())
        steps = with_outside([Step("policies", _HERE, (), self._state, TruthTable(cells))])
        scenario = Scenario(
            path="<application>", name="application", slug="application", why="", steps=steps
        )
        done = ScenarioRun(self._cluster, scenario, self._timing).run(0)
        return {result.cell.probe: result for result in done.reachability.results}


@dataclass(frozen=True, slots=True)
class _Result:
    """What a probe gave; ``is_evident`` is False if a closed pair never connected."""

    result: CellResult
    is_evident: bool


def _seen(cell: Cell, found: Mapping[Probe, _Result]) -> Packets:
    """Return what the probes of a cell showed together: the worst decides."""
    results = [found[probe] for probe in cell.probes]
    each = [(_seen_of(item), item.result) for item in results]
    for seen in (Seen.DISAGREES, Seen.UNPROVEN, Seen.NO_VERDICT):
        why = tuple(_why(seen, result) for of_probe, result in each if of_probe is seen)
        if why:
            return Packets(seen, why)
    return Packets(Seen.AGREES)


def _seen_of(item: _Result) -> Seen:
    match item.result.status:
        case CellStatus.NO_VERDICT:
            return Seen.NO_VERDICT
        case CellStatus.WRONG:
            return Seen.DISAGREES if item.is_evident else Seen.UNPROVEN
        case CellStatus.UNPROVEN:
            return Seen.UNPROVEN
        case _:
            return Seen.AGREES


def _why(seen: Seen, result: CellResult) -> str:
    probe, outcome = result.cell.probe, result.outcome
    match seen:
        case Seen.UNPROVEN:
            return f"{probe} does not connect without policies either"
        case Seen.NO_VERDICT:
            return f"{probe}: {result.reason}"
        case _:
            return f"{probe} gives {outcome}, not {result.cell.expected}"


# ------------------------------------------------------------------ the State of a cluster


def _placed(state: State, nodes: int, has_sctp: bool) -> State:
    """Return the State without what the cluster has itself, on the nodes that it has.

    Pods on host networks share the second node and the later nodes, and each port there has one
    server.
    """
    taken: set[tuple[int, int, Protocol]] = set()
    pods = tuple(
        _at(pod, nodes, has_sctp, taken) for pod in state.pods if pod.namespace != _OF_CLUSTER
    )
    externals = tuple(
        replace(host, ports=tuple(_possible(host.ports, has_sctp))) for host in state.externals
    )
    return replace(
        state,
        pods=pods,
        services=tuple(item for item in state.services if item.namespace != _OF_CLUSTER),
        externals=externals,
        policies=tuple(m for m in state.policies if effect_of(m) is not Effect.UNKNOWN),
    )


def _at(pod: Pod, nodes: int, has_sctp: bool, taken: set[tuple[int, int, Protocol]]) -> Pod:
    ports = tuple(_possible(pod.ports, has_sctp))
    if not pod.host_network:
        return replace(pod, ports=ports)
    node = 2 + (pod.node - 2) % max(1, nodes - 1)
    free = tuple(port for port in ports if (node, port.number, port.protocol) not in taken)
    taken.update((node, port.number, port.protocol) for port in free)
    return replace(pod, ports=free, node=node)


def _possible(ports: Iterable[ContainerPort], has_sctp: bool) -> Iterator[ContainerPort]:
    return (port for port in ports if has_sctp or port.protocol is not Protocol.SCTP)
