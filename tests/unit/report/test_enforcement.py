"""Times to enforce: which steps count, and their statistics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import Location
from harness.model import (
    Applied,
    Cell,
    CellResult,
    Change,
    Created,
    Deleted,
    Destination,
    Labelled,
    Manifest,
    Namespace,
    NamespaceRef,
    Observation,
    Pod,
    PodRef,
    Probe,
    Reachability,
    Refused,
    Restarted,
    Scenario,
    Service,
    State,
    Step,
    StepResult,
    TruthTable,
    Verdict,
)
from harness.report import Outcome, StepRecord, record, summary
from harness.report.changes import kind_of
from harness.report.enforcement import Times, lines, times

ALLOWED, TIMEOUT = Verdict.ALLOWED, Verdict.TIMEOUT
POLICY = Manifest("networking.k8s.io/v1", "NetworkPolicy", "a", "p", "{}")
POD = PodRef("a", "b")
STEP = StepRecord(
    "s.yaml", "S", "it is shut", 0, 7, Outcome.PASSED, "fake", change="NetworkPolicy created"
)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ([], "nothing"),
        ([Applied(POLICY)], "NetworkPolicy created"),
        ([Applied(POLICY), Applied(replace(POLICY, name="q"))], "NetworkPolicy created"),
        ([Applied(POLICY, updates=True)], "NetworkPolicy updated"),
        ([Applied(POLICY), Applied(POLICY, updates=True)], "several"),
        ([Deleted("NetworkPolicy", "a", "p")], "NetworkPolicy deleted"),
        ([Refused(POLICY)], "NetworkPolicy refused"),
        ([Labelled(POD, "app", "web")], "Pod relabelled"),
        ([Labelled(NamespaceRef("a"), "team", None)], "Namespace relabelled"),
        ([Restarted(POD)], "Pod restarted"),
        ([Created(Pod("a", "b"))], "Pod created"),
        ([Created(Namespace("a"))], "Namespace created"),
    ],
)
def test_the_kind_of_a_change(changes: list[Change], kind: str) -> None:
    assert kind_of(changes) == kind


def probe(port: int) -> Probe:
    return Probe(PodRef("a", "c"), Destination(POD, port))


def turned(*tables: dict[int, Verdict], **fields: str) -> tuple[int, int]:
    """How many cells the last of some steps turns; its tables are by port."""
    steps = tuple(
        Step(
            f"step {number}",
            Location("s.yaml", 5, 3),
            (),
            State("s"),
            TruthTable(
                tuple(
                    Cell(probe(port), word, Location("s.yaml", 9, 3), **fields)  # type: ignore[arg-type]
                    for port, word in table.items()
                )
            ),
        )
        for number, table in enumerate(tables)
    )
    scenario = Scenario("s.yaml", "S", "s", "because", steps)
    cells = steps[-1].table.cells
    seen = (CellResult(cell, Observation(cell.probe, 0, 1, cell.expected)) for cell in cells)
    result = StepResult(scenario, steps[-1], Reachability(tuple(seen)), 2, 0.1, 0.2)
    made = record(result, "fake", lambda _: "", lambda _: "")
    return made.turned_denied, made.turned_allowed


def test_the_first_step_turns_its_denials() -> None:
    assert turned({80: TIMEOUT, 81: ALLOWED}) == (1, 0)


def test_a_later_step_turns_what_differs_from_the_step_before() -> None:
    before = {80: TIMEOUT, 81: ALLOWED, 82: TIMEOUT, 83: ALLOWED}
    after = {80: ALLOWED, 81: TIMEOUT, 82: TIMEOUT, 83: ALLOWED, 84: TIMEOUT}
    assert turned(before, after) == (1, 1)


@pytest.mark.parametrize("key", ["undefined", "never_allowed"])
def test_cells_that_prove_nothing_are_not_turned_to_denials(key: str) -> None:
    assert turned({80: ALLOWED}, {80: TIMEOUT}, **{key: "because"}) == (0, 0)


def test_a_service_is_named_by_its_kind() -> None:
    service = Service("a", "s", Pod("a", "b").labels, ())
    assert kind_of([Created(service)]) == "Service created"


def made(denied: float | None, change: str = "NetworkPolicy created", **fields: int) -> StepRecord:
    return replace(STEP, time_to_deny_s=denied, change=change, **{"turned_denied": 1, **fields})  # type: ignore[arg-type]


def test_the_statistics_of_a_run() -> None:
    steps = [made(number / 100) for number in range(1, 21)]
    steps.append(made(0.5, "Pod relabelled"))
    assert times(steps) == (
        Times("time-to-deny", "all", 21, 0.11, 0.2, 0.5),
        Times("time-to-deny", "NetworkPolicy created", 20, 0.105, 0.19, 0.2),
        Times("time-to-deny", "Pod relabelled", 1, 0.5, 0.5, 0.5),
    )


def test_the_time_to_allow_is_apart() -> None:
    step = made(0.3, turned_denied=0, turned_allowed=2)
    assert times([replace(step, time_to_allow_s=0.4)]) == (
        Times("time-to-allow", "all", 1, 0.4, 0.4, 0.4),
        Times("time-to-allow", "NetworkPolicy created", 1, 0.4, 0.4, 0.4),
    )


@pytest.mark.parametrize(
    "step",
    [
        made(0.3, turned_denied=0),
        made(None),
        replace(made(0.3), outcome=Outcome.WRONG),
        replace(made(0.3), outcome=Outcome.NO_VERDICT),
        replace(made(0.3), outcome=Outcome.UNPROVEN),
    ],
)
def test_a_step_that_shows_no_time_does_not_count(step: StepRecord) -> None:
    assert times([step]) == ()


def test_the_text() -> None:
    steps = [made(0.1), made(0.3, "Pod relabelled")]
    assert list(lines(steps)) == [
        "time-to-deny: median 0.20 s, p95 0.30 s, max 0.30 s, 2 steps",
        "  NetworkPolicy created: median 0.10 s, p95 0.10 s, max 0.10 s, 1 step",
        "  Pod relabelled: median 0.30 s, p95 0.30 s, max 0.30 s, 1 step",
    ]
    assert summary(steps).startswith("\n".join(lines(steps)) + "\n")


@pytest.mark.parametrize("steps", [[], [made(0.1)], [made(0.0), made(0.009)]])
def test_one_step_and_unnoticeable_times_are_not_printed(steps: list[StepRecord]) -> None:
    assert list(lines(steps)) == []
