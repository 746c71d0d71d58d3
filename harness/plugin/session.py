"""The run as a whole: the canary before it, its records, and the summary after it."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness import VERSION, canary, results_file
from harness.cluster import Capabilities
from harness.errors import HarnessError
from harness.plugin import folders, options, progress, terminal
from harness.plugin.clusters import cluster_holder
from harness.plugin.collection import ScenarioStep
from harness.plugin.ending import Ending
from harness.plugin.spread import scenario_file
from harness.report import (
    Outcome,
    Results,
    Run,
    StepRecord,
    failure,
    in_order,
    sentence,
)
from harness.report.html import page

_FORMATS: Mapping[str, Callable[[Results], str]] = {"results": Results.to_json, "html": page}
"""The options that name a file for the results, and how it is written."""
_LEFT = "netpol_leftovers"
_SET_UP = "netpol::before the first scenario"
_NO_REPORTS = ("terminalreporter", "session", "netpol-run-watch", "lfplugin", "stepwiseplugin")
"""The plugins that count items, or print them."""
_INTERRUPTED_WORKER = "keyboard-interrupt"  # xdist's error of a worker that got SIGINT
_STEPS_MUST_STAY_TOGETHER = {"worksteal", "loadgroup"}


@dataclass(slots=True)
class RunState:
    """What the controller (or the only process) knows about a run.

    ``capabilities`` are those of the cluster before the canary, if it ran. ``refusal`` is why
    nothing ran although the scenarios are valid. ``has_steps``: there are
    steps to run. ``crashed``: a process may have ended without removing what it created.
    """

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic)
    records: list[StepRecord] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    capabilities: Capabilities | None = None
    refusal: HarnessError | None = None
    has_steps: bool = False
    crashed: bool = False
    ending: Ending = field(default_factory=Ending)
    session: pytest.Session | None = None

    @property
    def measured(self) -> bool:
        """Whether a cell was measured; also true if there was no step to run."""
        seen = any(cell.observed for record in self.records for cell in record.cells)
        return seen or not self.has_steps


RUN_STATE = pytest.StashKey[RunState]()


def run_state(config: pytest.Config) -> RunState:
    """Return the RunState of this run."""
    return config.stash.setdefault(RUN_STATE, RunState())


# ------------------------------------------------------------------ before


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options, and register the watches; the RunWatch only on the controller."""
    options.check_options(config)
    config.pluginmanager.register(folders.FolderWatch(config), "netpol-folder-watch")
    if not options.is_worker(config):
        config.pluginmanager.register(RunWatch(config), "netpol-run-watch")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Return the cluster and the run id, if there is a scenario folder."""
    if any(root.is_dir() for root in options.roots(config)):
        return (
            f"netpol: cluster {config.getoption('netpol_cluster')}, "
            f"run {config.getoption('netpol_run_id')}"
        )
    return None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse arguments with which the run would prove nothing, before the collection."""
    config = session.config
    run_state(config).session = session
    if options.is_worker(config):
        return
    _make_room_for_results(config)
    progress.start(config)
    folders.refuse_empty(config)


def _make_room_for_results(config: pytest.Config) -> None:
    files = _files(config)
    for name, path in files.items():
        try:
            results_file.make_room(path)
        except OSError as error:
            for each in files:
                setattr(config.option, f"netpol_{each}", None)
            where = f"{options.spelled(config, name)}={path}"
            raise pytest.UsageError(f"{where}: {error.strerror}") from None


def _files(config: pytest.Config) -> Mapping[str, Path]:
    """Return the files that this run writes, by the name of the option."""
    return {name: path for name in _FORMATS if (path := config.getoption(f"netpol_{name}"))}


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Without xdist: run the canary if scenarios will run."""
    config = session.config
    with _terminated_as_interrupt():
        if not options.is_worker(config) and _will_run(session):
            _check_cluster(config)
        return (yield)


def _will_run(session: pytest.Session) -> bool:
    config = session.config
    if config.getoption("collectonly"):
        return False
    if session.testsfailed and not config.getoption("continue_on_collection_errors"):
        return False
    return any(isinstance(item, ScenarioStep) for item in session.items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """With xdist: run the canary when the first worker has collected scenarios."""
    config: pytest.Config = node.config
    if run_state(config).has_steps or not any(scenario_file(nodeid) for nodeid in ids):
        return
    dist = config.getoption("dist")
    if dist in _STEPS_MUST_STAY_TOGETHER:
        raise pytest.UsageError(
            f"--dist={dist} would distribute the steps of a scenario over several clusters\n"
            "hint: use --dist=load, the default of -n, or --dist=loadfile"
        )
    if dist != "load" and "disruptive" in config.getoption("netpol_include"):
        include = f"{options.spelled(config, 'include')}=disruptive"
        raise pytest.UsageError(
            f"--dist={dist} would run other scenarios beside the disruptive ones of {include}\n"
            "hint: use --dist=load, the default of -n, which runs them alone"
        )
    _check_cluster(config)


def _check_cluster(config: pytest.Config) -> None:
    """Check once per run that the cluster enforces policies. Raises UsageError if not."""
    if config.getoption("setuponly", False):
        return  # Then pytest runs no test.
    run_state(config).has_steps = True
    if config.getoption("netpol_canary") == "off":
        return
    found = run_state(config)
    try:
        cluster = cluster_holder(config).cluster()
        found.capabilities = cluster.capabilities
        line = progress.progress_line(config)
        with line.of("canary", "does a deny-all policy deny?"):
            canary.check(cluster, options.timing(config), line.tell)
    except HarnessError as error:
        found.refusal = error
        _report_refusal(config, error)
        raise pytest.UsageError(str(error)) from None


def _report_refusal(config: pytest.Config, error: HarnessError) -> None:
    """Tell those who write a report, such as a JUnit file, that set-up failed.

    pytest itself prints the error, and gets no report: this is no item of the run.
    """
    report = pytest.TestReport(
        _SET_UP, ("netpol", None, _SET_UP), {}, "failed", str(error), when="setup"
    )
    manager = config.pluginmanager
    others = [manager.get_plugin(name) for name in _NO_REPORTS]
    tell = manager.subset_hook_caller(
        "pytest_runtest_logreport", [plugin for plugin in others if plugin]
    )
    tell(report=report)


@contextlib.contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """Clean up after SIGTERM as after Ctrl-C."""

    def stop(number: int, _frame: object) -> None:
        pytest.exit("terminated", returncode=128 + number)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # Not in the main thread: the caller handles signals.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# ------------------------------------------------------------------ during

_Status = tuple[str, str, str | tuple[str, Mapping[str, bool]]]
_ERRORS = {Outcome.NO_VERDICT, Outcome.CLUSTER_ERROR}


@dataclass(frozen=True, slots=True)
class _Crash:
    """The part of a failure that pytest's short summary and JUnit files read."""

    message: str


class _FailureText:
    """A failure, formatted for the terminal, or as a plain string."""

    def __init__(self, record: StepRecord) -> None:
        self._record = record
        self.reprcrash = _Crash(sentence(record))

    def __str__(self) -> str:
        return failure(self._record) if self._record.cells else self._record.message

    def toterminal(self, tw: Any) -> None:
        if self._record.cells:
            tw.line(failure(self._record, terminal.width(), tw.hasmarkup))
        else:
            tw.line(self._record.message)


class RunWatch:
    """Receives the report of every step, on the controller or in the only process."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        run_state(self._config).ending.note_step(report)
        text: str | None = getattr(report, "netpol", None)
        if text is None:
            return
        record = StepRecord.from_json(text)
        found = run_state(self._config)
        found.records.append(record)
        if report.failed:
            report.longrepr = _FailureText(record)  # type: ignore[assignment]
        if terminal.has_line_a_step(self._config):
            total = found.session.testscollected if found.session else 0
            terminal.print_ended(self._config, record, len(found.records), total)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> Generator[None, _Status, _Status]:
        """Report a step without verdict as an error: it shows nothing about the policies.

        pytest prints no letter for a step that has a line.
        """
        category, letter, word = yield
        text: str | None = getattr(report, "netpol", None)
        if text is None:
            return category, letter, word
        if report.failed and StepRecord.from_json(text).outcome in _ERRORS:
            category, letter, word = "error", "E", "ERROR"
        return category, "" if terminal.has_line_a_step(self._config) else letter, word

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        run_state(self._config).ending.note_collection(report)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        run_state(self._config).ending.note_interrupt(excinfo)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        found = run_state(self._config)
        ordered = in_order(found.records)
        if self._config.getoption("netpol_tables"):
            terminal.print_tables(terminalreporter, ordered)
        about = terminal.closing(self._config, ordered, found.leftovers)
        about += found.ending.lines(options.spelled(self._config, "allow-empty"))
        if about:
            terminalreporter.section("NetworkPolicy")
        for line in about:
            terminalreporter.line(line)


# ------------------------------------------------------------------ after


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close the Cluster of this process; a worker sends the controller what is left."""
    config = session.config
    left = cluster_holder(config).close()
    if options.is_worker(config):
        config.workeroutput[_LEFT] = list(left)  # type: ignore[attr-defined]
        return
    found = run_state(config)
    found.leftovers.extend(left)
    found.ending.settle_status(session, found.measured)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Record what a worker could not remove, and whether it crashed."""
    output = getattr(node, "workeroutput", {})
    found = run_state(node.config)
    found.leftovers.extend(output.get(_LEFT, ()))
    found.crashed = found.crashed or error is not None
    found.ending.interrupted |= error == _INTERRUPTED_WORKER


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """After all workers have ended, remove what crashed ones left, and write the results."""
    if options.is_worker(config) or RUN_STATE not in config.stash:
        return
    progress.stop(config)
    found = run_state(config)
    if found.crashed or found.ending.interrupted:
        _sweep(config)
    if files := _files(config):
        results = _results(config, found)
        for name, path in files.items():
            _write_results(results, name, path, config)


def _sweep(config: pytest.Config) -> None:
    try:
        left = config.hook.pytest_netpol_remove_leftovers(
            config=config, run_id=config.getoption("netpol_run_id")
        )
        for item in left or ():
            print(f"not removed: {item}", file=sys.stderr)  # noqa: T201 - see below
    except HarnessError as error:
        print(f"not removed: {error}", file=sys.stderr)  # noqa: T201 - the terminal is closed


def _results(config: pytest.Config, found: RunState) -> Results:
    has = found.capabilities
    run = Run(
        run_id=config.getoption("netpol_run_id"),
        started=found.started.isoformat(timespec="seconds"),
        duration_s=round(time.monotonic() - found.began, 3),
        harness=VERSION,
        cluster=config.getoption("netpol_cluster"),
        workers=getattr(config.option, "numprocesses", None) or 0,
        refusal=str(found.refusal) if found.refusal else "",
        leftovers=tuple(found.leftovers),
        cni=has.cni if has else "",
        cni_version=has.cni_version if has else "",
        kubernetes=has.kubernetes if has else "",
        options=options.shown(config),
    )
    return Results(run, in_order(found.records))


def _write_results(results: Results, name: str, path: Path, config: pytest.Config) -> None:
    session = run_state(config).session
    try:
        results_file.write(path, _FORMATS[name](results))
    except OSError as error:
        where = f"{options.spelled(config, name)}={path}"
        text = f"{where}: {error.strerror}; no results were written"
        print(text, file=sys.stderr)  # noqa: T201 - the terminal is closed
        if session and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
