"""Policies in tiers: subjects without pods, rules that decide nothing, and equal priorities."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence

from harness.lint.inclusion import NAME_LABEL, is_impossible
from harness.lint.kinds import finding
from harness.lint.knowledge import Knowledge, TierItem, listed, places
from harness.lint.selectors import IMPOSSIBLE
from harness.lint.tier_rules import includes, may_meet, may_share_pods, size_of_policy
from harness.lint.values import Finding, Level, Related, Said
from harness.oracle import near_labels, selects
from harness.policy import Direction, LabelSelector, kind_of
from harness.policy.admin_network_policy import ADMIN_KIND, BASELINE_KIND
from harness.policy.tiers import RuleAction, SelectedPods, Tier, TierRule

SUBJECT = "subject-selects-no-pod"
PASS = "pass-skips-nothing"  # noqa: S105  # a kind of finding
HIDDEN = "hidden-rule"
EQUAL = "equal-priorities"
UNSUPPORTED = "not-supported-by-the-api"
NOT_REACHED = "baseline-not-reached"

_SYSTEM = "kube-system"
_SAYS_ALLOW = frozenset({ADMIN_KIND, BASELINE_KIND})
"""The kinds whose action Allow is called Accept elsewhere."""
_MOST_WORDS = 2_000
"""Of larger policies the rules are not compared: that takes time with the square."""
_EVERYTHING = LabelSelector()


def tiers(known: Knowledge) -> Iterator[Finding]:
    """Find what is probably wrong with the policies in tiers."""
    compared = known.tiers if are_compared(known) else ()
    for item in known.tiers:
        yield from _subject(known, item)
        yield from _unsupported(known, item)
        yield from _not_reached(known, item)
    for item in compared:
        yield from _rules(known, item)
    yield from _equal(known, compared)


def are_compared(known: Knowledge) -> bool:
    """Return whether the policies are few enough for their rules to be compared."""
    return sum(size_of_policy(item.policy) for item in known.tiers) <= _MOST_WORDS


def _where(item: TierItem, direction: Direction, index: int) -> str:
    return f"{item}, {direction.lower()} rule {index + 1}"


def _action(item: TierItem, rule: TierRule) -> str:
    if rule.action is RuleAction.ACCEPT and item.policy.kind in _SAYS_ALLOW:
        return "Allow"
    return str(rule.action)


# ------------------------------------------------------------------ subjects


def _subject(known: Knowledge, item: TierItem) -> Iterator[Finding]:
    """Find a subject that selects no pod; of several reasons, the surest."""
    subject = item.policy.subject
    place = known.place(item, ("spec", "subject"))
    for selector, what in ((subject.pods, "pod"), (subject.namespaces, "namespace")):
        if selector is not None and is_impossible(selector):
            fact = f"{item} selects {what}s {selector}, which no labels can meet"
            hint = f"two requirements exclude each other: no {what}"
            yield finding(IMPOSSIBLE, place, Said(fact, hint))
            return
    if known.subjects(item):
        return
    spaces = known.namespaces_matched(subject.namespaces)
    said = _of_no_pod(known, item, [space.name for space in spaces])
    said = said if spaces else _of_no_namespace(known, item)
    if said is not None:
        yield finding(SUBJECT, place, said)


def _of_no_namespace(known: Knowledge, item: TierItem) -> Said | None:
    selector = item.policy.subject.namespaces
    for space in known.application.namespaces:
        labels = near_labels(selector, space.labels) if space.labels else None
        if labels is not None and space.location is not None:
            fact = f"{item} selects namespaces {selector}: no namespace"
            related = (Related(f"Namespace {space.name}", space.location),)
            return Said(fact, f"namespace {space.name} has {labels}", related)
    return None


def _of_no_pod(known: Knowledge, item: TierItem, spaces: Sequence[str]) -> Said | None:
    subject = item.policy.subject
    pods = subject.pods or _EVERYTHING
    names = [name for name in spaces if known.knows(name)]
    fact = f"{item} selects {subject}: no pod"
    on_host = known.workloads(
        pod for name in names for pod in known.pods_in(name) if selects(pods, pod.labels)
    )
    if on_host:
        hint = f"{listed(on_host)} is on the network of its node; such pods are no subjects (T11)"
        return Said(fact, hint, places(on_host))
    if known.is_given_later(pods) or known.is_made_by_operator(pods, names):
        return None
    near = known.near(pods, names)
    if near is not None:
        return Said(fact, str(near), near.related)
    if known.is_pinned(subject.namespaces) and names and not known.is_left_to_operators(pods):
        found = known.workloads(pod for name in names for pod in known.pods_in(name))
        return Said(fact, f"pods of these namespaces are those of {listed(found)}")
    return None


# ------------------------------------------------------------------ rules that decide nothing


def _rules(known: Knowledge, item: TierItem) -> Iterator[Finding]:
    """Find rules that an earlier one hides, and a Pass that skips nothing."""
    for direction in Direction:
        rules = item.policy.rules(direction)
        for index, rule in enumerate(rules):
            place = known.place(item, ("spec", direction.lower(), index))
            earlier = _hiding(rules, index)
            if earlier is not None:
                said = _hidden(known, item, direction, (index, earlier))
                level = Level.NOTE if rule.action is rules[earlier].action else None
                yield finding(HIDDEN, place, said, level)
            elif rule.action is RuleAction.PASS and not _is_followed(
                known, item, direction, index
            ):
                fact = (
                    f"{_where(item, direction, index)}: Pass, and no later rule of the "
                    f"{item.policy.tier} tier accepts or denies anything that it matches"
                )
                hint = "it skips nothing; write it before the rule from which it is an exception"
                yield finding(PASS, place, Said(fact, hint))


def _hiding(rules: Sequence[TierRule], index: int) -> int | None:
    """Return the number of the first earlier rule that matches all that a rule does."""
    earlier = enumerate(rules[:index])
    return next((number for number, rule in earlier if includes(rule, rules[index])), None)


def _hidden(
    known: Knowledge, item: TierItem, direction: Direction, numbers: tuple[int, int]
) -> Said:
    index, earlier = numbers
    rule, wider = (item.policy.rules(direction)[number] for number in numbers)
    fact = (
        f"{_where(item, direction, index)}: decides nothing, since rule {earlier + 1} matches all "
        "that it does"
    )
    hint = f"rule {earlier + 1} has {_action(item, wider)} as well; remove one of them"
    if rule.action is not wider.action:
        hint = (
            f"the first matching rule decides, here {_action(item, wider)}; write the one with "
            f"{_action(item, rule)} before it"
        )
    other = known.place(item, ("spec", direction.lower(), earlier)).location
    return Said(fact, hint, (Related(f"rule {earlier + 1}", other),))


def _is_followed(known: Knowledge, item: TierItem, direction: Direction, index: int) -> bool:
    """Return whether a later rule may decide otherwise about what a Pass matches."""
    policy = item.policy
    later = [*policy.rules(direction)[index + 1 :]]
    for other in known.tiers:
        is_later = other.policy.tier is policy.tier and other.policy.priority >= policy.priority
        is_other = is_later and other is not item
        if is_other and may_share_pods(policy.subject, other.policy.subject):
            later += other.policy.rules(direction)
    rule = policy.rules(direction)[index]
    return any(may_meet(rule, one) for one in later if one.action is not RuleAction.PASS)


# ------------------------------------------------------------------ equal priorities


def _equal(known: Knowledge, items: Sequence[TierItem]) -> Iterator[Finding]:
    """Find policies of one tier and priority that decide differently about some connection."""
    with_priority = [item for item in items if item.policy.kind != BASELINE_KIND]
    for one, other in itertools.combinations(with_priority, 2):
        policy, later = one.policy, other.policy
        if (policy.tier, policy.priority) == (later.tier, later.priority):
            pair = _differing(one, other)
            if pair is not None:
                yield _of_equal(known, one, other, pair)


def _differing(
    one: TierItem, other: TierItem
) -> tuple[Direction, tuple[int, TierRule], tuple[int, TierRule]] | None:
    if not may_share_pods(one.policy.subject, other.policy.subject):
        return None
    for direction in Direction:
        mine, theirs = (
            [
                (index, rule)
                for index, rule in enumerate(item.policy.rules(direction))
                if _hiding(item.policy.rules(direction), index) is None
            ]
            for item in (one, other)
        )
        for first, second in itertools.product(mine, theirs):
            if first[1].action is not second[1].action and may_meet(first[1], second[1]):
                return direction, first, second
    return None


def _of_equal(
    known: Knowledge,
    one: TierItem,
    other: TierItem,
    pair: tuple[Direction, tuple[int, TierRule], tuple[int, TierRule]],
) -> Finding:
    direction, (index, rule), (number, against) = pair
    shared = [pod for pod in known.subjects(one) if pod in known.subjects(other)]
    for_whom = f" for {listed(known.workloads(shared))}" if shared else ""
    fact = (
        f"{one} and {other} have the same priority {one.policy.priority} in the "
        f"{one.policy.tier} tier, so either may decide{for_whom}: {direction.lower()} rule "
        f"{index + 1} ({_action(one, rule)}) or rule {number + 1} ({_action(other, against)})"
    )
    hint = "give each its own priority; the lower one is evaluated first"
    related = (Related(str(one), known.place(one, ("spec", "priority")).location),)
    place = known.place(other, ("spec", "priority"))
    level = None if shared else Level.NOTE
    return finding(EQUAL, place, Said(fact, hint, related), level)


# ------------------------------------------------------------------ what has no effect


def _unsupported(known: Knowledge, item: TierItem) -> Iterator[Finding]:
    """Find what the API server accepts and the text of the API does not support."""
    kind = kind_of(item.manifest)
    for fault in kind.warnings(json.loads(item.manifest.json)) if kind else ():
        said = Said(f"{item}: {fault.message}", fault.hint)
        yield finding(UNSUPPORTED, known.place(item, fault.path), said)


def _not_reached(known: Knowledge, item: TierItem) -> Iterator[Finding]:
    """Find rules of the Baseline tier of which NetworkPolicies isolate every known subject."""
    pods = known.subjects(item)
    if item.policy.tier is not Tier.BASELINE or not pods or _has_system(known, item):
        return
    for direction in Direction:
        isolated = item.policy.acts_on(direction) and all(
            known.judge.isolating(direction, pod) for pod in pods
        )
        if isolated:
            found = known.workloads(pods)
            fact = (
                f"{item}: its rules for {direction.lower()} are never evaluated for "
                f"{listed(found)}, all pods of the manifests that it selects"
            )
            hint = "NetworkPolicies isolate them, and make the final decision (T21)"
            place = known.place(item, ("spec", direction.lower()))
            yield finding(NOT_REACHED, place, Said(fact, hint, places(found)))


def _has_system(known: Knowledge, item: TierItem) -> bool:
    """Return whether a subject selects pods of the cluster itself that are not shown."""
    subject: SelectedPods = item.policy.subject
    return not known.knows(_SYSTEM) and selects(subject.namespaces, {NAME_LABEL: _SYSTEM})
