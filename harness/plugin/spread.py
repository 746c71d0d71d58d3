"""The distribution of scenarios over the workers of pytest-xdist."""

from __future__ import annotations

import functools
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness import scenario
from harness.errors import HarnessError
from harness.model import Scenario
from harness.plugin import folders, options
from harness.plugin.clusters import cluster_holder
from harness.variants import has_baseline, has_only_one_baseline


def scenario_file(nodeid: str) -> str | None:
    """Return the scenario file in a node id, or None if it is not the id of a step.

    scenarios/a.yaml::nobody reaches db   ->  scenarios/a.yaml
    tests/unit/test_a.py::test_b          ->  None
    """
    file, colons, _ = nodeid.partition("::")
    return file if colons and file.lower().endswith((".yaml", ".yml")) else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Send a worker the run id, by which everything that the run creates is found and removed.

    Also send the arguments of the command line, which a worker cannot tell from the ini file's,
    and whether ``netpol run`` started the run.
    """
    node.workerinput["netpol_run_id"] = node.config.getoption("netpol_run_id")
    node.workerinput["netpol_named"] = folders.named(node.config)
    if options.is_netpol_run(node.config):
        node.workerinput[options.NETPOL_RUN] = True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the steps of a file together with ``-n``, and the files of a fixture if possible.

    Do not change an explicit ``--dist``.
    """
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class ScenarioScheduling(LoadScopeScheduling):  # type: ignore[misc]
        """Groups steps by file; files with exact names are one group.

        So are those that use the only BaselineAdminNetworkPolicy of the cluster. A worker gets
        files of the fixture that it has, as long as some are waiting. Most others run scenarios
        that make their own pods meanwhile. Scenarios that need the same address outside the
        cluster run one after the other if possible. Disruptive scenarios come last: all workers
        but one end, and then that one runs them.
        """

        def __init__(self, config: pytest.Config, log: Any) -> None:
            super().__init__(config, log)
            self._fixtures: dict[Any, str] = {}

        def remove_node(self, node: Any) -> str | None:
            crashed: str | None = super().remove_node(node)
            if self.workqueue and len(self.nodes) == 1:
                self._reschedule(self.nodes[0])
            return crashed

        def _reschedule(self, node: Any) -> None:
            if _may_go_on(config, self, node):
                super()._reschedule(node)

        def _assign_work_unit(self, node: Any) -> None:
            scopes = _ready(config, self)
            if not scopes:
                return
            others = [other for other in self.nodes if other is not node]
            taken = _addresses_in_use(config, self, others)
            scopes = not_waiting(
                {scope: _outside_addresses(scope, config.rootpath) for scope in scopes}, taken
            )
            waiting = {scope: _fixture_of(config.rootpath / scope) for scope in scopes}
            fixtures = [self._fixtures[other] for other in others if other in self._fixtures]
            scope = next_scope(waiting, self._fixtures.get(node, ""), fixtures)
            self._fixtures[node] = waiting[scope]
            self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid, config)

    return ScenarioScheduling(config, log)


def _ready(config: pytest.Config, scheduler: Any) -> list[str]:
    """Return which files may start now: a disruptive one only if it is alone."""
    free = [scope for scope in scheduler.workqueue if not _is_alone(scope, config)]
    return free or (list(scheduler.workqueue) if len(scheduler.nodes) == 1 else [])


def _addresses_in_use(
    config: pytest.Config, scheduler: Any, nodes: Iterable[Any]
) -> frozenset[str]:
    """Return the addresses of outside hosts in the files that workers have not finished."""
    unfinished = (
        scope
        for node in nodes
        for scope, tests in scheduler.assigned_work.get(node, {}).items()
        if not all(tests.values())
    )
    found = (_outside_addresses(scope, config.rootpath) for scope in unfinished)
    return frozenset[str]().union(*found)


def _may_go_on(config: pytest.Config, scheduler: Any, node: Any) -> bool:
    """Return whether a worker gets more files, or ends if there are none.

    If only disruptive files are left, all workers but one end, and that one waits for them.
    """
    if not scheduler.workqueue or _ready(config, scheduler):
        return True
    others = [other for other in scheduler.nodes if other is not node]
    if not node.shutting_down and not all(other.shutting_down for other in others):
        node.shutdown()
    return False


def _group(nodeid: str, config: pytest.Config) -> str:
    file = scenario_file(nodeid)
    if file is None:
        return nodeid
    if _is_alone(file, config):
        return file
    exact = _wants_exact_names(file, config.rootpath) or _uses_the_baseline(file, config)
    return "exact names" if exact else file


def _uses_the_baseline(file: str, config: pytest.Config) -> bool:
    """Return whether a file needs the object of which the cluster has only one."""
    kinds = cluster_holder(config).kinds
    one = kinds is None or has_only_one_baseline(kinds)
    return one and _has_baseline(file, config.rootpath)


@functools.cache
def _has_baseline(file: str, root: Path) -> bool:
    found = _read(file, root, "Baseline", ".yaml", ".yml", "manifests")
    return found is not None and has_baseline(found)


def _is_alone(file: str, config: pytest.Config) -> bool:
    """Return whether a file is disruptive and runs."""
    included = "disruptive" in config.getoption("netpol_include")
    return included and _is_disruptive(file, config.rootpath)


@functools.cache
def _wants_exact_names(file: str, root: Path) -> bool:
    found = _read(file, root, "exact names")
    return found is not None and found.exact_names


@functools.cache
def _is_disruptive(file: str, root: Path) -> bool:
    found = _read(file, root, "disruptive", "agents")
    return found is not None and "disruptive" in found.needs.on_request


@functools.cache
def _outside_addresses(file: str, root: Path) -> frozenset[str]:
    """Return the addresses of the hosts outside the cluster that a scenario needs.

    On a real cluster, one scenario at a time has such an address; the others wait for it.
    """
    found = _read(file, root, "externals")
    states = () if found is None else (step.state for step in found.steps)
    return frozenset(
        address for state in states for host in state.externals for address in host.addresses
    )


def _read(file: str, root: Path, *words: str) -> Scenario | None:
    """Read a scenario whose text has one of the words; None if it cannot be read."""
    path = root / file
    try:
        text = path.read_text(encoding="utf-8")
        return scenario.read(path, [root]) if any(word in text for word in words) else None
    except (OSError, ValueError, HarnessError):
        return None


_OWN_TOPOLOGY = 6
"""A scenario that makes its own pods counts as so many scenarios of a fixture that exists.

On a real cluster it takes about four times as long. The weight is higher, so that long scenarios
are not left for the end.
"""


def next_scope(waiting: Mapping[str, str], own: str, others: Iterable[str]) -> str:
    """Return which of the waiting files a worker runs next.

    ``waiting`` gives the fixture of each file, empty if it has none; ``own`` is the fixture that
    the worker has, ``others`` are those of the other workers. It is a file of the worker's own
    fixture. If there is none, it is one of the fixture, or of those without a fixture, with the
    most work left for each worker.
    """
    for scope, fixture in waiting.items():
        if own and fixture == own:
            return scope
    work = Counter(waiting.values())
    work[""] *= _OWN_TOPOLOGY
    workers = Counter(others)
    return max(waiting, key=lambda scope: work[waiting[scope]] / (1 + workers[waiting[scope]]))


def not_waiting(waiting: Mapping[str, frozenset[str]], taken: frozenset[str]) -> list[str]:
    """Return those of the waiting files that need no address in ``taken``, or all of them.

    ``waiting`` gives the addresses that each file needs.
    """
    return [scope for scope, needed in waiting.items() if not needed & taken] or list(waiting)


_FIXTURE = re.compile(r"^fixture:[ \t]+['\"]?([^\s'\"#]+)", re.MULTILINE)


@functools.cache
def _fixture_of(path: Path) -> str:
    """Return the path of a scenario's fixture, or an empty string.

    The file is not parsed: a wrong answer costs time, and changes no result.
    """
    try:
        found = _FIXTURE.search(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return os.path.normpath(path.parent / found[1]) if found else ""
