"""What new pods see from their first moment: loops in an init container and in one of their own.

The loops write to a volume of the pod, which is read when they are through. Destinations are
resolved when the pod is created, so that they do not wait for anything.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness import agnhost
from harness.agnhost import Ending, Loop, Target
from harness.cluster.kube import objects
from harness.cluster.kube.batch import Attempt, Batch, BatchRunner
from harness.cluster.kube.belief import ProofOfLife
from harness.cluster.kube.live import LivePod, View
from harness.cluster.kube.objects import Counting
from harness.cluster.kube.probing import target
from harness.model import FirstMoments, Observation, PodRef, Probe, ProbeError, Source

_INTERVAL_S = 0.2
_INIT_S = 2.0
_MAIN_S = 4.0
_READS = 3
_INIT, _MAIN, _OVER = (f"{objects.FIRST_FOLDER}/{name}" for name in ("init", "main", "over"))
_FILE = "= file "
_READ = """\
{
read -r b _ </proc/uptime; echo = begin $b
i=0; while [ ! -e OVER ] && [ $i -lt TURNS ]; do sleep 0.2; echo = waiting; i=$((i+1)); done
echo = file init; cat INIT; echo = file main; cat MAIN
read -r b _ </proc/uptime; echo = end $b
exit 0
}
"""


@dataclass(frozen=True, slots=True)
class _Counter:
    """What one new pod probes, and what it cannot probe and why."""

    init: Loop
    main: Loop
    wanted: tuple[tuple[Probe, Target], ...]
    faults: tuple[tuple[Probe, ProbeError], ...]


class Starts:
    """Gives new pods their loops, and reads them."""

    def __init__(self, batches: BatchRunner, proof: ProofOfLife) -> None:
        self._batches = batches
        self._proof = proof
        self._probes: tuple[Probe, ...] = ()
        self._counters: dict[PodRef, _Counter] = {}

    @contextlib.contextmanager
    def watch(self, view: Callable[[], View], probes: Sequence[Probe]) -> Iterator[FirstMoments]:
        """Have pods that are created inside probe from their first moment; see ``Cluster``."""
        moments = FirstMoments()
        self._probes, self._counters = tuple(probes), {}
        try:
            yield moments
        finally:
            self._probes = ()
        self._fill(moments, view(), probes)

    def counting(self, view: View, ref: PodRef) -> Counting | None:
        """Return what a pod that is about to be created does, or None if it probes nothing."""
        wanted: list[tuple[Probe, Target]] = []
        faults: list[tuple[Probe, ProbeError]] = []
        for probe in self._probes:
            if probe.source != ref:
                continue
            match target(view, probe, self._batches.settings.cluster_domain):
                case Target() as found:
                    wanted.append((probe, found))
                case ProbeError() as fault:
                    faults.append((probe, fault))
        if not wanted:
            return None
        init, main = (self._loop(wanted, limit_s) for limit_s in (_INIT_S, _MAIN_S))
        self._counters[ref] = _Counter(init, main, tuple(wanted), tuple(faults))
        return Counting(
            init=f"exec >{_INIT} 2>/dev/null\n{init.script()}",
            main=f"(exec >{_MAIN} 2>/dev/null\n{main.script()})\n: >{_OVER}\nexec /agnhost pause",
        )

    def _loop(self, wanted: Sequence[tuple[Probe, Target]], limit_s: float) -> Loop:
        targets = tuple(found for _, found in wanted)
        timeout_s = self._batches.settings.timeout_s
        return Loop(targets, (), timeout_s, _INTERVAL_S, limit_s, Ending.AT_LIMIT)

    def _fill(self, moments: FirstMoments, view: View, probes: Sequence[Probe]) -> None:
        init: dict[PodRef, list[Observation]] = {}
        main: dict[PodRef, list[Observation]] = {}
        for ref, counter in self._counters.items():
            if ref in view.pods:
                init[ref], main[ref] = self._read(view.pods[ref], counter)
        for phase, seen in ((init, moments.init), (main, moments.main)):
            batches: dict[Source, Batch] = {
                ref: Batch(tuple(found)) for ref, found in phase.items()
            }
            seen += self._proof.believed(view, batches)
            told = {item.probe for item in seen}
            error = ProbeError("its pod told nothing about it")
            seen += [Observation(p, 0.0, 0.0, error) for p in probes if p not in told]

    def _read(
        self, pod: LivePod, counter: _Counter
    ) -> tuple[list[Observation], list[Observation]]:
        """Return what a pod wrote in its init container and after that."""
        container = replace(pod, container=objects.FIRST)
        grace_s, timeout_s = self._batches.settings.grace_s, self._batches.settings.timeout_s
        limit_s = _MAIN_S + agnhost.longest_s(counter.main.targets, timeout_s) + grace_s
        words = {"OVER": _OVER, "INIT": _INIT, "MAIN": _MAIN, "TURNS": math.ceil(limit_s / 0.2)}
        script = _READ
        for word, value in words.items():
            script = script.replace(word, str(value))
        attempt = Attempt()
        for _ in range(_READS):
            attempt = self._batches.attempt(container, script, 2 * limit_s, grace_s)
            if attempt.problem is None or attempt.is_final:
                break
        error = ProbeError(attempt.problem or "")
        faults = counter.faults
        if attempt.problem:
            faults += tuple((probe, error) for probe, _ in counter.wanted)
        now = attempt.began
        failed = [Observation(probe, now, now, fault) for probe, fault in faults]
        offset_s = attempt.began - (agnhost.began_s(attempt.output) or 0.0)
        _, _, files = attempt.output.partition(f"{_FILE}init\n")
        init, _, main = files.partition(f"{_FILE}main\n")

        def read(loop: Loop, text: str) -> list[Observation]:
            found = [
                answer.observation(
                    counter.wanted[index][0],
                    offset_s,
                    self._batches.command(pod, counter.wanted[index][1]),
                )
                for index, answer in loop.read(text)
            ]
            return [*found, *failed]

        return read(counter.init, init), read(counter.main, main)
