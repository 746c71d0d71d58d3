"""Notes beside a verdict, about policies that almost apply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.model import Pod, PodRef, Probe
from harness.oracle.network_policy import NetworkPolicies
from harness.oracle.selectors import selects
from harness.oracle.topology import Topology
from harness.policy import Direction, LabelSelector, NetworkPolicy, Operator, Requirement
from harness.suggest import closest


def notes(topology: Topology, policies: NetworkPolicies, probe: Probe) -> tuple[str, ...]:
    """Return notes about policies that do not isolate an end, although an author may expect it.

    Policies that select no pod come first: most of them have a typo.
    """
    source = topology.pod(probe.source) if isinstance(probe.source, PodRef) else None
    targets = topology.probed(probe)
    ends = [(Direction.EGRESS, source)] if source else []
    ends += [(Direction.INGRESS, pod) for pod in targets]
    open_ends = [(way, pod) for way, pod in ends if not policies.isolating(way, pod)]
    lines = [
        line
        for way, pod in ends
        for policy in policies.known
        for line in _selects_nobody(topology, policy, way, pod)
    ]
    for way, pod in open_ends:
        for policy in policies.known:
            lines += _missed(topology, policy, way, pod)
    if source and (Direction.EGRESS, source) in open_ends:
        isolating = {p for pod in targets for p in policies.isolating(Direction.INGRESS, pod)}
        for policy in policies.known:
            if policy not in isolating and policies.names(policy, topology.party(source)):
                whom = _names(_selected(topology, policy)) or "no pod"
                lines.append(f"{policy} names {source.ref} as a peer, but restricts only {whom}")
    return tuple(f"note: {line}" for line in dict.fromkeys(lines))


def _missed(
    topology: Topology, policy: NetworkPolicy, direction: Direction, pod: Pod
) -> Iterator[str]:
    """Yield why a policy does not isolate a pod in that direction, if it almost does."""
    matches = selects(policy.pod_selector, pod.labels)
    here = policy.namespace == pod.namespace
    if matches and here:
        types = ", ".join(sorted(policy.policy_types))
        yield f"{policy} selects {pod.ref}, but its policyTypes are [{types}]"
    elif matches and direction in policy.policy_types and policy.pod_selector.requirements:
        yield f"{policy} would select {pod.ref}, but applies only to namespace {policy.namespace}"
    elif here and direction in policy.policy_types:
        selected = _selected(topology, policy)
        if selected:
            yield f"{policy} selects {policy.pod_selector}: {_names(selected)}, not {pod.ref}"


def _selected(topology: Topology, policy: NetworkPolicy) -> list[Pod]:
    found = _pods(topology, policy)
    return [pod for pod in found if selects(policy.pod_selector, pod.labels)]


def _pods(topology: Topology, policy: NetworkPolicy) -> list[Pod]:
    """Return the pods of the policy's namespace."""
    return [pod for pod in topology.state.pods if pod.namespace == policy.namespace]


def _names(pods: list[Pod]) -> str:
    return ", ".join(str(pod.ref) for pod in pods)


# ------------------------------------------------------------------ selectors of no pod


def _selects_nobody(
    topology: Topology, policy: NetworkPolicy, direction: Direction, pod: Pod
) -> Iterator[str]:
    """Yield a note if a policy of the pod's namespace selects no pod, with the nearest labels."""
    acts = policy.namespace == pod.namespace and direction in policy.policy_types
    if not acts or _selected(topology, policy):
        return
    line = f"{policy} selects {policy.pod_selector}: no pod"
    for other in _pods(topology, policy):
        labels = near_labels(policy.pod_selector, other.labels)
        if labels is not None:
            line += f"; {other.ref} has {labels}"
            break
    yield line


def near_labels(selector: LabelSelector, labels: Mapping[str, str]) -> str | None:
    """Return the labels that the selector probably means, or None if there are none."""
    near = []
    for term in selector.requirements:
        if not selects(LabelSelector((term,)), labels):
            label = _near_label(term, labels)
            if label is None:
                return None
            near.append(label)
    return ", ".join(near)


def _near_label(term: Requirement, labels: Mapping[str, str]) -> str | None:
    """Return a label with nearly that value, or with that value under another key."""
    if term.operator is not Operator.IN:
        return None
    if term.key in labels:
        value = labels[term.key]
        return f"{term.key}={value}" if closest(value, term.values) else None
    return next((f"{key}={value}" for key, value in labels.items() if value in term.values), None)
