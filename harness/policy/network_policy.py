"""NetworkPolicy v1 as frozen values, and everything that the API server would refuse in one."""

from __future__ import annotations

import functools
import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.model import Manifest, PodRef, Protocol
from harness.policy.document import Fault, Inspection, IPNetwork, Path
from harness.policy.placeholders import Everybody, Placeholder
from harness.policy.selectors import (
    Direction,
    IPBlock,
    LabelSelector,
    PolicyPort,
    label_selector,
    port_name,
    port_number,
)

API_VERSION = "networking.k8s.io/v1"
KIND = "NetworkPolicy"


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a rule; None is a selector that is not there, unlike an empty one."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None

    def __str__(self) -> str:
        if self.ip_block is not None:
            return f"ipBlock {self.ip_block}"
        pods = None if self.pod_selector is None else f"pods {self.pod_selector}"
        if self.namespace_selector is None:
            return f"{pods} of the same namespace"
        namespaces = f"namespaces {self.namespace_selector}"
        return f"{pods} in {namespaces}" if pods else namespaces


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of ``ingress`` or ``egress``; an empty tuple does not restrict (R16, R18)."""

    peers: tuple[Peer, ...] = ()
    ports: tuple[PolicyPort, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """A policy with the defaults applied: ``policy_types`` is never empty (R12-R14, R62)."""

    namespace: str
    name: str
    pod_selector: LabelSelector
    policy_types: frozenset[Direction]
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()

    def __str__(self) -> str:
        return f"{KIND} {self.namespace}/{self.name}"

    def rules(self, direction: Direction) -> tuple[Rule, ...]:
        """Return the rules of that direction; ``policy_types`` says whether they count."""
        return self.ingress if direction is Direction.INGRESS else self.egress

    def acts_on(self, direction: Direction) -> bool:
        """Return whether it isolates the pods that it selects in that direction (R11)."""
        return direction in self.policy_types

    @property
    def cidrs(self) -> Iterator[str]:
        """The blocks that its rules name, and what they except; some are placeholders."""
        for rule in (*self.ingress, *self.egress):
            for block in (peer.ip_block for peer in rule.peers):
                yield from () if block is None else (block.cidr, *block.excepts)


# ------------------------------------------------------------------ parsing


@functools.lru_cache(maxsize=16_384)
def parse(manifest: Manifest) -> NetworkPolicy:
    """Return the policy of a manifest in which ``faults`` found nothing."""
    spec = json.loads(manifest.json).get("spec") or {}
    ingress = tuple(_rule(rule, "from") for rule in spec.get("ingress") or ())
    egress = tuple(_rule(rule, "to") for rule in spec.get("egress") or ())
    types = frozenset(Direction(word) for word in spec.get("policyTypes") or ())
    if not types:
        types = frozenset(Direction) if egress else frozenset({Direction.INGRESS})
    return NetworkPolicy(
        manifest.namespace,
        manifest.name,
        label_selector(spec.get("podSelector")) or LabelSelector(),
        types,
        ingress,
        egress,
    )


def _rule(rule: Mapping[str, Any], peers_key: str) -> Rule:
    return Rule(
        tuple(_peer(peer) for peer in rule.get(peers_key) or ()),
        tuple(_port(port) for port in rule.get("ports") or ()),
    )


def _peer(peer: Mapping[str, Any]) -> Peer:
    block = peer.get("ipBlock")
    return Peer(
        label_selector(peer.get("podSelector")),
        label_selector(peer.get("namespaceSelector")),
        None if block is None else IPBlock(block["cidr"], tuple(block.get("except") or ())),
    )


def _port(port: Mapping[str, Any]) -> PolicyPort:
    protocol = Protocol(port.get("protocol") or Protocol.TCP)
    return PolicyPort(protocol, port.get("port"), port.get("endPort"))


# ------------------------------------------------------------------ faults


def faults(document: object) -> tuple[Fault, ...]:
    """Return everything that the API server (with kubectl's strict fields) refuses.

    Stricter than the server in one point: an empty list item (``-`` and nothing behind it), which
    the server reads as an empty rule that admits everything, is a fault.
    """
    inspection = _Inspection(KIND, document, _BELONGS)
    inspection.policy(document)
    return tuple(inspection.found)


_BELONGS = {
    "from": "'from' belongs to a rule of ingress; a rule of egress has 'to'",
    "to": "'to' belongs to a rule of egress; a rule of ingress has 'from'",
    "ports": "'ports' stands beside 'from' or 'to' in a rule: mind the indentation",
    "podSelector": "in a rule it stands as an item of the list 'from' or 'to'",
    "namespaceSelector": "in a rule it stands as an item of the list 'from' or 'to'",
    "ipBlock": "in a rule it stands as an item of the list 'from' or 'to'",
    "port": "'port' stands in an item of 'ports'",
    "except": "'except' stands in 'ipBlock', beside 'cidr'",
    "cidr": "'cidr' stands in 'ipBlock'",
}
"""Where a key belongs that stands in the wrong place."""


class _Inspection(Inspection):
    """The keys of a NetworkPolicy."""

    def policy(self, document: object) -> None:
        body = self.mapping(document, (), ("apiVersion", "kind", "metadata", "spec"))
        if not isinstance(document, dict):
            return
        self.header(body, API_VERSION, KIND)
        if body.get("spec") is not None:
            self.spec(body["spec"], ("spec",))

    def spec(self, value: object, path: Path) -> None:
        body = self.mapping(value, path, ("podSelector", "policyTypes", "ingress", "egress"))
        self.selector(body.get("podSelector"), (*path, "podSelector"))
        types = (*path, "policyTypes")
        for word, place in self.items(body.get("policyTypes"), types):
            self.word(word, place, Direction)
        if isinstance(body.get("policyTypes"), list) and len(body["policyTypes"]) > 2:
            self.add(types, "policyTypes has more than two words", "Ingress, Egress, or both")
        for key, peers in (("ingress", "from"), ("egress", "to")):
            for rule, place in self.items(body.get(key), (*path, key)):
                self.rule(rule, place, peers)

    def rule(self, value: object, path: Path, peers_key: str) -> None:
        if value is None:
            self.add(path, "an empty item", "write {} for a rule that admits everything")
            return
        body = self.mapping(value, path, (peers_key, "ports"))
        for peer, place in self.items(body.get(peers_key), (*path, peers_key)):
            self.peer(peer, place)
        for port, place in self.items(body.get("ports"), (*path, "ports")):
            self.port(port, place)

    def peer(self, value: object, path: Path) -> None:
        kinds = ("podSelector", "namespaceSelector", "ipBlock")
        if value is None:
            value = {}
        body = self.mapping(value, path, kinds)
        given = [kind for kind in kinds if body.get(kind) is not None]
        if isinstance(value, dict) and not given and set(value) <= set(kinds):
            self.add(
                path,
                "a peer without podSelector, namespaceSelector or ipBlock",
                f"leave out '{path[-2]}' to admit every peer, or write namespaceSelector: {{}} "
                "for every pod",
            )
        if "ipBlock" in given and len(given) > 1:
            self.add(
                (*path, "ipBlock"),
                f"ipBlock beside {given[0]}",
                "an ipBlock stands alone in its item; make it two items (R34)",
            )
        self.selector(body.get("podSelector"), (*path, "podSelector"))
        self.selector(body.get("namespaceSelector"), (*path, "namespaceSelector"))
        if body.get("ipBlock") is not None:
            self.ip_block(body["ipBlock"], (*path, "ipBlock"))

    def port(self, value: object, path: Path) -> None:
        if value is None:
            self.add(path, "an empty item", "write {protocol: TCP} for every TCP port")
            return
        body = self.mapping(value, path, ("protocol", "port", "endPort"))
        if body.get("protocol") is not None:
            self.word(body["protocol"], (*path, "protocol"), Protocol)
        port, end = body.get("port"), body.get("endPort")
        if port is not None:
            self.port_value(port, (*path, "port"))
        if end is not None and self.typed(end, (*path, "endPort"), int):
            self.end_port(port, end, (*path, "endPort"))

    def port_value(self, port: object, path: Path) -> None:
        if isinstance(port, str):
            self.bad(port_name(port), path)
        elif isinstance(port, int) and not isinstance(port, bool):
            self.bad(port_number(port), path)
        else:
            self.add(
                path,
                f"port {port!r} is neither a number nor a name",
                "a number from 1 to 65535 or the name of a container's port",
            )

    def end_port(self, port: object, end: int, path: Path) -> None:
        if port is None:
            self.add(path, f"endPort {end} without port", "'port' is the first of the range (R29)")
        elif isinstance(port, str):
            fact = f"endPort {end} beside the named port {port!r}"
            self.add(path, fact, "a range needs a number as its port (R29)")
        elif wrong := port_number(end, "endPort"):
            self.bad(wrong, path)
        elif isinstance(port, int) and end < port:
            fact = f"endPort {end} is less than port {port}"
            self.add(path, fact, "endPort is the last port of the range (R30)")

    def ip_block(self, value: object, path: Path) -> None:
        body = self.mapping(value, path, ("cidr", "except"))
        if isinstance(value, dict) and body.get("cidr") is None:
            self.missing(path, "cidr", "cidr: 10.0.0.0/24")
        whole = self.cidr(body["cidr"], (*path, "cidr")) if body.get("cidr") is not None else None
        for item, place in self.items(body.get("except"), (*path, "except")):
            part = self.cidr(item, place)
            if whole is not None and part is not None and not _inside(part, whole):
                known = not isinstance(part, Placeholder) and not isinstance(whole, Placeholder)
                self.add(
                    place,
                    f"except {item!r} is not a part of cidr {body['cidr']!r}"
                    if known
                    else f"except {item!r} is not known to be a part of cidr {body['cidr']!r}",
                    _SMALLER if known else _SURELY_INSIDE,
                )


_SMALLER = "an exception lies inside its cidr and is smaller than it (R33)"
_SURELY_INSIDE = (
    "an address that only the cluster knows is surely in 0.0.0.0/0 (IPv6: ::/0), and that of a "
    "pod in $(cidr:pods) (IPv6: $(cidr6:pods))"
)


def _inside(part: IPNetwork | Placeholder, whole: IPNetwork | Placeholder) -> bool:
    """Return whether one block is surely a part of another, and smaller than it."""
    if isinstance(part, Placeholder):
        if isinstance(whole, Placeholder):
            pods = Placeholder(Everybody.PODS, part.family)
            return whole == pods and isinstance(part.of, PodRef)
        return whole.prefixlen == 0 and whole.version == part.family
    if isinstance(whole, Placeholder):
        return False
    if isinstance(part, ipaddress.IPv4Network):
        return isinstance(whole, ipaddress.IPv4Network) and part != whole and part.subnet_of(whole)
    return isinstance(whole, ipaddress.IPv6Network) and part != whole and part.subnet_of(whole)
