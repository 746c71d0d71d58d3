"""The kinds of policy that are known by their meaning: judged by the oracle, enforced by netns.

To add a kind: one module with its values, ``parse`` and ``faults``, and one entry in ``KINDS``.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from harness.model import Manifest
from harness.policy import builtin, network_policy
from harness.policy.document import Fault
from harness.policy.network_policy import NetworkPolicy
from harness.suggest import closest

Policy: TypeAlias = NetworkPolicy
"""A policy of any kind in ``KINDS``: a union to take apart with ``match``."""


class Scope(enum.Enum):
    """Where the objects of a kind live."""

    NAMESPACED = "namespaced"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class PolicyKind:
    """A kind of policy: its identity, and how to read it.

    ``faults`` checks a document as its author wrote it, ``parse`` reads a manifest without faults.
    """

    api_version: str
    kind: str
    scope: Scope
    parse: Callable[[Manifest], Policy]
    faults: Callable[[object], tuple[Fault, ...]]

    @property
    def group(self) -> str:
        """The API group."""
        return builtin.group_of(self.api_version)


KINDS: tuple[PolicyKind, ...] = (
    PolicyKind(
        network_policy.API_VERSION,
        network_policy.KIND,
        Scope.NAMESPACED,
        network_policy.parse,
        network_policy.faults,
    ),
)

_BY_NAME = {(entry.api_version, entry.kind): entry for entry in KINDS}


def kind_of(manifest: Manifest) -> PolicyKind | None:
    """Return the kind of a policy, or None if its meaning is not known."""
    return _BY_NAME.get((manifest.api_version, manifest.kind))


def names() -> frozenset[str]:
    """Return all kinds of ``KINDS``, as ``apiVersion/Kind``."""
    return frozenset(f"{entry.api_version}/{entry.kind}" for entry in KINDS)


def parsed(manifests: Iterable[Manifest]) -> tuple[Policy, ...]:
    """Return the policies among the manifests whose kind is known, in order."""
    known = ((kind_of(manifest), manifest) for manifest in manifests)
    return tuple(kind.parse(manifest) for kind, manifest in known if kind is not None)


class Effect(enum.Enum):
    """What is known of the connections that an object changes."""

    JUDGED = "judged"
    """It is a policy of a kind in ``KINDS``: the oracle knows what it means."""
    HARMLESS = "harmless"
    """It changes none: a built-in kind, or a custom kind that is listed as harmless."""
    UNKNOWN = "unknown"
    """It may change any connection where it acts."""


def effect_of(manifest: Manifest) -> Effect:
    """Return what is known of the connections that this object changes."""
    if kind_of(manifest) is not None:
        return Effect.JUDGED
    known = builtin.changes_nothing(manifest.api_version)
    return Effect.HARMLESS if known else Effect.UNKNOWN


def may_act_on(manifest: Manifest, namespace: str) -> bool:
    """Return whether an object of unknown effect may affect the pods of that namespace.

    It may act in its own namespace; everywhere, if its author wrote none: whether a custom kind
    is cluster-scoped is known to clusters alone.
    """
    if effect_of(manifest) is not Effect.UNKNOWN:
        return False
    return manifest.namespace_from_step or manifest.namespace in {"", namespace}


def meant(api_version: object, kind: object) -> PolicyKind | None:
    """Return the kind that an author means with these words, even if one of them has a slip.

    A kind of another group with the same name, like Calico's NetworkPolicy, is not meant.
    """
    if not isinstance(kind, str):
        return None
    group = builtin.group_of(api_version) if isinstance(api_version, str) else ""
    for entry in KINDS:
        if group == entry.group and (kind == entry.kind or closest(kind, [entry.kind])):
            return entry
        custom = "." in group and not builtin.is_builtin(group)
        if kind == entry.kind and (not custom or closest(group, [entry.group])):
            return entry
    return None
