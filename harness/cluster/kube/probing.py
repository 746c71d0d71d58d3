"""Run a round of probes on a cluster: one batch for each source, then proof of life.

A watch has a loop for each source and each pod that answers instead (``loops``). Names become
addresses here, by the View that the last sync left. ``batch`` runs the probes of one source, and
``belief`` decides which answers count.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from harness.agnhost import Target
from harness.cluster.kube import batch
from harness.cluster.kube.batch import Batch, BatchRunner
from harness.cluster.kube.belief import ProofOfLife
from harness.cluster.kube.inventory import Inventory
from harness.cluster.kube.live import LivePod, View, of_family
from harness.cluster.kube.loops import LoopRunner, Work
from harness.cluster.kube.pods import PodFactory
from harness.errors import ClusterError
from harness.model import (
    AbsoluteName,
    Address,
    ExternalRef,
    Family,
    NodePortRef,
    NodeRef,
    Observation,
    PodRef,
    Probe,
    ProbeError,
    ServiceName,
    ServiceRef,
    Source,
)


class Prober:
    """Runs rounds of probes; ``probe`` may be called from any thread."""

    def __init__(self, batches: BatchRunner, inventory: Inventory, factory: PodFactory) -> None:
        self._batches = batches
        self._factory = factory
        self._threads = ThreadPoolExecutor(batches.settings.execs, thread_name_prefix="kube-exec")
        self.proof = ProofOfLife(batches, inventory, self._threads)

    def close(self) -> None:
        """End the threads, and the shells in pods."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._batches.close()

    def probe(self, view: View, probes: Sequence[Probe]) -> list[Observation]:
        """Return one observation for each probe; see ``Cluster.probe``."""
        futures = {
            source: self._threads.submit(self._batch, view, source, group)
            for source, group in _by_source(probes).items()
        }
        batches = {source: future.result() for source, future in futures.items()}
        observed = [item for found in batches.values() for item in found.observations]
        self._batches.adapt(batch.slowest_s(observed))
        return self.proof.believed(view, batches)

    @contextlib.contextmanager
    def watch(
        self, view: Callable[[], View], probes: Sequence[Probe], interval_s: float
    ) -> Iterator[list[Observation]]:
        """Probe pairs with loops in the pods; see ``Cluster.watch``.

        The loops have their own threads, so that rounds at the same time are as fast as ever.
        """
        first, stop = view(), threading.Event()
        by_source = _by_source(probes)
        answering = {ref for probe in probes for ref in first.backends(probe) if ref in first.pods}
        runners = {
            source: LoopRunner(
                self._batches,
                by_source[source],
                functools.partial(self._work, view, source, by_source[source], probes),
                interval_s,
            )
            for source in (*by_source, *sorted(answering - by_source.keys(), key=str))
        }
        seen: list[Observation] = []
        with ThreadPoolExecutor(max(1, len(runners)), thread_name_prefix="kube-watch") as threads:
            running = [threads.submit(runner.run, stop) for runner in runners.values()]
            try:
                for runner in runners.values():
                    runner.has_begun.wait()
                yield seen
            finally:
                stop.set()
        for future in running:
            future.result()
        lives = {source: runner.life for source, runner in runners.items()}
        seen += self.proof.believed_throughout(first, lives)

    def _work(
        self,
        view: Callable[[], View],
        source: Source,
        probes: Sequence[Probe],
        watched: Sequence[Probe],
    ) -> Work:
        """Return what the loop of a source or of a pod that answers does. Raises ClusterError.

        ``probes`` are those that it makes, out of all that are ``watched``.
        """
        now = view()
        ports = dict.fromkeys(
            port
            for probe in watched
            if isinstance(source, PodRef) and source in now.backends(probe)
            for port in now.answering(probe, source)
        )
        own = tuple(Target("127.0.0.1", port.number, port.protocol) for port in ports)
        wanted, faults = self._resolved(now, probes)
        return Work(self._source(now, source), tuple(wanted), tuple(faults), own)

    def _resolved(
        self, view: View, probes: Sequence[Probe]
    ) -> tuple[list[tuple[Probe, Target]], list[tuple[Probe, ProbeError]]]:
        """Return the probes that can be sent and where to, and those that cannot and why."""
        wanted: list[tuple[Probe, Target]] = []
        faults: list[tuple[Probe, ProbeError]] = []
        for probe in probes:
            match target(view, probe, self._batches.settings.cluster_domain):
                case Target() as found:
                    wanted.append((probe, found))
                case ProbeError() as fault:
                    faults.append((probe, fault))
        return wanted, faults

    def _batch(self, view: View, source: Source, probes: list[Probe]) -> Batch:
        try:
            live = self._source(view, source)
        except ClusterError as error:
            return batch.failed(probes, str(error))
        now = time.monotonic()
        wanted, faults = self._resolved(view, probes)
        unresolved = [Observation(probe, now, now, fault) for probe, fault in faults]
        if not wanted:
            return Batch(tuple(unresolved))
        done = self._batches.run(live, wanted)
        return replace(done, observations=(*unresolved, *done.observations))

    def _source(self, view: View, source: Source) -> LivePod | ExternalRef:
        match source:
            case ExternalRef():
                return source
            case NodeRef():
                return self._factory.on_node(source, view.node(source.index))
            case PodRef():
                found = view.pods.get(source)
                if found is None:
                    raise ClusterError(f"pod {source} does not exist")
                return found


def _by_source(probes: Sequence[Probe]) -> dict[Source, list[Probe]]:
    found: dict[Source, list[Probe]] = defaultdict(list)
    for probe in probes:
        found[probe.source].append(probe)
    return found


def target(view: View, probe: Probe, domain: str) -> Target | ProbeError:
    """Return where a probe is sent, or why there is no such place. Pure."""
    host, port = probe.destination.host, probe.destination.port
    if isinstance(host, NodePortRef):
        live = view.services.get((host.namespace, host.name))
        number = live.node_ports.get((port, probe.destination.protocol)) if live else None
        if number is None:
            return ProbeError(f"{host} has no node port for {port}")
        port = number
    found = _address_or_name(view, probe, domain)
    if found is None:
        return ProbeError(f"{host} has no IPv{int(probe.family)} address that a probe can choose")
    return Target(found, port, probe.destination.protocol)


def _address_or_name(view: View, probe: Probe, domain: str) -> str | None:
    match probe.destination.host:
        case Address(ip):
            return ip
        case ServiceName() | AbsoluteName() if _chooses_otherwise(view, probe.family):
            return None
        case ServiceName(namespace, name):
            return f"{name}.{view.names.get(namespace, namespace)}.svc.{domain}."
        case AbsoluteName(name):
            return f"{name}."
        case _:
            return of_family(_addresses(view, probe), probe.family)


def _addresses(view: View, probe: Probe) -> tuple[str, ...]:
    match probe.destination.host:
        case PodRef() as ref:
            return view.pods[ref].addresses if ref in view.pods else ()
        case ServiceRef(namespace, name):
            live = view.services.get((namespace, name))
            return live.addresses if live else ()
        case NodeRef(index) | NodePortRef(_, _, index):
            return view.node(index).addresses
        case ExternalRef(name):
            external = view.state.external(name)
            return external.addresses if external else ()
        case _:
            return ()


def _chooses_otherwise(view: View, family: Family) -> bool:
    """Whether agnhost, which prefers IPv4, would not try this family of a name."""
    dual = any(of_family(pod.addresses, Family.V4) for pod in view.pods.values())
    return family is Family.V6 and dual
