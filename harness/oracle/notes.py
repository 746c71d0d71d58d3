"""Notes beside a verdict: the policies that nearly decided otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model import Pod, PodRef, Probe
from harness.oracle.network_policy import NetworkPolicies, selects
from harness.oracle.topology import Topology
from harness.policy import Direction, NetworkPolicy


def notes(topology: Topology, policies: NetworkPolicies, probe: Probe) -> tuple[str, ...]:
    """Name the policies that an author may think of, and that do not isolate an end."""
    source = topology.pod(probe.source) if isinstance(probe.source, PodRef) else None
    targets = topology.probed(probe)
    isolated = {policy for pod in targets for policy in policies.isolating(Direction.INGRESS, pod)}
    ends = [(Direction.EGRESS, source)] if source else []
    ends += [(Direction.INGRESS, pod) for pod in targets]
    lines: list[str] = []
    for direction, pod in ends:
        if not policies.isolating(direction, pod):
            for policy in policies.known:
                lines += _missed(topology, policy, direction, pod)
    if source and not policies.isolating(Direction.EGRESS, source):
        party = topology.party(source)
        for policy in policies.known:
            if policy not in isolated and policies.names(policy, party):
                whom = _chosen(topology, policy)
                lines.append(f"{policy} admits {source.ref}, which restricts {whom} alone")
    return tuple(f"near miss: {line}" for line in dict.fromkeys(lines))


def _missed(
    topology: Topology, policy: NetworkPolicy, direction: Direction, pod: Pod
) -> Iterator[str]:
    """Say why a policy does not isolate a pod in that direction, if one might think so."""
    matches = selects(policy.pod_selector, pod.labels)
    here = policy.namespace == pod.namespace
    if matches and here:
        types = ", ".join(sorted(policy.policy_types))
        yield f"{policy} selects {pod.ref}, but its policyTypes are [{types}]"
    elif matches and direction in policy.policy_types and policy.pod_selector.requirements:
        yield f"{policy} would select {pod.ref}, but acts in namespace {policy.namespace} alone"
    elif here and direction in policy.policy_types:
        whom = _chosen(topology, policy)
        yield f"{policy} selects {policy.pod_selector}: {whom}, not {pod.ref}"


def _chosen(topology: Topology, policy: NetworkPolicy) -> str:
    chosen = [
        str(pod.ref)
        for pod in topology.state.pods
        if pod.namespace == policy.namespace and selects(policy.pod_selector, pod.labels)
    ]
    return ", ".join(chosen) or "no pod"
