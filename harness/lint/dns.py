"""Pods that are isolated for egress and cannot ask the DNS of the cluster."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from harness.application import Workload
from harness.lint.kinds import finding
from harness.lint.knowledge import Item, Knowledge, listed, places, verb
from harness.lint.values import Finding, Said
from harness.model import Destination, Pod, Probe, Protocol, ServiceRef
from harness.policy import Direction, NetworkPolicy, Peer, PolicyPort, Rule, placeholder

NAME = "egress-without-dns"
_SERVER = Destination(ServiceRef("kube-system", "kube-dns"), 53, Protocol.UDP)
_PORTS = frozenset({53, 5353, 8053, "dns", "dns-udp", "domain"})
_WIDE = {4: 24, 6: 64}
"""A block that is wider holds hosts that are found by name."""


def dns(known: Knowledge) -> Iterator[Finding]:
    """Find the policies whose pods reach something, and no DNS server."""
    items = {item.policy: item for item in known.items}
    without: dict[tuple[NetworkPolicy, ...], list[Workload]] = {}
    for workload, pod in known.first_pods:
        policies = _isolating(known, pod)
        if policies:
            without.setdefault(policies, []).append(workload)
    for policies, found in without.items():
        first = next(policy for policy in policies if any(map(_needs_names, policy.egress)))
        yield _of(known, items[first], policies, found)


def _isolating(known: Knowledge, pod: Pod) -> tuple[NetworkPolicy, ...]:
    """Return the policies that keep a pod from its DNS, if it needs any."""
    policies = known.judge.isolating(Direction.EGRESS, pod)
    rules = [rule for policy in policies for rule in policy.egress]
    if pod.host_network or not known.is_judged(pod) or not any(map(_needs_names, rules)):
        return ()
    if any(_names_dns(rule, Protocol.UDP) for rule in rules):
        return ()  # it means a DNS server; whether the peer is right is another finding
    return policies if known.is_denied(Probe(pod.ref, _SERVER)) else ()


def _needs_names(rule: Rule) -> bool:
    """Return whether a rule leads to something that is usually found by name."""
    return not rule.peers or any(map(_is_found_by_name, rule.peers))


def _is_found_by_name(peer: Peer) -> bool:
    if peer.ip_block is None or placeholder(peer.ip_block.cidr) is not None:
        return True
    block = ipaddress.ip_network(peer.ip_block.cidr, strict=False)
    return block.prefixlen < _WIDE[block.version]


def _names_dns(rule: Rule, protocol: Protocol) -> bool:
    return any(_is_dns(port) for port in rule.ports if port.protocol is protocol)


def _is_dns(port: PolicyPort) -> bool:
    return port.port in _PORTS


def _of(
    known: Knowledge, item: Item, policies: Sequence[NetworkPolicy], found: Sequence[Workload]
) -> Finding:
    who = f"{listed(found)} {verb(found)}"
    fact = f"{who} isolated for egress, and may not ask DNS (kube-dns:53/UDP)"
    rules = [rule for policy in policies for rule in policy.egress]
    if any(_names_dns(rule, Protocol.TCP) for rule in rules):
        hint = "port 53 is open over TCP alone; add {port: 53, protocol: UDP}"
    else:
        hint = (
            "allow egress to the pods k8s-app=kube-dns in namespace kube-system, ports 53/UDP "
            "and 53/TCP"
        )
    return finding(NAME, known.place(item, ("spec", "egress")), Said(fact, hint, places(found)))
