"""Every invalid file beside the exact text that its author reads."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from harness.errors import ScenarioError
from harness.scenario import load

DATA = Path(__file__).parent / "data"
INVALID = sorted((DATA / "invalid").glob("*.yaml"))


@pytest.fixture(autouse=True)
def in_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in messages are relative to the current directory."""
    monkeypatch.chdir(DATA)


@cache
def problems_of(path: Path) -> ScenarioError:
    with pytest.raises(ScenarioError) as caught:
        load(path.relative_to(DATA))
    return caught.value


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_the_text_is_exactly_this(path: Path) -> None:
    assert str(problems_of(path)) + "\n" == path.with_suffix(".txt").read_text("utf-8")


@pytest.mark.parametrize(
    "path", [path for path in INVALID if path.stem != "Bad_Name"], ids=lambda path: path.stem
)
def test_the_excerpt_is_the_line_at_the_location(path: Path) -> None:
    for problem in problems_of(path).problems:
        lines = Path(problem.location.path).read_bytes().decode("utf-8", errors="replace")
        written = re.split("\r\n|\n", lines)[problem.location.line - 1]
        assert problem.excerpt == re.sub(r"[\x00-\x08]", "\ufffd", written)
        assert 1 <= problem.location.column <= len(written) + 1


def test_problems_stand_in_the_order_of_the_lines() -> None:
    found = problems_of(DATA / "invalid" / "several-at-once.yaml").problems
    assert [problem.location.line for problem in found] == sorted(
        problem.location.line for problem in found
    )
    assert len(found) > 3


def test_there_are_many_kinds_of_message() -> None:
    """Messages that differ in more than the names they quote."""
    kinds = set()
    for path in INVALID:
        for problem in problems_of(path).problems:
            first = problem.message.splitlines()[0]
            unquoted = re.sub(r"'[^']*'|`[^`]*`|\S*/\S*|\b[A-Z]?\d+\b", "_", first)
            kinds.add(re.sub(r" in (pod|Service|namespace|step|external|spec)\b.*", "", unquoted))
    assert len(INVALID) >= 40
    assert len(kinds) >= 25, sorted(kinds)


def test_every_text_belongs_to_a_file() -> None:
    texts = {path.stem for path in (DATA / "invalid").glob("*.txt")}
    assert texts == {path.stem for path in INVALID}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: None, "there is no file {path}\nhint: did you mean 'other.yaml'?"),
        (lambda path: path.mkdir(), "{path} is a folder\nhint: name the files in it, one by one"),
    ],
    ids=["missing", "folder"],
)
def test_a_file_that_is_none(make, text: str, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").touch()
    path = tmp_path / "othr.yaml"
    make(path)
    with pytest.raises(ScenarioError) as caught:
        load(path)
    assert str(caught.value) == f"{path}:1:1: " + text.format(path=path)


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("scenario: one\nwhy: für alle\n".encode("latin-1"))
    with pytest.raises(ScenarioError, match=r"latin\.yaml:2:7: byte 0xfc is not UTF-8"):
        load(path)


def test_aliases_that_multiply_are_refused_quickly(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    path = tmp_path / "many.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(ScenarioError, match="holds over 100000 values"):
        load(path)


def test_a_deep_nest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("scenario: " + "[" * 5000)
    with pytest.raises(ScenarioError, match="nested too deeply"):
        load(path)
