"""The distribution of scenarios over the workers of pytest-xdist."""

from __future__ import annotations

import functools
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
    """Keep the steps of a file together with ``-n``; do not change an explicit ``--dist``."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class ScenarioScheduling(LoadScopeScheduling):  # type: ignore[misc]
        """Groups steps by file; files with exact names are one group."""

        def _split_scope(self, nodeid: str) -> str:
            file = scenario_file(nodeid)
            if file is None:
                return nodeid
            return "exact names" if _wants_exact_names(config.rootpath / file) else file

    return ScenarioScheduling(config, log)


@functools.cache
def _wants_exact_names(path: Path) -> bool:
    try:
        if "exact names" not in path.read_text(encoding="utf-8"):
            return False
        return scenario.read(path).exact_names
    except (OSError, ValueError, HarnessError):
        return False
