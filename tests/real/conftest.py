"""Tests on a real kind cluster, which is neither made nor deleted here: ``NETPOL_KIND=1``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.cluster.profiles import Profile

NAME = os.environ.get("NETPOL_KIND_NAME") or "netpol"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("NETPOL_KIND") == "1":
        return
    reason = "needs a kind cluster: `netpol up`, and NETPOL_KIND=1"
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def profile() -> Profile:
    """Return the profile of the cluster that is there."""
    from harness.cluster.kind import lifecycle

    return lifecycle.require(NAME, None)
