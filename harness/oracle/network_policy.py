"""NetworkPolicy as a layer: clauses that allow, and a last one that denies if a pod is isolated.

The policies that isolate a pod are determined once. Matches of peers and ports are cached by end.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Sequence

from harness.model import ContainerPort, Family, Pod, PodRef
from harness.oracle.addresses import contains
from harness.oracle.layers import Action, Clause, Layer, Match, Rank, ends
from harness.oracle.rulings import Decider, Ruling, all_of, any_of
from harness.oracle.selectors import selects, unlike
from harness.oracle.topology import NODE_PORTS, AskedPort, Flow, Party, Topology
from harness.policy import (
    Direction,
    IPBlock,
    NetworkPolicy,
    Peer,
    PolicyPort,
    Rule,
    parsed,
)


class NetworkPolicies:
    """The NetworkPolicies of a State."""

    def __init__(self, topology: Topology) -> None:
        policies = parsed(topology.state.policies)
        self.known = tuple(p for p in policies if isinstance(p, NetworkPolicy))
        self._topology = topology
        self._isolating: dict[tuple[Direction, PodRef], tuple[NetworkPolicy, ...]] = {}
        self._clauses: dict[tuple[int, Direction], tuple[Clause, ...]] = {}

    def isolating(self, direction: Direction, pod: Pod) -> tuple[NetworkPolicy, ...]:
        """Return the policies that isolate a pod in a direction (R51, R56)."""
        key = (direction, pod.ref)
        if key not in self._isolating:
            self._isolating[key] = tuple(
                policy
                for policy in self.known
                if policy.namespace == pod.namespace
                and direction in policy.policy_types
                and selects(policy.pod_selector, pod.labels)
            )
        return self._isolating[key]

    def layer(self, direction: Direction, pod: Pod) -> Layer:
        """Return the clauses of all policies that isolate a pod (R03, R60)."""
        head = f"{direction.lower()} of {pod.ref}:"
        isolating = self.isolating(direction, pod)
        if not isolating:
            return Layer(head, (), f"not isolated (no policy selects it for {direction})")
        names = tuple(str(policy) for policy in isolating)
        head += f" isolated by {', '.join(names)};"
        own_node = Clause(
            Action.ALLOW,
            functools.partial(_own_node, direction),
            by=Decider(direction, Ruling.ALLOWED),
        )
        rules = [clause for policy in isolating for clause in self._of(policy, direction)]
        isolated = Clause(Action.DENY, _no_rule, by=Decider(direction, Ruling.DENIED, names))
        return Layer(head, (Rank(((own_node, *rules, isolated),)),), "")

    def exempt(self, direction: Direction, pod: Pod) -> Layer | None:
        """Return the layer for what NetworkPolicies have no say in: they allow it, finally (T21).

        None for a pod that they do not isolate.
        """
        isolating = self.isolating(direction, pod)
        if not isolating:
            return None
        allowed = Match(True, "allowed: NetworkPolicies do not apply to a pod and itself (R46)")
        clause = Clause(Action.ALLOW, lambda _: allowed, by=Decider(direction, Ruling.ALLOWED))
        names = ", ".join(str(policy) for policy in isolating)
        head = f"{direction.lower()} of {pod.ref}: isolated by {names};"
        return Layer(head, (Rank(((clause,),)),), "")

    def names(self, policy: NetworkPolicy, source: Party) -> bool:
        """Return whether an ingress rule selects the source as a peer."""
        return Direction.INGRESS in policy.policy_types and any(
            peer.ip_block is None
            and _peer(self._topology, policy.namespace, peer, (source, Family.V4)).value
            for rule in policy.ingress
            for peer in rule.peers
        )

    def matched(self, home: str, peer: Peer) -> tuple[Pod, ...]:
        """Return the pods that a peer matches by its selectors, in a policy of ``home``."""
        if peer.ip_block is not None:
            return ()
        ends = ((pod, (self._topology.party(pod), Family.V4)) for pod in self._topology.state.pods)
        return tuple(pod for pod, end in ends if _peer(self._topology, home, peer, end).value)

    def matching_ports(self, port: PolicyPort, pod: Pod) -> tuple[ContainerPort, ...]:
        """Return the ports of a pod that an entry of ``ports`` matches."""
        end = self._topology.party(pod)
        asked = ((item, AskedPort(item.number, item.protocol, Family.V4)) for item in pod.ports)
        return tuple(item for item, to in asked if _port(port, Flow(end, end, to)).value)

    def _of(self, policy: NetworkPolicy, direction: Direction) -> tuple[Clause, ...]:
        """Return the clauses of a policy, which are the same for every pod that it isolates."""
        key = (id(policy), direction)
        if key not in self._clauses:
            self._clauses[key] = tuple(self._made(policy, direction))
        return self._clauses[key]

    def _made(self, policy: NetworkPolicy, direction: Direction) -> Iterable[Clause]:
        rules = policy.rules(direction)
        if not rules:
            none = Match(False, f"{policy} has no {direction.lower()} rule")
            yield Clause(Action.ALLOW, lambda _: none)
        for number, rule in enumerate(rules, 1):
            match = _RuleMatch(self._topology, policy.namespace, rule, direction)
            label = f"{policy}, {direction.lower()} rule {number}"
            by = Decider(direction, Ruling.ALLOWED, (str(policy),), number)
            yield Clause(Action.ALLOW, match, label, by)


def _own_node(direction: Direction, flow: Flow) -> Match:
    subject, peer = ends(direction, flow)
    if subject.pod is not None and peer.node is not None and peer.node == subject.pod.node:
        return Match(
            True,
            f"{peer.name} has the address of the pod's node, which is always allowed (R06, R47)",
        )
    return _NOT_OWN_NODE


_NOT_OWN_NODE = Match(False, "")


def _no_rule(flow: Flow) -> Match:
    return Match(True, f"no rule allows {flow}")


class _RuleMatch:
    """A rule matches if one of its peers and one of its ports do (R15, R20)."""

    def __init__(
        self, topology: Topology, namespace: str, rule: Rule, direction: Direction
    ) -> None:
        self._topology = topology
        self._namespace = namespace
        self._rule = rule
        self._direction = direction
        self._peers: dict[tuple[Party, Family], Match] = {}
        self._ports: dict[tuple[Party, AskedPort], Match] = {}

    def __call__(self, flow: Flow) -> Match:
        by_peer, by_port = self._peer(flow), self._port(flow)
        value = all_of((by_peer.value, by_port.value))
        sides = [side for side in (by_peer, by_port) if side.value is value]
        return Match(value, "; ".join(side.why for side in sides))

    def _peer(self, flow: Flow) -> Match:
        key = (ends(self._direction, flow)[1], flow.port.family)
        found = self._peers.get(key)
        if found is None:
            matches = [_peer(self._topology, self._namespace, p, key) for p in self._rule.peers]
            found = self._peers[key] = _one_of(matches, "every peer")
        return found

    def _port(self, flow: Flow) -> Match:
        key = (flow.destination, flow.port)
        found = self._ports.get(key)
        if found is None:
            matches = [_port(item, flow) for item in self._rule.ports]
            found = self._ports[key] = _one_of(matches, "every port")
        return found


def _one_of(matches: Sequence[Match], unrestricted: str) -> Match:
    """A list matches if one entry does, or if it is empty (R16-R19)."""
    if not matches:
        return Match(True, unrestricted)
    value = any_of(match.value for match in matches)
    return Match(value, "; ".join(match.why for match in matches if match.value is value))


# ------------------------------------------------------------------ peers


def _peer(topology: Topology, home: str, peer: Peer, end: tuple[Party, Family]) -> Match:
    """Return whether an entry of ``from`` or ``to`` matches that end (R34-R39).

    ``home`` is the namespace of the policy.
    """
    party, family = end
    if peer.ip_block is not None:
        return _block(topology, peer.ip_block, party, family)
    pod = party.pod
    if pod is None:
        return Match(
            False, f"{peer}, but {party.name} is not a pod, and selectors match only pods"
        )
    selector = peer.namespace_selector
    if selector is None and pod.namespace != home:
        return Match(False, f"{peer} ({home}), but {party.name} is in {pod.namespace}")
    labels = topology.namespace(pod.namespace).all_labels
    if selector is not None and not selects(selector, labels):
        has = unlike(selector, labels)
        return Match(False, f"{peer}, but namespace {pod.namespace} has {has}")
    if peer.pod_selector is not None and not selects(peer.pod_selector, pod.labels):
        has = unlike(peer.pod_selector, pod.labels)
        return Match(False, f"{peer}, but {party.name} has {has}")
    return Match(True, str(peer))


def _block(topology: Topology, block: IPBlock, party: Party, family: Family) -> Match:
    """Return whether an ipBlock contains the address of the other end (R31, R65)."""
    inside = contains(topology, block.cidr, party, family)
    excepted = any_of(contains(topology, cidr, party, family) for cidr in block.excepts)
    value = all_of((inside, None if excepted is None else not excepted))
    if value is False:
        asked = [ip for ip in party.addresses or () if ipaddress.ip_address(ip).version == family]
        shown = ", ".join(asked) or f"IPv{family.value}"
        fact = "is excepted" if excepted and inside is not False else "is not in it"
        return Match(False, f"ipBlock {block}, but {party.name} ({shown}) {fact}")
    if party.feature is not None and party.feature not in topology.facts.features:
        ids = "R65, R84" if party.node is not None else "R65"
        why = f"the API does not define whether ipBlock {block} applies to {party.name} ({ids})"
        return Match(None, why)
    if value is None:
        why = f"ipBlock {block} may contain {party.name}, whose address is not known (R65)"
        return Match(None, why)
    return Match(True, f"ipBlock {block}")


# ------------------------------------------------------------------ ports


def _port(port: PolicyPort, flow: Flow) -> Match:
    """Return whether an entry of ``ports`` matches (R25-R28); names are the destination's."""
    asked = flow.port
    hit = Match(True, f"port {port}")
    miss = Match(False, f"port {port}, but the connection is to {asked}")
    if port.protocol is not asked.protocol:
        return miss
    if port.port is None:
        return hit
    if isinstance(port.port, str):
        return _named_port(port, flow)
    last = port.port if port.end_port is None else port.end_port
    if asked.number is None:
        if last < NODE_PORTS.start or port.port >= NODE_PORTS.stop:
            return miss
        return Match(None, f"port {port}, and the cluster chooses the node port (R66)")
    return hit if port.port <= asked.number <= last else miss


def _named_port(port: PolicyPort, flow: Flow) -> Match:
    pod = flow.destination.pod
    numbers = [
        item.number
        for item in (pod.ports if pod else ())
        if item.name == port.port and item.protocol is port.protocol
    ]
    if not numbers:
        return Match(False, f"port {port}, which {flow.destination.name} does not have")
    meant = ", ".join(map(str, numbers))
    why = f"port {port}, which is {meant} on {flow.destination.name}"
    if flow.port.number in numbers:
        return Match(True, why)
    return Match(False, f"{why}, but the connection is to {flow.port}")
