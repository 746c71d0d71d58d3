"""The fixture of generated cases, and the folder that the cases are written to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from harness import scenario
from harness.errors import UsageError
from harness.files import Unreadable, read_bytes
from harness.model import Fixture, Scenario
from harness.scenario.write import write

_FOLDER = "fixtures"
_USUAL = "nine-pods.yaml"


@dataclass(frozen=True, slots=True)
class FixtureFile:
    """A fixture as the cases of a folder name it, and the bytes of its file."""

    fixture: Fixture
    content: bytes


def fixture_file(path: Path | None) -> FixtureFile:
    """Return the fixture in a file, or the usual one.

    Raises UsageError for a file that holds no fixture, and ScenarioError for a wrong one.
    """
    if path is not None:
        return _read(path)
    with resources.as_file(resources.files("harness") / "data" / _USUAL) as usual:
        return _read(usual)


def _read(path: Path) -> FixtureFile:
    try:
        content = read_bytes(path, "the current folder")
    except Unreadable as error:
        raise UsageError(error.fact, error.hint) from None
    found = scenario.load_fixture(path)
    if found is None:
        raise UsageError(f"{path}: this is not a fixture", "it begins with `fixture:`")
    return FixtureFile(replace(found, written=f"{_FOLDER}/{path.name}"), content)


def write_cases(folder: Path, file: FixtureFile, cases: Iterable[Scenario]) -> Iterator[Path]:
    """Write cases and their fixture to a folder, and yield the path of each case.

    Cases of the same name are replaced. Raises UsageError if the folder has another fixture of
    this name, or cannot be written.
    """
    try:
        for case in cases:
            folder.mkdir(parents=True, exist_ok=True)
            if case.fixture is not None:
                _write_fixture(folder / file.fixture.written, file.content)
            path = folder / case.path
            path.write_text(write(case), encoding="utf-8")
            yield path
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: {error.strerror}") from None


def _write_fixture(path: Path, content: bytes) -> None:
    if path.exists() and path.read_bytes() != content:
        fact = f"{path}: there is another fixture of this name"
        raise UsageError(fact, "name another folder: --out=DIR")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
