"""What the layers of tiers are made with: stages, each a pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.cluster.netns.compiler.selecting import Matches, Pods
from harness.cluster.netns.compiler.values import Action, AddressSet, PortRange
from harness.model import Labels
from harness.policy import Direction
from harness.policy.tiers import (
    DomainNames,
    Networks,
    Nodes,
    PortNumbers,
    RuleAction,
    SelectedPods,
    TierPeer,
    TierPolicy,
    TierPort,
    TierRule,
)


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster: its labels and its addresses."""

    labels: Labels
    at: AddressSet


@dataclass(frozen=True, slots=True)
class Ends:
    """Everything that rules can be about.

    ``pods`` are those with an address of their own; ``names`` are the DNS names of outside hosts.
    """

    pods: Pods
    nodes: tuple[Node, ...] = ()
    names: Mapping[str, AddressSet] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TierPeers:
    """The other ends of a rule: their addresses, and the pods among them by their labels."""

    addresses: AddressSet
    pods: Pods = ()


# ------------------------------------------------------------------ policies


def order(policies: Sequence[TierPolicy]) -> tuple[TierPolicy, ...]:
    """Return the policies by priority (T03), equal ones, which the API leaves open, by name."""
    return tuple(sorted(policies, key=lambda policy: (policy.priority, policy.kind, policy.name)))


def selected(matches: Matches, wanted: SelectedPods, pods: Pods) -> Pods:
    """Return the pods with these labels in namespaces with those labels (T09, T10)."""
    return tuple(
        pod
        for pod in pods
        if matches(wanted.namespaces, pod.namespace_labels)
        and (wanted.pods is None or matches(wanted.pods, pod.labels))
    )


def subjects(matches: Matches, policy: TierPolicy, pods: Pods) -> Pods:
    """Return the pods that a policy is for (T02)."""
    return selected(matches, policy.subject, pods)


def rules(policy: TierPolicy, direction: Direction) -> tuple[TierRule, ...]:
    """Return the rules of that direction, in the order in which they decide (T04)."""
    return policy.rules(direction)


# ------------------------------------------------------------------ rules


def peer(matches: Matches, wanted: TierPeer, ends: Ends) -> TierPeers:
    """Return whom an entry of ``from`` or ``to`` stands for."""
    match wanted:
        case SelectedPods():
            pods = selected(matches, wanted, ends.pods)
            return TierPeers(AddressSet.union(pod.at for pod in pods), pods)
        case Networks(cidrs):  # whoever has the address (T13)
            return TierPeers(AddressSet.union(map(AddressSet.block, cidrs)))
        case Nodes(selector):
            at = (node.at for node in ends.nodes if matches(selector, node.labels))
            return TierPeers(AddressSet.union(at))
        case DomainNames(names):
            known = (
                at
                for name, at in ends.names.items()
                if any(stands_for(pattern, name) for pattern in names)
            )
            return TierPeers(AddressSet.union(known))


def stands_for(pattern: str, name: str) -> bool:
    """Return whether a pattern is that name, or ``*.`` and one of those above it (T16)."""
    labels, wanted = name.lower().rstrip(".").split("."), pattern.lower().rstrip(".").split(".")
    if wanted[0] != "*":
        return labels == wanted
    return len(labels) >= len(wanted) and labels[1 - len(wanted) :] == wanted[1:]


def port_ranges(port: TierPort, destinations: Pods) -> tuple[PortRange, ...]:
    """Return the ports behind an entry of a rule; a name is each destination's own (T18, T19)."""
    if isinstance(port, PortNumbers):
        return (PortRange(port.protocol, port.first, port.last),)
    return tuple(
        PortRange(held.protocol, held.number, held.number, pod.at)
        for pod in destinations
        for held in pod.ports
        if held.name == port.name
    )


def action(rule: TierRule) -> Action:
    """Return what a rule does with what it matches (T05 to T08)."""
    return _ACTIONS[rule.action]


_ACTIONS = {
    RuleAction.ACCEPT: Action.ALLOW,
    RuleAction.DENY: Action.DENY,
    RuleAction.PASS: Action.PASS,
}
