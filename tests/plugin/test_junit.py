"""JUnit files: what each test case has, and what is said if no scenario could run."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness import VERSION
from tests.plugin.conftest import CONFTEST, SCENARIO, RunScenarios, write

pytest_plugins = ["pytester"]

IN_ONE_PROCESS_AND_A_WORKER = pytest.mark.parametrize(
    "spread", [(), ("-n", "1")], ids=["one process", "a worker"]
)

ANOTHER = (
    CONFTEST.replace("fakes.FakeCluster(_answer)", "fakes.FakeCluster(_answer, MINE)")
    + "\nfrom dataclasses import replace\n"
    "MINE = replace(fakes.EVERYTHING, cni='mine', cni_version='v1', kubernetes='v1.34.0')\n"
)
"""A cluster that tells its CNI and its versions."""
UNCHECKED = ANOTHER.replace('if state.scope == "canary":', "if False:")
ABOUT = {"cluster": "fake", "cni": "mine v1", "kubernetes": "v1.34.0", "netpol": VERSION}
FILES = ("--junitxml=junit.xml", "--netpol-results=results.json")


def cases(folder: Path) -> list[ElementTree.Element]:
    return list(ElementTree.parse(folder / "junit.xml").getroot().iter("testcase"))  # noqa: S314


def properties(case: ElementTree.Element) -> dict[str | None, str | None]:
    return {item.get("name"): item.get("value") for item in case.iter("property")}


@IN_ONE_PROCESS_AND_A_WORKER
def test_each_test_case_has_the_cluster_and_its_versions(
    pytester: pytest.Pytester, run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    poor = ANOTHER.replace("cni='mine'", "features=frozenset(), cni='mine'")
    text = SCENARIO.replace("nobody is left\n", "nobody is left\n    needs: [hairpin]\n")
    write(pytester, "scenarios/shop.yaml", text)
    result = run_scenarios("scenarios", *FILES, *spread, conftest=poor)
    result.assert_outcomes(passed=2, skipped=1)
    found = [properties(case) for case in cases(pytester.path)]
    assert [{key: one.get(key) for key in ABOUT} for one in found] == [ABOUT] * 3
    assert [one.get("cells") for one in found] == ["2", "2", None]
    run = json.loads((pytester.path / "results.json").read_text())["run"]
    assert {key: run[key] for key in ("cni", "cni_version", "kubernetes", "options")} == {
        "cni": "mine",
        "cni_version": "v1",
        "kubernetes": "v1.34.0",
        "options": "",
    }


@IN_ONE_PROCESS_AND_A_WORKER
def test_a_failure_has_the_table_and_the_reasons_without_colours(
    pytester: pytest.Pytester, run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    result = run_scenarios(
        "scenarios", "--color=yes", *FILES, *spread, answer="enforces_nothing", conftest=ANOTHER
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (failure, *_) = (item for case in cases(pytester.path) for item in case.iter("failure"))
    assert failure.get("message") == "1 of 2 cells is wrong"
    body = failure.text or ""
    assert "  shop/stranger  allowed != TIMEOUT\n" in body
    assert "shop/stranger -> shop/database:5432: observed allowed, expected TIMEOUT\n" in body
    assert (
        "\n    egress of shop/stranger: not isolated (no policy selects it for Egress)\n" in body
    )
    assert "\x1b" not in body
    assert "#x1B" not in body


@IN_ONE_PROCESS_AND_A_WORKER
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            "enforces_nothing",
            "cluster fake does not enforce NetworkPolicy: a policy that denies all ingress "
            "was accepted, and canary/client -> canary/near:8080, "
            "canary/client -> canary/far:8080 still connect\nhint: use a CNI",
        ),
        ("answers_nothing", "the canary got no verdict on canary/client -> canary/near:8080"),
    ],
)
def test_a_cluster_that_the_canary_refuses_is_a_test_case_in_error(
    pytester: pytest.Pytester,
    run_scenarios: RunScenarios,
    spread: tuple[str, ...],
    answer: str,
    message: str,
) -> None:
    result = run_scenarios("scenarios", *FILES, *spread, answer=answer, conftest=UNCHECKED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not result.parseoutcomes().keys() & {"passed", "failed", "error", "errors"}
    assert "before the first scenario" not in result.stdout.str()
    (case,) = cases(pytester.path)
    assert (case.get("classname"), case.get("name")) == ("netpol", "before the first scenario")
    (error,) = case.iter("error")
    assert (error.text or "").startswith(message)
    run = json.loads((pytester.path / "results.json").read_text())["run"]
    assert run["refusal"].startswith(message)
    assert (run["cni"], run["kubernetes"]) == ("mine", "v1.34.0")


NO_CLUSTER = CONFTEST.replace(
    "    return fakes.FakeCluster(_answer)",
    "    from harness.errors import ClusterError\n    raise ClusterError('nobody is there')",
)


@IN_ONE_PROCESS_AND_A_WORKER
def test_a_cluster_that_is_not_there_is_a_test_case_in_error(
    pytester: pytest.Pytester, run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    result = run_scenarios("scenarios", *FILES, *spread, conftest=NO_CLUSTER)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (case,) = cases(pytester.path)
    assert [error.text for error in case.iter("error")] == ["nobody is there"]


def test_without_the_canary_each_step_says_that_no_cluster_is_there(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    options = ("--netpol-canary=off", "--netpol-defect=enforces-nothing")
    result = run_scenarios("scenarios", *FILES, *options, conftest=NO_CLUSTER)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = cases(pytester.path)
    assert [properties(case)["cluster"] for case in found] == ["netns"] * 3
    assert [item.text for case in found for item in case.iter("failure")] == [
        "nobody is there"
    ] * 3
