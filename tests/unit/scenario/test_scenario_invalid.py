"""Every invalid file beside the exact text that its author reads."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from harness.errors import ScenarioError
from harness.model import PodRef
from harness.scenario import load
from harness.scenario.ends import source_pattern

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
        (lambda path: os.mkfifo(path), "{path} is a FIFO\nhint: name a regular file"),
        (
            lambda path: path.symlink_to("/dev/zero"),
            "{path} is a device\nhint: name a regular file",
        ),
        (
            lambda path: path.write_bytes(b" " * (8 * 1024 * 1024 + 1)),
            "{path} has more than 8 MiB\nhint: split it, or name a smaller file",
        ),
        (lambda path: path.mkdir(), "{path} is a folder\nhint: name a regular file"),
    ],
    ids=["missing", "fifo", "device", "large", "folder"],
)
def test_a_file_that_is_none(make: Callable[[Path], object], text: str, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").touch()
    path = tmp_path / "othr.yaml"
    make(path)
    with pytest.raises(ScenarioError) as caught:
        load(path)
    assert str(caught.value) == f"{path}:1:1: " + text.format(path=path)


SCENARIO = """\
scenario: S
why: W.
topology: {{app: {{pods: {{a: {{}}, b: {{ports: [80]}}}}}}}}
steps:
  - {{step: s, namespace: app, apply: ["{}"], expect: TIMEOUT}}
"""
DENY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}}
"""


def written(folder: Path, apply: str) -> Path:
    path = folder / "s.yaml"
    path.write_text(SCENARIO.format(apply))
    return path


@pytest.mark.parametrize("name", ["fifo", "socket", "link-to-fifo"])
def test_no_manifest_is_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link-to-fifo").symlink_to("fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(ScenarioError) as caught:
            load(written(tmp_path, name))
    (problem,) = caught.value.problems
    assert problem.message in {
        f"{tmp_path / name} is a FIFO",
        f"{tmp_path / name} cannot be read: No such device or address",
    }


def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "deny.yaml").write_text(DENY)
    (tmp_path / "project" / "link.yaml").symlink_to("../deny.yaml")
    path = written(tmp_path / "project", "link.yaml")
    with pytest.raises(ScenarioError, match=r"link\.yaml lies outside of the project"):
        load(path)
    assert len(load(path, [tmp_path]).steps[0].state.policies) == 1


def test_files_above_the_scenario_may_be_named_in_the_project(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "deny.yaml").write_text(DENY)
    path = written(tmp_path / "tests", "../deploy/deny.yaml")
    assert len(load(path, [tmp_path]).steps[0].state.policies) == 1


def test_a_folder_and_a_pattern_name_files_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "deploy"
    (folder / "inner.yaml").mkdir(parents=True)
    (folder / "notes.txt").write_text("no manifest")
    for name in ("b.yaml", "a.yml", "c.json"):
        (folder / name).write_text(DENY.replace("deny", name[0]))
    for entry, names in (
        ("deploy", ["a", "b", "c"]),
        ("deploy/", ["a", "b", "c"]),
        ("deploy/*.y*ml", ["a", "b"]),
        ("*/[bc].*", ["b", "c"]),
    ):
        found = load(written(tmp_path, entry)).steps[0].state.policies
        assert [policy.name for policy in found] == names, entry


def test_a_long_line_is_shown_in_part(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("scenario: S\n" + " " * 5 + "x" * 500 + ": &y 1\nwhy: " + "z" * 900 + " *no\n")
    with pytest.raises(ScenarioError) as caught:
        load(path)
    assert all(len(problem.excerpt) <= 200 for problem in caught.value.problems)
    assert any("..." in problem.excerpt for problem in caught.value.problems)


def test_many_problems_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    rows = "\n".join(f"      app/a{number} allowed" for number in range(1500))
    path.write_text(
        "scenario: S\nwhy: W.\ntopology: {app: {pods: {a: {}, b: {ports: [80]}}}}\n"
        f"steps:\n  - step: s\n    expect: |2\n             app/b:80\n{rows}\n"
    )
    with pytest.raises(ScenarioError) as caught:
        load(path)
    problems = caught.value.problems
    assert len(problems) == 101
    assert problems[-1].message == "only the first 100 problems are shown"
    assert problems[-1].hint == "correct these first"


def test_too_many_pairs_are_refused(tmp_path: Path) -> None:
    pods = ", ".join(f"p{number}: {{ports: [80]}}" for number in range(300))
    path = tmp_path / "s.yaml"
    path.write_text(
        f"scenario: S\nwhy: W.\ntopology: {{app: {{pods: {{{pods}}}}}}}\n"
        "steps:\n  - {step: s, expect: allowed}\n"
    )
    with pytest.raises(ScenarioError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert problem.message == "up to here, the tables of this file name too many pairs"


def test_stars_are_compared_in_a_number_of_steps_that_grows_with_their_number() -> None:
    """A pattern of many stars took longer than a lifetime; one pass is enough."""
    pattern = source_pattern("app1/" + "a*" * 200 + "b")
    assert not pattern.matches(PodRef("app1", "a" * 63))
    for text, name, matches in (
        ("x/*", "", True),
        ("x/a*b*c", "abbc", True),
        ("x/a*b*c", "acb", False),
        ("x/*ab*ab", "aab", False),
        ("x/*ab*ab", "abab", True),
        ("x/a*a", "a", False),
        ("x/**", "anything", True),
    ):
        assert source_pattern(text).matches(PodRef("x", name)) is matches, (text, name)


def test_a_path_too_long_for_any_file(tmp_path: Path) -> None:
    missing = (DATA / "invalid" / "manifest-file-missing.yaml").read_text("utf-8")
    name = "x" * 300
    path = tmp_path / "long.yaml"
    path.write_text(missing.replace("policies/db-from-app1.yaml", f"{name}.yaml, '{name}/*'"))
    with pytest.raises(ScenarioError) as caught:
        load(path)
    assert [(str(problem.location), problem.message) for problem in caught.value.problems] == [
        (f"{path}:17:13", f"{tmp_path}/{name}.yaml cannot be read: File name too long"),
        (f"{path}:17:320", f"{tmp_path}/{name}/* cannot be read: File name too long"),
    ]


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
    with pytest.raises(ScenarioError, match="holds over 100,000 values"):
        load(path)


def test_a_deep_nest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("scenario: " + "[" * 5000)
    with pytest.raises(ScenarioError, match="nested too deeply"):
        load(path)
