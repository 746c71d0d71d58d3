"""From parsed policies to the rules of pods: one layer for each kind of policy.

A new kind of policy is one more function in ``LAYERS``, at the place where it decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from harness.cluster.netns.addresses import Addresses
from harness.cluster.netns.compiler.selecting import Pods
from harness.cluster.netns.compiler.stages import STAGES, Stages
from harness.cluster.netns.compiler.tier_stages import Ends, Node
from harness.cluster.netns.compiler.values import (
    Action,
    AddressSet,
    Clause,
    Endpoint,
    Layer,
    PodRules,
    PortRange,
)
from harness.model import Labels, PodRef, State
from harness.policy import Direction, NetworkPolicy, Peer, Policy, Rule, parsed
from harness.policy.tiers import Tier, TierPolicy, TierRule


def ends_of(state: State, addresses: Addresses) -> Ends:
    """Return what rules can be about."""
    nodes = tuple(
        Node(Labels({"kubernetes.io/os": "linux"}), AddressSet.of(ips))
        for _, ips in sorted(addresses.nodes.items())
    )
    names = {
        name: AddressSet.of(external.addresses)
        for external in state.externals
        for name in external.dns_names
    }
    return Ends(_endpoints(state, addresses), nodes, names)


def _endpoints(state: State, addresses: Addresses) -> Pods:
    """Return the pods that policies apply to: all but those on their node's network (R83, T11)."""
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


LayersOf = Callable[[Stages, Sequence[Policy], Direction, Ends], Mapping[PodRef, Layer]]
"""Returns the layer that one kind of policy gives each pod; a pod that is missing has none."""


def network_policy(
    stages: Stages, policies: Sequence[Policy], direction: Direction, ends: Ends
) -> Mapping[PodRef, Layer]:
    """Return a layer for each isolated pod: what its policies allow, and a denial of the rest."""
    pods = ends.pods
    applied: dict[PodRef, dict[str, Layer]] = {}
    for policy in policies:
        if isinstance(policy, NetworkPolicy) and stages.isolates(policy, direction):
            for pod, allowed in _applied(stages, policy, direction, pods):
                applied.setdefault(pod.ref, {})[f"{policy.namespace}/{policy.name}"] = allowed
    return {
        ref: (
            *stages.combine(tuple(parts.values())),
            Clause(Action.DENY, f"isolated by {', '.join(parts)}"),
        )
        for ref, parts in applied.items()
    }


def admin(
    stages: Stages, policies: Sequence[Policy], direction: Direction, ends: Ends
) -> Mapping[PodRef, Layer]:
    """Return the rules of the Admin tier for each pod that one of its policies selects."""
    return _tier(Tier.ADMIN, stages, policies, direction, ends)


def baseline(
    stages: Stages, policies: Sequence[Policy], direction: Direction, ends: Ends
) -> Mapping[PodRef, Layer]:
    """Return the rules of the Baseline tier for each pod that one of its policies selects."""
    return _tier(Tier.BASELINE, stages, policies, direction, ends)


LAYERS: tuple[LayersOf, ...] = (admin, network_policy, baseline)
"""The kinds of policy in the order in which they decide (T01)."""

EVERYWHERE: frozenset[LayersOf] = frozenset({admin, baseline})
"""Those that also decide on connections that NetworkPolicies have no say in.

These are a pod to its own node (R47), and to itself through a Service (R46, T25).
"""


def pod_rules(
    state: State,
    addresses: Addresses,
    stages: Stages = STAGES,
    layers: Sequence[LayersOf] = LAYERS,
) -> tuple[PodRules, ...]:
    """Return the rules of every pod that has a layer, in every direction; in a fixed order."""
    ends = ends_of(state, addresses)
    policies = sorted(parsed(state.policies), key=str)
    found = []
    for direction in Direction:
        by_kind = [
            (layers_of in EVERYWHERE, layers_of(stages, policies, direction, ends))
            for layers_of in layers
        ]
        for pod in ends.pods:
            own = tuple(layer[pod.ref] for _, layer in by_kind if pod.ref in layer)
            exempt = _while_asked((also, layer.get(pod.ref)) for also, layer in by_kind)
            if own:
                found.append(PodRules(pod, direction, own, tuple(exempt)))
    return tuple(sorted(found, key=lambda one: (str(one.pod.ref), one.direction)))


def _while_asked(layers: Iterable[tuple[bool, Layer | None]]) -> Iterator[Layer]:
    """Yield the layers that decide everywhere, up to NetworkPolicies that isolate the pod.

    What these have no say in they allow, and their decision is final (T21).
    """
    for everywhere, layer in layers:
        if layer is not None:
            if not everywhere:
                return
            yield layer


# ------------------------------------------------------------------ tiers


def _tier(
    tier: Tier, stages: Stages, policies: Sequence[Policy], direction: Direction, ends: Ends
) -> Mapping[PodRef, Layer]:
    own = [policy for policy in policies if isinstance(policy, TierPolicy) and policy.tier is tier]
    layers: dict[PodRef, list[Clause]] = {}
    for policy in stages.tier_order(own):
        written = [
            (f"{policy} {direction.lower()}[{index}]", rule)
            for index, rule in enumerate(stages.tier_rules(policy, direction))
        ]
        for subject in stages.tier_subjects(stages.matches, policy, ends.pods):
            for reason, rule in written:
                clauses = _tier_clauses(stages, reason, rule, direction, subject, ends)
                layers.setdefault(subject.ref, []).extend(clauses)
    return {ref: tuple(clauses) for ref, clauses in layers.items()}


def _tier_clauses(
    stages: Stages,
    reason: str,
    rule: TierRule,
    direction: Direction,
    subject: Endpoint,
    ends: Ends,
) -> Iterator[Clause]:
    """Yield the clauses of one rule: one of its peers and one of its ports must match (T29)."""
    action = stages.tier_action(rule)
    peers = [stages.tier_peer(stages.matches, peer, ends) for peer in rule.peers]
    addresses = AddressSet.union(peer.addresses for peer in peers)
    if not rule.ports and addresses:
        yield Clause(action, reason, addresses)
    among = tuple(pod for peer in peers for pod in peer.pods)
    for port in rule.ports:
        for ports in stages.tier_ports(port, stages.destinations(direction, subject, among)):
            at = _at(direction, addresses, ports)
            if at:
                yield Clause(action, reason, at, ports.protocol, ports.first, ports.last)


# ------------------------------------------------------------------ NetworkPolicies


def _applied(
    stages: Stages, policy: NetworkPolicy, direction: Direction, pods: Pods
) -> Iterator[tuple[Endpoint, Layer]]:
    """Yield what one policy allows at each of its subjects."""
    subjects = stages.subjects(stages.matches, policy, pods)
    if not subjects:
        return

    def select(peer: Peer) -> Pods:
        return stages.peer_pods(stages.matches, peer, policy.namespace, pods)

    written = [
        (
            f"{policy.namespace}/{policy.name} {direction.lower()}[{index}]",
            rule,
            stages.peers(rule, pods, select, stages.block),
        )
        for index, rule in enumerate(stages.rules(policy, direction))
    ]
    for subject in subjects:
        allowed: list[Clause] = []
        for reason, rule, peers in written:
            destinations = stages.destinations(direction, subject, peers.pods)
            for ports in _all_port_ranges(stages, rule, destinations):
                at = _at(direction, peers.addresses, ports)
                if at is None or at:
                    allowed.append(
                        Clause(Action.ALLOW, reason, at, ports.protocol, ports.first, ports.last)
                    )
        yield subject, tuple(allowed)


def _all_port_ranges(stages: Stages, rule: Rule, destinations: Pods) -> Iterator[PortRange]:
    if not rule.ports:
        yield PortRange()
    for port in rule.ports:
        yield from stages.port_ranges(port, destinations)


def _at(direction: Direction, peers: AddressSet | None, ports: PortRange) -> AddressSet | None:
    """Return where the other end must be. A name's own addresses are that of the destination."""
    if direction is Direction.INGRESS or ports.at is None:
        return peers
    return ports.at if peers is None else peers & ports.at
