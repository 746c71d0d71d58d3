"""The allocation of addresses, from one State to the next. Pure.

Pods, Services and nodes have a range for each family (``ranges``); each node gets half of
the pods' range. Outside hosts keep the addresses that their author gave them, and nobody
else gets those.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from harness.cidr import spanning
from harness.cluster.netns.ranges import Ranges, ranges
from harness.errors import ClusterError
from harness.model import (
    CompletedPod,
    ContainerPort,
    Family,
    Labels,
    Namespace,
    NodeRef,
    Pod,
    PodRef,
    Protocol,
    Service,
    ServicePort,
    ServiceType,
    State,
)
from harness.policy import Everybody, Placeholder

NODES = 2
"""How many workers the embedded cluster has."""

DNS_SERVICE = ("kube-system", "kube-dns")
NODE_PORTS = range(30000, 32768)

NodePortKey = tuple[str, str, int, Protocol]
"""Namespace and name of a Service, and one of its ports."""

DNS_PORTS = (
    ContainerPort(53, Protocol.UDP, "dns"),
    ContainerPort(53, Protocol.TCP, "dns-tcp"),
)
DNS_LABELS = Labels({"k8s-app": "kube-dns"})


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of one State, IPv4 before IPv6.

    ``pods`` gives a hostNetwork pod its node's addresses. ``completed`` holds the addresses that
    completed pods had, which a pod may have now. ``services`` holds ClusterIPs; a headless
    Service has none. ``node_of`` and ``nodes`` count the workers from 1.
    """

    ranges: Ranges
    pods: Mapping[PodRef, tuple[str, ...]]
    completed: Mapping[PodRef, tuple[str, ...]]
    nodes: Mapping[int, tuple[str, ...]]
    node_of: Mapping[PodRef, int]
    externals: Mapping[str, tuple[str, ...]]
    services: Mapping[tuple[str, str], tuple[str, ...]]
    node_ports: Mapping[NodePortKey, int]
    dns_pods: tuple[PodRef, ...]
    owners: Mapping[PodRef | tuple[str, str] | NodePortKey, Hashable] = field(repr=False)
    """What each address belongs to; a thing keeps its address as long as this is the same."""
    serials: Mapping[str, int] = field(repr=False)
    """How many addresses of each range were given away so far."""


def family_of(address: str) -> Family:
    """Return the family of an address."""
    return Family.V6 if ":" in address else Family.V4


def of_family(addresses: Iterable[str], family: Family) -> str | None:
    """Return the first address of that family."""
    return next((ip for ip in addresses if family_of(ip) is family), None)


def meant_by(placeholder: Placeholder, addresses: Addresses) -> str:
    """Return the address, or the block of all pods, that a placeholder stands for.

    Raises ClusterError if there is none.
    """
    whose, family = placeholder.of, placeholder.family
    found = None
    match whose:
        case PodRef():
            found = of_family(addresses.pods.get(whose, ()), family)
        case NodeRef():
            found = of_family(addresses.nodes[node_index(whose.index)], family)
        case Everybody.PODS:
            shares = itertools.chain.from_iterable(addresses.ranges.pods.values())
            whole = spanning(
                ipaddress.ip_network(cidr) for cidr in shares if family_of(cidr) is family
            )
            found = None if whole is None else str(whole)
    if found is None:
        raise ClusterError(f"the embedded cluster has no address for {placeholder}")
    return found


def node_index(index: int) -> int:
    """Map a worker's number to the workers that exist."""
    return (index - 1) % NODES + 1


def with_implied(state: State) -> State:
    """Add what every cluster has: ``kube-system`` with the DNS pod and its Service.

    A State that has the namespace gives it its labels.
    """
    namespace, service = DNS_SERVICE
    added = () if state.namespace(namespace) else (Namespace(namespace),)
    return replace(
        state,
        namespaces=(*state.namespaces, *added),
        pods=(*state.pods, Pod(namespace, "coredns", DNS_LABELS, DNS_PORTS, node=1)),
        services=(
            *state.services,
            Service(
                namespace,
                service,
                DNS_LABELS,
                tuple(ServicePort(p.number, p.number, p.protocol, p.name) for p in DNS_PORTS),
            ),
        ),
    )


def pod_identity(state: State, pod: Pod | CompletedPod) -> Hashable:
    """What makes a pod the same pod: all but its labels."""
    namespace = state.namespace(pod.namespace)
    scope = "" if pod.namespace == DNS_SERVICE[0] else state.scope
    incarnation = namespace.incarnation if namespace else 0
    return (scope, incarnation, replace(pod, labels=Labels()))


def allocate(
    state: State,
    previous: Addresses | None = None,
    families: tuple[Family, ...] = (Family.V4, Family.V6),
) -> Addresses:
    """Return the addresses of everything in ``state`` (with what is implied).

    What existed before keeps its own; what is new, or created again, gets fresh ones, and an
    address is not given twice until its range is used up. But a new pod gets the addresses of a
    pod of its node that completed before, if no pod has them: so it is certain that they are used
    again. In other ranges than before, everything is new. Raises ClusterError when a range has
    none left, or no range is free.
    """
    found = ranges(state.networks, state.outside)
    if previous and previous.ranges != found:
        previous = None
    return _Allocation(state, previous, families, found).run()


class _Allocation:
    """One call of ``allocate``."""

    def __init__(
        self,
        state: State,
        previous: Addresses | None,
        families: tuple[Family, ...],
        found: Ranges,
    ) -> None:
        self.state = state
        self.ranges = found
        self.previous = previous
        self.families = families
        self.owners: dict[PodRef | tuple[str, str] | NodePortKey, Hashable] = {}
        self.serials: dict[str, int] = dict(previous.serials) if previous else {}
        self.taken = {ip for host in state.externals for ip in host.addresses}
        self.taken.update(found.dns)
        self.freed: dict[int, list[tuple[str, ...]]] = {}
        """The addresses of pods that completed before, by node; some may be taken again."""
        if previous:
            for held in (*previous.pods.values(), *previous.services.values()):
                self.taken.update(held)

    def run(self) -> Addresses:
        nodes = {index: self._offered(ips) for index, ips in self.ranges.nodes.items()}
        node_of = {pod.ref: node_index(pod.node) for pod in self.state.pod_objects}
        completed = {pod.ref: self._completed(pod) for pod in self.state.completed}
        pods = {
            pod.ref: nodes[node_of[pod.ref]] if pod.host_network else self._pod(pod)
            for pod in self.state.pods
        }
        services = {(s.namespace, s.name): self._cluster_ips(s) for s in self.state.services}
        return Addresses(
            ranges=self.ranges,
            pods=pods,
            completed=completed,
            nodes=nodes,
            node_of=node_of,
            externals={host.name: self._offered(host.addresses) for host in self.state.externals},
            services=services,
            node_ports=self._node_ports(),
            dns_pods=tuple(
                pod.ref
                for pod in self.state.pods
                if pod.namespace == DNS_SERVICE[0] and DNS_LABELS.items() <= pod.labels.items()
            ),
            owners=self.owners,
            serials=self.serials,
        )

    def _offered(self, addresses: Iterable[str]) -> tuple[str, ...]:
        """The addresses of the families that this cluster has, in canonical form."""
        canonical = (str(ipaddress.ip_address(ip)) for ip in addresses)
        return tuple(ip for ip in canonical if family_of(ip) in self.families)

    def _keeps(self, key: PodRef | tuple[str, str] | NodePortKey, owner: Hashable) -> bool:
        self.owners[key] = owner
        return self.previous is not None and self.previous.owners.get(key) == owner

    def _pod(self, pod: Pod) -> tuple[str, ...]:
        if self._keeps(pod.ref, pod_identity(self.state, pod)) and self.previous:
            return self.previous.pods[pod.ref]
        node = node_index(pod.node)
        return self._freed(node) or self._fresh(self.ranges.pods[node])

    def _freed(self, node: int) -> tuple[str, ...]:
        """Take the addresses of a completed pod; none if all are taken."""
        free = (ips for ips in self.freed.get(node, ()) if not self.taken.intersection(ips))
        found = next(free, ())
        self.taken.update(found)
        return found

    def _completed(self, pod: CompletedPod) -> tuple[str, ...]:
        if self._keeps(pod.ref, pod_identity(self.state, pod)) and self.previous:
            kept = self.previous.completed[pod.ref]
            self.freed.setdefault(node_index(pod.node), []).append(kept)
            return kept
        return self._fresh(self.ranges.pods[node_index(pod.node)])

    def _service_owner(self, service: Service) -> Hashable:
        namespace = self.state.namespace(service.namespace)
        return (self.state.scope, namespace.incarnation if namespace else 0)

    def _cluster_ips(self, service: Service) -> tuple[str, ...]:
        key = (service.namespace, service.name)
        if service.type is ServiceType.HEADLESS:
            return ()
        if key == DNS_SERVICE:
            return self._offered(self.ranges.dns)
        if self._keeps(key, self._service_owner(service)) and self.previous:
            return self.previous.services[key]
        return self._fresh(self.ranges.services)

    def _node_ports(self) -> dict[NodePortKey, int]:
        given: dict[NodePortKey, int] = {}
        wanting: list[NodePortKey] = []
        for service in self.state.services:
            if service.type is not ServiceType.NODE_PORT:
                continue
            for port in service.ports:
                key = (service.namespace, service.name, port.number, port.protocol)
                if self._keeps(key, self._service_owner(service)) and self.previous:
                    given[key] = self.previous.node_ports[key]
                else:
                    wanting.append(key)
        held = set(self.previous.node_ports.values()) if self.previous else set()
        for key in wanting:
            given[key] = self._fresh_node_port(held | set(given.values()))
        return given

    def _fresh_node_port(self, taken: set[int]) -> int:
        for _ in NODE_PORTS:
            serial = self.serials.get("node ports", 0)
            self.serials["node ports"] = serial + 1
            port = NODE_PORTS[serial % len(NODE_PORTS)]
            if port not in taken:
                return port
        raise ClusterError("no node port is left", hint=f"there are {len(NODE_PORTS)}")

    def _fresh(self, ranges: tuple[str, ...]) -> tuple[str, ...]:
        candidates = (self._next(cidr) for cidr in ranges)
        return self._offered(candidates)

    def _next(self, cidr: str) -> str:
        network = ipaddress.ip_network(cidr)
        for candidate in self._from_serial(cidr, network):
            if candidate not in self.taken:
                self.taken.add(candidate)
                return candidate
        raise ClusterError(f"no address is left in {cidr}")

    def _from_serial(
        self, cidr: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network
    ) -> Iterator[str]:
        # The first sixteen are left to what has a fixed address, the last to broadcast.
        usable = min(network.num_addresses, 1 << 16) - 17
        for _ in range(usable):
            serial = self.serials.get(cidr, 0)
            self.serials[cidr] = serial + 1
            yield str(network[16 + serial % usable])
