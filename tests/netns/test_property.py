"""Random worlds with real packets: the embedded cluster's verdicts against the oracle's rulings.

The compiler and the oracle share parsed policies and no decision, so that a mistake of either
shows as a disagreement. ``tests/unit/cluster/netns/test_compiler_property.py`` does the same
faster, without kernel, hooks and addresses.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from harness.cluster.netns import NetnsCluster
from harness.model import Family, Probe, ProbeError, State, Verdict
from harness.oracle import Judge, Ruling
from tests.worlds import facts, probes, worlds

PROFILE = settings(
    deadline=None,
    derandomize=True,
    print_blob=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
TIMEOUT_S = 0.3
TRIES = 3


def rulings(state: State, cluster: NetnsCluster) -> dict[Probe, Ruling]:
    """What the oracle says of every probe that this cluster can make."""
    judge = Judge(state, facts(state))
    families = set(Family) if "ipv6" in cluster.capabilities.features else {Family.V4}
    return {
        probe: judge.predict(probe).judgement.ruling
        for probe in probes(state)
        if probe.family in families
    }


def disagreements(cluster: NetnsCluster, state: State) -> list[str]:
    """Probes with another verdict than the ruling; every port of every end is served.

    A denied probe that connects is wrong at once. An allowed one that does not, or one
    without a verdict, is asked again: a starved machine loses packets. It never becomes
    right by that: it must connect.
    """
    cluster.sync(state)
    expected = {
        probe: Verdict.ALLOWED if ruling is Ruling.ALLOWED else Verdict.TIMEOUT
        for probe, ruling in rulings(state, cluster).items()
        if ruling is not Ruling.UNDEFINED
    }
    wrong = []
    asked: list[Probe] = sorted(expected, key=lambda p: expected[p] is Verdict.ALLOWED)
    for left in reversed(range(TRIES)):
        again = []
        for one in cluster.probe(asked):
            if one.outcome is expected[one.probe]:
                continue
            if left and one.outcome is not Verdict.ALLOWED:
                again.append(one.probe)
            elif isinstance(one.outcome, ProbeError):
                pytest.fail(f"{one.probe}: {one.outcome}")
            else:
                wrong.append(f"{one.probe}: expected {expected[one.probe]}, got {one.outcome}")
        if not (asked := again):
            break
    return wrong


@PROFILE
@given(world=worlds())
def test_the_embedded_cluster_agrees_with_the_oracle(cluster: NetnsCluster, world: State) -> None:
    assert disagreements(cluster, world) == []


@pytest.mark.parametrize(
    "defect", ["no-enforcement", "ingress-only-compiler", "first-accept-wins", "labels-any"]
)
def test_a_defect_shows_in_packets(available: None, defect: str) -> None:
    """Those of the emitted text, which only packets show, and one that sits deeper."""
    with NetnsCluster(TIMEOUT_S, defect=defect) as cluster:
        find(
            worlds(),
            lambda world: bool(disagreements(cluster, world)),
            settings=settings(PROFILE, max_examples=80, phases=[Phase.generate]),
        )
