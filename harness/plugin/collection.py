"""Scenario files as pytest nodes: a file, with an item for each step."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Generator, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from harness import oracle, report, scenario
from harness.cluster import Cluster
from harness.errors import HarnessError, NotRefused
from harness.model import CellResult, Scenario, StepResult
from harness.plugin import options
from harness.plugin.clusters import cluster_holder
from harness.plugin.progress import progress_line
from harness.runner import ScenarioRun
from harness.variants import Variant, variant

_TRACED = 2
"""So many wrong cells of a step are traced, and shown on a page of their own."""

IGNORED_BY_PYTEST = frozenset(
    {"*.egg", ".*", "CVS", "_darcs", "build", "dist", "node_modules", "venv", "{arch}"}
)
"""The default of pytest's ``norecursedirs``; scenarios in such folders are collected."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect scenario folders that only the default of pytest ignores, such as build."""
    if not collection_path.is_dir() or _root_of(collection_path, config) is None:
        return None
    if collection_path.is_symlink() and scenario.is_loop(collection_path):
        return True
    usual = any(fnmatch(collection_path.name, item) for item in IGNORED_BY_PYTEST)
    if not usual or scenario.is_passed_over(collection_path):
        return None
    asked_for = set(config.getini("norecursedirs")) != IGNORED_BY_PYTEST
    return None if asked_for or _is_ignored(collection_path, config) else False


def _is_ignored(path: Path, config: pytest.Config) -> bool:
    """Return whether the user ignores the path, on the command line or in a conftest.py."""
    ignores = [
        (config.invocation_params.dir, config.getoption("ignore"), config.getoption("ignore_glob"))
    ]
    for plugin in config.pluginmanager.get_plugins():
        file = Path(getattr(plugin, "__file__", None) or "")
        if file.name == "conftest.py" and path.is_relative_to(file.parent):
            names = getattr(plugin, "collect_ignore", ())
            ignores.append((file.parent, names, getattr(plugin, "collect_ignore_glob", ())))
    for folder, names, patterns in ignores:
        if path in {Path(os.path.normpath(folder / name)) for name in names or ()}:
            return True
        if any(fnmatch(str(path), str(folder / pattern)) for pattern in patterns or ()):
            return True
    return False


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect scenarios in scenario folders, and files on the command line."""
    named = parent.session.isinitpath(file_path)
    # A hidden file is a scenario only if it is on the command line.
    if not scenario.has_scenario_name(file_path.name.lstrip(".") if named else file_path.name):
        return None
    if named or _in_scenarios(file_path, parent.config):
        # pytest names files outside of its root folder by less than their path: two can have one
        # id, and xdist runs one of them.
        nodeid = Path(os.path.relpath(file_path, parent.config.rootpath)).as_posix()
        return ScenarioFile.from_parent(parent, path=file_path, nodeid=nodeid)
    return None


def _in_scenarios(path: Path, config: pytest.Config) -> bool:
    root = _root_of(path, config)
    if root is None:
        return False
    between = [folder for folder in path.parents if folder.is_relative_to(root) and folder != root]
    return not any(scenario.is_passed_over(folder) for folder in between)


def _root_of(path: Path, config: pytest.Config) -> Path | None:
    return next((root for root in options.roots(config) if path.is_relative_to(root)), None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put scenarios of one fixture together, and the steps of a file into its order."""
    _group_by_fixture(items)
    places: dict[ScenarioFile, list[int]] = {}
    for place, item in enumerate(items):
        if isinstance(item, ScenarioStep):
            places.setdefault(item.file, []).append(place)
    for where in places.values():
        steps = [items[place] for place in where]
        steps.sort(key=lambda item: item.index if isinstance(item, ScenarioStep) else 0)
        for place, step in zip(where, steps, strict=True):
            items[place] = step


def _group_by_fixture(items: list[pytest.Item]) -> None:
    """Put the steps of one fixture where its first one is; other tests keep their places."""
    places = [place for place, item in enumerate(items) if isinstance(item, ScenarioStep)]
    groups: dict[str, list[pytest.Item]] = {}
    for place in places:
        groups.setdefault(_group(items[place]), []).append(items[place])
    ordered = [item for group in groups.values() for item in group]
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def _group(item: pytest.Item) -> str:
    """Return the fixture of a step, or its file if it has none."""
    assert isinstance(item, ScenarioStep)  # noqa: S101
    fixture = item.file.scenario.fixture
    return fixture.path if fixture else str(item.path)


class ScenarioFile(pytest.File):
    """A scenario file; runs its steps on the Cluster of this process."""

    scenario: Scenario

    def collect(self) -> Iterator[ScenarioStep]:
        try:
            self.scenario = scenario.load(
                _as_given(self.path, self.config), [self.config.rootpath]
            )
        except HarnessError as error:
            raise self.CollectError(str(error)) from None
        self._run: ScenarioRun | None = None
        for index, step in enumerate(self.scenario.steps):
            yield ScenarioStep.from_parent(self, name=step.name, index=index)

    def run_step(self, index: int) -> StepResult:
        """Run a step; the first call determines the steps that will run.

        These are the collected steps from this one on. After a worker crashes, another one
        continues in the middle of a file, and needs evidence only for the steps that it runs.
        """
        line = progress_line(self.config)
        if self._run is None:
            to_come = [
                item.index
                for item in self.session.items
                if isinstance(item, ScenarioStep) and item.file is self and item.index >= index
            ]
            holder = cluster_holder(self.config)
            waits = options.timing(self.config)
            self._run = ScenarioRun(
                holder.cluster(),
                self.variant.scenario,
                waits,
                to_come,
                holder.predecessor,
                line.tell,
            )
        with line.of(self.scenario.name, self.scenario.steps[index].name):
            return self._run.run(index)

    @functools.cached_property
    def variant(self) -> Variant:
        """The scenario as the Cluster of this process runs it. Raises HarnessError."""
        return variant(self.scenario, cluster_holder(self.config).cluster().capabilities)

    def take_rebuilt(self) -> str:
        """Return why the fixture was made again, to the first step that asks."""
        if self._run is None:
            return ""
        found, self._run.rebuilt = self._run.rebuilt, ""
        return found


def _as_given(path: Path, config: pytest.Config) -> Path:
    """Return the path relative to the folder in which pytest was started."""
    here = config.invocation_params.dir
    return Path(os.path.relpath(path, here)) if path.is_relative_to(here) else path


class StepFailed(Exception):
    """A step whose table differs from what was observed; ``str()`` is the message."""

    def __init__(self, record: report.StepRecord) -> None:
        super().__init__(report.failure(record))


class ScenarioStep(pytest.Item):
    """One step. ``record`` is its result, after it ran."""

    def __init__(self, *, index: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.index = index
        self.record: report.StepRecord | None = None

    @property
    def file(self) -> ScenarioFile:
        assert isinstance(self.parent, ScenarioFile)  # noqa: S101
        return self.parent

    def reportinfo(self) -> tuple[Path, int, str]:
        step = self.file.scenario.steps[self.index]
        return self.path, step.location.line - 1, f"{self.path.name}: {self.name}"

    def runtest(self) -> None:
        """Run the step: pass, skip, xfail, or raise StepFailed or HarnessError."""
        self.user_properties += self._about()
        try:
            cluster = cluster_holder(self.config).cluster()
            needs = self.file.scenario.needs
            lack = options.excluded(self.config, needs) or self.file.variant.skips[self.index]
            if lack:
                self._note(report.Outcome.SKIPPED, lack)
                pytest.skip(lack)
            result = self.file.run_step(self.index)
        except NotRefused as error:
            self._note(report.Outcome.NOT_REFUSED, str(error))
            raise
        except HarnessError as error:
            self._note(report.Outcome.CLUSTER_ERROR, str(error))
            raise
        has = cluster.capabilities
        self.record = replace(
            report.record(
                result, has.name, self._explain, self._repeat, self._background(cluster, result)
            ),
            ignored=has.ignores(self.file.scenario.needs),
            rebuilt=self.file.take_rebuilt(),
        )
        self._publish(self.record)
        if self.record.outcome is report.Outcome.LIMITED:
            pytest.xfail(report.sentence(self.record))  # Has no effect with --runxfail.
        if self.record.outcome is not report.Outcome.PASSED:
            seen = result.reachability
            odd = (*seen.mismatches, *seen.unmeasured, *seen.unproven)
            words = cluster.describe([item.cell.probe for item in odd])
            if words:
                self.add_report_section("call", "cluster", words)
            raise StepFailed(self.record)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the message for an error that a user can cause, otherwise a traceback."""
        if isinstance(excinfo.value, HarnessError | StepFailed | pytest.xfail.Exception):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def _note(self, outcome: report.Outcome, message: str) -> None:
        unmeasured = report.unmeasured_record(
            self.file.scenario, self.index, outcome, self._cluster_name(), message
        )
        self.record = replace(unmeasured, rebuilt=self.file.take_rebuilt())

    def _about(self) -> list[tuple[str, str]]:
        """Return the properties of the cluster that JUnit files show."""
        try:
            return list(report.about(cluster_holder(self.config).cluster().capabilities))
        except HarnessError:
            return [("cluster", self._cluster_name())]

    def _cluster_name(self) -> str:
        try:
            return cluster_holder(self.config).cluster().capabilities.name
        except HarnessError:
            return str(self.config.getoption("netpol_cluster"))

    def _publish(self, record: report.StepRecord) -> None:
        """Add the properties of the step that JUnit files show."""
        self.user_properties += report.properties(record)

    @functools.cached_property
    def _judge(self) -> oracle.Judge:
        step = self.file.scenario.steps[self.index]
        facts = oracle.Facts(features=self.file.scenario.features_of(step))
        return oracle.Judge(step.state, facts)

    def _explain(self, result: CellResult) -> str:
        explanation = self._judge.explain(result.cell.probe)
        return report.reasons(explanation, result.cell.stated)

    def _background(self, cluster: Cluster, result: StepResult) -> report.Background:
        """Return what the record tells beside the verdicts; the first wrong cells are traced."""
        wrong = [item.cell.probe for item in result.reachability.mismatches]
        return report.Background(
            path=lambda probe: report.path(self._judge.predict(probe)),
            placements=cluster.placements(),
            traces=cluster.trace(wrong[:_TRACED]) if wrong else (),
        )

    def _repeat(self, result: CellResult) -> str:
        probe = result.cell.probe
        words = ["netpol", "probe", self.file.scenario.path, self.name]
        words += [str(probe.source), str(probe.destination)]
        if probe.family == 6:
            words.append("-6")
        return shlex.join([*words, *options.choice_of(self.config).arguments()])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the record of the step to its report, which a worker sends to the controller."""
    outcome = yield
    if isinstance(item, ScenarioStep) and item.record and call.when == "call":
        outcome.netpol = item.record.to_json()  # type: ignore[attr-defined]
        if item.record.outcome is report.Outcome.SKIPPED:
            outcome.longrepr = (item.file.scenario.path, 1, f"Skipped: {item.record.message}")
    return outcome
