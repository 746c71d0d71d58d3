"""The kill table: what counts as a kill, and what is a failure of the suite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness import catalogue, scenario
from harness.catalogue import Effect
from harness.model import Verdict
from tools import kill_table
from tools.kill_table import SCENARIOS, Outcome, Trial, Wrong, tried

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
    monkeypatch.setattr(kill_table, "_named", lambda _: closes)
    assert tried(Trial(PATH, "no-enforcement")).killed_by == ""


@pytest.mark.usefixtures("available")
def test_a_scenario_that_cannot_run_here_says_why() -> None:
    path = SCENARIOS / "examples" / "cilium-fqdn.yaml"
    assert tried(Trial(path, "no-enforcement")).skipped == (
        "cluster netns lacks the API cilium.io/v2/CiliumNetworkPolicy"
    )


def found(claim: Outcome, alone: str = "") -> list[str]:
    """The problems of one scenario, without those of defects that it does not claim."""
    outcomes = {claim.trial: claim, Trial(PATH, None): Outcome(Trial(PATH, None), alone)}
    every = kill_table.problems({PATH: scenario.load(PATH)}, outcomes)
    return [line for line in every if not line.startswith("B") or line.startswith("B67")]


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
