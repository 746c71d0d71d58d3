"""Run a round of probes on a cluster: one batch for each source, then proof of life.

Names become addresses here, by the View that the last sync left. ``batch`` runs the probes of
one source, and ``belief`` decides which answers count.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from harness.agnhost import Target
from harness.cluster.kube import batch
from harness.cluster.kube.batch import Batch, BatchRunner
from harness.cluster.kube.belief import ProofOfLife
from harness.cluster.kube.inventory import Inventory
from harness.cluster.kube.live import LivePod, View, of_family
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
        self._proof = ProofOfLife(batches, inventory, self._threads)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def probe(self, view: View, probes: Sequence[Probe]) -> list[Observation]:
        """Return one observation for each probe; see ``Cluster.probe``."""
        by_source: dict[Source, list[Probe]] = defaultdict(list)
        for probe in probes:
            by_source[probe.source].append(probe)
        futures = {
            source: self._threads.submit(self._batch, view, source, group)
            for source, group in by_source.items()
        }
        batches = {source: future.result() for source, future in futures.items()}
        observed = [item for found in batches.values() for item in found.observations]
        self._batches.adapt(batch.slowest_s(observed))
        return self._proof.believed(view, batches)

    def _batch(self, view: View, source: Source, probes: list[Probe]) -> Batch:
        try:
            live = self._source(view, source)
        except ClusterError as error:
            return batch.failed(probes, str(error))
        unresolved: list[Observation] = []
        wanted: list[tuple[Probe, Target]] = []
        for probe in probes:
            match target(view, probe, self._batches.settings.cluster_domain):
                case Target() as found:
                    wanted.append((probe, found))
                case ProbeError() as fault:
                    now = time.monotonic()
                    unresolved.append(Observation(probe, now, now, fault))
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
