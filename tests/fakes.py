"""A scripted Cluster: it holds a State and answers each probe by a function.

By default the function is the oracle's prediction, so a fake behaves like a cluster that
enforces the API; a test replaces the function to make a cluster that is wrong in one way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from harness import oracle
from harness.cluster import Capabilities, Cluster
from harness.cluster.waiting import REAL, Clock
from harness.model import (
    FEATURES,
    FirstMoments,
    Observation,
    Placement,
    PodRef,
    Probe,
    ProbeError,
    ServiceRef,
    State,
    Trace,
    Verdict,
)

Answer = Callable[[State, Probe], Verdict | ProbeError]

EVERYTHING = Capabilities(
    name="fake",
    features=frozenset(FEATURES),
    nodes=2,
    probe_timeout_s=0.01,
    settle_s=0.2,
)


def by_the_book(state: State, probe: Probe) -> Verdict | ProbeError:
    """What the oracle predicts; where it leaves the word open, the most open one."""
    words = oracle.Judge(state).predict(probe).verdicts
    return next((word for word in Verdict if word in words), Verdict.ALLOWED)


def allows_all(state: State, probe: Probe) -> Verdict:
    return Verdict.ALLOWED


def denies_all(state: State, probe: Probe) -> Verdict:
    return Verdict.TIMEOUT


def answers_nothing(state: State, probe: Probe) -> ProbeError:
    return ProbeError("the source pod is gone")


def enforces_nothing(state: State, probe: Probe) -> Verdict | ProbeError:
    """The data path works, the policies are ignored."""
    return by_the_book(replace(state, policies=()), probe)


class FakeTime:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.clock = Clock(lambda: self.now, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeCluster(Cluster):
    """A Cluster without a network; ``log`` is what was asked of it, in order."""

    def __init__(
        self,
        answer: Answer = by_the_book,
        capabilities: Capabilities = EVERYTHING,
        clock: Clock = REAL,
    ) -> None:
        self.answer = answer
        self.clock = clock
        self._capabilities = capabilities
        self.state: State | None = None
        self.log: list[State | tuple[Probe, ...]] = []
        self.closed = 0

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def synced(self) -> list[State]:
        return [entry for entry in self.log if isinstance(entry, State)]

    @property
    def rounds(self) -> list[tuple[Probe, ...]]:
        return [entry for entry in self.log if not isinstance(entry, State)]

    def sync(self, state: State) -> None:
        self.state = state
        self.log.append(state)

    def probe(self, probes: Sequence[Probe]) -> Iterator[Observation]:
        assert self.state is not None, "probed before the first sync"
        state = self.state
        self.log.append(tuple(probes))
        for probe in probes:
            started = self.clock.now()
            outcome = self._outcome(state, probe)
            yield Observation(probe, started, self.clock.now(), outcome, raw=str(outcome))

    def _outcome(self, state: State, probe: Probe) -> Verdict | ProbeError:
        if isinstance(probe.source, PodRef) and state.pod(probe.source) is None:
            return ProbeError(f"pod {probe.source} is not there")
        return self.answer(state, probe)

    @contextlib.contextmanager
    def watch_starts(self, probes: Sequence[Probe]) -> Iterator[FirstMoments]:
        moments = FirstMoments()
        yield moments
        for phase in (moments.init, moments.main):
            phase += self.probe(probes)

    def placements(self) -> tuple[Placement, ...]:
        state = self.state or State("")
        pods = [
            Placement(pod.ref, f"node/{pod.node}", (f"10.0.{pod.node}.{number}",))
            for number, pod in enumerate(state.pods, 1)
        ]
        services = [
            Placement(ServiceRef(item.namespace, item.name), "", (f"10.1.0.{number}",))
            for number, item in enumerate(state.services, 1)
        ]
        return (*pods, *services)

    def trace(self, probes: Sequence[Probe]) -> tuple[Trace, ...]:
        return tuple(
            Trace(probe, f"a fake rule decides {probe}", "ask the fake") for probe in probes
        )

    def describe(self, probes: Sequence[Probe]) -> str:
        return f"a fake cluster, asked about {len(probes)} probes"

    def close(self) -> tuple[str, ...]:
        self.closed += 1
        return ()
