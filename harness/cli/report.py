"""The verb report: what a file of results says, for people."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.exits import Exit
from harness.errors import UsageError
from harness.files import display
from harness.report import Results, failure, in_order, summary


def report(parsed: argparse.Namespace) -> int:
    """Print a file of results in the form that the options ask for; by default as text."""
    results = _read(parsed.file)
    print(_text(results))
    return Exit.OK


def _read(path: Path) -> Results:
    shown = display(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        hint = "use a file that `netpol run --results=FILE` wrote"
        raise UsageError(f"{shown}: not a results file: it is no UTF-8", hint) from None
    return Results.from_json(text, shown)


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
