"""The grid that every drawing of a truth table starts from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model import CellStatus
from harness.report import CellRecord, Entry, Outcome, StepRecord, grid

CELL = CellRecord("x/a", "y/b:80", 4, "TIMEOUT", "TIMEOUT", "TIMEOUT", CellStatus.PROVEN, "s:1:1")


def step(*ends: tuple[str, str], columns: tuple[str, ...] = ()) -> StepRecord:
    cells = tuple(replace(CELL, source=source, destination=end) for source, end in ends)
    return StepRecord(
        "s.yaml", "Shut", "shut", 0, 7, Outcome.PASSED, "fake", columns=columns, cells=cells
    )


def test_rows_and_columns_are_in_the_authors_order() -> None:
    """Row a has no cell in column z, which the author put first."""
    made = grid(step(("a", "y"), ("b", "z"), ("b", "y"), columns=("z", "y")))
    assert (made.rows, made.columns) == (("a", "b"), ("z", "y"))
    proven = Entry("TIMEOUT", CellStatus.PROVEN)
    assert made.entries == ((Entry("-"), proven), (proven, proven))


def test_without_an_order_the_columns_are_as_the_cells_come() -> None:
    assert grid(step(("a", "y"), ("a", "z"), ("b", "x"))).columns == ("y", "z", "x")


def test_a_grid_of_some_rows() -> None:
    made = grid(step(("a", "y"), ("b", "y"), ("c", "z"))).only({"c", "a"})
    assert made.rows == ("a", "c")
    assert made.columns == ("y", "z")
    proven = Entry("TIMEOUT", CellStatus.PROVEN)
    assert made.entries == ((proven, Entry("-")), (Entry("-"), proven))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "TIMEOUT"),
        ({"status": CellStatus.WRONG, "observed": "allowed"}, "allowed != TIMEOUT"),
        ({"status": CellStatus.NO_VERDICT, "observed": ""}, "no verdict != TIMEOUT"),
        (
            {"status": CellStatus.WRONG, "observed": "allowed", "limitation": "it leaks"},
            "allowed != TIMEOUT (limited)",
        ),
        ({"status": CellStatus.LIMITED, "limitation": "it leaks"}, "TIMEOUT (limited)"),
        ({"status": CellStatus.UNDEFINED}, "TIMEOUT (undefined)"),
        ({"status": CellStatus.EXEMPT}, "TIMEOUT (exempt)"),
        ({"status": CellStatus.UNPROVEN}, "TIMEOUT (unproven)"),
        ({"status": CellStatus.NOT_JUDGED}, "TIMEOUT (not judged)"),
    ],
)
def test_the_word_of_each_status(changes: dict[str, object], word: str) -> None:
    cell = replace(CELL, **changes)  # type: ignore[arg-type]
    entry = grid(replace(step(), cells=(cell,))).entries[0][0]
    assert entry == Entry(word, cell.status)
