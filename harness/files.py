"""Reading files that a person names: regular ones, of a bounded size.

A path may come from somebody else. It must not make the harness wait (a FIFO, a device) or fill
the memory.
"""

from __future__ import annotations

import itertools
import os
import stat
from pathlib import Path

from harness.suggest import nearest

MOST_BYTES = 8 * 1024 * 1024
_MOST_NAMES = 1_000
_PIECE = 1024 * 1024
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


def read_bytes(path: Path, relative_to: str, most_bytes: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file, without waiting for anybody. Raises Unreadable.

    ``relative_to`` names the folder that paths start from, for a file that is not there. A file
    of more than ``most_bytes`` is refused.
    """
    shown = display(path)
    try:
        # O_NONBLOCK: the opening of a FIFO waits for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise Unreadable(f"there is no file {shown}", _near_file(path, relative_to)) from None
    except (OSError, ValueError) as error:
        raise Unreadable(f"{shown} cannot be read: {reason(error)}") from None
    try:
        mode = os.fstat(handle).st_mode
        for is_kind, word in _KINDS:
            if is_kind(mode):
                raise Unreadable(f"{shown} is {word}", "name a regular file")
        content = _content(handle, most_bytes)
    except OSError as error:
        raise Unreadable(f"{shown} cannot be read: {reason(error)}") from None
    finally:
        os.close(handle)
    if len(content) > most_bytes:
        size = most_bytes // (1024 * 1024)
        raise Unreadable(f"{shown} has more than {size} MiB", "split it, or name a smaller file")
    return content


def reason(error: OSError | ValueError) -> str:
    """Return why a file cannot be read, in the words of the system."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _content(handle: int, most_bytes: int) -> bytes:
    """Read to the end, or just beyond the limit."""
    pieces, missing = [], most_bytes + 1
    while missing and (piece := os.read(handle, min(missing, _PIECE))):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _near_file(path: Path, relative_to: str) -> str | None:
    try:
        names = sorted(item.name for item in itertools.islice(path.parent.iterdir(), _MOST_NAMES))
    except OSError:
        return f"nor is there a folder {display(path.parent)}"
    return nearest(path.name, names) or f"paths are relative to {relative_to}"
