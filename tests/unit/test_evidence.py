"""What stands behind the names of a probe, and when what was seen of it is evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness import scenario
from harness.errors import Location, ScenarioError
from harness.evidence import Topology
from harness.model import (
    AbsoluteName,
    Address,
    Cell,
    CellStatus,
    ContainerPort,
    Destination,
    External,
    ExternalRef,
    ExternalTrafficPolicy,
    Family,
    Host,
    Labels,
    Manifest,
    Namespace,
    NodePortRef,
    NodeRef,
    Pod,
    Probe,
    Protocol,
    Scenario,
    Service,
    ServiceName,
    ServicePort,
    ServiceRef,
    ServiceType,
    Source,
    State,
    Step,
    TruthTable,
    Verdict,
)
from harness.runner import ScenarioRun
from harness.settle import Timing
from tests.fakes import FakeCluster, allows_all, by_the_book, enforces_nothing

ALLOWED, TIMEOUT = Verdict.ALLOWED, Verdict.TIMEOUT
WEB = Labels({"app": "web"})
CLIENT = Pod("x", "client")
SERVER = Pod("x", "web", WEB, (ContainerPort(80),))
OTHER = Pod("x", "other", Labels({"app": "other"}), (ContainerPort(80),))
AGENT = Pod("x", "agent", ports=(ContainerPort(9100),), host_network=True)
SERVICE = Service(
    "x", "web", WEB, (ServicePort(80, 80), ServicePort(90, 80)), ServiceType.NODE_PORT
)
OFFICE = External("office", ("203.0.113.5",), (ContainerPort(443),), ("api.example.com",))
STATE = State("test", (Namespace("x"),), (CLIENT, SERVER, OTHER, AGENT), (SERVICE,), (OFFICE,))


def probe(host: Host, port: int = 80, source: Source = CLIENT.ref) -> Probe:
    return Probe(source, Destination(host, port))


TO_POD = probe(SERVER.ref)
TO_SERVICE = probe(ServiceRef("x", "web"))
TO_NAME = probe(ServiceName("x", "web"))
TO_LONG_NAME = probe(AbsoluteName("web.x.svc.cluster.local"))
TO_NODE_PORT = probe(NodePortRef("x", "web", 1), source=ExternalRef("office"))
TO_NODE = probe(NodeRef(1), 9100)
TO_AGENT = probe(AGENT.ref, 9100)
TO_EXTERNAL = probe(ExternalRef("office"), 443)
TO_ADDRESS = probe(Address("203.0.113.5"), 443)
TO_API = probe(AbsoluteName("api.example.com."), 443)
ALL = (
    *(TO_POD, TO_SERVICE, TO_NAME, TO_LONG_NAME, TO_NODE_PORT, TO_NODE, TO_AGENT),
    *(TO_EXTERNAL, TO_ADDRESS, TO_API),
)
TO_ENDPOINTS = (TO_SERVICE, TO_NAME, TO_LONG_NAME, TO_NODE_PORT)
TO_OFFICE = (TO_EXTERNAL, TO_ADDRESS, TO_API, TO_NODE_PORT)
FROM_CLIENT = tuple(each for each in ALL if each is not TO_NODE_PORT)


def with_pod(pod: Pod) -> State:
    pods = [pod if each.ref == pod.ref else each for each in STATE.pods]
    return replace(STATE, pods=tuple(pods if pod in pods else [*pods, pod]))


def with_service(**changes: object) -> State:
    return replace(STATE, services=(replace(SERVICE, **changes),))  # type: ignore[arg-type]


CHANGES = {
    "nothing": (replace(STATE, policies=(Manifest("v1", "P", "x", "p", "{}"),)), ()),
    "labels of the source": (with_pod(replace(CLIENT, labels=Labels({"a": "b"}))), ()),
    "labels beside the selector": (
        with_pod(replace(SERVER, labels=Labels({"app": "web", "a": "b"}))),
        (),
    ),
    "a pod that nothing names": (with_pod(Pod("x", "late")), ()),
    "another port of the Service": (with_service(ports=(SERVICE.ports[0],)), ()),
    "labels of the namespace": (
        replace(STATE, namespaces=(Namespace("x", Labels({"a": "b"})),)),
        (),
    ),
    "the source is another pod": (with_pod(replace(CLIENT, incarnation=1)), FROM_CLIENT),
    "the pod is another one": (
        with_pod(replace(SERVER, incarnation=1)),
        (TO_POD, *TO_ENDPOINTS),
    ),
    "the pod moves": (with_pod(replace(SERVER, node=2)), (TO_POD, *TO_ENDPOINTS)),
    "the pod is on its node's network": (
        with_pod(replace(SERVER, host_network=True)),
        (TO_POD, *TO_ENDPOINTS, TO_NODE, TO_AGENT),
    ),
    "an endpoint comes": (with_pod(replace(OTHER, labels=WEB)), TO_ENDPOINTS),
    "the endpoint goes": (with_pod(replace(SERVER, labels=Labels())), TO_ENDPOINTS),
    "the namespace is another one": (
        replace(STATE, namespaces=(Namespace("x", incarnation=1),)),
        ALL,
    ),
    "another target port": (with_service(ports=(ServicePort(80, 81),)), TO_ENDPOINTS),
    "another traffic policy": (
        with_service(external_traffic_policy=ExternalTrafficPolicy.LOCAL),
        TO_ENDPOINTS,
    ),
    "another type": (with_service(type=ServiceType.CLUSTER_IP), TO_ENDPOINTS),
    "no Service": (replace(STATE, services=()), TO_ENDPOINTS),
    "another address outside": (
        replace(STATE, externals=(replace(OFFICE, addresses=("203.0.113.6",)),)),
        TO_OFFICE,
    ),
    "another port outside": (replace(STATE, externals=(replace(OFFICE, ports=()),)), TO_OFFICE),
    "a DNS server of the scenario": (
        with_pod(Pod("kube-system", "dns", Labels({"k8s-app": "kube-dns"}))),
        (TO_NAME, TO_LONG_NAME, TO_API),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_evidence_is_of_what_stands_behind_the_names(change: str) -> None:
    state, changed = CHANGES[change]
    before, after = Topology(STATE), Topology(state)
    assert {p for p in ALL if before.evidence(p) != after.evidence(p)} == set(changed)


def test_evidence_is_of_one_port_protocol_family_and_node() -> None:
    find = Topology(STATE).evidence
    udp = Probe(CLIENT.ref, Destination(SERVER.ref, 80, Protocol.UDP))
    others = {TO_POD, probe(SERVER.ref, 81), udp, replace(TO_POD, family=Family.V6)}
    assert len({find(each) for each in others}) == 4
    assert find(TO_NODE_PORT) != find(
        probe(NodePortRef("x", "web", 2), source=ExternalRef("office"))
    )


# ------------------------------------------------------------------ in a run

QUICK = Timing(settle_s=0.0, pause_s=0.0)
DENY_ALL = Manifest(
    "networking.k8s.io/v1",
    "NetworkPolicy",
    "x",
    "deny",
    '{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"deny",'
    '"namespace":"x"},"spec":{"podSelector":{},"policyTypes":["Ingress"]}}',
)
OPEN = State("test", (Namespace("x"),), (CLIENT, SERVER))
SHUT = replace(OPEN, policies=(DENY_ALL,))
AGAIN = replace(SHUT, pods=(CLIENT, replace(SERVER, incarnation=1)))


def cell(word: Verdict, never: str | None = None, asked: Probe = TO_POD) -> Cell:
    return Cell(asked, word, Location("s.yaml", 9, 3), never_allowed=never)


def step(name: str, state: State, *cells: Cell) -> Step:
    return Step(name, Location("s.yaml", 5, 3), (), state, TruthTable(cells))


def made(*steps: Step) -> Scenario:
    return Scenario(path="s.yaml", name="test", slug="test", why="for a test", steps=steps)


def statuses(run: ScenarioRun, steps: Sequence[Step]) -> list[list[CellStatus]]:
    found = [run.run(index).reachability.results for index in range(len(steps))]
    return [[result.status for result in results] for results in found]


def test_a_pod_that_was_made_again_is_seen_connecting_in_the_control() -> None:
    steps = made(
        step("open", OPEN, cell(ALLOWED)),
        step("shut", SHUT, cell(TIMEOUT)),
        step("again", AGAIN, cell(TIMEOUT)),
    )
    cluster = FakeCluster(by_the_book)
    assert statuses(ScenarioRun(cluster, steps, QUICK), steps.steps) == [[CellStatus.PROVEN]] * 3
    opened = replace(AGAIN, policies=())
    assert cluster.synced == [opened, OPEN, SHUT, AGAIN]
    assert cluster.rounds[0] == (TO_POD,)


def test_evidence_of_another_pod_of_that_name_proves_nothing() -> None:
    """The pod that is made again serves nothing, although the one before it did."""
    steps = made(step("shut", SHUT, cell(TIMEOUT)), step("again", AGAIN, cell(TIMEOUT)))

    def dead(state: State, asked: Probe) -> Verdict:
        pod = state.pod(SERVER.ref)
        return TIMEOUT if state.policies or (pod and pod.incarnation) else ALLOWED

    cluster = FakeCluster(dead)
    assert statuses(ScenarioRun(cluster, steps, QUICK), steps.steps) == [
        [CellStatus.PROVEN],
        [CellStatus.UNPROVEN],
    ]


def test_the_control_visits_no_more_topologies_than_it_needs() -> None:
    """Every step has one more pod; the last topology shows all the pairs."""
    first, second, third = (Pod("x", name) for name in ("first", "second", "third"))
    steps = []
    for count, pods in enumerate(((first,), (first, second), (first, second, third))):
        cells = [cell(TIMEOUT, asked=probe(SERVER.ref, source=pod.ref)) for pod in pods]
        steps.append(step(f"step {count}", replace(SHUT, pods=(SERVER, *pods)), *cells))
    cluster = FakeCluster(by_the_book)
    run = ScenarioRun(cluster, made(*steps), QUICK)
    assert {s for each in statuses(run, steps) for s in each} == {CellStatus.PROVEN}
    assert cluster.synced == [replace(OPEN, pods=steps[2].state.pods), *(s.state for s in steps)]


def test_topologies_that_differ_are_visited_in_the_order_of_the_steps() -> None:
    third = replace(SHUT, pods=(CLIENT, replace(SERVER, incarnation=2)))
    steps = [step(str(s), s, cell(TIMEOUT)) for s in (SHUT, AGAIN, third)]
    cluster = FakeCluster(by_the_book)
    ScenarioRun(cluster, made(*steps), QUICK).run(0)
    opened = [replace(state, policies=()) for state in (SHUT, AGAIN, third)]
    assert cluster.synced == [*opened, SHUT]


def test_the_control_visits_only_topologies_of_selected_steps() -> None:
    steps = [step("shut", SHUT, cell(TIMEOUT)), step("again", AGAIN, cell(TIMEOUT))]
    cluster = FakeCluster(by_the_book)
    ScenarioRun(cluster, made(*steps), QUICK, selected=[0]).run(0)
    assert cluster.synced == [OPEN, SHUT]


def test_the_control_restricts_nothing_refuses_nothing_and_restarts_no_agents() -> None:
    cluster = FakeCluster(by_the_book)
    state = replace(SHUT, refused=(replace(DENY_ALL, name="bad"),), agent_restarts=1)
    ScenarioRun(cluster, made(step("shut", state, cell(TIMEOUT))), QUICK).run(0)
    assert cluster.synced == [OPEN, state]


NODE_PORT = """\
scenario: evidence by name, topology moved
why: through node 1 nobody answers any more, whatever the policy says
externals: {office: {ip: 10.10.0.5}}
topology:
  app1:
    pods: {a: {labels: {app: a}, ports: [80], node: 1}, b: {labels: {app: b}, node: 1}}
    services:
      a: {type: NodePort, externalTrafficPolicy: Local, selector: {app: a}, ports: [80]}
steps:
  - step: open
    expect: |
                        nodeport/app1/a:80@1  app1/a:80
      external/office   allowed               -
      app1/b            -                     allowed
  - step: a moves to node 2, no policy at all
    delete: [Pod/app1/a]
    create: {app1: {pods: {a: {labels: {app: a}, ports: [80], node: 2}}}}
    expect: |
                        nodeport/app1/a:80@1  app1/a:80
      external/office   TIMEOUT               -
      app1/b            -                     allowed
"""


def test_a_node_port_whose_pod_moved_away_is_unproven(tmp_path: Path) -> None:
    path = tmp_path / "moved.yaml"
    path.write_text(NODE_PORT)
    loaded = scenario.load(path)
    run = ScenarioRun(FakeCluster(enforces_nothing), loaded, QUICK)
    assert statuses(run, loaded.steps) == [
        [CellStatus.PROVEN, CellStatus.PROVEN],
        [CellStatus.UNPROVEN, CellStatus.PROVEN],
    ]


# ------------------------------------------------------------------ never-allowed


def test_an_exempt_pair_that_connects_in_the_control_is_an_error() -> None:
    never = cell(TIMEOUT, "the port is closed")
    steps = made(step("shut", SHUT, never), step("more", SHUT, never))
    run = ScenarioRun(FakeCluster(by_the_book), steps, QUICK)
    for index in (0, 1):
        with pytest.raises(ScenarioError) as refused:
            run.run(index)
        assert str(refused.value) == (
            "s.yaml:9:3: x/client -> x/web:80 is declared never-allowed (the port is closed), but "
            "the control step, which applies no policies, saw it allowed\n"
            "hint: remove the pair from `never-allowed`"
        )


def test_an_exempt_pair_that_an_earlier_step_saw_connecting_is_an_error() -> None:
    """It did not connect yet when the control looked."""
    steps = made(
        step("open", OPEN, cell(ALLOWED)), step("shut", SHUT, cell(TIMEOUT, "the port is closed"))
    )
    early = [TIMEOUT]
    cluster = FakeCluster(lambda s, p: early.pop() if early else by_the_book(s, p))
    run = ScenarioRun(cluster, steps, QUICK)
    run.run(0)
    with pytest.raises(ScenarioError) as refused:
        run.run(1)
    assert str(refused.value) == (
        "s.yaml:9:3: x/client -> x/web:80 is declared never-allowed (the port is closed), but "
        "step 'open' saw it allowed\n"
        "hint: remove the pair from `never-allowed`"
    )


def test_an_exempt_pair_may_have_connected_while_another_pod_had_its_name() -> None:
    steps = made(
        step("open", OPEN, cell(ALLOWED)), step("again", AGAIN, cell(TIMEOUT, "it is gone"))
    )

    def gone(state: State, asked: Probe) -> Verdict:
        pod = state.pod(SERVER.ref)
        return TIMEOUT if pod and pod.incarnation else ALLOWED

    run = ScenarioRun(FakeCluster(gone), steps, QUICK)
    assert statuses(run, steps.steps) == [[CellStatus.PROVEN], [CellStatus.EXEMPT]]


def test_an_undefined_cell_that_is_declared_never_allowed_is_not_probed_for_it() -> None:
    open_ = replace(cell(TIMEOUT, "closed"), undefined="hairpin")
    cluster = FakeCluster(allows_all)
    steps = made(step("shut", SHUT, open_))
    assert statuses(ScenarioRun(cluster, steps, QUICK), steps.steps) == [[CellStatus.UNDEFINED]]
    assert cluster.synced == [SHUT]
