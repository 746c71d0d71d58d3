"""What the plugin prints: a line for each step as it ends; after the run tables and summary."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Sequence

import pytest

from harness.plugin import options
from harness.report import (
    WIDTH,
    StepRecord,
    details,
    ended,
    step_line,
    summary,
    table,
    what_is_wrong,
)


def width() -> int:
    """Return how wide tables may be: as the terminal is, or as COLUMNS says, or a default."""
    if _is_terminal() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size((WIDTH, 0)).columns
    return WIDTH


def _is_terminal() -> bool:
    return sys.__stdout__ is not None and sys.__stdout__.isatty()


def has_line_a_step(config: pytest.Config) -> bool:
    """Return whether each step has a line of this plugin, instead of a letter of pytest."""
    return options.is_netpol_run(config) and options.verbosity(config) >= 0


def print_ended(config: pytest.Config, record: StepRecord, number: int, total: int) -> None:
    """Print the line of the step that ended as the ``number``th of ``total``; more with ``-v``."""
    if not config.pluginmanager.has_plugin("terminalreporter"):
        return
    writer = config.get_terminal_writer()
    if writer.width_of_current_line:
        writer.line()
    place = f"[{number:>{len(str(total))}}/{total}] "
    room = width() if _is_terminal() else None
    writer.line(ended(record, place, room, writer.hasmarkup))
    more = details(record) if options.verbosity(config) > 0 else ""
    if more:
        writer.line(f"{' ' * len(place)}{more}")
    writer.flush()


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
    is_long = level > 0 and not has_line_a_step(config)
    steps = [step_line(record) for record in records] if is_long else []
    return steps + summary(records, leftovers, width(), has_colour).splitlines()
