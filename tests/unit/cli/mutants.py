"""Mutants of the scenario files and manifests of this repository, each made from its number."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
FOLDERS = (
    "scenarios/examples",
    "docs/claims",
    "tests/unit/scenario/data/valid",
    "tests/unit/scenario/data/invalid",
)

HOSTILE = (
    *("~", "null", "yes", "y", "-", "*", "&a", "*a", "<<", "!x", "!!int", "'", '"', "\t", "%"),
    *("|", "|2", ">", "0x1f", "1e9", ".inf", "-1", "12:30", "\x00", "é", "#", "---", "...", "?"),
    *("{}", "[]", "[[[[", "}", ": ", "ip/[::1]:80", "dns/a.b.c:1", "9" * 5000, "a" * 3000, "::"),
    *("2024-02-31", "\u2028", "\x85", "\ufeff", "\x1b[31m", "*" * 60, "*a" * 30, "/", "//", "@1"),
    *("../../x.yaml", "/dev/null", "/proc/self/environ", ".", "policies", "*/*", "external/*"),
    *("a: &a [*a]", "? [a]: b", "%YAML 9.9", "\\ud800", '"\\ud800"', '"\\U00110000"', "{{ x }}"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 65536, 10**30, 1.5, "", " ", "*", "::", "x" * 300, "a\nb"),
    *("netpol.harness/x",),
    *([], {}, [[]], [None], {"": None}, {"a": {"b": {"c": []}}}, [{}], "y", "10.0.0.0/8", "::/0"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed file, and the scenario that reads it, both relative to the corpus."""

    number: int
    file: Path
    content: bytes
    scenario: Path

    @contextmanager
    def placed(self, folder: Path) -> Iterator[str]:
        """Put the mutant into a copy of the corpus; yields the path of its scenario."""
        file, aside = folder / self.file, folder / "aside"
        file.rename(aside)
        file.write_bytes(self.content)
        try:
            yield str(folder / self.scenario)
        finally:
            aside.replace(file)


def copy_corpus(folder: Path) -> Path:
    """Copy the files of which mutants are made, with their folders."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.txt"))
    return folder


def link_corpus(copy: Path, folder: Path) -> Path:
    """Return a second copy, whose files are links to those of the first."""
    return Path(shutil.copytree(copy, folder, copy_function=os.link))


class Corpus:
    """The files of the repository of which mutants are made."""

    def __init__(self) -> None:
        self._readers = dict(self._pairs())
        self._files = sorted(self._readers)
        self._sound = [path for path in self._files if "invalid" not in path.parts]

    def _pairs(self) -> Iterable[tuple[Path, tuple[Path, ...]]]:
        """Yield each file with the scenarios that read it."""
        for name in FOLDERS:
            scenarios = sorted((ROOT / name).glob("*.yaml"))
            yield from ((path.relative_to(ROOT), (path.relative_to(ROOT),)) for path in scenarios)
            for manifest in (ROOT / name).glob("policies/*.yaml"):
                named = f"policies/{manifest.name}".encode()
                readers = [path for path in scenarios if named in path.read_bytes()]
                if readers:
                    found = tuple(path.relative_to(ROOT) for path in readers)
                    yield manifest.relative_to(ROOT), found

    @cached_property
    def words(self) -> Sequence[str]:
        """Return the words of all files, and some that often break a reader."""
        text = "\n".join((ROOT / path).read_text("utf-8", "replace") for path in self._files)
        return (*sorted(set(re.findall(r"[\w./:*@\[\]-]+", text))), *HOSTILE)

    def mutant(self, number: int) -> Mutant:
        """Return the mutant with this number, always the same one."""
        draw = random.Random(number)  # noqa: S311 - no secret
        file = draw.choice(self._files if draw.random() < 0.4 else self._sound)
        content = (ROOT / file).read_bytes()
        if draw.random() < 0.3:
            content = _other_value(content, draw)
        else:
            for _ in range(draw.choice((1, 1, 2, 4))):
                content = draw.choice(CHANGES)(content, draw, self)
        return Mutant(number, file, content, draw.choice(self._readers[file]))

    def file(self, draw: random.Random) -> bytes:
        """Return the content of any file."""
        return (ROOT / draw.choice(self._files)).read_bytes()


def _lines(change: Callable[[list[str], int, random.Random, Corpus], None]) -> Change:
    """Return a change of the whole content that changes its lines."""

    def changed(content: bytes, draw: random.Random, corpus: Corpus) -> bytes:
        lines = content.decode("utf-8", "surrogateescape").split("\n")
        change(lines, draw.randrange(len(lines)), draw, corpus)
        return "\n".join(lines).encode("utf-8", "surrogateescape")

    return changed


Change = Callable[[bytes, random.Random, Corpus], bytes]


@_lines
def _drop(lines: list[str], at: int, draw: random.Random, corpus: Corpus) -> None:
    del lines[at : at + draw.randint(1, 4)]


@_lines
def _double(lines: list[str], at: int, draw: random.Random, corpus: Corpus) -> None:
    lines[at:at] = lines[at : at + draw.randint(1, 12)]


@_lines
def _swap(lines: list[str], at: int, draw: random.Random, corpus: Corpus) -> None:
    other = draw.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]


@_lines
def _indent(lines: list[str], at: int, draw: random.Random, corpus: Corpus) -> None:
    for number in range(at, min(len(lines), at + draw.randint(1, 4))):
        lines[number] = " " * draw.randint(0, 8) + lines[number].lstrip()


@_lines
def _cut(lines: list[str], at: int, draw: random.Random, corpus: Corpus) -> None:
    lines[at] = lines[at][: draw.randint(0, len(lines[at]))]


@_lines
def _word(lines: list[str], at: int, draw: random.Random, corpus: Corpus) -> None:
    words = re.split(r"(\s+|[\[\]{},:])", lines[at])
    words[draw.randrange(len(words))] = draw.choice(corpus.words)
    lines[at] = "".join(words)


@_lines
def _insert(lines: list[str], at: int, draw: random.Random, corpus: Corpus) -> None:
    column = draw.randint(0, len(lines[at]))
    lines[at] = lines[at][:column] + draw.choice(HOSTILE) + lines[at][column:]


def _splice(content: bytes, draw: random.Random, corpus: Corpus) -> bytes:
    other = corpus.file(draw)
    begin = draw.randint(0, len(other))
    at = draw.randint(0, len(content))
    return content[:at] + other[begin : begin + draw.randint(1, 300)] + content[at:]


def _byte(content: bytes, draw: random.Random, corpus: Corpus) -> bytes:
    at = draw.randint(0, len(content))
    return content[:at] + bytes([draw.randrange(256)]) + content[at + draw.randint(0, 1) :]


def _end(content: bytes, draw: random.Random, corpus: Corpus) -> bytes:
    return content[: draw.randint(0, len(content))]


CHANGES: tuple[Change, ...] = (
    *(_drop, _double, _swap, _indent, _cut, _word, _word, _word, _insert, _splice, _byte, _end),
)


def _other_value(content: bytes, draw: random.Random) -> bytes:
    """Return sound YAML in which one value or key is another one."""
    try:
        documents = list(yaml.load_all(content, yaml.CSafeLoader))
        places = list(_containers(documents))
    except (yaml.YAMLError, ValueError, RecursionError):  # an alias may stand inside itself
        return content[1:]
    for _ in range(draw.choice((1, 1, 2))):
        container = draw.choice(places)
        keys = list(range(len(container)) if isinstance(container, list) else container)
        if not keys:
            continue
        key = draw.choice(keys)
        match draw.randrange(4):
            case 0:
                del container[key]
            case 1 if isinstance(container, dict):
                container[draw.choice(("", "y", None, 5, "netpol.harness/x", "a b"))] = container[
                    key
                ]
            case _:
                container[key] = draw.choice(VALUES)
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True).encode()


class _Dumper(yaml.CSafeDumper):
    """Writes what stands twice twice: two changes can put one value in two places."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _containers(value: object) -> Iterable[Any]:
    if isinstance(value, (list, dict)):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _containers(item)
