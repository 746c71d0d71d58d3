"""docs/scoreboard.md: what network plugins gave, from the kept results."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from harness.model import CellStatus
from harness.report import CellRecord, Outcome, Results, Run, StepRecord
from tools import scoreboard

RUN = Run(
    "np1", "2030-01-01T00:00:00+00:00", 61.2, "0.1.0", "kind", 4,
    cni="mine", cni_version="v1", kubernetes="v1.34.0", options="--cluster=kind --cni=mine",
)  # fmt: skip
CELL = CellRecord(
    "x/a", "y/b:80", 4, "TIMEOUT", "TIMEOUT", "TIMEOUT", CellStatus.PROVEN, "s.yaml:9:5"
)
LACK = "cluster kind lacks feature sctp"


def step(
    name: str,
    outcome: Outcome,
    *cells: CellRecord,
    covers: str = "R06",
    folder: str = "conformance",
) -> StepRecord:
    file = f"scenarios/{folder}/{name}.yaml"
    message = LACK if outcome is Outcome.SKIPPED else ""
    return StepRecord(
        file, "S", "it is shut", 0, 7, outcome, "kind (mine v1)", message,
        cells=cells, covers=(covers,),
    )  # fmt: skip


def cell(status: CellStatus, observed: str, **fields: str) -> CellRecord:
    return replace(CELL, status=status, observed=observed, **fields)  # type: ignore[arg-type]


LIMITED = cell(CellStatus.LIMITED, "allowed", limitation="it leaks (a/b#1; v1)")
OPEN = cell(CellStatus.UNDEFINED, "allowed", reason="not defined (R83)")
WRONG = cell(CellStatus.WRONG, "allowed")
GOOD = Results(
    RUN,
    (
        step("limited", Outcome.LIMITED, CELL, LIMITED),
        step("open", Outcome.PASSED, OPEN, covers="R83"),
        step("wrong", Outcome.PASSED, CELL),
        step("sctp", Outcome.SKIPPED),
    ),
)
BAD = Results(
    replace(RUN, cni="other", options=""),
    (
        step("wrong", Outcome.WRONG, WRONG),
        step("sctp", Outcome.SKIPPED, covers="R25"),
        step("own", Outcome.PASSED, CELL, covers="R06", folder="examples"),
    ),
)
REFUSED = Results(
    replace(RUN, cni="none", options="", refusal="cluster x does not enforce\nhint: <use> one"), ()
)


def test_the_page_is_up_to_date() -> None:
    made = scoreboard.page(scoreboard.kept())
    assert scoreboard.PAGE.read_text(encoding="utf-8") == made, "run `make scoreboard`"


def test_no_run_is_said_to_be_more_than_what_was_measured() -> None:
    text = scoreboard.PAGE.read_text(encoding="utf-8").lower()
    assert "conformant" not in text


def parts() -> dict[str, list[str]]:
    made = scoreboard.page({"good": GOOD, "bad": BAD, "refused": REFUSED})
    sections = (part.partition("\n") for part in made.split("\n## ")[1:])
    return {head: body.strip().splitlines() for head, _, body in sections}


def test_the_runs() -> None:
    lines = parts()["Runs"]
    assert lines == [
        "| run | cluster | Kubernetes | netpol | date | duration | steps | cells | proven "
        "| undefined | limited | wrong |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
        "| good | kind (mine v1) | v1.34.0 | 0.1.0 | 2030-01-01 | 1 min 1 s | 3 of 4 | 4 | 2 "
        "| 1 | 1 | 0 |",
        "| bad | kind (mine v1) | v1.34.0 | 0.1.0 | 2030-01-01 | 1 min 1 s | 2 of 3 | 2 | 1 "
        "| 0 | 0 | 1 |",
        "| refused | kind none v1 | v1.34.0 | 0.1.0 | 2030-01-01 | 1 min 1 s "
        "| enforces no policy | 0 | 0 | 0 | 0 | 0 |",
        "",
        "These commands repeat them, each on a cluster of its own:",
        "",
        "```sh",
        "netpol up --cni=mine && netpol run scenarios/conformance --cluster=kind --cni=mine "
        "-n 4 --results=FILE",
        "netpol up --cni=other && netpol run scenarios/conformance scenarios/examples "
        "--cluster=kind --cni=other -n 4 --results=FILE",
        "netpol up --cni=none && netpol run scenarios --cluster=kind --cni=none -n 4 "
        "--results=FILE",
        "```",
        "",
        "refused enforces no policy: no scenario ran. cluster x does not enforce hint: "
        "\\<use> one",
    ]


def test_the_requirements() -> None:
    found = {line.split(" | ")[0]: line for line in parts()["Requirements"]}
    refused = "enforces no policy"
    assert found["| id"] == "| id | requirement | good | bad | refused |"
    assert found["| R06"].endswith(f" | limited, 2 of 3 steps (1) | wrong | {refused} |")
    assert found["| R25"].endswith(f" | - | skipped (1) | {refused} |")
    assert "| R83" not in found


def test_what_is_not_plainly_passed() -> None:
    found = parts()
    link = "[conformance/{0}](../scenarios/conformance/{0}.yaml): it is shut"
    assert found["Failed steps"][2:] == [
        "| step | covers | good | bad | refused |",
        "|---|---|---|---|---|",
        f"| {link.format('wrong')} | R06 | passed | 1 wrong | - |",
    ]
    assert found["Known limitations"] == ["- it leaks (a/b#1; v1): 1 cell on good"]
    assert found["Undefined by the API"][4:] == [
        f"| {link.format('open')} | x/a -> y/b:80 | not defined (R83) | allowed | - | - |"
    ]
    assert found["Skipped steps"] == [f"1. {LACK}: 2 steps of conformance/sctp"]


def test_a_section_without_content_is_there_for_the_links_to_it() -> None:
    made = scoreboard.page({"plain": Results(RUN, (step("right", Outcome.PASSED, CELL),))})
    for title in ("Failed steps", "Known limitations", "Undefined by the API", "Skipped steps"):
        section = made.partition(f"## {title}\n")[2].partition("\n## ")[0]
        assert section.rstrip().splitlines()[-1] == "None."


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(scoreboard, "RESULTS", tmp_path)
    monkeypatch.setattr(scoreboard, "PAGE", tmp_path / "scoreboard.md")
    (tmp_path / "calico.json.gz").write_bytes(gzip.compress(GOOD.to_json().encode()))
    return tmp_path


def test_results_are_read_from_the_folder_and_from_files(elsewhere: Path) -> None:
    more = elsewhere / "cilium.json"
    more.write_text(BAD.to_json(), encoding="utf-8")
    assert scoreboard.main([str(more)]) == 0
    made = scoreboard.page({"calico": GOOD, "cilium": BAD})
    assert (elsewhere / "scoreboard.md").read_text(encoding="utf-8") == made


def test_a_file_that_is_no_result_is_an_error(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = elsewhere / "results.json"
    file.write_text("[]", encoding="utf-8")
    assert scoreboard.main([str(file)]) == 2
    assert capsys.readouterr().err == (
        f"{file}: not a results file: it has no schema version\n"
        "hint: use a file that `netpol run --results=FILE` wrote\n"
    )
    assert not (elsewhere / "scoreboard.md").exists()
