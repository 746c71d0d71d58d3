"""Make the connections of a plan, at a bounded rate, from containers that are added for it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from harness.agnhost import Target
from harness.audit.judging import Judging, Round
from harness.audit.values import Audit, Pair, Plan
from harness.cluster.kube.api import Api
from harness.cluster.kube.applications import survey
from harness.cluster.kube.batch import BatchRunner, ProbeSettings
from harness.cluster.kube.ephemeral import Guests
from harness.cluster.kube.live import LivePod
from harness.cluster.waiting import REAL, Clock
from harness.errors import ClusterError
from harness.model import Observation, PodRef, Probe

_AT_ONCE = 8
"""So many probes of one source run at a time at most."""
_BATCHES = 4
"""A batch begins all of its connections at once, so a second has several batches."""
_SOURCES = 4
"""So many sources probe at a time."""
_MARGIN_S = 300.0
_ATTEMPTS = 3
"""So often a pair that contradicts the policies is tried."""
_PAUSE_S = 2.0
"""How long a policy that changed may take until the next attempt."""


@dataclass(slots=True)
class Pace:
    """Lets ``rate`` connections begin in each second, whoever makes them."""

    rate: int
    clock: Clock = REAL
    _next: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, count: int) -> None:
        """Wait until so many connections may begin."""
        with self._lock:
            now = self.clock.now()
            begin = max(now, self._next)
            self._next = begin + count / self.rate
        self.clock.sleep(begin - now)


class Prober:
    """Probes from the sources of a plan; ``audited`` adds a container to each, and ends it."""

    def __init__(
        self, api: Api, plan: Plan, image: str, settings: ProbeSettings, pace: Pace
    ) -> None:
        self._api = api
        self._plan = plan
        self._pace = pace
        self._chunk = max(1, min(_AT_ONCE, pace.rate // _BATCHES))
        self._batches = BatchRunner(api, settings, None, pace.clock)
        # Each pair is tried three times at most, and a batch takes twice its time at most.
        tries = 3 * len(plan.pairs)
        limit_s = tries / pace.rate + tries * settings.limit_s / self._chunk + _MARGIN_S
        self._guests = Guests(api, image, limit_s, pace.clock)
        self._pods: dict[PodRef, LivePod] = {}

    def audited(self, judging: Judging) -> Audit:
        """Carry out the plan, and return what was found. Raises ClusterError."""
        rounds: list[Round] = []
        try:
            plan = self._plan.without(self._begin())
            rounds.append(self._probe(plan.pairs))
            doubtful = judging.in_doubt(plan, rounds[0])
            while doubtful and len(rounds) < _ATTEMPTS:
                self._pace.clock.sleep(_PAUSE_S)
                rounds.append(self._probe(doubtful))
            after = survey(self._api, plan.namespaces, self._pace.clock)
        finally:
            left = self._close()
        return Audit(plan, judging.cells(plan, rounds, after), left)

    def refusals(self) -> Mapping[PodRef, str]:
        """Return the sources that may get no container, and why. Nothing is changed."""
        return self._of_each(lambda pod: self._guests.refusal(pod))

    def _begin(self) -> Mapping[PodRef, str]:
        """Add a container to each source; return the sources that got none, and why."""

        def add(pod: LivePod) -> str | None:
            try:
                added = self._guests.add(pod)
            except ClusterError as error:
                return error.message
            self._pods[PodRef(pod.namespace, pod.name)] = added
            return None

        return self._of_each(add)

    def _probe(self, pairs: Sequence[Pair]) -> Mapping[Probe, Observation]:
        """Return what each pair gave; those of a source without a container are left out."""
        by_source: dict[LivePod, list[Pair]] = defaultdict(list)
        for pair in pairs:
            pod = self._pods.get(pair.source.backends[0])
            if pod is not None:
                by_source[pod].append(pair)

        def run(pod: LivePod) -> list[Observation]:
            seen: list[Observation] = []
            for first in range(0, len(by_source[pod]), self._chunk):
                chunk = by_source[pod][first : first + self._chunk]
                self._pace.take(len(chunk))
                wanted = [(p.probe, Target(p.address, p.probe.destination.port)) for p in chunk]
                seen += self._batches.run(pod, wanted).observations
            return seen

        with ThreadPoolExecutor(_SOURCES, thread_name_prefix="audit") as threads:
            found = [item for seen in threads.map(run, by_source) for item in seen]
        return {item.probe: item for item in found}

    def _close(self) -> tuple[str, ...]:
        """End the containers; return those that could not be told to, and end by themselves."""
        self._batches.close()
        left: list[str] = []
        for pod in self._pods.values():
            try:
                self._guests.end(pod)
            except ClusterError as error:
                left.append(f"container {pod.container} of {pod.ref}: {error.message}")
        self._pods.clear()
        return tuple(left)

    def _of_each(self, ask: Callable[[LivePod], str | None]) -> Mapping[PodRef, str]:
        with ThreadPoolExecutor(_SOURCES, thread_name_prefix="audit") as threads:
            found = threads.map(ask, [source.live for source in self._plan.sources])
            return {
                source.ref: why
                for source, why in zip(self._plan.sources, found, strict=True)
                if why is not None
            }
