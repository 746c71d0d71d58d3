"""Reading the files that an author names: regular ones, of a bounded size, in the project.

A path in a scenario may come from somebody else. It must not make the harness wait (a FIFO, a
device), fill the memory, or show what lies outside of the project.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.suggest import nearest

MOST_BYTES = 8 * 1024 * 1024
MOST_FILES = 1_000
"""How many files one entry of ``apply`` may stand for."""

_ENDINGS = frozenset({".yaml", ".yml", ".json"})
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Unreadable(Exception):
    """A file that cannot be read: what is wrong, and a hint what to do."""

    def __init__(self, fact: str, hint: str | None = None) -> None:
        super().__init__(fact)
        self.fact = fact
        self.hint = hint


def display(path: Path) -> str:
    """Return the path as a message shows it: relative to the current folder if it is in there."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file, without waiting for anybody. Raises Unreadable."""
    shown = display(path)
    try:
        # O_NONBLOCK: the opening of a FIFO waits for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise Unreadable(f"there is no file {shown}", _near_file(path)) from None
    except (OSError, ValueError) as error:
        raise Unreadable(f"{shown} cannot be read: {_reason(error)}") from None
    try:
        mode = os.fstat(handle).st_mode
        for is_kind, word in _KINDS:
            if is_kind(mode):
                raise Unreadable(f"{shown} is {word}", "name a regular file")
        content = _content(handle)
    except OSError as error:
        raise Unreadable(f"{shown} cannot be read: {_reason(error)}") from None
    finally:
        os.close(handle)
    if len(content) > MOST_BYTES:
        size = MOST_BYTES // (1024 * 1024)
        raise Unreadable(f"{shown} has more than {size} MiB", "split it, or name a smaller file")
    return content


def _content(handle: int) -> bytes:
    """Read to the end, or just beyond the limit."""
    pieces, missing = [], MOST_BYTES + 1
    while missing and (piece := os.read(handle, missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


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
        """Whether a file lies in the project when all links are followed."""
        real = _resolved(path)
        return any(real.is_relative_to(root) for root in self.roots)

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
            raise Unreadable(f"{display(path)} cannot be read: {_reason(error)}") from None
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


def _several(folder: Path, entry: str) -> Iterator[Path] | None:
    """Return the files that a pattern or a folder stands for, or None for a single file."""
    path = folder / entry
    if _is_pattern(entry) and not path.exists():
        return _matching(folder, entry)
    if path.is_dir():
        return (item for item in path.iterdir() if item.suffix.lower() in _ENDINGS)
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


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _near_file(path: Path) -> str | None:
    try:
        names = sorted(item.name for item in itertools.islice(path.parent.iterdir(), MOST_FILES))
    except OSError:
        return f"nor is there a folder {display(path.parent)}"
    return nearest(path.name, names) or "paths are relative to the scenario's own folder"
