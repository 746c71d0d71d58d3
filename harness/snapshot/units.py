"""The ends of an application that belong together: a workload's ports, and its Services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.application.state import Deployed
from harness.model import PodRef, ServiceRef, ServiceType, State
from harness.snapshot.grid import Column, Words, columns, single


@dataclass(frozen=True, slots=True)
class Unit:
    """A workload as a destination: the columns of its ports and of the Services that lead to it.

    ``title`` is ``namespace/name``; of Services without pods, that of the Service. ``by_pod`` has
    only the columns of pods.
    """

    title: str
    namespace: str
    pods: tuple[PodRef, ...]
    by_pod: tuple[Column, ...]
    by_service: tuple[Column, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        return (*self.by_pod, *self.by_service)


def units(workloads: Sequence[Deployed], state: State, words: Sequence[Words]) -> Iterator[Unit]:
    """Yield the units of a state. ``words`` are those of all states that have its pods."""
    there = {pod.ref: pod for pod in state.pods}
    services = [item for item in state.services if item.type is not ServiceType.HEADLESS]
    seen: set[tuple[str, str]] = set()
    for item in workloads:
        pods = tuple(pod.ref for pod in item.pods if pod.ref in there)
        if not pods:
            continue
        ports = [(port.number, port.protocol) for port in there[pods[0]].ports]
        mine = [
            service
            for service in services
            if (service.namespace, service.name) not in seen
            and any(pod.ref in pods for pod in state.endpoints(service))
        ]
        seen |= {(service.namespace, service.name) for service in mine}
        yield Unit(
            item.title,
            item.workload.namespace,
            pods,
            tuple(columns(words, _pattern(pods), pods, ports)),
            tuple(
                single(ServiceRef(service.namespace, service.name), port.number, port.protocol)
                for service in mine
                for port in service.ports
            ),
        )
    for service in services:
        if (service.namespace, service.name) not in seen:
            ref = ServiceRef(service.namespace, service.name)
            ends = tuple(single(ref, port.number, port.protocol) for port in service.ports)
            yield Unit(f"{service.namespace}/{service.name}", service.namespace, (), (), ends)


def _pattern(pods: Sequence[PodRef]) -> str:
    """Return what matches all pods of a workload."""
    first = pods[0]
    base, _, _ = first.name.rpartition("-")
    return str(first) if len(pods) == 1 else f"{first.namespace}/{base}-*"
