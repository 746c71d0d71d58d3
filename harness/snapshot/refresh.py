"""Snapshots against the policies as they are now, and brought up to date.

Snapshots are looked at together: an end that no table of any of them has is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Location
from harness.scenario import outline
from harness.snapshot.additions import Homeless, Snapshot, add_columns, add_rows, within_budget
from harness.snapshot.changes import Added, Gone, Word
from harness.snapshot.table import WrittenTable


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A file with the tables that the policies give now, and what that changes.

    ``day`` is the one that the file had.
    """

    path: Path
    text: str
    day: str
    words: tuple[Word, ...] = ()
    gone: tuple[Gone, ...] = ()
    added: tuple[Added, ...] = ()

    @property
    def differs(self) -> bool:
        return bool(self.words or self.gone or self.added)


def read_snapshot(path: Path) -> Snapshot | None:
    """Read a snapshot; return None for a file whose tables are its author's.

    Raises ScenarioError.
    """
    found = outline(path)
    day = found.scenario.snapshot
    if day is None:
        return None
    with within_budget(found):
        tables = tuple(WrittenTable(found, index) for index in range(len(found.expects)))
    return Snapshot(path, day, found, tables)


def refreshed(
    snapshots: Sequence[Snapshot], day: str
) -> tuple[tuple[Refreshed, ...], tuple[Homeless, ...]]:
    """Return the files as they should be on a day, and the ends that no table can take.

    Raises ScenarioError.
    """
    columns, homeless = add_columns(snapshots)
    rows = add_rows(snapshots)
    made = []
    for item in snapshots:
        added = (*columns.get(item.path, ()), *rows.get(item.path, ()))
        with within_budget(item.found):
            made.append(_refreshed(item, added, day))
    return tuple(made), homeless


def _refreshed(item: Snapshot, added: tuple[Added, ...], day: str) -> Refreshed:
    written = item.found.text.splitlines(keepends=True)
    for table in reversed(item.tables):
        if table.differs:
            table.replace_in(written)
    words = tuple(word for table in item.tables for word in table.words)
    gone = tuple(gone for table in item.tables for gone in table.gone)
    if words or gone or added:
        _replace_day(written, item.found.snapshot_at, item.day, day)
    return Refreshed(item.path, "".join(written), item.day, words, gone, added)


def _replace_day(written: list[str], at: Location, old: str, new: str) -> None:
    line = written[at.line - 1]
    start = at.column - 1
    written[at.line - 1] = line[:start] + line[start:].replace(old, new, 1)
