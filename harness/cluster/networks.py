"""Whether a cluster's address ranges are those that a scenario is about. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from harness.cidr import contains, overlap, spanning
from harness.model import Family, Needs, Networks


def mismatch(found: Networks, needs: Needs) -> str | None:
    """Return why a scenario cannot run in the ranges ``found``, or None.

    A range that the scenario sets must hold all addresses of that kind. Where it sets none,
    its outside hosts and narrow ipBlocks must not overlap the cluster's range, or a rule about
    the outside would also match the inside. A block of all pods that its policies name must hold
    pods only.
    """
    for key, there, wanted in (
        ("pods", found.pods, needs.networks.pods),
        ("Services", found.services, needs.networks.services),
        ("nodes", found.nodes, needs.networks.nodes),
    ):
        if wanted:
            if why := _not_within(there, wanted):
                return f"{why.format(key=key)}; the scenario sets {', '.join(wanted)}"
        elif pair := _overlap(there, needs.outside):
            return f"has {key} in {pair[0]}, which overlaps {pair[1]} of the scenario"
    for family in sorted(needs.pod_blocks):
        if why := _no_block_of_pods(found, needs, family):
            return why
    return None


def block_of_pods(found: Networks, family: Family) -> str | None:
    """Return the smallest block that holds all pods of a family, or None if none is known."""
    ranges = map(ipaddress.ip_network, found.pods)
    whole = spanning(network for network in ranges if network.version == family)
    return None if whole is None else str(whole)


def _no_block_of_pods(found: Networks, needs: Needs, family: Family) -> str | None:
    block = block_of_pods(found, family)
    if block is None:
        return f"does not tell its IPv{family.value} range of pods, which a policy names"
    others = (("Services", found.services), ("nodes", found.nodes), ("hosts", needs.outside))
    for key, there in others:
        if pair := _overlap(there, [block]):
            return (
                f"has pods in {block}, where also {key} are ({pair[0]}); a policy names all pods"
            )
    return None


def summarized(addresses: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses and ranges as the fewest ranges, IPv4 before IPv6."""
    networks = [ipaddress.ip_network(item, strict=False) for item in addresses]
    v4 = [net for net in networks if isinstance(net, ipaddress.IPv4Network)]
    v6 = [net for net in networks if isinstance(net, ipaddress.IPv6Network)]
    return tuple(
        str(net)
        for family in (ipaddress.collapse_addresses(v4), ipaddress.collapse_addresses(v6))
        for net in family
    )


def _not_within(there: Iterable[str], wanted: Iterable[str]) -> str | None:
    outer = [ipaddress.ip_network(cidr) for cidr in wanted]
    inner = [ipaddress.ip_network(cidr) for cidr in there]
    for version in sorted({network.version for network in outer}):
        of_family = [network for network in inner if network.version == version]
        if not of_family:
            return "does not tell its IPv" + str(version) + " range of {key}"
        for network in of_family:
            if not any(contains(known, network) for known in outer):
                return f"has {{key}} in {network}"
    return None


def _overlap(there: Iterable[str], outside: Iterable[str]) -> tuple[str, str] | None:
    for written in outside:
        cidr = ipaddress.ip_network(written)
        for item in there:
            if overlap(ipaddress.ip_network(item), cidr):
                return item, written
    return None
