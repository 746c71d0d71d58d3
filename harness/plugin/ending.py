"""How a run ended, and its exit status.

The status of pytest is not enough in three cases: a run whose steps measured nothing proves
nothing; pytest-xdist ends a run with ``-x`` as if it was interrupted; and with ``-x`` or
pytest-xdist an invalid scenario file looks like a failed test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from harness.plugin.spread import scenario_file

_HINT = "hint: use a cluster that has what they need; {} accepts a run without cells"


@dataclass(slots=True)
class Ending:
    """What the controller (or the only process) knows about the end of a run.

    ``interrupted``: a user stopped it. ``invalid``: a file could not be collected.
    ``unmeasured``: steps were to run, none failed, and no cell was measured.
    """

    interrupted: bool = False
    invalid: bool = False
    unmeasured: bool = False
    _stopped_by_xdist: bool = False
    _skips: Counter[str] = field(default_factory=Counter)

    def note_collection(self, report: pytest.CollectReport) -> None:
        """Note a scenario file or folder that could not be collected."""
        self.invalid |= report.failed and not report.nodeid.endswith(".py")

    def note_step(self, report: pytest.TestReport) -> None:
        """Note why a step was skipped."""
        if report.skipped and scenario_file(report.nodeid):
            self._skips[_reason(report)] += 1

    def note_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note Ctrl-C or ``pytest.exit``; pytest and xdist raise subclasses to end a run."""
        kind = type(excinfo.value)
        self.interrupted |= kind is KeyboardInterrupt or issubclass(kind, pytest.exit.Exception)
        self._stopped_by_xdist |= (
            issubclass(kind, KeyboardInterrupt)
            and kind is not KeyboardInterrupt
            and not issubclass(kind, pytest.Session.Interrupted)
        )

    def settle_status(self, session: pytest.Session, measured: bool) -> None:
        """Correct the exit status; ``measured``: a cell was measured, or no step was to run."""
        config, failed = session.config, pytest.ExitCode.TESTS_FAILED
        stopped = self._stopped_by_xdist and not self.interrupted and session.testsfailed > 0
        if session.exitstatus == pytest.ExitCode.INTERRUPTED and stopped:
            session.exitstatus = failed
        goes_on = config.getoption("continue_on_collection_errors")
        if session.exitstatus == failed and self.invalid and not goes_on:
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        if session.exitstatus == pytest.ExitCode.OK and not measured:
            self.unmeasured = not config.getoption("netpol_allow_empty")
        if self.unmeasured:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    def lines(self, allow_empty: str) -> Iterator[str]:
        """Yield why the run is unmeasured, if it is, and the option that accepts it."""
        if not self.unmeasured:
            return
        yield "no cell was measured, so this run proves nothing"
        for reason, count in self._skips.most_common():
            yield f"  {count} {'step' if count == 1 else 'steps'} skipped: {reason}"
        yield _HINT.format(allow_empty)


def _reason(report: pytest.TestReport) -> str:
    match report.longrepr:
        case (_, _, str(text)):
            return text.removeprefix("Skipped: ")
        case _:
            return getattr(report, "wasxfail", "") or "the reason is not known"
