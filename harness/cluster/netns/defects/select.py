"""Defects of selectors: which pods a policy applies to, which ones a peer yields."""

from __future__ import annotations

from dataclasses import replace

from harness.cluster.netns.compiler.selecting import Matches, Pods, meets
from harness.cluster.netns.compiler.stages import (
    STAGES,
    Block,
    PeerPods,
    Peers,
    peer_pods,
    peers,
    subjects,
)
from harness.cluster.netns.defects.registry import Defect
from harness.model import Labels
from harness.policy import LabelSelector, NetworkPolicy, Operator, Peer, Requirement, Rule


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


def no_expressions(selector: LabelSelector, labels: Labels) -> bool:
    """Only what matchLabels could say counts."""
    plain = (r for r in selector.requirements if r.operator is Operator.IN and len(r.values) == 1)
    return all(meets(requirement, labels) for requirement in plain)


def empty_namespace_selector(matches: Matches, peer: Peer, namespace: str, pods: Pods) -> Pods:
    """An empty namespaceSelector selects the policy's own namespace."""
    if peer.namespace_selector == LabelSelector():
        peer = replace(
            peer, namespace_selector=None, pod_selector=peer.pod_selector or LabelSelector()
        )
    return peer_pods(matches, peer, namespace, pods)


def selector_matches_world(rule: Rule, pods: Pods, peer_pods: PeerPods, block: Block) -> Peers:
    """An empty namespaceSelector is met by every address."""
    found = peers(rule, pods, peer_pods, block)
    everywhere = Peer(namespace_selector=LabelSelector())
    empty = (everywhere, replace(everywhere, pod_selector=LabelSelector()))
    return replace(found, addresses=None) if any(p in empty for p in rule.peers) else found


def empty_set_open(rule: Rule, pods: Pods, peer_pods: PeerPods, block: Block) -> Peers:
    """Selectors that nobody meets do not restrict the rule."""
    found = peers(rule, pods, peer_pods, block)
    return replace(found, addresses=found.addresses or None)


def empty_subject_none(matches: Matches, policy: NetworkPolicy, pods: Pods) -> Pods:
    """An empty podSelector selects no pod of the namespace."""
    return subjects(matches, policy, pods) if policy.pod_selector.requirements else ()


DEFECTS = (
    Defect.in_stages("labels-any", "B09", replace(STAGES, matches=labels_any)),
    Defect.in_stages("notin-any", "B11", replace(STAGES, matches=notin_any)),
    Defect.in_stages("missing-key-false", "B12", replace(STAGES, matches=missing_key_false)),
    Defect.in_stages("peer-all-namespaces", "B15", replace(STAGES, peer_pods=peer_all_namespaces)),
    Defect.in_stages("selectors-union", "B16", replace(STAGES, peer_pods=selectors_union)),
    Defect.in_stages("no-expressions", "B10", replace(STAGES, matches=no_expressions)),
    Defect.in_stages(
        "empty-namespace-selector", "B18", replace(STAGES, peer_pods=empty_namespace_selector)
    ),
    Defect.in_stages(
        "selector-matches-world", "B19", replace(STAGES, peers=selector_matches_world)
    ),
    Defect.in_stages("empty-set-open", "B20", replace(STAGES, peers=empty_set_open)),
    Defect.in_stages("empty-subject-none", "B91", replace(STAGES, subjects=empty_subject_none)),
)
