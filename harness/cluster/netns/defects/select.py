"""Defects of selectors: which pods a policy applies to, which ones a peer yields."""

from __future__ import annotations

from dataclasses import replace

from harness.cluster.netns.compiler.stages import STAGES, Matches, Pods, meets, peer_pods
from harness.cluster.netns.defects.registry import Defect
from harness.model import Labels
from harness.policy import LabelSelector, Operator, Peer, Requirement


def labels_any(selector: LabelSelector, labels: Labels) -> bool:
    """One label is enough."""
    return not selector.requirements or any(meets(r, labels) for r in selector.requirements)


def notin_any(selector: LabelSelector, labels: Labels) -> bool:
    """NotIn of several values holds where one of them differs."""

    def holds(requirement: Requirement) -> bool:
        if requirement.operator is not Operator.NOT_IN:
            return meets(requirement, labels)
        return any(labels.get(requirement.key) != value for value in requirement.values)

    return all(map(holds, selector.requirements))


def missing_key_false(selector: LabelSelector, labels: Labels) -> bool:
    """No requirement holds where the key is missing."""
    return all(r.key in labels and meets(r, labels) for r in selector.requirements)


def peer_all_namespaces(matches: Matches, peer: Peer, namespace: str, pods: Pods) -> Pods:
    """A podSelector alone is met by pods of every namespace."""
    everywhere = replace(peer, namespace_selector=peer.namespace_selector or LabelSelector())
    return () if peer.ip_block else peer_pods(matches, everywhere, namespace, pods)


def selectors_union(matches: Matches, peer: Peer, namespace: str, pods: Pods) -> Pods:
    """Two selectors in one entry are an OR."""
    halves = (replace(peer, namespace_selector=None), replace(peer, pod_selector=None))
    chosen = {pod for half in halves for pod in peer_pods(matches, half, namespace, pods)}
    return tuple(pod for pod in pods if pod in chosen)


DEFECTS = (
    Defect.in_stages("labels-any", "B09", replace(STAGES, matches=labels_any)),
    Defect.in_stages("notin-any", "B11", replace(STAGES, matches=notin_any)),
    Defect.in_stages("missing-key-false", "B12", replace(STAGES, matches=missing_key_false)),
    Defect.in_stages("peer-all-namespaces", "B15", replace(STAGES, peer_pods=peer_all_namespaces)),
    Defect.in_stages("selectors-union", "B16", replace(STAGES, peer_pods=selectors_union)),
)
