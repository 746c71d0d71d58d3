"""Where the parts of objects stand in their files, and the lines as they are written."""

from __future__ import annotations

from harness.documents.objects import ObjectSource
from harness.documents.problems import Problems
from harness.documents.source import KeyPath
from harness.errors import Location


class Written:
    """The files behind objects; an object is named by its own location.

    Objects that came from no file are not known here: their parts are where they are.
    """

    def __init__(self, problems: Problems | None = None) -> None:
        self._problems = problems or Problems()
        self._sources: dict[Location, ObjectSource] = {}

    def remember(self, source: ObjectSource) -> None:
        """Make the parts of an object known."""
        self._sources.setdefault(source.at(()), source)

    def at(self, item: Location, path: KeyPath) -> Location:
        """Return where the key stands that a path in an object ends in.

        Of a path that leads on where nothing is written, the last part that is.
        """
        source = self._sources.get(item)
        return item if source is None else source.at(path)

    def has(self, item: Location, path: KeyPath) -> bool:
        """Return whether something is written at that path of an object."""
        value = self._sources[item].value if item in self._sources else None
        for step in path:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return False
        return value is not None

    def excerpt(self, location: Location) -> str:
        """Return the line at a location, or the part of a long one; empty if there is none."""
        return self._problems.excerpt(location)
