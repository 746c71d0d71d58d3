"""Cases on a cluster: what counts as a disagreement, and how small its scenario becomes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from harness import scenario
from harness.choice import ClusterChoice
from harness.cli import Exit, main
from harness.cluster import KnownTrait
from harness.errors import ClusterError, Occupied
from harness.generate import (
    TIER_KIND,
    Bench,
    Fuzz,
    Generator,
    Scope,
    Trial,
    fixture_file,
    shrunk,
)
from harness.generate.changes import pairs
from harness.generate.draw import network_policy
from harness.generate.fuzz import Tally
from harness.generate.plan import Plan, PlannedStep, scenario_of
from harness.model import Applied, Deleted, Probe, ProbeError, Scenario, State, Verdict
from harness.policy.traits import Trait
from harness.predecessor import Predecessor
from harness.scenario.write import write
from harness.settle import Timing
from harness.variants import TierKinds
from tests.fakes import EVERYTHING, Answer, FakeCluster, FakeTime, allows_all, by_the_book

FILE = fixture_file(None)


@functools.cache
def case(number: int) -> Scenario:
    """A case takes a second to make, and each run begins with the first one."""
    return Generator(FILE.fixture, 7, Scope.POLICIES_AND_LABELS, ip_blocks=False).case(number)


class OnceMade(Generator):
    """The generator of these runs."""

    def case(self, number: int) -> Scenario:
        return case(number)


@dataclass
class Run:
    """A fuzz run on a scripted cluster; each line that is printed takes a minute."""

    answer: Answer
    folder: Path
    time: FakeTime = field(default_factory=FakeTime)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(self.answer, clock=self.time.clock)
        timing = Timing(clock=self.time.clock)
        self.fuzz = Fuzz(
            Bench(self.cluster, timing, Predecessor()),
            OnceMade(FILE.fixture, 7),
            FILE,
            self.folder,
            self._say,
            lambda path: f"netpol run {path.name}",
        )

    def _say(self, line: str) -> None:
        self.said.append(line)
        self.time.now += 60

    def minutes(self, number: int) -> Tally:
        self.fuzz.until(self.time.now + 60 * number)
        return self.fuzz.tally


def test_a_right_cluster_has_no_disagreement(tmp_path: Path) -> None:
    tally = Run(by_the_book, tmp_path).minutes(2)
    assert (tally.cases, tally.findings, tally.no_verdict) == (2, [], 0)
    assert tally.proven > 100
    assert not list(tmp_path.iterdir())


def test_a_disagreement_is_repeated_and_written(tmp_path: Path) -> None:
    run = Run(allows_all, tmp_path)
    (finding,) = run.minutes(1).findings
    assert finding.path == tmp_path / "disagreement-seed-7-case-0001.yaml"
    assert (finding.wrong.expected, finding.wrong.seen) == (Verdict.TIMEOUT, Verdict.ALLOWED)
    assert run.said[-1] == "reproduce: netpol run disagreement-seed-7-case-0001.yaml"
    small = scenario.load(finding.path)
    assert len(finding.path.read_text("utf-8").splitlines()) <= 24
    assert [len(step.table.cells) for step in small.steps] == [1]


def test_a_disagreement_is_written_when_the_search_is_interrupted(tmp_path: Path) -> None:
    """It is as small as it had become."""
    run = Run(allows_all, tmp_path)
    sync = run.cluster.sync

    def interrupted(state: State) -> None:
        if len(run.cluster.synced) == 30:
            raise KeyboardInterrupt
        sync(state)

    run.cluster.sync = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run.minutes(1)
    (finding,) = run.fuzz.tally.findings
    small = scenario.load(finding.path)
    assert [len(step.table.cells) for step in small.steps] == [1]
    assert run.said[-1] == "reproduce: netpol run disagreement-seed-7-case-0001.yaml"


def test_the_search_for_a_smaller_scenario_ends_soon_after_the_run(tmp_path: Path) -> None:
    """Each run of a scenario takes a minute here."""
    run = Run(allows_all, tmp_path)
    sync = run.cluster.sync

    def slow(state: State) -> None:
        run.time.now += 60
        sync(state)

    run.cluster.sync = slow  # type: ignore[method-assign]
    began = run.time.now
    (finding,) = run.minutes(1).findings
    assert finding.path.exists()
    assert 300 < run.time.now - began < 1800
    assert len(run.cluster.synced) < 30


def test_the_smallest_scenario_is_wrong_for_the_whole_settle_time(tmp_path: Path) -> None:
    """Without the pods of the fixture, this cluster is late by a third of its settle time."""
    changed = 0.0
    run: Run

    def late(state: State, probe: Probe) -> Verdict | ProbeError:
        is_small = len(state.pods) < len(FILE.fixture.state.pods)
        if is_small and run.time.now - changed > EVERYTHING.settle_s / 3:
            return by_the_book(state, probe)
        return Verdict.ALLOWED

    run = Run(late, tmp_path)
    sync = run.cluster.sync

    def noted(state: State) -> None:
        nonlocal changed
        changed = run.time.now
        sync(state)

    run.cluster.sync = noted  # type: ignore[method-assign]
    (finding,) = run.minutes(1).findings
    assert "not seen again with the whole settle time; the search begins again" in run.said
    small = scenario.load(finding.path)
    assert [len(step.table.cells) for step in small.steps] == [1]
    assert small.fixture is not None


def test_what_is_right_when_repeated_is_no_disagreement(tmp_path: Path) -> None:
    run = Run(allows_all, tmp_path)
    say = run._say

    def mended(line: str) -> None:
        if line.endswith("it is repeated"):
            run.cluster.answer = by_the_book
        say(line)

    run.fuzz = replace(run.fuzz, say=mended)
    tally = run.minutes(1)
    assert (tally.not_repeated, tally.findings) == (1, [])


def test_a_cell_without_a_verdict_is_no_disagreement(tmp_path: Path) -> None:
    def silent(state: State, probe: Probe) -> Verdict | ProbeError:
        return ProbeError("gone") if str(probe.source) == "x/a" else by_the_book(state, probe)

    tally = Run(silent, tmp_path).minutes(1)
    assert tally.findings == []
    assert tally.no_verdict > 0


def test_a_pair_that_never_connects_is_no_evidence(tmp_path: Path) -> None:
    def closed(state: State, probe: Probe) -> Verdict | ProbeError:
        return Verdict.TIMEOUT if str(probe.source) == "x/a" else by_the_book(state, probe)

    tally = Run(closed, tmp_path).minutes(1)
    assert tally.findings == []
    assert tally.doubtful > 0


def test_a_cluster_that_fails_three_times_ends_the_run(tmp_path: Path) -> None:
    run = Run(by_the_book, tmp_path)

    def broken(state: State) -> None:
        raise ClusterError("no pods")

    run.cluster.sync = broken  # type: ignore[method-assign]
    with pytest.raises(ClusterError):
        run.minutes(9)
    assert run.said == [f"case {number}: no pods" for number in (1, 2, 3)]


OLDER = frozenset({
    "policy.networking.k8s.io/v1alpha1/AdminNetworkPolicy",
    "policy.networking.k8s.io/v1alpha1/BaselineAdminNetworkPolicy",
})  # fmt: skip


@functools.cache
def older_case() -> Scenario:
    return Generator(FILE.fixture, 7, tiers=1, tier_kinds=TierKinds.FORERUNNERS).case(1)


class InTiers(Generator):
    """The generator of a run with policies in tiers."""

    def case(self, number: int) -> Scenario:
        return older_case()


def on_older(answer: Answer, folder: Path) -> Run:
    run = Run(answer, folder)
    run.cluster = FakeCluster(answer, replace(EVERYTHING, kinds=OLDER), run.time.clock)
    bench = replace(run.fuzz.bench, cluster=run.cluster)
    run.fuzz = replace(run.fuzz, bench=bench, generator=InTiers(FILE.fixture, 7))
    return run


def test_a_cluster_gets_the_kinds_that_it_has(tmp_path: Path) -> None:
    run = on_older(by_the_book, tmp_path)
    tally = run.minutes(1)
    assert (tally.cases, tally.skipped, tally.findings) == (1, 0, [])
    kinds = {item.kind for state in run.cluster.synced for item in state.policies}
    assert "AdminNetworkPolicy" in kinds or "BaselineAdminNetworkPolicy" in kinds
    assert "ClusterNetworkPolicy" not in kinds


def test_a_disagreement_is_written_for_every_cluster(tmp_path: Path) -> None:
    """The cluster got other kinds; whoever runs the file gets those of their cluster."""

    def no_tiers(state: State, probe: Probe) -> Verdict | ProbeError:
        left = tuple(item for item in state.policies if item.kind == "NetworkPolicy")
        return by_the_book(replace(state, policies=left), probe)

    run = on_older(no_tiers, tmp_path)
    (finding,) = run.minutes(1).findings
    text = finding.path.read_text("utf-8")
    assert "kind: ClusterNetworkPolicy" in text
    assert "AdminNetworkPolicy" not in text
    kinds = {item.kind for state in run.cluster.synced for item in state.policies}
    assert "ClusterNetworkPolicy" not in kinds


def test_a_case_that_the_cluster_cannot_have_is_skipped(tmp_path: Path) -> None:
    run = on_older(by_the_book, tmp_path)
    run.cluster._capabilities = replace(EVERYTHING, kinds=frozenset())
    tally = run.minutes(2)
    assert (tally.cases, tally.skipped) == (0, 2)
    kind = "policy.networking.k8s.io/v1alpha2/ClusterNetworkPolicy"
    assert run.said == [
        f"case {number}: skipped, cluster fake lacks the API {kind}" for number in (1, 2)
    ]
    with pytest.raises(ClusterError):
        run.fuzz.bench.tried(older_case())


def test_an_object_that_someone_else_holds_skips_the_case(tmp_path: Path) -> None:
    run = Run(by_the_book, tmp_path)

    def held(state: State) -> None:
        raise Occupied("it is taken")

    run.cluster.sync = held  # type: ignore[method-assign]
    tally = run.minutes(5)
    assert (tally.cases, tally.skipped, tally.failed) == (0, 5, 0)
    assert run.said[0] == "case 1: skipped, it is taken"


@pytest.mark.parametrize(
    ("words", "kinds", "tiers", "line"),
    [
        ([], OLDER, 2, "AdminNetworkPolicy and BaselineAdminNetworkPolicy"),
        (["--tiers"], OLDER, 1, "AdminNetworkPolicy and BaselineAdminNetworkPolicy"),
        (["--tiers"], frozenset({TIER_KIND}), 1, "ClusterNetworkPolicy"),
        ([], frozenset(), 0, "none"),
    ],
)
def test_the_command_draws_what_the_cluster_has(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    kinds: frozenset[str],
    tiers: int,
    line: str,
) -> None:
    cluster = FakeCluster(capabilities=replace(EVERYTHING, kinds=kinds))
    made: list[Generator] = []
    monkeypatch.setattr(ClusterChoice, "make", lambda *_: cluster)
    monkeypatch.setattr(Fuzz, "until", lambda fuzz, _: made.append(fuzz.generator))
    assert main(["fuzz", "--cluster=netns", *words]) == Exit.NO_VERDICT
    assert [(one.tiers, one.tier_kinds) for one in made] == [(tiers, TierKinds.among(kinds))]
    assert capsys.readouterr().out.startswith(f"policies in tiers: {line}\n")


def test_the_command_says_at_once_that_there_are_no_tiers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = FakeCluster(capabilities=replace(EVERYTHING, kinds=frozenset()))
    monkeypatch.setattr(ClusterChoice, "make", lambda *_: cluster)
    assert main(["fuzz", "--cluster=netns", "--tiers"]) == Exit.NO_VERDICT
    assert capsys.readouterr().err == (
        "cluster fake has no kind of policies in tiers\n"
        "hint: leave out --tiers; it needs ClusterNetworkPolicy or AdminNetworkPolicy\n"
    )
    assert cluster.synced == []
    assert cluster.closed == 1


def test_the_summary_counts_apart() -> None:
    tally = Tally(cases=6, proven=600, no_verdict=2, skipped=1)
    assert tally.lines(180) == [
        "6 cases, 600 cells proven, in 3.0 minutes: 2.0 cases and 200 cells a minute",
        "2 cells without a verdict",
        "1 cases skipped",
        "0 disagreements",
    ]


# ------------------------------------------------------------------ shrinking


def ignores_end_port(state: State, probe: Probe) -> Verdict | ProbeError:
    texts = (json.loads(item.json) for item in state.policies)
    bodies = [json.dumps(body).replace('"endPort"', '"ignored"') for body in texts]
    without = [json.loads(body, object_hook=_without_ignored) for body in bodies]
    policies = tuple(
        replace(item, json=json.dumps(body))
        for item, body in zip(state.policies, without, strict=True)
    )
    return by_the_book(replace(state, policies=policies), probe)


def _without_ignored(body: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in body.items() if key != "ignored"}


def large() -> Scenario:
    """Return a case of three policies and four steps in which one endPort matters."""
    ranges = {"from": [{"namespaceSelector": {}}], "ports": [{"port": 80, "endPort": 81}]}
    others = {"from": [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"ns": "z"}}}]}
    specs: dict[str, dict[str, Any]] = {
        "first": {"podSelector": {"matchLabels": {"pod": "a"}}, "ingress": [others, ranges]},
        "second": {"podSelector": {"matchLabels": {"pod": "b"}}, "ingress": [others]},
        "third": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
    }
    made = [network_policy("x", name, spec) for name, spec in specs.items()]
    gone = [Deleted(item.kind, item.namespace, item.name) for item in made]
    steps = (
        PlannedStep("two policies", tuple(map(Applied, made[1:]))),
        PlannedStep("one more", (Applied(made[0]),)),
        PlannedStep("one less", (gone[1],)),
        PlannedStep("none", (gone[0], gone[2])),
    )
    start = FILE.fixture.state
    return scenario_of(Plan("large", "Large", "W.", start, steps, pairs(start), FILE.fixture))


def disagreeing(answer: Answer) -> Callable[[Scenario], Trial]:
    time = FakeTime()
    cluster = FakeCluster(answer, clock=time.clock)
    return Bench(cluster, Timing(clock=time.clock), Predecessor()).tried


def test_a_failing_case_becomes_small() -> None:
    tried = disagreeing(ignores_end_port)
    case = large()
    wrong = tried(case).wrong[0]
    runs: list[Scenario] = []

    def fails(smaller: Scenario) -> bool:
        runs.append(smaller)
        return bool(tried(smaller).wrong)

    small = shrunk(case, wrong.probe, fails)
    text = write(small)
    assert tried(small).wrong
    assert not disagreeing(by_the_book)(small).wrong
    assert "endPort: 81" in text
    assert small.fixture is None
    assert len(small.steps) == 1
    assert len(small.steps[0].state.pods) == 2
    assert len(text.splitlines()) <= 24
    assert len(runs) <= 100


def test_a_search_ends_after_so_many_runs() -> None:
    case = large()
    runs: list[Scenario] = []

    def fails(smaller: Scenario) -> bool:
        runs.append(smaller)
        return False

    same = shrunk(case, case.steps[1].table.cells[0].probe, fails, most_runs=5)
    assert len(runs) == 5
    assert write(same) == write(case)


def test_the_command_leaves_out_what_the_cluster_is_known_to_get_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = KnownTrait(Trait.NAMED_PORT_IN_EGRESS, "it ignores them (a/b#1; all)")
    cluster = FakeCluster(capabilities=replace(EVERYTHING, known_traits=(known,)))
    made: list[Generator] = []
    monkeypatch.setattr(ClusterChoice, "make", lambda *_: cluster)
    monkeypatch.setattr(Fuzz, "until", lambda fuzz, _: made.append(fuzz.generator))
    assert main(["fuzz", "--cluster=netns"]) == Exit.NO_VERDICT
    (generator,) = made
    assert generator.without == {Trait.NAMED_PORT_IN_EGRESS}
    out = capsys.readouterr().out
    assert "left out: policies with named-port-in-egress (it ignores them (a/b#1; all))\n" in out
