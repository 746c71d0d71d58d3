"""The oracle against a second reading of the API, on random worlds; and faults in either.

Where every address is known the two must agree exactly: what the naive reading finds always
connected is allowed, never connected denied, and what permitted readings differ on undefined.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.abc
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from harness import oracle
from harness.model import (
    ContainerPort,
    Destination,
    ExternalRef,
    ExternalTrafficPolicy,
    Family,
    Host,
    Labels,
    Namespace,
    NodePortRef,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    Protocol,
    Service,
    ServicePort,
    ServiceRef,
    ServiceType,
    State,
)
from tests.unit.oracle import naive
from tests.worlds import ASKED, EXTERNALS, facts, network_policy, worlds

SERVICE_PORTS = (
    ServicePort(80, 80),
    ServicePort(8080, 81),
    ServicePort(9090, "web"),
    ServicePort(80, "alt", Protocol.UDP),
)
SERVICE_ASKED = tuple((port.number, port.protocol) for port in SERVICE_PORTS)


@dataclass(frozen=True)
class Case:
    """A world and some of its probes: those of one source and family."""

    state: State
    source: PodRef | NodeRef | ExternalRef
    family: Family


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A random world in which some pods are on the node's network and Services lead to pods."""
    world = draw(worlds(most_pods=3, most_policies=2))
    on_host = draw(st.sampled_from((0, 0, 1)))
    pods = tuple(replace(p, host_network=i < on_host) for i, p in enumerate(world.pods))
    place = draw(st.sampled_from(pods)).namespace
    selector = Labels(draw(st.sampled_from(({}, {"app": "a"}, {"tier": "b"}))))
    policy = draw(st.sampled_from(ExternalTrafficPolicy))
    service = Service(place, "s", selector, SERVICE_PORTS, ServiceType.NODE_PORT, policy)
    state = replace(world, pods=pods, services=(service,))
    return Case(state, draw(st.sampled_from(ends(state))), draw(st.sampled_from(Family)))


def ends(state: State) -> list[PodRef | NodeRef | ExternalRef]:
    pods = [pod.ref for pod in state.pods]
    outside = [ExternalRef(host.name) for host in state.externals]
    return [*pods, NodeRef(1), NodeRef(2), *outside]


def probes(case: Case) -> Iterator[Probe]:
    namespace = case.state.services[0].namespace
    direct = [(end, asked) for end in ends(case.state) for asked in ASKED]
    hosts: list[Host] = [NodePortRef(namespace, "s", 1), NodePortRef(namespace, "s", 2)]
    if not isinstance(case.source, ExternalRef):
        hosts.append(ServiceRef(namespace, "s"))
    translated = [(host, asked) for host in hosts for asked in SERVICE_ASKED]
    for host, (port, protocol) in (*direct, *translated):
        yield Probe(case.source, Destination(host, port, protocol), case.family)


RULINGS = {
    frozenset({True}): "allowed",
    frozenset({False}): "denied",
    frozenset({True, False}): "undefined",
}


def ruled(case: Case, judging: ModuleType = oracle) -> Iterator[str]:
    """The oracle's ruling of every probe, lazily."""
    judge = judging.Judge(case.state, facts(case.state))
    return (judge.predict(probe).judgement.ruling.value for probe in probes(case))


def read(case: Case, reading: type[naive.Reading] = naive.Reading) -> Iterator[str | None]:
    """What the naive reading says of every probe, lazily; None where it says nothing."""
    second = reading(case.state, facts(case.state).addresses)
    for probe in probes(case):
        outcomes = second.outcomes(probe)
        known = outcomes and not bare_local_node(second, probe)
        yield RULINGS[outcomes] if known else None


def differ(rulings: Iterable[str], naively: Iterable[str | None]) -> bool:
    pairs = zip(rulings, naively, strict=True)
    return any(word is not None and ruling != word for ruling, word in pairs)


def bare_local_node(reading: naive.Reading, probe: Probe) -> bool:
    """A Local NodePort, from inside, through a node without an endpoint: kube-proxy's matter."""
    host = probe.destination.host
    if not isinstance(host, NodePortRef) or isinstance(probe.source, ExternalRef):
        return False
    endpoints = reading.endpoints(host, probe)
    return reading.is_local(host) and all(pod.node != host.node for pod, _ in endpoints)


CASES, SEED = 250, 1


# What random policies rarely ask in a way that decides: one rule for each.
RARE: tuple[dict[str, Any], ...] = (
    {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "n2"}}}]},
    {"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "a"}}}]},
    {"from": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}]},
    {"from": [{"ipBlock": {"cidr": "10.10.0.0/16", "except": ["10.10.1.0/24"]}}]},
    {"ports": [{"port": 80, "endPort": 81}]},
)


def rare() -> Iterator[Case]:
    """A case for each of RARE and each source: everybody is isolated for ingress."""
    ports = tuple(ContainerPort(port, protocol) for port, protocol in ASKED)
    labels: dict[tuple[str, str], dict[str, str]] = {
        ("n1", "a"): {"app": "a"},
        ("n1", "b"): {},
        ("n2", "a"): {"app": "b"},
        ("n2", "b"): {"tier": "a"},
    }
    pods = tuple(
        Pod(namespace, name, Labels(found), ports, node=2 - index % 2)
        for index, ((namespace, name), found) in enumerate(labels.items())
    )
    namespaces = (Namespace("n1"), Namespace("n2", Labels({"team": "a"})))
    service = Service("n1", "s", Labels(), SERVICE_PORTS, ServiceType.NODE_PORT)
    for rule in RARE:
        policy = network_policy({"podSelector": {}, "ingress": [rule]}, "n1", "p")
        state = State("rare", namespaces, pods, (service,), EXTERNALS, policies=(policy,))
        yield from (Case(state, source, Family.V4) for source in ends(state))


@functools.cache
def corpus() -> tuple[Case, ...]:
    """The cases, made once: making them is most of the work."""
    return (*rare(), *made(SEED, CASES))


def made(number: int, count: int) -> list[Case]:
    """Return cases that depend on the number alone, not on the text of this file."""
    found: list[Case] = []

    @seed(number)
    @settings(max_examples=count, deadline=None, database=None, phases=[Phase.generate])
    @given(cases())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


@functools.cache
def ruled_right(index: int) -> tuple[str, ...]:
    """What the oracle rules on a case of the corpus."""
    return tuple(ruled(corpus()[index]))


@functools.cache
def read_right(index: int) -> tuple[str | None, ...]:
    """What the naive reading says of a case of the corpus."""
    return tuple(read(corpus()[index]))


def test_the_oracle_agrees_with_the_naive_reading() -> None:
    for index, case in enumerate(corpus()):
        found = zip(probes(case), ruled_right(index), read_right(index), strict=True)
        assert [item for item in found if item[2] not in {item[1], None}] == []


def test_what_the_oracle_rules_without_facts_holds_with_them() -> None:
    undefined = oracle.Ruling.UNDEFINED
    for index, case in enumerate(corpus()):
        blind = oracle.Judge(case.state)
        for probe, seeing in zip(probes(case), ruled_right(index), strict=True):
            ruling = blind.predict(probe).judgement.ruling
            assert ruling in {undefined, oracle.Ruling(seeing)}, probe


# ------------------------------------------------------------------ faults in the naive reading


class TypesFromSections(naive.Reading):
    def types(self, spec: dict[str, Any]) -> list[str]:
        return [word for word in ("Ingress", "Egress") if spec.get(word.lower())]


class EmptyPeersDeny(naive.Reading):
    def peer_listed(
        self,
        namespace: str,
        peers: list[dict[str, Any]] | None,
        other: naive.Someone,
        probe: Probe,
    ) -> bool:
        return bool(peers) and super().peer_listed(namespace, peers, other, probe)


class EmptyPortsDeny(naive.Reading):
    def port_listed(
        self, ports: list[dict[str, Any]] | None, target: naive.Someone, port: int, probe: Probe
    ) -> bool:
        return bool(ports) and super().port_listed(ports, target, port, probe)


class PeersOfAllNamespaces(naive.Reading):
    def peer_is(
        self, namespace: str, peer: dict[str, Any], other: naive.Someone, probe: Probe
    ) -> bool:
        home = other.pod.namespace if other.pod else namespace
        return super().peer_is(home, peer, other, probe)


class SelectorsOrEd(naive.Reading):
    def peer_is(
        self, namespace: str, peer: dict[str, Any], other: naive.Someone, probe: Probe
    ) -> bool:
        return any(
            super(SelectorsOrEd, self).peer_is(namespace, {key: value}, other, probe)
            for key, value in peer.items()
        )


class NoExcept(naive.Reading):
    def in_block(self, block: dict[str, Any], other: naive.Someone, probe: Probe) -> bool:
        return super().in_block({"cidr": block["cidr"]}, other, probe)


class NoOwnNode(naive.Reading):
    def is_own_node(self, pod: Pod, other: naive.Someone) -> bool:
        return False


class EveryNode(naive.Reading):
    def is_own_node(self, pod: Pod, other: naive.Someone) -> bool:
        return other.node is not None


class ProtocolIgnored(naive.Reading):
    def port_is(
        self, item: dict[str, Any], target: naive.Someone, port: int, probe: Probe
    ) -> bool:
        same = {**item, "protocol": probe.destination.protocol.value}
        return super().port_is(same, target, port, probe)


class NoEndPort(naive.Reading):
    def port_is(
        self, item: dict[str, Any], target: naive.Someone, port: int, probe: Probe
    ) -> bool:
        single = {key: value for key, value in item.items() if key != "endPort"}
        return super().port_is(single, target, port, probe)


class NamedPortsOpen(naive.Reading):
    def port_is(
        self, item: dict[str, Any], target: naive.Someone, port: int, probe: Probe
    ) -> bool:
        return isinstance(item.get("port"), str) or super().port_is(item, target, port, probe)


class OneEndIsEnough(naive.Reading):
    def connects(
        self, source: naive.Someone, target: naive.Someone, port: int, probe: Probe
    ) -> bool:
        return self.leaves(source, target, port, probe) or self.enters(source, target, port, probe)


class NotInNeedsTheKey(naive.Reading):
    def expression(self, term: dict[str, Any], labels: dict[str, str]) -> bool:
        return term["operator"] != "NotIn" and super().expression(term, labels)


class ExistsByValue(naive.Reading):
    def expression(self, term: dict[str, Any], labels: dict[str, str]) -> bool:
        return term["operator"] == "Exists" or super().expression(term, labels)


class ExpressionsIgnored(naive.Reading):
    def selected(self, selector: dict[str, Any], labels: dict[str, str]) -> bool:
        return super().selected({"matchLabels": selector.get("matchLabels")}, labels)


class NoNameLabel(naive.Reading):
    def labels_of(self, namespace: str) -> dict[str, str]:
        found = self.state.namespace(namespace)
        assert found
        return dict(found.labels)


class FirstPolicyOnly(naive.Reading):
    def rules(self, pod: Pod, direction: str) -> list[tuple[str, dict[str, Any]]] | None:
        found = super().rules(pod, direction)
        return found[:1] if found else found


FAULTY_READINGS = naive.Reading.__subclasses__()


def test_the_faulty_readings_are_there() -> None:
    assert len(FAULTY_READINGS) == 17


def tells_reading(index: int, reading: type[naive.Reading]) -> bool:
    """Whether a case tells the oracle from this reading."""
    return differ(ruled_right(index), read(corpus()[index], reading))


def tells_oracle(index: int, judging: ModuleType) -> bool:
    """Whether a case tells this oracle from the naive reading."""
    return differ(ruled(corpus()[index], judging), read_right(index))


@pytest.mark.parametrize("reading", FAULTY_READINGS, ids=lambda reading: reading.__name__)
def test_a_fault_in_the_naive_reading_is_found(reading: type[naive.Reading]) -> None:
    assert any(tells_reading(index, reading) for index in range(len(corpus())))


# ------------------------------------------------------------------ faults in the oracle

MUTATIONS = {
    "any requirement": ("return all(_holds(", "return any(_holds("),
    "NotIn by presence": (
        "return labels.get(term.key) not in term.values",
        "return labels.get(term.key, term.values[0]) not in term.values",
    ),
    "Exists always": ("return term.key in labels", "return True"),
    "DoesNotExist never": ("return term.key not in labels", "return False"),
    "one end is enough": ("if Ruling.DENIED in rulings:", "if set(rulings) == {Ruling.DENIED}:"),
    "isolated by all": ("                and direction in policy.policy_types\n", ""),
    "isolated everywhere": ("if policy.namespace == pod.namespace\n", "if True\n"),
    "nobody is isolated": ("(own_node, *rules, isolated)", "(own_node, *rules)"),
    "every node exempt": ("peer.node == subject.pod.node:", "True:"),
    "no node exempt": ("peer.node == subject.pod.node:", "False:"),
    "peer or port": ("all_of((by_peer.value, by_port.value))", "any_of((by_peer.value, False))"),
    "selectors reach the world": (
        'False, f"{peer}, but {party.name} is not a pod',
        'True, f"{peer}, but {party.name} is not a pod',
    ),
    "podSelector of all namespaces": ("pod.namespace != home:", "False:"),
    "namespaceSelector ignored": ("not selects(selector, labels)", "False"),
    "podSelector beside namespaceSelector ignored": (
        "if peer.pod_selector is not None and not",
        "if selector is None and peer.pod_selector is not None and not",
    ),
    "except ignored": ("for cidr in block.excepts)", "for cidr in ())"),
    "families mixed": (
        "    if network.version != family:\n        return False\n",
        "",
    ),
    "empty list admits nobody": (
        "return Match(True, unrestricted)",
        "return Match(False, unrestricted)",
    ),
    "protocol ignored": ("if port.protocol is not asked.protocol:", "if False:"),
    "endPort excluded": ("port.port <= asked.number <= last", "port.port <= asked.number < last"),
    "endPort ignored": ("port.port if port.end_port is None else port.end_port", "port.port"),
    "named port on the source": (
        "pod = flow.destination.pod\n",
        "pod = flow.source.pod\n",
    ),
    "named port of any protocol": (" and item.protocol is port.protocol", ""),
    "hostNetwork pods are nodes": ("host_pods is HostPods.LIKE_NODES", "True"),
    "hostNetwork pods are pods": ("host_pods is HostPods.LIKE_NODES", "False"),
    "hairpin is exempt": (
        'self.both_ends(self.policies, flow, flow, itself)',
        "itself",
    ),
    "node ports keep the source": ("in (origin, via)", "in (origin,)"),
    "Service port before translation": (
        "self.through_service(source, pod, port)",
        "self.through_service(source, pod, self.port)",
    ),
    "itself denied": ("source.pod == destination.pod:", "False:"),
    "peers kept without their family": (
        "key = (ends(self._direction, flow)[1], flow.port.family)",
        "key = (ends(self._direction, flow)[1], Family.V4)",
    ),
    "ports kept without their end": (
        "found = self._ports.get(key)",
        "found = next(iter(self._ports.values()), None)",
    ),
    "layers kept without their direction": (
        "key = (direction, pod.ref)\n        if key not in self._layers",
        "key = (Direction.INGRESS, pod.ref)\n        if key not in self._layers",
    ),
}  # fmt: skip


@functools.cache
def _code(text: str, name: str) -> CodeType:
    """Compile the text of a module; a copy of the oracle changes only one."""
    return compile(text, name, "exec")


class Copy(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a copy of the oracle, as ``oracle_copy``, with one change in its text."""

    NAME = "oracle_copy"

    def __init__(self, old: str, new: str) -> None:
        folder = Path(oracle.__file__).parent
        self.texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
        count = sum(text.count(old) for text in self.texts.values())
        assert count == 1, f"{old!r} stands {count} times in the oracle"
        self.texts = {
            name: text.replace(old, new).replace("harness.oracle", self.NAME)
            for name, text in self.texts.items()
        }

    def find_spec(
        self, fullname: str, path: Any, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package != self.NAME:
            return None
        return ModuleSpec(fullname, self, is_package=not name)

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.partition(".")[2] or "__init__"
        exec(_code(self.texts[name], module.__name__), module.__dict__)  # noqa: S102


@contextlib.contextmanager
def changed(old: str, new: str) -> Iterator[ModuleType]:
    """The oracle with one change in its text."""
    copy = Copy(old, new)
    sys.meta_path.insert(0, copy)
    try:
        yield importlib.import_module(Copy.NAME)
    finally:
        sys.meta_path.remove(copy)
        for name in [name for name in sys.modules if name.partition(".")[0] == Copy.NAME]:
            del sys.modules[name]


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_fault_in_the_oracle_is_found(name: str) -> None:
    with changed(*MUTATIONS[name]) as copy:
        assert any(tells_oracle(index, copy) for index in range(len(corpus())))


def test_the_hunt_finds_nothing_where_nothing_is_wrong() -> None:
    with changed("NO_FACTS = Facts()\n", "NO_FACTS = Facts()\n") as copy:
        assert copy.Judge is not oracle.Judge
        assert not any(tells_oracle(index, copy) for index in range(100))
