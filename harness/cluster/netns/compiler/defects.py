"""Known defects of real CNIs, each another function in the place of one stage.

Names and classes (Bxx) are the defect catalogue's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.cluster.netns.compiler.nft import emit, replacement
from harness.cluster.netns.compiler.stages import (
    STAGES,
    Matches,
    Pods,
    Stages,
    isolates,
    meets,
    openings,
    peer_pods,
    rules,
)
from harness.cluster.netns.compiler.values import AddressSet, Admission, Guard, Opening
from harness.errors import UsageError
from harness.model import Labels
from harness.policy import (
    Direction,
    IPBlock,
    LabelSelector,
    NetworkPolicy,
    Operator,
    Peer,
    PolicyPort,
    Requirement,
    Rule,
)
from harness.suggest import nearest

# ------------------------------------------------------------------ select


def labels_any(selector: LabelSelector, labels: Labels) -> bool:
    """One label is enough (B09)."""
    return not selector.requirements or any(meets(r, labels) for r in selector.requirements)


def notin_any(selector: LabelSelector, labels: Labels) -> bool:
    """NotIn of several values holds where one of them differs (B11)."""

    def holds(requirement: Requirement) -> bool:
        if requirement.operator is not Operator.NOT_IN:
            return meets(requirement, labels)
        return any(labels.get(requirement.key) != value for value in requirement.values)

    return all(map(holds, selector.requirements))


def missing_key_false(selector: LabelSelector, labels: Labels) -> bool:
    """No requirement holds where the key is missing (B12)."""
    return all(r.key in labels and meets(r, labels) for r in selector.requirements)


def peer_all_namespaces(matches: Matches, peer: Peer, namespace: str, pods: Pods) -> Pods:
    """A podSelector alone is met by pods of every namespace (B15)."""
    everywhere = replace(peer, namespace_selector=peer.namespace_selector or LabelSelector())
    return () if peer.ip_block else peer_pods(matches, everywhere, namespace, pods)


def selectors_union(matches: Matches, peer: Peer, namespace: str, pods: Pods) -> Pods:
    """Two selectors in one entry are an OR (B16)."""
    halves = (replace(peer, namespace_selector=None), replace(peer, pod_selector=None))
    chosen = {pod for half in halves for pod in peer_pods(matches, half, namespace, pods)}
    return tuple(pod for pod in pods if pod in chosen)


# ------------------------------------------------------------------ isolate and rules


def empty_rules_open(policy: NetworkPolicy, direction: Direction) -> bool:
    """A policy without rules isolates nobody (B02)."""
    return isolates(policy, direction) and bool(policy.rules(direction))


def types_from_sections(policy: NetworkPolicy, direction: Direction) -> bool:
    """Rules isolate in a direction that policyTypes does not name (B05)."""
    return isolates(policy, direction) or bool(policy.rules(direction))


def empty_rule_denies(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
    """A rule without peers admits nobody (B03)."""
    return tuple(rule for rule in rules(policy, direction) if rule.peers)


def first_peer_only(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
    """Only the first entry of a list of peers counts (B17)."""
    return tuple(replace(rule, peers=rule.peers[:1]) for rule in rules(policy, direction))


def cross_product(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
    """All peers of a policy get the ports of all its rules (B23)."""
    written = rules(policy, direction)
    return tuple(replace(one, ports=other.ports) for one in written for other in written)


# ------------------------------------------------------------------ ports


def named_any_port(port: PolicyPort, holders: Pods) -> tuple[Opening, ...]:
    """A port's name opens all ports of its protocol (B30)."""
    return openings(replace(port, port=None) if isinstance(port.port, str) else port, holders)


def named_last_pod(port: PolicyPort, holders: Pods) -> tuple[Opening, ...]:
    """A port's name is one number for all destinations (B31)."""
    found = openings(port, holders)
    return (replace(found[-1], at=None),) if isinstance(port.port, str) and found else found


def no_endport(port: PolicyPort, holders: Pods) -> tuple[Opening, ...]:
    """The range is its first port (B37)."""
    return openings(replace(port, end_port=None), holders)


# ------------------------------------------------------------------ ipblock and combine


def no_except(ip_block: IPBlock) -> AddressSet:
    """What is excepted is admitted (B40)."""
    return AddressSet.block(ip_block.cidr)


def zero_cidr_any(ip_block: IPBlock) -> AddressSet:
    """0.0.0.0/0 is IPv6 as well (B47)."""
    if ip_block == IPBlock("0.0.0.0/0"):
        return AddressSet.union(map(AddressSet.block, ("0.0.0.0/0", "::/0")))
    return STAGES.block(ip_block)


def policies_and(parts: Sequence[tuple[Admission, ...]]) -> tuple[Admission, ...]:
    """Only what every policy of a pod admits in the same words is admitted (B50)."""
    first, *others = parts
    words = [{replace(one, reason="") for one in part} for part in others]
    return tuple(one for one in first if all(replace(one, reason="") in part for part in words))


# ------------------------------------------------------------------ emit


def no_enforcement(node: int, guards: Sequence[Guard]) -> str:  # noqa: ARG001 - the stage's shape
    """Policies are accepted, and no rule exists (B01)."""
    return replacement()


def ingress_only(node: int, guards: Sequence[Guard]) -> str:
    """Egress is not implemented (B06)."""
    return emit(node, [guard for guard in guards if guard.direction is Direction.INGRESS])


def first_accept_wins(node: int, guards: Sequence[Guard]) -> str:
    """Egress admitted ends the evaluation, before ingress on the same node is asked (B49)."""
    return emit(node, guards).replace(" return ", " accept ")


DEFECTS: Mapping[str, Stages] = {
    "labels-any": replace(STAGES, matches=labels_any),
    "notin-any": replace(STAGES, matches=notin_any),
    "missing-key-false": replace(STAGES, matches=missing_key_false),
    "peer-all-namespaces": replace(STAGES, peer_pods=peer_all_namespaces),
    "selectors-union": replace(STAGES, peer_pods=selectors_union),
    "empty-rules-open": replace(STAGES, isolates=empty_rules_open),
    "types-from-sections": replace(STAGES, isolates=types_from_sections),
    "empty-rule-denies": replace(STAGES, rules=empty_rule_denies),
    "first-peer-only": replace(STAGES, rules=first_peer_only),
    "cross-product": replace(STAGES, rules=cross_product),
    "named-any-port": replace(STAGES, openings=named_any_port),
    "named-last-pod": replace(STAGES, openings=named_last_pod),
    "no-endport": replace(STAGES, openings=no_endport),
    "no-except": replace(STAGES, block=no_except),
    "zero-cidr-any": replace(STAGES, block=zero_cidr_any),
    "policies-and": replace(STAGES, combine=policies_and),
    "no-enforcement": replace(STAGES, emit=no_enforcement),
    "ingress-only-compiler": replace(STAGES, emit=ingress_only),
    "first-accept-wins": replace(STAGES, emit=first_accept_wins),
}


def stages_of(defect: str | None) -> Stages:
    """The stages with that defect switched on. Raises UsageError for a name that is none."""
    if defect is None:
        return STAGES
    if defect in DEFECTS:
        return DEFECTS[defect]
    hint = nearest(defect, DEFECTS) or f"defects are {', '.join(sorted(DEFECTS))}"
    raise UsageError(f"{defect!r} is not a defect of the embedded cluster", hint)
