"""A step as one line of a terminal: while it runs, and when it has ended."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.record import Outcome, StepRecord
from harness.report.tally import counted, tally
from harness.report.text import measures
from harness.report.widths import columns, cut, shortened
from harness.settle import Progress

_COLOURS = {
    Outcome.PASSED: "32",
    Outcome.LIMITED: "36",
    Outcome.SKIPPED: "36",
    Outcome.WRONG: "31",
    Outcome.NOT_REFUSED: "31",
}
_OTHER_COLOUR = "33"
_LEAST_NAME = 8
"""A name that would be cut to fewer columns is left out."""
_LEAST_NODE_ID = 30
"""A line with fewer columns for the node id has no numbers."""
_OUTCOME = max(len(outcome) for outcome in (Outcome.PASSED, Outcome.UNPROVEN, Outcome.NO_VERDICT))


def running(progress: Progress, scenario: str, step: str, width: int) -> str:
    """Return what a step waits for and its names, in at most ``width`` columns.

    ``scenario`` is cut first, so that the name of the step can be read. A narrow terminal shows
    no phase beside the other facts.
    """
    facts = [str(progress.phase), *_facts(progress)]
    if columns(", ".join(facts)) > width and len(facts) > 1:
        del facts[0]
    text = ", ".join(facts)
    room = width - columns(text) - 2
    if room < _LEAST_NAME:
        return cut(text, width)
    of_scenario = max(room - columns(step) - 2, room // 3)
    names = f"{cut(_plain(scenario), of_scenario)}: {_plain(step)}"
    return f"{text}  {cut(names if of_scenario >= _LEAST_NAME else _plain(step), room)}"


def _facts(progress: Progress) -> Iterator[str]:
    if progress.round:
        yield f"round {progress.round}"
        yield f"{progress.right} of {counted(progress.cells, 'cell')} right"
    if progress.left_s is not None:
        yield f"{progress.left_s:.0f} s left"


def ended(step: StepRecord, place: str, width: int | None = None, colour: bool = False) -> str:
    """Return what a step gave, in one line: ``place``, outcome, cells, seconds and its node id.

    If the line has more than ``width`` columns, the beginning of the node id is left out; on a
    narrow terminal also the cells and the seconds.
    """
    outcome = f"{step.outcome:<{_OUTCOME}}"
    seconds = f"{step.duration_s:.1f} s" if step.cells else ""
    facts = f"  {_cells(step):>13}  {seconds:>8}  "
    name = _plain(step.name)
    if width is not None:
        if width - columns(f"{place}{outcome}{facts}") < _LEAST_NODE_ID:
            facts = "  "
        name = shortened(name, width - columns(f"{place}{outcome}{facts}"))
    if colour:
        outcome = f"\x1b[{_COLOURS.get(step.outcome, _OTHER_COLOUR)}m{outcome}\x1b[0m"
    return f"{place}{outcome}{facts}{name}"


def details(step: StepRecord) -> str:
    """Return what else the step measured, or an empty string for one without cells."""
    if not step.cells:
        return ""
    return ", ".join([tally(step.cells), *measures(step)])


def _cells(step: StepRecord) -> str:
    """Return how many of the cells are as expected."""
    odd = sum(cell.is_odd for cell in step.cells)
    return f"{len(step.cells) - odd}/{counted(len(step.cells), 'cell')}" if step.cells else ""


def _plain(text: str) -> str:
    """Return the text without characters that move the cursor."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
