"""Defects of tiers: their order, their rules, what peers and ports of theirs match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.cluster.netns.compiler import nft, tier_stages
from harness.cluster.netns.compiler.layers import admin, baseline, network_policy
from harness.cluster.netns.compiler.selecting import Matches, Pods
from harness.cluster.netns.compiler.stages import STAGES, Stages
from harness.cluster.netns.compiler.tier_stages import Ends, TierPeers
from harness.cluster.netns.compiler.values import (
    Action,
    AddressSet,
    Clause,
    Layer,
    PodRules,
    PortRange,
)
from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.parts import PARTS
from harness.cluster.netns.tables import Table
from harness.model import PodRef, Protocol
from harness.policy import Direction, LabelSelector, NetworkPolicy, Policy
from harness.policy.tiers import (
    LAST_PRIORITY,
    Networks,
    Nodes,
    PortName,
    PortNumbers,
    RuleAction,
    SelectedPods,
    TierPeer,
    TierPolicy,
    TierPort,
    TierRule,
)

# ------------------------------------------------------------------ the order


def pass_as_accept(rule: TierRule) -> Action:
    """Pass allows a connection instead of leaving it to the next tier."""
    return Action.ALLOW if rule.action is RuleAction.PASS else tier_stages.action(rule)


def priority_reversed(policies: Sequence[TierPolicy]) -> tuple[TierPolicy, ...]:
    """The highest number is evaluated first."""
    return tuple(reversed(tier_stages.order(policies)))


def zero_is_unset(policies: Sequence[TierPolicy]) -> tuple[TierPolicy, ...]:
    """Priority 0 counts as none, and is evaluated last."""
    return tuple(
        sorted(tier_stages.order(policies), key=lambda one: one.priority or LAST_PRIORITY + 1)
    )


def last_rule_first(policy: TierPolicy, direction: Direction) -> tuple[TierRule, ...]:
    """The last matching rule of a policy decides."""
    return tuple(reversed(policy.rules(direction)))


def deny_rules_first(policy: TierPolicy, direction: Direction) -> tuple[TierRule, ...]:
    """A Deny counts before the other rules of its policy, wherever it stands."""
    return tuple(sorted(policy.rules(direction), key=lambda one: one.action != RuleAction.DENY))


_MOST_RULES = 20


def rules_cut(policy: TierPolicy, direction: Direction) -> tuple[TierRule, ...]:
    """Only the first rules of a long policy take effect."""
    return policy.rules(direction)[:_MOST_RULES]


_EVERY_POD = SelectedPods(LabelSelector())


def isolates_like_network_policy(policy: TierPolicy, direction: Direction) -> tuple[TierRule, ...]:
    """What the rules of a policy do not match is denied."""
    written = policy.rules(direction)
    return (*written, TierRule(RuleAction.DENY, (_EVERY_POD,))) if written else ()


# ------------------------------------------------------------------ the other layers


def isolation_lost(
    stages: Stages, policies: Sequence[Policy], direction: Direction, ends: Ends
) -> Mapping[PodRef, Layer]:
    """NetworkPolicies deny nothing to a pod that an Admin policy selects."""
    selected = admin(stages, policies, direction, ends)
    return {
        ref: layer[:-1] if ref in selected else layer
        for ref, layer in network_policy(stages, policies, direction, ends).items()
    }


def isolation_overridden(
    stages: Stages, policies: Sequence[Policy], direction: Direction, ends: Ends
) -> Mapping[PodRef, Layer]:
    """What NetworkPolicies do not allow is left to the Accept rules of the Baseline tier."""
    below = baseline(stages, policies, direction, ends)
    isolated = network_policy(stages, policies, direction, ends)
    accepted = {
        ref: tuple(clause for clause in layer if clause.action is Action.ALLOW)
        for ref, layer in below.items()
    }
    return {
        ref: (*layer[:-1], *accepted.get(ref, ()), layer[-1]) for ref, layer in isolated.items()
    }


def direction_ignored(
    stages: Stages, policies: Sequence[Policy], direction: Direction, ends: Ends
) -> Mapping[PodRef, Layer]:
    """A pod that a NetworkPolicy selects for one direction has no Baseline tier in the other."""
    selected = {
        pod.ref
        for policy in policies
        if isinstance(policy, NetworkPolicy)
        for pod in stages.subjects(stages.matches, policy, ends.pods)
    }
    found = baseline(stages, policies, direction, ends)
    return {ref: layer for ref, layer in found.items() if ref not in selected}


def accept_for_both_ends(
    stages: Stages, policies: Sequence[Policy], direction: Direction, ends: Ends
) -> Mapping[PodRef, Layer]:
    """What an Admin policy accepts at the source is accepted at the destination too."""
    found = admin(stages, policies, direction, ends)
    if direction is Direction.EGRESS:
        return found
    leaving = admin(stages, policies, Direction.EGRESS, ends)
    accepted = [
        (pod, clause)
        for pod in ends.pods
        for clause in leaving.get(pod.ref, ())
        if clause.action is Action.ALLOW
    ]
    entering: dict[PodRef, Layer] = dict(found)
    for pod in ends.pods:
        reached = tuple(
            replace(clause, peers=source.at)
            for source, clause in accepted
            if clause.peers is None or clause.peers & pod.at
        )
        if reached:
            entering[pod.ref] = (*reached, *entering.get(pod.ref, ()))
    return entering


def baseline_pass_denies(
    stages: Stages, policies: Sequence[Policy], direction: Direction, ends: Ends
) -> Mapping[PodRef, Layer]:
    """Pass in the Baseline tier, after which there is no other tier, denies."""

    def ended(clause: Clause) -> Clause:
        passes = clause.action is Action.PASS
        return replace(clause, action=Action.DENY) if passes else clause

    found = baseline(stages, policies, direction, ends)
    return {ref: tuple(map(ended, layer)) for ref, layer in found.items()}


def exempt_like_network_policy(node: int, rules: Sequence[PodRules]) -> Table:
    """Tiers do not see what NetworkPolicies have no say in: the own node, and a pod to itself."""
    return nft.emit(node, [replace(one, everywhere=()) for one in rules])


# ------------------------------------------------------------------ subjects and peers


def subject_needs_a_namespace(matches: Matches, policy: TierPolicy, pods: Pods) -> Pods:
    """A subject without labels of namespaces selects nothing."""
    if not policy.subject.namespaces.requirements and policy.subject.pods is not None:
        return ()
    return tier_stages.subjects(matches, policy, pods)


def selectors_or(matches: Matches, wanted: TierPeer, ends: Ends) -> TierPeers:
    """Of the two selectors of ``pods``, one is enough."""
    if not isinstance(wanted, SelectedPods) or wanted.pods is None:
        return tier_stages.peer(matches, wanted, ends)
    pods = tuple(
        pod
        for pod in ends.pods
        if matches(wanted.namespaces, pod.namespace_labels) or matches(wanted.pods, pod.labels)
    )
    return TierPeers(AddressSet.union(pod.at for pod in pods), pods)


def networks_not_pods(matches: Matches, wanted: TierPeer, ends: Ends) -> TierPeers:
    """Networks match neither pods nor nodes."""
    found = tier_stages.peer(matches, wanted, ends)
    if not isinstance(wanted, Networks):
        return found
    inside = AddressSet.union((*(pod.at for pod in ends.pods), *(n.at for n in ends.nodes)))
    return replace(found, addresses=found.addresses - inside)


def first_network_only(matches: Matches, wanted: TierPeer, ends: Ends) -> TierPeers:
    """Only the first of several networks counts."""
    first = Networks(wanted.cidrs[:1]) if isinstance(wanted, Networks) else wanted
    return tier_stages.peer(matches, first, ends)


def unknown_peer_open(policy: TierPolicy, direction: Direction) -> tuple[TierRule, ...]:
    """A rule with a peer that the plugin does not know is left out, also one that denies."""
    return tuple(
        rule
        for rule in policy.rules(direction)
        if not any(isinstance(peer, Nodes) for peer in rule.peers)
    )


# ------------------------------------------------------------------ ports


def tier_rules_for_tcp(policy: TierPolicy, direction: Direction) -> tuple[TierRule, ...]:
    """A rule without protocols matches TCP only."""
    tcp = (PortNumbers(Protocol.TCP, 1, 65535),)
    return tuple(replace(rule, ports=rule.ports or tcp) for rule in policy.rules(direction))


def any_protocol(port: TierPort, destinations: Pods) -> tuple[PortRange, ...]:
    """A port number matches whatever the protocol."""
    found = tier_stages.port_ranges(port, destinations)
    return tuple(
        replace(one, protocol=protocol)
        for one in found
        for protocol in (
            (Protocol.TCP, Protocol.UDP) if isinstance(port, PortNumbers) else (one.protocol,)
        )
    )


def range_end_excluded(port: TierPort, destinations: Pods) -> tuple[PortRange, ...]:
    """The last port of a range does not match."""
    found = tier_stages.port_ranges(port, destinations)
    return tuple(replace(one, last=max(one.first, one.last - 1)) for one in found)


def name_of_first_pod(port: TierPort, destinations: Pods) -> tuple[PortRange, ...]:
    """A named port has the same number on all pods: the one that it has on the first."""
    found = tier_stages.port_ranges(port, destinations)
    return (replace(found[0], at=None),) if found and isinstance(port, PortName) else found


DEFECTS = (
    Defect.in_stages("pass-as-accept", "TB01", replace(STAGES, tier_action=pass_as_accept)),
    Defect.in_stages("priority-reversed", "TB02", replace(STAGES, tier_order=priority_reversed)),
    Defect("baseline-first", "TB03", replace(PARTS, layers=(admin, baseline, network_policy))),
    Defect("isolation-lost", "TB04", replace(PARTS, layers=(admin, isolation_lost, baseline))),
    Defect(
        "isolation-overridden",
        "TB05",
        replace(PARTS, layers=(admin, isolation_overridden, baseline)),
    ),
    Defect(
        "direction-ignored",
        "TB06",
        replace(PARTS, layers=(admin, network_policy, direction_ignored)),
    ),
    Defect.in_stages("unknown-peer-open", "TB07", replace(STAGES, tier_rules=unknown_peer_open)),
    Defect.in_stages("networks-not-pods", "TB08", replace(STAGES, tier_peer=networks_not_pods)),
    Defect(
        "accept-for-both-ends",
        "TB09",
        replace(PARTS, layers=(accept_for_both_ends, network_policy, baseline)),
    ),
    Defect.in_stages("deny-rules-first", "TB10", replace(STAGES, tier_rules=deny_rules_first)),
    Defect.in_stages("last-rule-first", "TB11", replace(STAGES, tier_rules=last_rule_first)),
    Defect.in_stages(
        "tiers-isolate", "TB12", replace(STAGES, tier_rules=isolates_like_network_policy)
    ),
    Defect.in_stages("priority-zero-last", "TB13", replace(STAGES, tier_order=zero_is_unset)),
    Defect.in_stages(
        "subject-needs-namespace", "TB14", replace(STAGES, tier_subjects=subject_needs_a_namespace)
    ),
    Defect.in_stages("tier-any-protocol", "TB15", replace(STAGES, tier_ports=any_protocol)),
    Defect.in_stages("tier-range-end", "TB16", replace(STAGES, tier_ports=range_end_excluded)),
    Defect.in_stages("tier-name-of-first", "TB17", replace(STAGES, tier_ports=name_of_first_pod)),
    Defect("tiers-exempt", "TB18", replace(PARTS, emit=exempt_like_network_policy)),
    Defect.in_stages("tier-rules-cut", "TB19", replace(STAGES, tier_rules=rules_cut)),
    Defect(
        "baseline-pass-denies",
        "TB20",
        replace(PARTS, layers=(admin, network_policy, baseline_pass_denies)),
    ),
    Defect.in_stages("tier-selectors-or", "TB21", replace(STAGES, tier_peer=selectors_or)),
    Defect.in_stages("first-network-only", "TB22", replace(STAGES, tier_peer=first_network_only)),
    Defect.in_stages("tier-rules-tcp", "TB23", replace(STAGES, tier_rules=tier_rules_for_tcp)),
)
