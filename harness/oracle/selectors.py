"""Label selectors: whether labels meet them, and which do not."""

from __future__ import annotations

from collections.abc import Mapping

from harness.model import Namespace, Pod, State
from harness.policy import LabelSelector, NetworkPolicy, Operator, Policy, Requirement
from harness.policy.tiers import SelectedPods, TierPolicy


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Return whether the labels meet all requirements of a selector (R40, R42)."""
    return all(_holds(term, labels) for term in selector.requirements)


def _holds(term: Requirement, labels: Mapping[str, str]) -> bool:
    match term.operator:
        case Operator.IN:
            return labels.get(term.key) in term.values
        case Operator.NOT_IN:
            return labels.get(term.key) not in term.values
        case Operator.EXISTS:
            return term.key in labels
        case Operator.DOES_NOT_EXIST:
            return term.key not in labels


def unlike(selector: LabelSelector, labels: Mapping[str, str]) -> str:
    """Return the labels that do not meet the requirements of the selector."""
    missed = [term for term in selector.requirements if not _holds(term, labels)]
    has = [
        f"{term.key}={labels[term.key]}" if term.key in labels else f"no label {term.key}"
        for term in missed
    ]
    return ", ".join(dict.fromkeys(has))


# ------------------------------------------------------------------ pods


def subjects(state: State, policy: Policy) -> tuple[Pod, ...]:
    """Return the pods that a policy is for (R01, T02, T11)."""
    match policy:
        case NetworkPolicy():
            here = (pod for pod in state.pods if pod.namespace == policy.namespace)
            return tuple(pod for pod in here if selects(policy.pod_selector, pod.labels))
        case TierPolicy():
            spaces = {space.name: space for space in state.namespaces}
            return tuple(
                pod
                for pod in state.pods
                if not pod.host_network
                and missed(policy.subject, spaces.get(pod.namespace), pod) is None
            )


def missed(selected: SelectedPods, namespace: Namespace | None, pod: Pod) -> str | None:
    """Return why labels do not select a pod of that namespace, or None if they do (T09, T10)."""
    labels = (namespace or Namespace(pod.namespace)).all_labels
    if not selects(selected.namespaces, labels):
        return f"namespace {pod.namespace} has {unlike(selected.namespaces, labels)}"
    if selected.pods is not None and not selects(selected.pods, pod.labels):
        return f"{pod.ref} has {unlike(selected.pods, pod.labels)}"
    return None
