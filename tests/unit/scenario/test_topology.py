"""The builder of states: what each change does, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.model import (
    Applied,
    ContainerPort,
    Created,
    Deleted,
    External,
    Labelled,
    Labels,
    Manifest,
    Namespace,
    NamespaceRef,
    Pod,
    PodRef,
    Protocol,
    Refused,
    Restarted,
    Service,
    ServicePort,
    ServiceType,
    State,
)
from harness.scenario.topology import Conflict, TopologyBuilder

WEB = Labels({"app": "web"})
POD = Pod("a", "web", WEB, (ContainerPort(80, name="http"),))
SERVICE = Service("a", "web", WEB, (ServicePort(80, "http"),))
POLICY = Manifest("networking.k8s.io/v1", "NetworkPolicy", "a", "deny", "{}")


def builder() -> TopologyBuilder:
    made = TopologyBuilder(State("s", exact_names=True))
    made.add_namespace("a", Labels())
    made.add_pod(POD)
    made.add_service(SERVICE)
    made.apply(POLICY)
    made.add_external(External("office", ("10.10.0.5",)))
    made.finish_step()
    return made


def test_a_state_holds_what_was_added() -> None:
    assert builder().state() == State(
        "s",
        namespaces=(Namespace("a"),),
        pods=(POD,),
        services=(SERVICE,),
        externals=(External("office", ("10.10.0.5",)),),
        policies=(POLICY,),
        exact_names=True,
    )


def test_the_changes_of_a_step_in_order() -> None:
    made = builder()
    made.label(POD.ref, "app", None)
    made.label(NamespaceRef("a"), "team", "blue")
    made.restart(POD.ref)
    made.delete_object("NetworkPolicy", "a", "deny")
    made.apply(POLICY)
    made.apply(POLICY)
    made.refuse(POLICY)
    made.delete_service("a", "web")
    made.add_pod(Pod("a", "new"))
    made.delete_pod(PodRef("a", "new"))
    step = made.finish_step()
    again = Manifest("networking.k8s.io/v1", "NetworkPolicy", "a", "deny", "{}", incarnation=1)
    assert step.changes == (
        Labelled(POD.ref, "app", None),
        Labelled(NamespaceRef("a"), "team", "blue"),
        Restarted(POD.ref),
        Deleted("NetworkPolicy", "a", "deny"),
        Applied(again),
        Applied(again, updates=True),
        Refused(POLICY),
        Deleted("Service", "a", "web"),
        Created(Pod("a", "new")),
        Deleted("Pod", "a", "new"),
    )
    assert step.state == State(
        "s",
        namespaces=(Namespace("a", Labels({"team": "blue"})),),
        pods=(Pod("a", "web", Labels(), POD.ports, incarnation=1),),
        externals=(External("office", ("10.10.0.5",)),),
        policies=(again,),
        refused=(POLICY,),
        exact_names=True,
    )
    following = made.finish_step()
    assert (following.changes, following.state.refused) == ((), ())


def test_what_is_created_again_is_another_incarnation() -> None:
    made = builder()
    made.delete_namespace("a")
    assert made.finish_step().state == State(
        "s", externals=(External("office", ("10.10.0.5",)),), exact_names=True
    )
    made.add_namespace("a", Labels())
    made.add_pod(POD)
    made.apply(POLICY)
    state = made.finish_step().state
    assert [item.incarnation for item in state.namespaces] == [1]
    assert [item.incarnation for item in state.pods] == [1]
    assert [item.incarnation for item in state.policies] == [1]


def test_a_builder_goes_on_from_a_state() -> None:
    first = builder()
    first.restart(POD.ref)
    made = TopologyBuilder(first.state())
    made.restart(POD.ref)
    step = made.finish_step()
    assert step.state.pods[0].incarnation == 2
    assert step.changes == (Restarted(POD.ref),)


IMPOSSIBLE: tuple[tuple[Callable[[TopologyBuilder], None], str], ...] = (
    (lambda made: made.add_namespace("a", Labels()), "namespace a exists already"),
    (lambda made: made.add_pod(POD), "pod a/web exists already"),
    (lambda made: made.add_service(SERVICE), "Service a/web exists already"),
    (lambda made: made.add_external(External("office", ())), "external office exists already"),
    (lambda made: made.add_pod(Pod("b", "x")), "namespace b does not exist"),
    (
        lambda made: made.add_service(Service("b", "x", WEB, ())),
        "namespace b does not exist",
    ),
    (
        lambda made: made.apply(Manifest("v1", "ConfigMap", "b", "x", "{}")),
        "namespace b does not exist",
    ),
    (
        lambda made: made.refuse(Manifest("v1", "ConfigMap", "b", "x", "{}")),
        "namespace b does not exist",
    ),
    (lambda made: made.delete_namespace("b"), "namespace b does not exist"),
    (lambda made: made.delete_pod(PodRef("a", "x")), "pod a/x does not exist"),
    (lambda made: made.delete_service("a", "x"), "Service a/x does not exist"),
    (
        lambda made: made.delete_object("NetworkPolicy", "a", "x"),
        "object NetworkPolicy/a/x does not exist",
    ),
    (lambda made: made.delete_object("Tier", "", "x"), "object Tier/x does not exist"),
    (lambda made: made.label(NamespaceRef("b"), "k", "v"), "namespace b does not exist"),
    (lambda made: made.label(PodRef("a", "x"), "k", "v"), "pod a/x does not exist"),
    (lambda made: made.label(POD.ref, "k", None), "pod a/web has no label 'k'"),
    (lambda made: made.label(NamespaceRef("a"), "k", None), "namespace a has no label 'k'"),
    (lambda made: made.restart(PodRef("a", "x")), "pod a/x does not exist"),
)


@pytest.mark.parametrize(("change", "text"), IMPOSSIBLE, ids=range(len(IMPOSSIBLE)))
def test_an_impossible_change_changes_nothing(
    change: Callable[[TopologyBuilder], None], text: str
) -> None:
    made = builder()
    with pytest.raises(Conflict) as caught:
        change(made)
    assert str(caught.value) == text
    step = made.finish_step()
    assert (step.state, step.changes) == (builder().state(), ())


def conflicts(made: TopologyBuilder) -> list[str]:
    return [str(conflict) for conflict in (*made.conflicts(), *made.external_conflicts())]


def test_what_cannot_work_is_told_of_the_step_that_makes_it() -> None:
    made = builder()
    twice = (ContainerPort(80), ContainerPort(80), ContainerPort(80, Protocol.UDP))
    made.add_pod(Pod("a", "twice", Labels(), twice))
    same = (ContainerPort(1, name="x"), ContainerPort(2, name="x"))
    made.add_pod(Pod("a", "same", Labels(), same))
    made.add_service(Service("a", "none", WEB, ()))
    made.add_service(Service("a", "headless", WEB, (), ServiceType.HEADLESS))
    made.delete_service("a", "web")
    made.add_service(SERVICE)
    assert conflicts(made) == [
        "pod a/twice has the port 80/TCP twice",
        "pod a/same has two ports named 'x'",
        "Service a/none has no ports",
        "Service a/web is deleted and created again in one step",
    ]
    made.finish_step()
    assert conflicts(made) == []


def test_what_does_not_fit_together_is_told_of_each_state() -> None:
    made = builder()
    made.add_service(Service("a", "udp", WEB, (ServicePort(53, "http", Protocol.UDP),)))
    made.add_pod(Pod("a", "one", Labels(), (ContainerPort(9),), 1, True))
    made.add_pod(Pod("a", "two", Labels(), (ContainerPort(8), ContainerPort(9)), 1, True))
    made.add_pod(Pod("a", "far", Labels(), (ContainerPort(9),), 2, True))
    made.finish_step()
    found = [(conflict.port, str(conflict)) for conflict in made.conflicts()]
    assert found == [
        (0, "Service a/udp has no pod with the port 'http'"),
        (1, "pod a/two needs a port of its node that a/one has"),
    ]


def test_outside_hosts_share_neither_address_nor_name() -> None:
    made = builder()
    made.add_external(External("twice", ("10.0.0.1", "10.0.0.2"), dns_names=("x.example.com",)))
    made.add_external(External("other", ("10.10.0.5",), dns_names=("x.example.com",)))
    assert conflicts(made) == [
        "external twice has two addresses of one family",
        "external other has 10.10.0.5, which another external has",
        "external other has x.example.com, which another external has",
    ]


def test_pods_that_may_run_anywhere_alternate() -> None:
    made = builder()
    assert [made.next_node() for _ in range(3)] == [1, 2, 1]
