"""A second reading of the NetworkPolicy text, to hold the oracle against.

It works from the JSON of the manifests, knows every address, tries every reading that the
API permits one after the other, and gives the set of what may happen. It shares no function
with ``harness.oracle`` or ``harness.policy``. Every sentence is a method, so that a variant
can get exactly one of them wrong.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.model import (
    ExternalRef,
    NodePortRef,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    ServiceRef,
    State,
)

AddressBook = Mapping[PodRef | NodeRef, tuple[str, ...]]


@dataclass(frozen=True)
class Someone:
    """An end of a connection: a pod (perhaps), its addresses, and the node these belong to."""

    pod: Pod | None
    addresses: tuple[str, ...]
    node: int | None


class Reading:
    def __init__(self, state: State, book: AddressBook) -> None:
        self.state = state
        self.book = book
        self.documents = [(m.namespace, json.loads(m.json)["spec"]) for m in state.policies]

    # ---------------------------------------------------------- what may happen

    def outcomes(self, probe: Probe) -> frozenset[bool]:
        """All that may happen: connected, not connected, or either; empty if nobody is there."""
        found = set()
        for host_pods_are_pods in (True, False):
            found |= set(self.attempts(probe, host_pods_are_pods))
        return frozenset(found)

    def attempts(self, probe: Probe, host_pods_are_pods: bool) -> Iterator[bool]:
        def someone(ref: object) -> Someone:
            return self.someone(ref, host_pods_are_pods)

        source = someone(probe.source)
        host, asked = probe.destination.host, probe.destination
        if isinstance(host, PodRef | NodeRef | ExternalRef):
            if host == probe.source:
                yield True
            else:
                yield self.connects(source, someone(host), asked.port, probe)
            return
        assert isinstance(host, ServiceRef | NodePortRef)
        for pod, port in self.endpoints(host, probe):
            target = someone(pod.ref)
            if pod.ref == probe.source:
                yield True
            if isinstance(host, ServiceRef):
                yield self.connects(source, target, port, probe)
            elif not isinstance(probe.source, ExternalRef) or not self.is_local(host):
                yield from self.through(someone(NodeRef(host.node)), source, target, port, probe)
            elif pod.node == host.node:
                yield self.connects(source, target, port, probe)

    def through(
        self, node: Someone, source: Someone, target: Someone, port: int, probe: Probe
    ) -> Iterator[bool]:
        """R66: each address may be rewritten before or after policy."""
        for met, met_port in ((target, port), (node, 31000)):
            for seen in (source, node):
                yield self.leaves(source, met, met_port, probe) and self.enters(
                    seen, target, port, probe
                )

    def someone(self, ref: object, host_pods_are_pods: bool) -> Someone:
        if isinstance(ref, ExternalRef):
            external = self.state.external(ref.name)
            assert external is not None
            return Someone(None, external.addresses, None)
        if isinstance(ref, NodeRef):
            return Someone(None, self.book[ref], ref.index)
        assert isinstance(ref, PodRef)
        pod = self.state.pod(ref)
        assert pod is not None
        if not pod.host_network:
            return Someone(pod, self.book[ref], None)
        addresses = self.book[NodeRef(pod.node)]
        return Someone(pod if host_pods_are_pods else None, addresses, pod.node)

    def is_local(self, host: NodePortRef) -> bool:
        service = self.state.service(host.namespace, host.name)
        return service is not None and service.external_traffic_policy.value == "Local"

    def endpoints(self, host: ServiceRef | NodePortRef, probe: Probe) -> Iterator[tuple[Pod, int]]:
        service = self.state.service(host.namespace, host.name)
        assert service is not None
        for forward in service.ports:
            if forward.number != probe.destination.port:
                continue
            if forward.protocol != probe.destination.protocol:
                continue
            for pod in self.state.pods:
                wanted = dict(service.selector)
                if pod.namespace != host.namespace:
                    continue
                if any(dict(pod.labels).get(key) != value for key, value in wanted.items()):
                    continue
                if isinstance(forward.target, int):
                    yield pod, forward.target
                for port in pod.ports:
                    if port.name == forward.target and port.protocol == forward.protocol:
                        yield pod, port.number
                        break

    # ---------------------------------------------------------- the sentences

    def connects(self, source: Someone, target: Someone, port: int, probe: Probe) -> bool:
        """R61: both ends need to allow the connection."""
        return self.leaves(source, target, port, probe) and self.enters(
            source, target, port, probe
        )

    def leaves(self, source: Someone, target: Someone, port: int, probe: Probe) -> bool:
        """R50-R52."""
        if source.pod is None:
            return True
        rules = self.rules(source.pod, "Egress")
        if rules is None:
            return True
        if self.is_own_node(source.pod, target):
            return True
        return any(
            self.peer_listed(namespace, rule.get("to"), target, probe)
            and self.port_listed(rule.get("ports"), target, port, probe)
            for namespace, rule in rules
        )

    def enters(self, source: Someone, target: Someone, port: int, probe: Probe) -> bool:
        """R55-R57."""
        if target.pod is None:
            return True
        rules = self.rules(target.pod, "Ingress")
        if rules is None:
            return True
        if self.is_own_node(target.pod, source):
            return True
        return any(
            self.peer_listed(namespace, rule.get("from"), source, probe)
            and self.port_listed(rule.get("ports"), target, port, probe)
            for namespace, rule in rules
        )

    def is_own_node(self, pod: Pod, other: Someone) -> bool:
        """R47."""
        return other.node == pod.node

    def rules(self, pod: Pod, direction: str) -> list[tuple[str, dict[str, Any]]] | None:
        """All rules that apply to a pod, or None if it is not isolated (R51, R54, R56, R59)."""
        found, isolated = [], False
        for namespace, spec in self.documents:
            if namespace != pod.namespace:
                continue
            if not self.selected(spec.get("podSelector") or {}, dict(pod.labels)):
                continue
            if direction in self.types(spec):
                isolated = True
                for rule in spec.get(direction.lower()) or []:
                    found.append((namespace, rule))
        return found if isolated else None

    def types(self, spec: dict[str, Any]) -> list[str]:
        """R12-R14, R62."""
        if spec.get("policyTypes"):
            return list(spec["policyTypes"])
        return ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]

    def peer_listed(
        self, namespace: str, peers: list[dict[str, Any]] | None, other: Someone, probe: Probe
    ) -> bool:
        """R18, R19, R23, R24."""
        if not peers:
            return True
        return any(self.peer_is(namespace, peer, other, probe) for peer in peers)

    def peer_is(self, namespace: str, peer: dict[str, Any], other: Someone, probe: Probe) -> bool:
        """R34-R39."""
        if "ipBlock" in peer:
            return self.in_block(peer["ipBlock"], other, probe)
        if other.pod is None:
            return False
        if "namespaceSelector" in peer:
            if not self.selected(peer["namespaceSelector"], self.labels_of(other.pod.namespace)):
                return False
        elif other.pod.namespace != namespace:
            return False
        if "podSelector" in peer:
            return self.selected(peer["podSelector"], dict(other.pod.labels))
        return True

    def labels_of(self, namespace: str) -> dict[str, str]:
        """R78."""
        found = [item for item in self.state.namespaces if item.name == namespace]
        labels = dict(found[0].labels)
        labels["kubernetes.io/metadata.name"] = namespace
        return labels

    def in_block(self, block: dict[str, Any], other: Someone, probe: Probe) -> bool:
        """R31, R32."""
        for address in map(ipaddress.ip_address, other.addresses):
            if address.version != int(probe.family):
                continue
            if self.covers(block["cidr"], address):
                return not any(self.covers(cidr, address) for cidr in block.get("except") or [])
        return False

    def covers(self, cidr: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        base, _, length = cidr.partition("/")
        first = ipaddress.ip_address(base)
        if first.version != address.version:
            return False
        shift = address.max_prefixlen - int(length)
        return int(first) >> shift == int(address) >> shift

    def port_listed(
        self, ports: list[dict[str, Any]] | None, target: Someone, port: int, probe: Probe
    ) -> bool:
        """R16, R17, R21, R22."""
        if not ports:
            return True
        return any(self.port_is(item, target, port, probe) for item in ports)

    def port_is(self, item: dict[str, Any], target: Someone, port: int, probe: Probe) -> bool:
        """R25-R28."""
        protocol = item.get("protocol") or "TCP"
        if protocol != probe.destination.protocol.value:
            return False
        wanted = item.get("port")
        if wanted is None:
            return True
        if isinstance(wanted, str):
            listed = target.pod.ports if target.pod is not None else ()
            return any(
                c.name == wanted and c.protocol.value == protocol and c.number == port
                for c in listed
            )
        return bool(wanted <= port <= (item.get("endPort") or wanted))

    def selected(self, selector: dict[str, Any], labels: dict[str, str]) -> bool:
        """R40-R44."""
        for key, value in (selector.get("matchLabels") or {}).items():
            if labels.get(key) != value:
                return False
        return all(
            self.expression(term, labels) for term in selector.get("matchExpressions") or []
        )

    def expression(self, term: dict[str, Any], labels: dict[str, str]) -> bool:
        """R43, R44."""
        key, operator = term["key"], term["operator"]
        if operator == "In":
            return key in labels and labels[key] in term["values"]
        if operator == "NotIn":
            return key not in labels or labels[key] not in term["values"]
        if operator == "Exists":
            return key in labels
        assert operator == "DoesNotExist"
        return key not in labels
