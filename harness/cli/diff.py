"""The verb diff: what differs between two versions of an application."""

from __future__ import annotations

import argparse
import io
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness import application
from harness.application import Application, Note
from harness.cli.exits import Exit
from harness.cli.matrix import shown_by
from harness.difference import Difference, Versions, compare
from harness.difference.formats import FORMATS
from harness.errors import Problem, ScenarioError, UsageError
from harness.matrix import Cut

_STDIN = "-"


def diff(parsed: argparse.Namespace) -> int:
    """Print what differs; return whether a connection does."""
    if parsed.netpol_defect and not parsed.packets:
        raise UsageError("--defect needs --packets", "only the embedded cluster has defects")
    if parsed.old == parsed.new == _STDIN:
        raise UsageError("standard input cannot be both versions", "name one of them")
    if parsed.paths and _STDIN in {parsed.old, parsed.new}:
        raise UsageError("--path leads nowhere in standard input", "name a folder or a revision")
    cut = Cut(tuple(parsed.sources), tuple(parsed.destinations), tuple(parsed.namespaces))
    old, new = _both(parsed)
    found = compare(Versions(old, new, parsed.old, parsed.new), cut)
    if parsed.packets:
        found = _proven(found, parsed.netpol_defect)
    print(FORMATS[parsed.format](found), end="")
    versions = [said for change in found.changes for said in (change.before, change.after)]
    cells = [said.cell for said in versions if said.cell is not None]
    shown = shown_by(cells)
    return shown if shown is not Exit.OK or found.same else Exit.WRONG


def _proven(found: Difference, defect: str | None) -> Difference:
    # What sends packets takes half a second to import.
    from harness.cli.making import embedded
    from harness.difference.proof import with_packets

    return with_packets(found, lambda: embedded(defect))


def _both(parsed: argparse.Namespace) -> tuple[Application, ...]:
    """Return both versions. Raises ScenarioError with the problems of both."""
    found: list[Application] = []
    problems: list[Problem] = []
    stdin = sys.stdin.buffer if _STDIN in {parsed.old, parsed.new} else io.BytesIO()
    versions = _named((parsed.old, parsed.new), parsed.paths)
    for (names, missing), into in zip(versions, _rendered_into(parsed), strict=True):
        notes = tuple(Note(f"there is no {name}") for name in missing)
        try:
            made = (
                application.read(names, parsed.default_namespace, stdin, into=into)
                if names
                else Application()
            )
        except ScenarioError as error:
            problems += error.problems
            continue
        found.append(replace(made, notes=(*made.notes, *notes)))
    if problems:
        raise ScenarioError(problems)
    return tuple(found)


def _rendered_into(parsed: argparse.Namespace) -> tuple[str, str]:
    """Return where the output of what renders each version has to go; only one can be stdin."""
    if parsed.paths or not (Path(parsed.old).exists() and Path(parsed.new).exists()):
        return application.INTO_FILE, application.INTO_FILE
    old, new = shlex.quote(parsed.old), shlex.quote(parsed.new)
    return f"| netpol diff - {new}", f"| netpol diff {old} -"


def _named(versions: Sequence[str], paths: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield what to read of each version, and the paths that only the other version has."""
    if not paths:
        yield from (([name], []) for name in versions)
        return
    every = [[_below(name, path) for path in paths] for name in versions]
    there = [[application.exists(name) for name in names] for names in every]
    anywhere = [any(both) for both in zip(*there, strict=True)]
    for names, known in zip(every, there, strict=True):
        only_other = [a and not own for a, own in zip(anywhere, known, strict=True)]
        yield (
            [name for name, left in zip(names, only_other, strict=True) if not left],
            [name for name, left in zip(names, only_other, strict=True) if left],
        )


def _below(name: str, path: str) -> str:
    """Return a path in a version: a folder, or a git revision."""
    if Path(name).is_dir():
        return str(Path(name) / path)
    return f"{name}{'' if name.endswith(':') else '/' if ':' in name else ':'}{path}"
