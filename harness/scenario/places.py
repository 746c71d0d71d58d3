"""Where the things of a scenario stand: in its own file, in its fixture, or in a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from harness.documents.source import Document, KeyPath
from harness.errors import Location
from harness.scenario.topology import Kind


@dataclass(frozen=True, slots=True)
class Written:
    """A thing that a scenario or a fixture describes itself."""

    document: Document
    path: KeyPath

    def key(self) -> Location:
        """Return where its name stands."""
        return self.document.key_at(self.path)

    def value(self, *inside: str | int) -> Location:
        """Return where a value inside of it stands."""
        return self.document.at((*self.path, *inside))


@dataclass(frozen=True, slots=True)
class Shipped:
    """A thing that comes from a manifest."""

    location: Location

    def key(self) -> Location:
        """Return where the manifest begins."""
        return self.location

    def value(self, *_: str | int) -> Location:
        """Return where the manifest begins."""
        return self.location


Place: TypeAlias = Written | Shipped
Places: TypeAlias = Mapping[tuple[Kind, str], Place]
