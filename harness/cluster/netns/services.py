"""Services as nftables rules: the part of kube-proxy in a node. Pure text.

The table ``inet services`` of a node rewrites destinations at priority -100, before policy
is judged, and sources at 100, after it. A Service without endpoints is answered by a reject.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.cluster.netns.addresses import Addresses, family_of
from harness.cluster.netns.tables import Table
from harness.model import (
    ExternalTrafficPolicy,
    Family,
    Pod,
    Protocol,
    Service,
    ServicePort,
    ServiceType,
    State,
)


@dataclass(frozen=True, slots=True)
class _ServiceEndpoint:
    """One pod behind a Service's port, in one family."""

    node: int
    ip: str
    port: int
    host_network: bool


@dataclass(frozen=True, slots=True)
class _ServiceFrontend:
    """One address and port at which a Service is reached, and its endpoints."""

    match: str
    family: Family
    protocol: Protocol
    endpoints: tuple[_ServiceEndpoint, ...]
    node_ip: str | None = None
    node_port: int | None = None
    local: bool = False


def table(state: State, addresses: Addresses, node: int) -> Table:
    """Return the table of Services of one node."""
    frontends = tuple(_frontends(state, addresses, node))
    chains = {
        "early": _chain("filter", "prerouting", -110, _drops(frontends, node)),
        "forward": _chain("filter", "forward", -10, _rejects(frontends)),
        "input": _chain("filter", "input", -10, _rejects(frontends)),
        "output": _chain("filter", "output", -10, _rejects(frontends)),
        "prerouting": _chain("nat", "prerouting", -100, _rewrites(frontends, node)),
        "local": _chain("nat", "output", -100, _rewrites(frontends, None)),
        "postrouting": _chain("nat", "postrouting", 100, _masquerades(frontends, addresses, node)),
    }
    return Table("services", {name: f"chain {name} {text}" for name, text in chains.items()})


def _chain(kind: str, hook: str, priority: int, rules: Iterable[str]) -> str:
    lines = "".join(f"  {rule}\n" for rule in rules)
    return f"{{\n  type {kind} hook {hook} priority {priority}; policy accept;\n{lines}}}"


def _frontends(state: State, addresses: Addresses, node: int) -> Iterator[_ServiceFrontend]:
    for service in state.services:
        if service.type is ServiceType.HEADLESS:
            continue
        pods = state.endpoints(service)
        for port in service.ports:
            for ip in addresses.services[service.namespace, service.name]:
                endpoints = tuple(_endpoints(pods, port, addresses, family_of(ip)))
                yield _ServiceFrontend(
                    _match(ip, port, port.number), family_of(ip), port.protocol, endpoints
                )
            if service.type is ServiceType.NODE_PORT:
                yield from _node_port_frontends(service, port, pods, addresses, node)


def _node_port_frontends(
    service: Service, port: ServicePort, pods: Iterable[Pod], addresses: Addresses, node: int
) -> Iterator[_ServiceFrontend]:
    pods = tuple(pods)
    number = addresses.node_ports[service.namespace, service.name, port.number, port.protocol]
    for ip in addresses.nodes[node]:
        yield _ServiceFrontend(
            _match(ip, port, number),
            family_of(ip),
            port.protocol,
            tuple(_endpoints(pods, port, addresses, family_of(ip))),
            node_ip=ip,
            node_port=number,
            local=service.external_traffic_policy is ExternalTrafficPolicy.LOCAL,
        )


def _endpoints(
    pods: Iterable[Pod], port: ServicePort, addresses: Addresses, family: Family
) -> Iterator[_ServiceEndpoint]:
    for pod in pods:
        number = _target(pod, port)
        if number is None:
            continue
        for ip in addresses.pods[pod.ref]:
            if family_of(ip) is family:
                yield _ServiceEndpoint(addresses.node_of[pod.ref], ip, number, pod.host_network)


def _target(pod: Pod, port: ServicePort) -> int | None:
    """Return the port of that pod; a pod without a port of that name is no endpoint."""
    if isinstance(port.target, int):
        return port.target
    named = ((p.name, p.protocol, p.number) for p in pod.ports)
    return next((n for name, p, n in named if (name, p) == (port.target, port.protocol)), None)


def _match(ip: str, port: ServicePort, number: int) -> str:
    return f"{_ip(family_of(ip))} daddr {ip} {port.protocol.lower()} dport {number}"


def _ip(family: Family) -> str:
    return "ip6" if family is Family.V6 else "ip"


def _eligible_endpoints(
    frontend: _ServiceFrontend, node: int | None
) -> tuple[_ServiceEndpoint, ...]:
    """Return those that a packet may be sent to; a packet from the node itself may go to all."""
    if frontend.local and node is not None:
        return tuple(e for e in frontend.endpoints if e.node == node)
    return frontend.endpoints


def _drops(frontends: Iterable[_ServiceFrontend], node: int) -> Iterator[str]:
    """Drop what comes to a Local NodePort on a node without an endpoint."""
    for frontend in frontends:
        if frontend.endpoints and not _eligible_endpoints(frontend, node):
            yield f"{frontend.match} drop"


def _rejects(frontends: Iterable[_ServiceFrontend]) -> Iterator[str]:
    """Reject connections to a Service without endpoints; TCP by a reset.

    An IPv6 socket that is still in connect() drops an ICMP error that comes back at once, and
    only the SYN sent again after 1 s is refused.
    """
    for frontend in frontends:
        if not frontend.endpoints:
            with_reset = " with tcp reset" if frontend.protocol is Protocol.TCP else ""
            yield f"{frontend.match} reject{with_reset}"


def _rewrites(frontends: Iterable[_ServiceFrontend], node: int | None) -> Iterator[str]:
    for frontend in frontends:
        endpoints = _eligible_endpoints(frontend, node)
        if endpoints:
            yield f"{frontend.match} dnat {_ip(frontend.family)} to {_choice(endpoints)}"


def _choice(endpoints: tuple[_ServiceEndpoint, ...]) -> str:
    if len(endpoints) == 1:
        (only,) = endpoints
        host = f"[{only.ip}]" if family_of(only.ip) is Family.V6 else only.ip
        return f"{host}:{only.port}"
    targets = ", ".join(f"{i} : {e.ip} . {e.port}" for i, e in enumerate(endpoints))
    return f"numgen random mod {len(endpoints)} map {{ {targets} }}"


def _masquerades(
    frontends: tuple[_ServiceFrontend, ...], addresses: Addresses, node: int
) -> Iterator[str]:
    """Rewrite sources where replies must come back through this node: hairpins and NodePorts.

    A Local NodePort keeps the client's address.
    """
    for family, own in ((family_of(ip), ip) for ip in addresses.nodes[node]):
        ip = _ip(family)
        pods = {
            e.ip
            for f in frontends
            for e in f.endpoints
            if f.family is family and not e.host_network
        }
        pairs = ", ".join(f"{pod} . {pod}" for pod in sorted(pods))
        if pairs:
            yield f"ct status dnat {ip} saddr . {ip} daddr {{ {pairs} }} snat {ip} to {own}"
    for frontend in frontends:
        if frontend.node_port is None or frontend.local or not frontend.endpoints:
            continue
        ip = _ip(frontend.family)
        yield (
            f"ct status dnat ct original {ip} daddr {frontend.node_ip} "
            f"meta l4proto {frontend.protocol.lower()} ct original proto-dst {frontend.node_port} "
            f"snat {ip} to {frontend.node_ip}"
        )
