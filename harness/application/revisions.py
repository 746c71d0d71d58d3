"""Files of a git revision, named as git names them: ``HEAD~1:k8s``. Nothing is checked out.

A path starts at the top of the repository; one that begins with ``./`` starts at the current
folder. Links are not followed, and nothing is fetched.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.errors import UsageError
from harness.files import MOST_BYTES
from harness.suggest import nearest

_TIMEOUT_S = 60
_MOST_LISTED_BYTES = 64 * 1024 * 1024
_MOST_READ_BYTES = 64 * 1024 * 1024
"""How much is read from git at once."""
_MOST_NAMES = 1_000
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHORT = 12
_FILE, _PROGRAM, _LINK = "100644", "100755", "120000"


def is_revision(name: str) -> bool:
    """Return whether a name stands for files of a revision; an existing file goes first."""
    is_path = name.startswith(("/", "./", "../"))
    return ":" in name and not is_path and not os.path.lexists(name)


def without_revision(name: str) -> str:
    """Return a path as a checkout has it."""
    return name.partition(":")[2] if is_revision(name) else name


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of a revision; the content is in git under ``id``. ``is_link``: it is a link."""

    path: PurePosixPath
    id: str
    size: int
    is_link: bool = False


@dataclass(frozen=True, slots=True)
class Revision:
    """The files at a path of a revision, and below. ``path`` is empty for all files."""

    name: str
    path: str
    blobs: tuple[Blob, ...]

    @property
    def is_file(self) -> bool:
        """Whether the path is that of a file."""
        return [str(blob.path) for blob in self.blobs] == [self.path]

    def at(self, paths: Iterable[PurePosixPath]) -> Iterator[Blob]:
        """Yield the files at some paths."""
        known = {blob.path: blob for blob in self.blobs}
        return (known[path] for path in paths)

    def shown(self, path: PurePosixPath) -> str:
        """Return a path as messages show it."""
        name = self.name[:_SHORT] if _COMMIT.fullmatch(self.name) else self.name
        return f"{name}:{path}"

    def walk(self) -> Iterator[tuple[PurePosixPath, list[str], list[str]]]:
        """Yield each folder with the names in it, like ``os.walk``."""
        inside: dict[str, tuple[set[str], list[str]]] = {self.path: (set(), [])}
        for blob in self.blobs:
            place, _, name = str(blob.path).rpartition("/")
            inside.setdefault(place, (set(), []))[1].append(name)
            while place != self.path:
                upper, _, folder = place.rpartition("/")
                inside.setdefault(upper, (set(), []))[0].add(folder)
                place = upper
        left = [self.path]
        while left:
            place = left.pop()
            folders, files = inside[place]
            names = sorted(folders)
            yield PurePosixPath(place), names, files
            left += [posixpath.join(place, name) for name in reversed(names)]


def exists(name: str) -> bool:
    """Return whether a revision has files at a path. Raises UsageError without the revision."""
    return bool(_listed(name)[0].blobs)


def revision(name: str) -> Revision:
    """Return the files that a name like ``HEAD~1:k8s`` stands for. Raises UsageError."""
    found, commit = _listed(name)
    if not found.blobs:
        fact = f"there is no {found.path or 'file'} in {found.name}"
        raise UsageError(fact, _near_path(commit, found.path))
    return found


def _listed(name: str) -> tuple[Revision, str]:
    """Return the files at a path of a revision, and its commit."""
    called, _, written = name.partition(":")
    if not called or called.startswith("-"):
        fact = f"{name!r} is no file, and has no git revision before the colon"
        raise UsageError(fact, "files of a revision are written HEAD~1:k8s")
    top = _top(name)
    commit = _asked(["rev-parse", "--verify", "--quiet", f"{called}^{{commit}}"])
    if commit is None:
        raise UsageError(f"there is no git revision {called!r}", _near_revision(called))
    path = _from_top(written, top, name)
    words = ["ls-tree", "-r", "-z", "--long", "--full-tree", commit]
    listed = _git([*words, "--", path] if path else words, most_bytes=_MOST_LISTED_BYTES)
    return Revision(called, path, tuple(_blobs(listed))), commit


def contents(blobs: Sequence[Blob]) -> Iterator[bytes]:
    """Yield the content of each file. None may have more than ``MOST_BYTES``."""
    for some in _parts(blobs):
        asked = "".join(f"{blob.id}\n" for blob in some).encode()
        most = sum(blob.size + 200 for blob in some)
        answer, place = _git(["cat-file", "--batch"], asked, most), 0
        for blob in some:
            begin = answer.index(b"\n", place) + 1
            if not answer.startswith(f"{blob.id} blob {blob.size}\n".encode(), place):
                head = answer[place : begin - 1].decode(errors="replace")
                fact = f"git has no content of {blob.path}: {head}"
                raise UsageError(fact, "in a partial clone, fetch the objects first")
            yield answer[begin : begin + blob.size]
            place = begin + blob.size + 1


def _parts(blobs: Iterable[Blob]) -> Iterator[list[Blob]]:
    """Yield the files in parts that are read at once."""
    part: list[Blob] = []
    size = 0
    for blob in blobs:
        if part and size + blob.size > _MOST_READ_BYTES:
            yield part
            part, size = [], 0
        part.append(blob)
        size += min(blob.size, MOST_BYTES)
    if part:
        yield part


def _blobs(listed: bytes) -> Iterator[Blob]:
    for line in listed.decode(errors="surrogateescape").split("\0"):
        if line:
            facts, _, path = line.partition("\t")
            mode, _, number, size = facts.split()
            if mode in {_FILE, _PROGRAM, _LINK}:  # others are submodules
                yield Blob(PurePosixPath(path), number, int(size), mode == _LINK)


def _top(name: str) -> str:
    """Return the current folder, seen from the top of the repository."""
    words = ["rev-parse", "--show-prefix"]
    done = _Done.of(words)
    if done.status:
        fact = f"{name!r} is no file"
        if "not a git repository" in done.said:
            fact += ", and the current folder is in no git repository"
            raise UsageError(fact, "name a file or a folder, or change to the repository")
        raise UsageError(f"{fact}, and git cannot read the repository: {done.said}")
    return os.fsdecode(done.output).strip("\n")


def _from_top(written: str, top: str, name: str) -> str:
    """Return a path from the top of the repository; empty for the top itself."""
    is_here = written in {".", ".."} or written.startswith(("./", "../"))
    path = posixpath.normpath(posixpath.join(top if is_here else "", written or "."))
    if path.startswith(("../", "/")) or path == "..":
        fact = f"{name!r} leads out of the repository"
        raise UsageError(fact, "paths start at the top of the repository; ./ at this folder")
    return "" if path == "." else path


def _near_revision(name: str) -> str:
    listed = _asked(["for-each-ref", f"--count={_MOST_NAMES}", "--format=%(refname:short)"])
    found = nearest(name, (listed or "").splitlines())
    if found:
        return found
    if _asked(["rev-parse", "--is-shallow-repository"]) == "true":
        return "this clone is shallow: `git fetch --unshallow`, or fetch-depth: 0 of checkout"
    return "`git log` and `git tag` show revisions"


def _near_path(commit: str, path: str) -> str:
    upper, _, name = path.rpartition("/")
    listed = _asked(["ls-tree", "--name-only", "--full-tree", f"{commit}:{upper}"])
    found = nearest(name, (listed or "").splitlines()[:_MOST_NAMES])
    return found or "paths start at the top of the repository; ./ at this folder"


# ------------------------------------------------------------------ git


def _asked(words: Sequence[str]) -> str | None:
    """Return what git prints, or None if it fails."""
    done = _Done.of(words)
    return None if done.status else os.fsdecode(done.output).strip("\n")


def _git(words: Sequence[str], asked: bytes = b"", most_bytes: int = MOST_BYTES) -> bytes:
    """Return what git prints. Raises UsageError."""
    done = _Done.of(words, asked, most_bytes)
    if done.status:
        raise UsageError(f"git {words[0]} fails: {done.said}")
    return done.output


@dataclass(frozen=True, slots=True)
class _Done:
    """What a command of git gave; ``said`` is the first line that it wrote to stderr."""

    status: int
    output: bytes
    said: str

    @classmethod
    def of(cls, words: Sequence[str], asked: bytes = b"", most_bytes: int = MOST_BYTES) -> _Done:
        """Run git. Raises UsageError if it is missing, slow, or prints too much."""
        # It must neither ask nor fetch, and a path is not a pattern.
        options = ["--literal-pathspecs", "--no-replace-objects", "-c", "protocol.allow=never"]
        quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
            stdin.write(asked)
            stdin.seek(0)
            try:
                process = subprocess.Popen(
                    ["git", *options, *words], process_group=0,
                    stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, env=os.environ | quiet,
                )  # fmt: skip
            except FileNotFoundError:
                fact = "git, which reads revisions, is not installed"
                raise UsageError(fact, "install git, or name files and folders") from None
            timer = threading.Timer(_TIMEOUT_S, _kill, [process])
            timer.start()
            try:
                output = _output(process, most_bytes)
                is_late = timer.finished.is_set()
            finally:
                timer.cancel()
            if is_late or len(output) > most_bytes:
                fact = f"git {words[0]} takes over {_TIMEOUT_S} s" if is_late else (
                    f"git {words[0]} prints more than {_size(most_bytes)}"
                )  # fmt: skip
                raise UsageError(fact, "name a path with fewer files")
            stderr.seek(0)
            lines = stderr.read(10_000).decode(errors="replace").splitlines()
        return cls(process.returncode, output, lines[0].removeprefix("fatal: ") if lines else "")


def _output(process: subprocess.Popen[bytes], most_bytes: int) -> bytes:
    """Return what a process prints until it ends. It is killed if that is too much."""
    with process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            output = process.stdout.read(most_bytes + 1)
        except BaseException:
            _kill(process)
            raise
        if len(output) > most_bytes:
            _kill(process)
    return output


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and those that it started: they may hold its pipe open."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _size(number: int) -> str:
    return f"{number // 1024 // 1024} MiB" if number >= 1024 * 1024 else f"{number} bytes"
