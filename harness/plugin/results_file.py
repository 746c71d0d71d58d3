"""The files of ``--netpol-results`` and ``--netpol-html``: written completely or not at all.

Devices are written directly.
"""

from __future__ import annotations

import os
from pathlib import Path


def make_room(path: Path) -> None:
    """Remove an older file, so that a run that fails does not leave the results of another.

    This also checks before the run that the file can be written. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if _is_device(path):
        path.stat()  # Opening a FIFO would wait for its reader.
        return
    if path.is_dir():
        raise IsADirectoryError(0, "Is a directory")
    target = path.resolve()
    beside = _beside(target)
    beside.touch()
    beside.unlink()
    target.unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Write the text; a regular file appears only when it is complete. Raises OSError."""
    if _is_device(path):
        # Appended, because standard output may be a file that already holds lines.
        with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
        return
    target = path.resolve()
    beside = _beside(target)
    try:
        # Bytes that are not UTF-8 are escaped as JSON does.
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        beside.replace(target)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _is_device(path: Path) -> bool:
    """Return whether the path is not a regular file, or is in /dev or /proc."""
    system = Path(os.path.abspath(path)).parts[1:2]  # noqa: PTH100 - links are not followed
    return system in {("dev",), ("proc",)} or (
        path.exists() and not path.is_file() and not path.is_dir()
    )


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.new")
