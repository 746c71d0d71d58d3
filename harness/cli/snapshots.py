"""The verbs import and snapshot: scenario files whose tables are what the policies give."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness import scenario
from harness.cli.applications import application_on_cluster
from harness.cli.exits import Exit
from harness.cli.scenarios import count, files
from harness.errors import ScenarioError, UsageError
from harness.snapshot import (
    Added,
    Gone,
    NewFile,
    Refreshed,
    Snapshot,
    imported,
    imported_from,
    read_snapshot,
    refreshed,
)

_MOST_ENDS = 10


def import_(parsed: argparse.Namespace) -> int:
    """Write scenario files for an application, and its manifests if it is on a cluster.

    No file is overwritten.
    """
    folder: Path = parsed.out
    live = application_on_cluster(parsed)
    made = (
        imported(parsed.paths, folder, parsed.only, _today())
        if live is None
        else imported_from(parsed.context, live, folder, _today())
    )
    try:
        there = [str(item.path) for item in made if item.path.exists()]
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}") from None
    if there:
        hint = "`netpol snapshot --update` refreshes tables; or name another folder"
        raise UsageError(f"already there: {', '.join(there)}", hint)
    for item in made:
        _create(item)
        print(f"written: {item.path}")
    first = scenario.load(made[-1].path)
    for note in (*first.notes, *(note for item in made for note in item.notes)):
        print(f"note: {note}")
    print(f"next: read the tables, then netpol run {folder}")
    return Exit.OK


def _create(item: NewFile) -> None:
    try:
        item.path.parent.mkdir(parents=True, exist_ok=True)
        with item.path.open("x", encoding="utf-8") as file:
            file.write(item.text)
    except OSError as error:
        raise UsageError(f"{item.path}: {error.strerror}") from None


def snapshot(parsed: argparse.Namespace) -> int:
    """Compare the tables of snapshots with the policies; bring them up to date if asked for.

    Either all files are written or none.
    """
    found, status = _read(list(files(parsed.files)))
    if not found and not status:
        fact = f"{parsed.files[0]}: no snapshot, so the tables are their author's"
        raise UsageError(fact, "a snapshot has the key `snapshot: YEAR-MONTH-DAY`")
    snapshots, homeless = refreshed(found, _today())
    for item in snapshots:
        _print(item)
    differing = [item for item in snapshots if item.differs]
    changes = f"{_amount(differing)} in {len(differing)} of {count(len(snapshots), 'snapshot')}"
    if parsed.update and differing:
        status = max(status, _check(differing))
        if status:
            print(f"nothing was written: {changes} changed, and not all files would be valid")
            return status
        for item in differing:
            _write(item)
        print(f"updated: {changes}")
    elif differing:
        print(f"{changes} changed; `netpol snapshot --update` writes them")
        status = max(status, Exit.WRONG)
    elif not homeless:
        print(f"{count(len(snapshots), 'snapshot')}: the policies give these tables")
    for left in homeless:
        print(f"in no table: {_listed(left.ends)}; add this step at the end of {left.path}:")
        print("\n".join(left.step))
        status = max(status, Exit.WRONG)
    return status


def _read(paths: Iterable[Path]) -> tuple[list[Snapshot], Exit]:
    """Return the snapshots among some files; print what is wrong with files."""
    found = []
    status = Exit.OK
    for path in paths:
        try:
            item = None if scenario.load_fixture(path) else read_snapshot(path)
        except ScenarioError as error:
            print(error, file=sys.stderr)
            status = Exit.INVALID
            continue
        found += [item] if item else []
    return found, status


def _amount(differing: Iterable[Refreshed]) -> str:
    """Return how many cells changed, and how many rows and columns came and went."""
    cells, lines = 0, 0
    for item in differing:
        cells += len(item.words)
        lines += len(item.gone) + len(item.added)
    shown = [count(cells, "cell")] if cells or not lines else []
    if lines:
        shown.append("1 row or column" if lines == 1 else f"{lines} rows and columns")
    return " and ".join(shown)


def _print(item: Refreshed) -> None:
    lines: tuple[Gone | Added, ...] = (*item.gone, *item.added)
    for line in lines:
        print(f"{line.location}: {line.text}, in step {line.step!r}")
    last = None
    for word in item.words:
        print(f"{word.location}: {word.probe}: {word.new}, was {word.old}, in step {word.step!r}")
        if word.location != last:  # the pairs of one word mostly have the same reasons
            for reason in word.reasons:
                print(f"    {reason}")
        last = word.location


def _listed(ends: Sequence[str]) -> str:
    more = f" and {len(ends) - _MOST_ENDS} more" if len(ends) > _MOST_ENDS else ""
    return ", ".join(ends[:_MOST_ENDS]) + more


def _check(items: Iterable[Refreshed]) -> Exit:
    """Return whether all files would be valid; print what would be wrong."""
    status = Exit.OK
    for item in items:
        try:
            scenario.check_text(item.path, item.text)
        except ScenarioError as error:
            print(error, file=sys.stderr)
            status = Exit.INVALID
    return status


def _write(item: Refreshed) -> None:
    beside = item.path.with_name(f".{item.path.name}.new")
    try:
        beside.write_text(item.text, encoding="utf-8", newline="")
        os.replace(beside, item.path)  # noqa: PTH105
    except OSError as error:
        raise UsageError(f"{item.path}: {error.strerror}") from None


def _today() -> str:
    return datetime.datetime.now().astimezone().date().isoformat()
