"""Results in the form of a ConformanceReport, and such a report beside them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from harness.errors import UsageError
from harness.report import Outcome, Results, Run, StepRecord
from harness.report.shape import Upstream, shape, suite, upstream

RUN = Run(
    "np1",
    "2030-01-01T00:00:00+00:00",
    1.0,
    "0.1.0",
    "kind",
    0,
    cni="cilium",
    cni_version="v1.20.2",
    kubernetes="v1.34.0",
)


def step(file: str, outcome: Outcome, *covers: str, index: int = 0) -> StepRecord:
    return StepRecord(file, "S", f"step {index}", index, 7, outcome, "kind", covers=covers)


def shaped(*steps: StepRecord, beside: Upstream | None = None) -> Any:
    return yaml.safe_load(shape(Results(RUN, steps), beside))


def test_a_scenario_is_a_test_and_one_bad_step_fails_it() -> None:
    found = shaped(
        step("a.yaml", Outcome.PASSED, "T01"),
        step("b.yaml", Outcome.PASSED, "T01"),
        step("b.yaml", Outcome.WRONG, "T01", index=1),
        step("c.yaml", Outcome.LIMITED, "T13"),
        step("d.yaml", Outcome.SKIPPED, "T01"),
        step("n.yaml", Outcome.PASSED, "R01"),
    )
    assert (found["apiVersion"], found["kind"]) == ("netpol.harness/v1", "ScenarioReport")
    assert found["date"] == "2030-01-01T00:00:00+00:00"
    assert found["implementation"]["project"] == "cilium"
    assert found["implementation"]["version"] == "v1.20.2"
    assert found["profiles"] == [
        {
            "name": "ClusterNetworkPolicy",
            "standard": {
                "result": "failure",
                "summary": "",
                "statistics": {"Failed": 2, "Passed": 1, "Skipped": 1},
                "skippedTests": ["d.yaml"],
                "failedTests": ["b.yaml", "c.yaml"],
            },
        },
        {
            "name": "NetworkPolicy",
            "standard": {
                "result": "success",
                "summary": "",
                "statistics": {"Failed": 0, "Passed": 1, "Skipped": 0},
            },
        },
    ]


def test_experimental_features_are_apart() -> None:
    [profile] = shaped(
        step("a.yaml", Outcome.PASSED, "T01"),
        step("ports.yaml", Outcome.PASSED, "T19"),
        step("nodes.yaml", Outcome.SKIPPED, "T15"),
    )["profiles"]
    assert profile["standard"]["statistics"] == {"Failed": 0, "Passed": 1, "Skipped": 0}
    assert profile["experimental"] == {
        "result": "partial",
        "summary": "",
        "statistics": {"Failed": 0, "Passed": 1, "Skipped": 1},
        "skippedTests": ["nodes.yaml"],
        "supportedFeatures": ["ClusterNetworkPolicyNamedPorts"],
        "unsupportedFeatures": ["ClusterNetworkPolicyEgressNodePeers"],
    }


def test_nothing_is_called_conformant() -> None:
    text = shape(Results(RUN, (step("a.yaml", Outcome.PASSED, "T01"),)))
    assert "conforman" not in text.lower()


REPORT = """
apiVersion: policy.networking.k8s.io/v1alpha1
kind: ConformanceReport
date: "2030-01-02T00:00:00Z"
implementation: {project: some-plugin, version: v2}
profiles:
- name: ClusterNetworkPolicy
  standard:
    result: failure
    statistics: {Failed: 1, Passed: 20, Skipped: 1}
    failedTests: [CNPAdminTierPriority]
    skippedTests: [SomethingElse]
  experimental:
    statistics: {Failed: 0, Passed: 6, Skipped: 0}
- name: old
  core:
    statistics: {Failed: 0, Passed: 7, Skipped: 0}
- core:
  statistics: {Failed: 0, Passed: 2, Skipped: 0}
"""


def test_a_report_of_the_suite_is_read() -> None:
    assert upstream(REPORT, "r.yaml") == Upstream(
        "some-plugin",
        "v2",
        "2030-01-02T00:00:00Z",
        frozenset({"CNPAdminTierPriority"}),
        frozenset({"SomethingElse"}),
        35,
    )


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("[", "r.yaml: not YAML"),
        ("kind: Pod", "r.yaml: not a ConformanceReport"),
        ("- 1", "r.yaml: not a ConformanceReport"),
    ],
)
def test_another_file_is_refused(text: str, fact: str) -> None:
    with pytest.raises(UsageError) as error:
        upstream(text, "r.yaml")
    assert str(error.value).startswith(fact)


@pytest.mark.parametrize(
    "text",
    ["kind: ConformanceReport", "{kind: ConformanceReport, profiles: [1, {standard: 2}]}"],
)
def test_a_report_with_holes_is_read(text: str) -> None:
    assert upstream(text, "r.yaml") == Upstream("", "", "", frozenset(), frozenset(), 0)


def test_tests_stand_beside_the_scenarios_that_ask_the_same() -> None:
    name, (file, *others) = next(iter(suite().items()))
    other = Upstream("p", "v", "d", frozenset({name}), frozenset({"Unknown"}), 3)
    found = shaped(step(f"work/{file}", Outcome.PASSED, "T01"), beside=other)["beside"]
    assert found["passed"] == 3
    assert found["tests"][0] == {
        "name": name,
        "there": "failed",
        "here": {file: "passed", **dict.fromkeys(others, "did not run")},
    }
    assert found["tests"][1]["there"] == "neither failed nor skipped"
    assert found["unknownTests"] == ["Unknown"]
