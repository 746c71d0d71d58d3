"""The verb report: what a file of results says, for people."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from harness import files, results_file
from harness.cli.exits import Exit
from harness.errors import UsageError
from harness.report import CellRecord, Results, StepRecord, failure, html, in_order, page, summary
from harness.report.github import job_summary, workflow_commands
from harness.report.shape import Upstream, shape, upstream
from harness.suggest import nearest

_JOB_SUMMARY = "GITHUB_STEP_SUMMARY"
_STEPS = 10
"""The maximum number of steps that a message names."""


def report(parsed: argparse.Namespace) -> int:
    """Print a file of results in the form that the options ask for; by default as text."""
    _check(parsed)
    results = results_file.read(parsed.file)
    if parsed.html:
        previous = [results_file.read(parsed.previous)] if parsed.previous else []
        results_file.write_page(parsed.html, html.page(results, previous))
    if parsed.github:
        _for_github(results)
    if parsed.conformance_shape:
        beside = _upstream(parsed.beside) if parsed.beside else None
        print(shape(results, beside), end="")
    if parsed.html or parsed.github or parsed.conformance_shape:
        return Exit.OK
    if not parsed.cell:
        print(_text(results))
        return Exit.OK
    earlier = results_file.read(parsed.previous) if parsed.previous else None
    for step, cell in _cells(results.steps, parsed.cell, parsed.step):
        print(f"{step.name}, {step.outcome}, on {step.cluster}")
        print(page(step, cell, earlier))
        print()
    return Exit.OK


def _check(parsed: argparse.Namespace) -> None:
    """Raise UsageError for options that do not belong together."""
    if parsed.html and (parsed.cell or parsed.step):
        raise UsageError("--html is about all cells", "leave out --cell and --step")
    if parsed.beside and not parsed.conformance_shape:
        raise UsageError("--beside is about --conformance-shape", "write both")
    if parsed.conformance_shape and parsed.cell:
        raise UsageError("--conformance-shape is about all cells", "leave out --cell and --step")
    if not parsed.cell and not parsed.html and (parsed.step or parsed.previous):
        name = "--step" if parsed.step else "--previous"
        raise UsageError(f"{name} is about one cell", "add --cell='SOURCE -> DESTINATION'")


def _upstream(path: Path) -> Upstream:
    """Read a report of the API project's suite. Raises UsageError."""
    shown = files.display(path)
    try:
        text = files.read_bytes(path, "the current folder").decode()
    except files.Unreadable as error:
        raise UsageError(error.fact, error.hint) from None
    except UnicodeDecodeError:
        raise UsageError(f"{shown}: not text", "name a YAML file") from None
    return upstream(text, shown)


def _for_github(results: Results) -> None:
    """Print annotations, and add the job summary to the file that GitHub names, or print it.

    Raises UsageError if the file cannot be written.
    """
    for line in workflow_commands(results):
        print(line)
    text = job_summary(results)
    file = os.environ.get(_JOB_SUMMARY)
    if not file:
        print(text, end="")
        return
    try:
        with Path(file).open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
    except OSError as error:
        raise UsageError(f"{_JOB_SUMMARY}={file}: {error.strerror}") from None


def _cells(
    steps: Sequence[StepRecord], pair: str, wanted: str | None
) -> list[tuple[StepRecord, CellRecord]]:
    """Return the cells of a pair in the steps that are asked for; those that are odd, if any are.

    Raises UsageError if there is none, or if they are in several steps and none of them is odd.
    """
    asked = [step for step in steps if wanted in {None, step.step, step.name}]
    if not asked:
        names = [step.step for step in steps]
        raise UsageError(
            f"no step {wanted!r}", nearest(str(wanted), names) or "see `netpol report`"
        )
    name = " ".join(pair.split())
    found = [(step, cell) for step in asked for cell in step.cells if cell.pair == name]
    if not found:
        pairs = dict.fromkeys(cell.pair for step in asked for cell in step.cells)
        hint = nearest(name, pairs) or "write it as reports do: 'y/a -> x/b:80'"
        raise UsageError(f"no step has the cell {name!r}", hint)
    chosen = [(step, cell) for step, cell in found if cell.is_odd] or found
    if len(chosen) > 1 and not chosen[0][1].is_odd:
        shown = "; ".join(step.name for step, _ in chosen[:_STEPS])
        fact = f"{name!r} is as expected in {len(chosen)} steps: {shown}"
        raise UsageError(fact, "choose one with --step")
    return chosen


def _text(results: Results) -> str:
    """Return what is wrong in each step, and the summary of the run."""
    steps = in_order(results.steps)
    odd = [step for step in steps if step.has_failed]
    parts = [
        failure(step) if step.cells else f"step '{step.step}': {step.message}" for step in odd
    ]
    heads = [f"{step.file}:{step.line}: {part}" for step, part in zip(odd, parts, strict=True)]
    if results.run.refusal:
        heads.insert(0, results.run.refusal)
    return "\n\n".join([*heads, summary(steps, results.run.leftovers)]).strip()
