"""What people and programs read, against whole texts."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import Location
from harness.model import (
    Cell,
    CellResult,
    CellStatus,
    Destination,
    Family,
    Flap,
    Limitation,
    Observation,
    PodRef,
    Probe,
    ProbeError,
    Reachability,
    Restarted,
    Scenario,
    State,
    Step,
    StepResult,
    TruthTable,
    Verdict,
)
from harness.report import (
    Outcome,
    StepRecord,
    at_best,
    failure,
    properties,
    prospect,
    record,
    sentence,
    step_line,
    summary,
    table,
    tally,
)

ALLOWED, TIMEOUT, REFUSED = Verdict.ALLOWED, Verdict.TIMEOUT, Verdict.REFUSED
CELL_FIELDS = ("undefined", "never_allowed", "not_judged", "limitation")
REJECTS = {"connected": True, "denies_by": "reject"}
LEAK = Limitation(TIMEOUT, "it leaks (a/b#1; v1)")


def cell(
    source: str,
    destination: str,
    expected: Verdict,
    seen: Verdict | ProbeError | None,
    **fields: object,
) -> CellResult:
    cell_fields = {key: fields.pop(key) for key in CELL_FIELDS if key in fields}
    family = fields.pop("family", Family.V4)
    probe = Probe(PodRef("x", source), Destination(PodRef("y", destination), 80), family)  # type: ignore[arg-type]
    stated = Cell(probe, expected, Location("s.yaml", 9, 5), **cell_fields)  # type: ignore[arg-type]
    observation = None if seen is None else Observation(probe, 0, 1, seen, raw=f"raw {seen}")
    return CellResult(stated, observation, **fields)  # type: ignore[arg-type]


def step(*results: CellResult, name: str = "it is shut", **fields: object) -> StepRecord:
    table_ = TruthTable(tuple(result.cell for result in results))
    made = Step(name, Location("s.yaml", 7, 3), (Restarted(PodRef("y", "b")),), State("s"), table_)
    of_scenario = {key: fields.pop(key) for key in ("weak", "snapshot") if key in fields}
    scenario = Scenario("s.yaml", "Shut", "s", "because", (made,), **of_scenario)  # type: ignore[arg-type]
    numbers = {"full_rounds": 2, "sync_s": 0.5, "probe_s": 1.25, **fields}
    result = StepResult(scenario, made, Reachability(results), **numbers)  # type: ignore[arg-type]
    return record(result, "fake", lambda _: "no policy admits it", lambda _: "netpol probe ...")


def test_a_record_survives_the_border_of_a_process() -> None:
    wrong = cell("a", "b", TIMEOUT, ALLOWED, wrong_until_s=1.23456)
    made = step(wrong, cell("a", "c", ALLOWED, ProbeError("gone")))
    assert StepRecord.from_json(made.to_json()) == made
    assert made.cells[0].wrong_until_s == 1.235


KINDS = (
    (cell("a", "b", TIMEOUT, TIMEOUT), Outcome.PASSED, CellStatus.PROVEN, ""),
    (cell("a", "b", REFUSED, REFUSED), Outcome.PASSED, CellStatus.PROVEN, ""),
    (cell("a", "b", TIMEOUT, REFUSED, **REJECTS), Outcome.PASSED, CellStatus.PROVEN, ""),
    (cell("a", "b", TIMEOUT, REFUSED), Outcome.WRONG, CellStatus.WRONG, ""),
    (
        cell("a", "b", TIMEOUT, ALLOWED, undefined="R9"),
        Outcome.PASSED,
        CellStatus.UNDEFINED,
        "R9",
    ),
    (
        cell("a", "b", TIMEOUT, TIMEOUT, undefined="R9", never_allowed="closed"),
        Outcome.PASSED,
        CellStatus.UNDEFINED,
        "R9",
    ),
    (
        cell("a", "b", TIMEOUT, TIMEOUT, never_allowed="closed", not_judged="CRD"),
        Outcome.PASSED,
        CellStatus.EXEMPT,
        "closed",
    ),
    (
        cell("a", "b", TIMEOUT, ALLOWED, never_allowed="closed"),
        Outcome.WRONG,
        CellStatus.WRONG,
        "declared never-allowed: closed",
    ),
    (cell("a", "b", TIMEOUT, TIMEOUT, evidence=False), Outcome.UNPROVEN, CellStatus.UNPROVEN, ""),
    (
        cell("a", "b", TIMEOUT, TIMEOUT, not_judged="CRD"),
        Outcome.PASSED,
        CellStatus.NOT_JUDGED,
        "CRD",
    ),
    (
        cell("a", "b", TIMEOUT, TIMEOUT, not_judged="CRD", evidence=False),
        Outcome.UNPROVEN,
        CellStatus.UNPROVEN,
        "",
    ),
    (cell("a", "b", TIMEOUT, ALLOWED, not_judged="CRD"), Outcome.WRONG, CellStatus.WRONG, ""),
    (
        cell("a", "b", TIMEOUT, ProbeError("gone"), undefined="R9"),
        Outcome.NO_VERDICT,
        CellStatus.NO_VERDICT,
        "gone",
    ),
    (
        cell("a", "b", TIMEOUT, None),
        Outcome.NO_VERDICT,
        CellStatus.NO_VERDICT,
        "it was never probed",
    ),
    (
        cell("a", "b", ALLOWED, ALLOWED, limitation=LEAK, never_allowed="closed"),
        Outcome.LIMITED,
        CellStatus.LIMITED,
        "it leaks (a/b#1; v1)",
    ),
    (cell("a", "b", ALLOWED, TIMEOUT, limitation=LEAK), Outcome.WRONG, CellStatus.WRONG, ""),
    (
        cell("a", "b", REFUSED, REFUSED, limitation=LEAK, evidence=False),
        Outcome.UNPROVEN,
        CellStatus.UNPROVEN,
        "",
    ),
)


@pytest.mark.parametrize(("result", "outcome", "status", "reason"), KINDS)
def test_the_status_and_the_outcome_of_each_kind_of_cell(
    result: CellResult, outcome: Outcome, status: CellStatus, reason: str
) -> None:
    made = step(result)
    assert (made.outcome, made.cells[0].status, made.cells[0].reason) == (outcome, status, reason)


def test_a_step_without_cells_has_no_verdict() -> None:
    assert step().outcome is Outcome.NO_VERDICT


def _reason_or_none() -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from(["one", "other"])


@st.composite
def cell_results(draw: st.DrawFn) -> CellResult:
    """Any combination of what a cell can be, contradictory ones too."""
    expected = draw(st.sampled_from(Verdict))
    seen = draw(
        st.none()
        | st.sampled_from([expected, expected, *Verdict])
        | st.builds(ProbeError, st.just("gone"))
    )
    return cell(
        draw(st.sampled_from("abc")),
        draw(st.sampled_from("abc")),
        expected,
        seen,
        undefined=draw(_reason_or_none()),
        never_allowed=draw(_reason_or_none()),
        not_judged=draw(_reason_or_none()),
        limitation=draw(st.none() | st.just(LEAK)),
        evidence=draw(st.booleans()),
        connected=draw(st.booleans()),
        denies_by="reject" if expected is TIMEOUT and draw(st.booleans()) else "drop",
    )


def applicable(result: CellResult) -> set[CellStatus]:
    """Every status that describes the cell, without a precedence: a second reading."""
    found = set()
    if not isinstance(result.outcome, Verdict):
        return {CellStatus.NO_VERDICT}
    agrees = result.outcome is result.cell.expected or result.rejected
    if not agrees and result.cell.undefined is None:
        return {CellStatus.WRONG}
    if result.cell.limitation and result.evidence:
        found.add(CellStatus.LIMITED)
    if result.cell.undefined is not None:
        found.add(CellStatus.UNDEFINED)
    if result.cell.never_allowed is not None:
        found.add(CellStatus.EXEMPT)
    if not result.evidence:
        found.add(CellStatus.UNPROVEN)
    if result.cell.not_judged is not None:
        found.add(CellStatus.NOT_JUDGED)
    return found or {CellStatus.PROVEN}


@settings(deadline=None)  # A busy machine is not a defect.
@given(st.lists(cell_results(), min_size=1, max_size=30))
def test_each_cell_has_one_status_and_the_counts_add_up(results: list[CellResult]) -> None:
    order = list(CellStatus)
    for result in results:
        assert result.status is min(applicable(result), key=order.index)
        match result.status:
            case CellStatus.UNPROVEN | CellStatus.PROVEN:
                reasoned = False
            case CellStatus.WRONG:
                declared = result.cell.never_allowed is not None
                reasoned = declared and result.outcome is ALLOWED
            case _:
                reasoned = True
        assert bool(result.reason) == reasoned
    parts = [Reachability(tuple(results)).having(status) for status in CellStatus]
    assert sorted(map(id, itertools.chain(*parts))) == sorted(map(id, results))
    first, _, statuses = tally(step(*results).cells).partition(": ")
    if statuses:
        assert first == ("1 cell" if len(results) == 1 else f"{len(results)} cells")
        numbers = [int(item.split()[0]) for item in statuses.split(", ")]
        assert 0 not in numbers
        assert sum(numbers) == len(results)
    else:
        assert len(parts[order.index(CellStatus.PROVEN)]) == len(results)


def test_the_order_of_the_statuses_is_their_precedence() -> None:
    assert [str(status) for status in CellStatus] == [
        "no verdict",
        "wrong",
        "limited",
        "undefined",
        "exempt",
        "unproven",
        "not judged",
        "proven",
    ]


def test_a_verdict_that_contradicts_is_said_before_one_that_is_missing() -> None:
    made = step(cell("a", "b", TIMEOUT, None), cell("a", "c", TIMEOUT, ALLOWED))
    assert made.outcome is Outcome.WRONG
    assert "1 of 2 cells is wrong, no verdict on 1 of 2 cells" in failure(made)


def test_a_known_limitation_excuses_no_other_cell() -> None:
    limited = cell("a", "b", ALLOWED, ALLOWED, limitation=LEAK)
    assert step(limited, cell("a", "c", ALLOWED, ALLOWED)).outcome is Outcome.LIMITED
    assert step(limited, cell("a", "c", ALLOWED, TIMEOUT)).outcome is Outcome.WRONG
    assert step(limited, cell("a", "c", ALLOWED, None)).outcome is Outcome.NO_VERDICT
    unproven = cell("a", "c", TIMEOUT, TIMEOUT, evidence=False)
    assert step(limited, unproven).outcome is Outcome.UNPROVEN


def test_a_table_marks_in_words_and_only_colours_when_asked() -> None:
    made = step(
        cell("a", "b", ALLOWED, ALLOWED),
        cell("a", "c", TIMEOUT, ALLOWED),
        cell("a", "c", TIMEOUT, TIMEOUT, family=Family.V6),
        cell("long-name", "b", ALLOWED, ProbeError("gone")),
        cell("long-name", "c", TIMEOUT, TIMEOUT, evidence=False),
        cell("z", "b", ALLOWED, ALLOWED, limitation=LEAK),
        cell("z", "c", ALLOWED, TIMEOUT, limitation=LEAK),
        cell("u", "b", TIMEOUT, TIMEOUT, undefined="R9"),
        cell("u", "c", TIMEOUT, ALLOWED, undefined="R9"),
        cell("v", "b", TIMEOUT, TIMEOUT, never_allowed="closed"),
        cell("v", "c", TIMEOUT, TIMEOUT, not_judged="CRD"),
    )
    plain = table(made)
    assert (
        plain
        == """\
               y/b:80                 y/c:80                        y/c:80 (IPv6)
  x/a          allowed                allowed != TIMEOUT            TIMEOUT
  x/long-name  no verdict != allowed  TIMEOUT (unproven)            -
  x/z          allowed (limited)      TIMEOUT != allowed (limited)  -
  x/u          TIMEOUT (undefined)    allowed (undefined)           -
  x/v          TIMEOUT (exempt)       TIMEOUT (not judged)          -"""
    )
    coloured = table(made, colour=True)
    assert "\x1b[31mallowed != TIMEOUT          \x1b[0m" in coloured
    assert "\x1b" not in plain


def test_a_table_wider_than_the_terminal_goes_on_below() -> None:
    made = step(*(cell("a", f"pod-{number}", ALLOWED, ALLOWED) for number in range(3)))
    assert (
        table(made, width=32)
        == """\
       y/pod-0:80  y/pod-1:80
  x/a  allowed     allowed

       y/pod-2:80
  x/a  allowed"""
    )


def test_a_failure_of_a_big_table_shows_what_is_odd() -> None:
    fine = [cell(f"p{number}", "b", ALLOWED, ALLOWED) for number in range(30)]
    wrong = [cell(f"q{number}", "b", ALLOWED, TIMEOUT) for number in range(12)]
    text = failure(step(*fine, *wrong))
    assert "12 of 42 cells are wrong" in text
    assert "x/p1 " not in text
    assert "(observed != expected; 30 rows as expected not shown)" in text
    assert text.count("expected allowed\n") == 10
    assert text.endswith("... and 2 more cells, marked in the table")


def test_a_failure_keeps_the_words_of_the_probe_and_the_way_to_repeat_it() -> None:
    assert (
        failure(step(cell("a", "b", TIMEOUT, ALLOWED)))
        == """\
step 'it is shut': 1 of 1 cell is wrong (2 full rounds, 1.2 s of probing)

       y/b:80
  x/a  allowed != TIMEOUT
  (observed != expected)

s.yaml:9:5: x/a -> y/b:80: observed allowed, expected TIMEOUT
    no policy admits it
    probe output: raw allowed
    reproduce: netpol probe ..."""
    )


@pytest.mark.parametrize(
    ("control", "why"),
    [
        (REFUSED, "the control step (no policies applied) got REFUSED"),
        (ProbeError("gone"), "the control step (no policies applied) got no verdict: gone"),
        (TIMEOUT, "the control step (no policies applied) also got TIMEOUT"),
        (None, "no step saw this pair connect, and the control step did not probe it"),
    ],
)
def test_a_failure_tells_why_a_denial_is_unproven(
    control: Verdict | ProbeError | None, why: str
) -> None:
    odd = cell("a", "b", TIMEOUT, TIMEOUT, evidence=False)
    if control is not None:
        odd = replace(odd, control=Observation(odd.cell.probe, 0, 1, control))
    assert (
        failure(step(odd))
        == f"""\
step 'it is shut': 1 of 1 cell unproven, never seen connecting (2 full rounds, 1.2 s of probing)

       y/b:80
  x/a  TIMEOUT (unproven)

s.yaml:9:5: x/a -> y/b:80: TIMEOUT as expected, but unproven: {why}
    hint: does the destination listen on that port? For a pair that never connects, declare \
`never-allowed`
    no policy admits it
    probe output: raw TIMEOUT
    reproduce: netpol probe ..."""
    )


def test_a_failure_tells_that_a_limitation_is_not_seen_any_more() -> None:
    gone = cell("a", "b", ALLOWED, TIMEOUT, limitation=LEAK)
    reasons = "no rule allows it"
    made = step(gone, cell("a", "c", ALLOWED, ALLOWED, limitation=LEAK))
    made = replace(made, cells=(replace(made.cells[0], reasons=reasons), *made.cells[1:]))
    assert (
        failure(made)
        == """\
step 'it is shut': 1 of 2 cells is wrong (2 full rounds, 1.2 s of probing)

       y/b:80                        y/c:80
  x/a  TIMEOUT != allowed (limited)  allowed (limited)
  (observed != expected)

s.yaml:9:5: x/a -> y/b:80: observed TIMEOUT, expected allowed
    known limitation (the table says TIMEOUT): it leaks (a/b#1; v1)
    hint: the limitation is no longer observed; remove it from the CNI profile
    no rule allows it
    probe output: raw TIMEOUT
    reproduce: netpol probe ..."""
    )


def test_a_failure_names_the_limitation_of_each_cell_that_is_odd() -> None:
    known = "    known limitation (the table says TIMEOUT): it leaks (a/b#1; v1)"
    gone = "    hint: the limitation is no longer observed; remove it from the CNI profile"
    for result, told in (
        (cell("a", "b", ALLOWED, REFUSED, limitation=LEAK), [known]),
        (cell("a", "b", ALLOWED, ProbeError("gone"), limitation=LEAK), [known]),
        (cell("a", "b", REFUSED, REFUSED, limitation=LEAK, evidence=False), [known]),
        (cell("a", "b", ALLOWED, REFUSED, limitation=LEAK, **REJECTS), [known, gone]),
        (cell("a", "b", ALLOWED, ALLOWED), []),
        (cell("a", "b", TIMEOUT, ALLOWED), []),
    ):
        lines = failure(step(result)).splitlines()
        assert [line for line in lines if "limitation" in line] == told


def test_a_limited_step_names_each_limitation_once() -> None:
    other = Limitation(TIMEOUT, "it leaks by name too (a/b#2; all)")
    made = step(
        cell("a", "b", ALLOWED, ALLOWED, limitation=LEAK),
        cell("a", "c", ALLOWED, ALLOWED, limitation=LEAK),
        cell("a", "d", ALLOWED, ALLOWED, limitation=other),
        cell("a", "e", TIMEOUT, TIMEOUT),
    )
    assert sentence(made) == (
        "3 of 4 cells limited: it leaks (a/b#1; v1); it leaks by name too (a/b#2; all)"
    )


def test_the_summary_tells_that_a_fixture_did_not_come_back() -> None:
    fact = "after a.yaml the fixture did not come back: a -> b TIMEOUT for 30 s"
    spoilt = replace(step(cell("a", "b", TIMEOUT, TIMEOUT)), rebuilt=fact)
    assert summary([spoilt]) == (
        "1 of 1 cell proven, in 1 step of 1 scenario on fake\n"
        f"fixture made again for s.yaml: {fact}"
    )
    assert StepRecord.from_json(spoilt.to_json()) == spoilt


def test_tables_of_snapshots_are_told_apart() -> None:
    mine = step(cell("a", "b", TIMEOUT, TIMEOUT))
    first = step(cell("a", "b", TIMEOUT, TIMEOUT), snapshot="2026-01-31")
    assert (mine.snapshot, first.snapshot) == ("", "2026-01-31")
    first = replace(first, file="a.yaml")
    second = replace(first, file="b.yaml", index=1)
    said = "snapshot, tables are what the policies gave"
    cells = "3 of 3 cells proven, in 3 steps of 3 scenarios on fake"
    assert summary([mine, first, second]) == f"{cells}\n{said} on 2026-01-31: 2 scenarios"
    second = replace(second, snapshot="2026-02-03")
    assert summary([mine, first, second]) == (
        f"{cells}\n{said} between 2026-01-31 and 2026-02-03: 2 scenarios"
    )
    assert StepRecord.from_json(first.to_json()) == first


def test_the_summary_tells_what_is_worth_knowing() -> None:
    slow = step(
        cell("a", "b", TIMEOUT, TIMEOUT), name="slow", full_rounds=4, time_to_deny_s=1.5, weak=True
    )
    slow = replace(slow, ignored=("v1/ConfigMap", "v1/Secret"))
    skipped = replace(slow, file="t.yaml", cells=(), outcome=Outcome.SKIPPED, weak=False)
    odd = step(
        cell("a", "b", TIMEOUT, REFUSED, **REJECTS),
        cell("a", "c", TIMEOUT, ALLOWED, undefined="hairpins differ"),
        cell("a", "d", ALLOWED, ALLOWED, limitation=LEAK),
        cell("a", "e", TIMEOUT, TIMEOUT, never_allowed="nobody listens"),
        cell("a", "f", TIMEOUT, TIMEOUT, never_allowed="nobody listens"),
        cell("a", "g", TIMEOUT, TIMEOUT, not_judged="FelixConfiguration may act on it"),
        name="odd",
        time_to_allow_s=0.5,
    )
    odd = replace(odd, ignored=slow.ignored)
    assert (
        summary([slow, odd, replace(skipped, full_rounds=0)], ["namespace x"])
        == """\
7 cells: 2 proven, 1 limited, 1 undefined, 2 exempt, 1 not judged, in 2 steps of 1 scenario on fake
slowest time-to-deny 1.50 s: s.yaml::slow
slowest time-to-allow 0.50 s: s.yaml::odd
1 step needed more than two full rounds:
  4 rounds: s.yaml::slow
weak, no step changes any cell: s.yaml
no effect on fake: v1/ConfigMap, v1/Secret, applied by s.yaml, t.yaml
1 denial observed as REFUSED: this cluster denies by rejecting, and the pairs were seen \
connecting before
1 cell limited, known to be wrong on this cluster:
  it leaks (a/b#1; v1): s.yaml:9:5: x/a -> y/d:80, allowed instead of TIMEOUT
1 cell undefined by the API:
  hairpins differ: s.yaml:9:5: x/a -> y/c:80, allowed instead of TIMEOUT
2 cells exempt, declared never-allowed:
  nobody listens: 2 cells, for example s.yaml:9:5: x/a -> y/e:80
1 cell not judged by the oracle:
  FelixConfiguration may act on it: s.yaml:9:5: x/a -> y/g:80
not removed: namespace x"""
    )
    assert summary([]) == ""


def test_the_summary_bounds_the_reasons_of_each_kind_of_cell() -> None:
    many = [cell("a", "b", TIMEOUT, TIMEOUT, never_allowed=f"reason {n}") for n in range(7)]
    twice = cell("a", "c", TIMEOUT, TIMEOUT, never_allowed="reason 6")
    assert (
        summary([step(*many, twice)])
        == """\
8 cells: 8 exempt, in 1 step of 1 scenario on fake
8 cells exempt, declared never-allowed:
  reason 6: 2 cells, for example s.yaml:9:5: x/a -> y/b:80
  reason 0: s.yaml:9:5: x/a -> y/b:80
  reason 1: s.yaml:9:5: x/a -> y/b:80
  reason 2: s.yaml:9:5: x/a -> y/b:80
  reason 3: s.yaml:9:5: x/a -> y/b:80
  ... and 2 more reasons"""
    )


FLAPS = (Flap(ALLOWED, 1.25, 3.0), Flap(ALLOWED, 5.0, 5.0))


def test_a_cell_that_flapped_is_marked_beside_its_status() -> None:
    made = step(
        cell("a", "b", TIMEOUT, TIMEOUT, flapped=FLAPS),
        cell("a", "c", TIMEOUT, TIMEOUT, never_allowed="nobody listens", flapped=FLAPS[:1]),
        cell("a", "d", TIMEOUT, ALLOWED, flapped=FLAPS[:1]),
    )
    assert [item.status for item in made.cells] == [
        CellStatus.PROVEN,
        CellStatus.EXEMPT,
        CellStatus.WRONG,
    ]
    assert StepRecord.from_json(made.to_json()) == made
    assert (
        table(made)
        == """\
       y/b:80             y/c:80                      y/d:80
  x/a  TIMEOUT (flapped)  TIMEOUT (exempt) (flapped)  allowed != TIMEOUT (flapped)"""
    )
    assert (
        summary([made])
        == """\
3 cells: 1 proven, 1 wrong, 1 exempt, in 1 step of 1 scenario on fake
3 cells flapped, wrong after being right:
  s.yaml:9:5: x/a -> y/b:80: allowed from 1.25 s to 3.00 s, allowed from 5.00 s to 5.00 s
  s.yaml:9:5: x/a -> y/c:80: allowed from 1.25 s to 3.00 s
  s.yaml:9:5: x/a -> y/d:80: allowed from 1.25 s to 3.00 s
1 cell exempt, declared never-allowed:
  nobody listens: s.yaml:9:5: x/a -> y/c:80"""
    )


def test_the_summary_bounds_the_cells_that_flapped() -> None:
    flapped = cell("a", "b", TIMEOUT, TIMEOUT, flapped=FLAPS[:1])
    lines = summary([step(*[flapped] * 12)]).splitlines()
    assert lines[1] == "12 cells flapped, wrong after being right:"
    assert lines[2:] == ["  s.yaml:9:5: x/a -> y/b:80: allowed from 1.25 s to 3.00 s"] * 10 + [
        "  ... and 2 more cells"
    ]


def test_a_table_that_did_not_hold_says_how_long_it_was_right() -> None:
    made = step(cell("a", "b", TIMEOUT, ALLOWED), cell("a", "c", TIMEOUT, TIMEOUT), held_s=13.2471)
    assert sentence(made) == "was right for 13.2 s, then 1 of 2 cells is wrong"


def test_the_properties_of_a_step_in_junit_files() -> None:
    made = step(
        cell("a", "b", TIMEOUT, TIMEOUT, flapped=FLAPS[:1]),
        cell("a", "c", TIMEOUT, ALLOWED, undefined="hairpins differ"),
        cell("a", "d", TIMEOUT, TIMEOUT, never_allowed="nobody listens"),
        cell("a", "e", TIMEOUT, TIMEOUT, never_allowed="nobody listens"),
        cell("a", "f", TIMEOUT, TIMEOUT, never_allowed="gone"),
        time_to_deny_s=1.5,
        held_s=2.0,
    )
    assert list(properties(made)) == [
        ("rounds", 2),
        ("time-to-deny", 1.5),
        ("held", 2.0),
        ("cells", 5),
        ("undefined", 1),
        ("exempt", 3),
        ("proven", 1),
        (
            "undefined because",
            "hairpins differ: s.yaml:9:5: x/a -> y/c:80, allowed instead of TIMEOUT",
        ),
        ("exempt because", "nobody listens: 2 cells, for example s.yaml:9:5: x/a -> y/d:80"),
        ("exempt because", "gone: s.yaml:9:5: x/a -> y/f:80"),
        ("flapped", "s.yaml:9:5: x/a -> y/b:80: allowed from 1.25 s to 3.00 s"),
    ]


def test_what_a_scenario_can_show_at_best() -> None:
    stated = (
        cell("a", "b", TIMEOUT, None),
        cell("a", "c", ALLOWED, None),
        cell("a", "d", TIMEOUT, None, never_allowed="nobody listens", not_judged="CRD"),
        cell("a", "e", TIMEOUT, None, undefined="hairpins differ", never_allowed="gone"),
        cell("a", "f", TIMEOUT, None, not_judged="CRD"),
    )

    def best(count: int) -> str:
        return prospect(at_best(result.cell for result in stated[:count]))

    assert best(2) == "2 cells"
    assert (
        best(5)
        == """\
5 cells: 2 to be proven, 1 undefined, 1 exempt, 1 not judged
  1 cell undefined by the API:
    hairpins differ: s.yaml:9:5: x/a -> y/e:80
  1 cell exempt, declared never-allowed:
    nobody listens: s.yaml:9:5: x/a -> y/d:80
  1 cell not judged by the oracle:
    CRD: s.yaml:9:5: x/a -> y/f:80"""
    )


def test_a_step_that_never_became_right_is_not_the_slowest() -> None:
    wrong = step(cell("a", "b", TIMEOUT, ALLOWED), time_to_deny_s=30.0)
    assert "slowest" not in summary([wrong])


def test_a_step_in_one_line() -> None:
    made = step(cell("a", "b", TIMEOUT, TIMEOUT), time_to_deny_s=0.0)
    assert step_line(made) == (
        "s.yaml::it is shut: passed, 1 of 1 cell proven, 2 full rounds, time-to-deny 0.00 s"
    )


def test_a_wrong_cell_that_is_declared_never_allowed_says_so() -> None:
    made = step(cell("a", "b", TIMEOUT, ALLOWED, never_allowed="the port is closed"))
    assert """
s.yaml:9:5: x/a -> y/b:80: observed allowed, expected TIMEOUT
    declared never-allowed: the port is closed
""" in failure(made)
