"""Ways to write a policy that network plugins are known to get wrong.

A CNI profile names them, and generated cases leave them out on such a cluster.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable

from harness.model import Manifest
from harness.policy.kinds import parsed
from harness.policy.network_policy import NetworkPolicy
from harness.policy.selectors import Direction


class Trait(enum.StrEnum):
    """A property of a policy as it is written."""

    RULES_WITHOUT_TYPE = "rules-without-their-type"
    """It has rules for a direction that its policyTypes do not name (R11)."""
    NAMED_PORT_IN_EGRESS = "named-port-in-egress"
    """A rule of egress has the name of a port (R26)."""


def traits(manifests: Iterable[Manifest]) -> frozenset[Trait]:
    """Return the traits that at least one of the NetworkPolicies has."""
    policies = [policy for policy in parsed(manifests) if isinstance(policy, NetworkPolicy)]
    return frozenset(trait for trait, has in _HAS.items() if any(map(has, policies)))


def _rules_without_type(policy: NetworkPolicy) -> bool:
    unnamed = frozenset(Direction) - policy.policy_types
    return any(policy.rules(direction) for direction in unnamed)


def _named_port_in_egress(policy: NetworkPolicy) -> bool:
    return any(isinstance(port.port, str) for rule in policy.egress for port in rule.ports)


_HAS: dict[Trait, Callable[[NetworkPolicy], bool]] = {
    Trait.RULES_WITHOUT_TYPE: _rules_without_type,
    Trait.NAMED_PORT_IN_EGRESS: _named_port_in_egress,
}
