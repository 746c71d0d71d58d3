"""What differs between runs, as values, text and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.model import CellStatus
from harness.report import (
    CellRecord,
    FlapRecord,
    GapRecord,
    Outcome,
    PhaseRecord,
    Run,
    StartRecord,
    StepRecord,
    WatchRecord,
)
from harness.report.compare import Apart, Compared, Comparison, Difference, Kind, compare
from harness.report.compare_text import markdown, summary_line, text
from harness.report.requirements import Tried, by_requirement

V1, V2 = "kind (mine v1)", "kind (mine v2)"
WRONG, PROVEN = CellStatus.WRONG, CellStatus.PROVEN
FLAP = (FlapRecord("allowed", 0.1, 0.2),)

DENIED = CellRecord("x/a", "y/b:80", 4, "TIMEOUT", "TIMEOUT", "TIMEOUT", PROVEN, "s.yaml:9:5")
LEAKS = replace(DENIED, observed="allowed", status=WRONG)
SILENT = replace(DENIED, observed="", status=CellStatus.NO_VERDICT)
REJECTED = replace(DENIED, observed="REFUSED", rejected=True)
KNOWN = replace(
    DENIED,
    observed="allowed",
    expected="allowed",
    status=CellStatus.LIMITED,
    limitation="it leaks",
)
MENDED = replace(KNOWN, observed="TIMEOUT", status=WRONG)
UNPROVEN = replace(DENIED, status=CellStatus.UNPROVEN)
OPEN = replace(DENIED, status=CellStatus.UNDEFINED)
OTHER = replace(DENIED, destination="y/c:80", expected="allowed", stated="allowed",
                observed="allowed")  # fmt: skip


def step(*cells: CellRecord, **fields: object) -> StepRecord:
    statuses = {cell.status for cell in cells}
    outcome = Outcome.WRONG if WRONG in statuses else Outcome.PASSED
    given = {"outcome": outcome, "cluster": V1, "covers": ("R01",), **fields}
    return StepRecord("s.yaml", "S", "it is shut", 0, 7, cells=cells, **given)  # type: ignore[arg-type]


def run(name: str, *steps: StepRecord, refusal: str = "") -> Compared:
    about = Run("np1", "2030-01-01T00:00:00+00:00", 1.0, "0.1.0", "kind", 0, refusal)
    return Compared(name, about, steps)


def of(*steps: StepRecord) -> Comparison:
    """Compare runs of one step each."""
    return compare([run(name, one) for name, one in zip("abcd", steps, strict=False)])


def kinds(found: Comparison) -> list[tuple[str, Kind]]:
    return [(item.pair, item.kind) for item in found.differences]


PAIR = "x/a -> y/b:80"


# ------------------------------------------------------------------ cells


@pytest.mark.parametrize("cell", [DENIED, LEAKS, SILENT, REJECTED, KNOWN, OPEN, UNPROVEN])
def test_a_run_is_the_same_as_itself(cell: CellRecord) -> None:
    for flapped in ((), FLAP):
        one = step(replace(cell, flapped=flapped))
        found = of(one, one)
        assert (found.same, found.differences, found.apart) == (True, (), ())
        assert found.requirements[0].differing == ()


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        (DENIED, LEAKS, Kind.REGRESSION),
        (LEAKS, DENIED, Kind.MEND),
        (DENIED, KNOWN, Kind.REGRESSION),
        (KNOWN, DENIED, Kind.MEND),
        (KNOWN, MENDED, Kind.MEND),
        (KNOWN, LEAKS, Kind.DIFFERENT),
        (LEAKS, KNOWN, Kind.DIFFERENT),
        (DENIED, SILENT, Kind.DIFFERENT),
        (SILENT, LEAKS, Kind.DIFFERENT),
        (UNPROVEN, LEAKS, Kind.DIFFERENT),
        (DENIED, UNPROVEN, Kind.DIFFERENT),
        (OPEN, replace(OPEN, observed="allowed"), Kind.DIFFERENT),
        (DENIED, replace(DENIED, flapped=FLAP), Kind.FLAKY),
        (DENIED, replace(LEAKS, flapped=FLAP), Kind.REGRESSION),
        (LEAKS, replace(LEAKS, flapped=FLAP), Kind.FLAKY),
    ],
)
def test_two_runs_of_one_cni(before: CellRecord, now: CellRecord, kind: Kind) -> None:
    found = of(step(before, OTHER), step(now, OTHER))
    assert kinds(found) == [(PAIR, kind)]
    assert not found.same
    assert found.of_one_cni


def test_a_refused_that_counts_as_timeout_is_no_difference() -> None:
    assert of(step(DENIED), step(REJECTED)).same


@pytest.mark.parametrize("flapped", [(), FLAP])
def test_runs_of_two_cnis_have_no_before(flapped: tuple[FlapRecord, ...]) -> None:
    found = of(step(DENIED), step(replace(LEAKS, flapped=flapped), cluster=V2))
    assert kinds(found) == [(PAIR, Kind.DIFFERENT)]
    assert not found.of_one_cni


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ((step(DENIED), step(LEAKS), step(DENIED)), Kind.FLAKY),
        ((step(DENIED), step(DENIED), step(LEAKS)), Kind.FLAKY),
        ((step(DENIED), step(DENIED), step(LEAKS, cluster=V2)), Kind.DIFFERENT),
        ((step(DENIED), step(LEAKS), step(LEAKS, cluster=V2)), Kind.DIFFERENT),
        (
            (step(DENIED), step(replace(DENIED, flapped=FLAP)), step(LEAKS, cluster=V2)),
            Kind.FLAKY,
        ),
    ],
)
def test_three_runs(steps: Sequence[StepRecord], kind: Kind) -> None:
    found = of(*steps)
    assert kinds(found) == [(PAIR, kind)]
    assert not found.of_one_cni


def test_a_pair_is_compared_over_each_family() -> None:
    other = replace(LEAKS, family=6)
    found = of(step(DENIED, replace(DENIED, family=6)), step(DENIED, other))
    assert kinds(found) == [(f"{PAIR} (IPv6)", Kind.REGRESSION)]


# ------------------------------------------------------------------ steps


def test_a_changed_table_is_no_regression() -> None:
    changed = replace(LEAKS, expected="REFUSED", stated="REFUSED")
    for other in (step(changed), step(LEAKS, OTHER)):
        found = of(step(DENIED), other)
        assert found.differences == ()
        assert [(item.why, item.outcomes) for item in found.apart] == [
            (Apart.CHANGED, ("passed", "wrong"))
        ]


def test_a_limitation_does_not_change_the_table() -> None:
    assert of(step(DENIED), step(KNOWN)).apart == ()


def test_a_step_that_is_skipped_in_one_run_is_no_regression() -> None:
    skipped = step(outcome=Outcome.SKIPPED, message="it lacks sctp")
    found = of(step(DENIED), skipped, step(LEAKS))
    assert [(item.why, item.outcomes, item.reasons) for item in found.apart] == [
        (Apart.SKIPPED, ("passed", "skipped", "wrong"), ("it lacks sctp",))
    ]
    assert kinds(found) == [(PAIR, Kind.DIFFERENT)]
    assert of(step(DENIED), skipped).differences == ()
    assert of(skipped, replace(skipped, message="it lacks more")).same


def test_a_step_that_is_only_in_one_run() -> None:
    found = compare([run("a", step(DENIED)), run("b")])
    assert [(item.why, item.outcomes) for item in found.apart] == [(Apart.MISSING, ("passed", ""))]
    assert found.differences == ()


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        (Outcome.PASSED, Outcome.NOT_REFUSED, Kind.REGRESSION),
        (Outcome.NOT_REFUSED, Outcome.PASSED, Kind.MEND),
        (Outcome.LIMITED, Outcome.NOT_REFUSED, Kind.REGRESSION),
        (Outcome.PASSED, Outcome.CLUSTER_ERROR, Kind.DIFFERENT),
        (Outcome.CLUSTER_ERROR, Outcome.NOT_REFUSED, Kind.DIFFERENT),
    ],
)
def test_the_outcome_of_a_step_without_cells(before: Outcome, now: Outcome, kind: Kind) -> None:
    steps = (step(*([DENIED] if each is Outcome.PASSED else []), outcome=each)
             for each in (before, now))  # fmt: skip
    found = of(*steps)
    assert kinds(found) == [("", kind)]
    assert found.differences[0].location == "s.yaml:7"


def test_a_step_without_cells_is_named_beside_the_cells_of_the_others() -> None:
    found = of(step(DENIED), step(LEAKS), step(outcome=Outcome.CLUSTER_ERROR))
    assert kinds(found) == [(PAIR, Kind.DIFFERENT), ("", Kind.FLAKY)]


def test_pairs_that_were_probed_over_time() -> None:
    gap = GapRecord("allowed", 1.0, 1.5, tolerated=False)
    watch = WatchRecord(PAIR, "TIMEOUT", "s.yaml:9:5", 0.0, 90, 0, 0.1, 0.2, silent=False)
    phase = PhaseRecord(3, 0, 0, 0.0, 1.0)
    start = StartRecord(
        PAIR, "TIMEOUT", "s.yaml:9:5", phase, phase, None, (), failed=False, silent=False
    )
    right = step(DENIED, watched=(watch,), started=(start,))
    wrong = replace(
        right,
        outcome=Outcome.WRONG,
        watched=(replace(watch, gaps=(gap,)),),
        started=(replace(start, failed=True),),
    )
    assert of(right, replace(right, watched=(replace(watch, silent_s=0.3),))).same
    assert kinds(of(right, wrong)) == [
        (f"watched {PAIR}", Kind.REGRESSION),
        (f"from the start {PAIR}", Kind.REGRESSION),
    ]
    silent = replace(right, watched=(replace(watch, silent=True),), outcome=Outcome.NO_VERDICT)
    assert kinds(of(wrong, silent)) == [
        (f"watched {PAIR}", Kind.DIFFERENT),
        (f"from the start {PAIR}", Kind.MEND),
    ]


def test_a_run_that_was_refused_differs() -> None:
    found = compare([run("a", refusal="it enforces nothing\nhint"), run("b")])
    assert (found.same, summary_line(found)) == (False, "different: a run was refused")
    assert (
        "a: kind, 2030-01-01 00:00:00 UTC, netpol 0.1.0: no step ran: it enforces nothing\n"
        in (text(found))
    )


# ------------------------------------------------------------------ requirements


def test_the_worst_outcome_of_the_steps_that_cover_a_requirement() -> None:
    skipped = step(outcome=Outcome.SKIPPED, message="it lacks sctp", covers=("R02", "R03"))
    found = by_requirement([step(DENIED), step(LEAKS, covers=("R01", "R02")), skipped])
    assert found == {
        "R01": Tried(Outcome.WRONG, 2),
        "R02": Tried(Outcome.WRONG, 1, ("it lacks sctp",)),
        "R03": Tried(None, 0, ("it lacks sctp",)),
    }
    assert [one.word for one in found.values()] == ["wrong", "wrong", "skipped"]


def test_a_row_says_which_runs_differ_from_the_first() -> None:
    found = of(step(DENIED), step(DENIED, cluster=V2), step(LEAKS), step(LEAKS, covers=()))
    assert [(row.id, row.differing) for row in found.requirements] == [("R01", (2, 3))]


# ------------------------------------------------------------------ text


SKIPPED = replace(step(outcome=Outcome.SKIPPED, message="it lacks sctp"), step="later")


def test_the_text() -> None:
    before = run("before", step(DENIED, OTHER), replace(step(OTHER), step="later"))
    found = compare([before, run("now", step(LEAKS, replace(OTHER, flapped=FLAP)), SKIPPED)])
    assert (
        text(found)
        == """\
before: kind (mine v1), 2030-01-01 00:00:00 UTC, netpol 0.1.0: 2 steps, 3 cells
now: kind (mine v1), 2030-01-01 00:00:00 UTC, netpol 0.1.0: 2 steps, 2 cells

Requirements (1 of 1 differ)
       before  now    differs
  R01  passed  wrong  now

Regressions: right in before, wrong in now (1)
  s.yaml::it is shut
    s.yaml:9:5: x/a -> y/b:80, expected TIMEOUT
      before: TIMEOUT (proven); now: allowed (wrong)

Flaky: flapped, or different among three or more runs of one CNI (1)
  s.yaml::it is shut
    s.yaml:9:5: x/a -> y/c:80, expected allowed
      before: allowed (proven); now: allowed (proven, flapped)

Steps skipped in some runs (1)
  s.yaml::later
    before: passed; now: skipped (it lacks sctp)

different: 1 regression, 1 flaky, 1 step skipped in some runs"""
    )


def test_markdown_escapes_what_files_say() -> None:
    odd = replace(DENIED, destination="svc/*_b|c:80")
    leaks = replace(LEAKS, destination=odd.destination)
    before, now = (replace(step(one, covers=("R06",)), step="a <b> `c`") for one in (odd, leaks))
    found = compare([run("a*b", before), run("now", now, replace(SKIPPED, covers=()))])
    assert (
        markdown(found)
        == r"""**different: 1 regression, 1 step only in some runs**

- a\*b: kind (mine v1), 2030-01-01 00:00:00 UTC, netpol 0.1.0: 1 step, 1 cell
- now: kind (mine v1), 2030-01-01 00:00:00 UTC, netpol 0.1.0: 2 steps, 1 cell

## Requirements (1 of 1 differ)

| id | requirement | a\*b | now | differs |
|---|---|---|---|---|
| R06 | The node on which a pod runs can always reach it. | passed | wrong | now |

## Regressions: right in a\*b, wrong in now (1)

| step | pair | expected | a\*b | now |
|---|---|---|---|---|
| s.yaml::a \<b> \`c\` | x/a -> svc/\*\_b\|c:80 | TIMEOUT | TIMEOUT (proven) | allowed (wrong) |

## Steps only in some runs (1)

- s.yaml::later: a\*b: not there; now: skipped (it lacks sctp)"""
    )


def test_results_that_are_the_same_are_counted() -> None:
    one = run("a", step(DENIED, OTHER))
    found = compare([one, replace(one, name="b")])
    about = "kind (mine v1), 2030-01-01 00:00:00 UTC, netpol 0.1.0: 1 step, 2 cells"
    assert text(found) == f"a: {about}\nb: {about}\n\nthe same: 1 step, 2 cells"
    assert markdown(found) == f"**the same: 1 step, 2 cells**\n\n- a: {about}\n- b: {about}"


def test_long_lists_end_with_a_count_of_the_rest() -> None:
    cells = [replace(DENIED, source=f"x/a{number}") for number in range(120)]
    before = [step(*cells), *(replace(step(), step=f"only {n:03}") for n in range(101))]
    wrong = [replace(cell, observed="allowed", status=WRONG) for cell in cells]
    found = compare([run("a", *before), run("b", step(*wrong))])
    lines = text(found).splitlines()
    assert sum(PAIR.partition(" ")[2] in line for line in lines) == 100
    assert "  ... and 20 more differences" in lines
    assert "  ... and 1 more step" in lines
    assert lines[-1] == "different: 120 regressions, 101 steps only in some runs"
    lines = markdown(found).splitlines()
    assert sum("| x/a" in line for line in lines) == 100
    assert "... and 20 more differences" in lines
    assert lines[-1] == "- ... and 1 more step"


def test_a_difference_is_named_by_its_step() -> None:
    (item,) = of(step(DENIED), step(LEAKS)).differences
    assert isinstance(item, Difference)
    assert item.name == "s.yaml::it is shut"
