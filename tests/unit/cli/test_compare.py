"""The verb compare: names, exit statuses, and files that cannot be read."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import Exit, main
from harness.model import CellStatus
from harness.report import CellRecord, Outcome, Results, Run, StepRecord

CELL = CellRecord(
    "x/a", "y/b:80", 4, "TIMEOUT", "TIMEOUT", "TIMEOUT", CellStatus.PROVEN, "s.yaml:9:5"
)
STEP = StepRecord(
    "s.yaml", "S", "it is shut", 0, 7, Outcome.PASSED, "kind (mine v1)", cells=(CELL,)
)
ABOUT = Run("np1", "2030-01-01T00:00:00+00:00", 1.0, "0.1.0", "kind", 0)
RIGHT = Results(ABOUT, (STEP,)).to_json()
WRONG = Results(
    ABOUT,
    (
        replace(
            STEP,
            outcome=Outcome.WRONG,
            cells=(replace(CELL, observed="allowed", status=CellStatus.WRONG),),
        ),
    ),
).to_json()


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("before", "now"):
        Path(folder).mkdir()
    Path("before/results.json").write_text(RIGHT, encoding="utf-8")
    Path("now/results.json").write_text(WRONG, encoding="utf-8")
    Path("now/again.json.gz").write_bytes(gzip.compress(WRONG.encode()))


def test_runs_that_differ(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "before/results.json", "now/again.json.gz"]) == Exit.WRONG
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("results: kind (mine v1), ")
    assert lines[1].startswith("again: kind (mine v1), ")
    assert lines[-1] == "different: 1 regression"
    assert main(["compare", "before/results.json", "now/again.json.gz", "--markdown"]) == 1
    assert capsys.readouterr().out.startswith("**different: 1 regression**\n")


def test_a_page_of_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    files = ["before/results.json", "now/again.json.gz"]
    assert main(["compare", *files, "--html", "out/page.html"]) == Exit.WRONG
    assert capsys.readouterr().out == "different: 1 regression\n"
    text = Path("out/page.html").read_text(encoding="utf-8")
    assert "Regressions: right in results, wrong in again (1)" in text
    assert main(["compare", *files, "--html", "out"]) == Exit.USAGE
    assert capsys.readouterr().err == "--html=out: Is a directory\n"


def test_runs_that_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "now/results.json", "now/again.json.gz"]) == Exit.OK
    assert capsys.readouterr().out.endswith("\n\nthe same: 1 step, 1 cell\n")


def test_files_of_one_name_have_their_folders_and_one_file_twice_has_a_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = ["before/results.json", "now/results.json", "now/again.json.gz", "now/again.json.gz"]
    assert main(["compare", *files]) == Exit.WRONG
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:4]] == [
        "before/results.json",
        "now/results.json",
        "again",
        "again (2)",
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["now/results.json"], "one file is nothing to compare\n"
         "hint: netpol compare BEFORE.json NOW.json\n"),
        (["now/results.json", "now/result.json"], "there is no file now/result.json\n"
         "hint: did you mean 'results.json'?\n"),
        (["now/results.json", "now"], "now is a folder\nhint: name a regular file\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(
    files: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *files]) == Exit.USAGE
    assert capsys.readouterr().err == message
