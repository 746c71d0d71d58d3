"""NetworkPolicy v1 as frozen values, and what the API server would refuse of one.

Values only: nothing here matches a label or judges a connection, so that the oracle and the
embedded cluster may share this module and still be two readings of the API.
"""

from __future__ import annotations

import difflib
import enum
import functools
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.model import Manifest, Protocol

API_VERSION = "networking.k8s.io/v1"
KIND = "NetworkPolicy"


class Direction(enum.StrEnum):
    """A direction as seen from the selected pod, as ``policyTypes`` spells it (R11)."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


class Operator(enum.StrEnum):
    """How a requirement compares a label's value (R43)."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a label selector; ``values`` is empty for Exists and DoesNotExist."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"
            case Operator.IN if len(self.values) == 1:
                return f"{self.key}={self.values[0]}"
            case Operator.IN:
                return f"{self.key} in ({', '.join(self.values)})"
            case Operator.NOT_IN:
                return f"{self.key} notin ({', '.join(self.values)})"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Requirements that must all hold (R40); none of them matches everything (R41)."""

    requirements: tuple[Requirement, ...] = ()

    def __str__(self) -> str:
        return ",".join(str(term) for term in self.requirements) or "<all>"


@dataclass(frozen=True, slots=True)
class IPBlock:
    """The addresses of ``cidr`` without those of ``excepts`` (R31); host bits may be set."""

    cidr: str
    excepts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.cidr} except {', '.join(self.excepts)}" if self.excepts else self.cidr


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
            return f"{pods} of its own namespace"
        namespaces = f"namespaces {self.namespace_selector}"
        return f"{pods} in {namespaces}" if pods else namespaces


@dataclass(frozen=True, slots=True)
class PolicyPort:
    """A port of a rule: any (None), a number, a name, or ``port`` to ``end_port`` (R25-R28)."""

    protocol: Protocol = Protocol.TCP
    port: int | str | None = None
    end_port: int | None = None

    def __str__(self) -> str:
        if self.port is None:
            return f"{self.protocol} any"
        last = "" if self.end_port is None else f"-{self.end_port}"
        return f"{self.protocol} {self.port}{last}"


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
        """The rules of that direction; whether they count is for ``policy_types`` to say."""
        return self.ingress if direction is Direction.INGRESS else self.egress


# ------------------------------------------------------------------ parsing


@functools.lru_cache(maxsize=4096)
def parse(manifest: Manifest) -> NetworkPolicy:
    """Read a manifest of this kind in which ``faults`` found nothing."""
    spec = json.loads(manifest.json).get("spec") or {}
    ingress = tuple(_rule(rule, "from") for rule in spec.get("ingress") or ())
    egress = tuple(_rule(rule, "to") for rule in spec.get("egress") or ())
    types = frozenset(Direction(word) for word in spec.get("policyTypes") or ())
    if not types:
        types = frozenset(Direction) if egress else frozenset({Direction.INGRESS})
    return NetworkPolicy(
        manifest.namespace,
        manifest.name,
        _selector(spec.get("podSelector")) or LabelSelector(),
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
        _selector(peer.get("podSelector")),
        _selector(peer.get("namespaceSelector")),
        None if block is None else IPBlock(block["cidr"], tuple(block.get("except") or ())),
    )


def _port(port: Mapping[str, Any]) -> PolicyPort:
    protocol = Protocol(port.get("protocol") or Protocol.TCP)
    return PolicyPort(protocol, port.get("port"), port.get("endPort"))


def _selector(selector: Mapping[str, Any] | None) -> LabelSelector | None:
    if selector is None:
        return None
    labels = selector.get("matchLabels") or {}
    equal = [Requirement(key, Operator.IN, (value,)) for key, value in labels.items()]
    terms = [
        Requirement(term["key"], Operator(term["operator"]), tuple(term.get("values") or ()))
        for term in selector.get("matchExpressions") or ()
    ]
    return LabelSelector((*equal, *terms))


# ------------------------------------------------------------------ faults


Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in a document; ``path`` leads to it by keys and list indices.

    For an unknown key the path ends in that key; for a missing one, in what lacks it.
    """

    path: Path
    message: str
    hint: str | None = None


def faults(document: object) -> tuple[Fault, ...]:
    """Find all that the API server (with kubectl's strict fields) refuses of a NetworkPolicy.

    Stricter than the server in one thing: an empty list item (``- `` and nothing behind it),
    which it reads as an empty rule that admits everything.
    """
    inspection = _Inspection(_called(document))
    inspection.policy(document)
    return tuple(inspection.found)


_METADATA = tuple(
    """name namespace labels annotations generateName finalizers ownerReferences uid generation
    resourceVersion creationTimestamp deletionTimestamp deletionGracePeriodSeconds managedFields
    selfLink""".split()  # noqa: SIM905  # fifteen quoted words are harder to read
)

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
"""What to say of a key that is right elsewhere."""

_LABEL_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")

_LABEL_HINT = "at most 63 letters, digits, '-', '_', '.'; the first and last a letter or digit"
_WORDS = {str: "text", int: "a number", dict: "a mapping", list: "a list"}


def _called(document: object) -> str:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{KIND} {name!r}" if isinstance(name, str) else f"a {KIND} without a name"


def _step(path: Path) -> str:
    """Name what stands at ``path`` by its key, with its index if it is an item of a list."""
    if not path:
        return "the document"
    return _dotted(path[-2:]) if isinstance(path[-1], int) else path[-1]


def _dotted(path: Path) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


class _Inspection:
    """One walk over a document; ``found`` grows, nothing is raised."""

    def __init__(self, called: str) -> None:
        self.called = called
        self.found: list[Fault] = []

    def add(self, path: Path, fact: str, hint: str | None = None) -> None:
        """Record ``fact`` about what stands at ``path``."""
        self.found.append(Fault(path, f"{fact} in {self.holder(path[:-1])}", hint))

    def missing(self, path: Path, key: str, hint: str) -> None:
        """Record that the mapping at ``path`` lacks ``key``."""
        self.found.append(Fault(path, f"{key} is missing in {self.holder(path)}", hint))

    def holder(self, path: Path) -> str:
        """Name the mapping or list at ``path``."""
        return f"{_dotted(path)} of {self.called}" if path else self.called

    # -- shapes: each gives the value if it has the shape, else records and gives nothing

    def typed(self, value: object, path: Path, kind: type) -> bool:
        if isinstance(value, kind) and not isinstance(value, bool):
            return True
        hint = 'quote it: "..."' if kind is str and isinstance(value, bool | int | float) else None
        kind_of = _kind_of(value)
        shown = f"{value!r} ({kind_of})" if isinstance(value, str | int | float) else kind_of
        self.add(path, f"{_step(path)} is {shown}, not {_WORDS[kind]}", hint)
        return False

    def mapping(self, value: object, path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
        """The mapping without its unknown keys, which are recorded."""
        if not self.typed(value, path, dict):
            return {}
        assert isinstance(value, dict)  # noqa: S101  # told by typed()
        for key in value:
            if key not in keys:
                self.add((*path, key), f"unknown key {key!r}", _nearest_key(key, keys, path))
        return {key: item for key, item in value.items() if key in keys}

    def items(self, value: object, path: Path) -> Iterator[tuple[Any, Path]]:
        """The items of a list with their paths; a list that is not there has none."""
        if value is not None and self.typed(value, path, list):
            assert isinstance(value, list)  # noqa: S101
            for index, item in enumerate(value):
                yield item, (*path, index)

    def word(self, value: object, path: Path, words: type[enum.StrEnum]) -> None:
        """Check a word of a closed set."""
        known = [str(word) for word in words]
        if self.typed(value, path, str) and value not in known:
            near = [word for word in known if word.lower() == str(value).lower()]
            hint = f"did you mean {near[0]!r}?" if near else f"it is one of {', '.join(known)}"
            self.add(path, f"{_step(path)} {value!r} is not known", hint)

    # -- the object

    def policy(self, document: object) -> None:
        body = self.mapping(document, (), ("apiVersion", "kind", "metadata", "spec"))
        if not isinstance(document, dict):
            return
        for key, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
            if body.get(key) is None:
                self.missing((), key, f"{key}: {expected}")
            elif body[key] != expected:
                self.add((key,), f"{key} is {body[key]!r}", f"{key}: {expected}")
        if body.get("metadata") is None:
            self.missing((), "metadata.name", "every object of a scenario has a name")
        else:
            self.metadata(body["metadata"], ("metadata",))
        if body.get("spec") is not None:
            self.spec(body["spec"], ("spec",))

    def metadata(self, value: object, path: Path) -> None:
        body = self.mapping(value, path, tuple(_METADATA))
        if isinstance(value, dict) and body.get("name") is None:
            self.missing(path, "name", "every object of a scenario has a name")
        elif body:
            self.dns_name(body["name"], (*path, "name"), _DNS_SUBDOMAIN, 253)
        if body.get("namespace") is not None:
            self.dns_name(body["namespace"], (*path, "namespace"), _DNS_LABEL, 63)
        self.labels(body.get("labels"), (*path, "labels"))
        annotations = body.get("annotations")
        if annotations is not None and self.typed(annotations, (*path, "annotations"), dict):
            for key, text in annotations.items():
                self.typed(text, (*path, "annotations", key), str)

    def dns_name(self, value: object, path: Path, form: re.Pattern[str], longest: int) -> None:
        if not self.typed(value, path, str):
            return
        text = str(value)
        if not form.fullmatch(text) or len(text) > longest:
            dots = ", '-' and '.'" if form is _DNS_SUBDOMAIN else " and '-'"
            self.add(
                path,
                f"{path[-1]} {text!r} is not a DNS name",
                f"at most {longest} lower-case letters, digits{dots}, "
                "beginning and ending with a letter or digit",
            )

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
        if isinstance(port, int) and not isinstance(port, bool):
            self.port_number(port, path)
        elif not isinstance(port, str):
            self.add(
                path,
                f"port {port!r} is neither a number nor a name",
                "a number from 1 to 65535 or the name of a container's port",
            )
        elif not _PORT_NAME.fullmatch(port):
            hint = "at most 15 lower-case letters, digits and single '-', with a letter in it"
            if port.isdecimal():
                hint = f"a port in quotes is a port's name; the number is written {port}"
            self.add(path, f"port {port!r} is not a port's name", hint)

    def port_number(self, port: int, path: Path) -> bool:
        if 1 <= port <= 65535:
            return True
        self.add(path, f"{path[-1]} {port} is out of range", "a port is 1 to 65535")
        return False

    def end_port(self, port: object, end: int, path: Path) -> None:
        if port is None:
            self.add(path, f"endPort {end} without port", "'port' is the first of the range (R29)")
        elif isinstance(port, str):
            fact = f"endPort {end} beside the named port {port!r}"
            self.add(path, fact, "a range needs a number as its port (R29)")
        elif self.port_number(end, path) and isinstance(port, int) and end < port:
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
                self.add(
                    place,
                    f"except {item!r} is not a part of cidr {body['cidr']!r}",
                    "an exception lies inside its cidr and is smaller than it (R33)",
                )

    def cidr(self, value: object, path: Path) -> _Network | None:
        if not self.typed(value, path, str):
            return None
        text = str(value)
        address, _, length = text.partition("/")
        try:
            network = ipaddress.ip_network(text, strict=False)
            if "%" in text or not re.fullmatch(r"\d{1,3}", length):
                raise ValueError
        except ValueError:
            self.add(path, f"{_step(path)} {text!r} is not a CIDR", _cidr_hint(address, length))
            return None
        return network

    def selector(self, value: object, path: Path) -> None:
        if value is None:
            return
        body = self.mapping(value, path, ("matchLabels", "matchExpressions"))
        self.labels(body.get("matchLabels"), (*path, "matchLabels"))
        terms = (*path, "matchExpressions")
        for term, place in self.items(body.get("matchExpressions"), terms):
            self.requirement(term, place)

    def requirement(self, value: object, path: Path) -> None:
        body = self.mapping(value, path, ("key", "operator", "values"))
        if not isinstance(value, dict):
            return
        for needed, hint in (("key", "key: app"), ("operator", "operator: In")):
            if body.get(needed) is None:
                self.missing(path, needed, hint)
        if body.get("key") is not None:
            self.label_key(body["key"], (*path, "key"))
        operator = body.get("operator")
        if operator is not None:
            self.word(operator, (*path, "operator"), Operator)
        values = (*path, "values")
        for item, place in self.items(body.get("values"), values):
            self.label_value(item, place)
        empty = not body.get("values")
        if operator in {Operator.IN, Operator.NOT_IN} and empty:
            fact = f"operator {operator!r} without values"
            self.add(
                (*path, "operator"), fact, "In and NotIn need a list of one value or more (R43)"
            )
        if operator in {Operator.EXISTS, Operator.DOES_NOT_EXIST} and not empty:
            fact = f"operator {operator!r} with values"
            self.add(values, fact, "Exists and DoesNotExist look at the key alone (R43)")

    def labels(self, value: object, path: Path) -> None:
        if value is not None and self.typed(value, path, dict):
            assert isinstance(value, dict)  # noqa: S101
            for key, text in value.items():
                self.label_key(key, (*path, key))
                self.label_value(text, (*path, key))

    def label_key(self, value: object, path: Path) -> None:
        if not self.typed(value, path, str):
            return
        prefix, slash, name = str(value).rpartition("/")
        right = _LABEL_WORD.fullmatch(name) is not None
        if slash:
            right = right and len(prefix) <= 253 and _DNS_SUBDOMAIN.fullmatch(prefix) is not None
        if not right:
            hint = f"{_LABEL_HINT}; before it perhaps a DNS name and '/'"
            self.add(path, f"{value!r} is not a label's key", hint)

    def label_value(self, value: object, path: Path) -> None:
        if self.typed(value, path, str) and value and not _LABEL_WORD.fullmatch(str(value)):
            self.add(path, f"{value!r} is not a label's value", _LABEL_HINT)


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _inside(part: _Network, whole: _Network) -> bool:
    if isinstance(part, ipaddress.IPv4Network):
        return isinstance(whole, ipaddress.IPv4Network) and part != whole and part.subnet_of(whole)
    return isinstance(whole, ipaddress.IPv6Network) and part != whole and part.subnet_of(whole)


def _cidr_hint(address: str, length: str) -> str:
    try:
        bits = ipaddress.ip_address(address).max_prefixlen
    except ValueError:
        return "an address and a prefix length, like 10.0.0.0/24 or 2001:db8::/64"
    if length:
        return f"the prefix length is a number from 0 to {bits}"
    return f"a single address is written {address}/{bits}"


def _kind_of(value: object) -> str:
    known: tuple[tuple[type, str], ...] = (
        (type(None), "empty"),
        (bool, "true or false"),
        *_WORDS.items(),
    )
    return next((word for kind, word in known if isinstance(value, kind)), type(value).__name__)


def _nearest_key(key: object, keys: tuple[str, ...], path: Path) -> str:
    text = str(key)
    by_fold = {word.lower(): word for word in keys}
    near = difflib.get_close_matches(text.lower(), by_fold, n=1, cutoff=0.75)
    if near:
        return f"did you mean {by_fold[near[0]]!r}?"
    if path and str(path[-1]).endswith("Selector"):
        return f"labels stand under matchLabels: {{matchLabels: {{{text}: ...}}}}"
    if text in _BELONGS:
        return _BELONGS[text]
    return f"known keys: {', '.join(keys)}"
