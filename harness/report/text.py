"""StepRecords as text for people. Words carry everything; colour, where asked for, only helps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from textwrap import indent

from harness.model import CellStatus
from harness.report.record import CellRecord, Outcome, StepRecord

WIDTH = 100
"""Columns of a table before it is continued below, where no terminal says otherwise."""
_ROWS = 20
"""A failure shows no more rows than this; beyond, only those that are not as expected."""
_DETAILS = 10
"""A failure explains no more cells than this; all of them are marked in the table."""

_WORTH_TELLING_S = 0.01

_REASONS = 5
"""The summary lists no more reasons than this for each kind of cell, the most frequent first."""

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
    """Draw the step's truth table as observed; cells that are not as expected say so.

    ``rows`` are the sources to show, None means all. A table wider than ``width`` is
    continued below, with the same rows.
    """
    sources = tuple(dict.fromkeys(cell.source for cell in step.cells)) if rows is None else rows
    columns = _columns(step.cells)
    cells = {(cell.source, cell.column): cell for cell in step.cells}
    first = max((len(source) for source in sources), default=0)
    grid = _Grid(tuple(sources), cells, first, colour)
    blocks = [grid.draw(block) for block in _blocks(columns, grid, width - first)]
    return "\n\n".join(blocks)


def _columns(cells: Sequence[CellRecord]) -> tuple[str, ...]:
    """The columns as the author ordered them, although a row may leave some out."""
    ordered: list[str] = []
    row, place = "", 0
    for cell in cells:
        if cell.source != row:
            row, place = cell.source, 0
        if cell.column in ordered:
            place = ordered.index(cell.column) + 1
        else:
            ordered.insert(place, cell.column)
            place += 1
    return tuple(ordered)


class _Grid:
    """A truth table that can be drawn a block of columns at a time."""

    def __init__(
        self,
        sources: tuple[str, ...],
        cells: dict[tuple[str, str], CellRecord],
        first: int,
        colour: bool,
    ) -> None:
        self._sources = sources
        self._cells = cells
        self._first = first
        self._colour = colour

    def width(self, column: str) -> int:
        words = [len(_word(self._cells.get((source, column)))) for source in self._sources]
        return max([len(column), *words])

    def draw(self, columns: tuple[str, ...]) -> str:
        widths = [self.width(column) for column in columns]
        head = [column.ljust(width) for column, width in zip(columns, widths, strict=True)]
        lines = [self._line("", head)]
        for source in self._sources:
            words = [
                self._painted(self._cells.get((source, column)), width)
                for column, width in zip(columns, widths, strict=True)
            ]
            lines.append(self._line(source, words))
        return "\n".join(lines)

    def _line(self, source: str, words: Sequence[str]) -> str:
        return "  ".join([f"  {source.ljust(self._first)}", *words]).rstrip()

    def _painted(self, cell: CellRecord | None, width: int) -> str:
        text = _word(cell).ljust(width)
        code = _COLOURS.get(cell.status) if cell is not None and self._colour else None
        return f"\x1b[{code}m{text}\x1b[0m" if code else text


def _blocks(columns: Iterable[str], grid: _Grid, room: int) -> Iterator[tuple[str, ...]]:
    block: list[str] = []
    used = 0
    for column in columns:
        needs = grid.width(column) + 2
        if block and used + needs > room:
            yield tuple(block)
            block, used = [], 0
        block.append(column)
        used += needs
    if block:
        yield tuple(block)


def _word(cell: CellRecord | None) -> str:
    if cell is None:
        return "-"
    expected = f"{cell.expected} (limited)" if cell.limitation else cell.expected
    match cell.status:
        case CellStatus.WRONG:
            return f"{cell.observed} != {expected}"
        case CellStatus.NO_VERDICT:
            return f"no verdict != {expected}"
        case CellStatus.PROVEN:
            return cell.observed
        case _:
            return f"{cell.observed} ({cell.status})"


# ------------------------------------------------------------------ failures


def sentence(step: StepRecord) -> str:
    """Say in one line what is wrong with the step; empty where nothing is."""
    total = len(step.cells)
    facts = []
    if wrong := step.having(CellStatus.WRONG):
        facts.append(f"{len(wrong)} of {_count(total, 'cell')} {_be(wrong)} wrong")
    if silent := step.having(CellStatus.NO_VERDICT):
        facts.append(f"no verdict on {len(silent)} of {_count(total, 'cell')}")
    if unproven := step.having(CellStatus.UNPROVEN):
        facts.append(f"{len(unproven)} of {_count(total, 'cell')} unproven, never seen connecting")
    if step.outcome is Outcome.LIMITED:
        limited = step.having(CellStatus.LIMITED)
        reasons = "; ".join(dict.fromkeys(cell.limitation for cell in limited))
        facts.append(f"{len(limited)} of {_count(total, 'cell')} limited: {reasons}")
    if step.outcome is Outcome.NO_VERDICT and not step.cells:
        facts.append("no verdict: the table has no cells")
    return ", ".join(facts) or step.message.partition("\n")[0]


def failure(step: StepRecord, width: int = WIDTH, colour: bool = False) -> str:
    """Tell what is wrong: one sentence, one table, then each cell with its place and reasons."""
    rounds = f"{_count(step.full_rounds, 'full round')}, {step.probe_s:.1f} s of probing"
    parts = [f"step '{step.step}': {sentence(step)} ({rounds})"]
    odd = [cell for cell in step.cells if cell.status in _ODD]
    sources = tuple(dict.fromkeys(cell.source for cell in step.cells))
    shown = sources
    if len(sources) > _ROWS:
        shown = tuple(dict.fromkeys(cell.source for cell in odd))
    parts.append(table(step, width, colour, shown))
    notes = ["observed != expected"] if step.outcome in {Outcome.WRONG, Outcome.NO_VERDICT} else []
    if len(shown) < len(sources):
        notes.append(f"{_count(len(sources) - len(shown), 'row')} as expected not shown")
    if notes:
        parts[-1] += f"\n  ({'; '.join(notes)})"
    parts += [_detail(cell) for cell in odd[:_DETAILS]]
    if len(odd) > _DETAILS:
        parts.append(f"... and {_count(len(odd) - _DETAILS, 'more cell')}, marked in the table")
    return "\n\n".join(parts)


_ODD = {CellStatus.NO_VERDICT, CellStatus.WRONG, CellStatus.UNPROVEN}
"""What fails a step."""


def _detail(cell: CellRecord) -> str:
    text = f"{cell.location}: {cell.pair}: {_observed(cell)}"
    if cell.limitation:
        text += f"\n    known limitation, where {cell.stated} is written: {cell.limitation}"
        if cell.rejected or cell.observed == cell.stated:
            text += (
                "\n    hint: the limitation is not seen any more, take it out of the CNI's profile"
            )
    if cell.reasons:
        text += f"\n{indent(cell.reasons, '    ')}"
    if cell.raw and cell.raw not in {cell.observed, cell.reason}:
        text += f"\n    in its own words: {cell.raw.strip()}"
    if cell.command:
        text += f"\n    by hand: {cell.command}"
    return text


def _observed(cell: CellRecord) -> str:
    match cell.status:
        case CellStatus.NO_VERDICT:
            return f"no verdict ({cell.reason}), expected {cell.expected}"
        case CellStatus.UNPROVEN:
            seen = f"which saw {cell.control}" if cell.control else "which did not see it"
            return (
                f"{cell.observed} as expected, but it proves nothing: without policies the pair "
                f"does not connect either, by the control step, {seen}\n"
                "    hint: does the destination listen on that port? For a pair that never "
                "connects, write `never-allowed`"
            )
        case _:
            return f"observed {cell.observed}, expected {cell.expected}"


# ------------------------------------------------------------------ the end of a run


def step_line(step: StepRecord) -> str:
    """Say in one line how long a step took to become right."""
    if not step.cells:
        return f"{step.name}: {step.outcome}"
    words = [
        str(step.outcome),
        _count(len(step.cells), "cell"),
        _count(step.full_rounds, "full round"),
    ]
    if step.time_to_deny_s is not None:
        words.append(f"time-to-deny {step.time_to_deny_s:.2f} s")
    if step.time_to_allow_s is not None:
        words.append(f"time-to-allow {step.time_to_allow_s:.2f} s")
    return f"{step.name}: {', '.join(words)}"


def summary(steps: Sequence[StepRecord], leftovers: Sequence[str] = ()) -> str:
    """Sum up a run in a few lines; empty where nothing ran."""
    lines = [*_totals(steps), *_slow(steps), *_notes(steps)]
    lines += [f"not removed: {item}" for item in leftovers]
    return "\n".join(lines)


def _totals(steps: Sequence[StepRecord]) -> Iterator[str]:
    cells = [cell for step in steps for cell in step.cells]
    if not cells:
        return
    measured = [step for step in steps if step.cells]
    files = len({step.file for step in measured})
    clusters = ", ".join(sorted({step.cluster for step in measured}))
    yield (
        f"{tally(cells)}, in {_count(len(measured), 'step')} of "
        f"{_count(files, 'scenario')} on {clusters}"
    )


def tally(cells: Sequence[CellRecord]) -> str:
    """Count the cells by status: those proven first, then the gravest; none that is zero."""
    counts = Counter(cell.status for cell in cells)
    if counts[CellStatus.PROVEN] == len(cells):
        return f"{len(cells)} of {_count(len(cells), 'cell')} proven"
    order = (CellStatus.PROVEN, *(each for each in CellStatus if each is not CellStatus.PROVEN))
    words = [f"{counts[status]} {status}" for status in order if counts[status]]
    return f"{_count(len(cells), 'cell')}: {', '.join(words)}"


def _slow(steps: Sequence[StepRecord]) -> Iterator[str]:
    right = [step for step in steps if step.outcome in {Outcome.PASSED, Outcome.LIMITED}]
    denied = [(step.time_to_deny_s or 0.0, step.name) for step in right]
    allowed = [(step.time_to_allow_s or 0.0, step.name) for step in right]
    for word, found in (("time-to-deny", denied), ("time-to-allow", allowed)):
        seconds, name = max(found, default=(0.0, ""))
        if seconds >= _WORTH_TELLING_S:
            yield f"slowest {word} {seconds:.2f} s: {name}"
    slow = [step for step in steps if step.full_rounds > 2]
    if slow:
        yield f"{_count(len(slow), 'step')} needed more than two full rounds:"
        yield from (f"  {step.full_rounds} rounds: {step.name}" for step in slow)


def _notes(steps: Sequence[StepRecord]) -> Iterator[str]:
    for file in dict.fromkeys(step.file for step in steps if step.weak):
        yield f"weak, no step changes any cell: {file}"
    for (cluster, kinds), files in _ignored(steps).items():
        yield f"no effect on {cluster}: {', '.join(kinds)}, applied by {', '.join(files)}"
    cells = [cell for step in steps for cell in step.cells]
    if rejected := sum(cell.rejected for cell in cells):
        yield (
            f"{_count(rejected, 'denial')} came as REFUSED: this cluster denies by rejecting, "
            "and the pairs were seen connecting before"
        )
    for status, title in _EXCUSED.items():
        yield from _reasons(title, [cell for cell in cells if cell.status is status])


def _ignored(steps: Sequence[StepRecord]) -> dict[tuple[str, tuple[str, ...]], list[str]]:
    """Return, by cluster and kinds that have no effect on it, the files that apply them."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for step in steps:
        files = found.setdefault((step.cluster, step.ignored), []) if step.ignored else []
        if step.file not in files:
            files.append(step.file)
    return found


_EXCUSED = {
    CellStatus.LIMITED: "limited, known to be wrong on this cluster",
    CellStatus.UNDEFINED: "undefined by the API",
    CellStatus.EXEMPT: "exempt, declared never-allowed",
    CellStatus.NOT_JUDGED: "not judged by the oracle",
}
"""The statuses that fail no step and prove nothing about the policies, in words."""


def _reasons(title: str, cells: Sequence[CellRecord]) -> Iterator[str]:
    """Yield a line for each reason, the most frequent first, with the first cell that has it."""
    if not cells:
        return
    yield f"{_count(len(cells), 'cell')} {title}:"
    having: dict[str, list[CellRecord]] = {}
    for cell in cells:
        having.setdefault(cell.reason, []).append(cell)
    ordered = sorted(having.items(), key=lambda item: -len(item[1]))
    for reason, found in ordered[:_REASONS]:
        surprises = [cell for cell in found if cell.observed != cell.stated and not cell.rejected]
        example = (surprises or found)[0]
        seen = f", {example.observed} where {example.stated} is written" if surprises else ""
        number = "" if len(found) == 1 else f"{len(found)} cells, for example "
        yield f"  {reason}: {number}{example.location}: {example.pair}{seen}"
    if len(ordered) > _REASONS:
        yield f"  ... and {_count(len(ordered) - _REASONS, 'more reason')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _be(items: Sequence[object]) -> str:
    return "is" if len(items) == 1 else "are"
