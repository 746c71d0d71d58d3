"""Verbs on scenario files that need no cluster: init, check, schema."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from harness import policy, report, scenario
from harness.cli.exits import Exit
from harness.errors import ScenarioError, UsageError
from harness.model import Fixture


def init(parsed: argparse.Namespace) -> int:
    """Write an example scenario, its policy, and the JSON Schemas of both for editors."""
    data = resources.files("harness") / "data"
    texts = {
        parsed.folder / "first-scenario.yaml": (data / "first-scenario.yaml").read_text("utf-8"),
        parsed.folder / "policies" / "database-from-frontend.yaml": (
            data / "first-policy.yaml"
        ).read_text("utf-8"),
        parsed.folder / "scenario.schema.json": scenario.json_schema(),
        parsed.folder / "policy.schema.json": policy.json_schema(),
    }
    try:
        there = [path for path in texts if path.exists()]
    except OSError as error:
        raise UsageError(f"{parsed.folder}: {error.strerror}") from None
    if there and not parsed.force:
        names = ", ".join(str(path) for path in there)
        raise UsageError(f"already there: {names}", "--force overwrites; or name another folder")
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        print(f"{'overwritten' if path in there else 'written'}: {path}")
    first = next(iter(texts))
    print(f"next: netpol run {first}")
    return Exit.OK


def files(given: Sequence[Path]) -> Iterator[Path]:
    """Yield the scenario files, sorted in folders. Raises UsageError if there are none."""
    for path in given:
        try:
            is_folder, is_there = path.is_dir(), path.exists()
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        if is_folder:
            found = _find(path)
            if not found:
                raise UsageError(
                    f"{path}: no scenario files (*.yaml) in this folder",
                    "`netpol init` writes an example",
                )
            yield from found
        elif is_there:
            yield path
        else:
            raise UsageError(f"{path}: no such file")


def one_file(path: Path) -> Path:
    """Return the path of a file that is there. Raises UsageError."""
    if path.is_dir():
        raise UsageError(f"{path}: this is a folder", "name one scenario file")
    return next(files([path]))


def _find(folder: Path) -> tuple[Path, ...]:
    try:
        return scenario.find(folder)
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None


def check(parsed: argparse.Namespace) -> int:
    """Check scenario files without a cluster; print every problem."""
    status = Exit.OK
    for path in list(files(parsed.files)):
        try:
            fixture = scenario.load_fixture(path)
            if fixture:
                print(f"{path}: valid, {_fixture(fixture)}")
                continue
            found = scenario.load(path)
        except ScenarioError as error:
            print(error, file=sys.stderr)
            status = Exit.INVALID
            continue
        cells = report.at_best(cell for step in found.steps for cell in step.table.cells)
        steps = count(len(found.steps), "step")
        origin = f", a snapshot of {found.snapshot}" if found.snapshot else ""
        print(f"{path}: valid, {steps}, {report.prospect(cells)}{origin}")
        for note in found.notes:
            print(f"  note: {note}")
    return status


def _fixture(found: Fixture) -> str:
    state = found.state
    parts = (
        count(len(state.namespaces), "namespace"),
        count(len(state.pods), "pod"),
        count(len(state.services), "Service"),
    )
    return f"a fixture with {', '.join(parts)}"


def schema(parsed: argparse.Namespace) -> int:
    """Print a JSON Schema."""
    match parsed.of:
        case "scenario":
            text = scenario.json_schema()
        case "fixture":
            text = scenario.fixture_json_schema()
        case "policy":
            text = policy.json_schema()
        case _:
            text = report.schema()
    print(text, end="")
    return Exit.OK


def count(number: int, noun: str) -> str:
    """Return "1 step" or "2 steps"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
