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
from harness.plugin import folders


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

    Also send the arguments of the command line: a worker cannot tell them from the ini file's.
    """
    node.workerinput["netpol_run_id"] = node.config.getoption("netpol_run_id")
    node.workerinput["netpol_named"] = folders.named(node.config)


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

        A worker gets files of the fixture that it has, as long as some are waiting.
        """

        def __init__(self, config: pytest.Config, log: Any) -> None:
            super().__init__(config, log)
            self._fixtures: dict[Any, str] = {}

        def _assign_work_unit(self, node: Any) -> None:
            waiting = {scope: _fixture_of(config.rootpath / scope) for scope in self.workqueue}
            others = [self._fixtures.get(other, "") for other in self.nodes if other is not node]
            scope = next_scope(waiting, self._fixtures.get(node, ""), others)
            self._fixtures[node] = waiting[scope]
            self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

        def _split_scope(self, nodeid: str) -> str:
            file = scenario_file(nodeid)
            if file is None:
                return nodeid
            return "exact names" if _wants_exact_names(file, config.rootpath) else file

    return ScenarioScheduling(config, log)


@functools.cache
def _wants_exact_names(file: str, root: Path) -> bool:
    path = root / file
    try:
        if "exact names" not in path.read_text(encoding="utf-8"):
            return False
        return scenario.read(path, [root]).exact_names
    except (OSError, ValueError, HarnessError):
        return False


def next_scope(waiting: Mapping[str, str], own: str, others: Iterable[str]) -> str:
    """Return which of the waiting files a worker runs next.

    ``waiting`` gives the fixture of each file, empty if it has none; ``own`` is the fixture that
    the worker has, ``others`` are those of the other workers. It is a file of the worker's own
    fixture, else one of the fixture with the most waiting files for each worker that has it.
    """
    for scope, fixture in waiting.items():
        if own and fixture == own:
            return scope
    files = Counter(fixture or scope for scope, fixture in waiting.items())
    workers = Counter(others)

    def share(scope: str) -> float:
        group = waiting[scope] or scope
        return files[group] / (1 + workers[group])

    return max(waiting, key=share)


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
