"""Services as nftables rules: the part of kube-proxy in a node. Pure text.

The table ``inet services`` of a node rewrites destinations at priority -100, before policy
is judged, and sources at 100, after it. A Service without endpoints is answered by a reject.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.cluster.netns.addresses import Addresses, family_of
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
class _Endpoint:
    """One pod behind a Service's port, in one family."""

    node: int
    ip: str
    port: int
    host_network: bool


@dataclass(frozen=True, slots=True)
class _Door:
    """One address and port by which a Service is entered, and where it leads."""

    match: str
    family: Family
    protocol: Protocol
    endpoints: tuple[_Endpoint, ...]
    node_ip: str | None = None
    node_port: int | None = None
    local: bool = False


def script(state: State, addresses: Addresses, node: int) -> str:
    """Write the services table of one node; loading it replaces the one before."""
    doors = tuple(_doors(state, addresses, node))
    chains = (
        _chain("early", "filter", "prerouting", -110, _drops(doors, node)),
        _chain("forward", "filter", "forward", -10, _rejects(doors)),
        _chain("input", "filter", "input", -10, _rejects(doors)),
        _chain("output", "filter", "output", -10, _rejects(doors)),
        _chain("prerouting", "nat", "prerouting", -100, _rewrites(doors, node)),
        _chain("local", "nat", "output", -100, _rewrites(doors, None)),
        _chain("postrouting", "nat", "postrouting", 100, _masquerades(doors, addresses, node)),
    )
    body = "\n".join(chains)
    return f"table inet services\ndelete table inet services\ntable inet services {{\n{body}\n}}\n"


def _chain(name: str, kind: str, hook: str, priority: int, rules: Iterable[str]) -> str:
    lines = "".join(f"    {rule}\n" for rule in rules)
    head = f"    type {kind} hook {hook} priority {priority}; policy accept;\n"
    return f"  chain {name} {{\n{head}{lines}  }}"


def _doors(state: State, addresses: Addresses, node: int) -> Iterator[_Door]:
    for service in state.services:
        if service.type is ServiceType.HEADLESS:
            continue
        pods = state.endpoints(service)
        for port in service.ports:
            for ip in addresses.services[service.namespace, service.name]:
                endpoints = tuple(_endpoints(pods, port, addresses, family_of(ip)))
                yield _Door(_match(ip, port, port.number), family_of(ip), port.protocol, endpoints)
            if service.type is ServiceType.NODE_PORT:
                yield from _node_doors(service, port, pods, addresses, node)


def _node_doors(
    service: Service, port: ServicePort, pods: Iterable[Pod], addresses: Addresses, node: int
) -> Iterator[_Door]:
    pods = tuple(pods)
    number = addresses.node_ports[service.namespace, service.name, port.number, port.protocol]
    for ip in addresses.nodes[node]:
        yield _Door(
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
) -> Iterator[_Endpoint]:
    for pod in pods:
        number = _target(pod, port)
        if number is None:
            continue
        for ip in addresses.pods[pod.ref]:
            if family_of(ip) is family:
                yield _Endpoint(addresses.node_of[pod.ref], ip, number, pod.host_network)


def _target(pod: Pod, port: ServicePort) -> int | None:
    """The port of that pod; a pod without a port of that name is no endpoint."""
    if isinstance(port.target, int):
        return port.target
    named = ((p.name, p.protocol, p.number) for p in pod.ports)
    return next((n for name, p, n in named if (name, p) == (port.target, port.protocol)), None)


def _match(ip: str, port: ServicePort, number: int) -> str:
    return f"{_ip(family_of(ip))} daddr {ip} {port.protocol.lower()} dport {number}"


def _ip(family: Family) -> str:
    return "ip6" if family is Family.V6 else "ip"


def _open_endpoints(door: _Door, node: int | None) -> tuple[_Endpoint, ...]:
    """Those that a packet may be sent to; what comes from the node itself may go anywhere."""
    if door.local and node is not None:
        return tuple(e for e in door.endpoints if e.node == node)
    return door.endpoints


def _drops(doors: Iterable[_Door], node: int) -> Iterator[str]:
    """A Local NodePort of a node without the pod is silent."""
    for door in doors:
        if door.endpoints and not _open_endpoints(door, node):
            yield f"{door.match} drop"


def _rejects(doors: Iterable[_Door]) -> Iterator[str]:
    """Refuse what has no endpoint; TCP by a reset.

    An IPv6 socket that is still in connect() drops an ICMP error that comes back at once, and
    only the SYN sent again after 1 s is refused.
    """
    for door in doors:
        if not door.endpoints:
            manner = " with tcp reset" if door.protocol is Protocol.TCP else ""
            yield f"{door.match} reject{manner}"


def _rewrites(doors: Iterable[_Door], node: int | None) -> Iterator[str]:
    for door in doors:
        endpoints = _open_endpoints(door, node)
        if endpoints:
            yield f"{door.match} dnat {_ip(door.family)} to {_choice(endpoints)}"


def _choice(endpoints: tuple[_Endpoint, ...]) -> str:
    if len(endpoints) == 1:
        (only,) = endpoints
        host = f"[{only.ip}]" if family_of(only.ip) is Family.V6 else only.ip
        return f"{host}:{only.port}"
    targets = ", ".join(f"{i} : {e.ip} . {e.port}" for i, e in enumerate(endpoints))
    return f"numgen random mod {len(endpoints)} map {{ {targets} }}"


def _masquerades(doors: tuple[_Door, ...], addresses: Addresses, node: int) -> Iterator[str]:
    """Replies must come back through here: to a pod that met itself, and to a NodePort's client.

    A Local NodePort keeps the client's address.
    """
    for family, own in ((family_of(ip), ip) for ip in addresses.nodes[node]):
        ip = _ip(family)
        pods = {
            e.ip for d in doors for e in d.endpoints if d.family is family and not e.host_network
        }
        pairs = ", ".join(f"{pod} . {pod}" for pod in sorted(pods))
        if pairs:
            yield f"ct status dnat {ip} saddr . {ip} daddr {{ {pairs} }} snat {ip} to {own}"
    for door in doors:
        if door.node_port is None or door.local or not door.endpoints:
            continue
        ip = _ip(door.family)
        yield (
            f"ct status dnat ct original {ip} daddr {door.node_ip} "
            f"meta l4proto {door.protocol.lower()} ct original proto-dst {door.node_port} "
            f"snat {ip} to {door.node_ip}"
        )
