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
from harness.model import (
    ContainerPort,
    Destination,
    ExternalRef,
    Manifest,
    Namespace,
    Protocol,
    State,
)
from harness.oracle import subjects
from harness.policy import Direction, NetworkPolicy, Policy, PolicyPort, Rule, parsed
from harness.policy.tiers import (
    Networks,
    PortName,
    PortNumbers,
    SelectedPods,
    TierPolicy,
    TierPort,
    TierRule,
)

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
    known = parsed(policies)
    rules = [rule for policy in known for way in Direction for rule in policy.rules(way)]
    written = [port for rule in rules for port in rule.ports]
    used = {number for port in written for number, _ in _edges(port)}
    protocols = {port.protocol for port in written if not isinstance(port, PortName)}
    for application in (old, new):
        declared = [port for item in application.workloads for port in item.ports]
        used |= {port.number for port in declared}
        protocols |= {port.protocol for port in declared}
        forwards = [port for item in application.services for port in item.ports]
        used |= {port.target for port in forwards if isinstance(port.target, int)}
    free = [number for number in _OTHERS if number not in used]
    ranges = [found for port in written if (found := _numbers(port)) and len(found) > 1]
    other = next((n for n in free if not any(n in found for found in ranges)), free[0])
    asked = sorted({Protocol.TCP, Protocol.UDP} | protocols)
    to_addresses = [
        port
        for policy in known
        for rule in policy.egress
        if _leads_to_addresses(rule)
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


def named_for(item: Deployed, application: Application) -> Iterator[Port]:
    """Yield the ports that ingress rules about a workload of an application name."""
    home = application.namespace(item.workload.namespace)
    spaces = (Namespace(home.name, home.labels),) if home else ()
    alone = State("application", spaces, item.pods)
    for policy in parsed(application.policies):
        if _acts_on_ingress(policy) and subjects(alone, policy):
            for rule in policy.ingress:
                for port in rule.ports:
                    yield from _edges(port)


def _acts_on_ingress(policy: Policy) -> bool:
    match policy:
        case NetworkPolicy():
            return Direction.INGRESS in policy.policy_types
        case TierPolicy():
            return policy.acts_on(Direction.INGRESS)


def named_by_egress(policies: Sequence[Manifest]) -> Iterator[Port]:
    """Yield the ports that egress rules name which may reach pods."""
    for policy in parsed(policies):
        for rule in policy.egress:
            if _leads_to_pods(rule):
                for port in rule.ports:
                    yield from _edges(port)


def _leads_to_addresses(rule: Rule | TierRule) -> bool:
    """Return whether a rule of egress is about hosts outside."""
    match rule:
        case Rule():
            return not rule.peers or any(peer.ip_block for peer in rule.peers)
        case TierRule():
            return any(not isinstance(peer, SelectedPods) for peer in rule.peers)


def _leads_to_pods(rule: Rule | TierRule) -> bool:
    """Return whether a rule of egress may be about pods; ``networks`` are, too (T13)."""
    match rule:
        case Rule():
            return not rule.peers or any(peer.ip_block is None for peer in rule.peers)
        case TierRule():
            return any(isinstance(peer, SelectedPods | Networks) for peer in rule.peers)


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


def _edges(port: PolicyPort | TierPort) -> Iterator[Port]:
    """Yield the numbers at which a rule begins or ends to match: those of ranges on both sides."""
    found = _numbers(port)
    if found and not isinstance(port, PortName):
        numbers = {found.start}
        if len(found) > 1 or (isinstance(port, PolicyPort) and port.end_port is not None):
            numbers |= {found.start - 1, found.stop - 1, found.stop}
        yield from ((number, port.protocol) for number in sorted(numbers) if number in _PORTS)


def _numbers(port: PolicyPort | TierPort) -> range | None:
    """Return the numbers that an entry of the ports matches; None for a name or all ports."""
    match port:
        case PolicyPort(_, int() as number):
            return range(number, (port.end_port or number) + 1)
        case PortNumbers():
            return range(port.first, port.last + 1)
        case _:
            return None
