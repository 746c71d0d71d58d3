"""What the manifests show about pods and policies, and what they cannot show.

The pods of a namespace are known if the manifests have a workload in it. What matches is asked of
the oracle alone. Workloads that ask for no pods count as if they had one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness import oracle
from harness.application import (
    Application,
    AppNamespace,
    AppService,
    CustomObject,
    Workload,
)
from harness.application.state import deployed, state
from harness.documents.source import KeyPath
from harness.errors import Location, UsageError
from harness.lint.inclusion import NAME_LABEL, size_of, size_of_rule
from harness.lint.tier_rules import size_of_policy
from harness.lint.values import Place, Related
from harness.model import Manifest, Pod, Probe
from harness.policy import (
    Direction,
    LabelSelector,
    NetworkPolicy,
    Operator,
    Peer,
    Rule,
    may_act_on,
    parsed,
)
from harness.policy.tiers import RuleAction, TierPolicy, TierRule
from harness.suggest import closest

_MOST_MATCHES = 5_000_000
_MOST_NEAR = 20_000
_OF_THE_CLUSTER = ("pod-template-hash", "controller-revision-hash", "controller-uid", "job-name")
"""Labels that pods get when they are made, with or without a prefix."""


@dataclass(frozen=True, slots=True)
class Item:
    """A policy, its values, and its place."""

    manifest: Manifest
    policy: NetworkPolicy
    location: Location

    def __str__(self) -> str:
        return str(self.policy)


@dataclass(frozen=True, slots=True)
class TierItem:
    """A policy of a tier, its values, and its place."""

    manifest: Manifest
    policy: TierPolicy
    location: Location

    def __str__(self) -> str:
        return str(self.policy)


@dataclass(frozen=True, slots=True)
class PartOfRule:
    """A peer or a port of a rule, with its path."""

    item: Item
    direction: Direction
    rule: Rule
    path: KeyPath

    @property
    def where(self) -> str:
        """The policy and the number of the rule, as messages begin."""
        return f"{self.item}, {self.direction.lower()} rule {int(self.path[2]) + 1}:"


@dataclass(frozen=True, slots=True)
class Near:
    """Labels that are nearly those of a selector, and the workloads that have them."""

    labels: str
    workloads: tuple[Workload, ...]

    def __str__(self) -> str:
        first = self.workloads[0]
        more = f" and {len(self.workloads) - 1} more" if len(self.workloads) > 1 else ""
        return f"{self.labels} has {len(self.workloads)}: {first}{more}"

    @property
    def related(self) -> tuple[Related, ...]:
        return tuple(Related(str(item), item.location) for item in self.workloads[:5])


class Knowledge:
    """What is known of one application."""

    def __init__(self, application: Application) -> None:
        self.application = application
        workloads = tuple(
            replace(item, replicas=max(item.replicas, 1)) for item in application.workloads
        )
        made = deployed(replace(application, workloads=workloads))
        self._state = state(application, made)
        self.judge = oracle.Judge(self._state)
        self.items, self.tiers = tuple(self._items()), tuple(self._tiers())
        self.first_pods = tuple((item.workload, item.pods[0]) for item in made if item.pods)
        self._workloads = {pod.ref: item.workload for item in made for pod in item.pods}
        self._known = frozenset(item.namespace for item in application.workloads)
        self._matched: dict[tuple[str, Peer], tuple[Pod, ...]] = {}
        self._near_left = _MOST_NEAR
        self.presumed: dict[CustomObject, None] = {}
        self.not_judged: dict[LabelSelector, None] = {}
        self._require_few()

    def _items(self) -> Iterator[Item]:
        for manifest in self.application.policies:
            for policy in parsed([manifest]):
                if isinstance(policy, NetworkPolicy) and manifest.location is not None:
                    yield Item(manifest, policy, manifest.location)

    def _tiers(self) -> Iterator[TierItem]:
        for manifest in self.application.policies:
            for policy in parsed([manifest]):
                if isinstance(policy, TierPolicy) and manifest.location is not None:
                    yield TierItem(manifest, policy, manifest.location)

    def _require_few(self) -> None:
        words = sum(size_of(item.policy.pod_selector) for item in self.items)
        words += sum(size_of_policy(item.policy) for item in self.tiers)
        words += sum(size_of_rule(rule) for item in self.items for rule in _rules(item.policy))
        pods = len(self._state.pods) + len(self.application.customs)
        if words * pods > _MOST_MATCHES:
            fact = f"policies of {words:,} words are too many for {pods:,} pods"
            raise UsageError(fact, "name fewer files")

    # ---------------------------------------------------------------- places

    def place(self, item: Item | TierItem, path: KeyPath = ()) -> Place:
        """Return the place of a part of a policy."""
        here = self.application.written.at(item.location, path)
        return Place(str(item), item.location, here, ".".join(map(str, path)))

    def has(self, item: Item, path: KeyPath) -> bool:
        """Return whether that part of a policy is written."""
        return self.application.written.has(item.location, path)

    def peers(self) -> Iterator[tuple[PartOfRule, Peer]]:
        """Yield the peers of all rules that count."""
        for part in self.rules():
            key = "from" if part.direction is Direction.INGRESS else "to"
            for index, peer in enumerate(part.rule.peers):
                yield replace(part, path=(*part.path, key, index)), peer

    def rules(self) -> Iterator[PartOfRule]:
        """Yield all rules that count."""
        for item in self.items:
            for direction in sorted(item.policy.policy_types):
                for index, rule in enumerate(item.policy.rules(direction)):
                    path = ("spec", direction.lower(), index)
                    yield PartOfRule(item, direction, rule, path)

    # ---------------------------------------------------------------- pods

    def knows(self, namespace: str) -> bool:
        """Return whether the pods of a namespace are in the manifests."""
        return namespace in self._known

    @functools.lru_cache(maxsize=4_096)  # noqa: B019  # it lives as long as the lint
    def selected(self, policy: NetworkPolicy) -> tuple[Pod, ...]:
        """Return the known pods that a policy selects."""
        return tuple(
            pod
            for pod in self.pods_in(policy.namespace)
            if oracle.selects(policy.pod_selector, pod.labels)
        )

    @functools.lru_cache(maxsize=4_096)  # noqa: B019  # it lives as long as the lint
    def subjects(self, item: TierItem) -> tuple[Pod, ...]:
        """Return the known pods that a policy of a tier is for."""
        return oracle.subjects(self._state, item.policy)

    def rules_for(
        self, pod: Pod, direction: Direction, action: RuleAction
    ) -> tuple[TierRule, ...]:
        """Return the rules of tiers for a pod that have an action."""
        return tuple(
            rule
            for item in self.tiers
            if pod in self.subjects(item)
            for rule in item.policy.rules(direction)
            if rule.action is action
        )

    def matched(self, home: str, peer: Peer) -> tuple[Pod, ...]:
        """Return the known pods that a peer matches, in a policy of the namespace ``home``."""
        key = (home, peer)
        if key not in self._matched:
            self._matched[key] = self.judge.matched(home, peer)
        return self._matched[key]

    def is_complete(self, home: str, peer: Peer) -> bool:
        """Return whether a peer can match no other pods than those of the manifests."""
        if peer.namespace_selector is None:
            return self.knows(home)
        return self.is_pinned(peer.namespace_selector)

    def is_pinned(self, selector: LabelSelector) -> bool:
        """Return whether a selector names namespaces, all of which the manifests have."""
        pinned = [
            term.values
            for term in selector.requirements
            if term.key == NAME_LABEL and term.operator is Operator.IN
        ]
        return any(all(map(self.knows, names)) for names in pinned)

    @functools.lru_cache(maxsize=4_096)  # noqa: B019  # it lives as long as the lint
    def pods_in(self, namespace: str) -> tuple[Pod, ...]:
        return tuple(pod for pod in self._state.pods if pod.namespace == namespace)

    def workload(self, pod: Pod) -> Workload | None:
        """Return the workload of a pod; None for the DNS server of the cluster."""
        return self._workloads.get(pod.ref)

    def workloads(self, pods: Iterable[Pod]) -> tuple[Workload, ...]:
        """Return the workloads of some pods, each once."""
        found = (self.workload(pod) for pod in pods)
        return tuple(dict.fromkeys(item for item in found if item is not None))

    def is_judged(self, pod: Pod) -> bool:
        """Return whether no policy of an unknown kind may act on a pod."""
        return not any(may_act_on(item, pod.namespace) for item in self.application.not_judged)

    def is_denied(self, probe: Probe) -> bool:
        """Return whether the policies surely deny a connection."""
        return self.judge.predict(probe).judgement.ruling is oracle.Ruling.DENIED

    # ---------------------------------------------------------------- ports

    def services_of(self, pods: Sequence[Pod]) -> Iterator[AppService]:
        """Yield the Services that lead to one of the pods."""
        for service in self.application.services:
            if service.selector is not None and any(
                pod.namespace == service.namespace
                and service.selector.items() <= pod.labels.items()
                for pod in pods
            ):
                yield service

    # ---------------------------------------------------------------- what may be meant

    def near(self, selector: LabelSelector, namespaces: Iterable[str]) -> Near | None:
        """Return the labels of pods in some namespaces that a selector probably means."""
        found: dict[str, list[Workload]] = {}
        wanted = frozenset(namespaces)
        for workload, pod in self.first_pods:
            if pod.namespace in wanted and self._near_left > 0:
                self._near_left -= size_of(selector)
                labels = oracle.near_labels(selector, pod.labels)
                if labels is not None:
                    found.setdefault(labels, []).append(workload)
        if not found:
            return None
        best = closest(str(selector), found) or next(iter(found))
        return Near(best, tuple(found[best]))

    def is_made_by_operator(self, selector: LabelSelector, namespaces: Iterable[str]) -> bool:
        """Return whether an operator may make pods for a selector from a custom object.

        The object is remembered in ``presumed``.
        """
        values = {value for term in selector.requirements for value in term.values}
        wanted = frozenset(namespaces)
        for custom in self.application.customs if selector.requirements else ():
            if custom.namespace in wanted:
                is_named = any(
                    value == custom.name or value.startswith(f"{custom.name}-") for value in values
                )
                if is_named or oracle.selects(selector, custom.labels):
                    self.presumed.setdefault(custom)
                    return True
        return False

    def is_left_to_operators(self, selector: LabelSelector) -> bool:
        """Return whether the manifests have kinds of which something else may make pods.

        The selector is then remembered in ``not_judged``.
        """
        found = bool(self.application.customs) or any(
            item.kind == "CustomResourceDefinition" for item in self.application.ignored
        )
        if found:
            self.not_judged.setdefault(selector)
        return found

    def is_given_later(self, selector: LabelSelector) -> bool:
        """Return whether a selector is about labels that pods get when they are made."""
        return any(
            term.key.rpartition("/")[2] in _OF_THE_CLUSTER for term in selector.requirements
        )

    def namespaces_matched(self, selector: LabelSelector) -> tuple[AppNamespace, ...]:
        """Return the namespaces of the manifests that a namespaceSelector matches."""
        return tuple(
            item
            for item in self.application.namespaces
            if oracle.selects(selector, {**item.labels, NAME_LABEL: item.name})
        )


def _rules(policy: NetworkPolicy) -> tuple[Rule, ...]:
    return (*policy.ingress, *policy.egress)


def of_workload(workload: Workload) -> Place:
    """Return the place of a workload."""
    return Place(str(workload), workload.location, workload.location)


def listed(workloads: Sequence[Workload], most: int = 3) -> str:
    """Return the names of some workloads, and how many more there are."""
    names = ", ".join(str(item) for item in workloads[:most])
    rest = len(workloads) - most
    return f"{names} and {rest} more" if rest > 0 else names


def verb(workloads: Sequence[Workload]) -> str:
    """Return the verb that follows the names of some workloads."""
    return "is" if len(workloads) == 1 else "are"


def places(workloads: Sequence[Workload]) -> tuple[Related, ...]:
    """Return the places of the first workloads."""
    return tuple(Related(str(item), item.location) for item in workloads[:5])
