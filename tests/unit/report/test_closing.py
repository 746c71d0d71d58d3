"""The summary of a run by folder, its slowest scenarios, and texts that fit into a terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model import CellStatus
from harness.report import CellRecord, Outcome, StepRecord, summary, table, what_is_wrong
from harness.report.widths import columns, cut, shortened

RED = "\x1b[31m"


def step(file: str, *statuses: CellStatus, **fields: object) -> StepRecord:
    cells = tuple(
        CellRecord(f"x/{number}", "y/b:80", 4, "allowed", "allowed", "allowed", status, "a:1:1")
        for number, status in enumerate(statuses)
    )
    plain = StepRecord(file, "Shop", "open", 0, 3, Outcome.PASSED, "fake", cells=cells)
    return replace(plain, **fields)  # type: ignore[arg-type]


PROVEN = CellStatus.PROVEN
STEPS = (
    step("s/ports/a.yaml", *[PROVEN] * 12),
    step("s/ports/b.yaml", PROVEN, CellStatus.UNDEFINED),
    step("s/peers/a.yaml", PROVEN, CellStatus.WRONG, outcome=Outcome.WRONG),
    step("s/admission/a.yaml", outcome=Outcome.SKIPPED),
    step("s/admission/a.yaml", outcome=Outcome.NOT_REFUSED),
    step("a.yaml", CellStatus.NO_VERDICT, outcome=Outcome.NO_VERDICT),
)
BY_FOLDER = """\
17 cells: 14 proven, 1 no verdict, 1 wrong, 1 undefined, in 4 steps of 4 scenarios on fake
             steps  skipped  not refused  cells  proven  no verdict  wrong  undefined
  ports          2                           14      13                             1
  peers          1                            2       1                  1
  admission      2        1            1
  .              1                            1                   1"""


def by_folder(width: int) -> str:
    """The summary before the reasons of cells that prove nothing."""
    return summary(STEPS, width=width).partition("\n1 cell undefined")[0]


def test_a_run_over_several_folders_has_a_row_for_each() -> None:
    assert by_folder(100) == BY_FOLDER


def test_the_table_of_the_folders_has_colours_only_when_asked() -> None:
    assert f"  {RED}    1\x1b[0m" in summary(STEPS, colour=True)
    assert "\x1b" not in summary(STEPS)


def test_a_narrow_terminal_shows_the_same_table_in_parts() -> None:
    assert by_folder(47).splitlines()[1:] == [
        "             steps  skipped  not refused  cells",
        "  ports          2                           14",
        "  peers          1                            2",
        "  admission      2        1            1",
        "  .              1                            1",
        "",
        "             proven  no verdict  wrong",
        "  ports          13",
        "  peers           1                  1",
        "  admission",
        "  .                           1",
        "",
        "             undefined",
        "  ports              1",
        "  peers",
        "  admission",
        "  .",
    ]


def test_long_names_of_folders_lose_their_beginning() -> None:
    steps = (step(f"{'folder' * 20}/a.yaml", PROVEN), step("a.yaml", PROVEN))
    assert summary(steps, width=40).splitlines()[2].split()[0] == "...olderfolderfolder"


def test_folders_of_one_name_show_what_is_above_them() -> None:
    steps = (step("s/a/ports/a.yaml", PROVEN), step("s/b/ports/a.yaml", PROVEN))
    rows = summary(steps).splitlines()[2:4]
    assert [row.split()[0] for row in rows] == ["a/ports", "b/ports"]


def test_one_folder_has_no_table() -> None:
    assert "steps  cells" in summary(STEPS[1:3])
    assert "steps  cells" not in summary(STEPS[:2])


def test_the_slowest_scenarios_are_listed_where_there_are_many() -> None:
    steps = [step(f"s/{number}.yaml", PROVEN, duration_s=number / 2) for number in range(6)]
    steps.append(step("s/1.yaml", PROVEN, index=1, duration_s=1.25))
    listed = summary(steps).partition("slowest scenarios:\n")[2]
    assert listed.splitlines() == [
        "  2.5 s: s/5.yaml",
        "  2.0 s: s/4.yaml",
        "  1.8 s: s/1.yaml",
        "  1.5 s: s/3.yaml",
        "  1.0 s: s/2.yaml",
    ]
    assert "slowest scenarios" not in summary(steps[:5])
    assert "slowest scenarios" not in summary([replace(each, duration_s=0.0) for each in steps])


def test_the_steps_with_the_most_rounds_are_listed_first() -> None:
    steps = [step(f"s/{number}.yaml", PROVEN, full_rounds=number) for number in range(15)]
    lines = summary(steps).splitlines()
    first = lines.index("12 steps needed more than two full rounds:")
    assert lines[first + 1] == "  14 rounds: s/14.yaml::open"
    assert lines[first + 10] == "  5 rounds: s/5.yaml::open"
    assert lines[first + 11] == "  ... and 2 more steps"


def test_a_quiet_summary_has_only_what_is_wrong() -> None:
    assert what_is_wrong(STEPS, ["namespace x"]) == (
        f"{BY_FOLDER.splitlines()[0]}\nnot removed: namespace x"
    )
    assert what_is_wrong(STEPS[:2]) == ""


@pytest.mark.parametrize("width", [20, 31, 32, 33, 80])
def test_no_line_of_a_table_is_wider_than_the_terminal(width: int) -> None:
    cells = [
        replace(cell, destination=f"y/{name}:80")
        for cell in step("a.yaml", PROVEN, PROVEN).cells
        for name in "abcdefghijkl"
    ]
    made = step("a.yaml", cells=tuple(cells))
    lines = table(made, width).splitlines()
    assert max(map(len, lines)) <= width
    assert sum(line.count("allowed") for line in lines) == 24


# ------------------------------------------------------------------ widths


@pytest.mark.parametrize(
    ("text", "room", "begin", "end"),
    [
        ("abcdef", 6, "abcdef", "abcdef"),
        ("abcdef", 5, "ab...", "...ef"),
        ("abcdef", 2, "..", ".."),
        ("abcdef", -1, "", ""),
        ("誰も居ない", 9, "誰も居...", "...居ない"),
        ("誰も居ない", 8, "誰も...", "...ない"),
        ("n\u0303abc", 4, "n\u0303abc", "n\u0303abc"),
    ],
)
def test_a_text_loses_its_end_or_its_beginning(text: str, room: int, begin: str, end: str) -> None:
    assert cut(text, room) == begin
    assert shortened(text, room) == end


@given(st.text(max_size=12), st.integers(0, 15))
def test_a_cut_text_fits(text: str, room: int) -> None:
    assert columns(cut(text, room)) <= room
    assert columns(shortened(text, room)) <= room
