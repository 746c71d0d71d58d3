"""Pods that no policy isolates, and pods that one isolates by accident."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.application import Workload
from harness.lint.kinds import finding
from harness.lint.knowledge import Item, Knowledge, listed, of_workload, places
from harness.lint.tier_rules import matches_everything
from harness.lint.values import Finding, Level, Place, Related, Said
from harness.model import Pod
from harness.policy import Direction
from harness.policy.tiers import RuleAction

WITHOUT_POLICY = "namespace-without-policy"
NOT_ISOLATED = "not-isolated"
EGRESS = "egress-not-isolated"
ACCIDENT = "isolated-by-accident"
NO_TYPE = "section-without-type"
HOST_NETWORK = "selects-host-network"

_SYSTEM = "kube-system"
"""Its policies, if any, belong to the cluster and not to an application."""


def namespaces(known: Knowledge) -> Iterator[Finding]:
    """Find namespaces with workloads and without any policy."""
    with_policies = {item.policy.namespace for item in known.items} | {_SYSTEM}
    by_namespace: dict[str, list[Workload]] = {}
    for workload, pod in known.first_pods:
        is_open = pod.namespace not in with_policies and _may_be_isolated(known, pod)
        if is_open and _is_open(known, Direction.INGRESS, pod):
            by_namespace.setdefault(pod.namespace, []).append(workload)
    for name, found in by_namespace.items():
        namespace = known.application.namespace(name)
        place = of_workload(found[0])
        if namespace is not None and namespace.location is not None:
            place = Place(f"Namespace {name}", namespace.location, namespace.location)
        pods = [pod for workload, pod in known.first_pods if workload in found]
        but = _but(known, Direction.INGRESS, pods)
        fact = f"namespace {name} has no NetworkPolicy: every pod reaches {listed(found)}{but}"
        hint = "begin with a policy that selects every pod (podSelector: {}) and has no rule"
        yield finding(WITHOUT_POLICY, place, Said(fact, hint, places(found)))


def _may_be_isolated(known: Knowledge, pod: Pod) -> bool:
    return not pod.host_network and known.is_judged(pod)


def _is_open(known: Knowledge, direction: Direction, pod: Pod) -> bool:
    """Return whether no policy isolates a pod in a direction, and no tier denies it everything."""
    isolating = known.judge.isolating(direction, pod)
    denying = known.rules_for(pod, direction, RuleAction.DENY)
    return not isolating and not any(map(matches_everything, denying))


def _but(known: Knowledge, direction: Direction, pods: Sequence[Pod]) -> str:
    """Return what follows a sentence about all connections of some pods."""
    denied = any(known.rules_for(pod, direction, RuleAction.DENY) for pod in pods)
    return ", but for what a tier denies" if denied else ""


def workloads(known: Knowledge) -> Iterator[Finding]:
    """Find workloads that no policy isolates, in namespaces with policies."""
    with_policies = {item.policy.namespace for item in known.items}
    for workload, pod in known.first_pods:
        if pod.namespace in with_policies and _may_be_isolated(known, pod):
            found = _of_workload(known, workload, pod)
            if found is not None:
                yield found


def _of_workload(known: Knowledge, workload: Workload, pod: Pod) -> Finding | None:
    ingress, egress = (
        _is_open(known, direction, pod) for direction in (Direction.INGRESS, Direction.EGRESS)
    )
    place = of_workload(workload)
    if ingress:
        but = _but(known, Direction.INGRESS, [pod])
        also = ", and it reaches everything" if egress else ""
        also += _but(known, Direction.EGRESS, [pod]) if egress and not but else ""
        fact = f"no policy isolates {workload} for ingress: every pod reaches it{also}{but}"
        hint = f"a policy for it selects one of its labels: {pod.labels}"
        level = None if pod.ports else Level.NOTE
        if level:
            fact = f"no policy isolates {workload} for ingress; it declares no port"
        return finding(NOT_ISOLATED, place, Said(fact, hint), level)
    if egress:
        fact = f"no policy isolates {workload} for egress: it reaches everything"
        fact += _but(known, Direction.EGRESS, [pod])
        hint = "a policy for egress has Egress in its policyTypes"
        return finding(EGRESS, place, Said(fact, hint))
    return None


# ------------------------------------------------------------------ policyTypes


def policy_types(known: Knowledge) -> Iterator[Finding]:
    """Find policies that isolate for ingress by accident, and sections that do not count."""
    for item in known.items:
        yield from _by_accident(known, item)
        for direction in Direction:
            yield from _without_type(known, item, direction)


def _by_accident(known: Knowledge, item: Item) -> Iterator[Finding]:
    """Find a policy with egress rules alone and no policyTypes, that alone isolates a pod."""
    policy = item.policy
    if known.has(item, ("spec", "policyTypes", 0)) or not policy.egress or policy.ingress:
        return
    if known.has(item, ("spec", "ingress")):
        return
    alone = [
        pod
        for pod in known.selected(policy)
        if known.judge.isolating(Direction.INGRESS, pod) == (policy,)
    ]
    if known.selected(policy) and not alone:
        return
    accepts = any(known.rules_for(pod, Direction.INGRESS, RuleAction.ACCEPT) for pod in alone)
    verb = "only what a tier accepts reaches" if accepts else "nothing reaches"
    whom = f": {verb} {listed(known.workloads(alone))}" if alone else ""
    fact = f"{item} has egress rules and no policyTypes, so it also isolates for ingress{whom}"
    hint = "for egress alone, write policyTypes: [Egress]; else write both types"
    place = known.place(item, ("spec", "egress"))
    yield finding(ACCIDENT, place, Said(fact, hint, places(known.workloads(alone))))


def _without_type(known: Knowledge, item: Item, direction: Direction) -> Iterator[Finding]:
    """Find a section of rules whose direction the policy is not about."""
    policy, path = item.policy, ("spec", direction.lower())
    if direction in policy.policy_types or not known.has(item, path):
        return
    types = ", ".join(sorted(policy.policy_types))
    place = known.place(item, path)
    if known.has(item, ("spec", "policyTypes", 0)):
        fact = f"{item} has a section {direction.lower()}, and its policyTypes are [{types}]"
        hint = f"the section does not count; add {direction} to policyTypes, or remove it"
    else:
        fact = f"{item} has an empty section {direction.lower()} and no policyTypes"
        hint = f"it does not isolate for {direction.lower()}; write policyTypes: [{direction}]"
    yield finding(NO_TYPE, place, Said(fact, hint))


# ------------------------------------------------------------------ hostNetwork


def host_network(known: Knowledge) -> Iterator[Finding]:
    """Find policies that select pods on the network of their node by their labels."""
    for item in known.items:
        pods = known.selected(item.policy)
        on_host = known.workloads(pod for pod in pods if pod.host_network)
        if on_host and item.policy.pod_selector.requirements:
            fact = f"{item} selects pods on the network of their node: {listed(on_host)}"
            hint = "a network plugin may ignore policies for such pods; use a firewall of the node"
            related = tuple(Related(str(w), w.location) for w in on_host[:5])
            place = known.place(item, ("spec", "podSelector"))
            yield finding(HOST_NETWORK, place, Said(fact, hint, related))
