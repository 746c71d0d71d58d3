"""What the ends of a step's table can be: the pods, Services and hosts that its patterns match."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from harness.errors import UsageError
from harness.model import (
    AbsoluteName,
    Address,
    Destination,
    External,
    ExternalRef,
    Family,
    Host,
    NodePortRef,
    Pod,
    PodRef,
    Protocol,
    Service,
    ServiceName,
    ServiceRef,
    ServiceType,
    Source,
    State,
)
from harness.scenario.ends import DestinationPattern, SourcePattern
from harness.suggest import nearest_or_all

_T = TypeVar("_T")


class TooLarge(Exception):
    """The tables of a file name more than can be read in a reasonable time."""


@dataclass(slots=True)
class Budget:
    """How much work the tables of one file may be: cells, and ends compared with patterns."""

    cells: int = 50_000
    comparisons: int = 1_000_000

    def spend_cells(self, number: int) -> None:
        """Raise TooLarge when the tables name too many pairs."""
        self.cells -= number
        if self.cells < 0:
            raise TooLarge

    def spend_comparisons(self, number: int) -> None:
        """Raise TooLarge when too many patterns meet too many ends."""
        self.comparisons -= number
        if self.comparisons < 0:
            raise TooLarge


@dataclass(frozen=True)
class Candidates:
    """What the ends of one step's table can be.

    ``services`` are those of this and of earlier steps: the name of one that was deleted can
    still be asked.
    """

    state: State
    families: tuple[Family, ...]
    services: Mapping[tuple[str, str], Service]
    budget: Budget = field(default_factory=Budget)

    @cached_property
    def _pods(self) -> Mapping[PodRef, Pod]:
        return {pod.ref: pod for pod in self.state.pods}

    @cached_property
    def _services(self) -> Mapping[tuple[str, str], Service]:
        return {(item.namespace, item.name): item for item in self.state.services}

    @cached_property
    def _behind(self) -> Mapping[tuple[str, str], frozenset[PodRef]]:
        """The endpoints of each Service."""
        self.budget.spend_comparisons(len(self.state.services) * len(self.state.pods))
        return {
            name: frozenset(pod.ref for pod in self.state.endpoints(item))
            for name, item in self._services.items()
        }

    @cached_property
    def _externals(self) -> Mapping[str, External]:
        return {item.name: item for item in self.state.externals}

    def sources(self, pattern: SourcePattern) -> tuple[Source, ...]:
        """Return the sources that a row means. Raises UsageError."""
        literal = pattern.literal
        if literal is None:
            self.budget.spend_comparisons(len(self.state.pods) + len(self.state.externals))
            known = [s for s in self._all_sources() if pattern.matches(s)]
            return self._some(tuple(known), pattern.text, "pods", map(str, self._refs()))
        self._check_exists(literal)
        return (literal,)

    def destinations(self, pattern: DestinationPattern) -> tuple[Destination, ...]:
        """Return the destinations that a column means. Raises UsageError."""
        literal = pattern.literal
        if literal is None:
            candidates = tuple(self._all_destinations(pattern))
            self.budget.spend_comparisons(len(candidates))
            known = [d for d in candidates if pattern.matches(d)]
            written = (str(d) for d in candidates)
            return self._some(tuple(known), pattern.text, "ends of that kind", written)
        self._check_exists(literal.host)
        self._check_port(literal)
        return (literal,)

    def everything(self) -> tuple[Destination, ...]:
        """Return every declared port of every pod and every ClusterIP."""
        return tuple(self._of_pods()) + tuple(self._of_services())

    def pods(self) -> tuple[Source, ...]:
        return tuple(self._refs())

    def families_of(self, source: Source, host: Host) -> tuple[Family, ...]:
        """Return the scenario's families in which both ends have an address."""
        both = self._families(source) & self._families(host)
        return tuple(family for family in self.families if family in both)

    def is_itself(self, source: Source, host: Host) -> bool:
        """Return whether the host is the source pod, or a Service that may lead back to it."""
        match host:
            case PodRef():
                return source == host
            case ServiceRef() | ServiceName() | NodePortRef():
                return source in self._behind.get((host.namespace, host.name), ())
            case _:
                return False

    # -------------------------------------------------------------- candidates

    def _refs(self) -> Iterator[PodRef]:
        return (pod.ref for pod in self.state.pods)

    def _all_sources(self) -> Iterator[Source]:
        yield from self._refs()
        yield from (ExternalRef(external.name) for external in self.state.externals)

    def _all_destinations(self, pattern: DestinationPattern) -> Iterator[Destination]:
        yield from self.everything()
        for external in self.state.externals:
            for port in external.ports:
                yield Destination(ExternalRef(external.name), port.number, port.protocol)
        for service in self.state.services:
            for listening in service.ports:
                name = ServiceName(service.namespace, service.name)
                yield Destination(name, listening.number, listening.protocol)
                if service.type is ServiceType.NODE_PORT and pattern.kind == "nodeport":
                    through = NodePortRef(service.namespace, service.name, int(pattern.fields[2]))
                    yield Destination(through, listening.number, listening.protocol)

    def _of_pods(self) -> Iterator[Destination]:
        for pod in self.state.pods:
            for port in pod.ports:
                yield Destination(pod.ref, port.number, port.protocol)

    def _of_services(self) -> Iterator[Destination]:
        for service in self.state.services:
            if service.type is not ServiceType.HEADLESS:
                for port in service.ports:
                    host = ServiceRef(service.namespace, service.name)
                    yield Destination(host, port.number, port.protocol)

    @staticmethod
    def _some(found: tuple[_T, ...], text: str, kind: str, known: Iterable[str]) -> tuple[_T, ...]:
        if not found:
            hint = nearest_or_all(text, known, kind)
            raise UsageError(f"{text!r} matches nothing in this step", hint)
        return found

    # -------------------------------------------------------------- checks

    def _check_exists(self, host: Source | Host) -> None:
        match host:
            case PodRef() if any(host == pod.ref for pod in self.state.completed):
                fact = f"pod '{host}' completes, and is no end of a connection"
                raise UsageError(fact, "leave it out: nothing probes a completed pod")
            case PodRef(namespace, _) if host not in self._pods:
                hint = nearest_or_all(str(host), map(str, self._refs()), "pods")
                if (namespace, host.name) in self._services:
                    hint = f"the Service is written svc/{host}"
                raise UsageError(f"there is no pod '{host}' in this step", hint)
            case ExternalRef(name) if name not in self._externals:
                known = (external.name for external in self.state.externals)
                hint = nearest_or_all(name, known, "externals")
                raise UsageError(f"there is no external {name!r}", hint)
            case ServiceRef() | NodePortRef():
                self._check_service(host, self._services.get((host.namespace, host.name)))
            case ServiceName():
                self._check_service(host, self.services.get((host.namespace, host.name)))
            case _:
                pass  # nodes, addresses and outside names are not of the scenario's making

    def _check_service(
        self, host: ServiceRef | NodePortRef | ServiceName, service: Service | None
    ) -> None:
        name = f"{host.namespace}/{host.name}"
        if service is None:
            known = [f"{s.namespace}/{s.name}" for s in self.state.services]
            hint = nearest_or_all(name, known, "Services")
            if isinstance(host, ServiceName):
                asked = f"{host.name}.{host.namespace}"
                if any(asked in external.dns_names for external in self.state.externals):
                    hint = (
                        "dns/ and two labels mean a Service; outside names need three to be probed"
                    )
            raise UsageError(f"there is no Service {name!r} in this step", hint)
        if isinstance(host, ServiceRef) and service.type is ServiceType.HEADLESS:
            hint = f"ask for it by name: dns/{host.name}.{host.namespace}"
            raise UsageError(f"Service {name} is Headless and has no ClusterIP", hint)
        if isinstance(host, NodePortRef) and service.type is not ServiceType.NODE_PORT:
            hint = f"give it type: NodePort, or write svc/{name}:port"
            raise UsageError(f"Service {name} has no node port", hint)

    def _check_port(self, destination: Destination) -> None:
        host = destination.host
        if not isinstance(host, ServiceRef | NodePortRef | ServiceName):
            return
        service = self.services.get((host.namespace, host.name))
        if service is None or not service.ports or service.type is ServiceType.HEADLESS:
            return
        known = {(port.number, port.protocol) for port in service.ports}
        if (destination.port, destination.protocol) not in known:
            shown = ", ".join(_port_text(*port) for port in sorted(known))
            written = _port_text(destination.port, destination.protocol)
            fact = f"Service {host.namespace}/{host.name} has no port {written}"
            raise UsageError(fact, f"its ports are {shown}")

    def _families(self, host: Source | Host) -> frozenset[Family]:
        match host:
            case Address(ip):
                return _families_of([ip])
            case ExternalRef(name):
                external = self._externals.get(name)
                return _families_of(external.addresses if external else ())
            case AbsoluteName(name):
                owners = [e for e in self.state.externals if name in e.dns_names]
                return _families_of(owners[0].addresses) if owners else frozenset(Family)
            case _:
                return frozenset(Family)


def _families_of(addresses: Iterable[str]) -> frozenset[Family]:
    return frozenset(Family(ipaddress.ip_address(address).version) for address in addresses)


def _port_text(number: int, protocol: Protocol) -> str:
    return str(number) if protocol is Protocol.TCP else f"{number}/{protocol}"


def candidates(
    states: Iterable[State], families: tuple[Family, ...], budget: Budget
) -> Iterator[Candidates]:
    """Yield the candidates of one step after another."""
    services: dict[tuple[str, str], Service] = {}
    for state in states:
        services |= {(item.namespace, item.name): item for item in state.services}
        yield Candidates(state, families, dict(services), budget)
