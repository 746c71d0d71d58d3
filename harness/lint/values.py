"""The values of lint: findings, and what a person asks for."""

from __future__ import annotations

import enum
import hashlib
import ipaddress
from dataclasses import dataclass, field

from harness.application import Note
from harness.cidr import Network
from harness.errors import Location


class Level(enum.StrEnum):
    """How sure it is that a finding is a fault; from the surest."""

    ERROR = "error"
    """It is one, whatever else runs in the cluster."""
    WARNING = "warning"
    """It is one, unless something that the manifests do not show is meant."""
    NOTE = "note"
    """It works, and a reader should know."""

    def reaches(self, other: Level) -> bool:
        """Return whether this level is the other one, or a surer one."""
        levels = list(Level)
        return levels.index(self) <= levels.index(other)


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that a finding is about."""

    text: str
    location: Location


@dataclass(frozen=True, slots=True)
class Place:
    """A part of an object: ``item`` is the location of the object ``subject``.

    ``key`` names the part without its line.
    """

    subject: str
    item: Location
    location: Location
    key: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What is found, what to do, and which other places it is about."""

    message: str
    hint: str | None = None
    related: tuple[Related, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is probably not as its author means it."""

    id: str
    level: Level
    place: Place
    said: Said

    @property
    def fingerprint(self) -> str:
        """A word that stays the same as long as object and part keep their names."""
        text = "\n".join((self.id, self.place.subject, self.place.key))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def _networks(*ranges: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(item) for item in ranges)


POD_RANGES = _networks("10.244.0.0/16", "10.42.0.0/16", "10.128.0.0/14")
"""The usual ranges of pods: kubeadm and kind, K3s and RKE2, OpenShift."""
SERVICE_RANGES = _networks("10.96.0.0/12", "10.43.0.0/16", "172.30.0.0/16")
"""The usual ranges of Services of the same clusters."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """The address ranges of a cluster; by default the usual ones."""

    pods: tuple[Network, ...] = POD_RANGES
    services: tuple[Network, ...] = SERVICE_RANGES


@dataclass(frozen=True, slots=True)
class Choice:
    """Which findings are wanted: those of ``select``, or all; and none of ``ignore``."""

    select: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()
    ranges: Ranges = field(default_factory=Ranges)

    def has(self, name: str) -> bool:
        return (not self.select or name in self.select) and name not in self.ignore


@dataclass(frozen=True, slots=True)
class Result:
    """All findings in the order of their places, without those that the files silence."""

    findings: tuple[Finding, ...]
    silenced: int
    notes: tuple[Note, ...]
    policies: int
    workloads: int
