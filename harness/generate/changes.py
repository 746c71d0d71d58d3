"""What the steps of a generated case change, after its policies were applied."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from harness.generate.draw import Selectable, network_policy, selectable
from harness.generate.plan import BY_ADDRESS, PlannedStep, verdicts
from harness.generate.variants import Size, variants
from harness.model import (
    Applied,
    Change,
    Created,
    Deleted,
    Destination,
    Host,
    Labelled,
    Labels,
    Manifest,
    Namespace,
    NamespaceRef,
    Pod,
    PodRef,
    Probe,
    Restarted,
    ServiceRef,
    ServiceType,
    Source,
    State,
    Verdict,
)
from harness.oracle import subjects
from harness.policy import Direction, NetworkPolicy, Policy, parsed
from harness.policy.tiers import TierPolicy
from harness.scenario.topology import Conflict, TopologyBuilder

Seen = Mapping[Probe, Verdict]


class Scope(enum.Enum):
    """What the steps of a case may change."""

    POLICIES_AND_LABELS = "policies and labels"
    PODS_TOO = "pods and namespaces too"


# ------------------------------------------------------------------ pairs


@functools.lru_cache(maxsize=64)
def pairs(state: State) -> tuple[Probe, ...]:
    """Return the pairs of pods, and of pods and ClusterIPs, that a table could ask about.

    Not a pod and itself, also not through a Service: the API does not define it (R46), and on a
    cluster without hairpin it never connects.
    """
    pods = [pod for pod in state.pods if not pod.host_network]
    ends = [Destination(pod.ref, p.number, p.protocol) for pod in pods for p in pod.ports]
    ends += [
        Destination(ServiceRef(item.namespace, item.name), port.number, port.protocol)
        for item in state.services
        if item.type is ServiceType.CLUSTER_IP
        for port in item.ports
    ]
    own = itself(state)
    return tuple(
        Probe(pod.ref, end) for pod in pods for end in ends if (pod.ref, end.host) not in own
    )


def itself(state: State) -> frozenset[tuple[Source, Host]]:
    """Return each pod with itself, and with the Services whose endpoint it is."""
    services = {ServiceRef(item.namespace, item.name): item for item in state.services}
    return frozenset((pod.ref, pod.ref) for pod in state.pods) | frozenset(
        (pod.ref, ref) for ref, item in services.items() for pod in state.endpoints(item)
    )


def seen(state: State) -> Seen:
    """Return the verdicts of all pairs of a state."""
    return verdicts(state, pairs(state), BY_ADDRESS)


def seen_with(state: State, policy: Manifest, variant: Manifest | None) -> Seen:
    """Return the verdicts with a variant in the place of a policy, or without the policy.

    Only of the pairs that the policy may decide.
    """
    rest = tuple(item for item in state.policies if item.key != policy.key)
    changed = replace(state, policies=rest if variant is None else (*rest, variant))
    either = parsed(item for item in (policy, variant) if item is not None)
    concerned = (p for p in pairs(state) if any(_may_decide(state, one, p) for one in either))
    return verdicts(changed, concerned, BY_ADDRESS)


def _may_decide(state: State, policy: Policy, probe: Probe) -> bool:
    source, host = probe.source, probe.destination.host
    if isinstance(policy, NetworkPolicy):
        home = policy.namespace
        leaves = isinstance(source, PodRef) and source.namespace == home
        enters = isinstance(host, PodRef | ServiceRef) and host.namespace == home
        acting = policy.policy_types
    else:
        refs = _subjects(state, policy)
        leaves, enters = source in refs, isinstance(host, ServiceRef) or host in refs
        acting = frozenset(way for way in Direction if policy.acts_on(way))
    return (leaves and Direction.EGRESS in acting) or (enters and Direction.INGRESS in acting)


@functools.lru_cache(maxsize=64)
def _subjects(state: State, policy: TierPolicy) -> frozenset[PodRef]:
    return frozenset(pod.ref for pod in subjects(state, policy))


def flips(before: Seen, after: Seen) -> frozenset[Probe]:
    """Return the pairs of both whose verdicts differ."""
    return frozenset(p for p, verdict in after.items() if before.get(p, verdict) is not verdict)


# ------------------------------------------------------------------ changes


@dataclass(frozen=True, slots=True)
class Situation:
    """The state before a change, its verdicts, and the source of chance."""

    rng: Random
    state: State
    seen: Seen

    def shuffled_pods(self) -> list[Pod]:
        pods = [pod for pod in self.state.pods if not pod.host_network]
        self.rng.shuffle(pods)
        return pods

    def judged_pods(self) -> list[Pod]:
        """Return the pods that some other pods reach, or are reached by, and others not."""
        words: dict[PodRef, set[Verdict]] = {}
        for probe, verdict in self.seen.items():
            for end in (probe.source, probe.destination.host):
                if isinstance(end, PodRef):
                    words.setdefault(end, set()).add(verdict)
        return [pod for pod in self.shuffled_pods() if len(words.get(pod.ref, ())) > 1]

    def policies(self) -> list[Manifest]:
        found = list(self.state.policies)
        self.rng.shuffle(found)
        return found


_Steps = tuple[PlannedStep, ...]
ChangeTheme = Callable[[Situation], Iterator[_Steps]]


def _step(*changes: Change) -> PlannedStep:
    return PlannedStep(", ".join(map(str, changes)), changes)


def _other_labels(rng: Random, labels: Labels, known: Selectable) -> Iterator[Labels]:
    """Yield one label to set, with its value, in a random order."""
    choices = [(key, value) for key, values in known.items() for value in (*values, "other")]
    rng.shuffle(choices)
    for key, value in choices:
        if labels.get(key) != value:
            yield Labels({key: value})


def _free_keys(state: State) -> Selectable:
    """Return the labels of pods by which no Service selects."""
    taken = {key for service in state.services for key in service.selector}
    known = selectable(pod.labels for pod in state.pods)
    return {key: values for key, values in known.items() if key not in taken}


def _pod_relabelled(now: Situation) -> Iterator[_Steps]:
    known = _free_keys(now.state)
    for pod in now.shuffled_pods():
        for labels in _other_labels(now.rng, pod.labels, known):
            yield (_step(*(Labelled(pod.ref, key, value) for key, value in labels.items())),)
        for key in pod.labels:
            if key in known:
                yield (_step(Labelled(pod.ref, key, None)),)


def _namespace_relabelled(now: Situation) -> Iterator[_Steps]:
    known = selectable(item.labels for item in now.state.namespaces)
    spaces = list(now.state.namespaces)
    now.rng.shuffle(spaces)
    for item in spaces:
        target = NamespaceRef(item.name)
        for labels in _other_labels(now.rng, item.labels, known):
            yield (_step(*(Labelled(target, key, value) for key, value in labels.items())),)
        for key in item.labels:
            yield (_step(Labelled(target, key, None)),)


def _policy_updated(now: Situation) -> Iterator[_Steps]:
    for policy in now.policies():
        found = [variant.policy for variant in variants(policy)]
        now.rng.shuffle(found)
        for variant in found:
            yield (_step(Applied(variant, updates=True)),)


def _tier_updated(now: Situation) -> Iterator[_Steps]:
    """Yield policies in tiers with another priority, action, subject or order of rules."""
    for policy in now.policies():
        if policy.namespace == "":
            found = [item.policy for item in variants(policy) if item.size is Size.OTHER]
            now.rng.shuffle(found)
            for variant in found:
                yield (_step(Applied(variant, updates=True)),)


def _policy_replaced(now: Situation) -> Iterator[_Steps]:
    for policy in now.policies():
        found = [variant.policy for variant in variants(policy)]
        now.rng.shuffle(found)
        gone = Deleted(policy.kind, policy.namespace, policy.name)
        for variant in found:
            yield (_step(gone, Applied(variant)),)


def _policy_deleted(now: Situation) -> Iterator[_Steps]:
    if len(now.state.policies) > 1:
        for policy in now.policies():
            yield (_step(Deleted(policy.kind, policy.namespace, policy.name)),)


def _pod_restarted(now: Situation) -> Iterator[_Steps]:
    for pod in now.judged_pods():
        yield (_step(Restarted(pod.ref)),)


def _pod_created(now: Situation) -> Iterator[_Steps]:
    names = {pod.name for pod in now.state.pods}
    name = next(name for name in ("new", "newer", "newest", "last") if name not in names)
    for model in now.judged_pods():
        made = replace(model, name=name, node=now.rng.choice((1, 2)), incarnation=0)
        services = (s for s in now.state.services if s.namespace == made.namespace)
        taken = {key for service in services for key in service.selector}
        labels = {key: value for key, value in made.labels.items() if key not in taken}
        yield (_step(Created(replace(made, labels=Labels(labels)))),)


def _namespace_created_again(now: Situation) -> Iterator[_Steps]:
    """Yield a namespace with a policy, and a new one of that name without."""
    models = now.judged_pods()
    if not models or any(item.name == "w" for item in now.state.namespaces):
        return
    space = Namespace("w", Labels({"ns": "w"}))
    pods: list[Change] = [
        Created(replace(models[0], namespace="w", name="a", node=1, incarnation=0))
    ]
    types = now.rng.choice((["Ingress"], ["Egress"]))
    policy = network_policy("w", "deny", {"podSelector": {}, "policyTypes": types})
    there = PlannedStep(
        "create namespace w with a policy", (Created(space), *pods, Applied(policy))
    )
    again: tuple[Change, ...] = (Deleted("Namespace", "", "w"), Created(space), *pods)
    yield there, PlannedStep("create namespace w again, without a policy", again)


_THEMES: Sequence[ChangeTheme] = (
    _pod_relabelled,
    _namespace_relabelled,
    _policy_updated,
    _policy_updated,
    _policy_replaced,
    _policy_deleted,
    _policy_deleted,
)
_WITH_PODS: Sequence[ChangeTheme] = (
    *_THEMES,
    *_THEMES,
    _pod_restarted,
    _pod_restarted,
    _pod_created,
    _namespace_created_again,
)
_CHANGES_NO_VERDICT = (_pod_restarted, _pod_created, _namespace_created_again)
_MOST_TRIED = 12


def change_themes(scope: Scope) -> Sequence[ChangeTheme]:
    """Return the ways in which steps of that scope change something."""
    return _WITH_PODS if scope is Scope.PODS_TOO else _THEMES


def tier_change_themes(scope: Scope) -> Sequence[ChangeTheme]:
    """Return the ways in which steps change something where policies are in tiers."""
    return (*_THEMES, *(_tier_updated,) * len(_THEMES), *change_themes(scope))


def changed(
    theme: ChangeTheme,
    rng: Random,
    builder: TopologyBuilder,
    can_be: Callable[[State], bool],
) -> tuple[_Steps, frozenset[Probe]]:
    """Make a change that flips pairs and leads to a state that ``can_be`` accepts.

    Return its steps and those pairs, or nothing.
    """
    before = builder.state()
    now = Situation(rng, before, seen(before))
    for _, steps in zip(range(_MOST_TRIED), theme(now), strict=False):
        trial = TopologyBuilder(before)
        if not _make(trial, steps) or not can_be(trial.state()):
            continue
        flipped = flips(now.seen, seen(trial.state()))
        if flipped or theme in _CHANGES_NO_VERDICT:
            _make(builder, steps)
            return steps, flipped
    return (), frozenset()


def _make(builder: TopologyBuilder, steps: Iterable[PlannedStep]) -> bool:
    try:
        for step in steps:
            for change in step.changes:
                builder.make(change)
    except Conflict:
        return False
    return True


def labels_at_random(rng: Random, state: State) -> Iterator[Change]:
    """Yield labels for some pods, and sometimes one for a namespace."""
    known = _free_keys(state)
    pods = [pod for pod in state.pods if not pod.host_network]
    for pod in rng.sample(pods, min(rng.choice((0, 2, 3)), len(pods))):
        for labels in [*_other_labels(rng, pod.labels, known)][:1]:
            yield from (Labelled(pod.ref, key, value) for key, value in labels.items())
    spaces = selectable(item.labels for item in state.namespaces)
    if state.namespaces and rng.random() < 0.25:
        item = rng.choice(state.namespaces)
        for labels in [*_other_labels(rng, item.labels, spaces)][:1]:
            target = NamespaceRef(item.name)
            yield from (Labelled(target, key, value) for key, value in labels.items())
