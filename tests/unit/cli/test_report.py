"""The verb report: what a file of results says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import Exit, main
from harness.model import CellStatus
from harness.report import CellRecord, Outcome, Results, Run, StepRecord, html

RIGHT = CellRecord(
    source="x/a",
    destination="y/b:80",
    family=4,
    expected="allowed",
    stated="allowed",
    observed="allowed",
    status=CellStatus.PROVEN,
    location="s.yaml:9:5",
)
WRONG = CellRecord(
    source="x/a",
    destination="y/b:81",
    family=4,
    expected="TIMEOUT",
    stated="TIMEOUT",
    observed="allowed",
    status=CellStatus.WRONG,
    location="s.yaml:9:9",
)
STEP = StepRecord(
    file="s.yaml",
    scenario="Shut",
    step="it is shut",
    index=0,
    line=7,
    outcome=Outcome.WRONG,
    cluster="fake",
    columns=("y/b:80", "y/b:81"),
    cells=(RIGHT, WRONG),
    full_rounds=2,
    probe_s=1.5,
)
RUN = Run("np1", "2030-01-01T00:00:00+00:00", 1.0, "0.1.0", "netns", 2)


def written(folder: Path, *steps: StepRecord) -> str:
    path = folder / "results.json"
    path.write_text(Results(RUN, steps).to_json(), encoding="utf-8")
    return str(path)


def test_a_report_is_what_is_wrong_and_the_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", written(tmp_path, STEP)]) == Exit.OK
    assert capsys.readouterr().out == (
        "s.yaml:7: step 'it is shut': 1 of 2 cells is wrong (2 full rounds, 1.5 s of probing)\n\n"
        "       y/b:80   y/b:81\n"
        "  x/a  allowed  allowed != TIMEOUT\n"
        "  (observed != expected)\n\n"
        "s.yaml:9:9: x/a -> y/b:81: observed allowed, expected TIMEOUT\n\n"
        "2 cells: 1 proven, 1 wrong, in 1 step of 1 scenario on fake\n"
    )


def test_a_page_is_printed_for_each_step_where_the_cell_is_odd(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = replace(WRONG, observed="TIMEOUT", status=CellStatus.PROVEN)
    later = replace(STEP, step="it is still shut", outcome=Outcome.PASSED, cells=(RIGHT, right))
    file = written(tmp_path, STEP, later)
    assert main(["report", file, "--cell", "x/a  -> y/b:81"]) == Exit.OK
    assert capsys.readouterr().out == (
        "s.yaml::it is shut, wrong, on fake\n"
        "s.yaml:9:9: x/a -> y/b:81: observed allowed, expected TIMEOUT\n\n"
    )
    words = ["--step", "s.yaml::it is still shut", "--previous", file]
    assert main(["report", file, "--cell", "x/a -> y/b:81", *words]) == Exit.OK
    assert capsys.readouterr().out.splitlines()[1:] == [
        "s.yaml:9:9: x/a -> y/b:81: observed TIMEOUT, expected TIMEOUT",
        "    earlier: TIMEOUT, expected TIMEOUT (proven), in run np1 of "
        "2030-01-01T00:00:00+00:00 on fake",
        "",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--step", "x"], "--step is about one cell\nhint: add --cell='SOURCE -> DESTINATION'\n"),
        (
            ["--previous", "x"],
            "--previous is about one cell\nhint: add --cell='SOURCE -> DESTINATION'\n",
        ),
        (
            ["--cell", "x/a -> y/b:82"],
            "no step has the cell 'x/a -> y/b:82'\nhint: did you mean 'x/a -> y/b:81'?\n",
        ),
        (
            ["--cell", "x/a -> y/b:81", "--step", "it is shuf"],
            "no step 'it is shuf'\nhint: did you mean 'it is shut'?\n",
        ),
        (
            ["--cell", "x/a -> y/b:80"],
            "'x/a -> y/b:80' is as expected in 2 steps: s.yaml::it is shut; s.yaml::later\n"
            "hint: choose one with --step\n",
        ),
    ],
)
def test_what_cannot_be_shown_says_why(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, STEP, replace(STEP, step="later"))
    assert main(["report", file, *words]) == Exit.USAGE
    assert capsys.readouterr().err == message


def test_a_file_that_is_not_there_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path / "none.json")]) == Exit.USAGE
    assert "none.json" in capsys.readouterr().err


@pytest.fixture
def summary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "summary.md"
    path.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


ANNOTATION = (
    "::error file=s.yaml,line=9,col=9,title=x/a -> y/b%3A81::observed allowed, expected TIMEOUT\n"
)


def test_github_gets_annotations_and_a_summary_in_its_file(
    tmp_path: Path, summary_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", written(tmp_path, STEP), "--github"]) == Exit.OK
    assert capsys.readouterr().out == ANNOTATION
    assert summary_file.read_text(encoding="utf-8").startswith(
        "before\n## 1 of 1 step failed on fake\n"
    )


def test_without_its_file_the_summary_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert main(["report", written(tmp_path, STEP), "--github"]) == Exit.OK
    assert capsys.readouterr().out.startswith(f"{ANNOTATION}## 1 of 1 step failed on fake\n")


def test_a_summary_that_cannot_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert main(["report", written(tmp_path, STEP), "--github"]) == Exit.USAGE
    assert capsys.readouterr().err == f"GITHUB_STEP_SUMMARY={tmp_path}: Is a directory\n"


# ------------------------------------------------------------------ --html


def test_a_file_of_results_becomes_a_page(tmp_path: Path) -> None:
    file = tmp_path / "new" / "report.html"
    results = written(tmp_path, STEP)
    assert main(["report", results, f"--html={file}", f"--previous={results}"]) == Exit.OK
    read = Results(RUN, (STEP,))
    assert file.read_text(encoding="utf-8") == html.page(read, [read])


def test_a_page_that_cannot_be_written_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", written(tmp_path, STEP), f"--html={tmp_path}"]) == Exit.USAGE
    assert f"--html={tmp_path}: Is a directory" in capsys.readouterr().err


def test_a_page_is_about_all_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["report", written(tmp_path, STEP), "--html=x.html", "--cell=x/a -> y/b:80"]
    assert main(words) == Exit.USAGE
    assert "--html is about all cells" in capsys.readouterr().err


# ------------------------------------------------------------------ in the form of another report

SUITE = """\
kind: ConformanceReport
implementation: {project: some-plugin, version: v2}
profiles:
- {name: ClusterNetworkPolicy, standard: {failedTests: [CNPAdminTierGress]}}
"""


def test_results_in_the_form_of_a_conformance_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    step = replace(STEP, covers=("T01",))
    beside = str(tmp_path / "suite.yaml")
    asked = ["report", written(tmp_path, step), "--conformance-shape", "--beside", beside]
    assert main(asked) == Exit.OK
    text = capsys.readouterr().out
    assert text.startswith("apiVersion: netpol.harness/v1\nkind: ScenarioReport\n")
    assert "failedTests:\n    - s.yaml\n" in text
    assert "- name: CNPAdminTierGress\n    there: failed\n" in text


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        (["--beside", "x.yaml"], "--beside is about --conformance-shape"),
        (["--conformance-shape", "--cell", "a -> b"], "--conformance-shape is about all cells"),
        (["--conformance-shape", "--beside", "no.yaml"], "there is no file no.yaml"),
    ],
)
def test_options_of_that_form_that_do_not_belong_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], fact: str
) -> None:
    assert main(["report", written(tmp_path, STEP), *options]) == Exit.USAGE
    assert fact in capsys.readouterr().err
