"""The kill table: what counts as a kill, and what is a failure of the suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness import catalogue, scenario
from harness.catalogue import Effect
from harness.errors import ClusterError
from harness.model import Probe, ProbeError, State, Verdict
from tests.fakes import Answer, FakeCluster, answers_nothing, by_the_book
from tools import kill_table, kill_trials
from tools.affected import affecting
from tools.kill_trials import SCENARIOS, Outcome, Trial, Wrong, tried

PATH = SCENARIOS / "examples" / "access-by-label.yaml"
KILLED = "one client gets the label: `demo/client -> demo/server:80` gives TIMEOUT, not allowed"


@pytest.mark.usefixtures("available")
def test_a_wrong_cell_in_the_direction_of_the_defect_kills() -> None:
    assert tried(Trial(PATH, "pod-labels-frozen")).killed_by == KILLED


@pytest.mark.usefixtures("available")
def test_a_scenario_kills_no_defect_that_it_does_not_show_and_is_right_without_any() -> None:
    assert [tried(Trial(PATH, name)).killed_by for name in ("no-endport", None)] == ["", ""]


@pytest.mark.usefixtures("available")
def test_a_wrong_cell_in_the_other_direction_is_no_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    closes = replace(catalogue.defects()["B01"], effect=catalogue.Effect.CLOSES)
    assert "gives allowed" in tried(Trial(PATH, "no-enforcement")).killed_by
    monkeypatch.setattr(kill_trials, "_named", lambda _: closes)
    assert tried(Trial(PATH, "no-enforcement")).killed_by == ""


@pytest.mark.usefixtures("available")
def test_a_scenario_that_cannot_run_here_says_why() -> None:
    path = SCENARIOS / "examples" / "cilium-fqdn.yaml"
    assert tried(Trial(path, "no-enforcement")).skipped == (
        "cluster netns lacks the API cilium.io/v2/CiliumNetworkPolicy"
    )


def never_open(state: State, probe: Probe) -> Verdict | ProbeError:
    """Right while there are policies, and closed without them: no denial is proven."""
    return by_the_book(state, probe) if state.policies else Verdict.TIMEOUT


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            answers_nothing,
            "four policies with awkward names isolate a pod each, and allow one namespace: "
            "`y/a -> x/a:80` is no verdict",
        ),
        (
            never_open,
            "four policies with awkward names isolate a pod each, and allow one namespace: "
            "`y/a -> x/b:80` is unproven",
        ),
    ],
)
def test_a_scenario_without_verdicts_or_evidence_is_not_right(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, why: str
) -> None:
    monkeypatch.setattr(kill_trials, "NetnsCluster", lambda **_: FakeCluster(answer))
    trial = Trial(SCENARIOS / "conformance" / "names" / "policy-names.yaml", None)
    assert tried(trial) == Outcome(trial, failed=why)


def test_an_embedded_cluster_that_cannot_start_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(**_: object) -> None:
        raise ClusterError("no namespaces here")

    monkeypatch.setattr(kill_trials, "NetnsCluster", refuse)
    assert tried(Trial(PATH, "no-enforcement")).failed == "no namespaces here"


def test_a_defect_of_a_pair_is_caught_or_hidden() -> None:
    """It counts if the scenario also kills the defect alone."""
    one, other = catalogue.defects()["B02"], catalogue.defects()["B03"]
    right, alone = Trial(PATH, None), Trial(PATH, one.name)
    paired = Trial(PATH, one.name, other.name)
    kill = Outcome(paired, "step: cell")
    outcomes = {right: Outcome(right), alone: Outcome(alone, "step: cell"), paired: kill}
    hidden = "B02 empty-rules-open: B03 empty-rule-denies hides it"
    assert kill_table.kill_in_pair(outcomes, one, other) == kill
    assert hidden not in kill_table.problems({}, outcomes)
    assert kill_table.kill_in_pair(outcomes, other, one) is None
    assert "B03 empty-rule-denies: B02 empty-rules-open hides it" in [
        *kill_table.problems({}, outcomes)
    ]
    for changed in ({alone: Outcome(alone)}, {paired: Outcome(paired)}):
        assert kill_table.kill_in_pair(outcomes | changed, one, other) is None
        assert hidden in kill_table.problems({}, outcomes | changed)


def test_both_defects_of_a_pair_are_switched_on() -> None:
    asked = list(
        kill_table.trials_of_pairs({PATH: replace(scenario.load(PATH), catches=("B67",))})
    )
    assert asked == [Trial(PATH, "pod-labels-frozen", "namespace-labels-frozen")]
    assert asked[0].switched_on == "pod-labels-frozen+namespace-labels-frozen"


def noticed_from(delay_s: float, path: Path) -> Callable[[Sequence[Trial]], list[Outcome]]:
    """Trials that kill in every run from that delay on, and below it in the first run only."""

    def run(trials: Sequence[Trial]) -> list[Outcome]:
        found = []
        for index, trial in enumerate(trials):
            assert trial.delay_s is not None
            kills = trial.path == path and (trial.delay_s >= delay_s or index < 2)
            found.append(Outcome(trial, "step: cell" if kills else ""))
        return found

    return run


def test_the_smallest_delay_is_one_at_which_a_scenario_kills_in_each_try() -> None:
    """A delay that is noticed by chance does not count."""
    gap, other = catalogue.defects()["B78"], SCENARIOS / "examples" / "services.yaml"
    kill = kill_table.smallest_delay(gap, [PATH, other], noticed_from(0.2, other))
    trial = Trial(other, "update-gap", delay_s=0.2)
    assert kill == Outcome(trial, "step: cell")
    assert trial.switched_on == "update-gap:0.2s"
    assert kill_table.smallest_delay(gap, [PATH, other], noticed_from(6.0, other)) is None
    part = kill_table.delays_part({"B78": kill}).splitlines()[-1]
    assert part == "| B78 | `update-gap` | 0.5 s | 0.2 s | examples/services.yaml, step: cell |"
    part = kill_table.delays_part({"B78": None}).splitlines()[-1]
    assert part == "| B78 | `update-gap` | 0.5 s | **none** | |"


def test_a_part_that_was_not_run_stays_in_the_document(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "kill-table.md"
    table.write_text(kill_table.TABLE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(kill_table, "TABLE", table)
    before = table.read_text(encoding="utf-8")
    kill_table.write({"delays": "new"})
    begin, end = "<!-- delays: `make defects DELAYS=1` writes this -->", "<!-- end of delays -->"
    head, tail = before.split(begin)[0], before.split(end)[1]
    assert table.read_text(encoding="utf-8") == f"{head}{begin}\nnew\n{end}{tail}"


def found(claim: Outcome, alone: str = "") -> list[str]:
    """The problems of one scenario, without those of defects that it does not claim."""
    outcomes = {claim.trial: claim, Trial(PATH, None): Outcome(Trial(PATH, None), alone)}
    every = kill_table.problems({PATH: scenario.load(PATH)}, outcomes)
    hidden = " hides it"
    return [
        line
        for line in every
        if not line.startswith(("B", "TB"))
        or (line.startswith("B67") and not line.endswith(hidden))
    ]


def test_the_problems_of_a_suite() -> None:
    trial = Trial(PATH, "pod-labels-frozen")
    survives = "B67 pod-labels-frozen: survives, no scenario that was run shows it"
    claim = "examples/access-by-label.yaml: claims B67, and pod-labels-frozen does not show: "
    assert found(Outcome(trial, "step: cell")) == []
    assert found(Outcome(trial)) == [claim + "every cell is as before", survives]
    assert found(Outcome(trial, failed="no pod")) == [claim + "no pod", survives]
    assert found(Outcome(trial, "step: cell"), alone="step: other") == [
        "examples/access-by-label.yaml: not right without any defect: step: other",
        survives,
    ]


@pytest.mark.parametrize(
    ("expected", "verdict", "effect"),
    [
        (Verdict.TIMEOUT, Verdict.ALLOWED, Effect.OPENS),
        (Verdict.ALLOWED, Verdict.TIMEOUT, Effect.CLOSES),
        (Verdict.ALLOWED, Verdict.REFUSED, Effect.CLOSES),
        (Verdict.TIMEOUT, Verdict.REFUSED, None),
        (Verdict.ALLOWED, Verdict.DNS, None),
    ],
)
def test_the_effect_of_a_wrong_verdict(
    expected: Verdict, verdict: Verdict, effect: Effect | None
) -> None:
    cell = replace(scenario.load(PATH).steps[0].table.cells[0], expected=expected)
    assert Wrong("step", cell, verdict).effect is effect


def test_only_defects_that_change_its_rules_are_tried_with_a_scenario() -> None:
    """Those that it catches are among them; update-gap changes how rules are loaded."""
    names = affecting(PATH)
    assert {"pod-labels-frozen", "no-enforcement", "update-gap"} <= {*names}
    assert not {"no-endport", "except-inverted", "named-any-port", "odd-names-skipped"} & {*names}


def test_every_scenario_is_tried_with_the_defects_that_change_its_rules() -> None:
    """A scenario that is not right alone is tried with its claims only."""
    other = SCENARIOS / "examples" / "default-deny-then-whitelist.yaml"
    read = {path: scenario.load(path) for path in (PATH, other)}
    asked: list[Trial] = []

    def run(function: object, items: Sequence[Trial | Path]) -> Iterator[object]:
        for item in items:
            if function is affecting:
                yield ["pod-labels-frozen", "no-enforcement"]
            elif isinstance(item, Trial):
                asked.append(item)
                wrong = "step: cell" if item == Trial(other, None) else ""
                yield Outcome(item, wrong)

    found = kill_table.run_all(read, run, everything=True)
    assert [*found] == asked
    assert {trial for trial in asked if not trial.beside} == {
        Trial(PATH, None),
        Trial(other, None),
        Trial(PATH, "pod-labels-frozen"),
        Trial(PATH, "no-enforcement"),
        *(trial for trial in kill_table.claims(read)),
    }


def test_the_full_run_shows_who_is_alone_and_who_catches_nothing() -> None:
    """A scenario that is not right without a defect counts for neither."""
    one, other, wrong = (
        SCENARIOS / "examples" / f"{name}.yaml"
        for name in ("access-by-label", "three-tier", "full-syntax")
    )
    outcomes = [
        Outcome(Trial(one, None)),
        Outcome(Trial(other, None)),
        Outcome(Trial(wrong, None), "step: cell"),
        Outcome(Trial(one, "no-except"), "step: cell"),
        Outcome(Trial(one, "no-endport"), "step: cell"),
        Outcome(Trial(wrong, "no-endport"), "step: cell"),
        Outcome(Trial(other, "no-except")),
    ]
    found = {outcome.trial: outcome for outcome in outcomes}
    assert kill_table.everything_part(found).splitlines() == [
        "2 kills of 2 defects.",
        "",
        "Defects that one scenario alone catches: 2.",
        "",
        "| defect | scenario |",
        "|---|---|",
        "| `no-except` | examples/access-by-label.yaml |",
        "| `no-endport` | examples/access-by-label.yaml |",
        "",
        "Scenarios that catch none: 1.",
        "",
        "- examples/three-tier.yaml",
    ]
    both = found | {Trial(other, "no-except"): Outcome(Trial(other, "no-except"), "step: cell")}
    assert "Defects that one scenario alone catches: 1." in kill_table.everything_part(both)
    assert kill_table.idle(both) == []
