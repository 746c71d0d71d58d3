"""The kinds of policy that are known by their meaning: judged by the oracle, enforced by netns.

To add a kind: one module with its values, ``parse`` and ``faults``, one with its JSON Schema, and
one entry in ``KINDS``.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from harness.model import Manifest
from harness.policy import (
    admin_network_policy,
    builtin,
    cluster_network_policy,
    network_policy,
)
from harness.policy.definitions import Schema, name_of
from harness.policy.document import Fault
from harness.policy.network_policy import NetworkPolicy
from harness.policy.network_policy_schema import network_policy_parts
from harness.policy.tier_schema import (
    admin_network_policy_parts,
    baseline_admin_network_policy_parts,
    cluster_network_policy_parts,
)
from harness.policy.tiers import TierPolicy
from harness.suggest import closest

Policy: TypeAlias = NetworkPolicy | TierPolicy
"""A policy of any kind in ``KINDS``: a union to take apart with ``match``."""


class Scope(enum.Enum):
    """Where the objects of a kind live."""

    NAMESPACED = "namespaced"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class PolicyKind:
    """A kind of policy: its identity, and how to read it.

    ``faults`` checks a document as its author wrote it. Of one without faults, ``warnings`` has
    what the API server accepts although the API's text forbids it, and ``parse`` is the policy.
    ``schema_parts`` are the JSON Schema of its objects: named parts that refer to each other, and
    to those that all kinds share. The part called ``schema_name`` describes whole objects.
    """

    api_version: str
    kind: str
    scope: Scope
    parse: Callable[[Manifest], Policy]
    faults: Callable[[object], tuple[Fault, ...]]
    warnings: Callable[[object], tuple[Fault, ...]]
    schema_parts: Callable[[], Mapping[str, Schema]]

    @property
    def schema_name(self) -> str:
        """The name of the part of ``schema_parts`` that describes whole objects."""
        return name_of(self.api_version, self.kind)

    @property
    def group(self) -> str:
        """The API group."""
        return builtin.group_of(self.api_version)


def _none(_: object) -> tuple[Fault, ...]:
    return ()


KINDS: tuple[PolicyKind, ...] = (
    PolicyKind(
        network_policy.API_VERSION,
        network_policy.KIND,
        Scope.NAMESPACED,
        network_policy.parse,
        network_policy.faults,
        _none,
        network_policy_parts,
    ),
    *(
        PolicyKind(
            version,
            cluster_network_policy.KIND,
            Scope.CLUSTER,
            cluster_network_policy.parse,
            functools.partial(cluster_network_policy.faults, version),
            cluster_network_policy.warnings,
            functools.partial(cluster_network_policy_parts, version),
        )
        for version in cluster_network_policy.API_VERSIONS
    ),
    PolicyKind(
        admin_network_policy.API_VERSION,
        admin_network_policy.ADMIN_KIND,
        Scope.CLUSTER,
        admin_network_policy.parse,
        admin_network_policy.faults,
        admin_network_policy.warnings,
        admin_network_policy_parts,
    ),
    PolicyKind(
        admin_network_policy.API_VERSION,
        admin_network_policy.BASELINE_KIND,
        Scope.CLUSTER,
        admin_network_policy.parse,
        admin_network_policy.baseline_faults,
        admin_network_policy.warnings,
        baseline_admin_network_policy_parts,
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
    exact = _BY_NAME.get((api_version, kind)) if isinstance(api_version, str) else None
    if exact is not None:
        return exact
    group = builtin.group_of(api_version) if isinstance(api_version, str) else ""
    here = [entry for entry in KINDS if entry.group == group]
    named = [entry for entry in KINDS if entry.kind == kind and _may_be(group, entry.group)]
    near = closest(kind, [entry.kind for entry in here])
    found = [*(e for e in here if e.kind == kind), *named, *(e for e in here if e.kind == near)]
    return found[0] if found else None


def is_other_version(api_version: str, kind: str) -> bool:
    """Return whether a kind of ``KINDS`` is in a version that is not known here.

    Kubernetes' own versions are all known; those of a custom group only a cluster knows.
    """
    group = builtin.group_of(api_version)
    if builtin.is_builtin(group) or not _VERSION.fullmatch(api_version.rpartition("/")[2]):
        return False
    known = [entry.api_version for entry in KINDS if (entry.group, entry.kind) == (group, kind)]
    return bool(known) and api_version not in known


_VERSION = re.compile(r"v[0-9]+((alpha|beta)[0-9]+)?")


def _may_be(group: str, known: str) -> bool:
    """Return whether a group is a slip for a known one, and not another custom group."""
    if "." not in group or builtin.is_builtin(group):
        return True
    return group.count(".") == known.count(".") and closest(group, [known]) is not None
