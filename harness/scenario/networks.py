"""The addresses of a scenario: the ranges that it sets, and those outside the cluster."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from harness.cidr import Network, contains, overlap
from harness.documents.problems import Problems
from harness.documents.source import Document
from harness.model import External, Manifest, Networks, Step
from harness.policy import parsed, placeholder
from harness.scenario.schema import NetworksWire

_NARROW = 8
"""An ipBlock with a longer prefix is about certain hosts; 10.0.0.0/8 is about a whole world."""
_SMALLEST: Mapping[str, Mapping[int, int]] = {
    "pods": {4: 24, 6: 112},
    "services": {4: 24, 6: 112},
    "nodes": {4: 28, 6: 120},
}
"""The longest prefix that has room for what a scenario puts into a range."""
_NOBODY: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "means this host"),
    ("::/128", "means this host"),
    ("127.0.0.0/8", "is a loopback address"),
    ("::1/128", "is a loopback address"),
    ("169.254.0.0/16", "is a link-local address"),
    ("fe80::/10", "is a link-local address"),
    ("224.0.0.0/4", "is a multicast address"),
    ("ff00::/8", "is a multicast address"),
    ("255.255.255.255/32", "is the broadcast address"),
    ("240.0.0.0/4", "is reserved"),
    ("::ffff:0:0/96", "is an IPv4 address in IPv6 form"),
)


def networks(wire: NetworksWire | None, document: Document, problems: Problems) -> Networks:
    """Return the ranges that the scenario sets; report those that no cluster can have."""
    if wire is None:
        return Networks()
    found = Networks(_listed(wire.pods), _listed(wire.services), _listed(wire.nodes))
    seen: list[tuple[str, Network]] = []
    for key, written in _written(found):
        place = ("networks", key)
        of_key = [ipaddress.ip_network(cidr) for cidr in written]
        if len({network.version for network in of_key}) < len(of_key):
            problems.add(
                document.at(place),
                f"two ranges of one family in networks.{key}",
                "one for each family",
            )
        for network in of_key:
            longest = _SMALLEST[key][network.version]
            if network.prefixlen > longest:
                fact = f"the range {network} in networks.{key} is too small"
                problems.add(document.at(place), fact, f"use /{longest} or wider for {key}")
            elif why := _nobody(network):
                problems.add(
                    document.at(place),
                    f"{network} in networks.{key} {why}",
                    "use a range for hosts",
                )
            for other_key, other in seen:
                if overlap(network, other):
                    fact = f"{network} in networks.{key} overlaps {other} in networks.{other_key}"
                    problems.add(document.at(place), fact, "choose ranges that are disjoint")
        seen += [(key, network) for network in of_key]
    return found


def no_outside_host(address: str, own: Networks) -> tuple[str, str] | None:
    """Return why no host outside the cluster has this address, and what to do, or None."""
    network = ipaddress.ip_network(address)
    if why := _nobody(network):
        return (
            f"{address} {why}: no host outside the cluster has it",
            "use an address that a host can have, like 203.0.113.5",
        )
    for key, written in _written(own):
        for cidr in written:
            if contains(ipaddress.ip_network(cidr), network):
                fact = f"{address} lies in networks.{key}, {cidr}: it is inside the cluster"
                return fact, "give the external another address, or change networks"
    return None


def with_outside(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps with what the whole scenario has outside the cluster in each state."""
    steps = tuple(steps)
    # Most steps have the objects of the step before: each is read once.
    externals = {external for step in steps for external in step.state.externals}
    manifests = {manifest for step in steps for manifest in step.state.policies}
    ordered = tuple(sorted({*_hosts(externals), *_narrow_blocks(manifests)}))
    return tuple(replace(step, state=replace(step.state, outside=ordered)) for step in steps)


def _narrow_blocks(manifests: Iterable[Manifest]) -> Iterator[str]:
    for policy in parsed(manifests):
        for cidr in policy.cidrs:
            if placeholder(cidr) is not None:  # It follows the cluster's ranges.
                continue
            network = ipaddress.ip_network(cidr, strict=False)
            if network.prefixlen > _NARROW:
                yield str(network)


def _hosts(externals: Iterable[External]) -> Iterator[str]:
    for external in externals:
        for address in external.addresses:
            yield str(ipaddress.ip_network(address))


def _written(found: Networks) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ("pods", found.pods), ("services", found.services), ("nodes", found.nodes)


def _listed(written: str | list[str] | None) -> tuple[str, ...]:
    return () if written is None else (written,) if isinstance(written, str) else tuple(written)


def _nobody(network: Network) -> str | None:
    for cidr, why in _NOBODY:
        if overlap(network, ipaddress.ip_network(cidr)):
            return why
    return None
