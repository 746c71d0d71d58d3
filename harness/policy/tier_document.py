"""What documents of all kinds of policies in tiers have: subjects, peers and rules."""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.policy.document import Fault, Inspection, IPNetwork, Path
from harness.policy.selectors import Direction, LabelSelector, label_selector, port_number
from harness.policy.tiers import (
    LAST_PRIORITY,
    DomainNames,
    Networks,
    Nodes,
    RuleAction,
    SelectedPods,
    TierPeer,
    TierPort,
    TierRule,
)

MOST_NETWORKS = 25
LONGEST_NAME = 100
LONGEST_CIDR = 43
_INGRESS_PEERS = ("namespaces", "pods")


@dataclass(frozen=True, slots=True)
class Shape:
    """How the kinds differ: the words for actions, the key of ports, the sizes of lists.

    ``meanings`` has what each word for an action means, in every kind of that version.
    ``egress_peers`` are the keys of a peer of egress. ``optional_namespaces`` says whether
    ``namespaceSelector`` may be missing beside ``podSelector``.
    """

    actions: type[enum.StrEnum]
    meanings: Mapping[str, RuleAction]
    ports_key: str
    most_rules: int
    most_entries: int
    egress_peers: tuple[str, ...]
    optional_namespaces: bool


# ------------------------------------------------------------------ parsing


def subject(body: Mapping[str, Any]) -> SelectedPods:
    """Return the pods that a policy is for."""
    found = _selected(body)
    assert found is not None  # noqa: S101  # ``TierInspection.subject`` requires one of the two
    return found


def rules(
    spec: Mapping[str, Any],
    direction: Direction,
    shape: Shape,
    port: Callable[[Mapping[str, Any]], TierPort],
) -> tuple[TierRule, ...]:
    """Return the rules of a direction; ``port`` reads an entry of their ports."""
    peers_key = "from" if direction is Direction.INGRESS else "to"
    return tuple(
        TierRule(
            shape.meanings[rule["action"]],
            tuple(peer(item) for item in rule[peers_key]),
            tuple(port(item) for item in rule.get(shape.ports_key) or ()),
            rule.get("name") or "",
        )
        for rule in spec.get(direction.lower()) or ()
    )


def peer(body: Mapping[str, Any]) -> TierPeer:
    """Return an entry of ``from`` or ``to``."""
    if "networks" in body:
        return Networks(tuple(body["networks"]))
    if "nodes" in body:
        return Nodes(label_selector(body["nodes"]) or LabelSelector())
    if "domainNames" in body:
        return DomainNames(tuple(body["domainNames"]))
    return subject(body)


def _selected(body: Mapping[str, Any]) -> SelectedPods | None:
    if body.get("namespaces") is not None:
        return SelectedPods(label_selector(body["namespaces"]) or LabelSelector())
    if body.get("pods") is None:
        return None
    namespaces = label_selector(body["pods"].get("namespaceSelector")) or LabelSelector()
    return SelectedPods(namespaces, label_selector(body["pods"]["podSelector"]))


# ------------------------------------------------------------------ faults

_BELONGS = {
    "from": "'from' belongs to a rule of ingress; a rule of egress has 'to'",
    "to": "'to' belongs to a rule of egress; a rule of ingress has 'from'",
    "podSelector": "it stands in pods: {namespaceSelector: ..., podSelector: ...}",
    "namespaceSelector": "write namespaces: {matchLabels: ...}, or both selectors under pods:",
    "ipBlock": "write networks: [10.0.0.0/8], which stands in a rule of egress",
    "networks": "only a rule of egress has networks (T14)",
    "nodes": "only a rule of egress has nodes (T14)",
    "domainNames": "only a rule of egress has domainNames (T14)",
    "policyTypes": "the rules themselves say for which direction they are",
    "port": "see the ports of this kind: docs/tiers.md",
    "ports": "ClusterNetworkPolicy has 'protocols', AdminNetworkPolicy has 'ports'",
    "protocols": "ClusterNetworkPolicy has 'protocols', AdminNetworkPolicy has 'ports'",
    "matchLabels": "it stands in a selector, like namespaces: {matchLabels: {team: a}}",
    "tier": "only a ClusterNetworkPolicy has a tier",
    "priority": "a BaselineAdminNetworkPolicy has no priority",
}
"""Where a key belongs that stands in the wrong place."""

# The definition says A-z, so it also accepts [ \ ] ^ _ and the backtick.
DOMAIN_NAME = re.compile(
    r"(\*\.)?([a-zA-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?"
)
DOMAIN_NAME_HINT = "a full name like api.example.org, or *.example.org for all names below it"


class TierInspection(Inspection):
    """The keys that all kinds of policies in tiers have."""

    def __init__(self, kind: str, document: object, shape: Shape) -> None:
        super().__init__(kind, document, _BELONGS)
        self._shape = shape

    def policy(self, document: object, api_version: str, spec_keys: tuple[str, ...]) -> None:
        """Check a whole document; ``spec_keys`` are the keys of its ``spec``."""
        body = self.mapping(document, (), ("apiVersion", "kind", "metadata", "spec"))
        if not isinstance(document, dict):
            return
        self.header(body, api_version, self._kind)
        if body.get("spec") is None:
            self.missing((), "spec", f"spec: {{{', '.join(spec_keys)}}}")
            return
        self._spec(body["spec"], ("spec",), spec_keys)

    def _spec(self, value: object, path: Path, keys: tuple[str, ...]) -> None:
        body = self.mapping(value, path, keys)
        if not isinstance(value, dict):
            return
        if "priority" in keys:
            self._priority(body.get("priority"), path)
        if body.get("subject") is None:
            self.missing(path, "subject", "subject: {namespaces: {}} is every pod of the cluster")
        else:
            self._selected(body["subject"], (*path, "subject"), _INGRESS_PEERS)
        for key, peers in (("ingress", "from"), ("egress", "to")):
            place = (*path, key)
            self._size(body.get(key), place, 0, self._shape.most_rules)
            for rule, here in self.items(body.get(key), place):
                self._rule(rule, here, peers)

    def _priority(self, value: object, path: Path) -> None:
        if value is None:
            self.missing(path, "priority", f"a number from 0 to {LAST_PRIORITY}; 0 is first (T03)")
            return
        here = (*path, "priority")
        if self.typed(value, here, int):
            assert isinstance(value, int)  # noqa: S101  # told by typed()
            if not 0 <= value <= LAST_PRIORITY:
                hint = f"a number from 0 to {LAST_PRIORITY}; 0 is evaluated first (T03)"
                self.add(here, f"priority {value} is out of range", hint)

    def _rule(self, value: object, path: Path, peers_key: str) -> None:
        shape = self._shape
        body = self.mapping(value, path, ("name", "action", peers_key, shape.ports_key))
        if not isinstance(value, dict):
            return
        if body.get("name") is not None and self.typed(body["name"], (*path, "name"), str):
            self._length(body["name"], (*path, "name"), LONGEST_NAME)
        if body.get("action") is None:
            self.missing(path, "action", f"one of {', '.join(shape.actions)}")
        else:
            self.word(body["action"], (*path, "action"), shape.actions)
        place = (*path, peers_key)
        if body.get(peers_key) is None:
            everybody = f"{peers_key}: [{{namespaces: {{}}}}] is every pod of the cluster (T09)"
            self.missing(path, peers_key, everybody)
        self._size(body.get(peers_key), place, 1, shape.most_entries)
        keys = _INGRESS_PEERS if peers_key == "from" else shape.egress_peers
        for item, here in self.items(body.get(peers_key), place):
            self._selected(item, here, keys)
        ports = (*path, shape.ports_key)
        self._size(body.get(shape.ports_key), ports, 1, shape.most_entries)
        for item, here in self.items(body.get(shape.ports_key), ports):
            self.port(item, here)
            self._named_port_of_no_pod(item, here, body.get("to"))

    def port(self, value: object, path: Path) -> None:
        """Check an entry of the ports of a rule."""
        raise NotImplementedError

    def names_a_port(self, value: Mapping[str, Any]) -> bool:
        """Return whether an entry of the ports is a name."""
        raise NotImplementedError

    def _named_port_of_no_pod(self, port: object, path: Path, peers: object) -> None:
        """Networks, nodes and domain names have no ports with names (T20)."""
        if not isinstance(port, dict) or not self.names_a_port(port):
            return
        for item in peers if isinstance(peers, list) else ():
            found = [key for key in item if key in _NO_PODS] if isinstance(item, dict) else []
            if found:
                fact = f"a named port in a rule with {found[0]}"
                self.add(path, fact, "only pods have ports with names; write a number (T20)")
                return

    # -- subjects and peers

    def _selected(self, value: object, path: Path, keys: tuple[str, ...]) -> None:
        """Check a subject or a peer: exactly one key."""
        body = self.one_of(value, path, keys)
        for key in ("namespaces", "nodes"):
            if key in body:
                self.present_selector(body[key], (*path, key))
        if "pods" in body:
            self._pods(body["pods"], (*path, "pods"))
        for key, check in (("networks", self._network), ("domainNames", self._domain_name)):
            if key in body:
                self._set(body[key], (*path, key), check)

    def one_of(self, value: object, path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
        """Return the mapping, which must have exactly one of the keys."""
        body = self.mapping(value, path, keys)
        if isinstance(value, dict) and set(value) <= set(keys) and len(body) != 1:
            fact = f"{' and '.join(body)} stand side by side" if body else "an empty item"
            hint = f"exactly one of {', '.join(keys)}"
            several = "; make them two items" if body and isinstance(path[-1], int) else ""
            self.add(path, fact, hint + several)
            return {}
        return body

    def present_selector(self, value: object, path: Path) -> None:
        """Check a selector that must not be null: ``{}`` selects everything."""
        if value is None:
            self.add(path, f"{path[-1]} is empty", f"write {path[-1]}: {{}} to select all")
        else:
            self.selector(value, path)

    def _pods(self, value: object, path: Path) -> None:
        body = self.mapping(value, path, ("namespaceSelector", "podSelector"))
        if not isinstance(value, dict):
            return
        needed = ["podSelector"]
        if not self._shape.optional_namespaces:
            needed.append("namespaceSelector")
        for key in needed:
            if key not in body:
                self.missing(path, key, f"{key}: {{}} selects all")
        for key, selector in body.items():
            self.present_selector(selector, (*path, key))

    def _set(self, value: object, path: Path, check: Callable[[object, Path], None]) -> None:
        if value is None:
            self.add(path, f"{path[-1]} is empty", "a list of one entry or more")
        self._size(value, path, 1, MOST_NETWORKS)
        seen: set[object] = set()
        for item, here in self.items(value, path):
            check(item, here)
            if isinstance(item, str) and item in seen:
                self.add(here, f"{item!r} stands there twice", "remove one of them")
            seen.add(item if isinstance(item, str) else id(item))

    def _network(self, value: object, path: Path) -> None:
        network = self.cidr(value, path)
        if isinstance(value, str) and isinstance(network, IPNetwork):
            self._length(value, path, LONGEST_CIDR)
            if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
                fact = f"{value!r} is an IPv4 address in an IPv6 one"
                self.add(path, fact, "write it as an IPv4 network")

    def _domain_name(self, value: object, path: Path) -> None:
        if self.typed(value, path, str) and not DOMAIN_NAME.fullmatch(str(value)):
            self.add(path, f"{value!r} is not a domain name", DOMAIN_NAME_HINT)

    # -- sizes

    def _size(self, value: object, path: Path, least: int, most: int) -> None:
        if not isinstance(value, list):
            return
        if len(value) < least:
            self.add(path, f"{path[-1]} is an empty list", "leave it out, or write an entry")
        elif len(value) > most:
            fact = f"{path[-1]} has {len(value)} entries"
            self.add(path, fact, f"at most {most}; use several policies or wider entries")

    def _length(self, text: str, path: Path, most: int) -> None:
        if len(text) > most:
            self.add(path, f"{path[-1]} has {len(text)} characters", f"at most {most}")

    def number(self, value: object, path: Path) -> bool:
        """Return whether the value is the number of a port."""
        if not self.typed(value, path, int):
            return False
        assert isinstance(value, int)  # noqa: S101  # told by typed()
        wrong = port_number(value, str(path[-1]))
        self.bad(wrong, path)
        return wrong is None


_NO_PODS = ("networks", "nodes", "domainNames")


# ------------------------------------------------------------------ warnings


def unsupported_names(document: object, shape: Shape) -> Iterator[Fault]:
    """Yield each ``domainNames`` in a rule that does not accept (T16)."""
    accept = next(word for word, means in shape.meanings.items() if means is RuleAction.ACCEPT)
    for path, rule in rules_of(document):
        for index, item in enumerate(rule.get("to") or ()):
            if "domainNames" in item and rule["action"] != accept:
                fact = f"domainNames in a rule with the action {rule['action']}"
                hint = f"the API supports them only with {accept}; plugins ignore this rule (T16)"
                yield Fault((*path, "to", index, "domainNames"), fact, hint)


def rules_of(document: object) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the rules of a document of any shape, each with its path, ingress first."""
    spec = document.get("spec") if isinstance(document, dict) else None
    for key in ("ingress", "egress"):
        listed = spec.get(key) if isinstance(spec, dict) else None
        for index, rule in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(rule, dict):
                yield ("spec", key, index), rule
