"""What the plugin prints after a run: the tables of the steps, and the summary."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Sequence

import pytest

from harness.plugin import options
from harness.report import WIDTH, StepRecord, step_line, summary, table, what_is_wrong


def width() -> int:
    """Return how wide tables may be: as the terminal is, or as COLUMNS says, or a default."""
    is_known = sys.__stdout__ and sys.__stdout__.isatty()
    fallback = (WIDTH, 0)
    if is_known or "COLUMNS" in os.environ:
        return shutil.get_terminal_size(fallback).columns
    return WIDTH


def print_tables(terminal: pytest.TerminalReporter, records: Sequence[StepRecord]) -> None:
    """Print the truth tables of all steps, which are in order, below the names of their files."""
    for file, steps in itertools.groupby(records, key=lambda record: record.file):
        of_file = list(steps)
        terminal.section(f"{file}: {of_file[0].scenario}")
        for record in of_file:
            terminal.line(f"{record.step}  [{record.outcome}]", bold=True)
            for action in record.actions:
                terminal.line(f"  {action}")
            if record.cells:
                terminal.line(table(record, width(), terminal.hasmarkup))
            elif record.message:
                terminal.line(f"  {record.message}")
            terminal.line("")


def closing(
    config: pytest.Config, records: Sequence[StepRecord], leftovers: Sequence[str]
) -> list[str]:
    """Return the lines of the summary; with ``-q`` only those about what is wrong."""
    level = options.verbosity(config)
    if level < 0:
        return what_is_wrong(records, leftovers).splitlines()
    has_colour = config.get_terminal_writer().hasmarkup
    steps = [step_line(record) for record in records] if config.option.verbose > 0 else []
    return steps + summary(records, leftovers, width(), has_colour).splitlines()
