"""The kinds of findings, read from ``harness/data/lint.toml``."""

from __future__ import annotations

import functools
import importlib.resources
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from harness.lint.values import Finding, Level, Place, Said


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding.

    ``title`` says what is found, ``why`` why it matters, ``mend`` what to do. ``example`` is a
    text with such a finding, ``mended`` the same without it.
    """

    id: str
    level: Level
    requirements: tuple[str, ...]
    title: str
    why: str
    mend: str
    example: str
    mended: str


@functools.cache
def kinds() -> Mapping[str, Kind]:
    """Return all kinds of findings by their ids, in the order of the page."""
    file = importlib.resources.files("harness") / "data" / "lint.toml"
    read = tomllib.loads(file.read_text(encoding="utf-8"))
    return {
        name: Kind(
            id=name,
            level=Level(body["level"]),
            requirements=tuple(body["requirements"]),
            title=body["title"],
            why=body["why"],
            mend=body["mend"],
            example=body["example"],
            mended=body["mended"],
        )
        for name, body in read.items()
    }


def finding(name: str, place: Place, said: Said, level: Level | None = None) -> Finding:
    """Return a finding; its level is that of its kind, if it has none of its own."""
    return Finding(name, level or kinds()[name].level, place, said)
