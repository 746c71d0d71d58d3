"""A step as one line, while it runs and when it has ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model import CellStatus
from harness.report import CellRecord, Outcome, StepRecord, details, ended, running
from harness.report.widths import columns
from harness.settle import Phase, Progress

SETTLING = Progress(Phase.SETTLE, 3, 2, 6, 12.4)
NAMES = ("Only the frontend reaches the database", "nobody is left")
STEP = StepRecord(
    "scenarios/conformance/shop.yaml",
    "Shop",
    "nobody is left",
    1,
    9,
    Outcome.WRONG,
    "fake",
    cells=tuple(
        CellRecord(f"x/{number}", "y/b:80", 4, "allowed", "allowed", "allowed", status, "a:1:1")
        for number, status in enumerate([CellStatus.PROVEN] * 2 + [CellStatus.WRONG])
    ),
    full_rounds=2,
    time_to_deny_s=0.25,
    duration_s=1.25,
)


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (
            110,
            "settling, round 3, 2 of 6 cells right, 12 s left  "
            "Only the frontend reaches the database: nobody is left",
        ),
        (
            80,
            "settling, round 3, 2 of 6 cells right, 12 s left  Only the fr...: nobody is left",
        ),
        (70, "settling, round 3, 2 of 6 cells right, 12 s left  nobody is left"),
        (50, "settling, round 3, 2 of 6 cells right, 12 s left"),
        (48, "settling, round 3, 2 of 6 cells right, 12 s left"),
        (47, "round 3, 2 of 6 cells right, 12 s left"),
        (20, "round 3, 2 of 6 c..."),
        (0, ""),
    ],
)
def test_the_names_are_cut_first(width: int, text: str) -> None:
    assert running(SETTLING, *NAMES, width) == text


def test_a_phase_without_rounds_has_no_numbers() -> None:
    assert running(Progress(Phase.APPLY), "Shop", "open", 80) == "applying  Shop: open"
    watching = Progress(Phase.WATCH, left_s=3.6)
    assert running(watching, "Shop", "open", 80) == "watching, 4 s left  Shop: open"


@given(st.text(max_size=30), st.text(max_size=30), st.integers(0, 100))
def test_a_running_step_is_one_line_that_fits(scenario: str, step: str, width: int) -> None:
    text = running(SETTLING, scenario, step, width)
    assert columns(text) <= width
    assert text.isprintable()


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (
            None,
            "[2/3] wrong           2/3 cells     1.2 s  "
            "scenarios/conformance/shop.yaml::nobody is left",
        ),
        (80, "[2/3] wrong           2/3 cells     1.2 s  ...formance/shop.yaml::nobody is left"),
        (60, "[2/3] wrong       ...s/conformance/shop.yaml::nobody is left"),
        (40, "[2/3] wrong       ...aml::nobody is left"),
    ],
)
def test_a_step_that_ended_is_a_line(width: int | None, text: str) -> None:
    assert ended(STEP, "[2/3] ", width) == text


def test_the_outcome_has_a_colour_only_when_asked() -> None:
    assert ended(STEP, "", colour=True).startswith("\x1b[31mwrong     \x1b[0m  ")
    assert ended(replace(STEP, outcome=Outcome.PASSED), "", colour=True).startswith("\x1b[32m")
    assert ended(replace(STEP, outcome=Outcome.NO_VERDICT), "", colour=True).startswith("\x1b[33m")


def test_a_step_without_cells_has_no_counts() -> None:
    skipped = replace(STEP, outcome=Outcome.SKIPPED, cells=(), duration_s=0.0)
    assert ended(skipped, "[2/3] ") == (
        f"[2/3] skipped{' ' * 30}scenarios/conformance/shop.yaml::nobody is left"
    )
    assert details(skipped) == ""


def test_the_details_of_a_step_are_its_cells_by_status_and_its_times() -> None:
    assert details(STEP) == "3 cells: 2 proven, 1 wrong, 2 full rounds, time-to-deny 0.25 s"
