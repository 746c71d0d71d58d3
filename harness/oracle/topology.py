"""The objects of a State by name, and the ends of a connection as policies see them."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from harness.model import (
    AbsoluteName,
    Address,
    ContainerPort,
    External,
    ExternalRef,
    Family,
    Labels,
    Namespace,
    NodePortRef,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    Protocol,
    Service,
    ServiceName,
    ServicePort,
    ServiceRef,
    State,
)

Host = Pod | NodeRef | External | Address
"""A possible source or destination of a connection."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the cluster beyond the State.

    ``features`` are those of ``model.FEATURES`` that it has (a scenario's needs);
    ``addresses`` are the known addresses of pods and nodes.
    """

    features: frozenset[str] = frozenset()
    addresses: Mapping[PodRef | NodeRef, tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )


NO_FACTS = Facts()


# ------------------------------------------------------------------ what policies see


class HostPods(enum.Enum):
    """The two ways in which R83 lets a cluster treat hostNetwork pods."""

    LIKE_PODS = "if hostNetwork pods are treated like pods"
    LIKE_NODES = "if hostNetwork pods are treated like their node"


@dataclass(frozen=True, slots=True, eq=False)
class Party:
    """One end as policies see it; a Topology creates each only once.

    Without ``pod`` no selector matches it and no policy isolates it. ``node`` is the node
    whose address it has, if any. ``addresses`` is None if they are not known; they are then in
    one of ``ranges``, if the scenario sets any. ``feature`` is what a cluster needs so that
    ipBlock applies to them.
    """

    name: str
    pod: Pod | None = None
    node: int | None = None
    addresses: tuple[str, ...] | None = None
    feature: str | None = None
    ranges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AskedPort:
    """The port of a connection; ``number`` is None if the cluster allocates it."""

    number: int | None
    protocol: Protocol
    family: Family

    def __str__(self) -> str:
        return f"{self.protocol} {'(a node port)' if self.number is None else self.number}"


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection as policies see it; ``name`` is what was looked up for it, if anything."""

    source: Party
    destination: Party
    port: AskedPort
    name: str | None = None

    def __str__(self) -> str:
        return f"{self.source.name} -> {self.destination.name} on {self.port}"


# ------------------------------------------------------------------ the objects

NODE_PORTS = range(30000, 32768)
"""The default range of node ports."""

DNS_NAMESPACE = "kube-system"
DNS_LABELS = Labels({"k8s-app": "kube-dns"})
_NO_NODE = 0


class Topology:
    """The objects of a State, and those that every cluster has, by name; with facts."""

    def __init__(self, state: State, facts: Facts) -> None:
        self.state = _with_dns(state)
        self.facts = facts
        self._namespaces = {item.name: item for item in reversed(self.state.namespaces)}
        self._pods = {item.ref: item for item in reversed(self.state.pods)}
        self._services = {(s.namespace, s.name): s for s in reversed(self.state.services)}
        self._externals = {item.name: item for item in reversed(self.state.externals)}
        self.outside_addresses = tuple(
            ipaddress.ip_address(ip) for item in self.state.externals for ip in item.addresses
        )
        self._hosts = self._by_address()
        self._served = self._by_node()
        self._endpoints: dict[tuple[str, str], tuple[Pod, ...]] = {}
        self._parties: dict[tuple[object, HostPods], Party] = {}
        self.dns_servers = tuple(
            pod
            for pod in self.state.pods
            if pod.namespace == DNS_NAMESPACE and DNS_LABELS.items() <= pod.labels.items()
        )

    def namespace(self, name: str) -> Namespace:
        """Return the namespace; one that the state does not declare has no labels."""
        return self._namespaces.get(name) or Namespace(name)

    def pod(self, ref: PodRef) -> Pod | None:
        return self._pods.get(ref)

    def service(self, namespace: str, name: str) -> Service | None:
        return self._services.get((namespace, name))

    def external(self, name: str) -> External | None:
        return self._externals.get(name)

    def endpoints(self, service: Service) -> tuple[Pod, ...]:
        """Return the pods behind a Service, in the order of the state."""
        key = (service.namespace, service.name)
        if key not in self._endpoints:
            self._endpoints[key] = self.state.endpoints(service)
        return self._endpoints[key]

    def at(self, ip: str) -> External | PodRef | NodeRef | None:
        """Return the host that has that address, if it is known."""
        return self._hosts.get(ipaddress.ip_address(ip))

    def names_of(self, party: Party) -> tuple[str, ...] | None:
        """Return the DNS names of an outside host, or None for an address of no known host."""
        for external in self.state.externals:
            if party.addresses == external.addresses:
                return external.dns_names
        return None

    def concerned(self, probe: Probe) -> Iterator[Pod]:
        """Yield the pods whose policies may decide on the probe; a pod may appear twice."""
        if isinstance(probe.source, PodRef):
            source = self.pod(probe.source)
            yield from () if source is None else (source,)
        yield from self.probed(probe)
        if isinstance(probe.destination.host, ServiceName | AbsoluteName):
            yield from self.dns_servers

    def probed(self, probe: Probe) -> tuple[Pod, ...]:
        """Return the pods that may answer the probe."""
        host = probe.destination.host
        match host:
            case PodRef():
                pod = self.pod(host)
                return () if pod is None else (pod,)
            case ServiceRef() | ServiceName() | NodePortRef():
                service = self.service(host.namespace, host.name)
                return () if service is None else self.endpoints(service)
            case Address(ip):
                ref = self.at(ip)
                pod = self.pod(ref) if isinstance(ref, PodRef) else None
                return () if pod is None else (pod,)
            case NodeRef() | ExternalRef() | AbsoluteName():
                return ()

    def listens(self, target: Host, port: int, protocol: Protocol) -> bool:
        """Return whether the host listens; a node also has the ports of its hostNetwork pods."""
        return any(p.number == port and p.protocol is protocol for p in self._ports(target))

    def _ports(self, target: Host) -> tuple[ContainerPort, ...]:
        match target:
            case NodeRef(index) | Pod(host_network=True, node=index):
                return self._served.get(index, ())
            case Pod() | External():
                return target.ports
            case Address():
                return ()

    def party(self, host: Host, host_pods: HostPods = HostPods.LIKE_PODS) -> Party:
        """Return the end as policies see it."""
        key: object = host
        if isinstance(host, Pod):
            key = host.ref
        elif isinstance(host, External):
            key = ExternalRef(host.name)
        found = self._parties.get((key, host_pods))
        if found is None:
            found = self._parties[key, host_pods] = self._party(host, host_pods)
        return found

    def _party(self, host: Host, host_pods: HostPods) -> Party:
        match host:
            case External():
                return Party(f"external/{host.name}", addresses=host.addresses)
            case Address(ip):
                return Party(str(host), addresses=(ip,))
            case NodeRef(index):
                known = self.facts.addresses.get(host)
                ranges = self.state.networks.nodes
                return Party(str(host), None, index, known, "ipblock-node-ip", ranges)
            case Pod(host_network=True):
                node = self.party(NodeRef(host.node))
                shown = None if host_pods is HostPods.LIKE_NODES else host
                known = self.facts.addresses.get(host.ref, node.addresses)
                return replace(node, name=str(host.ref), pod=shown, addresses=known)
            case Pod():
                known = self.facts.addresses.get(host.ref)
                ranges = self.state.networks.pods
                return Party(str(host.ref), host, None, known, "ipblock-pod-ip", ranges)

    def _by_address(self) -> dict[object, External | PodRef | NodeRef]:
        """Return hosts by address; outside hosts take precedence, as the author defines them."""
        found: dict[object, External | PodRef | NodeRef] = {}
        for external in self.state.externals:
            for ip in external.addresses:
                found.setdefault(ipaddress.ip_address(ip), external)
        for ref, addresses in self.facts.addresses.items():
            for ip in addresses:
                found.setdefault(ipaddress.ip_address(ip), ref)
        return found

    def _by_node(self) -> dict[int, tuple[ContainerPort, ...]]:
        """Return the ports of the hostNetwork pods of each node."""
        served: dict[int, tuple[ContainerPort, ...]] = {}
        for pod in self.state.pods:
            if pod.host_network:
                served[pod.node] = (*served.get(pod.node, ()), *pod.ports)
        return served


def _with_dns(state: State) -> State:
    """Add what every cluster has: ``kube-system`` with DNS pods, on an unknown node."""
    if state.namespace(DNS_NAMESPACE) is not None:
        return state
    ports = (ContainerPort(53, Protocol.UDP, "dns"), ContainerPort(53, Protocol.TCP, "dns-tcp"))
    pod = Pod(DNS_NAMESPACE, "kube-dns", DNS_LABELS, ports, node=_NO_NODE)
    forwards = tuple(ServicePort(port.number, port.number, port.protocol) for port in ports)
    return replace(
        state,
        namespaces=(*state.namespaces, Namespace(DNS_NAMESPACE)),
        pods=(*state.pods, pod),
        services=(*state.services, Service(DNS_NAMESPACE, "kube-dns", DNS_LABELS, forwards)),
    )
