"""Decide which answers of a round are believed: proof of life.

To the source, a dropped packet, a dead pod and a frozen node look the same. So a TIMEOUT
counts as a denial only with evidence that does not depend on policies:

- the source printed its sentinels, in the time that a running process takes (``agnhost``);
- after the round, both pods are still there with the same uid and address, not being
  deleted, and ready;
- every pod that would have answered was running all the time. Either its own batch of the
  same round had no stall and ended later than the probe did, or it now serves the probed
  port on its own loopback, and answers at once. A late answer proves nothing: a pod that was
  frozen may be running again.

A round in which a probe that connected took longer than twice the timeout proves no denial at
all: machines that are so slow miss answers.

A failed DNS lookup counts only while a DNS server of the cluster is ready. On a cluster that
denies by rejecting, a REFUSED needs the same evidence as a TIMEOUT, but a batch of the
destination is none: its server may be dead, and a dead server refuses too. Without evidence
a probe has no verdict.

In a watch, loops in the pods give the evidence (``loops.Life``), and each probe is judged for
itself: by the loops of the pods that would have answered, from before the probe until after it,
and by the probes that connected in the same time.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import Executor
from dataclasses import replace

from harness.cluster.kube.batch import Batch, BatchRunner, slowest_s
from harness.cluster.kube.inventory import Inventory
from harness.cluster.kube.live import LivePod, View
from harness.cluster.kube.loops import Life
from harness.errors import ClusterError
from harness.model import (
    ContainerPort,
    Observation,
    PodRef,
    Probe,
    ProbeError,
    Source,
    Verdict,
    denials,
)


class ProofOfLife:
    """Asks for the evidence that denials need; ``threads`` run the checks of many pods."""

    def __init__(self, batches: BatchRunner, inventory: Inventory, threads: Executor) -> None:
        self._batches = batches
        self._inventory = inventory
        self._threads = threads

    def believed(self, view: View, batches: Mapping[Source, Batch]) -> list[Observation]:
        """Return the observations of a round; denials without evidence become ProbeErrors."""
        observed = [item for batch in batches.values() for item in batch.observations]

        def faults(doubtful: Sequence[Observation]) -> dict[Observation, str]:
            if starved := self._starvation(observed):
                return dict.fromkeys(doubtful, starved)
            return self._faults(view, batches, doubtful)

        return self._without_doubt(observed, faults)

    def believed_throughout(self, view: View, lives: Mapping[Source, Life]) -> list[Observation]:
        """Return the observations of a watch; denials without evidence become ProbeErrors.

        ``view`` is that of the beginning. ``lives`` are those of all sources and of the pods of
        ``view`` that would answer.
        """
        observed = [item for life in lives.values() for item in life.observations]
        slow = [item for item in observed if self._starvation([item])]

        def faults(doubtful: Sequence[Observation]) -> dict[Observation, str]:
            ends = {item.probe: _pods(view, item.probe) for item in doubtful}
            gone = self._gone(view, {ref for found in ends.values() for ref in found})
            dns_fault = self._dns_fault(doubtful)
            found: dict[Observation, str] = {}
            for item in doubtful:
                why = [gone[ref] for ref in ends[item.probe] if ref in gone]
                at_once = [other for other in slow if _overlap(other, item)]
                why += [self._starvation(at_once) or ""]
                why += [dns_fault] if dns_fault and item.outcome is Verdict.DNS else []
                why += [
                    f"{ref} {fault}"
                    for ref in view.backends(item.probe)
                    if ref in lives
                    and (fault := lives[ref].fault(item, self._batches.settings.limit_s))
                ]
                if known := [words for words in why if words]:
                    found[item] = known[0]
            return found

        return self._without_doubt(observed, faults)

    def _without_doubt(
        self,
        observed: list[Observation],
        faults: Callable[[Sequence[Observation]], dict[Observation, str]],
    ) -> list[Observation]:
        in_doubt = denials(self._batches.settings.denies_by)
        doubtful = [item for item in observed if item.outcome in in_doubt]
        if not doubtful:
            return observed
        try:
            found = faults(doubtful)
        except ClusterError as error:
            why = f"it could not be checked whether the pods still run: {error}"
            found = dict.fromkeys(doubtful, why)
        return [
            replace(item, outcome=ProbeError(f"{item.outcome}, but {found[item]}"))
            if item in found
            else item
            for item in observed
        ]

    def _starvation(self, observed: Sequence[Observation]) -> str | None:
        """Return why the machines were too slow to prove anything, or None."""
        took_s, limit_s = slowest_s(observed), self._batches.settings.limit_s
        if took_s <= limit_s:
            return None
        return (
            f"the cluster is starved of CPU: a probe that connected took {took_s:.1f} s, "
            f"longer than {limit_s:g} s"
        )

    def _faults(
        self, view: View, batches: Mapping[Source, Batch], doubtful: Sequence[Observation]
    ) -> dict[Observation, str]:
        """Return why a doubtful outcome is no verdict, for those where it is none."""
        ends = {item.probe: _pods(view, item.probe) for item in doubtful}
        refs = {ref for found in ends.values() for ref in found}
        dead = self._gone(view, refs)
        dead |= {
            ref: f"{ref} stalled in the same round: {batches[ref].stalled}"
            for ref in refs
            if ref in batches and batches[ref].stalled and ref not in dead
        }
        unproven: dict[PodRef, set[ContainerPort]] = defaultdict(set)
        for item in doubtful:
            for ref in view.backends(item.probe):
                proven = _proves_life(batches.get(ref), item)
                if ref in view.pods and ref not in dead and not proven:
                    unproven[ref].update(view.answering(item.probe, ref))
        dead |= self._unresponsive(view, unproven)
        dns_fault = self._dns_fault(doubtful)
        found: dict[Observation, str] = {}
        for item in doubtful:
            faults = [dead[ref] for ref in ends[item.probe] if ref in dead]
            if item.outcome is Verdict.DNS and dns_fault:
                faults.append(dns_fault)
            if faults:
                found[item] = faults[0]
        return found

    def _gone(self, view: View, refs: set[PodRef]) -> dict[PodRef, str]:
        """Return those pods that are not what they were, and why."""
        now = self._inventory.pods()
        return {
            ref: fault
            for ref in refs
            if (fault := view.pods[ref].fault(now.get(_name(view.pods[ref]))))
        }

    def _dns_fault(self, doubtful: Sequence[Observation]) -> str | None:
        """Return why a failed lookup shows nothing, if there was one."""
        lookups = any(item.outcome is Verdict.DNS for item in doubtful)
        return self._inventory.dns_fault() if lookups else None

    def _unresponsive(
        self, view: View, ports: Mapping[PodRef, Set[ContainerPort]]
    ) -> dict[PodRef, str]:
        """Return what is wrong with those pods that do not serve these ports now."""
        asked = {
            ref: self._threads.submit(self._check, view.pods[ref], sorted(chosen, key=str))
            for ref, chosen in ports.items()
        }
        return {
            ref: f"{ref} failed the liveness check: {fault}"
            for ref, future in asked.items()
            if (fault := future.result())
        }

    def _check(self, live: LivePod, ports: Sequence[ContainerPort]) -> str | None:
        began = time.monotonic()
        fault = self._batches.ports_fault(live, ports)
        took_s = time.monotonic() - began
        if fault is None and took_s > self._batches.settings.limit_s:
            return f"it answered after {took_s:.1f} s"
        return fault


def _proves_life(batch: Batch | None, item: Observation) -> bool:
    """Whether a pod's own batch shows that the pod was running until the probe was over.

    It shows nothing about the pod's servers, so it proves nothing where a REFUSED is in doubt.
    """
    return (
        batch is not None and batch.ran_until >= item.ended and item.outcome is not Verdict.REFUSED
    )


def _pods(view: View, probe: Probe) -> list[PodRef]:
    """Return the pods of both ends, as far as they are known."""
    source = (probe.source,) if isinstance(probe.source, PodRef) else ()
    return [ref for ref in (*view.backends(probe), *source) if ref in view.pods]


def _overlap(one: Observation, other: Observation) -> bool:
    return one.started <= other.ended and other.started <= one.ended


def _name(pod: LivePod) -> tuple[str, str]:
    return pod.namespace, pod.name
