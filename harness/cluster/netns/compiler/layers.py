"""From parsed policies to the rules of pods: one layer for each kind of policy.

A new kind of policy is one more function in ``LAYERS``, at the place where it decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from harness.cluster.netns.addresses import Addresses
from harness.cluster.netns.compiler.stages import STAGES, Pods, Stages
from harness.cluster.netns.compiler.values import (
    Action,
    AddressSet,
    Clause,
    Endpoint,
    Layer,
    PodRules,
    PortRange,
)
from harness.model import PodRef, State
from harness.policy import Direction, NetworkPolicy, Peer, Policy, Rule, parsed


def endpoints(state: State, addresses: Addresses) -> Pods:
    """Return the pods that policies apply to: all but those on their node's network (R83)."""
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


LayersOf = Callable[[Stages, Sequence[Policy], Direction, Pods], Mapping[PodRef, Layer]]
"""Returns the layer that one kind of policy gives each pod; a pod that is missing has none."""


def network_policy(
    stages: Stages, policies: Sequence[Policy], direction: Direction, pods: Pods
) -> Mapping[PodRef, Layer]:
    """Return a layer for each isolated pod: what its policies allow, and a denial of the rest."""
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


LAYERS: tuple[LayersOf, ...] = (network_policy,)
"""The kinds of policy in the order in which they decide."""


def pod_rules(
    state: State,
    addresses: Addresses,
    stages: Stages = STAGES,
    layers: Sequence[LayersOf] = LAYERS,
) -> tuple[PodRules, ...]:
    """Return the rules of every pod that has a layer, in every direction; in a fixed order."""
    pods = endpoints(state, addresses)
    policies = sorted(parsed(state.policies), key=lambda policy: (policy.namespace, policy.name))
    found = []
    for direction in Direction:
        by_kind = [layers_of(stages, policies, direction, pods) for layers_of in layers]
        for pod in pods:
            own = tuple(layer[pod.ref] for layer in by_kind if pod.ref in layer)
            if own:
                found.append(PodRules(pod, direction, own))
    return tuple(sorted(found, key=lambda one: (str(one.pod.ref), one.direction)))


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
