"""Everything here needs the embedded cluster; without it, it skips, but fails where CI=true."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from harness.cluster.netns import NetnsCluster, why_unavailable


@pytest.fixture(scope="session")
def available() -> None:
    reason = why_unavailable()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def cluster(available: None) -> Iterator[NetnsCluster]:
    """A cluster that the tests of a module share: each makes its own State true."""
    with NetnsCluster() as made:
        yield made


@pytest.fixture
def own_cluster(available: None) -> Iterator[NetnsCluster]:
    """A cluster for a test that begins with an empty one, or ends with a dead one."""
    with NetnsCluster() as made:
        yield made
