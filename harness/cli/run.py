"""The verb run: run scenario files on a cluster, with pytest."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from harness.choice import CLUSTER_OPTIONS, PYTEST, RUN_OPTIONS, arguments
from harness.cli.exits import Exit, status_of
from harness.cli.scenarios import files
from harness.plugin.options import NETPOL_RUN
from harness.plugin.session import RunState, run_state
from harness.report import Outcome


def run(parsed: argparse.Namespace) -> int:
    """Run pytest with only this plugin; return the exit status of netpol."""
    wanted = []
    for given in parsed.files:
        name, colons, step = given.partition("::")
        wanted += [f"{path}{colons}{step}" for path in files([Path(name)])]
    words = ["-c", os.devnull, f"--rootdir={Path.cwd()}", "--disable-plugin-autoload"]
    words += ["-p", "harness.plugin", "-p", "no:cacheprovider", "--import-mode=importlib"]
    # The plugin is imported already; pytest would warn that it cannot rewrite its assertions.
    words.append("--assert=plain")
    words += ["-q", "--no-header", "-rfEs"]
    # The plugin prints a line for each step, so pytest prints no file names and no percentages.
    words += ["-o", "verbosity_test_cases=-1", "-o", "console_output_style=classic"]
    if parsed.workers != "0":
        words += ["-p", "xdist", "-n", parsed.workers]
    if not parsed.no_tables:
        words.append(f"--{PYTEST}tables")
    words += arguments((*CLUSTER_OPTIONS, *RUN_OPTIONS), vars(parsed).__getitem__, PYTEST)
    listener = _Listener()
    code = pytest.main([*words, *parsed.rest, *wanted], plugins=[listener])
    return listener.status(int(code))


_STATUS_OF_PYTEST = {0: Exit.OK, 3: Exit.BROKEN}


class _Listener:
    """Gets from the plugin what pytest's exit status does not distinguish.

    Its name tells the plugin to spell options as in ``netpol run``.
    """

    __name__ = NETPOL_RUN

    def __init__(self) -> None:
        self._state: RunState | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._state = run_state(session.config)

    def status(self, code: int) -> int:
        """Translate pytest's exit status (0 good, 1 failed, 2 interrupted, 3 broken, ...)."""
        if self._state is None:
            return _STATUS_OF_PYTEST.get(code, Exit.USAGE)
        ending = self._state.ending
        if ending.interrupted:
            return max(code, Exit.INTERRUPTED)
        if ending.invalid:
            return Exit.INVALID
        if self._state.refusal:
            return status_of(self._state.refusal)
        if ending.unmeasured:
            return Exit.NO_VERDICT
        if code == 1:
            seen = {record.outcome for record in self._state.records}
            wrong = seen & {Outcome.WRONG, Outcome.UNPROVEN, Outcome.NOT_REFUSED}
            return Exit.WRONG if wrong else Exit.NO_VERDICT
        return _STATUS_OF_PYTEST.get(code, Exit.USAGE)
