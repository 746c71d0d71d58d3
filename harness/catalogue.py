"""The ids of requirements and known defects, read from ``harness/data/catalogue.toml``."""

from __future__ import annotations

import enum
import functools
import importlib.resources
import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass


class Status(enum.StrEnum):
    """What is known of a requirement."""

    DEFINED = "defined"
    """Connections show whether a cluster does it."""
    REJECTED = "rejected"
    """The API server rejects an object that breaks it."""
    UNDEFINED = "undefined"
    """The API leaves it to the network plugin."""
    INFORMATIVE = "informative"
    """No connection can show it."""


class Stage(enum.StrEnum):
    """Where the embedded cluster has a defect: a step of its compiler, or another part."""

    OBSERVE = "observe"
    SELECT = "select"
    ISOLATE = "isolate"
    RULES = "rules"
    PORTS = "ports"
    IPBLOCK = "ipblock"
    COMBINE = "combine"
    EMIT = "emit"
    SERVICES = "services"
    LOAD = "load"
    START = "start"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A sentence of the API, in our own words, with its source."""

    id: str
    text: str
    status: Status
    source: str


class Effect(enum.StrEnum):
    """What a defect does to connections."""

    OPENS = "opens"
    """Connections that must be denied are allowed."""
    CLOSES = "closes"
    """Connections that must be allowed are denied."""
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class KnownDefect:
    """What network plugins have got wrong.

    ``name`` switches it on in the embedded cluster, where it does what ``effect`` says. One that
    depends on time takes a delay, by default ``delay_s``.
    ``not_here`` is the reason why the embedded cluster cannot reproduce it. ``seen`` are the
    public reports, by network plugin: ``owner/repository#number`` or ``owner/repository@commit``.
    """

    id: str
    text: str
    stage: Stage | None
    name: str | None
    effect: Effect | None
    delay_s: float | None
    not_here: str | None
    seen: Mapping[str, tuple[str, ...]]

    @property
    def reports(self) -> frozenset[str]:
        """All reports, whatever the network plugin."""
        return frozenset(report for found in self.seen.values() for report in found)


@dataclass(frozen=True, slots=True)
class _Catalogue:
    requirements: Mapping[str, Requirement]
    defects: Mapping[str, KnownDefect]


@functools.cache
def _catalogue() -> _Catalogue:
    file = importlib.resources.files("harness") / "data" / "catalogue.toml"
    read = tomllib.loads(file.read_text(encoding="utf-8"))
    return _Catalogue(
        {
            id_: Requirement(id_, entry["text"], Status(entry["status"]), entry["source"])
            for id_, entry in read["requirements"].items()
        },
        {
            id_: KnownDefect(
                id_,
                entry["text"],
                Stage(entry["stage"]) if "stage" in entry else None,
                entry.get("name"),
                Effect(entry["effect"]) if "effect" in entry else None,
                entry.get("delay_s"),
                entry.get("not_here"),
                {plugin: tuple(found) for plugin, found in entry.get("seen", {}).items()},
            )
            for id_, entry in read["defects"].items()
        },
    )


def requirements() -> Mapping[str, Requirement]:
    """Return every requirement by its id, in order."""
    return _catalogue().requirements


def defects() -> Mapping[str, KnownDefect]:
    """Return every known defect by its id, in order."""
    return _catalogue().defects


def pairs() -> tuple[tuple[KnownDefect, KnownDefect], ...]:
    """Return the pairs of defects that one report describes, of those that can be switched on.

    A plugin that enforces nothing (B01) has no other defect that could be seen.
    """
    switched = [entry for entry in defects().values() if entry.name and entry.id != "B01"]
    return tuple(
        (one, other)
        for one, other in itertools.combinations(switched, 2)
        if one.reports & other.reports
    )
