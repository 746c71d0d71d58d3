"""Everything here needs the embedded cluster; without it, it skips, but fails where CI=true."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.cluster.netns import NetnsCluster, why_unavailable
from tests.prerequisites import missing


@pytest.fixture(scope="session")
def available() -> None:
    reason = why_unavailable()
    if reason:
        missing(reason)


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
