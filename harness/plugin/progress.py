"""The progress line: what the running step waits for, below what pytest has printed.

It is shown on a terminal, in a run of one process. It is rewritten in place, and erased before
the step ends, so that pytest prints as if it had not been there. pytest captures the output of a
running step; the line is written to a copy of the descriptor of the terminal.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

import pytest

from harness import report
from harness.plugin import options
from harness.settle import Progress

_PAUSE_S = 0.1
"""The line is rewritten at most so often, unless the phase changes."""
_DEFAULT_WIDTH = 80
_MARGIN = 3
"""The columns that stay free: for the ``^C`` of Ctrl-C, and the last one of the terminal, where
some terminals begin a new line."""


class ProgressLine:
    """One line of a terminal.

    ``column`` returns how many columns pytest has written in the current line: if there are any,
    the progress is in the line below, and the cursor goes back. Without a ``terminal`` nothing
    is shown.
    """

    def __init__(
        self,
        terminal: TextIO | None,
        width: Callable[[], int],
        column: Callable[[], int],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terminal = terminal
        self._width = width
        self._column = column
        self._now = now
        self._names = ("", "")
        self._drawn: Progress | None = None
        self._drawn_at = 0.0

    @contextlib.contextmanager
    def of(self, scenario: str, step: str) -> Iterator[None]:
        """Show the progress of this step; at the end erase the line."""
        self._names = (scenario, step)
        try:
            yield
        finally:
            if self._drawn is not None:
                self._write("\r\x1b[K" if self._column() == 0 else "\x1b[J")
                self._drawn = None

    def tell(self, progress: Progress) -> None:
        """Show the progress, unless the line was rewritten a moment ago."""
        now = self._now()
        phase = self._drawn.phase if self._drawn else None
        if phase is progress.phase and now < self._drawn_at + _PAUSE_S:
            return
        self._drawn, self._drawn_at = progress, now
        width, column = self._width(), self._column()
        text = report.running(progress, *self._names, width - _MARGIN)
        if column == 0:
            self._write(f"\r{text}\x1b[K")
        else:
            back = (column - 1) % width + 1
            self._write(f"\n\r{text}\x1b[K\x1b[A\r\x1b[{back}C")

    def close(self) -> None:
        """Close the copy of the descriptor."""
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            terminal.close()

    def _write(self, text: str) -> None:
        if self._terminal is None:
            return
        try:
            self._terminal.write(text)
            self._terminal.flush()
        except OSError:  # The terminal is gone, and the run goes on.
            self._terminal = None


_LINE = pytest.StashKey[ProgressLine]()


def progress_line(config: pytest.Config) -> ProgressLine:
    """Return the ProgressLine of this process."""
    return config.stash.setdefault(_LINE, ProgressLine(None, lambda: 0, lambda: 0))


def start(config: pytest.Config) -> None:
    """Make the ProgressLine of a run of one process whose output is a terminal.

    This is before the first step, when pytest captures nothing.
    """
    if not _is_wanted(config):
        return
    stream = sys.stdout
    descriptor = os.dup(stream.fileno())
    copy = os.fdopen(descriptor, "w", encoding=stream.encoding, errors="replace")
    writer = config.get_terminal_writer()
    config.stash[_LINE] = ProgressLine(
        copy,
        width=lambda: _width(descriptor),
        column=lambda: max(0, writer.width_of_current_line),
    )


def stop(config: pytest.Config) -> None:
    """Close the ProgressLine."""
    progress_line(config).close()


def _is_wanted(config: pytest.Config) -> bool:
    if options.is_worker(config) or getattr(config.option, "numprocesses", None):
        return False
    if options.verbosity(config) < 0 or not config.pluginmanager.has_plugin("terminalreporter"):
        return False
    # With --capture=no steps may print; with live logs they do.
    if config.getoption("capture", "no") == "no" or _has_live_logs(config):
        return False
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _has_live_logs(config: pytest.Config) -> bool:
    if not config.pluginmanager.has_plugin("logging-plugin"):
        return False
    return bool(config.getini("log_cli")) or config.getoption("log_cli_level") is not None


def _width(descriptor: int) -> int:
    """Return the width of the terminal now, or what COLUMNS says."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(descriptor).columns or _DEFAULT_WIDTH
    except OSError:
        return _DEFAULT_WIDTH
