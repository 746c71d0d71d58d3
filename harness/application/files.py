"""Which files the paths of a person stand for, and their texts.

A folder stands for the manifests in it and below. Helm charts are left out, since their templates
are not YAML; so are hidden folders. Links to folders are not followed. A path may be one in a git
revision.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, TypeVar

from harness.application import revisions
from harness.application.revisions import Revision
from harness.documents.objects import ENDINGS
from harness.documents.problems import Problems
from harness.documents.text import decoded, read_text
from harness.errors import Location, UsageError
from harness.files import MOST_BYTES, display

STDIN = "-"
_SHOWN_STDIN = "stdin"
_CHART = "Chart.yaml"
KUSTOMIZATIONS = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})
_MOST_FILES = 5_000
_Path = TypeVar("_Path", bound=PurePath)


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a file. ``named`` says that a person named this file, not a folder around it."""

    path: str
    text: str
    named: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A folder that is left out, and why; ``command`` prints what can be read instead, if any."""

    location: Location
    why: str
    command: str = ""


def exists(name: str) -> bool:
    """Return whether a path stands for something. Raises UsageError for an unknown revision."""
    if name == STDIN:
        return True
    return revisions.exists(name) if revisions.is_revision(name) else Path(name).exists()


def texts(
    paths: Sequence[str], stdin: BinaryIO, problems: Problems, admits: Callable[[Path], bool]
) -> Iterator[Text | LeftOut]:
    """Yield the texts behind all paths, each file once. Raises UsageError for too many files.

    Files that cannot be read are recorded, and those that ``admits`` refuses.
    """
    count = 0
    for item in _named(paths, stdin, problems, admits):
        count += isinstance(item, Text)
        if count > _MOST_FILES:
            raise UsageError(f"the paths name over {_MOST_FILES:,} files", "name fewer")
        yield item


def _named(
    paths: Sequence[str], stdin: BinaryIO, problems: Problems, admits: Callable[[Path], bool]
) -> Iterator[Text | LeftOut]:
    seen: set[str] = set()
    for name in paths:
        if name == STDIN:
            text = decoded(_SHOWN_STDIN, _content(stdin), problems)
            if text is not None:
                yield Text(_SHOWN_STDIN, text, named=True)
        elif revisions.is_revision(name):
            yield from _of_revision(revisions.revision(name), seen, problems)
        else:
            yield from _of_disk(Path(name), seen, problems, admits)


def _of_disk(
    path: Path, seen: set[str], problems: Problems, admits: Callable[[Path], bool]
) -> Iterator[Text | LeftOut]:
    """Yield what is at a path and below; ``seen`` are files that were read before."""
    walked = ((Path(at), inner, names) for at, inner, names in os.walk(path, onerror=_refuse))
    for item in _below(walked, display) if path.is_dir() else [path]:
        if isinstance(item, LeftOut):
            yield item
        elif str(item.absolute()) not in seen:
            seen.add(str(item.absolute()))
            text = _text(item, problems, admits)
            if text is not None:
                yield Text(display(item), text, named=item == path)


def _of_revision(
    revision: Revision, seen: set[str], problems: Problems
) -> Iterator[Text | LeftOut]:
    found = (
        [blob.path for blob in revision.blobs]
        if revision.is_file
        else _below(revision.walk(), revision.shown)
    )
    wanted = []
    for item in found:
        if isinstance(item, LeftOut):
            yield item
        elif revision.shown(item) not in seen:
            seen.add(revision.shown(item))
            wanted.append(item)
    size = MOST_BYTES // (1024 * 1024)
    read = []
    for blob in revision.at(wanted):
        shown = revision.shown(blob.path)
        if blob.is_link:
            yield LeftOut(Location(shown, 1, 1), "a link is not followed in a revision")
        elif blob.size > MOST_BYTES:
            fact = f"{shown} has more than {size} MiB"
            problems.add(Location(shown, 1, 1), fact, "split it, or name a smaller file")
        else:
            read.append(blob)
    if len(read) > _MOST_FILES:
        raise UsageError(f"the paths name over {_MOST_FILES:,} files", "name fewer")
    for blob, content in zip(read, revisions.contents(read), strict=True):
        text = decoded(revision.shown(blob.path), content, problems)
        if text is not None:
            yield Text(revision.shown(blob.path), text, named=revision.is_file)


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


def _below(
    walked: Iterable[tuple[_Path, list[str], list[str]]], shown: Callable[[_Path], str]
) -> Iterator[_Path | LeftOut]:
    """Yield the manifests in a folder and below, sorted by path, and what is left out.

    ``walked`` are the folders with the names in them; names that are removed are not walked.
    """
    for here, folders, files in walked:
        if _CHART in files:
            command = f"helm template {shlex.quote(revisions.without_revision(shown(here)))}"
            place = Location(shown(here / _CHART), 1, 1)
            yield LeftOut(place, "a Helm chart is left out", command)
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            is_manifest = PurePath(name).suffix.lower() in ENDINGS or name in KUSTOMIZATIONS
            if is_manifest and not name.startswith("."):
                yield here / name


def _refuse(error: OSError) -> None:
    raise UsageError(f"{error.filename} cannot be read: {error.strerror}")
