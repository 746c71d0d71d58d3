"""Probing pairs in rounds until told to stop: how a cluster watches that has no better way.

A denied probe takes longer than the interval, so several rounds of probes run at the same time.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from harness.model import Observation, Probe

Ask = Callable[[Sequence[Probe]], Iterable[Observation]]


@dataclass(frozen=True, slots=True)
class Pace:
    """At which interval rounds start, and how long a probe may take."""

    interval_s: float
    timeout_s: float

    @property
    def at_once(self) -> int:
        """How many rounds may run at the same time."""
        return 2 + math.ceil(self.timeout_s / self.interval_s)


@contextlib.contextmanager
def in_rounds(ask: Ask, probes: Sequence[Probe], pace: Pace) -> Iterator[list[Observation]]:
    """Watch pairs with rounds of ``ask``; see ``Cluster.watch``."""
    rounds = _Rounds(ask, probes, pace)
    thread = threading.Thread(target=rounds.run, name="watch", daemon=True)
    thread.start()
    rounds.first.wait()
    seen: list[Observation] = []
    try:
        yield seen
    finally:
        rounds.stop.set()
        thread.join()
        seen += rounds.observations
    if rounds.failed:
        raise rounds.failed[0]


@dataclass(slots=True)
class _Rounds:
    ask: Ask
    probes: Sequence[Probe]
    pace: Pace
    stop: threading.Event = field(default_factory=threading.Event)
    first: threading.Event = field(default_factory=threading.Event)
    """Set when the first round has ended."""
    observations: list[Observation] = field(default_factory=list)
    failed: list[BaseException] = field(default_factory=list)

    def run(self) -> None:
        """Start a round at each interval until stopped; wait for those that run."""
        running: set[Future[None]] = set()
        with ThreadPoolExecutor(self.pace.at_once, thread_name_prefix="watch-round") as threads:
            while True:
                running = {future for future in running if not future.done()}
                if len(running) < self.pace.at_once:
                    running.add(threads.submit(self._round))
                if self.stop.wait(self.pace.interval_s):
                    return

    def _round(self) -> None:
        try:
            self.observations.extend(list(self.ask(self.probes)))
        except BaseException as error:  # noqa: BLE001 - raised in the thread of the runner
            self.failed.append(error)
        finally:
            self.first.set()
