"""The canary against scripted clusters: what it asks, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness import canary
from harness.errors import ClusterError, DeniesOtherwise, NoNetwork, NotEnforcing
from harness.model import PodRef, Probe, ProbeError, State, Verdict
from harness.settle import Timing
from tests.fakes import EVERYTHING, FakeCluster, allows_all, answers_nothing, denies_all

QUICK = Timing(settle_s=0.03, pause_s=0.001)


def enforcing(state: State, asked: Probe) -> Verdict:
    return Verdict.TIMEOUT if state.policies else Verdict.ALLOWED


def test_the_canary_probes_on_one_node_and_across_nodes() -> None:
    cluster = FakeCluster(enforcing)
    canary.check(cluster, QUICK)
    for state in cluster.synced:
        assert {pod.name: pod.node for pod in state.pods} == {"client": 1, "near": 1, "far": 2}
    assert {str(p) for p in cluster.rounds[-1]} == {
        "canary/client -> canary/near:8080",
        "canary/client -> canary/far:8080",
    }


@pytest.mark.parametrize("leaks", ["near", "far"])
def test_the_canary_refuses_a_cluster_that_enforces_on_one_node_alone(leaks: str) -> None:
    def leaking(state: State, asked: Probe) -> Verdict:
        open_ = asked.destination.host == PodRef("canary", leaks)
        return Verdict.ALLOWED if open_ else enforcing(state, asked)

    with pytest.raises(NotEnforcing) as refused:
        canary.check(FakeCluster(leaking), QUICK)
    assert str(refused.value) == (
        "cluster fake enforces NetworkPolicy only in part: a policy that denies all ingress was "
        "accepted, and of 2 denied pairs 1 still connect: "
        f"canary/client -> canary/{leaks}:8080\n"
        "hint: see whether the CNI's agent runs on the nodes of these pods"
    )


def test_the_canary_refuses_a_cluster_that_enforces_nothing() -> None:
    with pytest.raises(NotEnforcing) as refused:
        canary.check(FakeCluster(allows_all), QUICK)
    assert str(refused.value) == (
        "cluster fake does not enforce NetworkPolicy: a policy that denies all ingress was "
        "accepted, and canary/client -> canary/near:8080, canary/client -> canary/far:8080 still "
        "connect\n"
        "hint: use a CNI that implements NetworkPolicy (Calico, Cilium, kube-router, ...); "
        "flannel and kubenet accept policies and ignore them"
    )


def test_the_canary_does_not_take_a_refusal_for_a_connection() -> None:
    def rejecting(state: State, asked: Probe) -> Verdict:
        return Verdict.REFUSED if state.policies else Verdict.ALLOWED

    with pytest.raises(DeniesOtherwise) as refused:
        canary.check(FakeCluster(rejecting), QUICK)
    assert str(refused.value) == (
        "cluster fake does not deny by TIMEOUT: under a policy that denies all ingress, "
        "canary/client -> canary/near:8080 gave REFUSED\n"
        "hint: if its CNI denies by rejecting, select its profile, for example --cni=kube-router "
        "(with pytest --netpol-cni)"
    )
    known = replace(EVERYTHING, denies_by="reject")
    canary.check(FakeCluster(rejecting, known), QUICK)


def test_the_canary_tells_a_broken_network_from_an_enforcing_one() -> None:
    with pytest.raises(NoNetwork) as broken:
        canary.check(FakeCluster(denies_all), QUICK)
    assert str(broken.value) == (
        "pods cannot reach each other on fake without any policy: canary/client -> "
        "canary/near:8080 TIMEOUT, canary/client -> canary/far:8080 TIMEOUT\n"
        "a fake cluster, asked about 1 probes\n"
        "hint: the cluster's network does not work, or something else denies this, such as a "
        "cluster-wide policy or a policy that is put into each new namespace; "
        "see `kubectl get pods -A`"
    )


def test_the_canary_takes_no_silence_for_enforcement() -> None:
    def mute(state: State, asked: Probe) -> Verdict | ProbeError:
        return ProbeError("exec failed") if state.policies else Verdict.ALLOWED

    with pytest.raises(ClusterError, match="no verdict"):
        canary.check(FakeCluster(mute), QUICK)
    with pytest.raises(ClusterError, match="no verdict on canary/client -> canary/near:8080"):
        canary.check(FakeCluster(answers_nothing), QUICK)
