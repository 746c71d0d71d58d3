"""Services as nftables rules: the part of kube-proxy in a node. Pure text.

The table ``inet services`` of a node rewrites destinations at priority -100, before policy
is judged, and sources at 100, after it. A Service without endpoints is answered by a reject.
Base chains look destinations up in sets and maps, so their length does not depend on the number
of Services.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.cluster.netns.addresses import Addresses, family_of
from harness.cluster.netns.tables import Block, Table, named_after
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

    ip: str
    protocol: Protocol
    port: int
    endpoints: tuple[_ServiceEndpoint, ...]
    masquerades: bool = False
    """Whether replies must come back through the node: at a NodePort that is not Local."""
    local: bool = False

    @property
    def family(self) -> Family:
        return family_of(self.ip)

    @property
    def key(self) -> str:
        """The frontend as an element of a set, and as the key of a map."""
        return f"{self.ip} . {self.protocol.lower()} . {self.port}"


_MASQUERADED = 1
"""The mark of packets to a NodePort, until they leave the node."""


class _Used:
    """The sets, maps and chains of one table.

    A set or map has one name for each family, as rules write it; a family without elements has
    none.
    """

    def __init__(self) -> None:
        self.sets: list[Block] = []
        self.chains: dict[str, Block] = {}
        self.maps: list[Block] = []

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All of them, in an order in which they can be made."""
        return (*self.sets, *self.chains.values(), *self.maps)

    def frontends(self, name: str, found: Iterable[_ServiceFrontend]) -> dict[Family, str]:
        """Add a set of frontends."""
        elements = _by_family((one.family, one.key) for one in found)
        for family, items in elements.items():
            self.sets.append(Block("set", f"{name}{family:d}", items, _type_of_keys(family)))
        return _references(name, elements)

    def pods(self, name: str, ips: Iterable[str]) -> dict[Family, str]:
        """Add a set of pairs with the same pod at both ends."""
        elements = _by_family((family_of(ip), f"{ip} . {ip}") for ip in ips)
        for family, items in elements.items():
            kind = f"type ipv{family:d}_addr . ipv{family:d}_addr"
            self.sets.append(Block("set", f"{name}{family:d}", items, kind))
        return _references(name, elements)

    def destinations(
        self, name: str, found: Iterable[tuple[_ServiceFrontend, Iterable[_ServiceEndpoint]]]
    ) -> dict[Family, str]:
        """Add a map from frontends to chains that choose one of these endpoints."""
        elements = _by_family(
            (one.family, f"{one.key} : goto {self._choosing(one, tuple(endpoints))}")
            for one, endpoints in found
        )
        for family, items in elements.items():
            kind = f"{_type_of_keys(family)} : verdict"
            self.maps.append(Block("map", f"{name}{family:d}", items, kind))
        return _references(name, elements)

    def _choosing(
        self, frontend: _ServiceFrontend, endpoints: tuple[_ServiceEndpoint, ...]
    ) -> str:
        to = f"dnat {_ip(frontend.family)} to {_choice(endpoints)}"
        mark = (f"meta mark set {_MASQUERADED}",) if frontend.masquerades else ()
        rules = (*mark, f"meta l4proto {frontend.protocol.lower()} {to}")
        name = named_after("to", "\n".join(rules))
        self.chains[name] = Block("chain", name, rules)
        return name


def _by_family(elements: Iterable[tuple[Family, str]]) -> dict[Family, tuple[str, ...]]:
    found: dict[Family, list[str]] = {}
    for family, element in elements:
        found.setdefault(family, []).append(element)
    return {family: tuple(found[family]) for family in sorted(found)}


def _references(name: str, families: Iterable[Family]) -> dict[Family, str]:
    return {family: f"@{name}{family:d}" for family in families}


def _type_of_keys(family: Family) -> str:
    return f"type ipv{family:d}_addr . inet_proto . inet_service"


def table(state: State, addresses: Addresses, node: int) -> Table:
    """Return the table of Services of one node."""
    frontends = tuple(_frontends(state, addresses, node))
    used = _Used()
    rejects = tuple(_rejects(used, frontends))
    chains = {
        "early": _chain("filter", "prerouting", -110, _drops(used, frontends, node)),
        "forward": _chain("filter", "forward", -10, rejects),
        "input": _chain("filter", "input", -10, rejects),
        "output": _chain("filter", "output", -10, rejects),
        "prerouting": _chain("nat", "prerouting", -100, _rewrites(used, "here", frontends, node)),
        "local": _chain("nat", "output", -100, _rewrites(used, "all", frontends, None)),
        "postrouting": _chain(
            "nat", "postrouting", 100, _masquerades(used, frontends, addresses.nodes[node])
        ),
    }
    bases = {name: f"chain {name} {text}" for name, text in chains.items()}
    return Table("services", bases, used.blocks)


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
                yield _ServiceFrontend(ip, port.protocol, port.number, endpoints)
            if service.type is ServiceType.NODE_PORT:
                yield from _node_port_frontends(service, port, pods, addresses, node)


def _node_port_frontends(
    service: Service, port: ServicePort, pods: Iterable[Pod], addresses: Addresses, node: int
) -> Iterator[_ServiceFrontend]:
    pods = tuple(pods)
    number = addresses.node_ports[service.namespace, service.name, port.number, port.protocol]
    local = service.external_traffic_policy is ExternalTrafficPolicy.LOCAL
    for ip in addresses.nodes[node]:
        yield _ServiceFrontend(
            ip,
            port.protocol,
            number,
            tuple(_endpoints(pods, port, addresses, family_of(ip))),
            masquerades=not local,
            local=local,
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


def _key(family: Family) -> str:
    return f"{_ip(family)} daddr . meta l4proto . th dport"


def _ip(family: Family) -> str:
    return "ip6" if family is Family.V6 else "ip"


def _eligible_endpoints(
    frontend: _ServiceFrontend, node: int | None
) -> tuple[_ServiceEndpoint, ...]:
    """Return those that a packet may be sent to; a packet from the node itself may go to all."""
    if frontend.local and node is not None:
        return tuple(e for e in frontend.endpoints if e.node == node)
    return frontend.endpoints


def _drops(used: _Used, frontends: Iterable[_ServiceFrontend], node: int) -> Iterator[str]:
    """Drop what comes to a Local NodePort on a node without an endpoint."""
    dropped = (f for f in frontends if f.endpoints and not _eligible_endpoints(f, node))
    for family, name in used.frontends("elsewhere", dropped).items():
        yield f"{_key(family)} {name} drop"


def _rejects(used: _Used, frontends: Iterable[_ServiceFrontend]) -> Iterator[str]:
    """Reject connections to a Service without endpoints; TCP by a reset.

    An IPv6 socket that is still in connect() drops an ICMP error that comes back at once, and
    only the SYN sent again after 1 s is refused.
    """
    for family, name in used.frontends("none", (f for f in frontends if not f.endpoints)).items():
        yield f"meta l4proto tcp {_key(family)} {name} reject with tcp reset"
        yield f"{_key(family)} {name} reject"


def _rewrites(
    used: _Used, name: str, frontends: Iterable[_ServiceFrontend], node: int | None
) -> Iterator[str]:
    found = ((frontend, _eligible_endpoints(frontend, node)) for frontend in frontends)
    answered = ((frontend, endpoints) for frontend, endpoints in found if endpoints)
    for family, at in used.destinations(name, answered).items():
        yield f"{_key(family)} vmap {at}"


def _choice(endpoints: tuple[_ServiceEndpoint, ...]) -> str:
    if len(endpoints) == 1:
        (only,) = endpoints
        host = f"[{only.ip}]" if family_of(only.ip) is Family.V6 else only.ip
        return f"{host}:{only.port}"
    targets = ", ".join(f"{i} : {e.ip} . {e.port}" for i, e in enumerate(endpoints))
    return f"numgen random mod {len(endpoints)} map {{ {targets} }}"


def _masquerades(
    used: _Used, frontends: tuple[_ServiceFrontend, ...], node_ips: Iterable[str]
) -> Iterator[str]:
    """Rewrite sources where replies must come back through this node: hairpins and NodePorts.

    A Local NodePort keeps the client's address.
    """
    own = {family_of(ip): ip for ip in node_ips}
    pods = {e.ip for f in frontends for e in f.endpoints if not e.host_network}
    for family, name in used.pods("hairpins", sorted(pods)).items():
        ip = _ip(family)
        yield f"ct status dnat {ip} saddr . {ip} daddr {name} snat {ip} to {own[family]}"
    for family in sorted({f.family for f in frontends if f.masquerades and f.endpoints}):
        to = f"snat {_ip(family)} to {own[family]}"
        yield f"meta mark {_MASQUERADED} meta nfproto ipv{family:d} {to}"
