"""Two defects at the same time, as one plugin had them.

Two defects of different parts or stages are both switched on. Two that change what the CNI
believes, or the rules of a policy, act one after the other. Of two in any other stage, the second
one acts where it is wrong, and the first one elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.cluster.netns.compiler.stages import STAGES, Stages
from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.parts import PARTS, Observe, Parts, Snapshot
from harness.errors import UsageError
from harness.policy import Direction, NetworkPolicy, Rule

Rules = Callable[[NetworkPolicy, Direction], tuple[Rule, ...]]


def together(first: Defect, second: Defect) -> Parts:
    """Return the parts with both defects. Raises UsageError if they cannot be on together."""
    one, other = _changed(first.parts, PARTS), _changed(second.parts, PARTS)
    for name in one.keys() & other.keys() - {"stages", "observe"}:
        fact = f"{first.name} and {second.name} cannot be on together: both replace {name}"
        raise UsageError(fact, "switch on one of them")
    both = {**one, **other}
    if "stages" in one.keys() & other.keys():
        both["stages"] = _stages(first.parts.stages, second.parts.stages)
    if "observe" in one.keys() & other.keys():
        both["observe"] = _observe(first.parts.observe, second.parts.observe)
    return replace(PARTS, **both)


def _changed(parts: Any, right: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that differ from the right ones."""
    fields = (field.name for field in dataclasses.fields(parts))
    return {
        name: getattr(parts, name)
        for name in fields
        if getattr(parts, name) is not getattr(right, name)
    }


def _stages(first: Stages, second: Stages) -> Stages:
    one, other = _changed(first, STAGES), _changed(second, STAGES)
    both = {**one, **other}
    for name in one.keys() & other.keys():
        both[name] = (
            _rules(one[name], other[name])
            if name == "rules"
            else _where_wrong(getattr(STAGES, name), one[name], other[name])
        )
    return replace(STAGES, **both)


def _rules(first: Rules, second: Rules) -> Rules:
    def rules(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
        found = first(policy, direction)
        ingress = direction is Direction.INGRESS
        changed = replace(policy, ingress=found) if ingress else replace(policy, egress=found)
        return second(changed, direction)

    return rules


def _where_wrong(
    right: Callable[..., Any], first: Callable[..., Any], second: Callable[..., Any]
) -> Callable[..., Any]:
    def stage(*arguments: Any) -> Any:
        found = second(*arguments)
        return first(*arguments) if found == right(*arguments) else found

    return stage


def _observe(first: Observe, second: Observe) -> Observe:
    def observe(believed: Snapshot | None, now: Snapshot) -> Snapshot:
        return second(believed, first(believed, now))

    return observe
