"""Pairs from the start of a pod: what its probes show, and what is reported of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from harness.cluster import Cluster
from harness.errors import Location
from harness.model import (
    Cell,
    ContainerPort,
    Created,
    Destination,
    FirstMoments,
    Manifest,
    Namespace,
    Observation,
    Pod,
    PodRef,
    Probe,
    ProbeError,
    Scenario,
    StartedPair,
    StartPhase,
    State,
    Step,
    TruthTable,
    Verdict,
    WatchGap,
)
from harness.report import Outcome, failure, properties, record, summary
from harness.runner import ScenarioRun
from harness.settle import Timing
from harness.watch import started
from tests.fakes import FakeCluster

ALLOWED, TIMEOUT, OTHER = Verdict.ALLOWED, Verdict.TIMEOUT, Verdict.OTHER
LOST = ProbeError("the pod told nothing")
NEW, SERVER = PodRef("a", "new"), PodRef("a", "server")
OPEN_PROBE, SHUT_PROBE = (Probe(NEW, Destination(SERVER, port)) for port in (81, 80))
OPEN = Cell(OPEN_PROBE, ALLOWED, Location("s.yaml", 9, 3))
SHUT = Cell(SHUT_PROBE, TIMEOUT, Location("s.yaml", 9, 9))
BEGAN = 100.0

Outcomes = list[Verdict | ProbeError]


def seen(cell: Cell, init: Outcomes, main: Outcomes) -> StartedPair:
    """What is seen if a probe starts every second, and another pair 0.5 s before the first."""
    both = [
        Observation(cell.probe, BEGAN + at, BEGAN + at, outcome)
        for at, outcome in enumerate([*init, *main])
    ]
    other = Observation(Probe(NEW, Destination(SERVER, 1)), BEGAN - 0.5, BEGAN, OTHER)
    lost = Observation(Probe(NEW, Destination(SERVER, 1)), 0.0, 0.0, LOST)
    moments = FirstMoments([lost, other, *reversed(both[: len(init)])], both[len(init) :])
    return started(cell, moments, lambda asked, item: item.outcome is asked.expected)


def test_a_denied_pair_that_never_connects_is_right() -> None:
    found = seen(SHUT, [TIMEOUT, TIMEOUT], [TIMEOUT, LOST])
    assert found == StartedPair(SHUT, StartPhase(2, 0, 0, 0.5, 1.5), StartPhase(2, 1, 0, 2.5, 2.5))
    assert not found.is_wrong
    assert not found.is_silent


@pytest.mark.parametrize(
    ("init", "main", "first_s"),
    [
        ([ALLOWED, TIMEOUT], [TIMEOUT], 0.5),
        ([TIMEOUT], [ALLOWED, TIMEOUT], 1.5),
        ([LOST], [TIMEOUT, ALLOWED], 2.5),
    ],
)
def test_one_connection_of_a_denied_pair_is_wrong(
    init: Outcomes, main: Outcomes, first_s: float
) -> None:
    found = seen(SHUT, init, main)
    assert found.is_wrong
    assert found.connected_s == first_s


@pytest.mark.parametrize(
    ("init", "main"),
    [([], [TIMEOUT]), ([TIMEOUT], []), ([LOST], [TIMEOUT]), ([TIMEOUT], [OTHER]), ([], [])],
)
@pytest.mark.parametrize("cell", [OPEN, SHUT])
def test_a_phase_without_a_verdict_shows_nothing(
    cell: Cell, init: Outcomes, main: Outcomes
) -> None:
    found = seen(cell, init, main)
    assert found.is_silent
    assert not found.is_wrong


@pytest.mark.parametrize(
    ("main", "wrong"),
    [
        ([ALLOWED, ALLOWED], False),
        ([TIMEOUT, ALLOWED], False),
        ([TIMEOUT, TIMEOUT], True),
        ([ALLOWED, TIMEOUT, ALLOWED], False),
        ([ALLOWED, TIMEOUT, TIMEOUT, ALLOWED], True),
    ],
)
def test_an_allowed_pair_connects_at_some_time_and_stays(main: Outcomes, wrong: bool) -> None:
    assert seen(OPEN, [TIMEOUT], main).is_wrong is wrong


# ------------------------------------------------------------------ with a cluster

POLICY = Manifest("networking.k8s.io/v1", "NetworkPolicy", "a", "p", "{}")
BEFORE = State(
    scope="test",
    namespaces=(Namespace("a"),),
    pods=(Pod("a", "server", ports=(ContainerPort(80), ContainerPort(81))),),
    policies=(POLICY,),
)
POD = Pod("a", "new")
AFTER = replace(BEFORE, pods=(*BEFORE.pods, POD))
AT = Location("s.yaml", 5, 3)
STARTED = Scenario(
    "s.yaml",
    "test",
    "test",
    "for a test",
    (
        Step("shut", AT, (), BEFORE, TruthTable(())),
        Step(
            "a new pod",
            AT,
            (Created(POD),),
            AFTER,
            TruthTable((OPEN, SHUT)),
            from_start=(OPEN_PROBE, SHUT_PROBE),
        ),
    ),
)
QUICK = Timing(settle_s=0.03, pause_s=0.001)


def enforces(state: State, probe: Probe) -> Verdict | ProbeError:
    return TIMEOUT if state.policies and probe == SHUT_PROBE else ALLOWED


class Telling(FakeCluster):
    """Its new pods tell this outcome of the pair that is denied."""

    def __init__(self, told: Verdict | ProbeError) -> None:
        super().__init__(enforces)
        self._told = told

    @contextlib.contextmanager
    def watch_starts(self, probes: Sequence[Probe]) -> Iterator[FirstMoments]:
        assert self.state == BEFORE
        moments = FirstMoments()
        yield moments
        for at, phase in enumerate((moments.init, moments.main)):
            outcomes = [self._told if probe == SHUT_PROBE else ALLOWED for probe in probes]
            phase += [Observation(p, at, at, o) for p, o in zip(probes, outcomes, strict=True)]


@pytest.mark.parametrize(
    ("told", "outcome"),
    [(TIMEOUT, Outcome.PASSED), (ALLOWED, Outcome.WRONG), (LOST, Outcome.NO_VERDICT)],
)
def test_what_a_new_pod_saw_decides(told: Verdict | ProbeError, outcome: Outcome) -> None:
    result = ScenarioRun(Telling(told), STARTED, QUICK, [1]).run(1)
    assert [pair.cell for pair in result.started] == [OPEN, SHUT]
    assert not result.reachability.mismatches
    assert record(result, "fake", lambda _: "", lambda _: "").outcome is outcome


def test_a_cluster_that_cannot_do_it_gives_no_verdict() -> None:
    class Poor(Telling):
        watch_starts = Cluster.watch_starts  # type: ignore[assignment]

    result = ScenarioRun(Poor(TIMEOUT), STARTED, QUICK, [1]).run(1)
    assert [(pair.is_wrong, pair.is_silent) for pair in result.started] == [(False, True)] * 2


# ------------------------------------------------------------------ reports


def test_the_failure_says_when_the_pair_connected_and_that_the_pod_was_counting() -> None:
    result = ScenarioRun(Telling(TIMEOUT), STARTED, QUICK, [1]).run(1)
    init, main = StartPhase(4, 0, 4, 0.0, 1.5), StartPhase(9, 1, 2, 2.0, 5.25)
    cut = WatchGap(TIMEOUT, 2.5, 4.0)
    pairs = (
        StartedPair(OPEN, init, main, 0.0, (cut,)),
        StartedPair(SHUT, init, main, 0.0),
        StartedPair(SHUT, StartPhase(3, 3, 0), main),
    )
    made = record(
        replace(result, started=pairs, probe_s=0.6, full_rounds=2),
        "fake",
        lambda _: "",
        lambda _: "",
    )
    assert failure(made) == (
        "step 'a new pod': 2 of 3 pairs wrong from the start of a pod, 1 of 3 pairs without a "
        "verdict from the start of a pod (2 full rounds, 0.6 s of probing)\n"
        "\n"
        "         a/server:81  a/server:80\n"
        "  a/new  allowed      TIMEOUT\n"
        "  (observed != expected)\n"
        "\n"
        "s.yaml:9:3: a/new -> a/server:81 from the start of its pod\n"
        "    first connected 0.00 s after the first probe of the pod\n"
        "    then failed (TIMEOUT) for 1.50 s, from 2.50 s on\n"
        "    init container: 4 probes from 0.00 s to 1.50 s, 4 connected\n"
        "    container: 9 probes from 2.00 s to 5.25 s, 2 connected, 1 without a verdict\n"
        "\n"
        "s.yaml:9:9: a/new -> a/server:80 from the start of its pod\n"
        "    first connected 0.00 s after the first probe of the pod; TIMEOUT is expected from "
        "the first one on\n"
        "    init container: 4 probes from 0.00 s to 1.50 s, 4 connected\n"
        "    container: 9 probes from 2.00 s to 5.25 s, 2 connected, 1 without a verdict\n"
        "\n"
        "s.yaml:9:9: a/new -> a/server:80 from the start of its pod\n"
        "    never connected\n"
        "    init container: 3 probes, no verdict, so it shows nothing\n"
        "    container: 9 probes from 2.00 s to 5.25 s, 2 connected, 1 without a verdict"
    )
    assert [value for name, value in properties(made) if name == "from-start"][2] == (
        "a/new -> a/server:80: never connected; init container: 3 probes, no verdict, so it "
        "shows nothing; container: 9 probes from 2.00 s to 5.25 s, 2 connected, 1 without a "
        "verdict"
    )
    assert summary([made]).splitlines() == [
        "2 of 2 cells proven, in 1 step of 1 scenario on fake",
        "3 pairs probed from the start of a pod in 1 step, 38 probes: 1 of 2 denied connected "
        "at first",
    ]
