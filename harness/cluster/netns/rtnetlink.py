"""Links, addresses, routes and neighbours, as batches of rtnetlink messages.

A cluster of 100 pods needs some 1,500 messages; encoded here they take milliseconds, and all
those of one network namespace travel together.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass, field

_RTM_NEWLINK, _RTM_DELLINK, _RTM_NEWADDR, _RTM_NEWROUTE, _RTM_NEWNEIGH = 16, 17, 20, 24, 28
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_EXCL, _NLM_F_CREATE = 0x1, 0x4, 0x200, 0x400
_NLMSG_ERROR = 2
_IFF_UP, _IFF_NOARP = 0x1, 0x80
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_TXQLEN, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 13, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_F_NODAD = 1, 2, 0x02
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
_RTNH_F_ONLINK = 4
_RT_TABLE_MAIN, _RT_TABLE_LOCAL, _RTPROT_STATIC = 254, 255, 4
_RTN_UNICAST, _RTN_LOCAL = 1, 2
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK = 0, 253
_NDA_DST, _NDA_LLADDR, _NUD_PERMANENT = 1, 2, 0x80

LOOPBACK_INDEX = 1
_QUEUE_LENGTH = 999
"""Any but the default, which is 1000."""
_MESSAGES_AT_ONCE = 64
"""Their answers must find room together in the socket's default buffer."""


@dataclass(frozen=True, slots=True)
class VethEnd:
    """One end of a veth pair; ``index`` must be free in its network namespace."""

    name: str
    index: int
    mac: str


@dataclass(slots=True)
class Batch:
    """Messages to one network namespace, in the order in which they were asked for."""

    messages: list[tuple[bytes, str]] = field(default_factory=list)

    def add_veth(self, near: VethEnd, far: VethEnd, far_netns: int) -> None:
        """Make a veth pair, its far end in the namespace of that descriptor; both are down."""
        peer = _ifinfo(far.index, 0) + _attributes(
            (_IFLA_IFNAME, _text(far.name)),
            (_IFLA_ADDRESS, _mac(far.mac)),
            (_IFLA_NET_NS_FD, struct.pack("=I", far_netns)),
        )
        data = _attributes((_VETH_INFO_PEER, peer))
        info = _attributes((_IFLA_INFO_KIND, b"veth"), (_IFLA_INFO_DATA, data))
        body = _ifinfo(near.index, 0) + _attributes(
            (_IFLA_IFNAME, _text(near.name)),
            (_IFLA_ADDRESS, _mac(near.mac)),
            (_IFLA_LINKINFO, info),
        )
        self._create(_RTM_NEWLINK, body, f"link {near.name}")

    def set_noarp(self, index: int) -> None:
        """Turn ARP and neighbour discovery off for a link."""
        body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, _IFF_NOARP, _IFF_NOARP)
        self._add(_RTM_NEWLINK, 0, body, f"link {index} noarp")

    def set_up(self, index: int) -> None:
        self._add(_RTM_NEWLINK, 0, _ifinfo(index, _IFF_UP), f"link {index} up")

    def activate(self, index: int) -> None:
        """Let a link that is up and has a carrier send; by itself, a workqueue does that later.

        A change of the queue's length has the kernel do it at once.
        """
        body = _ifinfo(index, 0) + _attributes((_IFLA_TXQLEN, struct.pack("=I", _QUEUE_LENGTH)))
        self._add(_RTM_NEWLINK, 0, body, f"link {index} queue length")

    def delete_link(self, index: int) -> None:
        self._add(_RTM_DELLINK, 0, _ifinfo(index, 0), f"delete link {index}")

    def add_address(self, address: str, index: int, prefix: int | None = None) -> None:
        """Add an address to a link; by default a single one, without a network."""
        family, packed = _packed(address)
        head = struct.pack("=BBBBi", family, prefix or len(packed) * 8, _IFA_F_NODAD, 0, index)
        body = head + _attributes((_IFA_LOCAL, packed), (_IFA_ADDRESS, packed))
        self._create(_RTM_NEWADDR, body, f"address {address}")
        if family == socket.AF_INET6 and not address.startswith("fe80:"):
            self._add_local_route(address, packed, index)

    def _add_local_route(self, address: str, packed: bytes, index: int) -> None:
        """Deliver what is for an IPv6 address; the kernel's own route comes from a workqueue."""
        head = struct.pack(
            "=BBBBBBBBI",
            *(socket.AF_INET6, len(packed) * 8, 0, 0),
            *(_RT_TABLE_LOCAL, _RTPROT_STATIC, _RT_SCOPE_UNIVERSE, _RTN_LOCAL, 0),
        )
        body = head + _attributes((_RTA_DST, packed), (_RTA_OIF, struct.pack("=i", index)))
        self._create(_RTM_NEWROUTE, body, f"local route to {address}")

    def add_route(
        self, network: str, index: int, *, via: str | None = None, source: str | None = None
    ) -> None:
        """Send ``network`` (CIDR) out of a link; ``source`` is the address that leaves with it."""
        address, _, prefix = network.partition("/")
        family, packed = _packed(address)
        scope = _RT_SCOPE_UNIVERSE if via or family == socket.AF_INET6 else _RT_SCOPE_LINK
        flags = _RTNH_F_ONLINK if via else 0
        head = struct.pack(
            "=BBBBBBBBI",
            family,
            int(prefix),
            0,
            0,
            _RT_TABLE_MAIN,
            _RTPROT_STATIC,
            scope,
            _RTN_UNICAST,
            flags,
        )
        attributes = [(_RTA_DST, packed), (_RTA_OIF, struct.pack("=i", index))]
        if via:
            attributes.append((_RTA_GATEWAY, _packed(via)[1]))
        if source:
            attributes.append((_RTA_PREFSRC, _packed(source)[1]))
        self._create(_RTM_NEWROUTE, head + _attributes(*attributes), f"route to {network}")

    def add_neighbour(self, address: str, mac: str, index: int) -> None:
        """Fix who has an address on a link, so that the neighbour table cannot overflow."""
        family, packed = _packed(address)
        head = struct.pack("=BBHiHBB", family, 0, 0, index, _NUD_PERMANENT, 0, 0)
        body = head + _attributes((_NDA_DST, packed), (_NDA_LLADDR, _mac(mac)))
        self._create(_RTM_NEWNEIGH, body, f"neighbour {address}")

    def _create(self, kind: int, body: bytes, subject: str) -> None:
        self._add(kind, _NLM_F_CREATE | _NLM_F_EXCL, body, subject)

    def _add(self, kind: int, flags: int, body: bytes, subject: str) -> None:
        flags |= _NLM_F_REQUEST | _NLM_F_ACK
        head = struct.pack("=IHHII", 16 + len(body), kind, flags, len(self.messages) + 1, 0)
        self.messages.append((head + body, subject))


def send(batch: Batch, route: socket.socket) -> None:
    """Carry a batch out over an rtnetlink socket of the namespace that it is for.

    Raises OSError naming the first thing that the kernel refused; what stands behind it in
    the batch is then undone or not.
    """
    for start in range(0, len(batch.messages), _MESSAGES_AT_ONCE):
        chunk = batch.messages[start : start + _MESSAGES_AT_ONCE]
        route.send(b"".join(message for message, _ in chunk))
        _await_answers(batch, route, len(chunk))


def open_route_socket() -> socket.socket:
    """Open an rtnetlink socket in the namespace where the calling thread is."""
    route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    route.bind((0, 0))
    return route


def _await_answers(batch: Batch, route: socket.socket, count: int) -> None:
    refused: OSError | None = None
    while count:
        answers = route.recv(1 << 16)
        offset = 0
        while offset < len(answers):
            length, kind, _, sequence, _ = struct.unpack_from("=IHHII", answers, offset)
            if kind == _NLMSG_ERROR:
                count -= 1
                code = -struct.unpack_from("=i", answers, offset + 16)[0]
                if code and refused is None:
                    refused = _refusal(code, batch.messages[sequence - 1][1])
            offset += (length + 3) & ~3
    if refused:
        raise refused


def _refusal(code: int, subject: str) -> OSError:
    return OSError(code, f"{subject}: {os.strerror(code)} ({errno.errorcode.get(code, code)})")


def _ifinfo(index: int, flags: int) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def _attributes(*pairs: tuple[int, bytes]) -> bytes:
    return b"".join(
        struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
        for kind, value in pairs
    )


def _packed(address: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)


def _text(value: str) -> bytes:
    return value.encode() + b"\0"


def _mac(value: str) -> bytes:
    return bytes.fromhex(value.replace(":", ""))
