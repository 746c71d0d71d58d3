"""The customer's stories are all there, and each shows what it should from every side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from harness.model import (
    Cell,
    NodePortRef,
    Pod,
    PodRef,
    Scenario,
    ServiceName,
    ServiceRef,
    State,
    Verdict,
)
from harness.scenario import find, load

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "scenarios" / "examples"

STORIES = {
    # Example: the ends, beside pod IPs, that its story speaks of.
    "three-tier": {"svc", "dns", "nodeport"},
    "policy-types": {"svc", "dns"},
    "default-deny-then-whitelist": {"svc", "dns"},
    "db-app1-app2": {"dns"},  # a headless Service has no ClusterIP
    "db-nodeport-ipblock-and": {"svc", "dns", "nodeport"},
    "full-syntax": {"svc", "dns", "nodeport"},
    "access-by-label": set(),
    "egress-port-443": set(),
    "frontend-backend": set(),
    "frontend-to-database": {"svc", "dns"},
    "egress-external-api": {"svc", "dns"},
    "deny-ingress-from-external": {"svc", "dns", "nodeport"},
    "cilium-fqdn": set(),
    "pod-security-restricted": {"svc", "dns"},
}

each_example = pytest.mark.parametrize("name", sorted(STORIES))


@cache
def example(name: str) -> Scenario:
    return load(EXAMPLES / f"{name}.yaml")


def cells(scenario: Scenario) -> Iterator[tuple[State, Cell]]:
    for step in scenario.steps:
        for cell in step.table.cells:
            yield step.state, cell


def served_by(state: State, cell: Cell) -> tuple[Pod, ...]:
    """The pods that a probe inside the cluster ends at."""
    host = cell.probe.destination.host
    if isinstance(host, PodRef):
        pod = state.pod(host)
        return (pod,) if pod else ()
    if isinstance(host, ServiceRef | ServiceName):
        service = state.service(host.namespace, host.name)
        return state.endpoints(service) if service else ()
    return ()


def placement(state: State, cell: Cell) -> str | None:
    """``same node`` or ``cross node`` for a probe from pod to pod, directly or by a Service."""
    source = cell.probe.source
    pod = state.pod(source) if isinstance(source, PodRef) else None
    nodes = {end.node for end in served_by(state, cell)}
    if pod is None or len(nodes) != 1:
        return None
    return "same node" if nodes == {pod.node} else "cross node"


def end(cell: Cell) -> str:
    match cell.probe.destination.host:
        case PodRef():
            return "pod"
        case ServiceRef():
            return "svc"
        case ServiceName():
            return "dns"
        case NodePortRef():
            return "nodeport"
    return "other"


def outcome(cell: Cell) -> str:
    return "allowed" if cell.expected is Verdict.ALLOWED else "denied"


def test_the_examples_are_the_stories() -> None:
    assert sorted(path.stem for path in find(EXAMPLES)) == sorted(STORIES)


@each_example
def test_cells_on_one_node_and_across_nodes(name: str) -> None:
    seen = Counter(
        (where, outcome(cell))
        for state, cell in cells(example(name))
        if (where := placement(state, cell))
    )
    wanted = {(w, o) for w in ("same node", "cross node") for o in ("allowed", "denied")}
    assert wanted - set(seen) == set(), seen


@each_example
def test_ends_of_every_kind_that_the_story_has(name: str) -> None:
    seen = Counter((end(cell), outcome(cell)) for _, cell in cells(example(name)))
    wanted = {(e, o) for e in STORIES[name] | {"pod"} for o in ("allowed", "denied")}
    if name == "three-tier":
        wanted.remove(("nodeport", "denied"))  # web is open to its users throughout
    assert wanted - set(seen) == set(), seen


@each_example
def test_services_are_reached_by_address_and_by_name(name: str) -> None:
    services = {s.type for step in example(name).steps for s in step.state.services}
    wanted = {"dns"} if services else set()
    wanted |= {"svc"} if services - {"Headless"} else set()
    assert wanted == STORIES[name] - {"nodeport"}


@each_example
def test_pods_say_on_which_node_they_are(name: str) -> None:
    # Placed by hand, so that a pod more in a file moves no other.
    text = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
    pods = {pod.ref for step in example(name).steps for pod in step.state.pods}
    assert text.count("node: 1") + text.count("node: 2") == len(pods)


@each_example
def test_requirements_are_named_and_exist(name: str) -> None:
    known = {f"R{number:02}" for number in range(1, 87)}
    covers = example(name).covers
    assert set(covers) <= known
    assert covers or example(name).needs.kinds, "only another API than NetworkPolicy covers none"
    assert list(covers) == sorted(set(covers))


@each_example
def test_a_table_for_people_is_small(name: str) -> None:
    # What one look takes in; and the real cluster takes seconds for each step.
    assert len(example(name).steps) <= 5
    assert all(len(step.table.cells) <= 50 for step in example(name).steps)


def test_the_ones_for_other_clusters_say_what_they_need() -> None:
    assert example("pod-security-restricted").needs.features >= {"admission"}
    assert example("cilium-fqdn").needs.kinds == {"cilium.io/v2/CiliumNetworkPolicy"}


def test_every_policy_file_is_used() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in find(EXAMPLES))
    unused = [
        path.name
        for path in (EXAMPLES / "policies").iterdir()
        if f"policies/{path.name}" not in texts
    ]
    assert unused == []
