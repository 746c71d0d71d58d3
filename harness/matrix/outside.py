"""Hosts outside the cluster: one for each block that policies name, and one in none of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.model import ContainerPort, External, Manifest, Protocol
from harness.policy import NetworkPolicy, Policy, parsed, placeholder
from harness.policy.tiers import PortNumbers, SelectedPods, TierPolicy

MOST_BLOCKS = 8
_ELSEWHERE = ("203.0.113.77", "198.51.100.77", "192.0.2.77", "9.9.9.9", "77.77.77.77")
_HTTPS = (443, Protocol.TCP)


@dataclass(frozen=True, slots=True)
class Outside:
    """The hosts, the title of each, and the blocks without a host."""

    hosts: tuple[External, ...]
    titles: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def outside(policies: Sequence[Manifest], most_blocks: int = MOST_BLOCKS) -> Outside:
    """Return the hosts outside the cluster that the policies tell apart, over IPv4.

    At most ``most_blocks`` blocks get a host of their own, the widest first. The hosts listen on
    the ports to which rules about addresses allow egress, and on 443.
    """
    known = parsed(policies)
    blocks = sorted(set(_blocks(known)), key=lambda block: (block.prefixlen, block))
    ports = tuple(ContainerPort(*port) for port in dict.fromkeys((_HTTPS, *_ports(known))))
    elsewhere = next((ip for ip in _ELSEWHERE if not _inside(ip, blocks)), _ELSEWHERE[0])
    hosts, titles, left_out = [External("outside", (elsewhere,), ports)], ["outside"], []
    for block in blocks:
        address = _alone(block, blocks)
        if address is None or len(hosts) > most_blocks:
            left_out.append(str(block))
            continue
        name = f"in-{str(block).replace('.', '-').replace('/', '-')}"
        hosts.append(External(name, (address,), ports))
        titles.append(f"outside in {block}")
    return Outside(tuple(hosts), tuple(titles), tuple(left_out))


def _blocks(policies: Sequence[Policy]) -> Iterator[ipaddress.IPv4Network]:
    for cidr in (cidr for policy in policies for cidr in policy.cidrs):
        if placeholder(cidr) is None:
            found = ipaddress.ip_network(cidr, strict=False)
            if isinstance(found, ipaddress.IPv4Network) and found.prefixlen:
                yield found


def _ports(policies: Sequence[Policy]) -> Iterator[tuple[int, Protocol]]:
    for policy in policies:
        yield from (
            _ports_of_blocks(policy)
            if isinstance(policy, NetworkPolicy)
            else _ports_of_networks(policy)
        )


def _ports_of_blocks(policy: NetworkPolicy) -> Iterator[tuple[int, Protocol]]:
    for rule in policy.egress:
        if not rule.peers or any(peer.ip_block for peer in rule.peers):
            for port in rule.ports:
                if isinstance(port.port, int):
                    yield port.port, port.protocol


def _ports_of_networks(policy: TierPolicy) -> Iterator[tuple[int, Protocol]]:
    for rule in policy.egress:
        if not all(isinstance(peer, SelectedPods) for peer in rule.peers):
            for port in rule.ports:
                if isinstance(port, PortNumbers):
                    yield port.first, port.protocol


def _inside(ip: str, blocks: Sequence[ipaddress.IPv4Network]) -> bool:
    return any(ipaddress.IPv4Address(ip) in block for block in blocks)


def _alone(block: ipaddress.IPv4Network, blocks: Sequence[ipaddress.IPv4Network]) -> str | None:
    """Return an address of a block that is in no narrower one, or None."""
    narrower = [other for other in blocks if other != block and other.subnet_of(block)]
    starts = [block.network_address, *(other.broadcast_address + 1 for other in narrower)]
    candidates = [start + offset for start in starts for offset in (1, 0)]
    for address in candidates:
        if address in block and not any(address in other for other in narrower):
            return str(address)
    return None
