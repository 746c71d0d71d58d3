"""The number of cells per status, and why some cells prove nothing, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from harness.model import CellStatus
from harness.report.record import CellRecord

_REASONS = 5
"""The maximum number of reasons listed for each status, the most frequent first."""
_FLAPS = 10
"""The maximum number of listed cells that flapped."""

_EXCUSED = {
    CellStatus.LIMITED: "limited, known to be wrong on this cluster",
    CellStatus.UNDEFINED: "undefined by the API",
    CellStatus.EXEMPT: "exempt, declared never-allowed",
    CellStatus.NOT_JUDGED: "not judged by the oracle",
}
"""The statuses that fail no step and prove nothing about the policies."""


def counted(number: int, noun: str) -> str:
    """Return the number with its noun: 1 cell, 2 cells."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def tally(cells: Sequence[CellRecord]) -> str:
    """Return the number of cells per status: proven first, then the most severe; no zeros."""
    total = counted(len(cells), "cell")
    words = _by_status(cells, "proven")
    return f"{total}: {', '.join(words)}" if words else f"{len(cells)} of {total} proven"


def prospect(cells: Sequence[CellRecord]) -> str:
    """Return the best counts that a run can give (see ``record.at_best``), with reasons."""
    total = counted(len(cells), "cell")
    words = _by_status(cells, "to be proven")
    return _with_excuses(f"{total}: {', '.join(words)}" if words else total, cells)


def agreement(cells: Sequence[CellRecord], against: int) -> str:
    """Return the counts of cells, and of ``against`` cells that the policies contradict."""
    total = counted(len(cells) + against, "cell")
    if not against and not _by_status(cells, "as the policies say"):
        return f"{total}, as the policies say"
    contradicted = [f"{against} contradicting the policies"] if against else []
    words = _by_status(cells, "as the policies say", contradicted)
    return _with_excuses(f"{total}: {', '.join(words)}", cells)


def _with_excuses(first: str, cells: Sequence[CellRecord]) -> str:
    return "\n".join([first, *(f"  {line}" for line in excuses(cells))])


def _by_status(cells: Sequence[CellRecord], proven: str, others: Sequence[str] = ()) -> list[str]:
    """Return the number of cells per status, or nothing if all are proven.

    ``others`` are counts of other cells, to print after the proven ones.
    """
    counts = Counter(cell.status for cell in cells)
    plain = counts.pop(CellStatus.PROVEN, 0)
    if not counts and not others:
        return []
    first = [f"{plain} {proven}"] if plain else []
    return [*first, *others, *(f"{counts[each]} {each}" for each in CellStatus if counts[each])]


# ------------------------------------------------------------------ reasons


def excuses(cells: Sequence[CellRecord]) -> Iterator[str]:
    """Yield the reasons of the cells that fail no step and prove nothing, by status."""
    for status, title in _EXCUSED.items():
        of_status = [cell for cell in cells if cell.status is status]
        if of_status:
            yield f"{counted(len(of_status), 'cell')} {title}:"
            yield from (f"  {line}" for line in _reasons(of_status))


def excuses_by_status(cells: Sequence[CellRecord]) -> Iterator[tuple[CellStatus, str]]:
    """Yield the same reasons, one per line, each with its status."""
    for status in _EXCUSED:
        for line in _reasons(cell for cell in cells if cell.status is status):
            yield status, line


def _reasons(cells: Iterable[CellRecord]) -> Iterator[str]:
    """Yield a line for each reason, the most frequent first, with the first cell that has it."""
    having: dict[str, list[CellRecord]] = {}
    for cell in cells:
        having.setdefault(cell.reason, []).append(cell)
    ordered = sorted(having.items(), key=lambda item: -len(item[1]))
    for reason, found in ordered[:_REASONS]:
        surprises = [cell for cell in found if cell.observed != cell.stated and not cell.rejected]
        example = (surprises or found)[0]
        seen = f", {example.observed} instead of {example.stated}" if surprises else ""
        number = "" if len(found) == 1 else f"{len(found)} cells, for example "
        yield f"{reason}: {number}{example.location}: {example.pair}{seen}"
    if len(ordered) > _REASONS:
        yield f"... and {counted(len(ordered) - _REASONS, 'more reason')}"


# ------------------------------------------------------------------ flaps


def flaps(cells: Iterable[CellRecord]) -> Iterator[str]:
    """Yield a line for each cell that was wrong after being right, up to a maximum."""
    flapped = [cell for cell in cells if cell.flapped]
    for cell in flapped[:_FLAPS]:
        times = (f"{f.observed} from {f.from_s:.2f} s to {f.until_s:.2f} s" for f in cell.flapped)
        yield f"{cell.location}: {cell.pair}: {', '.join(times)}"
    if len(flapped) > _FLAPS:
        yield f"... and {counted(len(flapped) - _FLAPS, 'more cell')}"
