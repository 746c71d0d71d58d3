"""What changed in a table, each with its place."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import Location
from harness.model import Probe


@dataclass(frozen=True, slots=True)
class Word:
    """A pair whose word the policies changed, with the reasons of the new one."""

    location: Location
    step: str
    probe: Probe
    old: str
    new: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gone:
    """A row or a column whose end exists no more."""

    location: Location
    step: str
    text: str


@dataclass(frozen=True, slots=True)
class Added:
    """A row or a column that a table did not have, with the place of the table."""

    location: Location
    step: str
    text: str
