"""The verb report: what a file of results says."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import Exit, main
from harness.model import CellStatus
from harness.report import CellRecord, Outcome, Results, Run, StepRecord

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


def test_a_file_that_is_not_there_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path / "none.json")]) == Exit.USAGE
    assert "none.json" in capsys.readouterr().err
