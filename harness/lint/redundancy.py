"""Policies and rules that change nothing beside the others, in any cluster.

A policy is redundant if others select all its pods in each of its directions, and admit all that
it admits. Only inclusion in general counts: what is redundant for the pods of today alone is not
reported. Policies that are already reported support no other report, so all of them can go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.lint.inclusion import implies, is_impossible, rule_in, size_of, size_of_rule
from harness.lint.kinds import finding
from harness.lint.knowledge import Item, Knowledge
from harness.lint.values import Finding, Related, Said
from harness.policy import Direction, Rule

POLICY = "redundant-policy"
RULE = "redundant-rule"
_MOST_COMPARED = 1_000_000


class _Budget:
    """How many comparisons are left; a hostile folder must not take hours."""

    def __init__(self) -> None:
        self.left = _MOST_COMPARED

    def covers(self, item: Item, other: Item) -> bool:
        """Return whether another policy of the namespace selects all pods of one."""
        mine, theirs = item.policy.pod_selector, other.policy.pod_selector
        self.left -= size_of(mine) * size_of(theirs)
        return self.left > 0 and implies(mine, theirs)

    def includes(self, wider: Rule, rule: Rule, home: str) -> bool:
        """Return whether one rule admits all that another admits."""
        self.left -= size_of_rule(rule) * size_of_rule(wider)
        return self.left > 0 and rule_in(rule, wider, home)


def redundancy(known: Knowledge) -> Iterator[Finding]:
    """Find redundant policies, and redundant rules of the others."""
    budget = _Budget()
    by_namespace: dict[str, list[Item]] = {}
    for item in known.items:
        if not is_impossible(item.policy.pod_selector):
            by_namespace.setdefault(item.policy.namespace, []).append(item)
    for items in by_namespace.values():
        kept = list(items)
        for item in reversed(items):
            others = [other for other in kept if other is not item and budget.covers(item, other)]
            supports = _supports(budget, item, others)
            if supports:
                kept.remove(item)
                yield _of_policy(known, item, supports)
        for item in kept:
            yield from _rules(known, budget, item)


def _supports(budget: _Budget, item: Item, others: Sequence[Item]) -> tuple[Item, ...]:
    """Return the policies beside which one is redundant; none if it is not."""
    found: list[Item] = []
    for direction in sorted(item.policy.policy_types):
        acting = [other for other in others if direction in other.policy.policy_types]
        if not acting:
            return ()
        for rule in item.policy.rules(direction):
            by = next(
                (
                    other
                    for other in acting
                    for wider in other.policy.rules(direction)
                    if budget.includes(wider, rule, item.policy.namespace)
                ),
                None,
            )
            if by is None:
                return ()
            found.append(by)
        if not item.policy.rules(direction):
            found.append(acting[0])
    return tuple(dict.fromkeys(found))


def _of_policy(known: Knowledge, item: Item, supports: Sequence[Item]) -> Finding:
    by = ", ".join(str(other) for other in supports)
    fact = f"{item} changes nothing beside {by}, in any cluster"
    hint = "remove it, or narrow the other"
    related = tuple(Related(str(other), other.location) for other in supports)
    return finding(POLICY, known.place(item), Said(fact, hint, related))


def _rules(known: Knowledge, budget: _Budget, item: Item) -> Iterator[Finding]:
    """Find rules of a policy that another of its rules includes."""
    for direction in sorted(item.policy.policy_types):
        rules = item.policy.rules(direction)
        gone: set[int] = set()
        for index in reversed(range(len(rules))):
            others = (other for other in range(len(rules)) if other not in {index, *gone})
            home = item.policy.namespace
            wider = next(
                (other for other in others if budget.includes(rules[other], rules[index], home)),
                None,
            )
            if wider is not None:
                gone.add(index)
                yield _of_rule(known, item, direction, (index, wider))


def _of_rule(
    known: Knowledge, item: Item, direction: Direction, numbers: tuple[int, int]
) -> Finding:
    index, wider = numbers
    section = direction.lower()
    fact = f"{item}, {section} rule {index + 1}: admits nothing that rule {wider + 1} does not"
    other = known.place(item, ("spec", section, wider)).location
    said = Said(fact, "remove it, or narrow the other", (Related(f"rule {wider + 1}", other),))
    return finding(RULE, known.place(item, ("spec", section, index)), said)
