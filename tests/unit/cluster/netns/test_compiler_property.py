"""Random worlds: the compiler's rules against the oracle, without packets, and with defects."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import Phase, given, seed, settings

from harness.cluster.netns.addresses import Addresses, allocate, of_family, with_implied
from harness.cluster.netns.compiler.layers import pod_rules
from harness.cluster.netns.compiler.stages import STAGES, Stages
from harness.cluster.netns.defects import DEFECTS
from harness.model import ExternalRef, Family, Host, NodeRef, PodRef, Probe, Source, State
from harness.oracle import Judge, Ruling
from tests.tier_worlds import tier_worlds
from tests.worlds import facts, passes, probes, worlds

PROFILE = settings(deadline=None, derandomize=True, max_examples=60, print_blob=True)
IN_STAGES = {name for name, defect in DEFECTS.items() if defect.parts.stages != STAGES}
"""The rules of a pod show these; the others are found by packets."""
NOT_IN_RANDOM_WORLDS = {
    "lists-cut",
    "rule-ids-wrap",
    "named-tcp-only",
    "tier-rules-cut",
    "tier-name-of-first",
}
"""They need long lists, many policies, or names of ports that decide: scenarios find them."""


@dataclass(frozen=True)
class Laid:
    """A world with its addresses, and what each of its probes asks the rules of the pods.

    That is source, destination and port; None where a probe passes no forward hook.
    """

    implied: State
    addresses: Addresses
    asked: dict[Probe, tuple[str, str, str] | None]


@functools.lru_cache(maxsize=512)
def laid(state: State) -> Laid:
    """Give a world its addresses, once for all stages."""
    implied = with_implied(state)
    addresses = allocate(implied)

    def ip(end: Source | Host, family: Family) -> str:
        match end:
            case PodRef():
                found = addresses.pods[end]
            case NodeRef():
                found = addresses.nodes[end.index]
            case ExternalRef():
                found = addresses.externals[end.name]
            case _:
                raise AssertionError(end)
        one = of_family(found, family)
        assert one
        return one

    asked: dict[Probe, tuple[str, str, str] | None] = {}
    for probe in probes(state):
        source, destination = probe.source, probe.destination
        host = destination.host
        from_own_node = (
            isinstance(source, NodeRef)
            and isinstance(host, PodRef)
            and addresses.node_of[host] == source.index
        )
        here, there = (ip(end, probe.family) for end in (source, host))
        service = f"{destination.port}/{destination.protocol}"
        asked[probe] = None if from_own_node else (here, there, service)
    return Laid(implied, addresses, asked)


def compiled(stages: Stages, state: State) -> Iterator[tuple[Probe, bool]]:
    """What the rules of ``stages`` say of every probe."""
    world = laid(state)
    found = pod_rules(world.implied, world.addresses, stages)
    for probe, asked in world.asked.items():
        yield probe, asked is None or passes(found, *asked)


Rulings = dict[Probe, Ruling]


def rulings(state: State) -> Rulings:
    """What the oracle says, where it says anything."""
    judge = Judge(state, facts(state))
    every = {probe: judge.predict(probe).judgement.ruling for probe in probes(state)}
    return {probe: said for probe, said in every.items() if said is not Ruling.UNDEFINED}


def disagreements(stages: Stages, state: State, expected: Rulings) -> list[str]:
    return [
        f"{probe}: the oracle says {expected[probe].value}"
        for probe, passed in compiled(stages, state)
        if probe in expected and passed is not (expected[probe] is Ruling.ALLOWED)
    ]


@PROFILE
@given(worlds())
def test_the_compiler_agrees_with_the_oracle(world: State) -> None:
    assert disagreements(STAGES, world, rulings(world)) == []


@PROFILE
@given(tier_worlds())
def test_the_compiler_agrees_with_the_oracle_on_tiers(world: State) -> None:
    assert disagreements(STAGES, world, rulings(world)) == []


@pytest.fixture(scope="module")
def corpus() -> list[tuple[State, Rulings]]:
    """Worlds enough to meet every defect, with the oracle's rulings."""
    found: list[tuple[State, Rulings]] = []

    def collect(world: State) -> None:
        found.append((world, rulings(world)))

    for made, count in ((worlds(), 200), (tier_worlds(), 150)):
        generated = settings(
            PROFILE, derandomize=False, database=None, max_examples=count, phases=[Phase.generate]
        )
        seed(1)(generated(given(made)(collect)))()
    return found


def test_the_oracle_rules_on_nearly_every_probe(corpus: list[tuple[State, Rulings]]) -> None:
    """And on both sides: a comparison of undefined or one-sided cells would prove nothing."""
    asked = sum(len(probes(world)) for world, _ in corpus)
    said = Counter(ruling for _, expected in corpus for ruling in expected.values())
    assert said.total() / asked > 0.98
    assert min(said[Ruling.ALLOWED], said[Ruling.DENIED]) / asked > 0.15, said


@pytest.mark.parametrize("defect", sorted(IN_STAGES - NOT_IN_RANDOM_WORLDS))
def test_a_defect_of_the_compiler_is_found(
    defect: str, corpus: list[tuple[State, Rulings]]
) -> None:
    """In worlds in which the compiler without it agrees with the oracle."""
    caught = next(
        (
            (world, said)
            for world, said in corpus
            if disagreements(DEFECTS[defect].parts.stages, world, said)
        ),
        None,
    )
    assert caught is not None, f"none of {len(corpus)} worlds shows {defect}"
    assert disagreements(STAGES, *caught) == []
