"""The gate: is NetworkPolicy enforced at this moment, where untrusted code shall run?

One scenario in three steps: what connects without policies, a policy that denies all ingress,
and one that denies all egress too. The pods that are isolated are like those that shall be let
in (``Ground``), one on each node. The runner applies and measures the steps, and ``canary``
judges them. Everything that is not a proven denial is a fault.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from harness import canary
from harness.cluster import Capabilities, Cluster
from harness.errors import ClusterError, Location, NotEnforcing
from harness.model import (
    Applied,
    Cell,
    CellStatus,
    ContainerPort,
    Destination,
    Family,
    Labels,
    Manifest,
    Namespace,
    Pod,
    PodRef,
    Probe,
    Reachability,
    Scenario,
    ServiceRef,
    State,
    Step,
    StepResult,
    TruthTable,
    Verdict,
)
from harness.runner import ScenarioRun
from harness.settle import Timing

INSIDE, OUTSIDE = "inside", "outside"
"""The namespaces of the pods that are isolated, and of those that are not."""

_PORT = 8080
_PEERS = 2
_HERE = Location("<gate>", 1, 1)


class Check(enum.Enum):
    """What the gate checks, in this order, and what that means."""

    CONTROL = ("control", "without policies, every pair connects")
    CANARY = ("canary", "a policy that denies all ingress denies it")
    DENY = ("deny", "policies that deny all ingress and all egress deny both")

    def __init__(self, word: str, says: str) -> None:
        self.word = word
        self.says = says


@dataclass(frozen=True, slots=True)
class Ground:
    """What the isolated pods are like, and on how many nodes there is one; None: on all."""

    namespace_labels: Labels = field(default_factory=Labels)
    pod_labels: Labels = field(default_factory=Labels)
    nodes: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check gave. ``fault`` is None if it passed; ``result`` is None if it gave none."""

    check: Check
    result: StepResult | None
    fault: ClusterError | None = None


def scenario(ground: Ground, has: Capabilities) -> Scenario:
    """Return the scenario of the gate for a cluster, a step for each check."""
    count = _nodes(ground, has)
    inside = tuple(
        Pod(INSIDE, f"pod-{node}", ground.pod_labels, (ContainerPort(_PORT),), node)
        for node in range(1, count + 1)
    )
    outside = tuple(
        Pod(OUTSIDE, f"peer-{node}", Labels(), (ContainerPort(_PORT),), node)
        for node in range(1, min(has.nodes, _PEERS) + 1)
    )
    state = State(
        scope="gate",
        namespaces=(Namespace(INSIDE, ground.namespace_labels), Namespace(OUTSIDE)),
        pods=(*inside, *outside),
    )
    families = [Family.V4, *([Family.V6] if "ipv6" in has.features else [])]
    into = tuple(_probes(outside, inside, families))
    out = tuple(_probes(inside, outside, families))
    ingress, egress = _deny_all("Ingress"), _deny_all("Egress")
    return Scenario(
        path="<gate>",
        name="gate",
        slug="gate",
        why="untrusted code is let in only where policies act",
        steps=(
            _step(Check.CONTROL, state, (), allowed=(*into, *out)),
            _step(Check.CANARY, state, (ingress,), allowed=out, denied=into),
            _step(Check.DENY, state, (ingress, egress), denied=(*into, *out)),
        ),
    )


def covered(ground: Ground, has: Capabilities) -> str:
    """Return in words on how many nodes, and over which families, the gate is tried."""
    families = "IPv4 and IPv6" if "ipv6" in has.features else "IPv4"
    return f"{_nodes(ground, has)} of {has.nodes} nodes, {families}"


def check(cluster: Cluster, ground: Ground, timing: Timing | None = None) -> Iterator[Finding]:
    """Yield what each check gives, in order; the first fault is the last of them."""
    run = ScenarioRun(cluster, scenario(ground, cluster.capabilities), timing)
    for index, each in enumerate(Check):
        result: StepResult | None = None
        try:
            result = run.run(index)
            _judge(cluster, each, result)
        except ClusterError as error:
            yield Finding(each, result, error)
            return
        yield Finding(each, result)


def _judge(cluster: Cluster, check: Check, result: StepResult) -> None:
    """Raise the ClusterError that says why a check failed."""
    seen = result.reachability
    match check:
        case Check.CONTROL:
            canary.require_open(cluster, seen)
        case Check.CANARY:
            _require_denied(cluster, seen, "all ingress")
        case Check.DENY:
            _require_denied(cluster, seen, "all ingress and all egress")
    for odd in seen.results:
        # A profile may say that the CNI gets a cell wrong. Here that is no excuse.
        if odd.status is not CellStatus.PROVEN:
            raise ClusterError(
                f"{odd.cell.probe} is {odd.status}, and not proven: {odd.reason}",
                "use a profile without limitations of the scenario `gate`",
            )


def _require_denied(cluster: Cluster, seen: Reachability, denied: str) -> None:
    """Require the denials; of a cluster that leaks, name the nodes of the isolated pods."""
    try:
        canary.require_denied(cluster, seen, denied)
    except NotEnforcing as error:
        nodes = {place.of: place.node for place in cluster.placements()}
        leaks = [result.cell.probe for result in seen.mismatches]
        ends = [end for probe in leaks for end in (probe.source, probe.destination.host)]
        where = {nodes[end] for end in ends if isinstance(end, PodRef) and _is_inside(end, nodes)}
        if not where:
            raise
        text = f"{error.message}\nnot enforced on: {', '.join(sorted(where))}"
        raise NotEnforcing(text, error.hint) from None


def _is_inside(end: PodRef, nodes: Mapping[PodRef | ServiceRef, str]) -> bool:
    return end.namespace == INSIDE and end in nodes


def _nodes(ground: Ground, has: Capabilities) -> int:
    return has.nodes if ground.nodes is None else min(ground.nodes, has.nodes)


def _probes(
    sources: Iterable[Pod], destinations: Iterable[Pod], families: Iterable[Family]
) -> Iterator[Probe]:
    ends = tuple(destinations)
    for source in sources:
        for end in ends:
            for family in families:
                yield Probe(source.ref, Destination(end.ref, _PORT), family)


def _step(
    check: Check,
    state: State,
    policies: tuple[Manifest, ...],
    allowed: Iterable[Probe] = (),
    denied: Iterable[Probe] = (),
) -> Step:
    cells = [Cell(probe, Verdict.ALLOWED, _HERE) for probe in allowed]
    cells += [Cell(probe, Verdict.TIMEOUT, _HERE) for probe in denied]
    columns = tuple(dict.fromkeys(cell.probe.destination for cell in cells))
    changes = tuple(Applied(policy) for policy in policies[-1:])
    table = TruthTable(tuple(cells), columns)
    return Step(check.word, _HERE, changes, replace(state, policies=policies), table)


def _deny_all(direction: str) -> Manifest:
    name = f"deny-all-{direction.lower()}"
    item = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": INSIDE},
        "spec": {"podSelector": {}, "policyTypes": [direction]},
    }
    return Manifest("networking.k8s.io/v1", "NetworkPolicy", INSIDE, name, json.dumps(item))
