"""StepRecords as text. Colour is optional, and adds no information."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from harness.model import CellStatus
from harness.report.enforcement import lines as enforcement_lines
from harness.report.grid import Grid, grid
from harness.report.page import detail, page
from harness.report.record import Outcome, StepRecord
from harness.report.tally import counted, excuses, flaps, tally
from harness.report.watches import details as watch_details
from harness.report.watches import facts as watch_facts
from harness.report.watches import lines as watch_lines

WIDTH = 100
"""The default width of a table before it is continued below."""
_ROWS = 20
"""A failure with more rows than this shows only those that are not as expected."""
_DETAILS = 10
"""The maximum number of cells that a failure explains; the table marks all of them."""
_PAGES = 2
"""The maximum number of cells that a failure shows with the policies and pods around them."""

_WORTH_REPORTING_S = 0.01

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
    shown = grid(step) if rows is None else grid(step).only(rows)
    first = max((len(row) for row in shown.rows), default=0)
    columns = [_Column(shown, place, colour) for place in range(len(shown.columns))]
    blocks = _blocks(columns, width - first)
    return "\n\n".join(_block(shown.rows, first, block) for block in blocks)


class _Column:
    """A column of a grid as texts of the same width."""

    def __init__(self, shown: Grid, place: int, colour: bool) -> None:
        self._entries = [row[place] for row in shown.entries]
        self._head = shown.columns[place]
        self._colour = colour
        self.width = max([len(self._head), *(len(entry.word) for entry in self._entries)])

    def head(self) -> str:
        return self._head.ljust(self.width)

    def word(self, row: int) -> str:
        entry = self._entries[row]
        text = entry.word.ljust(self.width)
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
    return "\n".join(f"  {'  '.join(line)}".rstrip() for line in lines)


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


# ------------------------------------------------------------------ the end of a run


def step_line(step: StepRecord) -> str:
    """Return in one line what a step measured, and how long it took to become right."""
    if not step.cells:
        return f"{step.name}: {step.outcome}"
    words = [
        str(step.outcome),
        tally(step.cells),
        counted(step.full_rounds, "full round"),
    ]
    if step.time_to_deny_s is not None:
        words.append(f"time-to-deny {step.time_to_deny_s:.2f} s")
    if step.time_to_allow_s is not None:
        words.append(f"time-to-allow {step.time_to_allow_s:.2f} s")
    return f"{step.name}: {', '.join(words)}"


def summary(steps: Sequence[StepRecord], leftovers: Sequence[str] = ()) -> str:
    """Return a few lines about a run, or an empty string if nothing ran."""
    lines = [*_totals(steps), *enforcement_lines(steps), *_slow(steps), *_notes(steps)]
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
        f"{tally(cells)}, in {counted(len(measured), 'step')} of "
        f"{counted(files, 'scenario')} on {clusters}"
    )


def _slow(steps: Sequence[StepRecord]) -> Iterator[str]:
    right = [step for step in steps if step.outcome in {Outcome.PASSED, Outcome.LIMITED}]
    denied = [(step.time_to_deny_s or 0.0, step.name) for step in right]
    allowed = [(step.time_to_allow_s or 0.0, step.name) for step in right]
    for word, found in (("time-to-deny", denied), ("time-to-allow", allowed)):
        seconds, name = max(found, default=(0.0, ""))
        if seconds >= _WORTH_REPORTING_S:
            yield f"slowest {word} {seconds:.2f} s: {name}"
    slow = [step for step in steps if step.full_rounds > 2]
    if slow:
        yield f"{counted(len(slow), 'step')} needed more than two full rounds:"
        yield from (f"  {step.full_rounds} rounds: {step.name}" for step in slow)


def _notes(steps: Sequence[StepRecord]) -> Iterator[str]:
    for file in dict.fromkeys(step.file for step in steps if step.weak):
        yield f"weak, no step changes any cell: {file}"
    for step in steps:
        if step.rebuilt:
            yield f"fixture made again for {step.file}: {step.rebuilt}"
    for (cluster, kinds), files in _ignored(steps).items():
        yield f"no effect on {cluster}: {', '.join(kinds)}, applied by {', '.join(files)}"
    cells = [cell for step in steps for cell in step.cells]
    if rejected := sum(cell.rejected for cell in cells):
        yield (
            f"{counted(rejected, 'denial')} observed as REFUSED: this cluster denies by "
            "rejecting, and the pairs were seen connecting before"
        )
    if flapped := sum(bool(cell.flapped) for cell in cells):
        yield f"{counted(flapped, 'cell')} flapped, wrong after being right:"
        yield from (f"  {line}" for line in flaps(cells))
    yield from _watches(steps)
    yield from _starts(steps)
    yield from excuses(cells)


def _watches(steps: Sequence[StepRecord]) -> Iterator[str]:
    watched = [pair for step in steps for pair in step.watched]
    if not watched:
        return
    in_steps = counted(sum(bool(step.watched) for step in steps), "step")
    yield (
        f"{counted(len(watched), 'pair')} watched in {in_steps}: a verdict every "
        f"{max(pair.interval_s for pair in watched):.2f} s or more often, at most "
        f"{max(pair.silent_s for pair in watched):.2f} s apart"
    )
    for step in steps:
        if any(pair.gaps for pair in step.watched):
            yield f"  gaps in {step.name}:"
            yield from (f"    {line}" for line in watch_lines(step))


def _starts(steps: Sequence[StepRecord]) -> Iterator[str]:
    started = [pair for step in steps for pair in step.started]
    if not started:
        return
    in_steps = counted(sum(bool(step.started) for step in steps), "step")
    probes = sum(pair.init.probes + pair.main.probes for pair in started)
    denied = [pair for pair in started if pair.expected != "allowed"]
    open_ = sum(pair.connected_s is not None for pair in denied)
    yield (
        f"{counted(len(started), 'pair')} probed from the start of a pod in {in_steps}, "
        f"{counted(probes, 'probe')}: {open_} of {len(denied)} denied connected at first"
    )


def _ignored(steps: Sequence[StepRecord]) -> dict[tuple[str, tuple[str, ...]], list[str]]:
    """Return the files that apply kinds without effect, by cluster and kinds."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for step in steps:
        files = found.setdefault((step.cluster, step.ignored), []) if step.ignored else []
        if step.file not in files:
            files.append(step.file)
    return found


def _be(items: Sequence[object]) -> str:
    return "is" if len(items) == 1 else "are"
