"""Policies in tiers as frozen values: ClusterNetworkPolicy, and its forerunners.

An AdminNetworkPolicy is a policy of the Admin tier, a BaselineAdminNetworkPolicy one of the
Baseline tier, so all kinds are the same values here. ``cluster_network_policy`` and
``admin_network_policy`` read their documents.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from harness.model import Protocol
from harness.policy.selectors import Direction, LabelSelector

GROUP = "policy.networking.k8s.io"
LAST_PRIORITY = 1000
"""The priority that is evaluated last; the first is 0."""


class Tier(enum.StrEnum):
    """Where a policy is evaluated: before all NetworkPolicies, or after them (T01)."""

    ADMIN = "Admin"
    BASELINE = "Baseline"


class RuleAction(enum.StrEnum):
    """What a rule does with a connection that it matches (T05 to T08)."""

    ACCEPT = "Accept"
    DENY = "Deny"
    PASS = "Pass"  # noqa: S105  # an action


# ------------------------------------------------------------------ peers


@dataclass(frozen=True, slots=True)
class SelectedPods:
    """Pods by their labels and those of their namespaces; without ``pods``, all of these (T10)."""

    namespaces: LabelSelector = field(default_factory=LabelSelector)
    pods: LabelSelector | None = None

    def __str__(self) -> str:
        if self.pods is None:
            return f"namespaces {self.namespaces}"
        return f"pods {self.pods} in namespaces {self.namespaces}"


@dataclass(frozen=True, slots=True)
class Networks:
    """Destinations by address, whoever has it: each a CIDR or a ``placeholder`` (T13)."""

    cidrs: tuple[str, ...]

    def __str__(self) -> str:
        return f"networks {', '.join(self.cidrs)}"


@dataclass(frozen=True, slots=True)
class Nodes:
    """The addresses of nodes, by the labels of the nodes (T15)."""

    selector: LabelSelector

    def __str__(self) -> str:
        return f"nodes {self.selector}"


@dataclass(frozen=True, slots=True)
class DomainNames:
    """The addresses behind domain names; ``*.`` stands for one label or more (T16)."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"domainNames {', '.join(self.names)}"


TierPeer: TypeAlias = SelectedPods | Networks | Nodes | DomainNames
"""The other end of a rule. Only rules of egress have others than SelectedPods."""


# ------------------------------------------------------------------ ports


@dataclass(frozen=True, slots=True)
class PortNumbers:
    """The destination ports of one protocol from ``first`` to ``last`` (T18)."""

    protocol: Protocol
    first: int
    last: int

    def __str__(self) -> str:
        last = "" if self.first == self.last else f"-{self.last}"
        return f"{self.protocol} {self.first}{last}"


@dataclass(frozen=True, slots=True)
class PortName:
    """The destination pod's port of that name, with the protocol that it has there (T19)."""

    name: str

    def __str__(self) -> str:
        return f"named {self.name}"


TierPort: TypeAlias = PortNumbers | PortName


# ------------------------------------------------------------------ policies


@dataclass(frozen=True, slots=True)
class TierRule:
    """One entry of ``ingress`` or ``egress``. Without ports it matches every protocol (T17)."""

    action: RuleAction
    peers: tuple[TierPeer, ...]
    ports: tuple[TierPort, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class TierPolicy:
    """A cluster-scoped policy of a tier; ``kind`` and ``name`` are those of its object.

    ``priority`` orders the policies of a tier, the lowest first (T03). A
    BaselineAdminNetworkPolicy has none; there is only one, so it is 0.
    """

    kind: str
    name: str
    tier: Tier
    priority: int
    subject: SelectedPods
    ingress: tuple[TierRule, ...] = ()
    egress: tuple[TierRule, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def rules(self, direction: Direction) -> tuple[TierRule, ...]:
        """Return the rules of that direction, in the order in which they are evaluated (T04)."""
        return self.ingress if direction is Direction.INGRESS else self.egress

    def acts_on(self, direction: Direction) -> bool:
        """Return whether it has rules for that direction; it does nothing else there (T02)."""
        return bool(self.rules(direction))

    @property
    def cidrs(self) -> Iterator[str]:
        """The networks that its rules name; some are placeholders."""
        for rule in (*self.ingress, *self.egress):
            for peer in rule.peers:
                if isinstance(peer, Networks):
                    yield from peer.cidrs
