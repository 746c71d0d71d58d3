"""Clusters that exist for the time of one verb: signals, time limits, and what is removed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from harness import canary
from harness.choice import ClusterChoice
from harness.cluster import Cluster
from harness.errors import HarnessError
from harness.settle import Timing

_TERMINATED = 128 + signal.SIGTERM


@contextmanager
def made(choice: ClusterChoice) -> Iterator[Cluster]:
    """Make a cluster, and remove at the end what was created on it, also after SIGTERM."""
    with terminated_as_exit():
        cluster = choice.make("main")
        try:
            yield cluster
        finally:
            close(cluster)


@contextmanager
def embedded(defect: str | None = None) -> Iterator[Cluster]:
    """Make the embedded cluster, and see that it denies; with a defect, it may not."""
    with made(ClusterChoice(defect=defect)) as cluster:
        if defect is None:
            canary.check(cluster, Timing())
        yield cluster


@contextmanager
def terminated_as_exit() -> Iterator[None]:
    """Clean up after SIGTERM as after Ctrl-C."""

    def stop(_number: int, _frame: object) -> None:
        sys.exit(_TERMINATED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class OverTime(BaseException):
    """A time limit is over. Like an interrupt, it is no error that a wait may take for another."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OverTime in this thread, the main one, if the block takes longer."""

    def stop(_number: int, _frame: object) -> None:
        raise OverTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def close(cluster: Cluster) -> None:
    """Remove what was created on a cluster; print what is left."""
    for left in cluster.close():
        print(f"not removed: {left}", file=sys.stderr)


def sweep(choice: ClusterChoice) -> None:
    """Remove what an interrupted run created last and could not record; print what is left."""
    try:
        for item in choice.sweep(choice.run_id).failed:
            print(f"not removed: {item}", file=sys.stderr)
    except HarnessError as error:
        print(f"not removed: {error}", file=sys.stderr)
