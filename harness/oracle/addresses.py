"""Blocks of addresses: whether they contain an end, as far as a scenario can know."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from harness.model import Family, NodeRef, PodRef
from harness.oracle.rulings import Tri
from harness.oracle.topology import Party, Topology
from harness.policy import Everybody, Placeholder, placeholder

_DOCUMENTATION = tuple(
    ipaddress.ip_network(cidr)
    for cidr in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
_OUTSIDE_PREFIX = {4: 16, 6: 48}
"""A block at least this narrow with an outside host of the scenario has no pod and no node."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def contains(topology: Topology, cidr: str, party: Party, family: Family) -> Tri:
    """Return whether a CIDR contains the address of the party in that family.

    A placeholder contains what it stands for. None if the address is not known.
    """
    meant = placeholder(cidr)
    if meant is not None:
        return meant.family is family and _stands_for(meant, party)
    network = ipaddress.ip_network(cidr, strict=False)
    if network.version != family:
        return False
    if party.addresses is not None:
        return _within(network, party.addresses)
    if network.prefixlen == 0:
        return True
    ranges = [
        found for found in map(ipaddress.ip_network, party.ranges) if found.version == family
    ]
    if ranges:
        return _contains_all(network, ranges)
    return False if _outside(network, topology) else None


def _stands_for(meant: Placeholder, party: Party) -> bool:
    """Return whether a placeholder is the address of the party, or a block that holds it.

    A pod on the network of its node has the node's address, not one of a pod.
    """
    pod = party.pod if party.node is None else None
    match meant.of:
        case PodRef() as ref:
            return pod is not None and pod.ref == ref
        case NodeRef(index):
            return party.node == index
        case Everybody.PODS:
            return pod is not None


def _contains_all(network: _Network, ranges: Sequence[_Network]) -> Tri:
    """Return whether a network contains all addresses of the ranges; None if only some."""
    if all(found.subnet_of(network) for found in ranges):  # type: ignore[arg-type]
        return True
    return None if any(found.overlaps(network) for found in ranges) else False


def _within(network: _Network, addresses: Iterable[str]) -> bool:
    return any(ipaddress.ip_address(address) in network for address in addresses)


def _outside(network: _Network, topology: Topology) -> bool:
    """Return whether the block contains only outside hosts, as the API recommends (R65)."""
    for known in _DOCUMENTATION:
        if network.version == known.version and network.subnet_of(known):  # type: ignore[arg-type]
            return True
    is_narrow = network.prefixlen >= _OUTSIDE_PREFIX[network.version]
    return is_narrow and any(ip in network for ip in topology.outside_addresses)
