"""The part emit: the rules of pods to the text of one nftables table."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from harness.cluster.netns.compiler.values import (
    Action,
    AddressSet,
    Clause,
    Layer,
    PodRules,
    Ranges,
    merged,
)
from harness.cluster.netns.tables import Block, Table, named_after
from harness.model import Family, Protocol
from harness.policy import Direction

COMMENT_BYTES = 120  # nft refuses comments of more than 127


PREAMBLE = (
    "ct state established,related accept",  # replies (R53, R58)
    # Neighbour discovery, ICMP and all else that NetworkPolicy does not speak of (R74).
    "meta l4proto != { tcp, udp, sctp } accept",
)


def _comment(text: str) -> str:
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "?" for c in text)
    if len(plain) > COMMENT_BYTES:
        plain = plain[: COMMENT_BYTES - 3] + "..."
    return f'comment "{plain}"'


def _addresses(family: Family, ranges: Ranges) -> tuple[str, ...]:
    address = ipaddress.IPv4Address if family is Family.V4 else ipaddress.IPv6Address
    return tuple(str(address(a)) if a == b else f"{address(a)}-{address(b)}" for a, b in ranges)


def _ports(ranges: Ranges) -> str:
    words = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
    return words if len(ranges) == 1 else f"{{ {words} }}"


class _Script:
    """The named sets and chains of one table, each once."""

    def __init__(self) -> None:
        self.sets: dict[str, Block] = {}
        self.chains: dict[str, Block] = {}
        self.depths: dict[str, int] = {}
        """How many chains may follow one; it must be made after those."""

    def match(self, end: str, peers: AddressSet | None) -> list[str]:
        """Return the matches on the peers' addresses, one for each family that has any."""
        if peers is None:
            return [""]
        found = []
        for family, word, ranges in ((Family.V4, "ip", peers.v4), (Family.V6, "ip6", peers.v6)):
            if ranges:
                elements = _addresses(family, ranges)
                name = named_after(f"peers{family:d}", ", ".join(elements))
                kind = f"type ipv{family:d}_addr; flags interval"
                self.sets[name] = Block("set", name, elements, kind)
                found.append(f"{word} {end} @{name} ")
        return found

    def chain(self, direction: Direction, layers: Sequence[Layer], allow: str) -> str:
        """Add one chain for each layer and return the name of the first.

        Pods with the same rules share their chains. A chain goes to that of the next layer
        where its own does not decide, so ``return`` leads out of all of them.
        """
        following: str | None = None
        for layer in reversed(layers):
            following = self._layer(direction, layer, following, allow)
        assert following is not None  # noqa: S101 - a pod without layers has no rules
        return following

    def _layer(self, direction: Direction, layer: Layer, following: str | None, allow: str) -> str:
        actions = {
            Action.ALLOW: allow,
            Action.DENY: "counter drop",
            Action.PASS: f"goto {following}" if following else allow,
        }
        end = "saddr" if direction is Direction.INGRESS else "daddr"
        lines = [
            f"{match}{ports}{actions[action]} {_comment(reason)}"
            for action, clauses in groupby(layer, key=lambda clause: clause.action)
            for peers, ports, reason in _matches(clauses)
            for match in self.match(end, peers)
        ]
        if following and not any(clause.matches_all for clause in layer):
            lines.append(f"goto {following}")
        name = named_after(direction.lower(), "\n".join(lines))
        self.chains[name] = Block("chain", name, tuple(lines))
        self.depths[name] = self.depths[following] + 1 if following else 0
        return name


def _matches(clauses: Iterable[Clause]) -> Iterator[tuple[AddressSet | None, str, str]]:
    """Yield peers, port match and reason: one for all ports of the same peers, protocol and rule.

    The clauses must have the same action: among those the order does not matter.
    """
    groups: dict[tuple[AddressSet | None, Protocol | None, str], list[tuple[int, int]]] = {}
    for one in clauses:
        groups.setdefault((one.peers, one.protocol, one.reason), []).append((one.first, one.last))
    for (peers, protocol, reason), ports in groups.items():
        yield (
            peers,
            f"{protocol.lower()} dport {_ports(merged(ports))} " if protocol else "",
            reason,
        )


def emit(node: int, rules: Sequence[PodRules], allow: str = "return") -> Table:
    """Return the table of the policies of that node.

    A verdict map leads from a pod's address to its first chain, so that a packet meets the
    rules of its own ends only. ``allow`` is the nft verdict on what a clause allows. It returns
    to the hook: allowed by egress is not yet allowed by ingress (R61).
    """
    script = _Script()
    maps: dict[str, list[str]] = {"egress4": [], "egress6": [], "ingress4": [], "ingress6": []}
    own: dict[str, dict[str, None]] = {"self4": {}, "self6": {}}
    for one in rules:
        if one.pod.node != node or not one.layers:
            continue
        chain = script.chain(one.direction, one.layers, allow)
        tiers = script.chain(one.direction, one.everywhere, allow) if one.everywhere else None
        for ip in one.pod.ips:
            family = ipaddress.ip_address(ip).version
            maps[f"{one.direction.lower()}{family}"].append(f"{ip} : jump {chain}")
            own[f"self{family}"][f"{ip} . {ip}"] = None
            if tiers:
                name = f"tiers_{one.direction.lower()}{family}"
                maps.setdefault(name, []).append(f"{ip} : jump {tiers}")
    return _table(script, maps, own)


def _table(
    script: _Script, maps: Mapping[str, Sequence[str]], own: Mapping[str, Iterable[str]]
) -> Table:
    """Return the table. Only tiers police a pod to itself through a Service, and its own node."""
    of_tiers = [name for name in maps if name.startswith("tiers_")]
    to_itself = tuple(map(_look_up, of_tiers))
    to_node = tuple(_look_up(name) for name in of_tiers if "egress" in name)
    used = [block for _, block in sorted(script.sets.items())]
    for name, pairs in own.items():
        kind = f"type {_type(name)} . {_type(name)}"
        used.append(Block("set", name, tuple(sorted(pairs)), kind))
    in_order = sorted(script.chains, key=lambda name: (script.depths[name], name))
    used += [script.chains[name] for name in in_order]
    for name, targets in maps.items():
        used.append(Block("map", name, tuple(sorted(targets)), f"type {_type(name)} : verdict"))
    itself = "accept"  # R46
    if to_itself:
        used.append(Block("chain", "itself", (*to_itself, "accept")))  # T25
        itself = "goto itself"
    chains = {
        "forward": _hook(
            "forward",
            f"ip saddr . ip daddr @self4 {itself}",
            f"ip6 saddr . ip6 daddr @self6 {itself}",
            *(_look_up(name) for name in ("egress4", "egress6", "ingress4", "ingress6")),
        )
    }
    if to_node:
        chains["input"] = _hook("input", *to_node)
    return policy_table(used, chains)


def _hook(name: str, *rules: str) -> str:
    """Return the base chain of a hook."""
    head = f"type filter hook {name} priority filter; policy accept;"
    return "\n".join(
        (f"chain {name} {{", *(f"  {line}" for line in (head, *PREAMBLE, *rules)), "}")
    )


def _look_up(name: str) -> str:
    """Return the rule that leads a packet to the chain of its end."""
    family = "ip6" if name.endswith("6") else "ip"
    end = "saddr" if "egress" in name else "daddr"
    return f"{family} {end} vmap @{name}"


def _type(name: str) -> str:
    return f"ipv{name[-1]}_addr"


def policy_table(
    used: Iterable[Block] = (), base_chains: Mapping[str, str] | None = None
) -> Table:
    """Return a table of policies; without base chains no packet enters it."""
    return Table("netpol", base_chains or {}, tuple(used))
