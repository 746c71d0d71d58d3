"""Which address ranges the embedded cluster uses for a scenario. Pure.

The first candidates lie in 100.64.0.0/10 and in fd64::/16, which people rarely write. A range
changes only where it overlaps an outside host or a narrow ipBlock of the scenario, or a range
that the scenario sets itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.cidr import Network, overlap
from harness.errors import ClusterError
from harness.model import Networks

_CANDIDATES: Mapping[int, tuple[tuple[str, str, str], ...]] = {
    4: (
        ("100.64.0.0/16", "100.65.0.0/16", "100.66.0.0/24"),
        ("100.96.0.0/16", "100.97.0.0/16", "100.98.0.0/24"),
        ("10.224.0.0/16", "10.225.0.0/16", "10.226.0.0/24"),
        ("172.28.0.0/16", "172.29.0.0/16", "172.30.0.0/24"),
        ("192.168.0.0/17", "192.168.128.0/18", "192.168.192.0/24"),
    ),
    6: (
        ("fd64::/48", "fd64:0:1::/112", "fd64:0:2::/64"),
        ("fd65::/48", "fd65:0:1::/112", "fd65:0:2::/64"),
        ("fc66::/48", "fc66:0:1::/112", "fc66:0:2::/64"),
    ),
}
"""For each family: ranges of pods, of Services and of nodes, in order of preference."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """The ranges in use, IPv4 before IPv6.

    ``pods`` holds each node's share by the node's number; ``nodes`` the nodes' own addresses;
    ``dns`` the addresses of the cluster's DNS Service, out of ``services``.
    """

    pods: Mapping[int, tuple[str, ...]]
    services: tuple[str, ...]
    nodes: Mapping[int, tuple[str, ...]]
    dns: tuple[str, ...]


def ranges(networks: Networks, outside: Iterable[str] = ()) -> Ranges:
    """Return the ranges for a scenario that sets ``networks`` and uses ``outside``.

    Raises ClusterError where every candidate overlaps something of the scenario.
    """
    taken = [ipaddress.ip_network(cidr) for cidr in outside]
    taken += [ipaddress.ip_network(cidr) for cidr in _all(networks)]
    pods = tuple(_chosen(networks.pods, "pods", 0, taken))
    services = tuple(_chosen(networks.services, "services", 1, taken))
    nodes = tuple(_chosen(networks.nodes, "nodes", 2, taken))
    return Ranges(
        pods={1: tuple(_half(net, 0) for net in pods), 2: tuple(_half(net, 1) for net in pods)},
        services=tuple(str(net) for net in services),
        nodes={index: tuple(str(net[index + 1]) for net in nodes) for index in (1, 2)},
        dns=tuple(str(net[10]) for net in services),
    )


def _all(networks: Networks) -> tuple[str, ...]:
    return (*networks.pods, *networks.services, *networks.nodes)


def _chosen(
    written: Iterable[str], key: str, column: int, taken: Iterable[Network]
) -> Iterator[Network]:
    """Choose one range for each family: the one that is set, else the first that is free."""
    given: dict[int, Network] = {net.version: net for net in map(ipaddress.ip_network, written)}
    for version, candidates in _CANDIDATES.items():
        free = (ipaddress.ip_network(row[column]) for row in candidates)
        found = given.get(version) or next((net for net in free if not _meets(net, taken)), None)
        if found is None:
            raise ClusterError(
                f"no IPv{version} range is free for {key}: each one that the embedded cluster "
                "could use overlaps an ipBlock or an external of the scenario",
                hint=f"choose one: `networks: {{{key}: CIDR}}`",
            )
        yield found


def _meets(network: Network, taken: Iterable[Network]) -> bool:
    return any(overlap(network, net) for net in taken)


def _half(network: Network, index: int) -> str:
    # An IPv6 node gets a /64, as nodes do, where the range has room for two.
    prefix = max(
        network.prefixlen + 1, 64 if network.version == 6 and network.prefixlen < 64 else 0
    )
    size = network.max_prefixlen - prefix
    return str(ipaddress.ip_network((int(network.network_address) + (index << size), prefix)))
