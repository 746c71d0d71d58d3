"""The stage emit: guards to the text of one nftables table."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.cluster.netns.compiler.values import AddressSet, Admission, Guard, Ranges, merged
from harness.model import Family, Protocol
from harness.policy import Direction

TABLE = "inet netpol"
COMMENT_BYTES = 120  # nft refuses comments of more than 127


PREAMBLE = (
    "ct state established,related accept",  # replies (R53, R58)
    # Neighbour discovery, ICMP and all else that NetworkPolicy does not speak of (R74).
    "meta l4proto != { tcp, udp, sctp } accept",
)


def _hash(text: str) -> str:
    """Names that survive whatever an object may be called: 48 bits of the content."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _comment(text: str) -> str:
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "?" for c in text)
    if len(plain) > COMMENT_BYTES:
        plain = plain[: COMMENT_BYTES - 3] + "..."
    return f'comment "{plain}"'


def _addresses(family: Family, ranges: Ranges) -> str:
    address = ipaddress.IPv4Address if family is Family.V4 else ipaddress.IPv6Address
    return ", ".join(
        str(address(a)) if a == b else f"{address(a)}-{address(b)}" for a, b in ranges
    )


def _ports(ranges: Ranges) -> str:
    words = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
    return words if len(ranges) == 1 else f"{{ {words} }}"


class _Script:
    """The parts of one table as they gather: named sets and chains, each once."""

    def __init__(self) -> None:
        self.sets: dict[str, tuple[str, ...]] = {}
        self.chains: dict[str, tuple[str, ...]] = {}

    def match(self, end: str, peers: AddressSet | None) -> list[str]:
        """The match on the peers' addresses, one for each family that has any."""
        if peers is None:
            return [""]
        found = []
        for family, word, ranges in ((Family.V4, "ip", peers.v4), (Family.V6, "ip6", peers.v6)):
            if ranges:
                elements = _addresses(family, ranges)
                name = f"peers{family:d}_{_hash(elements)}"
                self.sets[name] = (
                    f"type ipv{family:d}_addr; flags interval",
                    f"elements = {{ {elements} }}",
                )
                found.append(f"{word} {end} @{name} ")
        return found

    def chain(self, guard: Guard) -> str:
        """The chain of a guard; pods with the same rules share one."""
        inward = guard.direction is Direction.INGRESS
        lines = []
        for peers, ports, reason in _matches(guard.admissions):
            for match in self.match("saddr" if inward else "daddr", peers):
                lines.append(f"{match}{ports}return {_comment(reason)}")
        isolated_by = ", ".join(guard.isolated_by)
        lines.append(f"counter drop {_comment(f'isolated by {isolated_by}')}")
        name = f"{guard.direction.lower()}_{_hash(chr(10).join(lines))}"
        self.chains[name] = tuple(lines)
        return name


def _matches(
    admissions: Iterable[Admission],
) -> Iterator[tuple[AddressSet | None, str, str]]:
    """Peers, port match and reason: one for all ports of the same peers, protocol and rule."""
    groups: dict[tuple[AddressSet | None, Protocol | None, str], list[tuple[int, int]]] = {}
    for one in admissions:
        groups.setdefault((one.peers, one.protocol, one.reason), []).append((one.first, one.last))
    for (peers, protocol, reason), ports in groups.items():
        yield (
            peers,
            f"{protocol.lower()} dport {_ports(merged(ports))} " if protocol else "",
            reason,
        )


def emit(node: int, guards: Sequence[Guard]) -> str:
    """The script that replaces the table of that node, in one transaction.

    A verdict map leads from a pod's address to its chain, so that a packet meets the rules of
    its own ends only. A chain returns what it admits: egress admitted is not yet ingress
    admitted (R61).
    """
    script = _Script()
    maps: dict[str, list[str]] = {"egress4": [], "egress6": [], "ingress4": [], "ingress6": []}
    own: dict[str, dict[str, None]] = {"self4": {}, "self6": {}}
    for guard in guards:
        if guard.pod.node != node:
            continue
        chain = script.chain(guard)
        for ip in guard.pod.ips:
            family = ipaddress.ip_address(ip).version
            maps[f"{guard.direction.lower()}{family}"].append(f"{ip} : jump {chain}")
            own[f"self{family}"][f"{ip} . {ip}"] = None
    return _text(script, maps, own)


def _text(
    script: _Script, maps: Mapping[str, Sequence[str]], own: Mapping[str, Iterable[str]]
) -> str:
    body = []
    for name, definition in sorted(script.sets.items()):
        body.append(_block(f"set {name}", definition))
    for name, pairs in own.items():
        kind = f"type {_type(name)} . {_type(name)}"
        body.append(_block(f"set {name}", (kind, *_elements(pairs))))
    for name, targets in maps.items():
        kind = f"type {_type(name)} : verdict"
        body.append(_block(f"map {name}", (kind, *_elements(targets))))
    for name, lines in sorted(script.chains.items()):
        body.append(_block(f"chain {name}", lines))
    forward = (
        "type filter hook forward priority filter; policy accept;",
        *PREAMBLE,
        "ip saddr . ip daddr @self4 accept",  # R46
        "ip6 saddr . ip6 daddr @self6 accept",
        "ip saddr vmap @egress4",
        "ip6 saddr vmap @egress6",
        "ip daddr vmap @ingress4",
        "ip6 daddr vmap @ingress6",
    )
    return replacement(*body, _block("chain forward", forward))


def _type(name: str) -> str:
    return f"ipv{name[-1]}_addr"


def _elements(items: Iterable[str]) -> tuple[str, ...]:
    listed = ", ".join(sorted(items))
    return (f"elements = {{ {listed} }}",) if listed else ()  # nft takes no empty list


def _block(head: str, lines: Iterable[str]) -> str:
    return "\n".join((f"{head} {{", *(f"  {line}" for line in lines), "}"))


def replacement(*body: str) -> str:
    """A script that puts ``body`` in the place of whatever the table holds."""
    lines = "\n".join(body).splitlines()
    return f"table {TABLE}\ndelete table {TABLE}\n{_block(f'table {TABLE}', lines)}\n"
