"""The truth table of a step as a grid of texts, shared by all output formats.

Rows and columns are in the order of the file. The output formats add colour, width and markup.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from harness.model import CellStatus
from harness.report.record import CellRecord, StepRecord

_NOT_PROBED = "-"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a grid; ``status`` is None if the pair is not probed."""

    word: str
    status: CellStatus | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """Sources are rows, destinations are columns; ``entries`` has a tuple for each row."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    entries: tuple[tuple[Entry, ...], ...]

    def only(self, rows: Collection[str]) -> Grid:
        """Return the grid with only these rows."""
        kept = [place for place, row in enumerate(self.rows) if row in rows]
        return replace(
            self,
            rows=tuple(self.rows[place] for place in kept),
            entries=tuple(self.entries[place] for place in kept),
        )


def grid(step: StepRecord) -> Grid:
    """Return the observed verdicts of the step; unexpected ones are marked."""
    rows = tuple(dict.fromkeys(cell.source for cell in step.cells))
    columns = tuple(dict.fromkeys((*step.columns, *(cell.column for cell in step.cells))))
    cells = {(cell.source, cell.column): cell for cell in step.cells}
    entries = tuple(tuple(_entry(cells.get((row, column))) for column in columns) for row in rows)
    return Grid(rows, columns, entries)


def _entry(cell: CellRecord | None) -> Entry:
    return Entry(_NOT_PROBED) if cell is None else Entry(_word(cell), cell.status)


def _word(cell: CellRecord) -> str:
    return f"{_status_word(cell)} (flapped)" if cell.flapped else _status_word(cell)


def _status_word(cell: CellRecord) -> str:
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
