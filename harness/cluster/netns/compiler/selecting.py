"""Which pods label selectors select: what the layers of all kinds of policy begin with."""

from __future__ import annotations

from collections.abc import Callable

from harness.cluster.netns.compiler.values import Endpoint
from harness.model import Labels
from harness.policy import LabelSelector, Operator, Requirement


def meets(requirement: Requirement, labels: Labels) -> bool:
    """A missing key satisfies NotIn and DoesNotExist (R44)."""
    value = labels.get(requirement.key)
    match requirement.operator:
        case Operator.IN:
            return value is not None and value in requirement.values
        case Operator.NOT_IN:
            return value is None or value not in requirement.values
        case Operator.EXISTS:
            return value is not None
        case Operator.DOES_NOT_EXIST:
            return value is None


def matches(selector: LabelSelector, labels: Labels) -> bool:
    """Every requirement holds; an empty selector has none (R40, R41)."""
    return all(meets(requirement, labels) for requirement in selector.requirements)


Matches = Callable[[LabelSelector, Labels], bool]
Pods = tuple[Endpoint, ...]
