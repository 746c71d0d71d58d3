"""The gate against scripted clusters: what it tries, and what closes it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness import gate, oracle
from harness.cluster import Capabilities, KnownCell
from harness.errors import ClusterError, DeniesOtherwise, NoNetwork, NotEnforcing
from harness.gate import Check, Ground
from harness.model import Family, Labels, Pod, PodRef, Probe, ProbeError, State, Verdict
from harness.settle import Timing
from tests.fakes import (
    EVERYTHING,
    Answer,
    FakeCluster,
    allows_all,
    answers_nothing,
    by_the_book,
    denies_all,
    enforces_nothing,
)

QUICK = Timing(settle_s=0.03, pause_s=0.001)
V4 = replace(EVERYTHING, features=EVERYTHING.features - {"ipv6"})


def findings(
    answer: Answer, has: Capabilities = V4, ground: Ground | None = None
) -> list[gate.Finding]:
    return list(gate.check(FakeCluster(answer, has), ground or Ground(), QUICK))


def fault(answer: Answer, has: Capabilities = V4) -> tuple[Check, ClusterError]:
    """The check that closed the gate, which must be the last one, and why."""
    found = findings(answer, has)
    *passed, last = found
    assert [item.fault for item in passed] == [None] * len(passed)
    assert last.fault is not None
    return last.check, last.fault


def test_a_cluster_that_enforces_passes_each_check() -> None:
    found = findings(by_the_book)
    assert [(item.check, item.fault) for item in found] == [
        (Check.CONTROL, None),
        (Check.CANARY, None),
        (Check.DENY, None),
    ]
    for item in found:
        assert item.result is not None
        assert len(item.result.reachability.results) == 8


@pytest.mark.parametrize("nodes", [1, 2, 3])
@pytest.mark.parametrize("has", [V4, EVERYTHING], ids=["IPv4", "both families"])
def test_the_tables_are_what_the_policies_mean(nodes: int, has: Capabilities) -> None:
    scenario = gate.scenario(Ground(), replace(has, nodes=nodes))
    for step in scenario.steps:
        judge = oracle.Judge(step.state)
        for cell in step.table.cells:
            assert judge.predict(cell.probe).verdicts == {cell.expected}, cell.probe


def test_each_node_is_tried_in_itself_and_across_nodes_in_both_directions() -> None:
    scenario = gate.scenario(Ground(), replace(EVERYTHING, nodes=3))
    assert {pod.name: pod.node for pod in scenario.steps[0].state.pods} == {
        "pod-1": 1, "pod-2": 2, "pod-3": 3, "peer-1": 1, "peer-2": 2,
    }  # fmt: skip
    pairs = {
        (str(cell.probe.source), str(cell.probe.destination), cell.probe.family)
        for cell in scenario.steps[2].table.cells
    }
    inside = [f"inside/pod-{node}" for node in (1, 2, 3)]
    outside = [f"outside/peer-{node}" for node in (1, 2)]
    wanted = {
        pair
        for one in inside
        for other in outside
        for family in Family
        for pair in ((one, f"{other}:8080", family), (other, f"{one}:8080", family))
    }
    assert pairs == wanted
    assert all(cell.expected is Verdict.TIMEOUT for cell in scenario.steps[2].table.cells)


def test_the_isolated_pods_are_like_those_that_shall_be_let_in() -> None:
    ground = Ground(Labels({"tenant": "x"}), Labels({"sandbox": "yes"}), nodes=1)
    cluster = FakeCluster(by_the_book, V4)
    assert all(item.fault is None for item in gate.check(cluster, ground, QUICK))
    for state in cluster.synced:
        assert {item.name: item.labels for item in state.namespaces} == {
            "inside": Labels({"tenant": "x"}),
            "outside": Labels(),
        }
        assert [pod for pod in state.pods if pod.namespace == "inside"] == [
            Pod("inside", "pod-1", Labels({"sandbox": "yes"}), state.pods[0].ports, node=1)
        ]
    assert gate.covered(ground, V4) == "1 of 2 nodes, IPv4"
    assert gate.covered(Ground(), EVERYTHING) == "2 of 2 nodes, IPv4 and IPv6"


def test_a_cluster_that_enforces_nothing_closes_the_gate() -> None:
    check, why = fault(enforces_nothing)
    assert check is Check.CANARY
    assert isinstance(why, NotEnforcing)
    assert str(why) == (
        "cluster fake does not enforce NetworkPolicy: a policy that denies all ingress was "
        "accepted, and outside/peer-1 -> inside/pod-1:8080, outside/peer-1 -> inside/pod-2:8080, "
        "outside/peer-2 -> inside/pod-1:8080, outside/peer-2 -> inside/pod-2:8080 still connect\n"
        "not enforced on: node/1, node/2\n"
        "hint: use a CNI that implements NetworkPolicy (Calico, Cilium, kube-router, ...); "
        "flannel and kubenet accept policies and ignore them"
    )
    assert fault(allows_all)[0] is Check.CANARY


def test_the_node_that_does_not_enforce_egress_is_named() -> None:
    def leaking(state: State, asked: Probe) -> Verdict | ProbeError:
        if asked.source == PodRef("inside", "pod-2"):
            return Verdict.ALLOWED
        return by_the_book(state, asked)

    check, why = fault(leaking)
    assert check is Check.DENY
    assert isinstance(why, NotEnforcing)
    assert str(why) == (
        "cluster fake enforces NetworkPolicy only in part: a policy that denies all ingress and "
        "all egress was accepted, and of 8 denied pairs 2 still connect: inside/pod-2 -> "
        "outside/peer-1:8080, inside/pod-2 -> outside/peer-2:8080\n"
        "not enforced on: node/2\n"
        "hint: see whether the CNI's agent runs on the nodes of these pods"
    )


def test_one_family_that_leaks_closes_the_gate() -> None:
    def leaking(state: State, asked: Probe) -> Verdict | ProbeError:
        return Verdict.ALLOWED if asked.family is Family.V6 else by_the_book(state, asked)

    assert isinstance(fault(leaking, EVERYTHING)[1], NotEnforcing)


def test_a_network_that_is_dead_closes_the_gate() -> None:
    check, why = fault(denies_all)
    assert check is Check.CONTROL
    assert isinstance(why, NoNetwork)


def test_a_network_that_dies_under_the_policy_is_no_denial() -> None:
    def dying(state: State, asked: Probe) -> Verdict:
        return Verdict.TIMEOUT if state.policies else Verdict.ALLOWED

    check, why = fault(dying)
    assert check is Check.CANARY
    assert isinstance(why, NoNetwork)
    assert str(why) == (
        "under a policy that denies all ingress, inside/pod-1 -> outside/peer-1:8080 gave TIMEOUT "
        "on fake, although the policy does not deny it\n"
        "hint: the network broke meanwhile, or the CNI denies too much"
    )


def test_a_refusal_is_a_denial_only_with_a_profile_that_says_so() -> None:
    def rejecting(state: State, asked: Probe) -> Verdict | ProbeError:
        verdict = by_the_book(state, asked)
        return Verdict.REFUSED if verdict is Verdict.TIMEOUT else verdict

    check, why = fault(rejecting)
    assert check is Check.CANARY
    assert isinstance(why, DeniesOtherwise)
    assert findings(rejecting, replace(V4, denies_by="reject"))[-1].fault is None


@pytest.mark.parametrize("from_policies", [0, 1, 2])
def test_silence_closes_the_gate(from_policies: int) -> None:
    def mute(state: State, asked: Probe) -> Verdict | ProbeError:
        if len(state.policies) < from_policies:
            return by_the_book(state, asked)
        return answers_nothing(state, asked)

    check, why = fault(mute)
    assert check is [*Check][from_policies]
    assert not isinstance(why, NotEnforcing | NoNetwork | DeniesOtherwise)
    assert "no verdict" in str(why)


def test_a_limitation_of_the_profile_is_no_excuse() -> None:
    probe = "outside/peer-1 -> inside/pod-1:8080"
    known = KnownCell("gate", "canary", probe, Verdict.ALLOWED, "it leaks (a/b#1)")

    def leaking(state: State, asked: Probe) -> Verdict | ProbeError:
        return Verdict.ALLOWED if str(asked) == probe else by_the_book(state, asked)

    check, why = fault(leaking, replace(V4, known_cells=(known,)))
    assert check is Check.CANARY
    assert isinstance(why, NotEnforcing)


def test_a_limitation_that_changes_a_denial_closes_the_gate_too() -> None:
    probe = "outside/peer-1 -> inside/pod-1:8080"
    known = KnownCell("gate", "canary", probe, Verdict.REFUSED, "it refuses (a/b#1)")

    def refusing(state: State, asked: Probe) -> Verdict | ProbeError:
        is_denied = by_the_book(state, asked) is Verdict.TIMEOUT
        return Verdict.REFUSED if is_denied and str(asked) == probe else by_the_book(state, asked)

    check, why = fault(refusing, replace(V4, known_cells=(known,)))
    assert check is Check.CANARY
    assert str(why) == (
        f"{probe} is limited, and not proven: it refuses (a/b#1)\n"
        "hint: use a profile without limitations of the scenario `gate`"
    )


def test_a_cluster_that_fails_closes_the_gate() -> None:
    class Failing(FakeCluster):
        def sync(self, state: State) -> None:
            if state.policies:
                raise ClusterError("the API server is gone")
            super().sync(state)

    found = list(gate.check(Failing(by_the_book, V4), Ground(), QUICK))
    assert [(item.check, str(item.fault)) for item in found] == [
        (Check.CONTROL, "None"),
        (Check.CANARY, "the API server is gone"),
    ]
    assert found[-1].result is None
