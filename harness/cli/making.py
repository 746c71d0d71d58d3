"""Clusters that exist for the time of one verb."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from harness import canary
from harness.choice import ClusterChoice
from harness.cluster import Cluster
from harness.settle import Timing

_TERMINATED = 128 + signal.SIGTERM


@contextmanager
def made(choice: ClusterChoice) -> Iterator[Cluster]:
    """Make a cluster, and remove at the end what was created on it, also after SIGTERM."""
    with _terminated_as_exit():
        cluster = choice.make("main")
        try:
            yield cluster
        finally:
            for left in cluster.close():
                print(f"not removed: {left}", file=sys.stderr)


@contextmanager
def embedded(defect: str | None = None) -> Iterator[Cluster]:
    """Make the embedded cluster, and see that it denies; with a defect, it may not."""
    with made(ClusterChoice(defect=defect)) as cluster:
        if defect is None:
            canary.check(cluster, Timing())
        yield cluster


@contextmanager
def _terminated_as_exit() -> Iterator[None]:
    """Clean up after SIGTERM as after Ctrl-C."""

    def stop(_number: int, _frame: object) -> None:
        sys.exit(_TERMINATED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
