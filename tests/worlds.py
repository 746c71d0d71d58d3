"""Random small worlds for property tests: topologies, policies over them, and all their probes.

Labels, ports and names come from alphabets so small that selectors meet, miss and half meet
often, and that the same port name stands for different numbers.
"""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from harness.cluster.netns.addresses import allocate, with_implied
from harness.cluster.netns.compiler.values import Action, AddressSet, PodRules
from harness.model import (
    ContainerPort,
    Destination,
    External,
    ExternalRef,
    Family,
    Host,
    Labels,
    Manifest,
    Namespace,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    Protocol,
    Source,
    State,
)
from harness.oracle import Facts
from harness.policy import Direction, faults

NAMESPACES = ("n1", "n2", "n3")
OFFICE, OFFICE6 = "10.10.0.5", "fd99::5"
BRANCH, BRANCH6 = "10.10.1.5", "fd99:1::5"
TCP = (80, 81, 82)
UDP = (80,)
ASKED = (*((port, Protocol.TCP) for port in TCP), *((port, Protocol.UDP) for port in UDP))
EXTERNAL_PORTS = tuple(ContainerPort(port, protocol) for port, protocol in ASKED)
EXTERNALS = (
    External("office", (OFFICE, OFFICE6), EXTERNAL_PORTS),
    External("branch", (BRANCH, BRANCH6), EXTERNAL_PORTS),
)

Object = dict[str, Any]


def network_policy(spec: Object, namespace: str, name: str) -> Manifest:
    """A NetworkPolicy that the API server would take; asserts that it would."""
    document = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    assert faults(document) == (), (spec, faults(document))
    return Manifest("networking.k8s.io/v1", "NetworkPolicy", namespace, name, json.dumps(document))


def _optional(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Object]:
    return st.fixed_dictionaries({}, optional=fields)


# ------------------------------------------------------------------ topologies

_values = st.sampled_from(("a", "b"))
_pod_labels = _optional({"app": _values, "tier": _values}).map(Labels)
_namespace_labels = _optional({"team": _values, "app": _values}).map(Labels)


# Every pod serves the same ports, each under names of its own: "web" may be UDP here, 82 there.
_ports = st.permutations(("web", "alt", None, None)).map(
    lambda names: tuple(
        ContainerPort(port, protocol, name)
        for (port, protocol), name in zip(ASKED, names, strict=True)
    )
)


@st.composite
def _topologies(draw: st.DrawFn, most_pods: int) -> State:
    namespaces = NAMESPACES[: draw(st.integers(2, 3))]
    places = draw(
        st.lists(
            st.tuples(st.sampled_from(namespaces), st.sampled_from(("a", "b", "c"))),
            min_size=3,
            max_size=most_pods,
            unique=True,
        )
    )
    return State(
        scope="property",
        namespaces=tuple(Namespace(name, draw(_namespace_labels)) for name in namespaces),
        pods=tuple(
            Pod(namespace, name, draw(_pod_labels), draw(_ports), draw(st.sampled_from((1, 2))))
            for namespace, name in places
        ),
        externals=EXTERNALS,
    )


# ------------------------------------------------------------------ policies


def _requirements(keys: tuple[str, ...]) -> st.SearchStrategy[Object]:
    listed = st.lists(_values, min_size=1, max_size=2, unique=True)
    key = st.sampled_from(keys)
    return st.one_of(
        st.fixed_dictionaries(
            {"key": key, "operator": st.sampled_from(("In", "NotIn")), "values": listed}
        ),
        st.fixed_dictionaries(
            {"key": key, "operator": st.just("NotIn"), "values": st.just(["a", "b"])}
        ),
        st.fixed_dictionaries(
            {"key": key, "operator": st.sampled_from(("Exists", "DoesNotExist"))}
        ),
    )


def _selectors(*keys: str) -> st.SearchStrategy[Object]:
    """One in three is empty; the others ask for little, so that somebody meets them."""
    labels = st.dictionaries(st.sampled_from(keys), _values, min_size=1, max_size=2)
    expressions = st.lists(_requirements(keys), min_size=1, max_size=2)
    return st.one_of(
        st.just({}),
        st.fixed_dictionaries({"matchLabels": labels}),
        st.fixed_dictionaries({"matchExpressions": expressions}, optional={"matchLabels": labels}),
    )


pod_selectors = _selectors("app", "tier")
namespace_selectors = st.one_of(
    _selectors("team", "app"),
    st.sampled_from(NAMESPACES).map(
        lambda name: {"matchLabels": {"kubernetes.io/metadata.name": name}}
    ),
)

_outside_blocks = (
    {"cidr": "10.10.0.0/16", "except": ["10.10.1.0/24"]},
    {"cidr": "10.10.0.0/16", "except": ["10.10.0.0/25", "10.10.1.4/30"]},
    {"cidr": "0.0.0.0/0", "except": ["10.10.0.0/24"]},
    {"cidr": f"{OFFICE}/32"},
    {"cidr": "fd99::/16", "except": ["fd99:1::/64"]},
    {"cidr": f"{BRANCH6}/128"},
)
_whole_families = ({"cidr": "0.0.0.0/0"}, {"cidr": "::/0"})
# Whole ranges of the embedded cluster's pods and nodes: who is in them does not depend on
# which address of a range somebody got.
_cluster_blocks = (
    {"cidr": "100.64.0.0/16", "except": ["100.64.128.0/17"]},
    {"cidr": "100.64.128.0/17"},
    {"cidr": "fd64::/48", "except": ["fd64::/64"]},
    {"cidr": "100.66.0.2/32"},
    {"cidr": "100.66.0.0/24", "except": ["100.66.0.2/32"]},
)
_blocks = tuple(map(st.sampled_from, (_outside_blocks, _whole_families, _cluster_blocks)))

_peers = st.one_of(
    st.fixed_dictionaries({"podSelector": pod_selectors}),
    st.fixed_dictionaries({"namespaceSelector": namespace_selectors}),
    st.fixed_dictionaries(
        {"podSelector": pod_selectors, "namespaceSelector": namespace_selectors}
    ),
    *(st.fixed_dictionaries({"ipBlock": blocks}) for blocks in _blocks),
)

_policy_ports = st.one_of(
    _optional({"protocol": st.sampled_from(("TCP", "UDP", "SCTP"))}),
    st.fixed_dictionaries({"port": st.sampled_from(("web", "alt"))}),
    st.fixed_dictionaries(
        {"port": st.sampled_from((80, 81, "web", "nobody"))},
        optional={"protocol": st.sampled_from(("TCP", "UDP"))},
    ),
    st.fixed_dictionaries(
        {"port": st.sampled_from((79, 80, 81)), "endPort": st.sampled_from((81, 82, 9000))},
        optional={"protocol": st.sampled_from(("TCP", "UDP"))},
    ),
)


def _rules(peers_key: str) -> st.SearchStrategy[list[Object]]:
    """Mostly rules with peers: without, a rule tells little of selectors and blocks."""
    peers = st.lists(_peers, min_size=1, max_size=2)
    ports = st.lists(_policy_ports, min_size=1, max_size=2)
    rule = st.one_of(
        st.fixed_dictionaries({peers_key: peers}),
        st.fixed_dictionaries({peers_key: peers, "ports": ports}),
        st.fixed_dictionaries({"ports": ports}),
        _optional({peers_key: st.just([]), "ports": st.just([])}),
    )
    return st.lists(rule, min_size=1, max_size=2)


_ingress = {"ingress": _rules("from")}
_egress = {"egress": _rules("to")}


def _typed(
    types: list[str], sections: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Object]:
    return st.fixed_dictionaries(
        {"podSelector": pod_selectors, "policyTypes": st.just(types), **sections}
    )


_specs = st.one_of(
    st.fixed_dictionaries({"podSelector": pod_selectors, **_ingress}),
    st.fixed_dictionaries({"podSelector": pod_selectors, **_egress}),
    _typed(["Egress"], _egress),
    _typed(["Ingress", "Egress"], {**_ingress, **_egress}),
    _typed(["Egress"], {**_ingress, **_egress}),
    _typed(["Ingress"], {**_ingress, **_egress}),
    _typed(["Ingress", "Egress"], _ingress),
    st.fixed_dictionaries(
        {"podSelector": pod_selectors},
        optional={
            "policyTypes": st.sampled_from((["Ingress"], ["Egress"], ["Ingress", "Egress"]))
        },
    ),
)


@st.composite
def worlds(draw: st.DrawFn, most_pods: int = 5, most_policies: int = 4) -> State:
    """A topology of two or three namespaces, with policies; no two alike by chance."""
    topology = draw(_topologies(most_pods))
    homes = st.sampled_from([namespace.name for namespace in topology.namespaces])
    specs = draw(st.lists(st.tuples(homes, _specs), min_size=2, max_size=most_policies))
    policies = tuple(
        network_policy(spec, home, f"p{index}") for index, (home, spec) in enumerate(specs)
    )
    return replace(topology, policies=policies)


@functools.lru_cache(maxsize=512)
def facts(state: State) -> Facts:
    """What the oracle needs to know of the embedded cluster to rule on ipBlock."""
    addresses = allocate(with_implied(state))
    book: dict[PodRef | NodeRef, tuple[str, ...]] = dict(addresses.pods.items())
    book |= {NodeRef(index): ips for index, ips in addresses.nodes.items()}
    return Facts(
        features=frozenset({"ipblock-pod-ip", "ipblock-node-ip"}),
        addresses=book,
    )


# ------------------------------------------------------------------ probes


def probes(state: State) -> tuple[Probe, ...]:
    """Every pod, node and outside host to the pods, and every pod to the outside.

    All ports by IPv4 and one by IPv6; no pair is a pod with itself.
    """
    pods = [pod.ref for pod in state.pods]
    outside = [ExternalRef(host.name) for host in state.externals]
    ends: list[Source] = [*pods, *outside]
    pairs: list[tuple[Source, Host]] = [
        *((source, pod) for source in ends for pod in pods if source != pod),
        *((NodeRef(node), pod) for node in (1, 2) for pod in pods),
        *((pod, host) for pod in pods for host in outside),
    ]
    wires = [*((Family.V4, *wire) for wire in ASKED), (Family.V6, *ASKED[0])]
    return tuple(
        Probe(source, Destination(host, port, protocol), family)
        for source, host in pairs
        for family, port, protocol in wires
    )


# ------------------------------------------------------------------ reading guards


def passes(rules: tuple[PodRules, ...], source: str, destination: str, service: str) -> bool:
    """Read the rules as the emitted forward chain does; addresses, and ``80/TCP``."""
    for one in rules:
        own, other = destination, source
        if one.direction is Direction.EGRESS:
            own, other = source, destination
        if own in one.pod.ips and not _allowed(one, other, service):
            return False
    return True


@functools.cache
def _address(ip: str) -> AddressSet:
    return AddressSet.of([ip])


def _allowed(rules: PodRules, other: str, service: str) -> bool:
    """Go through the layers: in each the first clause that matches decides."""
    number, protocol = service.split("/")
    at = _address(other)
    for layer in rules.layers:
        action = next(
            (
                clause.action
                for clause in layer
                if (clause.peers is None or clause.peers & at)
                and clause.protocol in {None, protocol}
                and clause.first <= int(number) <= clause.last
            ),
            Action.PASS,
        )
        if action is not Action.PASS:
            return action is Action.ALLOW
    return True
