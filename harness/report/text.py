"""A step as text. Colour is optional, and adds no information."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from harness.model import CellStatus
from harness.report.grid import Grid, grid
from harness.report.page import detail, page
from harness.report.record import Outcome, StepRecord
from harness.report.tally import counted, tally
from harness.report.watches import details as watch_details
from harness.report.watches import facts as watch_facts

WIDTH = 100
"""The default width of a table before it is continued below."""
_INDENT = 2
_ROWS = 20
"""A failure with more rows than this shows only those that are not as expected."""
_DETAILS = 10
"""The maximum number of cells that a failure explains; the table marks all of them."""
_PAGES = 2
"""The maximum number of cells that a failure shows with the policies and pods around them."""

_COLOURS = {
    CellStatus.WRONG: "31",
    CellStatus.NO_VERDICT: "33",
    CellStatus.UNPROVEN: "33",
    CellStatus.UNDEFINED: "36",
    CellStatus.EXEMPT: "36",
    CellStatus.NOT_JUDGED: "36",
    CellStatus.LIMITED: "36",
}


# ------------------------------------------------------------------ tables


def table(
    step: StepRecord,
    width: int = WIDTH,
    colour: bool = False,
    rows: Sequence[str] | None = None,
) -> str:
    """Return the step's truth table as observed; unexpected verdicts are marked.

    ``rows`` are the sources to show; None means all. A table wider than ``width`` is
    continued below, with the same rows.
    """
    return aligned(grid(step) if rows is None else grid(step).only(rows), width, colour)


def aligned(shown: Grid, width: int, colour: bool = False) -> str:
    """Return a grid as lines of text. One wider than ``width`` is continued below."""
    first = max((len(row) for row in shown.rows), default=0)
    columns = [_Column(shown, place, colour) for place in range(len(shown.columns))]
    blocks = _blocks(columns, width - first - _INDENT)
    return "\n\n".join(_block(shown.rows, first, block) for block in blocks)


class _Column:
    """A column of a grid as texts of the same width."""

    def __init__(self, shown: Grid, place: int, colour: bool) -> None:
        self._entries = [row[place] for row in shown.entries]
        self._head = shown.columns[place]
        self._colour = colour
        self.width = max([len(self._head), *(len(entry.word) for entry in self._entries)])
        numbers = all(entry.word.isdigit() or not entry.word for entry in self._entries)
        self._align = str.rjust if numbers else str.ljust

    def head(self) -> str:
        return self._align(self._head, self.width)

    def word(self, row: int) -> str:
        entry = self._entries[row]
        text = self._align(entry.word, self.width)
        code = _COLOURS.get(entry.status) if self._colour and entry.status else None
        return f"\x1b[{code}m{text}\x1b[0m" if code else text


def _blocks(columns: Iterable[_Column], room: int) -> Iterator[tuple[_Column, ...]]:
    block: list[_Column] = []
    used = 0
    for column in columns:
        needs = column.width + 2
        if block and used + needs > room:
            yield tuple(block)
            block, used = [], 0
        block.append(column)
        used += needs
    if block:
        yield tuple(block)


def _block(rows: Sequence[str], first: int, columns: Sequence[_Column]) -> str:
    lines = [["".ljust(first), *(column.head() for column in columns)]]
    for place, row in enumerate(rows):
        lines.append([row.ljust(first), *(column.word(place) for column in columns)])
    return "\n".join(f"{' ' * _INDENT}{'  '.join(line)}".rstrip() for line in lines)


# ------------------------------------------------------------------ failures


def sentence(step: StepRecord) -> str:
    """Return in one line what is wrong with the step, or an empty string."""
    total = len(step.cells)
    facts = []
    if wrong := step.having(CellStatus.WRONG):
        facts.append(f"{len(wrong)} of {counted(total, 'cell')} {_be(wrong)} wrong")
    if missing := step.having(CellStatus.NO_VERDICT):
        facts.append(f"no verdict on {len(missing)} of {counted(total, 'cell')}")
    if unproven := step.having(CellStatus.UNPROVEN):
        facts.append(
            f"{len(unproven)} of {counted(total, 'cell')} unproven, never seen connecting"
        )
    facts += watch_facts(step)
    if step.outcome is Outcome.LIMITED:
        limited = step.having(CellStatus.LIMITED)
        reasons = "; ".join(dict.fromkeys(cell.limitation for cell in limited))
        facts.append(f"{len(limited)} of {counted(total, 'cell')} limited: {reasons}")
    if step.outcome is Outcome.NO_VERDICT and not step.cells:
        facts.append("no verdict: the table has no cells")
    held = "" if step.held_s is None else f"was right for {step.held_s:.1f} s, then "
    return held + ", ".join(facts) or step.message.partition("\n")[0]


def failure(step: StepRecord, width: int = WIDTH, colour: bool = False) -> str:
    """Describe what is wrong: a sentence, the table, then each cell with location and reasons.

    The first cells have a whole page.
    """
    rounds = f"{counted(step.full_rounds, 'full round')}, {step.probe_s:.1f} s of probing"
    parts = [f"step '{step.step}': {sentence(step)} ({rounds})"]
    odd = [cell for cell in step.cells if cell.is_odd]
    sources = tuple(dict.fromkeys(cell.source for cell in step.cells))
    shown = sources
    if len(sources) > _ROWS:
        shown = tuple(dict.fromkeys(cell.source for cell in odd))
    parts.append(table(step, width, colour, shown))
    notes = ["observed != expected"] if step.outcome in {Outcome.WRONG, Outcome.NO_VERDICT} else []
    if len(shown) < len(sources):
        notes.append(f"{counted(len(sources) - len(shown), 'row')} as expected not shown")
    if notes:
        parts[-1] += f"\n  ({'; '.join(notes)})"
    parts += watch_details(step)
    parts += [page(step, cell) for cell in odd[:_PAGES]]
    parts += [detail(cell) for cell in odd[_PAGES:_DETAILS]]
    if len(odd) > _DETAILS:
        parts.append(f"... and {counted(len(odd) - _DETAILS, 'more cell')}, marked in the table")
    return "\n\n".join(parts)


# ------------------------------------------------------------------ the end of a step


def step_line(step: StepRecord) -> str:
    """Return in one line what a step measured, and how long it took to become right."""
    if not step.cells:
        return f"{step.name}: {step.outcome}"
    return f"{step.name}: {', '.join([str(step.outcome), tally(step.cells), *measures(step)])}"


def measures(step: StepRecord) -> Iterator[str]:
    """Yield how many rounds the step needed, and how long it took to become right."""
    yield counted(step.full_rounds, "full round")
    if step.time_to_deny_s is not None:
        yield f"time-to-deny {step.time_to_deny_s:.2f} s"
    if step.time_to_allow_s is not None:
        yield f"time-to-allow {step.time_to_allow_s:.2f} s"


def _be(items: Sequence[object]) -> str:
    return "is" if len(items) == 1 else "are"
