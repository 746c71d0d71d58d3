"""The stages from parsed policies to guards, each a pure function that a defect may replace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.cluster.netns.addresses import Addresses
from harness.cluster.netns.compiler.nft import emit
from harness.cluster.netns.compiler.values import AddressSet, Admission, Endpoint, Guard, Opening
from harness.model import Labels, State
from harness.policy import (
    Direction,
    IPBlock,
    LabelSelector,
    NetworkPolicy,
    Operator,
    Peer,
    PolicyPort,
    Requirement,
    Rule,
    parsed,
)

# ------------------------------------------------------------------ select


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


def subjects(matches: Matches, policy: NetworkPolicy, pods: Pods) -> Pods:
    """The pods that a policy applies to (R01, R02)."""
    return tuple(
        pod
        for pod in pods
        if pod.ref.namespace == policy.namespace and matches(policy.pod_selector, pod.labels)
    )


def peer_pods(matches: Matches, peer: Peer, namespace: str, pods: Pods) -> Pods:
    """The pods that the selectors of a peer yield, in a policy of ``namespace`` (R36-R39)."""
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
    """The rules of that direction, each of which admits on its own."""
    return policy.rules(direction)


# ------------------------------------------------------------------ ports


def holders(direction: Direction, subject: Endpoint, peers: Pods) -> Pods:
    """The pods whose port names count: those the traffic goes to (R26)."""
    return (subject,) if direction is Direction.INGRESS else peers


def openings(port: PolicyPort, holders: Pods) -> tuple[Opening, ...]:
    """The ports behind one entry of a rule.

    A named port opens, at every holder that has a port of this name and protocol, that pod's
    own number, and elsewhere nothing.
    """
    if port.port is None:
        return (Opening(port.protocol),)
    if isinstance(port.port, int):
        last = port.port if port.end_port is None else port.end_port
        return (Opening(port.protocol, port.port, last),)
    by_number: dict[int, list[AddressSet]] = {}
    for holder in holders:
        for held in holder.ports:
            if (held.name, held.protocol) == (port.port, port.protocol):
                by_number.setdefault(held.number, []).append(holder.at)
    return tuple(
        Opening(port.protocol, number, number, AddressSet.union(at))
        for number, at in sorted(by_number.items())
    )


# ------------------------------------------------------------------ ipblock and combine


def block(ip_block: IPBlock) -> AddressSet:
    """The CIDR without what is excepted from it (R31)."""
    excepted = AddressSet.union(map(AddressSet.block, ip_block.excepts))
    return AddressSet.block(ip_block.cidr) - excepted


@dataclass(frozen=True, slots=True)
class Ends:
    """The other ends of one rule: their addresses (None: all), and the pods among them."""

    addresses: AddressSet | None
    pods: Pods


Block = Callable[[IPBlock], AddressSet]
PeerPods = Callable[[Peer], Pods]


def ends(rule: Rule, pods: Pods, peer_pods: PeerPods, block: Block) -> Ends:
    """Resolve the peers of a rule; a selector that nobody meets adds nobody (R16-R19)."""
    if not rule.peers:
        return Ends(None, pods)
    selected = [pod for peer in rule.peers for pod in peer_pods(peer)]
    blocks = AddressSet.union(block(p.ip_block) for p in rule.peers if p.ip_block is not None)
    among = {pod.ref for pod in selected}
    return Ends(
        AddressSet.union((blocks, *(pod.at for pod in selected))),
        tuple(pod for pod in pods if pod.ref in among or pod.at & blocks),
    )


def combine(parts: Sequence[tuple[Admission, ...]]) -> tuple[Admission, ...]:
    """What the policies of one pod admit together: the union (R03, R54, R59, R60)."""
    return tuple(dict.fromkeys(admission for part in parts for admission in part))


# ------------------------------------------------------------------ the whole


@dataclass(frozen=True, slots=True)
class Stages:
    """The compiler's parts, in order; a defect is another function in the place of one."""

    matches: Matches = matches
    subjects: Callable[[Matches, NetworkPolicy, Pods], Pods] = subjects
    peer_pods: Callable[[Matches, Peer, str, Pods], Pods] = peer_pods
    isolates: Callable[[NetworkPolicy, Direction], bool] = isolates
    rules: Callable[[NetworkPolicy, Direction], tuple[Rule, ...]] = rules
    holders: Callable[[Direction, Endpoint, Pods], Pods] = holders
    openings: Callable[[PolicyPort, Pods], tuple[Opening, ...]] = openings
    block: Block = block
    ends: Callable[[Rule, Pods, PeerPods, Block], Ends] = ends
    combine: Callable[[Sequence[tuple[Admission, ...]]], tuple[Admission, ...]] = combine
    emit: Callable[[int, Sequence[Guard]], str] = emit


STAGES = Stages()


def endpoints(state: State, addresses: Addresses) -> Pods:
    """The pods that policies apply to: all but those on their node's network (R83)."""
    namespaces = {namespace.name: namespace.all_labels for namespace in state.namespaces}
    return tuple(
        Endpoint(
            ref=pod.ref,
            labels=pod.labels,
            namespace_labels=namespaces[pod.namespace],
            ports=pod.ports,
            node=addresses.node_of[pod.ref],
            ips=addresses.pods[pod.ref],
            at=AddressSet.of(addresses.pods[pod.ref]),
        )
        for pod in state.pods
        if not pod.host_network
    )


def guards(stages: Stages, state: State, addresses: Addresses) -> tuple[Guard, ...]:
    """Every isolated pod in every direction, with all that is admitted; in a fixed order."""
    pods = endpoints(state, addresses)
    policies = sorted(parsed(state.policies), key=lambda policy: (policy.namespace, policy.name))
    found = []
    for direction in Direction:
        applied: dict[Endpoint, dict[str, tuple[Admission, ...]]] = {}
        for policy in policies:
            if stages.isolates(policy, direction):
                for pod, admitted in _applied(stages, policy, direction, pods):
                    applied.setdefault(pod, {})[f"{policy.namespace}/{policy.name}"] = admitted
        found += [
            Guard(pod, direction, tuple(parts), stages.combine(tuple(parts.values())))
            for pod, parts in applied.items()
        ]
    return tuple(sorted(found, key=lambda guard: (str(guard.pod.ref), guard.direction)))


def _applied(
    stages: Stages, policy: NetworkPolicy, direction: Direction, pods: Pods
) -> Iterator[tuple[Endpoint, tuple[Admission, ...]]]:
    """What one policy admits at each of its subjects."""
    subjects = stages.subjects(stages.matches, policy, pods)
    if not subjects:
        return

    def select(peer: Peer) -> Pods:
        return stages.peer_pods(stages.matches, peer, policy.namespace, pods)

    written = [
        (
            f"{policy.namespace}/{policy.name} {direction.lower()}[{index}]",
            rule,
            stages.ends(rule, pods, select, stages.block),
        )
        for index, rule in enumerate(stages.rules(policy, direction))
    ]
    for subject in subjects:
        admitted: list[Admission] = []
        for reason, rule, ends in written:
            holders = stages.holders(direction, subject, ends.pods)
            for opening in _all_openings(stages, rule, holders):
                at = _at(direction, ends.addresses, opening)
                if at is None or at:
                    admitted.append(
                        Admission(at, opening.protocol, opening.first, opening.last, reason)
                    )
        yield subject, tuple(admitted)


def _all_openings(stages: Stages, rule: Rule, holders: Pods) -> Iterator[Opening]:
    if not rule.ports:
        yield Opening()
    for port in rule.ports:
        yield from stages.openings(port, holders)


def _at(direction: Direction, peers: AddressSet | None, opening: Opening) -> AddressSet | None:
    """Where the other end must be. A name's own addresses are that of the destination."""
    if direction is Direction.INGRESS or opening.at is None:
        return peers
    return opening.at if peers is None else peers & opening.at
