"""Everything here needs the embedded cluster; without it, it skips, but fails where CI=true."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from harness.cluster.netns import NetnsCluster, why_unavailable


@pytest.fixture
def available() -> None:
    reason = why_unavailable()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture
def cluster(available: None) -> Iterator[NetnsCluster]:
    with NetnsCluster() as made:
        yield made
