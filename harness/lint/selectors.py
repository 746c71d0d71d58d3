"""Selectors that select nothing, and peers in two entries that were meant as one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from harness.application import AppNamespace
from harness.lint.inclusion import NAME_LABEL, implies, is_impossible, namespaces_of
from harness.lint.kinds import finding
from harness.lint.knowledge import Item, Knowledge, PartOfRule, listed, places
from harness.lint.values import Finding, Level, Related, Said
from harness.oracle import near_labels, selects
from harness.policy import LabelSelector, Operator, Peer

SELECTS_NO_POD = "selects-no-pod"
IMPOSSIBLE = "impossible-selector"
PEER = "peer-matches-nothing"
NAMESPACE_LABEL = "namespace-without-label"
OR = "or-instead-of-and"

_SYSTEM = ("default", "kube-system", "kube-public", "kube-node-lease")
_NAME_KEYS = frozenset({"name", "namespace", "ns", "kubernetes.io/name", "app.kubernetes.io/name"})


def policies(known: Knowledge) -> Iterator[Finding]:
    """Find policies that select no pod."""
    for item in known.items:
        selector = item.policy.pod_selector
        place = known.place(item, ("spec", "podSelector"))
        if is_impossible(selector):
            yield finding(IMPOSSIBLE, place, _impossible(f"{item} selects {selector}", "pod"))
        elif known.knows(item.policy.namespace):
            if not known.selected(item.policy):
                yield from _of_nobody(known, item)
        elif selector.requirements:
            yield from _elsewhere(known, item)


def _of_nobody(known: Knowledge, item: Item) -> Iterator[Finding]:
    selector, namespace = item.policy.pod_selector, item.policy.namespace
    if _may_be_others(known, selector, [namespace]):
        return
    place = known.place(item, ("spec", "podSelector"))
    fact = f"{item} selects {selector}: no pod"
    near = known.near(selector, [namespace])
    if near is not None:
        yield finding(SELECTS_NO_POD, place, Said(fact, str(near), near.related))
    elif not known.is_left_to_operators(selector):
        found = known.workloads(known.pods_in(namespace))
        hint = f"pods in namespace {namespace} are those of {listed(found)}"
        yield finding(SELECTS_NO_POD, place, Said(fact, hint))


def _may_be_others(known: Knowledge, selector: LabelSelector, names: Sequence[str]) -> bool:
    """Return whether pods of these namespaces may have labels that the manifests do not show."""
    return known.is_given_later(selector) or known.is_made_by_operator(selector, names)


def _elsewhere(known: Knowledge, item: Item) -> Iterator[Finding]:
    """Find a policy without pods in its namespace, where another namespace has such pods."""
    policy = item.policy
    if known.has(item, ("metadata", "namespace")):
        return
    found = known.workloads(
        pod for _, pod in known.first_pods if selects(policy.pod_selector, pod.labels)
    )
    if found:
        fact = (
            f"{item} selects {policy.pod_selector}: no pod, since the manifests have no workload "
            f"in namespace {policy.namespace}"
        )
        hint = f"{listed(found)} has these labels; write metadata.namespace, or use -n"
        place = known.place(item, ("spec", "podSelector"))
        yield finding(SELECTS_NO_POD, place, Said(fact, hint, places(found)))


def _impossible(who: str, what: str) -> Said:
    return Said(
        f"{who}, which no labels can meet", f"two requirements exclude each other: no {what}"
    )


# ------------------------------------------------------------------ peers


def peers(known: Knowledge) -> Iterator[Finding]:
    """Find peers that match nothing, and two that were meant as one."""
    meant_as_one = {id(part.rule): pair for part in known.rules() if (pair := _pair(known, part))}
    for part, peer in known.peers():
        if peer.ip_block is not None:
            continue
        pair = meant_as_one.get(id(part.rule))
        if pair is not None and part.path[-1] in pair:
            if part.path[-1] == pair[1]:
                yield _of_pair(known, part, pair)
            continue
        yield from _of_peer(known, part, peer)


def _of_peer(known: Knowledge, part: PartOfRule, peer: Peer) -> Iterator[Finding]:
    item, home = part.item, part.item.policy.namespace
    place = known.place(item, part.path)
    for selector, what in ((peer.pod_selector, "pod"), (peer.namespace_selector, "namespace")):
        if selector is not None and is_impossible(selector):
            said = _impossible(f"{part.where} a peer is {what}s {selector}", what)
            yield finding(IMPOSSIBLE, place, said)
            return
    if peer.namespace_selector is not None and not known.namespaces_matched(
        peer.namespace_selector
    ):
        yield from _of_no_namespace(known, part, peer.namespace_selector)
        return
    if known.matched(home, peer):
        return
    yield from _of_no_pod(known, part, peer)


def _of_no_pod(known: Knowledge, part: PartOfRule, peer: Peer) -> Iterator[Finding]:
    """Find a peer that matches no known pod; a note if others may be meant."""
    item, home = part.item, part.item.policy.namespace
    is_complete = known.is_complete(home, peer)
    selector = peer.pod_selector or LabelSelector()
    names = [
        found.name
        for found in known.namespaces_matched(namespaces_of(peer, home))
        if known.knows(found.name)
    ]
    if _may_be_others(known, selector, names):
        return
    near = known.near(selector, names)
    fact = f"{part.where} the peer {peer} matches no pod"
    place = known.place(item, part.path)
    if near is not None:
        level = None if is_complete else Level.NOTE
        yield finding(PEER, place, Said(fact, str(near), near.related), level)
    elif is_complete and not known.is_left_to_operators(selector):
        hint = "if other manifests have such pods, name these files too"
        yield finding(PEER, place, Said(fact, hint), Level.NOTE)


def _of_no_namespace(
    known: Knowledge, part: PartOfRule, selector: LabelSelector
) -> Iterator[Finding]:
    """Find a selector of namespaces by a label that names one, and that none is known to have."""
    item = part.item
    names = {found.name for found in known.application.namespaces} | {*_SYSTEM}
    for term in selector.requirements:
        if term.operator is Operator.IN and term.key in _NAME_KEYS and names & {*term.values}:
            fact = f"{part.where} namespaces {selector}, and no namespace has the label {term}"
            hint = f"Kubernetes sets {NAME_LABEL}={term.values[0]}; use that label"
            place = known.place(item, (*part.path, "namespaceSelector"))
            yield finding(NAMESPACE_LABEL, place, Said(fact, hint, _declared(known, term.values)))
            return
    for found in known.application.namespaces:
        if found.location is not None and found.labels:
            labels = near_labels(selector, found.labels)
            if labels is not None:
                fact = f"{part.where} the peer namespaces {selector} matches no namespace"
                related = (Related(f"Namespace {found.name}", found.location),)
                said = Said(fact, f"namespace {found.name} has {labels}", related)
                place = known.place(item, (*part.path, "namespaceSelector"))
                yield finding(PEER, place, said, Level.NOTE)
                return


def _declared(known: Knowledge, names: tuple[str, ...]) -> tuple[Related, ...]:
    found: list[AppNamespace] = [
        item for name in names if (item := known.application.namespace(name)) is not None
    ]
    return tuple(
        Related(f"Namespace {item.name}", item.location)
        for item in found
        if item.location is not None
    )


# ------------------------------------------------------------------ two entries


def _pair(known: Knowledge, part: PartOfRule) -> tuple[int, int] | None:
    """Return the indices of two neighbours that were meant as one peer, or None."""
    for (first, one), (second, other) in itertools.pairwise(enumerate(part.rule.peers)):
        pods, namespaces = (one, other) if one.namespace_selector is None else (other, one)
        if _are_halves(pods, namespaces) and _are_meant_as_one(known, part, pods, namespaces):
            return first, second
    return None


def _are_halves(pods: Peer, namespaces: Peer) -> bool:
    return (
        pods.pod_selector is not None
        and bool(pods.pod_selector.requirements)
        and pods.namespace_selector is None
        and namespaces.namespace_selector is not None
        and namespaces.pod_selector is None
    )


def _are_meant_as_one(known: Knowledge, part: PartOfRule, pods: Peer, namespaces: Peer) -> bool:
    """Return whether the entry of pods has no effect of its own, or matches nothing."""
    home = part.item.policy.namespace
    if implies(namespaces_of(pods, home), namespaces_of(namespaces, home)):
        return True
    if not known.knows(home) or known.matched(home, pods):
        return False
    one = Peer(pods.pod_selector, namespaces.namespace_selector)
    return bool(known.matched(home, one)) or not known.is_complete(home, one)


def _of_pair(known: Knowledge, part: PartOfRule, pair: tuple[int, int]) -> Finding:
    one, other = (part.rule.peers[index] for index in pair)
    pods, namespaces = (one, other) if one.namespace_selector is None else (other, one)
    item = part.item
    fact = (
        f"{part.where} two entries, {one} and {other}, admit every pod of the namespaces "
        f"{namespaces.namespace_selector}"
    )
    both = Peer(pods.pod_selector, namespaces.namespace_selector)
    hint = f"for {both}, write both selectors in one entry, without the second '-'"
    first = known.place(item, (*part.path[:-1], pair[0])).location
    return finding(
        OR, known.place(item, part.path), Said(fact, hint, (Related("the first entry", first),))
    )
