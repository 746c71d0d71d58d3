"""Rules of policies in tiers, in any cluster: whether one includes another, and may meet it.

What cannot be told apart may meet: nothing is included that is not surely so.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from harness import cidr
from harness.lint.inclusion import implies, is_impossible, size_of
from harness.policy import LabelSelector, placeholder
from harness.policy.tiers import (
    DomainNames,
    Networks,
    Nodes,
    PortName,
    SelectedPods,
    TierPeer,
    TierPolicy,
    TierPort,
    TierRule,
)

_EVERY_ADDRESS = frozenset({"0.0.0.0/0", "::/0"})
_EVERYTHING = LabelSelector()


def size_of_policy(policy: TierPolicy) -> int:
    """Return how many words the subject and the rules of a policy have."""
    return _size(policy.subject) + sum(map(size_of_rule, (*policy.ingress, *policy.egress)))


def size_of_rule(rule: TierRule) -> int:
    """Return how many words the peers and ports of a rule have: what a comparison costs."""
    return 1 + len(rule.ports) + sum(map(_size, rule.peers))


def _size(peer: TierPeer) -> int:
    match peer:
        case SelectedPods(namespaces, pods):
            return size_of(namespaces) + size_of(pods)
        case Networks(cidrs):
            return 1 + len(cidrs)
        case Nodes(selector):
            return size_of(selector)
        case DomainNames(names):
            return 1 + len(names)


# ------------------------------------------------------------------ inclusion


def includes(wider: TierRule, rule: TierRule) -> bool:
    """Return whether a rule surely matches all that another matches."""
    peers = _is_every_destination(wider.peers) or all(
        any(_peer_in(mine, item) for item in wider.peers) for mine in rule.peers
    )
    ports = not wider.ports or (
        bool(rule.ports)
        and all(any(_port_in(mine, item) for item in wider.ports) for mine in rule.ports)
    )
    return peers and ports


def matches_everything(rule: TierRule) -> bool:
    """Return whether a rule matches every pod as its peer, on every port."""
    return not rule.ports and (SelectedPods() in rule.peers or _is_every_destination(rule.peers))


def _is_every_destination(peers: Iterable[TierPeer]) -> bool:
    named = {item for peer in peers if isinstance(peer, Networks) for item in peer.cidrs}
    return named >= _EVERY_ADDRESS


def _peer_in(one: TierPeer, other: TierPeer) -> bool:
    match one, other:
        case SelectedPods(), SelectedPods():
            return implies(one.namespaces, other.namespaces) and implies(
                one.pods or _EVERYTHING, other.pods or _EVERYTHING
            )
        case Networks(), Networks():
            return all(any(_block_in(mine, item) for item in other.cidrs) for mine in one.cidrs)
        case Nodes(), Nodes():
            return implies(one.selector, other.selector)
        case DomainNames(), DomainNames():
            return {*one.names} <= {*other.names}
        case _:
            return False


def _block_in(one: str, other: str) -> bool:
    if one == other:
        return True
    if placeholder(one) is not None or placeholder(other) is not None:
        return False
    mine, theirs = (ipaddress.ip_network(item, strict=False) for item in (one, other))
    return cidr.contains(theirs, mine)


def _port_in(one: TierPort, other: TierPort) -> bool:
    if isinstance(one, PortName) or isinstance(other, PortName):
        return one == other
    is_within = other.first <= one.first and one.last <= other.last
    return one.protocol is other.protocol and is_within


# ------------------------------------------------------------------ what may meet


def may_share_pods(one: SelectedPods, other: SelectedPods) -> bool:
    """Return whether a pod can be in both, in some cluster."""
    pairs = (
        (one.namespaces, other.namespaces),
        (one.pods or _EVERYTHING, other.pods or _EVERYTHING),
    )
    return not any(
        is_impossible(LabelSelector((*mine.requirements, *theirs.requirements)))
        for mine, theirs in pairs
    )


def may_meet(one: TierRule, other: TierRule) -> bool:
    """Return whether two rules of one direction can match the same connection."""
    peers = any(_peers_meet(mine, item) for mine in one.peers for item in other.peers)
    ports = (
        not one.ports
        or not other.ports
        or any(_ports_meet(mine, item) for mine in one.ports for item in other.ports)
    )
    return peers and ports


def _peers_meet(one: TierPeer, other: TierPeer) -> bool:
    match one, other:
        case SelectedPods(), SelectedPods():
            return may_share_pods(one, other)
        case Networks(), Networks():
            return any(_blocks_meet(mine, item) for mine in one.cidrs for item in other.cidrs)
        case _:
            return True


def _blocks_meet(one: str, other: str) -> bool:
    if placeholder(one) is not None or placeholder(other) is not None:
        return True
    mine, theirs = (ipaddress.ip_network(item, strict=False) for item in (one, other))
    return cidr.overlap(mine, theirs)


def _ports_meet(one: TierPort, other: TierPort) -> bool:
    if isinstance(one, PortName) or isinstance(other, PortName):
        return True
    is_apart = one.last < other.first or other.last < one.first
    return one.protocol is other.protocol and not is_apart
