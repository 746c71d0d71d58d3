"""What the compiler's stages hand on: sets of addresses, pods, ranges of ports, clauses."""

from __future__ import annotations

import enum
import functools
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from harness.model import ContainerPort, Labels, PodRef, Protocol
from harness.policy import Direction

LAST_PORT = 65535

# ------------------------------------------------------------------ addresses as ranges

Ranges = tuple[tuple[int, int], ...]
"""Inclusive ranges, sorted, neither touching nor overlapping."""


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sort ranges and join those that touch: ``(5, 6), (1, 4)`` gives ``(1, 6)``."""
    done: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if done and first <= done[-1][1] + 1:
            done[-1] = (done[-1][0], max(last, done[-1][1]))
        else:
            done.append((first, last))
    return tuple(done)


def _common(left: Ranges, right: Ranges) -> Ranges:
    return merged(
        (max(a, c), min(b, d)) for a, b in left for c, d in right if max(a, c) <= min(b, d)
    )


def _without(ranges: Ranges, hole: tuple[int, int]) -> Ranges:
    first, last = hole
    pieces = [(a, min(b, first - 1)) for a, b in ranges] + [
        (max(a, last + 1), b) for a, b in ranges
    ]
    return merged((a, b) for a, b in pieces if a <= b)


@dataclass(frozen=True, slots=True)
class AddressSet:
    """Addresses of both families. An empty set matches nothing."""

    v4: Ranges = ()
    v6: Ranges = ()

    @classmethod
    def of(cls, ips: Iterable[str]) -> AddressSet:
        parsed = [ipaddress.ip_address(ip) for ip in ips]
        return cls(
            v4=merged((int(ip), int(ip)) for ip in parsed if ip.version == 4),
            v6=merged((int(ip), int(ip)) for ip in parsed if ip.version == 6),
        )

    @classmethod
    def block(cls, cidr: str) -> AddressSet:
        network = ipaddress.ip_network(cidr, strict=False)
        ranges = ((int(network.network_address), int(network.broadcast_address)),)
        return cls(v4=ranges) if network.version == 4 else cls(v6=ranges)

    @classmethod
    def union(cls, sets: Iterable[AddressSet]) -> AddressSet:
        parts = tuple(sets)
        return cls(
            v4=merged(item for part in parts for item in part.v4),
            v6=merged(item for part in parts for item in part.v6),
        )

    def __and__(self, other: AddressSet) -> AddressSet:
        return AddressSet(_common(self.v4, other.v4), _common(self.v6, other.v6))

    def __sub__(self, other: AddressSet) -> AddressSet:
        return AddressSet(
            functools.reduce(_without, other.v4, self.v4),
            functools.reduce(_without, other.v6, self.v6),
        )

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6)


# ------------------------------------------------------------------ what the stages pass on


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pod that has its own address, as policies see it."""

    ref: PodRef
    labels: Labels
    namespace_labels: Labels
    ports: tuple[ContainerPort, ...]
    node: int
    ips: tuple[str, ...]
    at: AddressSet


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports of a rule; ``protocol`` None is every protocol, ``at`` None every destination."""

    protocol: Protocol | None = None
    first: int = 0
    last: int = LAST_PORT
    at: AddressSet | None = None


class Action(enum.Enum):
    """What a clause does with the connections that it matches."""

    ALLOW = enum.auto()
    DENY = enum.auto()
    PASS = enum.auto()


@dataclass(frozen=True, slots=True)
class Clause:
    """An action for the connections that match; without any restriction it matches all.

    ``peers`` holds the addresses of the other end; None is every address. ``protocol`` None is
    every protocol. ``reason`` names the rule for people, as ``db/from-app1 ingress[0]``.
    """

    action: Action
    reason: str
    peers: AddressSet | None = None
    protocol: Protocol | None = None
    first: int = 0
    last: int = LAST_PORT

    @property
    def matches_all(self) -> bool:
        """Whether every connection matches."""
        restrictions = (self.peers, self.protocol, self.first, self.last)
        return restrictions == (None, None, 0, LAST_PORT)


Layer = tuple[Clause, ...]
"""What one kind of policy says of one pod in one direction: the first clause that matches decides.

It allows, it denies, or it passes the connection on to the next layer. Where no clause matches,
the next layer decides too.
"""


@dataclass(frozen=True, slots=True)
class PodRules:
    """The layers of one pod in one direction, in order; what no layer decides is allowed.

    ``everywhere`` are those that also decide where NetworkPolicies have no say.
    """

    pod: Endpoint
    direction: Direction
    layers: tuple[Layer, ...]
    everywhere: tuple[Layer, ...] = ()
