"""Ways to write a policy that network plugins are known to get wrong.

A CNI profile names them, and generated cases leave them out on such a cluster.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator

from harness.model import Manifest
from harness.policy.kinds import Policy, parsed
from harness.policy.network_policy import NetworkPolicy
from harness.policy.selectors import Direction, Operator
from harness.policy.tiers import PortName, RuleAction, SelectedPods, Tier, TierPolicy, TierRule


class Trait(enum.StrEnum):
    """A property of a policy as it is written."""

    RULES_WITHOUT_TYPE = "rules-without-their-type"
    """It has rules for a direction that its policyTypes do not name (R11)."""
    NAMED_PORT_IN_EGRESS = "named-port-in-egress"
    """A rule of egress has the name of a port (R26)."""
    NAMED_PORT_IN_TIERS = "named-port-in-tiers"
    """A rule of a policy in a tier has the name of a port (T19)."""
    EXCLUDED_NAMESPACES_IN_TIERS = "excluded-namespaces-in-tiers"
    """A peer of a policy in a tier selects namespaces with NotIn or DoesNotExist (T09)."""
    ACCEPT_IN_BASELINE = "accept-in-the-baseline-tier"
    """A policy in the Baseline tier has a rule that accepts (T21)."""


def traits(manifests: Iterable[Manifest]) -> frozenset[Trait]:
    """Return the traits that at least one of the policies has."""
    policies = parsed(manifests)
    return frozenset(trait for trait, has in _HAS.items() if any(map(has, policies)))


def _rules_without_type(policy: Policy) -> bool:
    if not isinstance(policy, NetworkPolicy):
        return False
    unnamed = frozenset(Direction) - policy.policy_types
    return any(policy.rules(direction) for direction in unnamed)


def _named_port_in_egress(policy: Policy) -> bool:
    return isinstance(policy, NetworkPolicy) and any(
        isinstance(port.port, str) for rule in policy.egress for port in rule.ports
    )


def _rules(policy: Policy) -> Iterator[TierRule]:
    """Yield the rules of a policy in a tier."""
    if isinstance(policy, TierPolicy):
        for direction in Direction:
            yield from policy.rules(direction)


def _named_port_in_tiers(policy: Policy) -> bool:
    return any(isinstance(port, PortName) for rule in _rules(policy) for port in rule.ports)


def _excluded_namespaces(policy: Policy) -> bool:
    return any(
        requirement.operator in {Operator.NOT_IN, Operator.DOES_NOT_EXIST}
        for rule in _rules(policy)
        for peer in rule.peers
        if isinstance(peer, SelectedPods) and peer.pods is None
        for requirement in peer.namespaces.requirements
    )


def _accept_in_baseline(policy: Policy) -> bool:
    return (
        isinstance(policy, TierPolicy)
        and policy.tier is Tier.BASELINE
        and any(rule.action is RuleAction.ACCEPT for rule in _rules(policy))
    )


_HAS: dict[Trait, Callable[[Policy], bool]] = {
    Trait.RULES_WITHOUT_TYPE: _rules_without_type,
    Trait.NAMED_PORT_IN_EGRESS: _named_port_in_egress,
    Trait.NAMED_PORT_IN_TIERS: _named_port_in_tiers,
    Trait.EXCLUDED_NAMESPACES_IN_TIERS: _excluded_namespaces,
    Trait.ACCEPT_IN_BASELINE: _accept_in_baseline,
}
