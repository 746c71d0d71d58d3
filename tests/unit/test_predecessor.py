"""Scenarios of one fixture, one after another: what is kept, and what a spoilt fixture costs."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.errors import ClusterError
from harness.model import (
    CompletedPod,
    Labels,
    Probe,
    ProbeError,
    Scenario,
    State,
    StepResult,
    Verdict,
)
from harness.predecessor import Predecessor, Syncing
from harness.runner import ScenarioRun
from harness.settle import Timing
from tests.fakes import EVERYTHING, FakeCluster, FakeTime, by_the_book
from tests.sharing import STEPS, written


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scenario]:
    return written(tmp_path_factory.mktemp("shared"))


class Suite:
    """Runs scenarios one after another on one cluster."""

    def __init__(self, cluster: FakeCluster, time: FakeTime | None = None) -> None:
        self.cluster = cluster
        self.predecessor = Predecessor()
        clock = (time or FakeTime()).clock
        self.timing = Timing(settle_s=30, pause_s=1, clock=clock)
        self.rebuilt = ""

    def run(self, scenario: Scenario) -> list[StepResult]:
        run = ScenarioRun(self.cluster, scenario, self.timing, None, self.predecessor)
        results = [run.run(index) for index in range(len(scenario.steps))]
        self.rebuilt = run.rebuilt
        return results


def proven(results: list[StepResult]) -> bool:
    reached = [result.reachability for result in results]
    return not any(seen.mismatches or seen.unmeasured or seen.unproven for seen in reached)


def pods_made(states: list[State]) -> int:
    """Count the pods that a cluster makes to go through the states."""
    made, there = 0, frozenset[object]()
    for state in states:
        now = frozenset(
            (state.scope, ns.incarnation if ns else None, replace(pod, labels=Labels()))
            for pod in state.pods
            for ns in [state.namespace(pod.namespace)]
        )
        made += len(now - there)
        there = now
    return made


def test_what_a_scenario_restarted_is_not_made_again_for_the_next(
    shared: dict[str, Scenario],
) -> None:
    cluster = FakeCluster()
    suite = Suite(cluster)
    assert proven(suite.run(shared["restart"]))
    before = len(cluster.synced)
    made = pods_made(cluster.synced)
    for name in ("recreate-namespace", "deny"):
        assert proven(suite.run(shared[name]))
    # The control step of recreate-namespace visits its second topology too.
    again = pods_made(cluster.synced) - made
    alone = FakeCluster()
    assert proven(Suite(alone).run(shared["recreate-namespace"]))
    assert again == pods_made(alone.synced) - len(shared["deny"].steps[0].state.pods)
    assert cluster.synced[before].pods[0].incarnation == 1


def test_every_scenario_starts_without_what_the_one_before_left(
    shared: dict[str, Scenario],
) -> None:
    cluster = FakeCluster()
    suite = Suite(cluster)
    for name in STEPS:
        before = len(cluster.synced)
        suite.run(shared[name])
        start, first = cluster.synced[before], shared[name].steps[0].state
        assert not start.policies
        assert [item.name for item in start.namespaces] == [item.name for item in first.namespaces]
        assert [(item.ref, item.labels) for item in start.pods] == [
            (item.ref, item.labels) for item in first.pods
        ]
        assert start.services == first.services


@pytest.mark.parametrize("seed", range(10))
def test_any_order_gives_the_same_results(shared: dict[str, Scenario], seed: int) -> None:
    order = list(STEPS)
    random.Random(seed).shuffle(order)  # noqa: S311
    suite = Suite(FakeCluster())
    for name in order:
        assert proven(suite.run(shared[name])), (order, name)
        assert suite.rebuilt == "", (order, name)


def test_scenarios_of_other_fixtures_have_no_predecessor(shared: dict[str, Scenario]) -> None:
    cluster = FakeCluster()
    suite = Suite(cluster)
    suite.run(shared["restart"])
    alone = replace(shared["deny"], fixture=None)
    before = len(cluster.synced)
    assert proven(suite.run(alone))
    assert cluster.synced[before].pods[0].incarnation == 0


# ------------------------------------------------------------------ a spoilt fixture


class Spoilt(FakeCluster):
    """A cluster on which denials outlive the policy, until the fixture is made again."""

    def __init__(self, time: FakeTime, stale: Callable[[Probe], bool]) -> None:
        super().__init__(self._enforced, replace(EVERYTHING, settle_s=30), time.clock)
        self.stale = stale
        self.denied: set[Probe] = set()

    def sync(self, state: State) -> None:
        if not state.pods:
            self.denied.clear()
        super().sync(state)

    def _enforced(self, state: State, probe: Probe) -> Verdict | ProbeError:
        word = Verdict.TIMEOUT if probe in self.denied else by_the_book(state, probe)
        if word is Verdict.TIMEOUT and self.stale(probe):
            self.denied.add(probe)
        return word


def test_a_denial_that_outlives_its_policy_costs_a_rebuild_and_no_verdict(
    shared: dict[str, Scenario],
) -> None:
    time = FakeTime()
    cluster = Spoilt(time, lambda probe: str(probe) == "other/client -> app/server:80")
    suite = Suite(cluster, time)
    assert proven(suite.run(shared["deny"]))
    assert suite.rebuilt == ""
    assert proven(suite.run(shared["add"]))
    assert suite.rebuilt == (
        f"after {shared['deny'].path} the fixture did not come back: "
        "other/client -> app/server:80 TIMEOUT for 30 s"
    )
    assert len([state for state in cluster.synced if not state.pods]) == 1


def test_a_pair_that_must_be_allowed_is_probed_too(shared: dict[str, Scenario]) -> None:
    """The next scenario expects it allowed under its policy, and must not fail for it."""
    time = FakeTime()
    cluster = FakeCluster(clock=time.clock)
    suite = Suite(cluster, time)
    suite.run(shared["deny"])
    before = len(cluster.rounds)
    suite.run(shared["deny"])
    probed = {str(probe) for probe in cluster.rounds[before]}
    assert "app/client -> app/server:80" in probed


def test_a_pair_that_no_rebuild_opens_blames_no_scenario(shared: dict[str, Scenario]) -> None:
    time = FakeTime()
    closed: list[bool] = []

    def answer(state: State, probe: Probe) -> Verdict | ProbeError:
        broken = closed and str(probe) == "other/client -> app/server:80"
        return Verdict.TIMEOUT if broken else by_the_book(state, probe)

    cluster = FakeCluster(answer, clock=time.clock)
    suite = Suite(cluster, time)
    suite.run(shared["deny"])
    closed.append(True)
    results = suite.run(shared["deny"])
    assert suite.rebuilt == (
        f"the fixture was made again after {shared['deny'].path}, without effect: "
        "other/client -> app/server:80 TIMEOUT for 30 s"
    )
    # A denial is not proven by what the pair did before the rebuild, or in another scenario.
    assert [str(item.cell.probe) for item in results[0].reachability.unproven] == [
        "other/client -> app/server:80"
    ]


def test_a_sync_that_fails_on_what_was_left_is_tried_on_a_new_fixture(
    shared: dict[str, Scenario],
) -> None:
    class Stuck(FakeCluster):
        stuck = False

        def sync(self, state: State) -> None:
            if self.stuck and state.pods:
                self.stuck = False
                raise ClusterError("pod app/server is not ready")
            super().sync(state)

    cluster = Stuck()
    suite = Suite(cluster)
    suite.run(shared["deny"])
    cluster.stuck = True
    assert proven(suite.run(shared["relabel"]))
    assert suite.rebuilt == (
        f"after {shared['deny'].path} the fixture did not come back: pod app/server is not ready"
    )


def test_the_first_scenario_of_a_fixture_rebuilds_nothing(shared: dict[str, Scenario]) -> None:
    cluster = FakeCluster(lambda state, probe: Verdict.TIMEOUT)
    suite = Suite(cluster)
    results = suite.run(shared["deny"])
    assert suite.rebuilt == ""
    assert results[0].reachability.unproven
    assert all(state.pods for state in cluster.synced)


def test_what_was_seen_before_the_rebuild_proves_nothing(shared: dict[str, Scenario]) -> None:
    """One pair is spoilt; the other connects before the rebuild, and never after it."""
    time = FakeTime()
    by_name = "other/client -> svc/app/server:80"

    class Worse(Spoilt):
        rebuilt = False

        def sync(self, state: State) -> None:
            self.rebuilt |= not state.pods
            super().sync(state)

        def _outcome(self, state: State, probe: Probe) -> Verdict | ProbeError:
            if self.rebuilt and str(probe) == by_name:
                return Verdict.TIMEOUT
            return super()._outcome(state, probe)

    cluster = Worse(time, lambda probe: str(probe) == "other/client -> app/server:80")
    suite = Suite(cluster, time)
    suite.run(shared["deny"])
    results = suite.run(shared["deny"])
    assert suite.rebuilt.endswith("other/client -> app/server:80 TIMEOUT for 30 s")
    unproven = [str(item.cell.probe) for item in results[0].reachability.unproven]
    assert unproven == [by_name]


def test_a_completed_pod_of_a_scenario_does_not_run_again_for_the_next(
    shared: dict[str, Scenario],
) -> None:
    cluster, predecessor = FakeCluster(), Predecessor()
    scenario = shared["deny"]
    state = scenario.steps[0].state
    ended = replace(state, completed=(CompletedPod("x", "job", incarnation=1),))
    Syncing(cluster, scenario, predecessor).sync(ended)
    later = Syncing(cluster, scenario, predecessor)
    later.sync(replace(state, completed=(CompletedPod("x", "job"),)))
    assert cluster.synced[-1].completed == cluster.synced[0].completed
    later.remove_all(ended)
    assert cluster.synced[-1].completed == ()
