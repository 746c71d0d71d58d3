"""A run for GitHub Actions, against whole texts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model import CellStatus
from harness.report import CellRecord, GapRecord, Outcome, Results, Run, StepRecord, WatchRecord
from harness.report.github import MOST_ANNOTATIONS, MOST_BYTES, job_summary, workflow_commands

RUN = Run("np1", "2030-01-01T00:00:00+00:00", 1.0, "0.1.0", "kind", 0)
RIGHT = CellRecord(
    "x/a", "y/b:80", 4, "TIMEOUT", "TIMEOUT", "TIMEOUT", CellStatus.PROVEN, "s.yaml:9:5"
)
WRONG = replace(
    RIGHT,
    source="x/b",
    observed="allowed",
    status=CellStatus.WRONG,
    location="sce,n:100%.yaml:10:7",
    reasons="egress of x/b: not isolated\ningress of y/b: 100%",
)
STEP = StepRecord(
    file="s.yaml",
    scenario="Shut",
    step="it is <shut>",
    index=0,
    line=7,
    outcome=Outcome.WRONG,
    cluster="fake",
    columns=("y/b:80",),
    cells=(RIGHT, WRONG),
    full_rounds=2,
    probe_s=1.5,
)
GREEN = replace(STEP, outcome=Outcome.PASSED, cells=(RIGHT,))


def results(*steps: StepRecord, refusal: str = "") -> Results:
    return Results(replace(RUN, refusal=refusal), steps)


# ------------------------------------------------------------------ annotations


def test_a_wrong_cell_is_annotated_at_its_line_with_what_github_escapes() -> None:
    assert workflow_commands(results(STEP)) == (
        "::error file=sce%2Cn%3A100%25.yaml,line=10,col=7,title=x/b -> y/b%3A80::"
        "observed allowed, expected TIMEOUT%0A"
        "egress of x/b: not isolated%0Aingress of y/b: 100%25",
    )


@pytest.mark.parametrize("outcome", [Outcome.PASSED, Outcome.LIMITED, Outcome.SKIPPED])
def test_what_did_not_fail_is_not_annotated(outcome: Outcome) -> None:
    assert workflow_commands(results(replace(GREEN, outcome=outcome))) == ()


def test_a_step_that_failed_without_cells_is_annotated_at_its_line() -> None:
    broken = replace(STEP, outcome=Outcome.CLUSTER_ERROR, cells=(), message="no node\r\nis left")
    assert workflow_commands(results(broken)) == (
        "::error file=s.yaml,line=7,col=1,title=it is <shut>::no node%0D%0Ais left",
    )


def test_a_watched_pair_that_failed_is_annotated() -> None:
    gap = GapRecord("allowed", 1.0, 1.5, tolerated=False)
    watch = WatchRecord(
        "x/a -> y/b:80", "TIMEOUT", "s.yaml:9:5", 0.0, 9, 0, 0.1, 0.2, False, (gap,)
    )
    step = replace(GREEN, outcome=Outcome.WRONG, watched=(watch, replace(watch, gaps=())))
    assert workflow_commands(results(step)) == (
        "::error file=s.yaml,line=9,col=5,title=watched x/a -> y/b%3A80::"
        "1 of 2 watched pairs had a gap",
    )


def test_a_run_that_was_refused_is_annotated() -> None:
    assert workflow_commands(results(refusal="it enforces nothing\nhint: use another")) == (
        "::error title=netpol%3A no step ran::it enforces nothing%0Ahint: use another",
    )


def test_more_annotations_than_github_shows_end_with_a_count() -> None:
    many = replace(STEP, cells=(WRONG,) * MOST_ANNOTATIONS)
    assert len(workflow_commands(results(many))) == MOST_ANNOTATIONS
    found = workflow_commands(results(many, replace(STEP, step="later")))
    assert len(found) == MOST_ANNOTATIONS
    assert found[-1] == "::error title=netpol::... and 2 more errors"


# ------------------------------------------------------------------ the summary


def test_the_summary_of_a_run_that_failed() -> None:
    text = job_summary(results(replace(GREEN, step="open"), STEP))
    assert (
        text
        == """\
## 1 of 2 steps failed on fake

```text
3 cells: 2 proven, 1 wrong, in 2 steps of 1 scenario on fake
```

### s.yaml::it is \\<shut>

```text
step 'it is <shut>': 1 of 2 cells is wrong (2 full rounds, 1.5 s of probing)

       y/b:80
  x/a  TIMEOUT
  x/b  allowed != TIMEOUT
  (observed != expected)

sce,n:100%.yaml:10:7: x/b -> y/b:80: observed allowed, expected TIMEOUT
    egress of x/b: not isolated
    ingress of y/b: 100%
```
"""
    )


def test_the_summary_of_a_run_that_passed_and_of_one_that_was_refused() -> None:
    assert job_summary(results(GREEN)).startswith("## None of 1 step failed on fake\n")
    assert job_summary(results(refusal="it enforces nothing")) == (
        "## No step ran on kind\n\n```text\nit enforces nothing\n```\n"
    )


def test_no_text_ends_its_block_of_code() -> None:
    odd = replace(STEP, cells=(), outcome=Outcome.CLUSTER_ERROR, message="```\n<b>")
    assert "\n````text\n```\n<b>\n````\n" in job_summary(results(odd))


def test_a_summary_stays_below_what_github_shows() -> None:
    long = replace(STEP, cells=(), outcome=Outcome.CLUSTER_ERROR, message="é" * 100_000)
    text = job_summary(results(*(replace(long, step=str(number)) for number in range(7))))
    assert len(text.encode()) < MOST_BYTES
    assert text.endswith("\n... and 3 more steps\n")
