"""Versions of a network plugin, and ranges of them, as a profile writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import PlainValidator

_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?:[-+][0-9A-Za-z.+-]+)?")
_BOUND = re.compile(rf"(>=|<)?\s*({_VERSION.pattern})")

_ALL = "all"
_FORM = 'must be "all", or a list of "v1.2.3", ">=v1.2", "<v1.4", ">=v1.2, <v1.4"'


def number(version: str) -> tuple[int, ...]:
    """Return a version as numbers that compare, without what stands behind ``-`` or ``+``.

    Raises ValueError for a text that is not a version.
    """
    found = _VERSION.fullmatch(version)
    if found is None:
        raise ValueError(f"{version!r} is not a version like v1.2.3")
    parts = [int(part) for part in found[1].split(".")]
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class VersionRange:
    """One version (``least`` is ``most``), or those from ``least`` up to, without, ``below``."""

    text: str
    least: tuple[int, ...] = ()
    most: tuple[int, ...] | None = None
    below: tuple[int, ...] | None = None

    def includes(self, version: tuple[int, ...]) -> bool:
        return (
            self.least <= version
            and (self.most is None or version <= self.most)
            and (self.below is None or version < self.below)
        )

    def overlaps(self, other: VersionRange) -> bool:
        """Whether a version may be in both: the greater of the lower bounds is in both."""
        least = max(self.least, other.least)
        return self.includes(least) and other.includes(least)


@dataclass(frozen=True, slots=True)
class Versions:
    """Any of some ranges; all versions without one."""

    ranges: tuple[VersionRange, ...] = ()

    def includes(self, version: str) -> bool:
        """Whether a version is one of these. Raises ValueError for what is not a version."""
        wanted = number(version)
        return not self.ranges or any(item.includes(wanted) for item in self.ranges)

    def overlaps(self, other: Versions) -> bool:
        """Whether a version may be one of these and one of the others."""
        return (
            not self.ranges
            or not other.ranges
            or any(mine.overlaps(theirs) for mine in self.ranges for theirs in other.ranges)
        )

    def __str__(self) -> str:
        return ", ".join(item.text for item in self.ranges) or _ALL


def parse_versions(written: object) -> Versions:
    """Return what a profile writes as ``versions``. Raises ValueError."""
    if written == _ALL:
        return Versions()
    if not isinstance(written, list) or not written:
        raise ValueError(_FORM)
    return Versions(tuple(_range(item) for item in written))


def _range(written: object) -> VersionRange:
    if not isinstance(written, str):
        raise ValueError(_FORM)
    bounds = [_BOUND.fullmatch(part.strip()) for part in written.split(",")]
    kinds = [found[1] for found in bounds if found]
    if kinds not in ([None], [">="], ["<"], [">=", "<"]) or None in bounds:
        raise ValueError(f"{written!r} is not a range of versions, which {_FORM}")
    values = {found[1]: number(found[2]) for found in bounds if found}
    if None in values:
        return VersionRange(written, values[None], values[None])
    if ">=" in values and "<" in values and values[">="] >= values["<"]:
        raise ValueError(f"no version is in the range {written!r}")
    return VersionRange(written, values.get(">=", ()), below=values.get("<"))


WrittenVersions = Annotated[Versions, PlainValidator(parse_versions)]
