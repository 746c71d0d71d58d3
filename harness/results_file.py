"""Files of results and reports: written completely or not at all, devices directly; also read."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from harness import files
from harness.errors import UsageError
from harness.report import Results

MOST_BYTES = 512 * 1024 * 1024
"""A file with a million cells has half of this."""
_FOLDER = "the current folder"


def read(path: Path) -> Results:
    """Read a results.json, which may be compressed with gzip (``.gz``). Raises UsageError."""
    shown = files.display(path)
    try:
        content = files.read_bytes(path, _FOLDER, MOST_BYTES)
    except files.Unreadable as error:
        raise UsageError(error.fact, error.hint) from None
    if path.suffix == ".gz":
        content = _unpacked(content, shown)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        fact = f"{shown}: not a results file: byte {error.start + 1} is no UTF-8"
        raise UsageError(fact, _hint(content)) from None
    return Results.from_json(text, shown)


def _unpacked(content: bytes, shown: str) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # 16: gzip
    try:
        found = unpacker.decompress(content, MOST_BYTES + 1)
    except zlib.error:
        fact = f"{shown}: its name ends in .gz, and it is not compressed with gzip"
        raise UsageError(fact, "rename it, or compress it with gzip") from None
    if len(found) > MOST_BYTES:
        size = MOST_BYTES // (1024 * 1024)
        raise UsageError(f"{shown} has more than {size} MiB", "name a smaller file")
    if not unpacker.eof:
        raise UsageError(f"{shown}: its end is missing", "compress it again")
    return found


def _hint(content: bytes) -> str:
    if content.startswith(b"\x1f\x8b"):
        return "it is compressed with gzip: its name must end in .gz"
    return "use a file that `netpol run --results=FILE` wrote"


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


def write_page(path: Path, text: str) -> None:
    """Write the HTML page that ``--html`` of a verb asks for. Raises UsageError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, text)
    except OSError as error:
        raise UsageError(f"--html={files.display(path)}: {error.strerror}") from None


def _is_device(path: Path) -> bool:
    """Return whether the path is not a regular file, or is in /dev or /proc."""
    system = Path(os.path.abspath(path)).parts[1:2]  # noqa: PTH100 - links are not followed
    return system in {("dev",), ("proc",)} or (
        path.exists() and not path.is_file() and not path.is_dir()
    )


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.new")
