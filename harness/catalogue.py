"""The ids of requirements and known defects, read from ``harness/data/catalogue.toml``."""

from __future__ import annotations

import enum
import functools
import importlib.resources
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

    ``name`` switches it on in the embedded cluster, where it does what ``effect`` says;
    ``not_here`` is the reason why the embedded cluster cannot reproduce it.
    """

    id: str
    text: str
    stage: Stage | None
    name: str | None
    effect: Effect | None
    not_here: str | None


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
                entry.get("not_here"),
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
