"""The progress line on a terminal that the test can read, with a clock that the test sets."""

from __future__ import annotations

import io
from typing import cast

import pytest

from harness.plugin.progress import ProgressLine
from harness.settle import Phase, Progress
from tests.screen import Screen

TWO_RIGHT = Progress(Phase.SETTLE, 3, 2, 6, 12.4)
ALL_RIGHT = Progress(Phase.SETTLE, 4, 6, 6, 11.6)
LINE = "settling, round 3, 2 of 6 cells right, 12 s left  Shop: open"


class Terminal:
    """A screen, a clock, and a line on both; pytest has written ``before``."""

    def __init__(self, before: str = "", width: int = 70, rows: int = 100) -> None:
        self.screen = Screen(width, rows)
        self.screen.write(before)
        self.now = 10.0
        self.width = width
        column = len(before.rpartition("\n")[2])
        stream = cast("io.TextIOWrapper", self.screen)
        self.line = ProgressLine(stream, lambda: self.width, lambda: column, lambda: self.now)


def test_the_line_is_rewritten_in_place_and_erased_at_the_end() -> None:
    made = Terminal("done\n")
    with made.line.of("Shop", "open"):
        made.line.tell(TWO_RIGHT)
        assert made.screen.text() == f"done\n{LINE}"
        made.now += 1
        made.line.tell(Progress(Phase.APPLY))
        assert made.screen.text() == "done\napplying  Shop: open"
    assert made.screen.text() == "done"
    assert made.screen.cursor == (1, 0)


@pytest.mark.parametrize("rows", [2, 100])
def test_the_line_is_below_what_pytest_wrote_and_the_cursor_goes_back(rows: int) -> None:
    """Also in the last row of the terminal, where a new line moves all others up."""
    made = Terminal("first\n\nscenarios/shop.yaml ..", rows=rows)
    before = made.screen.cursor
    with made.line.of("Shop", "open"):
        for _ in range(2):
            made.line.tell(TWO_RIGHT)
            made.now += 1
            assert made.screen.text() == f"first\n\nscenarios/shop.yaml ..\n{LINE}"
            assert made.screen.cursor == before
    made.screen.write(".")
    assert made.screen.text() == "first\n\nscenarios/shop.yaml ..."


def test_a_line_of_pytest_that_is_wider_than_the_terminal() -> None:
    made = Terminal("scenarios/shop.yaml::open ", width=20)
    with made.line.of("Shop", "open"):
        made.line.tell(Progress(Phase.APPLY))
        assert made.screen.text() == "scenarios/shop.yaml:\n:open\napplying"
    made.screen.write("PASSED")
    assert made.screen.text() == "scenarios/shop.yaml:\n:open PASSED"


def test_a_line_is_rewritten_ten_times_a_second_at_most() -> None:
    made = Terminal()
    with made.line.of("Shop", "open"):
        made.line.tell(TWO_RIGHT)
        made.now += 0.05
        made.line.tell(ALL_RIGHT)
        assert made.screen.text() == LINE
        made.line.tell(Progress(Phase.CONFIRM, 5, 6, 6, 11.6))  # another phase
        assert made.screen.text().startswith("confirming, round 5")
        made.now += 0.11
        made.line.tell(Progress(Phase.CONFIRM, 6, 6, 6, 11.6))
        assert made.screen.text().startswith("confirming, round 6")


def test_the_line_is_erased_when_the_step_is_interrupted() -> None:
    made = Terminal()

    def interrupted() -> None:
        with made.line.of("Shop" * 20, "open"):
            made.line.tell(TWO_RIGHT)
            made.screen.write("^C")  # The kernel does so.
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert made.screen.text() == ""


def test_a_step_without_progress_writes_nothing() -> None:
    made = Terminal("shop.yaml ")
    with made.line.of("Shop", "open"):
        pass
    assert made.screen.cursor == (0, 10)


def test_the_line_follows_the_width_of_the_terminal() -> None:
    made = Terminal()
    with made.line.of("Shop", "open"):
        made.line.tell(TWO_RIGHT)
        made.now += 1
        made.width = 30
        made.line.tell(Progress(Phase.APPLY))
        made.now += 1
        made.line.tell(TWO_RIGHT)
        assert made.screen.text() == "round 3, 2 of 6 cells ri..."


def test_a_terminal_that_is_gone_ends_no_run() -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise OSError(5, "Input/output error")

    line = ProgressLine(Gone(), lambda: 80, lambda: 0)
    with line.of("Shop", "open"):
        line.tell(TWO_RIGHT)


def test_without_a_terminal_nothing_is_shown() -> None:
    line = ProgressLine(None, lambda: 80, lambda: 0)
    with line.of("Shop", "open"):
        line.tell(TWO_RIGHT)
    line.close()
