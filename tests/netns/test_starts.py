"""New pods of the embedded cluster from their first moment, with and without defects."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import scenario
from harness.cluster.netns import NetnsCluster
from harness.model import StepResult, Verdict
from harness.runner import ScenarioRun

FILE = Path(__file__).parents[2] / "scenarios/conformance/time/first-instant.yaml"
OPENED = ["x/new -> z/a:80", "x/new -> z/a:80/UDP", "x/new -> svc/z/a:80", "x/far -> z/a:80"]
"""The denied pairs that only the rules of the new pods deny."""


def run_with(defect: str | None) -> StepResult:
    with NetnsCluster(defect=defect) as cluster:
        result = ScenarioRun(cluster, scenario.load(FILE), selected=[1]).run(1)
    assert not result.reachability.mismatches
    assert all(pair.init.probes >= 10 and pair.main.probes == 40 for pair in result.started)
    return result


def test_a_new_pod_is_isolated_before_its_network_is_up(available: None) -> None:
    result = run_with(None)
    allowed = [pair for pair in result.started if pair.cell.expected is Verdict.ALLOWED]
    denied = [pair for pair in result.started if pair.cell.expected is Verdict.TIMEOUT]
    assert [str(pair.cell.probe) for pair in allowed] == ["x/new -> y/a:80"]
    assert len(denied) == 5
    assert [pair.connected_s for pair in denied] == [None] * 5
    assert not any(pair.is_wrong or pair.is_silent for pair in result.started)


@pytest.mark.parametrize(
    ("defect", "in_main"), [("late-attach", {True}), ("init-exempt", {False})]
)
def test_a_pod_with_late_rules_sees_what_is_denied(
    available: None, defect: str, in_main: set[bool]
) -> None:
    opened = [pair for pair in run_with(defect).started if pair.is_wrong]
    assert sorted(str(pair.cell.probe) for pair in opened) == sorted(OPENED)
    assert all(pair.init.connected for pair in opened)
    assert {bool(pair.main.connected) for pair in opened} == in_main
