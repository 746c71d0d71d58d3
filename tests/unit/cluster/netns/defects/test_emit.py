"""The lines of a node's nft table that each defect of the part emit removes and adds."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass, replace

import pytest

from harness import catalogue
from harness.catalogue import Effect, Stage
from harness.cluster.netns.addresses import allocate, with_implied
from harness.cluster.netns.defects import DEFECTS
from harness.cluster.netns.parts import PARTS, Parts, Snapshot
from harness.cluster.netns.tables import Table
from harness.model import Namespace, Pod, State
from tests.tier_worlds import tier_policy
from tests.worlds import network_policy

CLIENTS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "y"}}}
STATE = with_implied(
    State(
        "defects",
        (Namespace("x"), Namespace("y")),
        (Pod("x", "a", node=1), Pod("y", "a", node=2)),
        policies=(
            network_policy(
                {
                    "podSelector": {},
                    "ingress": [{"from": [CLIENTS], "ports": [{"port": 80}]}],
                    "egress": [{"to": [CLIENTS], "ports": [{"port": 80}]}],
                },
                "x",
                "p",
            ),
        ),
    )
)
"""A policy for x/a on node 1: its rules are in the table of that node, and of no other."""


def lines(table: Table) -> frozenset[str]:
    """The lines of a table; names that depend on the content of chains and sets end in ``*``."""
    text = "\n".join((*(block.text for block in table.used), *table.base_chains.values()))
    return frozenset(re.sub(r"_[0-9a-f]{12}\b", "_*", line.strip()) for line in text.splitlines())


def emitted(parts: Parts) -> frozenset[str]:
    return lines(parts.policy_tables(Snapshot(STATE, allocate(STATE)))[1])


@dataclass(frozen=True, slots=True)
class Row:
    """Lines of node 1 that are gone with a defect, and lines that are new."""

    defect: str
    effect: Effect
    gone: Set[str]
    new: Set[str]


FIRST = "ct state established,related accept"
OTHERS = "meta l4proto != { tcp, udp, sctp } accept"
INGRESS = {
    'ip saddr @peers4_* tcp dport 80 return comment "x/p ingress[0]"',
    'ip6 saddr @peers6_* tcp dport 80 return comment "x/p ingress[0]"',
}
EGRESS = {
    'ip daddr @peers4_* tcp dport 80 return comment "x/p egress[0]"',
    'ip6 daddr @peers6_* tcp dport 80 return comment "x/p egress[0]"',
}
ROWS = (
    Row("no-enforcement", Effect.OPENS, emitted(PARTS), set()),
    Row(
        "ingress-only-compiler",
        Effect.OPENS,
        {
            *EGRESS,
            "chain egress_* {",
            "elements = { 100.64.0.16 : jump egress_* }",
            "elements = { fd64::10 : jump egress_* }",
        },
        set(),
    ),
    Row(
        "first-accept-wins",
        Effect.OPENS,
        INGRESS | EGRESS,
        {line.replace(" return ", " accept ") for line in INGRESS | EGRESS},
    ),
    Row("tcp-only", Effect.OPENS, {OTHERS}, {"meta l4proto != tcp accept"}),
    Row("ipv4-only", Effect.OPENS, set(), {"meta nfproto ipv6 accept"}),
    Row("no-established", Effect.CLOSES, {FIRST}, set()),
    Row("dnat-bypass", Effect.OPENS, set(), {"ct status dnat accept"}),
    Row(
        "original-destination",
        Effect.BOTH,
        EGRESS,
        {
            f"ct original {family} daddr @peers{version}_* meta l4proto tcp "
            'ct original proto-dst 80 return comment "x/p egress[0]"'
            for family, version in (("ip", 4), ("ip6", 6))
        },
    ),
    Row(
        "no-node-exception",
        Effect.CLOSES,
        set(),
        {"chain output {", "type filter hook output priority filter; policy accept;"},
    ),
    Row(
        "own-node-policed",
        Effect.CLOSES,
        set(),
        {"chain input {", "type filter hook input priority filter; policy accept;"},
    ),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.defect)
def test_a_defect_changes_these_lines_of_the_table(row: Row) -> None:
    right, wrong = emitted(PARTS), emitted(DEFECTS[row.defect].parts)
    assert (right - wrong, wrong - right) == (row.gone, row.new)
    assert catalogue.defects()[DEFECTS[row.defect].id].effect is row.effect


@pytest.mark.parametrize(
    ("defect", "hook", "maps"),
    [
        ("no-node-exception", "output", ("ip daddr vmap @ingress4", "ip6 daddr vmap @ingress6")),
        ("own-node-policed", "input", ("ip saddr vmap @egress4", "ip6 saddr vmap @egress6")),
    ],
)
def test_the_node_of_a_pod_is_judged_in_another_hook(
    defect: str, hook: str, maps: tuple[str, str]
) -> None:
    tables = DEFECTS[defect].parts.policy_tables(Snapshot(STATE, allocate(STATE)))
    chain = tables[1].base_chains[hook].splitlines()
    assert tuple(line.strip() for line in chain[2:-1]) == (FIRST, OTHERS, *maps)


def test_every_defect_of_the_text_has_a_row() -> None:
    entries = catalogue.defects().values()
    assert {row.defect for row in ROWS} | {"tiers-exempt"} == {
        entry.name for entry in entries if entry.stage is Stage.EMIT and entry.name
    }


def test_tiers_that_are_exempt_have_no_chains_of_their_own() -> None:
    """A pod to itself through a Service, and to its own node: only tiers police these."""
    spec = {
        "tier": "Admin",
        "priority": 1,
        "subject": {"namespaces": {}},
        "egress": [{"action": "Deny", "to": [{"nodes": {}}, {"namespaces": {}}]}],
    }
    state = replace(STATE, policies=(tier_policy(spec, "t"),))
    snapshot = Snapshot(state, allocate(state))
    right, wrong = (
        parts.policy_tables(snapshot)[1] for parts in (PARTS, DEFECTS["tiers-exempt"].parts)
    )
    assert set(right.base_chains) - set(wrong.base_chains) == {"input"}
    names = [{block.name for block in table.used} for table in (right, wrong)]
    assert names[0] - names[1] == {"tiers_egress4", "tiers_egress6", "itself"}
