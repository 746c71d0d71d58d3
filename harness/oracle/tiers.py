"""A tier as a layer: the rules of its policies by priority, each in its written order.

Rules allow, deny or pass on. What a rule says about pods never matches hostNetwork pods (T11).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import TypeVar

from harness.model import Pod, PodRef
from harness.oracle.addresses import contains
from harness.oracle.layers import Action, Clause, Layer, Match, Order, Rank, ends
from harness.oracle.rulings import Decider, Ruling, Tri, all_of, any_of
from harness.oracle.selectors import missed
from harness.oracle.topology import NODE_PORTS, Flow, Party, Topology
from harness.policy import Direction, LabelSelector, parsed
from harness.policy.admin_network_policy import BASELINE_KIND
from harness.policy.tiers import (
    DomainNames,
    Networks,
    Nodes,
    PortName,
    PortNumbers,
    RuleAction,
    SelectedPods,
    Tier,
    TierPeer,
    TierPolicy,
    TierPort,
    TierRule,
)

_ACTIONS = {
    RuleAction.ACCEPT: (Action.ALLOW, Ruling.ALLOWED),
    RuleAction.DENY: (Action.DENY, Ruling.DENIED),
    RuleAction.PASS: (Action.PASS, None),
}


class Tiers:
    """The policies of one tier."""

    def __init__(self, topology: Topology, tier: Tier) -> None:
        known = (p for p in parsed(topology.state.policies) if isinstance(p, TierPolicy))
        self.known = tuple(
            sorted((p for p in known if p.tier is tier), key=lambda p: (p.priority, str(p)))
        )
        self._topology = topology
        self._tier = tier
        self._clauses: dict[tuple[int, Direction], tuple[Clause, ...]] = {}
        self._subjects: dict[tuple[int, PodRef], bool] = {}

    def layer(self, direction: Direction, pod: Pod) -> Layer | None:
        """Return the rules of the policies that select the pod, by priority (T02, T03)."""
        policies = [p for p in self.known if p.rules(direction) and self._selects(p, pod)]
        if not policies:
            return None
        ranks = []
        for priority, group in itertools.groupby(policies, key=lambda policy: policy.priority):
            equal = tuple(group)
            names = " and ".join(map(str, equal))
            tie = f"{names} have the same priority {priority}, so either may decide (T23)"
            ranks.append(Rank(tuple(self._of(policy, direction) for policy in equal), tie))
        return Layer(
            f"{direction.lower()} of {pod.ref}: {self._tier} tier:",
            tuple(ranks),
            "no rule matches",
            Order.WRITTEN,
        )

    def _selects(self, policy: TierPolicy, pod: Pod) -> bool:
        key = (id(policy), pod.ref)
        if key not in self._subjects:
            found = (
                not pod.host_network
                and missed(policy.subject, self._topology.namespace(pod.namespace), pod) is None
            )
            self._subjects[key] = found
        return self._subjects[key]

    def _of(self, policy: TierPolicy, direction: Direction) -> tuple[Clause, ...]:
        """Return the clauses of a policy, which are the same for every subject."""
        key = (id(policy), direction)
        if key not in self._clauses:
            self._clauses[key] = tuple(
                self._made(policy, direction, number, rule)
                for number, rule in enumerate(policy.rules(direction), 1)
            )
        return self._clauses[key]

    def _made(
        self, policy: TierPolicy, direction: Direction, number: int, rule: TierRule
    ) -> Clause:
        action, ruling = _ACTIONS[rule.action]
        priority = f" (priority {policy.priority})" if policy.kind != BASELINE_KIND else ""
        called = f" {rule.name!r}" if rule.name else ""
        label = f"{policy}{priority}, {direction.lower()} rule {number}{called}"
        by = ruling and Decider(direction, ruling, (str(policy),), number)
        match = functools.partial(_rule, self._topology, direction, rule)
        return Clause(action, match, label, by)


# ------------------------------------------------------------------ rules


def _rule(topology: Topology, direction: Direction, rule: TierRule, flow: Flow) -> Match:
    """A rule matches if one of its peers and one of its ports do (T17, T29)."""
    party = ends(direction, flow)[1]
    by_peer = _one_of(rule.peers, lambda peer: _peer(topology, peer, party, flow))
    by_port = _one_of(rule.ports, lambda port: _port(port, flow)) if rule.ports else _ANY_PORT
    value = all_of([by_peer.value, by_port.value])
    sides = [side for side in (by_peer, by_port) if side.value is value]
    return Match(value, "; ".join(side.why for side in sides))


_ANY_PORT = Match(True, "every port")
_Entry = TypeVar("_Entry", TierPeer, TierPort)


def _one_of(entries: tuple[_Entry, ...], matched: Callable[[_Entry], Match]) -> Match:
    matches = [matched(entry) for entry in entries]
    value = any_of(match.value for match in matches)
    return Match(value, "; ".join(match.why for match in matches if match.value is value))


def _peer(topology: Topology, peer: TierPeer, party: Party, flow: Flow) -> Match:
    match peer:
        case SelectedPods():
            return _pods(topology, peer, party)
        case Networks(cidrs):
            values = [contains(topology, cidr, party, flow.port.family) for cidr in cidrs]
            value = any_of(values)
            return Match(value, _about(peer, value, f"the address of {party.name}"))
        case Nodes(selector):
            value = False if party.node is None else _node(selector)
            known = "is not a node" if party.node is None else "has labels that are not known"
            return Match(value, str(peer) if value else f"{peer}, but {party.name} {known} (T15)")
        case DomainNames():
            value = _named(topology, peer, party, flow)
            return Match(value, _about(peer, value, f"a name of {party.name}"))


def _about(peer: TierPeer, value: Tri, what: str) -> str:
    if value is None:
        return f"{peer}, and whether it has {what} is not known"
    return str(peer) if value else f"{peer}, which does not have {what}"


def _pods(topology: Topology, peer: SelectedPods, party: Party) -> Match:
    """Pods by labels, wherever they are (T09, T10); what is no pod never matches (T12)."""
    if party.pod is None:
        why = f"{peer}, but {party.name} is not a pod (T12)"
        return Match(False, why)
    if party.pod.host_network:
        why = f"{peer}, but {party.name} is on the network of its node (T11)"
        return Match(False, why)
    difference = missed(peer, topology.namespace(party.pod.namespace), party.pod)
    return Match(not difference, f"{peer}, but {difference}" if difference else str(peer))


def _node(selector: LabelSelector) -> Tri:
    """A scenario does not say which labels nodes have; every node meets an empty selector."""
    return None if selector.requirements else True


def _named(topology: Topology, peer: DomainNames, party: Party, flow: Flow) -> Tri:
    """Return whether the connection goes to an address that a lookup of such a name gave (T16).

    Without a lookup of its own it may still go there, after an earlier one.
    """
    if flow.name is not None and any(_is(pattern, flow.name) for pattern in peer.names):
        return True
    if party.pod is not None or party.node is not None:
        inside = any(p.removesuffix(".").endswith("cluster.local") for p in peer.names)
        return None if inside else False
    known = topology.names_of(party)
    if known is None:
        return None
    return None if any(_is(p, name) for p in peer.names for name in known) else False


def _is(pattern: str, name: str) -> bool:
    """``*.`` stands for one label or more, so the name below it does not match."""
    wanted, given = pattern.removesuffix(".").lower(), name.removesuffix(".").lower()
    if wanted.startswith("*."):
        return given.endswith(wanted[1:]) and len(given) > len(wanted) - 1
    return wanted == given


# ------------------------------------------------------------------ ports


def _port(port: TierPort, flow: Flow) -> Match:
    match port:
        case PortNumbers():
            return _numbers(port, flow)
        case PortName():
            return _port_name(port, flow)


def _numbers(port: PortNumbers, flow: Flow) -> Match:
    asked = flow.port
    miss = Match(False, f"port {port}, but the connection is to {asked}")
    if asked.protocol is not port.protocol:
        return miss
    if asked.number is None:
        if port.last < NODE_PORTS.start or port.first >= NODE_PORTS.stop:
            return miss
        return Match(None, f"port {port}, and the cluster chooses the node port (T26)")
    return Match(True, f"port {port}") if port.first <= asked.number <= port.last else miss


def _port_name(port: PortName, flow: Flow) -> Match:
    """A name has the number and the protocol that it has on the destination pod (T19, T20)."""
    named_on = flow.destination.pod
    held = [item for item in (named_on.ports if named_on else ()) if item.name == port.name]
    if not held:
        return Match(False, f"port {port}, which {flow.destination.name} does not have")
    meant = " and ".join(f"{item.protocol} {item.number}" for item in held)
    why = f"port {port}, which is {meant} on {flow.destination.name}"
    if not any((item.number, item.protocol) == _asked(flow) for item in held):
        return Match(False, f"{why}, but the connection is to {flow.port}")
    if len(held) > 1:
        return Match(None, f"{why}, and the API does not define which of them is meant (T19)")
    return Match(True, why)


def _asked(flow: Flow) -> tuple[int | None, object]:
    return flow.port.number, flow.port.protocol
