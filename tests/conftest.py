"""How the tests are spread over workers."""

from __future__ import annotations

from typing import Any

import pytest

_SHARING = (
    "tests/browser/",
    "tests/real/test_gate.py",
    "tests/unit/generate/test_cases.py",
    "tests/unit/generate/test_fuzz.py",
    "tests/unit/repository/test_coverage.py",
)
"""Tests that share what takes seconds to make, or what a cluster has once: a browser, the objects
of the gate, cases, all scenarios."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Send the property tests of a file, and those of ``_SHARING``, to one worker.

    They share what takes long to make.
    The groups of ``--dist loadgroup`` need a test's id to change, which pytest 9.2 ignores.
    """
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            shared = next((path for path in _SHARING if file.startswith(path)), None)
            return shared or (file if file.endswith("_property.py") else nodeid)

    return GroupScheduling(config, log)
