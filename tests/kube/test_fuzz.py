"""Random scenarios with policies in tiers on a cluster that has only the kinds of v1alpha1."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.cluster import Capabilities
from harness.cluster.kube import KubeCluster, KubeSettings
from harness.generate import Bench, Fuzz, Generator, Scope, fixture_file
from harness.model import Observation, Probe, Scenario, State
from harness.policy.admin_network_policy import BASELINE_KIND
from harness.predecessor import Predecessor
from harness.settle import Timing
from harness.variants import TierKinds, has_baseline, variant
from tests.fakes import FakeTime, by_the_book

from .apiserver import ApiServer, DirectApi
from .cluster_state import Key
from .test_no_harm import ADMIN, NODE

FILE = fixture_file(None)
NEWER = "ClusterNetworkPolicy"


class OlderCluster(KubeCluster):
    """A cluster with the kinds of v1alpha1. Its pods see what the API says, and serve nothing."""

    @functools.cached_property
    def capabilities(self) -> Capabilities:
        found = super().capabilities
        kinds = frozenset(kind for kind in found.kinds if not kind.endswith(NEWER))
        return replace(found, kinds=kinds)

    def sync(self, state: State) -> None:
        pods = tuple(replace(pod, ports=()) for pod in state.pods)
        super().sync(replace(state, pods=pods, services=()))
        self.state = state

    def probe(self, probes: Sequence[Probe]) -> Iterator[Observation]:
        for probe in probes:
            yield Observation(probe, 0, 0, by_the_book(self.state, probe))


def older(server: ApiServer, run: str) -> OlderCluster:
    cluster = OlderCluster(KubeSettings(run=run, clock=server.clock), DirectApi(server))
    assert TierKinds.among(cluster.capabilities.kinds) is TierKinds.FORERUNNERS
    return cluster


@functools.cache
def baseline_case() -> Scenario:
    generator = Generator(
        FILE.fixture,
        7,
        Scope.POLICIES_AND_LABELS,
        ip_blocks=False,
        tiers=1,
        tier_kinds=TierKinds.FORERUNNERS,
    )
    return next(case for case in map(generator.case, range(1, 9)) if has_baseline(case))


class OneCase(Generator):
    """Gives the same case again and again."""

    def case(self, number: int) -> Scenario:
        return baseline_case()


def test_one_run_at_a_time_has_the_baseline_policy_and_the_others_go_on(tmp_path: Path) -> None:
    server = ApiServer()
    server.state.put(NODE)
    server.state.put(json.loads(json.dumps(NODE).replace('"n1"', '"n2"')))
    first, other = older(server, "r1"), older(server, "r2")
    case = variant(baseline_case(), first.capabilities).scenario
    held = next(
        step.state
        for step in case.steps
        if any(item.kind == BASELINE_KIND for item in step.state.policies)
    )
    first.sync(held)
    key = Key(ADMIN, BASELINE_KIND, "", "default")
    theirs = json.dumps(server.state.found(*key))
    assert '"netpol.harness/run": "r1"' in theirs.partition('"subject"')[2]

    time = FakeTime()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        time.now += 60
        if len(said) == 4:
            assert json.dumps(server.state.found(*key)) == theirs
            assert first.close() == ()

    bench = Bench(other, Timing(clock=time.clock), Predecessor())
    fuzz = Fuzz(bench, OneCase(FILE.fixture, 7), FILE, tmp_path, say, str)
    fuzz.until(time.now + 60 * 5)
    words = "BaselineAdminNetworkPolicy default already exists and was not created by this run"
    assert said[:4] == [f"case {number}: skipped, {words}" for number in (1, 2, 3, 4)]
    assert said[4].startswith("case 5: ")
    assert said[4].endswith(" cells proven")
    assert (fuzz.tally.skipped, fuzz.tally.cases, fuzz.tally.findings) == (4, 1, [])
    assert other.close() == ()
    assert server.state.found(*key) is None
