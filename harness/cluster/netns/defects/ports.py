"""Defects of ports: numbers, ranges and names."""

from __future__ import annotations

from dataclasses import replace

from harness.cluster.netns.compiler.selecting import Pods
from harness.cluster.netns.compiler.stages import STAGES, port_ranges, rules
from harness.cluster.netns.compiler.values import PortRange
from harness.cluster.netns.defects.registry import Defect
from harness.model import Protocol
from harness.policy import Direction, NetworkPolicy, PolicyPort, Rule


def named_any_port(port: PolicyPort, destinations: Pods) -> tuple[PortRange, ...]:
    """A port's name opens all ports of its protocol."""
    any_port = replace(port, port=None) if isinstance(port.port, str) else port
    return port_ranges(any_port, destinations)


def named_last_pod(port: PolicyPort, destinations: Pods) -> tuple[PortRange, ...]:
    """A port's name is one number for all destinations."""
    found = port_ranges(port, destinations)
    return (replace(found[-1], at=None),) if isinstance(port.port, str) and found else found


def no_endport(port: PolicyPort, destinations: Pods) -> tuple[PortRange, ...]:
    """The range is its first port."""
    return port_ranges(replace(port, end_port=None), destinations)


def protocol_any(port: PolicyPort, destinations: Pods) -> tuple[PortRange, ...]:
    """A port for TCP is open for every protocol."""
    found = port_ranges(port, destinations)
    if port.protocol is not Protocol.TCP:
        return found
    return tuple(replace(one, protocol=None) for one in found)


def port_zero(port: PolicyPort, destinations: Pods) -> tuple[PortRange, ...]:
    """A protocol without a port is port 0."""
    found = port_ranges(port, destinations)
    return found if port.port is not None else tuple(replace(one, last=0) for one in found)


def named_tcp_only(port: PolicyPort, destinations: Pods) -> tuple[PortRange, ...]:
    """A port's name is known for TCP alone."""
    named = isinstance(port.port, str) and port.protocol is not Protocol.TCP
    return () if named else port_ranges(port, destinations)


def named_unresolved_range(port: PolicyPort, destinations: Pods) -> tuple[PortRange, ...]:
    """A name that no pod has is every port."""
    return port_ranges(port, destinations) or (PortRange(port.protocol),)


def sctp_as_tcp(port: PolicyPort, destinations: Pods) -> tuple[PortRange, ...]:
    """A port for SCTP is one for TCP."""
    if port.protocol is Protocol.SCTP:
        port = replace(port, protocol=Protocol.TCP)
    return port_ranges(port, destinations)


def named_not_in_blocks(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
    """A port's name has no effect where the peer is an ipBlock."""
    found: list[Rule] = []
    for rule in rules(policy, direction):
        blocks = tuple(peer for peer in rule.peers if peer.ip_block is not None)
        others = tuple(peer for peer in rule.peers if peer.ip_block is None)
        numbers = tuple(port for port in rule.ports if not isinstance(port.port, str))
        if others or not blocks:
            found.append(replace(rule, peers=others))
        if blocks and (numbers or not rule.ports):
            found.append(replace(rule, peers=blocks, ports=numbers))
    return tuple(found)


DEFECTS = (
    Defect.in_stages("named-any-port", "B30", replace(STAGES, port_ranges=named_any_port)),
    Defect.in_stages("named-last-pod", "B31", replace(STAGES, port_ranges=named_last_pod)),
    Defect.in_stages("no-endport", "B37", replace(STAGES, port_ranges=no_endport)),
    Defect.in_stages("protocol-any", "B27", replace(STAGES, port_ranges=protocol_any)),
    Defect.in_stages("port-zero", "B28", replace(STAGES, port_ranges=port_zero)),
    Defect.in_stages("named-tcp-only", "B34", replace(STAGES, port_ranges=named_tcp_only)),
    Defect.in_stages(
        "named-unresolved-range", "B35", replace(STAGES, port_ranges=named_unresolved_range)
    ),
    Defect.in_stages("sctp-as-tcp", "B87", replace(STAGES, port_ranges=sctp_as_tcp)),
    Defect.in_stages("named-not-in-blocks", "B32", replace(STAGES, rules=named_not_in_blocks)),
)
