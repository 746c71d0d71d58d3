"""What the scenario before left on a cluster, so that scenarios of one fixture keep its pods.

A pod, a namespace or an object is made again if its incarnation changes. Each scenario counts
incarnations from 0. So the numbers of a scenario are moved by those that the cluster has when
the scenario starts: a pod that was restarted by the scenario before is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from harness.cluster import Cluster
from harness.model import CompletedPod, Manifest, Namespace, Pod, Scenario, State

_Item = TypeVar("_Item", Namespace, Pod, CompletedPod, Manifest)
_Key = tuple[str, ...]


@dataclass(slots=True)
class Predecessor:
    """The scenario that ran last on a cluster, and the last State that it asked for."""

    path: str = ""
    state: State | None = None

    def has_fixture_of(self, scenario: Scenario) -> bool:
        """Return whether the cluster has the fixture of the scenario."""
        if self.state is None or scenario.fixture is None:
            return False
        return self.state.scope == scenario.fixture.state.scope


@dataclass(slots=True)
class Syncing:
    """Applies the states of one scenario, with incarnations that continue those of the cluster."""

    cluster: Cluster
    scenario: Scenario
    predecessor: Predecessor
    _moved_by: Mapping[_Key, int] = field(init=False)

    def __post_init__(self) -> None:
        known = self.predecessor.has_fixture_of(self.scenario)
        last = self.predecessor.state if known else None
        self._moved_by = _incarnations(last) if last else {}

    def sync(self, state: State) -> None:
        """Make the cluster equal to the state. Raises ClusterError and NotRefused."""
        moved = replace(
            state,
            namespaces=self._moved(state.namespaces),
            pods=self._moved(state.pods),
            completed=self._moved(state.completed),
            policies=self._moved(state.policies),
        )
        # Recorded first: after an error, the cluster may have a part of it.
        self.predecessor.path, self.predecessor.state = self.scenario.path, moved
        self.cluster.sync(moved)

    def remove_all(self, state: State) -> None:
        """Remove everything that is in the scope of the state."""
        nothing = replace(
            state,
            namespaces=(),
            pods=(),
            completed=(),
            services=(),
            externals=(),
            policies=(),
            refused=(),
        )
        self.sync(nothing)

    def _moved(self, items: Iterable[_Item]) -> tuple[_Item, ...]:
        return tuple(
            replace(item, incarnation=item.incarnation + self._moved_by.get(_key(item), 0))
            for item in items
        )


def _incarnations(state: State) -> dict[_Key, int]:
    items: tuple[Namespace | Pod | CompletedPod | Manifest, ...] = (
        *state.namespaces,
        *state.pod_objects,
        *state.policies,
    )
    return {_key(item): item.incarnation for item in items if item.incarnation}


def _key(item: Namespace | Pod | CompletedPod | Manifest) -> _Key:
    match item:
        case Namespace(name):
            return ("Namespace", name)
        case Pod(namespace, name) | CompletedPod(namespace, name):
            return ("Pod", namespace, name)
        case Manifest():
            return item.key
