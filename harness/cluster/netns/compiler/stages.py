"""What the layers of policies are made with: stages, each a pure function.

Those of tiers are in ``tier_stages``. A defect is another function in the place of one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.cluster.netns.compiler import tier_stages
from harness.cluster.netns.compiler.selecting import Matches, Pods, matches
from harness.cluster.netns.compiler.tier_stages import Ends, TierPeers
from harness.cluster.netns.compiler.values import (
    Action,
    AddressSet,
    Endpoint,
    Layer,
    PortRange,
)
from harness.policy import (
    Direction,
    IPBlock,
    NetworkPolicy,
    Peer,
    PolicyPort,
    Rule,
)
from harness.policy.tiers import TierPeer, TierPolicy, TierPort, TierRule

# ------------------------------------------------------------------ select


def subjects(matches: Matches, policy: NetworkPolicy, pods: Pods) -> Pods:
    """Return the pods that a policy applies to (R01, R02)."""
    return tuple(
        pod
        for pod in pods
        if pod.ref.namespace == policy.namespace and matches(policy.pod_selector, pod.labels)
    )


def peer_pods(matches: Matches, peer: Peer, namespace: str, pods: Pods) -> Pods:
    """Return the pods that a peer selects, in a policy of ``namespace`` (R36-R39)."""
    if peer.pod_selector is None and peer.namespace_selector is None:
        return ()
    return tuple(
        pod
        for pod in pods
        if (
            pod.ref.namespace == namespace
            if peer.namespace_selector is None
            else matches(peer.namespace_selector, pod.namespace_labels)
        )
        and (peer.pod_selector is None or matches(peer.pod_selector, pod.labels))
    )


# ------------------------------------------------------------------ isolate and rules


def isolates(policy: NetworkPolicy, direction: Direction) -> bool:
    """Whether its subjects are isolated in that direction, with rules or without (R08, R10)."""
    return direction in policy.policy_types


def rules(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...]:
    """Return the rules of that direction, each of which allows something by itself."""
    return policy.rules(direction)


# ------------------------------------------------------------------ ports


def destinations(direction: Direction, subject: Endpoint, peers: Pods) -> Pods:
    """Return the pods that the traffic goes to: the names of their ports count (R26)."""
    return (subject,) if direction is Direction.INGRESS else peers


def port_ranges(port: PolicyPort, destinations: Pods) -> tuple[PortRange, ...]:
    """Return the ports behind one entry of a rule.

    A named port is, at every destination that has a port of this name and protocol, that pod's
    own number, and elsewhere nothing.
    """
    if port.port is None:
        return (PortRange(port.protocol),)
    if isinstance(port.port, int):
        last = port.port if port.end_port is None else port.end_port
        return (PortRange(port.protocol, port.port, last),)
    by_number: dict[int, list[AddressSet]] = {}
    for pod in destinations:
        for held in pod.ports:
            if (held.name, held.protocol) == (port.port, port.protocol):
                by_number.setdefault(held.number, []).append(pod.at)
    return tuple(
        PortRange(port.protocol, number, number, AddressSet.union(at))
        for number, at in sorted(by_number.items())
    )


# ------------------------------------------------------------------ ipblock and combine


def block(ip_block: IPBlock) -> AddressSet:
    """Return the CIDR without what is excepted from it (R31)."""
    excepted = AddressSet.union(map(AddressSet.block, ip_block.excepts))
    return AddressSet.block(ip_block.cidr) - excepted


@dataclass(frozen=True, slots=True)
class Peers:
    """The other ends of one rule: their addresses (None: all), and the pods among them."""

    addresses: AddressSet | None
    pods: Pods


Block = Callable[[IPBlock], AddressSet]
PeerPods = Callable[[Peer], Pods]


def peers(rule: Rule, pods: Pods, peer_pods: PeerPods, block: Block) -> Peers:
    """Resolve the peers of a rule; a selector that nobody meets adds nobody (R16-R19)."""
    if not rule.peers:
        return Peers(None, pods)
    selected = [pod for peer in rule.peers for pod in peer_pods(peer)]
    blocks = AddressSet.union(block(p.ip_block) for p in rule.peers if p.ip_block is not None)
    among = {pod.ref for pod in selected}
    return Peers(
        AddressSet.union((blocks, *(pod.at for pod in selected))),
        tuple(pod for pod in pods if pod.ref in among or pod.at & blocks),
    )


def combine(parts: Sequence[Layer]) -> Layer:
    """Return what the policies of one pod allow together: the union (R03, R54, R59, R60)."""
    return tuple(dict.fromkeys(clause for part in parts for clause in part))


# ------------------------------------------------------------------ the whole


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of the compiler, in order."""

    matches: Matches = matches
    subjects: Callable[[Matches, NetworkPolicy, Pods], Pods] = subjects
    peer_pods: Callable[[Matches, Peer, str, Pods], Pods] = peer_pods
    isolates: Callable[[NetworkPolicy, Direction], bool] = isolates
    rules: Callable[[NetworkPolicy, Direction], tuple[Rule, ...]] = rules
    destinations: Callable[[Direction, Endpoint, Pods], Pods] = destinations
    port_ranges: Callable[[PolicyPort, Pods], tuple[PortRange, ...]] = port_ranges
    block: Block = block
    peers: Callable[[Rule, Pods, PeerPods, Block], Peers] = peers
    combine: Callable[[Sequence[Layer]], Layer] = combine
    tier_order: Callable[[Sequence[TierPolicy]], tuple[TierPolicy, ...]] = tier_stages.order
    tier_subjects: Callable[[Matches, TierPolicy, Pods], Pods] = tier_stages.subjects
    tier_rules: Callable[[TierPolicy, Direction], tuple[TierRule, ...]] = tier_stages.rules
    tier_peer: Callable[[Matches, TierPeer, Ends], TierPeers] = tier_stages.peer
    tier_ports: Callable[[TierPort, Pods], tuple[PortRange, ...]] = tier_stages.port_ranges
    tier_action: Callable[[TierRule], Action] = tier_stages.action


STAGES = Stages()
