"""The ends of a probe as they are written, with or without ``*``, and what they match."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.errors import UsageError
from harness.model import (
    RESERVED_NAMESPACES,
    AbsoluteName,
    Address,
    Destination,
    ExternalRef,
    Host,
    NodePortRef,
    NodeRef,
    PodRef,
    Protocol,
    ServiceName,
    ServiceRef,
    Source,
)
from harness.suggest import nearest

_SOURCES = "a source is ns/pod, node/1 or external/name"
_DESTINATIONS = (
    "a destination is ns/pod:port, svc/ns/name:port, dns/name.ns:port, nodeport/ns/name:port@1, "
    "node/1:port, external/name:port or ip/address:port"
)


@dataclass(frozen=True, slots=True)
class SourcePattern:
    """A row as written: one source, or a pattern that matches several."""

    text: str
    kind: str
    fields: tuple[str, ...]

    @property
    def literal(self) -> Source | None:
        """The one source that this is, unless it is a pattern."""
        return None if "*" in self.text else _source(self.kind, self.fields)

    def matches(self, source: Source) -> bool:
        """Return whether the row means this source."""
        kind, fields = _shape(source)
        return kind == self.kind and _match_all(self.fields, fields)


@dataclass(frozen=True, slots=True)
class DestinationPattern:
    """A column as written; ``port`` and ``protocol`` are None where any will do."""

    text: str
    kind: str
    fields: tuple[str, ...]
    port: int | None
    protocol: Protocol | None

    @property
    def literal(self) -> Destination | None:
        """The one destination that this is, unless it is a pattern."""
        if "*" in self.text or self.port is None or self.protocol is None:
            return None
        return Destination(_host(self.kind, self.fields), self.port, self.protocol)

    def matches(self, destination: Destination) -> bool:
        """Return whether the column means this destination."""
        kind, fields = _shape(destination.host)
        if self.kind == "*":
            right = kind in {"pod", "svc"}
        else:
            right = kind == self.kind and _match_all(self.fields, fields)
        return (
            right
            and self.port in {None, destination.port}
            and self.protocol in {None, destination.protocol}
        )


def _match_all(patterns: tuple[str, ...], fields: tuple[str, ...]) -> bool:
    return len(patterns) == len(fields) and all(
        _glob(pattern, text) for pattern, text in zip(patterns, fields, strict=True)
    )


def _glob(pattern: str, text: str) -> bool:
    """Return whether ``*`` in the pattern can stand for parts of the text.

    Each part between two stars is taken where it first occurs; no other choice can match more.
    """
    first, *parts = pattern.split("*")
    if not parts:
        return pattern == text
    *middle, last = parts
    if not text.startswith(first) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return text.endswith(last)


def _shape(host: Source | Host) -> tuple[str, tuple[str, ...]]:
    match host:
        case PodRef(namespace, name):
            return "pod", (namespace, name)
        case NodeRef(index):
            return "node", (str(index),)
        case ExternalRef(name):
            return "external", (name,)
        case ServiceRef(namespace, name):
            return "svc", (namespace, name)
        case NodePortRef(namespace, name, node):
            return "nodeport", (namespace, name, str(node))
        case ServiceName(namespace, name):
            return "dns", (name, namespace)
        case AbsoluteName(name):
            return "dns", tuple(name.split("."))
        case Address(ip):
            return "ip", (ip,)


def _source(kind: str, fields: tuple[str, ...]) -> Source:
    match kind:
        case "node":
            return NodeRef(int(fields[0]))
        case "external":
            return ExternalRef(fields[0])
        case _:
            return PodRef(fields[0], fields[1])


def _host(kind: str, fields: tuple[str, ...]) -> Host:
    match kind:
        case "svc":
            return ServiceRef(fields[0], fields[1])
        case "nodeport":
            return NodePortRef(fields[0], fields[1], int(fields[2]))
        case "dns" if len(fields) == 2:
            return ServiceName(fields[1], fields[0])
        case "dns":
            return AbsoluteName(".".join(fields))
        case "ip":
            return Address(fields[0])
        case _:
            return _source(kind, fields)


# ------------------------------------------------------------------ reading


def parse_source(text: str) -> Source:
    """Read one source, like ``app1/nginx``. Raises UsageError."""
    found = source_pattern(text).literal
    if found is None:
        raise UsageError(f"{text!r} is a pattern, not one source", _SOURCES)
    return found


def parse_destination(text: str) -> Destination:
    """Read one destination, like ``svc/db/postgres:5432``. Raises UsageError."""
    found = destination_pattern(text).literal
    if found is None:
        raise UsageError(f"{text!r} is a pattern, not one destination", _DESTINATIONS)
    return found


def source_pattern(text: str) -> SourcePattern:
    """Read a row's source; ``*`` alone is every pod. Raises UsageError."""
    if text == "*":
        return SourcePattern(text, "pod", ("*", "*"))
    kind, fields = _head(text, _SOURCES)
    if kind not in {"pod", "node", "external"}:
        raise UsageError(f"{text!r} cannot be a source", _SOURCES)
    if ":" in text:
        raise UsageError(f"the source {text!r} has a port", "a source is written without a port")
    _check(text, kind, fields)
    return SourcePattern(text, kind, fields)


_TAIL = re.compile(
    r"(?P<host>ip/\[[^\]]*\]|[^:@]*)(?P<colon>:(?P<port>[^/@:]*)(?:/(?P<protocol>[^@]*))?)?"
    r"(?:@(?P<node>.*))?"
)


def destination_pattern(text: str) -> DestinationPattern:
    """Read a column's destination; ``*`` alone is every port there is. Raises UsageError."""
    if text == "*":
        return DestinationPattern(text, "*", (), None, None)
    parts = _TAIL.fullmatch(text)
    if parts is None:
        hint = "an IPv6 address is written ip/[2001:db8::5]:443"
        raise UsageError(
            f"{text!r} is not a destination", hint if text.startswith("ip/") else _DESTINATIONS
        )
    host = parts["host"]
    kind, fields = _head(host, _DESTINATIONS)
    if kind == "nodeport":
        if parts["node"] is None:
            raise UsageError(f"{text!r} names no node", f"through the first worker: {text}@1")
        fields = (*fields, parts["node"])
    elif parts["node"] is not None:
        raise UsageError(f"{text!r} names a node", "only a nodeport/ end goes through a node: @1")
    _check(text, kind, fields)
    any_port = parts["port"] == "*" or (not parts["colon"] and "*" in host)
    port = None if any_port else _port(text, parts["port"])
    if port is None and kind in {"node", "ip"}:
        raise UsageError(f"{text!r} has no port", f"{kind}/ ends declare none; write the number")
    if parts["protocol"] is None:
        return DestinationPattern(text, kind, fields, port, None if any_port else Protocol.TCP)
    return DestinationPattern(text, kind, fields, port, _protocol(parts["protocol"]))


def _head(text: str, expected: str) -> tuple[str, tuple[str, ...]]:
    """Split off what an end begins with."""
    word, slash, rest = text.partition("/")
    if not slash:
        raise UsageError(f"{text!r} is not an end", expected)
    if word not in RESERVED_NAMESPACES:
        return "pod", tuple(text.split("/"))
    match word:
        case "ns":
            raise UsageError(f"{text!r} is not an end", "a pod is written ns/pod without 'ns/'")
        case "dns":
            return word, tuple(rest.removesuffix(".").split("."))
        case "ip":
            return word, (rest.removeprefix("[").removesuffix("]"),)
        case _:
            return word, tuple(rest.split("/"))


_FIELDS = {"pod": 2, "node": 1, "external": 1, "svc": 2, "nodeport": 3}
_WRITTEN = {
    "pod": "ns/pod",
    "node": "node/1",
    "external": "external/name",
    "svc": "svc/ns/name:port",
    "dns": "dns/name.ns:port",
    "nodeport": "nodeport/ns/name:port@1",
}


def _check(text: str, kind: str, fields: tuple[str, ...]) -> None:
    """Refuse what has the wrong shape for its kind. Raises UsageError."""
    if kind == "ip":
        _check_address(text, fields[0])
        return
    wanted = _FIELDS.get(kind, max(2, len(fields)))
    if len(fields) != wanted or not all(fields):
        raise UsageError(f"{text!r} is not an end", f"write {_WRITTEN[kind]}")
    if kind in {"node", "nodeport"} and not re.fullmatch(r"[1-9]", fields[-1]):
        hint = "workers are counted 1 to 9"
        if "*" in fields[-1]:
            hint = "how many nodes there are is the cluster's; name the one that is meant"
        raise UsageError(f"{fields[-1]!r} is not a node in {text!r}", hint)


def _check_address(text: str, address: str) -> None:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        hint = "like ip/203.0.113.5:443 or ip/[2001:db8::5]:443"
        raise UsageError(f"{address!r} is not an IP address in {text!r}", hint) from None
    if str(known) != address:
        raise UsageError(f"{address!r} is not the address's short form", f"write {known}")


def _port(text: str, port: str | None) -> int:
    if not port:
        raise UsageError(f"{text!r} has no port", f"write {text.rstrip(':')}:80")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        hint = "a port is a number from 1 to 65535"
        raise UsageError(f"{port!r} is not a port in {text!r}", hint)
    return int(port)


def _protocol(word: str) -> Protocol | None:
    if word == "*":
        return None
    try:
        return Protocol(word)
    except ValueError:
        known = [str(protocol) for protocol in Protocol]
        hint = nearest(word, known) or f"it is one of {', '.join(known)}"
        raise UsageError(f"the protocol {word!r} is not known", hint) from None


def pair_pattern(text: str) -> Callable[[Source, Destination], bool]:
    """Read ``SOURCE -> DESTINATION`` as a predicate of pairs. Raises UsageError."""
    left, arrow, right = text.partition("->")
    if not arrow:
        raise UsageError(f"{text!r} is not a pair", '"SOURCE -> DESTINATION": reason')
    row, column = source_pattern(left.strip()), destination_pattern(right.strip())
    return lambda source, destination: row.matches(source) and column.matches(destination)
