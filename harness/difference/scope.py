"""Which hosts outside and which ports are compared, beyond those that manifests declare.

Both versions are asked about the same ones. A rule may open a port that nobody declares, so each
workload and each host outside also has the ports that policies name for it, and a port that
stands for all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.application import Application
from harness.application.state import Deployed
from harness.matrix.ends import Column, port_suffix
from harness.matrix.outside import Outside, outside
from harness.model import ContainerPort, Destination, ExternalRef, Manifest, Protocol
from harness.oracle import selects
from harness.policy import Direction, NetworkPolicy, PolicyPort, parsed

_MOST_BLOCKS = 200
_OTHERS = range(61_000, 65_536)
_PORTS = range(1, 65_536)
OTHER = "other"
"""What the port that stands for all others is called."""

Port = tuple[int, Protocol]


@dataclass(frozen=True, slots=True)
class Scope:
    """The hosts outside that both versions are asked about, and the port for all others."""

    hosts: Outside
    other: int
    protocols: tuple[Protocol, ...]

    def others(self) -> Iterator[Port]:
        return ((self.other, protocol) for protocol in self.protocols)

    def suffix(self, port: Port) -> str:
        """Return what follows the name of the owner of a port in a title."""
        number, protocol = port
        if number != self.other:
            return port_suffix(number, protocol)
        return f":{OTHER}" if protocol is Protocol.TCP else f":{OTHER}/{protocol}"

    def is_other(self, column: Column) -> bool:
        """Return whether a destination is the port for all others."""
        return column.inside[0].port == self.other

    def columns_outside(self) -> Iterator[Column]:
        """Yield the ports of hosts outside."""
        for host, title in zip(self.hosts.hosts, self.hosts.titles, strict=True):
            for port in host.ports:
                end = Destination(ExternalRef(host.name), port.number, port.protocol)
                yield Column(f"{title}{self.suffix((port.number, port.protocol))}", (end,))


def common(old: Application, new: Application) -> Scope:
    """Return the scope of a comparison."""
    policies = (*old.policies, *new.policies)
    known = _known(policies)
    rules = [rule for policy in known for way in Direction for rule in policy.rules(way)]
    written = [port for rule in rules for port in rule.ports]
    used = {number for port in written for number, _ in _edges(port)}
    protocols = {port.protocol for port in written}
    for application in (old, new):
        declared = [port for item in application.workloads for port in item.ports]
        used |= {port.number for port in declared}
        protocols |= {port.protocol for port in declared}
        forwards = [port for item in application.services for port in item.ports]
        used |= {port.target for port in forwards if isinstance(port.target, int)}
    free = [number for number in _OTHERS if number not in used]
    ranges = [port for port in written if port.end_port is not None]
    other = next((number for number in free if not _within(number, ranges)), free[0])
    asked = sorted({Protocol.TCP, Protocol.UDP} | protocols)
    to_addresses = [
        port
        for policy in known
        for rule in policy.egress
        if not rule.peers or any(peer.ip_block for peer in rule.peers)
        for port in rule.ports
    ]
    hosts = outside(policies, _MOST_BLOCKS)
    more = dict.fromkeys(edge for port in to_addresses for edge in _edges(port))
    ports = (*more, *((other, protocol) for protocol in asked))
    wider = tuple(
        replace(
            host, ports=tuple(dict.fromkeys((*host.ports, *(ContainerPort(*p) for p in ports))))
        )
        for host in hosts.hosts
    )
    return Scope(replace(hosts, hosts=wider), other, tuple(asked))


def named_for(item: Deployed, policies: Sequence[Manifest]) -> Iterator[Port]:
    """Yield the ports that ingress rules about a workload name."""
    for policy in _known(policies):
        if (
            policy.namespace == item.workload.namespace
            and Direction.INGRESS in policy.policy_types
            and any(selects(policy.pod_selector, pod.labels) for pod in item.pods)
        ):
            for rule in policy.ingress:
                for port in rule.ports:
                    yield from _edges(port)


def named_by_egress(policies: Sequence[Manifest]) -> Iterator[Port]:
    """Yield the ports that egress rules name which may reach pods."""
    for policy in _known(policies):
        for rule in policy.egress:
            if not rule.peers or any(peer.ip_block is None for peer in rule.peers):
                for port in rule.ports:
                    yield from _edges(port)


def wider(item: Deployed, ports: Iterable[Port]) -> Deployed:
    """Return a workload whose pods also serve some ports."""
    added = tuple(ContainerPort(*port) for port in ports)
    pods = tuple(
        replace(pod, ports=(*pod.ports, *_missing(pod.ports, added))) for pod in item.pods
    )
    return replace(item, pods=pods)


def _missing(
    having: Sequence[ContainerPort], added: Iterable[ContainerPort]
) -> Iterator[ContainerPort]:
    known = {(port.number, port.protocol) for port in having}
    return (port for port in added if (port.number, port.protocol) not in known)


def _known(policies: Sequence[Manifest]) -> list[NetworkPolicy]:
    return [policy for policy in parsed(policies) if isinstance(policy, NetworkPolicy)]


def _edges(port: PolicyPort) -> Iterator[Port]:
    """Yield the numbers at which a rule begins or ends to match: those of ranges on both sides."""
    if isinstance(port.port, int):
        numbers = {port.port}
        if port.end_port is not None:
            numbers |= {port.port - 1, port.end_port, port.end_port + 1}
        for number in sorted(numbers):
            if number in _PORTS:
                yield number, port.protocol


def _within(number: int, ranges: Iterable[PolicyPort]) -> bool:
    return any(
        isinstance(port.port, int) and port.port <= number <= (port.end_port or port.port)
        for port in ranges
    )
