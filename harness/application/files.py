"""Which files the paths of a person stand for, and their texts.

A folder stands for the manifests in it and below. Helm charts are left out, since their templates
are not YAML; so are hidden folders. Links to folders are not followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harness.documents.objects import ENDINGS
from harness.documents.problems import Problems
from harness.documents.text import decoded, read_text
from harness.errors import Location, UsageError
from harness.files import MOST_BYTES, display

STDIN = "-"
_SHOWN_STDIN = "stdin"
_CHART = "Chart.yaml"
_MOST_FILES = 5_000


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a file. ``named`` says that a person named this file, not a folder around it."""

    path: str
    text: str
    named: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A folder that is left out, and why."""

    location: Location
    why: str


def texts(
    paths: Sequence[str], stdin: BinaryIO, problems: Problems, admits: Callable[[Path], bool]
) -> Iterator[Text | LeftOut]:
    """Yield the texts behind all paths, each file once. Raises UsageError for too many files.

    Files that cannot be read are recorded, and those that ``admits`` refuses.
    """
    seen: set[Path] = set()
    for name in paths:
        if name == STDIN:
            text = decoded(_SHOWN_STDIN, _content(stdin), problems)
            if text is not None:
                yield Text(_SHOWN_STDIN, text, named=True)
            continue
        path = Path(name)
        found = _below(path) if path.is_dir() else iter([path])
        for item in found:
            if isinstance(item, LeftOut):
                yield item
            elif item.absolute() not in seen:
                seen.add(item.absolute())
                if len(seen) > _MOST_FILES:
                    raise UsageError(f"the paths name over {_MOST_FILES:,} files", "name fewer")
                text = _text(item, problems, admits)
                if text is not None:
                    yield Text(display(item), text, named=item == path)


def _content(stdin: BinaryIO) -> bytes:
    content = stdin.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        size = MOST_BYTES // (1024 * 1024)
        raise UsageError(f"the input has more than {size} MiB", "name files, or send less")
    return content


def _text(path: Path, problems: Problems, admits: Callable[[Path], bool]) -> str | None:
    here = Location(display(path), 1, 1)
    if not admits(path):
        problems.add(here, f"{display(path)} leads out of the project", "links are followed")
        return None
    return read_text(path, here, problems, "the current folder")


def _below(folder: Path) -> Iterator[Path | LeftOut]:
    """Yield the manifests in a folder and below, sorted by path, and what is left out."""
    for place, folders, files in os.walk(folder, onerror=_refuse):
        here = Path(place)
        if _CHART in files:
            chart = display(here / _CHART)
            why = f"a Helm chart is left out; `helm template {display(here)} | netpol ... -`"
            yield LeftOut(Location(chart, 1, 1), f"{why} reads it")
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix.lower() in ENDINGS and not name.startswith("."):
                yield here / name


def _refuse(error: OSError) -> None:
    raise UsageError(f"{error.filename} cannot be read: {error.strerror}")
