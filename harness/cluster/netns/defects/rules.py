"""Defects of isolation and rules: whom a policy isolates, what its rules allow together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.cluster.netns.compiler.stages import STAGES, combine, isolates, rules
from harness.cluster.netns.compiler.values import Layer
from harness.cluster.netns.defects.registry import Defect
from harness.policy import Direction, NetworkPolicy, Peer, Rule


def empty_rules_open(policy: NetworkPolicy, direction: Direction) -> bool:
    """A policy without rules isolates nobody."""
    return isolates(policy, direction) and bool(policy.rules(direction))


def types_from_sections(policy: NetworkPolicy, direction: Direction) -> bool:
    """Rules isolate in a direction that policyTypes does not name."""
    return isolates(policy, direction) or bool(policy.rules(direction))


def empty_rule_denies(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
    """A rule without peers allows nobody."""
    return tuple(rule for rule in rules(policy, direction) if rule.peers)


def first_peer_only(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
    """Only the first entry of a list of peers counts."""
    return tuple(replace(rule, peers=rule.peers[:1]) for rule in rules(policy, direction))


def cross_product(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
    """All peers of a policy get the ports of all its rules."""
    written = rules(policy, direction)
    return tuple(replace(one, ports=other.ports) for one in written for other in written)


def directions_mixed(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
    """A rule without peers also allows the other direction between the pods of its policy."""
    other = Direction.EGRESS if direction is Direction.INGRESS else Direction.INGRESS
    if not isolates(policy, other):
        return rules(policy, direction)
    own = (Peer(pod_selector=policy.pod_selector),)
    mixed = (replace(rule, peers=own) for rule in rules(policy, other) if not rule.peers)
    return (*rules(policy, direction), *mixed)


def policies_and(parts: Sequence[Layer]) -> Layer:
    """Only what every policy of a pod allows in the same words is allowed."""
    first, *others = parts
    words = [{replace(one, reason="") for one in part} for part in others]
    return tuple(one for one in first if all(replace(one, reason="") in part for part in words))


_MOST_ENTRIES = 24
_RULES_OF_A_POD = 16


def lists_cut(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
    """Only the first entries of a long list take effect."""
    most = _MOST_ENTRIES
    return tuple(
        replace(rule, peers=rule.peers[:most], ports=rule.ports[:most])
        for rule in rules(policy, direction)
    )


def rule_ids_wrap(parts: Sequence[Layer]) -> Layer:
    """A number for each policy of a pod begins again at 0, and the last one with a number wins."""
    by_number = {index % _RULES_OF_A_POD: part for index, part in enumerate(parts)}
    return combine(tuple(by_number.values()))


DEFECTS = (
    Defect.in_stages("empty-rules-open", "B02", replace(STAGES, isolates=empty_rules_open)),
    Defect.in_stages("types-from-sections", "B05", replace(STAGES, isolates=types_from_sections)),
    Defect.in_stages("empty-rule-denies", "B03", replace(STAGES, rules=empty_rule_denies)),
    Defect.in_stages("first-peer-only", "B17", replace(STAGES, rules=first_peer_only)),
    Defect.in_stages("cross-product", "B23", replace(STAGES, rules=cross_product)),
    Defect.in_stages("directions-mixed", "B92", replace(STAGES, rules=directions_mixed)),
    Defect.in_stages("policies-and", "B50", replace(STAGES, combine=policies_and)),
    Defect.in_stages("lists-cut", "B38", replace(STAGES, rules=lists_cut)),
    Defect.in_stages("rule-ids-wrap", "B84", replace(STAGES, combine=rule_ids_wrap)),
)
