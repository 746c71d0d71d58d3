"""The network: two nodes on an underlay, pods behind their nodes, outside hosts behind the router.

        pod ── veth ── node 1 ──┐
        pod ── veth ── node 1   ├── router ── veth ── outside host
        pod ── veth ── node 2 ──┘

All of it is routed, nothing is bridged. Packets to addresses that nobody has are routed to a
namespace that drops them: a blackhole route would return an error to a local sender.

Neighbour entries are permanent. The kernel starts to answer for a new IPv6 address only when its
workqueue runs, which on a busy machine is too late for the first probes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from harness.cluster.netns.addresses import family_of, of_family
from harness.cluster.netns.kernel import enter, new_netns, route_socket, write_sysctls
from harness.cluster.netns.ranges import Ranges
from harness.cluster.netns.rtnetlink import LOOPBACK_INDEX, Batch, VethEnd, send
from harness.model import Family

_GATEWAY = ("169.254.1.1", "fe80::1")
"""The gateway of every pod, at the other end of its link; the same for all."""
_ROUTER = ("169.254.2.1", "fe80::2")
"""The next hop of every node on the underlay."""
_ANYWHERE = ("0.0.0.0/0", "::/0")
_UPLINK_INDEX = 2
_BLACKHOLE_INDEX = 3
_FIRST_FREE_INDEX = 10
_POD_INDEX = 2

_HOST_SYSCTLS = {
    # ICMP errors are verdicts here: not one may fall to a rate limit.
    "ipv4/icmp_ratelimit": "0",
    "ipv6/icmp/ratelimit": "0",
    # No link-local addresses, and no waiting for duplicates of those that are given.
    "ipv6/conf/default/addr_gen_mode": "1",
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/default/accept_ra": "0",
}
_ROUTER_SYSCTLS = {
    **_HOST_SYSCTLS,
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    # A pod that meets itself through its Service leaves by the link on which it came.
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
}


@dataclass(slots=True)
class RouterNetns:
    """A network namespace that forwards: a node or the router. No link index is used twice."""

    netns: int
    source: tuple[str, ...] = ()
    next_index: int = _FIRST_FREE_INDEX

    def fresh_index(self) -> int:
        self.next_index += 1
        return self.next_index


@dataclass(frozen=True, slots=True)
class HostNetns:
    """A network namespace at the end of a link of a router: a pod or an outside host."""

    netns: int
    router: RouterNetns = field(repr=False)
    index: int
    addresses: tuple[str, ...]


class Network:
    """The namespaces and links of one cluster. All methods move the calling thread."""

    def __init__(self, families: tuple[Family, ...], ranges: Ranges) -> None:
        """Make the router and the nodes. Raises OSError or ClusterError."""
        self._families = families
        self.ranges = ranges
        self._blackhole = RouterNetns(_new_namespace(_HOST_SYSCTLS))
        self._far_ends = Batch()
        self.router = RouterNetns(_new_namespace(_ROUTER_SYSCTLS))
        with route_socket(self.router.netns) as route:
            batch = Batch()
            batch.set_up(LOOPBACK_INDEX)
            self._add_blackhole(batch)
            for anywhere in self._only(_ANYWHERE):
                batch.add_route(anywhere, _BLACKHOLE_INDEX)
            send(batch, route)
        self.nodes: Mapping[int, RouterNetns] = {i: self._make_node(i) for i in ranges.nodes}
        with route_socket(self._blackhole.netns) as route:
            send(self._far_ends, route)

    def _only(self, items: Iterable[str]) -> tuple[str, ...]:
        return tuple(item for item in items if family_of(item) in self._families)

    def _make_node(self, number: int) -> RouterNetns:
        own = self._only(self.ranges.nodes[number])
        ranges = self._only(self.ranges.pods[number])
        node = RouterNetns(_new_namespace(_ROUTER_SYSCTLS), own)
        index = self.router.fresh_index()
        far = VethEnd("uplink", _UPLINK_INDEX, _mac(0, index, far=True))
        with route_socket(self.router.netns) as near, route_socket(node.netns) as uplink:
            batch = Batch()
            batch.add_veth(VethEnd(f"node{number}", index, _mac(0, index)), far, node.netns)
            send(batch, near)
            send(_links_up(_UPLINK_INDEX), uplink)
            batch = Batch()
            batch.set_up(index)
            for address in self._only(_ROUTER):
                batch.add_address(address, index)
            for address, cidr in zip(own, ranges, strict=True):
                batch.add_route(_single(address), index)
                batch.add_route(cidr, index, via=address)
                batch.add_neighbour(address, far.mac, index)
            send(batch, near)
            batch = _activated(_UPLINK_INDEX)
            self._add_blackhole(batch)
            for address, cidr, router, anywhere in zip(
                own, ranges, self._only(_ROUTER), self._only(_ANYWHERE), strict=True
            ):
                batch.add_address(address, _UPLINK_INDEX)
                batch.add_route(_single(router), _UPLINK_INDEX)
                batch.add_neighbour(router, _mac(0, index), _UPLINK_INDEX)
                batch.add_route(anywhere, _UPLINK_INDEX, via=router, source=address)
                batch.add_route(cidr, _BLACKHOLE_INDEX, source=address)
            send(batch, uplink)
        return node

    def _add_blackhole(self, batch: Batch) -> None:
        index = self._blackhole.fresh_index()
        near = VethEnd("blackhole", _BLACKHOLE_INDEX, _mac(2, index))
        far = VethEnd(f"blackhole{index}", index, _mac(2, index, far=True))
        batch.add_veth(near, far, self._blackhole.netns)
        batch.set_up(_BLACKHOLE_INDEX)
        batch.set_noarp(_BLACKHOLE_INDEX)
        self._far_ends.set_up(index)

    def close(self) -> None:
        """Close the namespaces of the nodes and the router; their links end with them."""
        for router in (*self.nodes.values(), self.router, self._blackhole):
            os.close(router.netns)

    def attach(
        self, router: RouterNetns, wanted: Mapping[str, tuple[str, ...]]
    ) -> dict[str, HostNetns]:
        """Create hosts behind a router, by any key, with the addresses given. Raises OSError."""
        made = {
            key: HostNetns(_new_namespace(_HOST_SYSCTLS), router, router.fresh_index(), addresses)
            for key, addresses in wanted.items()
        }
        try:
            with ExitStack() as stack:
                far = [(s, stack.enter_context(route_socket(s.netns))) for s in made.values()]
                near = stack.enter_context(route_socket(router.netns))
                send(_pairs(made.values()), near)
                for _, route in far:
                    send(_links_up(_POD_INDEX), route)
                send(_near_ends(made.values(), self._only(_GATEWAY)), near)
                for host, route in far:
                    send(_far_end(host), route)
        except BaseException:
            self.detach(made.values())
            raise
        return made

    def detach(self, hosts: Iterable[HostNetns]) -> None:
        """Delete the links of hosts and close their namespaces; a missing link is no error."""
        for host in hosts:
            batch = Batch()
            batch.delete_link(host.index)
            with contextlib.suppress(OSError), route_socket(host.router.netns) as route:
                send(batch, route)
            os.close(host.netns)


def _links_up(index: int) -> Batch:
    """Bring up the first end of a pair, and the loopback link of its namespace."""
    batch = Batch()
    batch.set_up(LOOPBACK_INDEX)
    batch.set_up(index)
    return batch


def _activated(index: int) -> Batch:
    """Let the end of a pair that came up first send.

    It had no carrier then. It has one now, but drops packets until a workqueue of the kernel has
    seen that. To take it down and up again would do the same to the other end.
    """
    batch = Batch()
    batch.activate(index)
    return batch


def _pairs(hosts: Iterable[HostNetns]) -> Batch:
    batch = Batch()
    for host in hosts:
        index = host.index
        near = VethEnd(f"pod{index}", index, _mac(1, index))
        far = VethEnd("eth0", _POD_INDEX, _mac(1, index, far=True))
        batch.add_veth(near, far, host.netns)
    return batch


def _near_ends(hosts: Iterable[HostNetns], addresses: tuple[str, ...]) -> Batch:
    """Bring up the router's ends; the hosts' ends are up already."""
    batch = Batch()
    for host in hosts:
        index = host.index
        batch.set_up(index)
        for address in addresses:
            batch.add_address(address, index)
        for address in host.addresses:
            source = of_family(host.router.source, family_of(address))
            batch.add_route(_single(address), index, source=source)
            batch.add_neighbour(address, _mac(1, index, far=True), index)
    return batch


def _far_end(host: HostNetns) -> Batch:
    """Add the addresses of a host and its routes."""
    batch = _activated(_POD_INDEX)
    for address in host.addresses:
        batch.add_address(address, _POD_INDEX)
    held = {family_of(address) for address in host.addresses}
    for gateway, anywhere in zip(_GATEWAY, _ANYWHERE, strict=True):
        if family_of(gateway) in held:
            batch.add_route(_single(gateway), _POD_INDEX)
            batch.add_route(anywhere, _POD_INDEX, via=gateway)
            batch.add_neighbour(gateway, _mac(1, host.index), _POD_INDEX)
    return batch


def _new_namespace(sysctls: Mapping[str, str]) -> int:
    netns = new_netns()
    enter(netns)
    write_sysctls(sysctls)
    return netns


def _single(address: str) -> str:
    return f"{address}/{128 if family_of(address) is Family.V6 else 32}"


def _mac(kind: int, index: int, *, far: bool = False) -> str:
    """A locally administered address; a link has its own pair."""
    return f"02:{kind:02x}:{int(far):02x}:" + index.to_bytes(3, "big").hex(":")
