"""The source of chance of a case, and what its policies can be about.

``Rotation`` gives every theme its turn, so that a few cases have them all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Generic, TypeVar

from harness.model import Labels, Manifest, PodRef, Protocol, State
from harness.policy import cluster_network_policy
from harness.policy.network_policy import API_VERSION, KIND

_T = TypeVar("_T")
TIER_VERSION = cluster_network_policy.API_VERSIONS[0]
TIER_KIND = f"{TIER_VERSION}/{cluster_network_policy.KIND}"
"""What a cluster must have for policies in tiers, as ``Needs.kinds`` has it."""
NOBODY = "nobody"
"""A label, and the name of a port, that nobody has."""


def chance(seed: str) -> Random:
    """Return a source of chance that gives the same for the same seed."""
    return Random(seed)  # noqa: S311 - repeatable, not secret


@dataclass(frozen=True, slots=True)
class Rotation(Generic[_T]):
    """An endless sequence of themes: each round has every theme once, in a random order."""

    seed: str
    themes: Sequence[_T]

    def at(self, place: int) -> _T:
        round_, index = divmod(place, len(self.themes))
        order = list(self.themes)
        chance(f"{self.seed}/{round_}").shuffle(order)
        return order[index]


Selectable = Mapping[str, Sequence[str]]
"""The values of each label key, sorted."""


def selectable(labels: Iterable[Labels]) -> Selectable:
    """Return the values of each key in these labels."""
    found: dict[str, set[str]] = {}
    for one in labels:
        for key, value in one.items():
            found.setdefault(key, set()).add(value)
    return {key: sorted(values) for key, values in sorted(found.items())}


@dataclass(frozen=True, slots=True)
class Draw:
    """What policies can be about, and the source of chance."""

    rng: Random
    state: State
    ip_blocks: bool = True

    @property
    def pods(self) -> list[PodRef]:
        return [pod.ref for pod in self.state.pods if not pod.host_network]

    @property
    def namespaces(self) -> list[str]:
        """The namespaces that have pods."""
        return list(dict.fromkeys(ref.namespace for ref in self.pods))

    def pod_labels(self) -> Selectable:
        return selectable(pod.labels for pod in self.state.pods)

    def namespace_labels(self) -> Selectable:
        return selectable(item.labels for item in self.state.namespaces)

    def numbers(self, protocol: Protocol) -> list[int]:
        """Return the ports of that protocol on which pods listen."""
        ports = (port for pod in self.state.pods for port in pod.ports)
        return sorted({port.number for port in ports if port.protocol is protocol}) or [80]

    def names(self, protocol: Protocol) -> list[str]:
        """Return the names of the ports of that protocol."""
        ports = (port for pod in self.state.pods for port in pod.ports)
        return sorted({p.name for p in ports if p.name and p.protocol is protocol}) or [NOBODY]

    def block(self) -> str:
        """Return the address of a pod as a block."""
        return f"$(ip:{self.rng.choice(self.pods)})/32"


def tier_policy(name: str, spec: dict[str, Any]) -> Manifest:
    """Return a ClusterNetworkPolicy with that spec."""
    version, kind = TIER_VERSION, cluster_network_policy.KIND
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}
    return Manifest(version, kind, "", name, json.dumps(body))


def network_policy(namespace: str, name: str, spec: dict[str, Any]) -> Manifest:
    """Return a NetworkPolicy with that spec."""
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    return Manifest(API_VERSION, KIND, namespace, name, json.dumps(document))
