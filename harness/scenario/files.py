"""Which files an entry of ``apply`` names, all of them in the project.

A path in a scenario may come from somebody else. It must not show what lies outside of the
project; ``harness.files`` reads the files themselves.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.documents.objects import ENDINGS
from harness.files import Unreadable, display, reason

MOST_FILES = 1_000
"""How many files one entry of ``apply`` may stand for."""

OWN_FOLDER = "the scenario's own folder"
"""What the paths in a scenario are relative to."""


@dataclass(frozen=True, slots=True)
class Project:
    """The folders in which files may be named."""

    roots: tuple[Path, ...]

    @classmethod
    def around(cls, scenario: Path, others: Iterable[Path] = ()) -> Project:
        """Return the scenario's own folder, the current folder, and ``others``."""
        found = [scenario.parent, *others]
        with contextlib.suppress(OSError):  # the current folder may be gone
            found.append(Path.cwd())
        return cls(tuple(dict.fromkeys(_resolved(root) for root in found)))

    def holds(self, path: Path) -> bool:
        """Return whether a file lies in the project when all links are followed."""
        real = _resolved(path)
        return any(real.is_relative_to(root) for root in self.roots)

    def file(self, folder: Path, entry: str) -> Path:
        """Return the one file that an entry names. Raises Unreadable."""
        path = folder / entry
        self._check(path)
        return path

    def expand(self, folder: Path, entry: str) -> tuple[Path, ...]:
        """Return the files that an entry names, sorted: a file, a folder, or a pattern with ``*``.

        Raises Unreadable.
        """
        path = folder / entry
        try:
            found = _several(folder, entry)
            if found is None:
                self._check(path)
                return (path,)
            files = sorted(itertools.islice((p for p in found if not p.is_dir()), MOST_FILES + 1))
        except (OSError, ValueError) as error:
            raise Unreadable(f"{display(path)} cannot be read: {reason(error)}") from None
        if not files:
            raise Unreadable(
                f"{display(path)} names no manifest", "files end with .yaml, .yml or .json"
            )
        if len(files) > MOST_FILES:
            raise Unreadable(f"{display(path)} names over {MOST_FILES:,} files", "name fewer")
        for file in files:
            self._check(file)
        return tuple(files)

    def _check(self, path: Path) -> None:
        if not self.holds(path):
            raise Unreadable(
                f"{display(path)} lies outside of the project",
                "files are named below the scenario's folder, the current folder, or pytest's "
                "rootdir; links are followed",
            )


def shortest(path: Path) -> Path:
    """Return the path without `..`, if it leads to the same file then."""
    short = Path(os.path.normpath(path))
    try:
        return short if short.samefile(path) else path
    except (OSError, ValueError):
        return path


def _several(folder: Path, entry: str) -> Iterator[Path] | None:
    """Return the files that a pattern or a folder stands for, or None for a single file."""
    path = folder / entry
    if _is_pattern(entry) and not path.exists():
        return _matching(folder, entry)
    if path.is_dir():
        return (item for item in path.iterdir() if item.suffix.lower() in ENDINGS)
    return None


def _matching(folder: Path, pattern: str) -> Iterator[Path]:
    start, parts = folder, Path(pattern).parts
    while parts and not _is_pattern(parts[0]):
        start, parts = start / parts[0], parts[1:]
    if not start.is_dir():
        return iter(())
    return start.glob("/".join(parts))


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return path
