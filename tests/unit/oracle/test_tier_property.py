"""Tiers: the oracle against a second reading of the API, on random worlds; and faults in it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from harness import oracle
from harness.model import (
    Destination,
    Family,
    Host,
    Labels,
    NodePortRef,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    Service,
    ServicePort,
    ServiceRef,
    ServiceType,
    Source,
    State,
)
from tests.tier_worlds import tier_worlds
from tests.unit.oracle.naive import Someone
from tests.unit.oracle.naive_tiers import TierReading
from tests.worlds import ASKED, facts

pytestmark = pytest.mark.xdist_group("readings of tiers")  # The cases are made once.

CASES, SEED = 100, 3


@st.composite
def cases(draw: st.DrawFn) -> State:
    """A random world in which one pod may be on its node's network, with a Service."""
    world = draw(tier_worlds())
    on_host = draw(st.sampled_from((0, 0, 1)))
    pods = tuple(replace(p, host_network=i < on_host) for i, p in enumerate(world.pods))
    place = draw(st.sampled_from(pods)).namespace
    ports = (ServicePort(80, 80), ServicePort(8080, 81))
    service = Service(place, "s", Labels(), ports, ServiceType.NODE_PORT)
    return replace(world, pods=pods, services=(service,))


@functools.cache
def corpus() -> tuple[State, ...]:
    found: list[State] = []

    @seed(SEED)
    @settings(max_examples=CASES, deadline=None, database=None, phases=[Phase.generate])
    @given(cases())
    def collect(state: State) -> None:
        found.append(state)

    collect()
    return tuple(found)


def probes(state: State) -> Iterator[Probe]:
    pods = [pod.ref for pod in state.pods]
    service = state.services[0]
    hosts: list[Host] = [*pods, NodeRef(1), NodeRef(2)]
    sources: list[Source] = [*pods, NodeRef(1)]
    for source in sources:
        for host in hosts:
            for port, protocol in ASKED:
                yield Probe(source, Destination(host, port, protocol), Family.V4)
        via = ServiceRef(service.namespace, service.name)
        yield Probe(source, Destination(via, 80, ASKED[0][1]), Family.V4)
        node_port = NodePortRef(service.namespace, service.name, 1)
        yield Probe(source, Destination(node_port, 80, ASKED[0][1]), Family.V6)


RULINGS = {
    frozenset({True}): oracle.Ruling.ALLOWED,
    frozenset({False}): oracle.Ruling.DENIED,
    frozenset({True, False}): oracle.Ruling.UNDEFINED,
}


@functools.cache
def ruled(index: int) -> tuple[oracle.Ruling, ...]:
    state = corpus()[index]
    judge = oracle.Judge(state, facts(state))
    return tuple(judge.predict(probe).judgement.ruling for probe in probes(state))


def read(index: int, reading: type[TierReading]) -> Iterator[oracle.Ruling | None]:
    """What a reading says of every probe, lazily; None where nobody answers."""
    state = corpus()[index]
    second = reading(state, facts(state).addresses)
    for probe in probes(state):
        outcomes = second.outcomes(probe)
        yield RULINGS[outcomes] if outcomes else None


def differences(index: int, reading: type[TierReading]) -> Iterator[tuple[Probe, Any, Any]]:
    state = corpus()[index]
    for probe, said, naively in zip(
        probes(state), ruled(index), read(index, reading), strict=True
    ):
        if naively is not None and said is not naively:
            yield probe, said, naively


def test_the_oracle_agrees_with_the_naive_reading() -> None:
    for index, state in enumerate(corpus()):
        found = list(differences(index, TierReading))
        assert found == [], [m.json for m in state.policies]


def test_every_ruling_is_frequent() -> None:
    """A comparison of cells that are all allowed would prove nothing."""
    said = [ruling for index in range(len(corpus())) for ruling in ruled(index)]
    for ruling in oracle.Ruling:
        assert said.count(ruling) / len(said) > 0.01, ruling


# ------------------------------------------------------------------ faults in the naive reading


class PriorityReversed(TierReading):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.tiers = [{**spec, "priority": -spec["priority"]} for spec in self.tiers]


class PassIsAccept(TierReading):
    def choose(self, options: Any, about: Any) -> str:
        said = super().choose(options, about)
        return "Accept" if said == "Pass" else said


class FirstOfEqualDecides(TierReading):
    def choose(self, options: Any, about: Any) -> str:
        return str(options[0])


class BaselineBeforeNetworkPolicies(TierReading):
    def walk(
        self, pod: Pod, way: str, other: Someone, target: Someone, port: int, probe: Probe
    ) -> bool:
        said = self.tier("Baseline", pod, way, other, target, port, probe)
        if said == "Pass":
            return super().walk(pod, way, other, target, port, probe)
        admin = self.tier("Admin", pod, way, other, target, port, probe)
        return (said if admin == "Pass" else admin) == "Accept"


class DirectionIgnored(TierReading):
    def walk(
        self, pod: Pod, way: str, other: Someone, target: Someone, port: int, probe: Probe
    ) -> bool:
        selected = any(
            namespace == pod.namespace
            and self.selected(spec.get("podSelector") or {}, dict(pod.labels))
            for namespace, spec in self.documents
        )
        kept = self.tiers
        if selected:
            self.tiers = [spec for spec in kept if spec["tier"] == "Admin"]
        found = super().walk(pod, way, other, target, port, probe)
        self.tiers = kept
        return found


class NetworksNotPods(TierReading):
    def tier_peer(self, peer: Any, other: Someone, probe: Probe) -> bool:
        if "networks" in peer and other.pod is not None:
            return False
        return super().tier_peer(peer, other, probe)


class NodesMatchNothing(TierReading):
    def tier_peer(self, peer: Any, other: Someone, probe: Probe) -> bool:
        return "nodes" not in peer and super().tier_peer(peer, other, probe)


class NamedPortsOpen(TierReading):
    def tier_port(self, item: Any, target: Someone, port: int, probe: Probe) -> bool:
        named = "destinationNamedPort" in item
        return named or super().tier_port(item, target, port, probe)


class RangesWithoutEnd(TierReading):
    def tier_port(self, item: Any, target: Someone, port: int, probe: Probe) -> bool:
        ranges = [
            body["destinationPort"].get("range") for body in item.values() if "range" in str(body)
        ]
        ends = [found["end"] for found in ranges]
        return super().tier_port(item, target, port, probe) and port not in ends


class HostNetworkPodsArePeers(TierReading):
    def tier_peer(self, peer: Any, other: Someone, probe: Probe) -> bool:
        if other.pod is not None and "networks" not in peer and "nodes" not in peer:
            return self.pods_are(peer, other.pod)
        return super().tier_peer(peer, other, probe)


class NamespacesOfPodsIgnored(TierReading):
    def pods_are(self, peer: Any, pod: Pod) -> bool:
        if "pods" in peer:
            return self.selected(peer["pods"]["podSelector"], dict(pod.labels))
        return super().pods_are(peer, pod)


class HairpinIsExempt(TierReading):
    def attempts(self, probe: Probe, host_pods_are_pods: bool) -> Iterator[bool]:
        host = probe.destination.host
        if isinstance(host, ServiceRef) and isinstance(probe.source, PodRef):
            yield True
        yield from super().attempts(probe, host_pods_are_pods)


class LastRuleFirst(TierReading):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.tiers = [
            {**spec, **{way: spec[way][::-1] for way in ("ingress", "egress") if way in spec}}
            for spec in self.tiers
        ]


@pytest.mark.parametrize("reading", TierReading.__subclasses__(), ids=lambda one: one.__name__)
def test_a_fault_in_the_naive_reading_is_found(reading: type[TierReading]) -> None:
    assert any(any(differences(index, reading)) for index in range(len(corpus())))
