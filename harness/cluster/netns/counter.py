"""Counts the connections of new pods from the moment at which their network is up."""

from __future__ import annotations

import threading
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace

from harness.cluster.netns.loop import Loop
from harness.cluster.netns.prober import ProbeOutcome, Prober
from harness.cluster.netns.view import ClusterView
from harness.model import Probe, Source

_INTERVAL_S = 0.02
_INIT_ROUNDS = 10
_MAIN_ROUNDS = 40
"""After so many rounds a phase is over."""


@dataclass(slots=True)
class _Phase:
    """The rounds of one phase; ``started`` counts them."""

    rounds: int
    started: int = 0
    open: int = 0
    outcomes: list[ProbeOutcome] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    """Set when all rounds were started."""
    answered: threading.Event = field(default_factory=threading.Event)
    """Set when all probes of all rounds have an outcome."""


class Counter:
    """Probes the pairs of new pods in rounds; those of an init container come first.

    The threads that reconcile call it, and the rounds run in the loop. Rounds of the init phase
    go on until the main phase begins.
    """

    def __init__(
        self, loop: Loop, prober: Prober, probes: Sequence[Probe], timeout_s: float
    ) -> None:
        self._loop = loop
        self._prober = prober
        self._probes = tuple(enumerate(probes))
        self._timeout_s = timeout_s
        self._init, self._main = _Phase(_INIT_ROUNDS), _Phase(_MAIN_ROUNDS)
        self._now = self._init
        self._stopped = False

    def begin(self, view: ClusterView, made: Set[Source]) -> None:
        """Start the rounds, with the hosts of ``view``; probes of other pods have no start."""
        self._probes = tuple((i, probe) for i, probe in self._probes if probe.source in made)
        self._loop.call_and_wait(lambda: self._round(view))

    def await_init(self) -> None:
        """Return when the init container has had its rounds."""
        if self._probes:
            self._init.over.wait()

    def begin_main(self) -> None:
        """Count the rounds from now on as those of the main container."""

        def switch() -> None:
            self._now = self._main

        self._loop.call_and_wait(switch)

    def stop(self) -> None:
        """Start no more rounds."""
        self._stopped = True

    def outcomes(self) -> tuple[tuple[ProbeOutcome, ...], tuple[ProbeOutcome, ...]]:
        """Wait until all probes have an outcome; return those of init and of main."""
        if self._init.started:
            self._main.answered.wait()
        return tuple(self._init.outcomes), tuple(self._main.outcomes)

    def _round(self, view: ClusterView) -> None:
        phase = self._now
        if self._stopped or not self._probes or (phase.over.is_set() and phase is self._main):
            return
        phase.started += 1
        phase.open += len(self._probes)
        indices = [index for index, _ in self._probes]
        probes = [probe for _, probe in self._probes]

        def report(outcome: ProbeOutcome) -> None:
            phase.outcomes.append(replace(outcome, index=indices[outcome.index]))
            phase.open -= 1
            if self._main.over.is_set() and not self._main.open and not self._init.open:
                self._main.answered.set()

        if phase.started >= phase.rounds:
            phase.over.set()
        self._prober.start(probes, self._timeout_s, lambda: view, report)
        self._loop.call_later(_INTERVAL_S, lambda: self._round(view))
