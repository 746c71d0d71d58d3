"""Whether all that one selector, peer, port or rule admits is admitted by another, in any cluster.

Labels of different keys are independent, so a selector implies a requirement if it does for each
value of its key that one of them names, for another value, and for none. What a selector selects
is asked of the oracle alone.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterator

from harness import cidr
from harness.oracle import selects
from harness.policy import (
    IPBlock,
    LabelSelector,
    Operator,
    Peer,
    PolicyPort,
    Requirement,
    Rule,
    placeholder,
)

NAME_LABEL = "kubernetes.io/metadata.name"
_ANOTHER = "another value"
_MOST_VALUES = 50
"""Of selectors with more values nothing is known: comparing takes time with their square."""


@functools.lru_cache(maxsize=65_536)
def is_impossible(selector: LabelSelector) -> bool:
    """Return whether no labels at all can meet a selector."""
    if size_of(selector) > _MOST_VALUES:
        return False
    return any(not list(_possible(selector, key, selector)) for key in _keys(selector))


@functools.lru_cache(maxsize=65_536)
def implies(one: LabelSelector, other: LabelSelector) -> bool:
    """Return whether all labels that meet one selector meet the other."""
    if not other.requirements or one == other:
        return True
    if size_of(one) + size_of(other) > _MOST_VALUES:
        return False
    return is_impossible(one) or all(_implies(one, term) for term in other.requirements)


def _implies(one: LabelSelector, term: Requirement) -> bool:
    wanted = LabelSelector((term,))
    return all(selects(wanted, labels) for labels in _possible(one, term.key, one, wanted))


def _possible(
    selector: LabelSelector, key: str, *mentioning: LabelSelector
) -> Iterator[dict[str, str]]:
    """Yield the labels of a key that a selector allows, of those that make a difference."""
    about = LabelSelector(tuple(term for term in selector.requirements if term.key == key))
    values = {
        value
        for item in mentioning
        for term in item.requirements
        if term.key == key
        for value in term.values
    }
    candidates: list[dict[str, str]] = [{}, {key: _ANOTHER}, *({key: value} for value in values)]
    return (labels for labels in candidates if selects(about, labels))


def _keys(selector: LabelSelector) -> frozenset[str]:
    return frozenset(term.key for term in selector.requirements)


def size_of(selector: LabelSelector | None) -> int:
    """Return how many words a selector has: what a comparison with it costs."""
    terms = () if selector is None else selector.requirements
    return 1 + sum(1 + len(term.values) for term in terms)


# ------------------------------------------------------------------ peers, ports, rules


def namespaces_of(peer: Peer, home: str) -> LabelSelector:
    """Return the selector of a peer's namespaces; ``home`` is the namespace of its policy."""
    if peer.namespace_selector is not None:
        return peer.namespace_selector
    return LabelSelector((Requirement(NAME_LABEL, Operator.IN, (home,)),))


def peer_in(one: Peer, other: Peer, home: str) -> bool:
    """Return whether one peer is a part of the other, in policies of the same namespace."""
    if one.ip_block is not None or other.ip_block is not None:
        both = one.ip_block is not None and other.ip_block is not None
        return both and _block_in(one.ip_block, other.ip_block)  # type: ignore[arg-type]
    pods = implies(one.pod_selector or LabelSelector(), other.pod_selector or LabelSelector())
    return pods and implies(namespaces_of(one, home), namespaces_of(other, home))


def _block_in(one: IPBlock, other: IPBlock) -> bool:
    if one == other:
        return True
    words = (one.cidr, *one.excepts, other.cidr, *other.excepts)
    if len(words) > _MOST_VALUES or any(placeholder(word) is not None for word in words):
        return False
    mine, theirs = (ipaddress.ip_network(block.cidr, strict=False) for block in (one, other))
    spared = [ipaddress.ip_network(item, strict=False) for item in one.excepts]
    return cidr.contains(theirs, mine) and all(
        not cidr.overlap(mine, gap) or any(cidr.contains(item, gap) for item in spared)
        for gap in (ipaddress.ip_network(item, strict=False) for item in other.excepts)
    )


def port_in(one: PolicyPort, other: PolicyPort) -> bool:
    """Return whether one port is a part of the other."""
    if one.protocol is not other.protocol:
        return False
    if other.port is None or one == other:
        return True
    if not isinstance(one.port, int) or not isinstance(other.port, int):
        return False
    last, most = one.end_port or one.port, other.end_port or other.port
    return other.port <= one.port and last <= most


def size_of_rule(rule: Rule) -> int:
    """Return how many words the peers and ports of a rule have."""
    selectors = (
        selector
        for peer in rule.peers
        for selector in (peer.pod_selector, peer.namespace_selector)
    )
    return 1 + len(rule.ports) + sum(map(size_of, selectors))


def rule_in(one: Rule, other: Rule, home: str) -> bool:
    """Return whether one rule admits nothing that the other does not."""
    peers = not other.peers or (
        bool(one.peers)
        and all(any(peer_in(mine, item, home) for item in other.peers) for mine in one.peers)
    )
    ports = not other.ports or (
        bool(one.ports)
        and all(any(port_in(mine, item) for item in other.ports) for mine in one.ports)
    )
    return peers and ports
