"""What is wrong with some files, each problem with its place and the line as written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.errors import Location, Problem, excerpt

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_MOST_PROBLEMS = 100


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, ended as YAML ends them."""
    return _LINE_END.split(text)


@dataclass(slots=True)
class Problems:
    """What is wrong, of all files that are read together."""

    found: list[Problem] = field(default_factory=list)
    met: int = 0
    """How often something wrong was met, repetitions included."""
    _texts: dict[str, str] = field(default_factory=dict)
    _lines: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    _known: set[tuple[Location, str]] = field(default_factory=set)

    def register(self, path: str, text: str) -> None:
        """Make the lines of a file known, for the excerpts."""
        self._texts[path] = text
        self._lines.pop(path, None)

    def line(self, location: Location) -> str:
        """Return the line at a location, as written; empty where there is none."""
        path = location.path
        if path not in self._lines:
            self._lines[path] = lines_of(self._texts.get(path, ""))
        lines = self._lines[path]
        return lines[location.line - 1] if location.line <= len(lines) else ""

    def excerpt(self, location: Location) -> str:
        """Return the line with control characters replaced, or the part of a long one."""
        return excerpt(self.line(location), location.column)

    @property
    def are_many(self) -> bool:
        """Whether there are so many that no more are recorded."""
        return len(self.found) >= _MOST_PROBLEMS

    def add(self, location: Location, message: str, hint: str | None = None) -> None:
        """Record a problem once, however often it is met."""
        self.met += 1
        key = (location, message)
        if key in self._known or self.are_many:
            return
        self._known.add(key)
        self.found.append(Problem(location, message, self.excerpt(location), hint))

    def adopt(self, problems: Iterable[Problem]) -> None:
        """Record problems that were found elsewhere."""
        for problem in problems:
            self.met += 1
            if not self.are_many:
                self.found.append(problem)

    def note(self, location: Location, text: str) -> None:
        """Record something that is no problem, and that the author should know."""
        self.notes.setdefault(f"{location}: {text}")

    def in_order(self, first: str) -> tuple[Problem, ...]:
        """Return them by line; those of the file ``first`` before those of others.

        A last one says so if there may be more.
        """
        shown = sorted(self.found, key=lambda p: (p.location.path != first, p.location))
        if self.are_many:
            fact = f"only the first {_MOST_PROBLEMS} problems are shown"
            shown.append(Problem(Location(first, 1, 1), fact, hint="correct these first"))
        return tuple(shown)
