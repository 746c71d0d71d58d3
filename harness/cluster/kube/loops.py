"""Loops of a watch: one exec in each pod that it needs, again when it ends too early.

The loop of a source runs its watched probes. The loop of a destination connects to the pod's own
ports; with its ticks this shows when the pod was running and serving (``Life``).
"""

from __future__ import annotations

import bisect
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness import agnhost
from harness.agnhost import Answer, Ending, Target
from harness.cluster.kube.batch import Attempt, BatchRunner
from harness.cluster.kube.live import LivePod
from harness.errors import ClusterError
from harness.model import ExternalRef, Observation, Probe, ProbeError, Verdict

_LIMIT_S = 600.0
"""A loop ends with its input. If nobody ends that, because the run was killed, it ends here."""
_OUTSIDE_S = 3.0
"""An outside host cannot be told to stop."""
_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Work:
    """What the loop of one pod or outside host does.

    ``faults`` are the probes that cannot be sent, and why; ``own`` are ports of the pod's own
    loopback that it serves.
    """

    source: LivePod | ExternalRef
    wanted: tuple[tuple[Probe, Target], ...] = ()
    faults: tuple[tuple[Probe, ProbeError], ...] = ()
    own: tuple[Target, ...] = ()


@dataclass(slots=True)
class Life:
    """What the loop of one pod or outside host gave. Times are those of the harness."""

    observations: list[Observation] = field(default_factory=list)
    ticks: list[float] = field(default_factory=list)
    own: dict[Target, list[Answer]] = field(default_factory=dict)
    """The answers of its own ports, in the order of their starts."""
    problem: str = ""
    """Why the last exec that went wrong did."""

    def fault(self, item: Observation, limit_s: float) -> str | None:
        """Return why this does not show that the pod was running and serving during a probe.

        It shows it if the pod never stood still for longer than ``limit_s`` from before the probe
        until after it, and its own ports answered in that time, and at once, the first time after
        the probe included.
        """
        first = bisect.bisect_right(self.ticks, item.started) - 1
        last = bisect.bisect_left(self.ticks, item.ended)
        if first < 0 or last == len(self.ticks):
            return "was not seen running" + (f": {self.problem}" if self.problem else "")
        ticks = self.ticks[first : last + 1]
        stood_s = max((b - a for a, b in itertools.pairwise(ticks)), default=0.0)
        if stood_s > limit_s:
            return f"stood still for {stood_s:.1f} s"
        for target, answers in self.own.items():
            if fault := _unserved(target, answers, item, limit_s):
                return fault
        return None


def _unserved(
    target: Target, answers: Sequence[Answer], item: Observation, limit_s: float
) -> str | None:
    """Return why the answers of a port do not show that it was served during a probe."""
    starts = [answer.started_s for answer in answers]
    first = max(0, bisect.bisect_right(starts, item.started) - 1)
    last = bisect.bisect_left(starts, item.ended)
    port = f"port {target.port}/{target.protocol}"
    if last == len(answers):
        return f"did not show afterwards that it serves {port}"
    for answer in answers[first : last + 1]:
        if answer.outcome is not Verdict.ALLOWED:
            return f"failed the liveness check: {port}: {answer.outcome}"
        if (took_s := answer.ended_s - answer.started_s) > limit_s:
            return f"failed the liveness check: {port} answered after {took_s:.1f} s"
    return None


class LoopRunner:
    """Runs the loop of one pod or outside host until it is told to stop.

    ``work`` returns what to do; when that changes, the loop starts again. It raises ClusterError
    where the source does not exist.
    """

    def __init__(
        self,
        batches: BatchRunner,
        probes: Sequence[Probe],
        work: Callable[[], Work],
        interval_s: float,
    ) -> None:
        self.life = Life()
        self.has_begun = threading.Event()
        """Set when each probe was made once, or could not be made."""
        self._batches = batches
        self._probes = probes
        self._work = work
        self._interval_s = interval_s

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set; then wait for the probes that run."""
        try:
            while not stop.is_set():
                self._once(stop)
        finally:
            self.has_begun.set()
            self.life.ticks.sort()
            for answers in self.life.own.values():
                answers.sort(key=lambda answer: answer.started_s)

    def _once(self, stop: threading.Event) -> None:
        try:
            work = self._work()
        except ClusterError as error:
            self._failed(str(error), [(probe, ProbeError(str(error))) for probe in self._probes])
            stop.wait(_PAUSE_S)
            return
        if work.wanted or work.own or not work.faults:
            attempt = self._attempt(work, stop)
        else:
            attempt = Attempt()
        faults = list(work.faults)
        if attempt.problem:
            error_ = ProbeError(attempt.problem)
            faults += [(probe, error_) for probe, _ in work.wanted]
        self._failed(attempt.problem, faults)
        if faults:
            stop.wait(_PAUSE_S)

    def _failed(self, problem: str | None, faults: Sequence[tuple[Probe, ProbeError]]) -> None:
        now = time.monotonic()
        self.life.problem = problem or self.life.problem
        self.life.observations += [Observation(probe, now, now, error) for probe, error in faults]
        self.has_begun.set()

    def _attempt(self, work: Work, stop: threading.Event) -> Attempt:
        """Run one exec, and record what it gave."""
        loop = self._loop(work)
        idle_s = agnhost.longest_s(loop.targets, loop.timeout_s) + self._batches.settings.grace_s

        def is_over() -> bool:
            return stop.is_set() or self._is_outdated(work)

        listener = _Listener(loop, is_over, self.has_begun, idle_s)
        limit_s = loop.limit_s + loop.linger_s + idle_s
        attempt = self._batches.attempt(
            work.source, loop.script(), limit_s, idle_s, listener.piece
        )
        began_s = agnhost.began_s(attempt.output)
        if began_s is not None:
            offset_s = (listener.began or attempt.began) - began_s
            self._record(work, loop, attempt.output, offset_s)
        return attempt

    def _is_outdated(self, work: Work) -> bool:
        try:
            return self._work() != work
        except ClusterError:
            return True

    def _loop(self, work: Work) -> agnhost.Loop:
        outside = isinstance(work.source, ExternalRef)
        return agnhost.Loop(
            targets=tuple(target for _, target in work.wanted),
            own=work.own,
            timeout_s=self._batches.settings.timeout_s,
            interval_s=self._interval_s,
            limit_s=_OUTSIDE_S if outside else _LIMIT_S,
            ending=Ending.AT_LIMIT if outside else Ending.ON_INPUT,
        )

    def _record(self, work: Work, loop: agnhost.Loop, output: str, offset_s: float) -> None:
        life, source = self.life, work.source
        life.ticks += [tick + offset_s for tick in agnhost.ticks_s(output)]
        commands = [self._batches.command(source, target) for _, target in work.wanted]
        for target in work.own:
            life.own.setdefault(target, [])
        for index, answer in loop.read(output):
            if index < len(commands):
                probe = work.wanted[index][0]
                life.observations.append(answer.observation(probe, offset_s, commands[index]))
            else:
                life.own[work.own[index - len(commands)]].append(answer.moved(offset_s))


@dataclass(slots=True)
class _Listener:
    """Listens to a loop: notes when it began and when all its targets answered; ends it.

    ``complete`` is also set if they do not answer for ``patience_s``.
    """

    loop: agnhost.Loop
    is_over: Callable[[], bool]
    complete: threading.Event
    patience_s: float
    began: float | None = None
    _output: str = ""
    _told: bool = False

    def piece(self, text: str, came: float) -> str:
        """Take a piece of the output; return what the loop is told."""
        self.began = came if self.began is None else self.began
        if not self.complete.is_set():
            self._output += text
            answered = {index for index, _ in self.loop.read(self._output)}
            all_did = len(answered) == len(self.loop.targets) + len(self.loop.own)
            if all_did or came - self.began > self.patience_s:
                self.complete.set()
        if self._told or not self.is_over():
            return ""
        self._told = True
        return agnhost.STOP
