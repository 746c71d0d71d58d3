"""Defects of the rules in the kernel: the compiler decides right, and the nft text is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from harness.cluster.netns.compiler.nft import PREAMBLE, emit, policy_table
from harness.cluster.netns.compiler.values import PodRules
from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.parts import PARTS
from harness.cluster.netns.tables import Block, Table
from harness.policy import Direction


def no_enforcement(node: int, rules: Sequence[PodRules]) -> Table:  # noqa: ARG001 - as Emit
    """Policies are accepted, and no rule exists."""
    return policy_table()


def ingress_only(node: int, rules: Sequence[PodRules]) -> Table:
    """Egress is not implemented."""
    return emit(node, [one for one in rules if one.direction is Direction.INGRESS])


def first_accept_wins(node: int, rules: Sequence[PodRules]) -> Table:
    """Allowed by egress ends the evaluation, before ingress on the same node is asked."""
    return emit(node, rules, allow="accept")


def _changed(table: Table, old: str, new: str) -> Table:
    """Return the table with another text in its base chain."""
    chains = {name: text.replace(old, new) for name, text in table.base_chains.items()}
    return replace(table, base_chains=chains)


def tcp_only(node: int, rules: Sequence[PodRules]) -> Table:
    """Everything but TCP is allowed."""
    return _changed(emit(node, rules), "{ tcp, udp, sctp }", "tcp")


def ipv4_only(node: int, rules: Sequence[PodRules]) -> Table:
    """IPv6 is not restricted."""
    return _changed(emit(node, rules), _FIRST, f"meta nfproto ipv6 accept\n  {_FIRST}")


def no_established(node: int, rules: Sequence[PodRules]) -> Table:
    """Replies need rules of their own."""
    return _changed(emit(node, rules), f"  {_FIRST}\n", "")


def dnat_bypass(node: int, rules: Sequence[PodRules]) -> Table:
    """A connection through a Service is not judged."""
    return _changed(emit(node, rules), _FIRST, f"ct status dnat accept\n  {_FIRST}")


def original_destination(node: int, rules: Sequence[PodRules]) -> Table:
    """Egress is judged by the address and port of the Service, not of the pod behind it."""
    table = emit(node, rules)
    return replace(table, used=tuple(_by_service(block) for block in table.used))


def _by_service(block: Block) -> Block:
    if not block.name.startswith("egress_"):
        return block
    lines = (re.sub(r"\b(ip6?) daddr @", r"ct original \1 daddr @", x) for x in block.items)
    words = r"\b(tcp|udp|sctp) dport", r"meta l4proto \1 ct original proto-dst"
    return replace(block, items=tuple(re.sub(*words, line) for line in lines))


def no_node_exception(node: int, rules: Sequence[PodRules]) -> Table:
    """A node's own connections to its pods are judged as well."""
    return _with_hook(emit(node, rules), "output", "daddr", "ingress")


def own_node_policed(node: int, rules: Sequence[PodRules]) -> Table:
    """A pod's connections to its own node are judged as well."""
    return _with_hook(emit(node, rules), "input", "saddr", "egress")


def _with_hook(table: Table, hook: str, end: str, direction: str) -> Table:
    lines = (
        f"type filter hook {hook} priority filter; policy accept;",
        *PREAMBLE,
        f"ip {end} vmap @{direction}4",
        f"ip6 {end} vmap @{direction}6",
    )
    text = "\n".join((f"chain {hook} {{", *(f"  {line}" for line in lines), "}"))
    return replace(table, base_chains={**table.base_chains, hook: text})


_FIRST = PREAMBLE[0]

DEFECTS = (
    Defect("no-enforcement", "B01", replace(PARTS, emit=no_enforcement)),
    Defect("ingress-only-compiler", "B06", replace(PARTS, emit=ingress_only)),
    Defect("first-accept-wins", "B49", replace(PARTS, emit=first_accept_wins)),
    Defect("tcp-only", "B86", replace(PARTS, emit=tcp_only)),
    Defect("ipv4-only", "B59", replace(PARTS, emit=ipv4_only)),
    Defect("no-established", "B58", replace(PARTS, emit=no_established)),
    Defect("dnat-bypass", "B52", replace(PARTS, emit=dnat_bypass)),
    Defect("original-destination", "B53", replace(PARTS, emit=original_destination)),
    Defect("no-node-exception", "B55", replace(PARTS, emit=no_node_exception)),
    Defect("own-node-policed", "B88", replace(PARTS, emit=own_node_policed)),
)
