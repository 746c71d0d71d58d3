"""Probes chosen pairs while a step is applied and settles, and finds the gaps.

A denied probe takes longer than the interval, so several rounds of probes run at the same time.
A gap that is shorter than the interval may be missed; the result states the interval that was
reached, and the longest time without a verdict.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from harness.cluster import Cluster
from harness.cluster.waiting import Clock
from harness.model import Cell, Observation, Probe, Verdict, Watch, WatchedPair, WatchGap
from harness.settle import Satisfied

_TOLERATED_S = {Verdict.ALLOWED: 1.0}
"""How long a gap may last by default, by the verdict of the cell; all others tolerate none."""


@dataclass(frozen=True, slots=True)
class Span:
    """When the change of a step began and when its watch ended, on the clock of the harness."""

    began: float
    ended: float


@dataclass(slots=True)
class Watcher:
    """Probes some pairs until it is left; a context manager.

    Entering it returns after the first round, so that every pair was probed before the change.
    Leaving it waits for the rounds that run.
    """

    cluster: Cluster
    probes: Sequence[Probe]
    clock: Clock
    ended: float = 0.0
    _rounds: list[list[Observation]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _seen: threading.Event = field(default_factory=threading.Event)
    """Set when the first round has ended."""
    _failed: list[BaseException] = field(default_factory=list)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._pace, name="watch", daemon=True)
        self._thread.start()
        self._seen.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended = self.clock.now()
        self._stop.set()
        self._thread.join()
        if error is None and self._failed:
            raise self._failed[0]

    @property
    def observations(self) -> list[Observation]:
        """All observations so far, in no order."""
        return [observation for found in tuple(self._rounds) for observation in found]

    def _pace(self) -> None:
        has = self.cluster.capabilities
        at_once = 2 + math.ceil(has.probe_timeout_s / has.watch_interval_s)
        running: set[Future[None]] = set()
        with ThreadPoolExecutor(at_once, thread_name_prefix="watch-round") as threads:
            while True:
                running = {future for future in running if not future.done()}
                if len(running) < at_once:
                    running.add(threads.submit(self._round))
                if self._stop.wait(has.watch_interval_s):
                    return

    def _round(self) -> None:
        try:
            self._rounds.append(list(self.cluster.probe(self.probes)))
        except BaseException as error:  # noqa: BLE001 - raised in the thread of the runner
            self._failed.append(error)
        finally:
            self._seen.set()


def watched(
    cell: Cell,
    watch: Watch,
    observations: Sequence[Observation],
    right: Satisfied,
    during: tuple[Span, float],
) -> WatchedPair:
    """Return what the observations of a cell's pair show.

    ``during`` is the span of the watch, and the interval that the cluster aims at.
    """
    span, wanted_s = during
    ordered = sorted((o for o in observations if o.probe == cell.probe), key=_started)
    verdicts = [item for item in ordered if isinstance(item.outcome, Verdict)]
    starts = [item.started for item in verdicts]
    edges = [ordered[0].started if ordered else span.began, *starts]
    edges.append(max(span.ended, edges[-1]))
    silences = [later - earlier for earlier, later in itertools.pairwise(edges)]
    tolerated_s = _TOLERATED_S.get(cell.expected, 0.0)
    return WatchedPair(
        cell=cell,
        tolerate_s=tolerated_s if watch.tolerate_s is None else watch.tolerate_s,
        probes=len(ordered),
        without_verdict=len(ordered) - len(verdicts),
        wanted_s=wanted_s,
        interval_s=(starts[-1] - starts[0]) / (len(starts) - 1) if len(starts) > 1 else 0.0,
        silent_s=max(silences),
        gaps=tuple(_gaps(cell, verdicts, right, span)),
    )


def _gaps(
    cell: Cell, verdicts: Sequence[Observation], right: Satisfied, span: Span
) -> Iterator[WatchGap]:
    """Yield the gaps in verdicts that are in the order of their start."""
    first: Observation | None = None
    for item in verdicts:
        if right(cell, item):
            if first is not None:
                yield _gap(first, item.started, span)
            first = None
        elif first is None:
            first = item
    if first is not None:
        yield _gap(first, max(span.ended, first.ended), span)


def _gap(first: Observation, until: float, span: Span) -> WatchGap:
    verdict = first.outcome if isinstance(first.outcome, Verdict) else Verdict.OTHER
    return WatchGap(verdict, first.started - span.began, until - span.began)


def _started(observation: Observation) -> float:
    return observation.started
