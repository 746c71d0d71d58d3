"""Scenarios that run only where the run includes what they need by name."""

from __future__ import annotations

import pytest

from harness.choice import RUN_OPTIONS
from harness.model import ON_REQUEST
from tests.plugin.conftest import SCENARIO, RunScenarios, write

pytest_plugins = ["pytester"]

BOTH = SCENARIO.replace("topology:", "needs: [scale, disruptive]\ntopology:", 1)


@pytest.mark.parametrize("spread", [(), ("-n", "1")], ids=["one process", "a worker"])
@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ((), "--netpol-include=disruptive --netpol-include=scale"),
        (("--netpol-include=scale",), "--netpol-include=disruptive"),
        (("--netpol-include=disruptive",), "--netpol-include=scale"),
        (("--netpol-include=disruptive", "--netpol-include=scale"), ""),
    ],
)
def test_a_scenario_runs_only_if_the_run_includes_all_that_it_needs(
    pytester: pytest.Pytester,
    run_scenarios: RunScenarios,
    given: tuple[str, ...],
    missing: str,
    spread: tuple[str, ...],
) -> None:
    write(pytester, "scenarios/both.yaml", BOTH)
    result = run_scenarios("scenarios/both.yaml", *given, *spread, "-rs")
    if not missing:
        result.assert_outcomes(passed=3)
        return
    result.assert_outcomes(skipped=3)
    reasons = [line.partition(": ")[2] for line in result.outlines if line.startswith("SKIPPED")]
    assert {reason.partition(": ")[2] or reason for reason in reasons} == {
        f"runs only with {missing}"
    }


def test_the_option_accepts_every_need_that_a_run_includes_by_name() -> None:
    (include,) = (option for option in RUN_OPTIONS if option.name == "include")
    assert include.choices == tuple(ON_REQUEST)


def test_an_include_that_no_scenario_can_need_is_an_error(run_scenarios: RunScenarios) -> None:
    result = run_scenarios("scenarios", "--netpol-include=sctp")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert any(
        "argument --netpol-include: invalid choice: 'sctp'" in line for line in result.errlines
    )
