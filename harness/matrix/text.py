"""A matrix for a terminal: a grid where it fits, or else the sources of each destination."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import fill

from harness.matrix.values import Cell, Matrix, Seen, Word

WIDTH = 100
_MOST_COLUMNS = 16
_MOST_ROWS = 60
_STEP = 5
"""The width of a column of the grid."""
_MOST_REASONS = 3
_OPEN = (Word.UNDEFINED, Word.NOT_JUDGED, Word.DIFFERS, Word.NO_ENDPOINT)
_IN_GRID = {
    Word.ALLOWED: "yes",
    Word.DENIED: "-",
    Word.UNDEFINED: "?",
    Word.NOT_JUDGED: "?",
    Word.DIFFERS: "?",
    Word.NO_ENDPOINT: "none",
}


def text(matrix: Matrix, width: int = WIDTH) -> str:
    """Return the matrix for a terminal that is so wide."""
    grid = _grid(matrix)
    if grid and max(map(len, grid)) <= width:
        parts = ["\n".join(grid), "\n".join(_open(matrix.cells, width))]
    else:
        parts = [_block(names, cells, width) for names, cells in _alike(matrix)]
    parts.append("\n".join(packets(matrix.cells)))
    parts.append("\n".join(_behind(matrix, width)))
    return "\n\n".join(filter(None, parts)) + "\n"


# ------------------------------------------------------------------ the grid


def _grid(matrix: Matrix) -> list[str]:
    """Return a line for each destination, below the sources; nothing if there are too many."""
    if len(matrix.sources) > _MOST_COLUMNS or len(matrix.destinations) > _MOST_ROWS:
        return []
    words = {(cell.source, cell.destination): _IN_GRID[cell.word] for cell in matrix.cells}
    margin = max(map(len, ("to", *matrix.destinations)))
    lines = []
    for place, source in enumerate(matrix.sources):
        before = "".join("|".ljust(_STEP) for _ in range(place))
        lines.append(f"{'' if place else 'from':>{margin}}  {before}{source}")
    bars = "".join("|".ljust(_STEP) for _ in matrix.sources)
    lines.append(f"{'to':<{margin}}  {bars}".rstrip())
    for destination in matrix.destinations:
        cells = (words.get((source, destination), "").ljust(_STEP) for source in matrix.sources)
        lines.append(f"{destination:<{margin}}  {''.join(cells)}".rstrip())
    return lines


def _open(cells: Sequence[Cell], width: int) -> Iterator[str]:
    """Yield what the marks mean, and the pairs that are neither allowed nor denied."""
    yield "yes: allowed  -: denied  ?: open, see below  none: no endpoint  blank: no such pair"
    for word in _OPEN:
        having = [cell for cell in cells if cell.word is word]
        if having and word is not Word.NO_ENDPOINT:
            pairs = ", ".join(f"{cell.source} -> {cell.destination}" for cell in having)
            yield _line(word.value, pairs, width)
            yield from _reasons(having)


def _reasons(cells: Sequence[Cell]) -> Iterator[str]:
    reasons = list(dict.fromkeys(reason for cell in cells for reason in cell.reasons[-1:]))
    yield from (f"      {reason}" for reason in reasons[:_MOST_REASONS])
    if len(reasons) > _MOST_REASONS:
        yield f"      and {len(reasons) - _MOST_REASONS} more reasons, which --format=json has"


# ------------------------------------------------------------------ the list


def _alike(matrix: Matrix) -> Iterator[tuple[list[str], list[Cell]]]:
    """Yield destinations with the same word from every source, with the cells of the first."""
    columns: dict[str, list[Cell]] = {name: [] for name in matrix.destinations}
    for cell in matrix.cells:
        columns[cell.destination].append(cell)
    found: dict[tuple[tuple[str, Word], ...], tuple[list[str], list[Cell]]] = {}
    for name, cells in columns.items():
        key = tuple((cell.source, cell.word) for cell in cells)
        found.setdefault(key, ([], cells))[0].append(name)
    yield from found.values()


def _block(names: Sequence[str], cells: Sequence[Cell], width: int) -> str:
    lines = [*names]
    allowed = [cell.source for cell in cells if cell.word is Word.ALLOWED]
    lines.append(_line("from", _shortened(allowed, len(cells)) if allowed else "nobody", width))
    for word in _OPEN:
        having = [cell for cell in cells if cell.word is word]
        if having:
            sources = [cell.source for cell in having]
            lines.append(_line(word.value, _shortened(sources, len(cells)), width))
            lines += _reasons(having)
    return "\n".join(lines)


def _shortened(names: Sequence[str], total: int) -> str:
    """Return a list of sources; all of them in short, and whether hosts outside are among them."""
    if len(names) < total or total <= 3:
        return ", ".join(names)
    outside = [name for name in names if name.partition(" ")[0] == "outside"]
    return f"all {total} sources" + (f", also {', '.join(outside)}" if outside else "")


def _line(word: str, listed: str, width: int) -> str:
    begin = f"  {word}  "
    return fill(
        listed, width, initial_indent=begin, subsequent_indent=" " * len(begin),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


# ------------------------------------------------------------------ below both


def packets(cells: Sequence[Cell]) -> list[str]:
    """Return what packets showed of some cells, one line each; none if there were no packets."""
    probed = [(cell, cell.packets) for cell in cells if cell.packets is not None]
    if not probed:
        return []
    counts = Counter(found.seen for _, found in probed)
    shown = ", ".join(f"{counts[seen]} {_COUNTED[seen]}" for seen in Seen if counts[seen])
    left_out = Counter(why for _, p in probed if p.seen is Seen.NOT_PROBED for why in p.why)
    lines = [f"packets: {shown}"]
    for cell, found in probed:
        if found.seen not in {Seen.AGREES, Seen.NOT_PROBED}:
            lines.append(f"  {found.seen}: {cell.source} -> {cell.destination}: {cell.word}")
            lines += [f"      {line}" for line in found.why]
    return lines + [f"  not probed: {count}, since {why}" for why, count in left_out.items()]


_COUNTED = {
    Seen.AGREES: "agree",
    Seen.DISAGREES: "DISAGREE",
    Seen.UNPROVEN: "unproven",
    Seen.NO_VERDICT: "without a verdict",
    Seen.NOT_PROBED: "not probed",
}


def _behind(matrix: Matrix, width: int) -> Iterator[str]:
    yield from (f"note: {note}" for note in matrix.notes)
    if matrix.ignored:
        kinds = ", ".join(f"{item.count} {item.kind}" for item in matrix.ignored)
        yield fill(f"ignored: {kinds}", width, subsequent_indent="  ", break_on_hyphens=False)
