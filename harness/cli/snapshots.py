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
from harness.snapshot import NewFile, Refreshed, imported, imported_from, refreshed

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
    """Compare the tables of snapshots with the policies; bring them up to date if asked for."""
    paths = list(files(parsed.files))
    found = []
    status = Exit.OK
    for path in paths:
        try:
            if scenario.load_fixture(path) is None:
                found.append(refreshed(path, _today()))
        except ScenarioError as error:
            print(error, file=sys.stderr)
            status = Exit.INVALID
    snapshots = [item for item in found if item.day is not None]
    if found and not snapshots and not status:
        fact = f"{parsed.files[0]}: no snapshot, so the tables are their author's"
        raise UsageError(fact, "a snapshot has the key `snapshot: YEAR-MONTH-DAY`")
    for item in snapshots:
        _print(item)
        if item.differs and parsed.update:
            status = max(status, _update(item))
    _print_missing(snapshots)
    differing = [item for item in snapshots if item.differs]
    words = count(sum(len(item.words) for item in differing), "cell")
    of_files = f"{len(differing)} of {count(len(snapshots), 'snapshot')}"
    if not differing:
        print(f"{count(len(snapshots), 'snapshot')}: the policies give these tables")
    elif parsed.update:
        print(f"updated: {words} in {of_files}")
    else:
        print(f"{words} in {of_files} changed; `netpol snapshot --update` writes them")
        status = max(status, Exit.WRONG)
    return status


def _print(item: Refreshed) -> None:
    for gone in item.gone:
        print(f"{gone.location}: {gone.text}, in step {gone.step!r}")
    last = None
    for word in item.words:
        print(f"{word.location}: {word.probe}: {word.new}, was {word.old}, in step {word.step!r}")
        if word.location != last:  # the pairs of one word mostly have the same reasons
            for reason in word.reasons:
                print(f"    {reason}")
        last = word.location


def _print_missing(snapshots: Sequence[Refreshed]) -> None:
    """Say which ends no table has, so that nobody takes them for tested."""
    covered = {end for item in snapshots for end in item.covered}
    missing = _ordered(end for item in snapshots for end in item.missing if end not in covered)
    if missing:
        shown = ", ".join(missing[:_MOST_ENDS])
        more = f" and {len(missing) - _MOST_ENDS} more" if len(missing) > _MOST_ENDS else ""
        print(f"note: in no table: {shown}{more}")


def _ordered(ends: Iterable[object]) -> list[str]:
    return sorted({str(end) for end in ends})


def _update(item: Refreshed) -> Exit:
    """Write the new tables, and check the file."""
    beside = item.path.with_name(f".{item.path.name}.new")
    try:
        beside.write_text(item.text, encoding="utf-8", newline="")
        os.replace(beside, item.path)  # noqa: PTH105
    except OSError as error:
        raise UsageError(f"{item.path}: {error.strerror}") from None
    try:
        scenario.load(item.path)
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return Exit.INVALID
    return Exit.OK


def _today() -> str:
    return datetime.datetime.now().astimezone().date().isoformat()
