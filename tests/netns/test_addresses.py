"""Addresses from one State to the next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cluster.netns.addresses import (
    DNS_SERVICE,
    Addresses,
    allocate,
    meant_by,
    with_implied,
)
from harness.errors import ClusterError
from harness.model import (
    CompletedPod,
    External,
    Family,
    Labels,
    Namespace,
    NodeRef,
    Pod,
    PodRef,
    Protocol,
    Service,
    ServicePort,
    ServiceType,
    State,
)
from harness.policy import Everybody, Placeholder

A, B = PodRef("x", "a"), PodRef("x", "b")
STATE = State(
    "scope",
    (Namespace("x"),),
    (Pod("x", "a"), Pod("x", "b", node=2), Pod("x", "h", node=3, host_network=True)),
    (
        Service("x", "web", Labels(), (ServicePort(80, 80),), ServiceType.NODE_PORT),
        Service("x", "bare", Labels(), (ServicePort(80, 80),), ServiceType.HEADLESS),
    ),
    (External("office", ("10.10.0.5", "2001:DB8::5")),),
)


def given(state: State, previous: Addresses | None = None) -> Addresses:
    return allocate(with_implied(state), previous)


def pods(state: State, *changed: Pod) -> State:
    instead = {pod.ref: pod for pod in changed}
    return replace(state, pods=tuple(instead.get(pod.ref, pod) for pod in state.pods))


def test_every_thing_has_its_addresses() -> None:
    addresses = given(STATE)
    assert addresses.pods[A] == ("100.64.0.16", "fd64::10")
    assert addresses.pods[B] == ("100.64.128.16", "fd64:0:0:1::10")
    assert addresses.pods[PodRef("x", "h")] == addresses.nodes[1]
    assert addresses.node_of[PodRef("x", "h")] == 1
    assert addresses.externals["office"] == ("10.10.0.5", "2001:db8::5")
    assert addresses.services["x", "web"] == ("100.65.0.16", "fd64:0:1::10")
    assert addresses.services["x", "bare"] == ()
    assert addresses.services[DNS_SERVICE] == ("100.65.0.10", "fd64:0:1::a")
    assert addresses.nodes[1] == ("100.66.0.2", "fd64:0:2::2")
    assert addresses.node_ports == {("x", "web", 80, Protocol.TCP): 30000}
    assert addresses.dns_pods == (PodRef("kube-system", "coredns"),)


def test_equal_states_have_equal_addresses() -> None:
    first = given(STATE)
    assert given(STATE, first) == first


def test_a_relabelled_pod_keeps_its_address() -> None:
    first = given(STATE)
    second = given(pods(STATE, Pod("x", "a", Labels({"new": "label"}))), first)
    assert second.pods == first.pods


@pytest.mark.parametrize(
    "state",
    [
        pods(STATE, Pod("x", "a", incarnation=1)),
        pods(STATE, Pod("x", "a", node=2)),
        replace(STATE, namespaces=(Namespace("x", incarnation=1),)),
        replace(STATE, scope="another"),
    ],
)
def test_what_is_made_again_has_a_fresh_address(state: State) -> None:
    first = given(STATE)
    second = given(state, first)
    assert not set(second.pods[A]) & {ip for held in first.pods.values() for ip in held}


def test_an_address_is_not_given_twice_soon() -> None:
    seen: set[str] = set()
    addresses = None
    for incarnation in range(50):
        addresses = given(pods(STATE, Pod("x", "a", incarnation=incarnation)), addresses)
        assert not seen & set(addresses.pods[A])
        seen |= set(addresses.pods[A])


def test_a_new_pod_gets_the_address_of_a_pod_that_completed_before() -> None:
    ended = replace(STATE, completed=(CompletedPod("x", "job"), CompletedPod("x", "far", node=2)))
    first = given(ended)
    job = first.completed[PodRef("x", "job")]
    assert not [ref for ref, ips in first.pods.items() if set(ips) & set(job)]
    new = Pod("x", "new"), Pod("x", "next")
    second = given(replace(ended, pods=(*ended.pods, *new)), first)
    assert second.completed == first.completed
    assert second.pods[new[0].ref] == job
    held = [ip for ips in second.pods.values() for ip in ips]
    assert set(second.pods[new[1].ref]).isdisjoint(job)
    assert len(held) == len(set(held))
    third = given(replace(STATE, pods=(*STATE.pods, *new)), second)
    assert third.pods == second.pods


def test_a_pod_that_completes_again_has_a_fresh_address() -> None:
    first = given(replace(STATE, completed=(CompletedPod("x", "job"),)))
    second = given(replace(STATE, completed=(CompletedPod("x", "job", incarnation=1),)), first)
    assert set(second.completed[PodRef("x", "job")]).isdisjoint(
        first.completed[PodRef("x", "job")]
    )


def test_a_deleted_pod_leaves_its_address_alone() -> None:
    first = given(STATE)
    without = replace(STATE, pods=STATE.pods[1:])
    second = given(STATE, given(without, first))
    assert second.pods[A] != first.pods[A]
    assert second.pods[B] == first.pods[B]


def test_outside_hosts_keep_their_addresses_from_pods() -> None:
    taken = External("rival", ("100.64.0.16", "fd64::10"))
    addresses = given(replace(STATE, externals=(taken,)))
    assert addresses.pods[A] == ("100.64.0.17", "fd64::11")


def test_other_ranges_give_every_thing_a_fresh_address() -> None:
    first = given(STATE)
    moved = given(replace(STATE, scope="another", outside=("100.64.1.0/24",)), first)
    assert moved.pods[A] == ("100.96.0.16", "fd64::10")
    assert moved.services["x", "web"] == ("100.65.0.16", "fd64:0:1::10")
    assert given(STATE, moved) == first


def test_without_ipv6_nothing_has_an_ipv6_address() -> None:
    addresses = allocate(with_implied(STATE), None, (Family.V4,))
    held = (addresses.pods, addresses.nodes, addresses.externals, addresses.services)
    assert not [ip for group in held for ips in group.values() for ip in ips if ":" in ip]


@pytest.mark.parametrize(
    ("placeholder", "address"),
    [
        (Placeholder(A, Family.V4), "100.64.0.16"),
        (Placeholder(A, Family.V6), "fd64::10"),
        (Placeholder(NodeRef(2), Family.V4), "100.66.0.3"),
        (Placeholder(NodeRef(2), Family.V6), "fd64:0:2::3"),
        (Placeholder(Everybody.PODS, Family.V4), "100.64.0.0/16"),
        (Placeholder(Everybody.PODS, Family.V6), "fd64::/63"),
    ],
)
def test_an_address_that_a_policy_leaves_to_the_cluster(
    placeholder: Placeholder, address: str
) -> None:
    assert meant_by(placeholder, given(STATE)) == address


@pytest.mark.parametrize("of", [A, NodeRef(1)])
def test_an_address_of_a_family_that_is_not_there(of: PodRef | NodeRef) -> None:
    addresses = allocate(with_implied(replace(STATE, externals=())), None, (Family.V4,))
    placeholder = Placeholder(of, Family.V6)
    with pytest.raises(ClusterError) as caught:
        meant_by(placeholder, addresses)
    assert str(caught.value) == f"the embedded cluster has no address for {placeholder}"
