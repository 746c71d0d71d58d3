"""Watched pairs: which gaps their probes show, and how they are probed. No test here waits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.cluster import Capabilities
from harness.errors import ClusterError, Location
from harness.model import (
    Cell,
    ContainerPort,
    Destination,
    Manifest,
    Namespace,
    Observation,
    Pod,
    PodRef,
    Probe,
    ProbeError,
    Scenario,
    State,
    Step,
    TruthTable,
    Verdict,
    Watch,
    WatchedPair,
    WatchGap,
)
from harness.report import Outcome, failure, properties, record, summary
from harness.runner import ScenarioRun
from harness.settle import Phase, Progress, Timing
from harness.watch import Span, watched
from tests.fakes import EVERYTHING, FakeCluster

ALLOWED, TIMEOUT, REFUSED = Verdict.ALLOWED, Verdict.TIMEOUT, Verdict.REFUSED
LOST = ProbeError("the exec was cut off")
CLIENT, SERVER = PodRef("a", "client"), PodRef("a", "server")
OPEN_PROBE, SHUT_PROBE = (Probe(CLIENT, Destination(SERVER, port)) for port in (81, 80))
OPEN = Cell(OPEN_PROBE, ALLOWED, Location("s.yaml", 9, 3))
SHUT = Cell(SHUT_PROBE, TIMEOUT, Location("s.yaml", 9, 9))
INTERVAL_S = 0.1
SILENCE_S = 2.0
BEGAN = 100.0


def seen(cell: Cell, outcomes: Sequence[Verdict | ProbeError], watch: Watch) -> WatchedPair:
    """What is seen if a probe starts every interval, the first with the change."""
    observations = [
        Observation(cell.probe, BEGAN + index * INTERVAL_S, BEGAN + index * INTERVAL_S, outcome)
        for index, outcome in enumerate(outcomes)
    ]
    other = Observation(Probe(SERVER, Destination(CLIENT, 1)), BEGAN, BEGAN, Verdict.OTHER)
    span = Span(BEGAN, BEGAN + len(outcomes) * INTERVAL_S, SILENCE_S)
    found = watched(
        cell,
        watch,
        [other, *reversed(observations)],
        lambda asked, item: item.outcome is asked.expected,
        span,
    )
    gaps = tuple(
        replace(gap, from_s=round(gap.from_s, 3), until_s=round(gap.until_s, 3))
        for gap in found.gaps
    )
    rounded = {"interval_s": round(found.interval_s, 3), "silent_s": round(found.silent_s, 3)}
    return replace(found, gaps=gaps, **rounded)  # type: ignore[arg-type]


DEFAULT = Watch((OPEN_PROBE, SHUT_PROBE))


def test_a_pair_that_keeps_its_verdict_has_no_gap() -> None:
    assert seen(SHUT, [TIMEOUT] * 5, DEFAULT) == WatchedPair(
        SHUT, 0.0, 5, 0, SILENCE_S, interval_s=0.1, silent_s=0.1
    )


def test_a_gap_lasts_until_the_next_right_verdict() -> None:
    found = seen(SHUT, [TIMEOUT, ALLOWED, ALLOWED, TIMEOUT, ALLOWED, TIMEOUT], DEFAULT)
    assert found.gaps == (WatchGap(ALLOWED, 0.1, 0.3), WatchGap(ALLOWED, 0.4, 0.5))
    assert found.intolerable == found.gaps


def test_a_gap_at_the_end_lasts_until_the_end_of_the_watch() -> None:
    assert seen(SHUT, [TIMEOUT, TIMEOUT, ALLOWED], DEFAULT).gaps == (WatchGap(ALLOWED, 0.2, 0.3),)


def test_a_probe_without_a_verdict_does_not_end_a_gap() -> None:
    found = seen(SHUT, [TIMEOUT, ALLOWED, LOST, ALLOWED, TIMEOUT], DEFAULT)
    assert found.gaps == (WatchGap(ALLOWED, 0.1, 0.4),)
    assert (found.probes, found.without_verdict) == (5, 1)


@pytest.mark.parametrize(
    ("cell", "wrong", "tolerate_s", "fails"),
    [
        (SHUT, 1, None, True),
        (OPEN, 9, None, False),
        (OPEN, 11, None, True),
        (SHUT, 3, 0.5, False),
        (SHUT, 6, 0.5, True),
        (OPEN, 1, 0.0, True),
    ],
)
def test_a_gap_fails_if_it_is_longer_than_tolerated(
    cell: Cell, wrong: int, tolerate_s: float | None, fails: bool
) -> None:
    other = ALLOWED if cell is SHUT else TIMEOUT
    outcomes = [cell.expected, *[other] * wrong, cell.expected]
    found = seen(cell, outcomes, replace(DEFAULT, tolerate_s=tolerate_s))
    assert bool(found.intolerable) is fails


def test_a_gap_of_no_measured_length_fails_where_none_is_tolerated() -> None:
    pair = replace(seen(SHUT, [TIMEOUT], DEFAULT), gaps=(WatchGap(ALLOWED, 0.1, 0.1),))
    assert pair.intolerable == pair.gaps


@pytest.mark.parametrize(("lost", "silent"), [(19, False), (20, True)])
def test_a_pair_without_a_verdict_for_too_long_is_silent(lost: int, silent: bool) -> None:
    found = seen(OPEN, [ALLOWED, *[LOST] * lost, ALLOWED, ALLOWED], DEFAULT)
    assert found.is_silent is silent


@pytest.mark.parametrize("outcomes", [[], [LOST], [LOST, LOST]])
def test_a_pair_without_any_verdict_is_silent(outcomes: list[ProbeError]) -> None:
    assert seen(OPEN, outcomes, DEFAULT).is_silent


def test_a_pair_without_verdicts_at_the_end_is_silent() -> None:
    assert seen(OPEN, [ALLOWED, *[LOST] * 21], DEFAULT).is_silent


@pytest.mark.parametrize(("pause_s", "silent"), [(3.9, False), (4.1, True)])
def test_a_real_cluster_may_be_silent_for_4_s(pause_s: float, silent: bool) -> None:
    allowed_s = Capabilities("real").watch_silence_s
    times = [BEGAN, BEGAN + pause_s]
    found = [Observation(OPEN_PROBE, time, time, ALLOWED) for time in times]
    span = Span(BEGAN, BEGAN + pause_s, allowed_s)
    assert watched(OPEN, DEFAULT, found, lambda *_: True, span).is_silent is silent


# ------------------------------------------------------------------ with a cluster

STATE = State(
    scope="test",
    namespaces=(Namespace("a"),),
    pods=(Pod("a", "client"), Pod("a", "server", ports=(ContainerPort(80), ContainerPort(81)))),
)
POLICY = Manifest("networking.k8s.io/v1", "NetworkPolicy", "a", "p", "{}")
OTHER = replace(POLICY, name="q")
BEFORE = replace(STATE, policies=(POLICY,))
AFTER = replace(STATE, policies=(POLICY, OTHER))
TABLE = TruthTable((OPEN, SHUT))
AT = Location("s.yaml", 5, 3)
WATCHED = Scenario(
    "s.yaml",
    "test",
    "test",
    "for a test",
    (
        Step("shut", AT, (), BEFORE, TABLE),
        Step("other things change", AT, (), AFTER, TABLE, watch=DEFAULT),
    ),
)
QUICK = Timing(settle_s=0.03, pause_s=0.001)
FAST = replace(EVERYTHING, watch_interval_s=0.001, watch_silence_s=0.02)
CALM = replace(EVERYTHING, watch_interval_s=5.0)
"""One round, however slow the machine is."""


def enforces(state: State, probe: Probe) -> Verdict | ProbeError:
    return TIMEOUT if state.policies and probe == SHUT_PROBE else ALLOWED


class GapCluster(FakeCluster):
    """Gives another outcome to one pair during the sync that has the second policy.

    That sync ends when the watch has probed the pair a few times.
    """

    def __init__(self, pair: Probe, outcome: Verdict | ProbeError, times: int = 3) -> None:
        super().__init__(enforces, FAST)
        self._pair, self._given = pair, outcome
        self._left = threading.Semaphore(0)
        self._times = times
        self._broken = False

    def sync(self, state: State) -> None:
        self._broken = OTHER in state.policies
        for _ in range(self._times if self._broken else 0):
            assert self._left.acquire(timeout=60)
        self._broken = False
        super().sync(state)

    def _outcome(self, state: State, probe: Probe) -> Verdict | ProbeError:
        if self._broken and probe == self._pair:
            self._left.release()
            return self._given
        return super()._outcome(state, probe)


@pytest.mark.parametrize("selected", [None, [1]])
def test_a_gap_while_a_step_is_applied_is_seen(selected: list[int] | None) -> None:
    run = ScenarioRun(GapCluster(SHUT_PROBE, ALLOWED), WATCHED, QUICK, selected)
    if selected is None:
        assert run.run(0).watched == ()
    result = run.run(1)
    assert not result.reachability.mismatches
    opened, shut = result.watched
    assert (opened.cell, opened.gaps) == (OPEN, ())
    assert (shut.cell, [gap.verdict for gap in shut.gaps]) == (SHUT, [ALLOWED])
    made = record(result, "fake", lambda _: "", lambda _: "")
    assert made.outcome is Outcome.WRONG


def test_a_step_without_a_gap_passes() -> None:
    told: list[Progress] = []
    run = ScenarioRun(FakeCluster(enforces, CALM), WATCHED, QUICK, tell=told.append)
    run.run(0)
    result = run.run(1)
    assert [pair.gaps for pair in result.watched] == [(), ()]
    assert told[-1].phase is Phase.WATCH
    assert record(result, "fake", lambda _: "", lambda _: "").outcome is Outcome.PASSED


def test_a_step_before_that_does_not_run_is_settled_first() -> None:
    class Late(FakeCluster):
        """Denies the pair from the fourth probe after the first policy on."""

        left = 3

        def _outcome(self, state: State, probe: Probe) -> Verdict | ProbeError:
            if state.policies and probe == SHUT_PROBE and self.left:
                self.left -= 1
                return ALLOWED
            return super()._outcome(state, probe)

    patient = replace(QUICK, settle_s=60.0)
    result = ScenarioRun(Late(enforces, CALM), WATCHED, patient, [1]).run(1)
    assert [pair.gaps for pair in result.watched] == [(), ()]


def test_a_step_with_a_silent_pair_has_no_verdict() -> None:
    run = ScenarioRun(GapCluster(OPEN_PROBE, LOST, times=100), WATCHED, QUICK)
    run.run(0)
    result = run.run(1)
    assert result.watched[0].is_silent
    assert record(result, "fake", lambda _: "", lambda _: "").outcome is Outcome.NO_VERDICT


def test_an_error_in_a_round_is_raised_when_the_watch_ends() -> None:
    class Broken(FakeCluster):
        def probe(self, probes: Sequence[Probe]) -> list[Observation]:  # type: ignore[override]
            raise ClusterError("gone")

    with (
        pytest.raises(ClusterError, match=r"\Agone\Z"),
        Broken(enforces, FAST).watch([OPEN_PROBE]),
    ):
        pass


# ------------------------------------------------------------------ reports


def test_the_failure_says_how_long_the_gap_was_and_what_the_watch_can_see() -> None:
    run = ScenarioRun(FakeCluster(enforces, FAST), WATCHED, QUICK)
    run.run(0)
    gap = WatchGap(ALLOWED, 1.2, 1.6)
    pairs = (
        WatchedPair(OPEN, 1.0, 9, 2, 1.0, 0.06, 1.5, (WatchGap(TIMEOUT, 0.5, 0.75),)),
        WatchedPair(SHUT, 0.0, 40, 1, 1.0, 0.06, 0.35, (gap,)),
    )
    result = replace(run.run(1), watched=pairs, probe_s=0.6, full_rounds=2)
    made = record(result, "fake", lambda _: "", lambda _: "")
    assert made.outcome is Outcome.WRONG
    assert failure(made) == (
        "step 'other things change': 1 of 2 watched pairs had a gap, 1 of 2 watched pairs had "
        "no verdict for too long (2 full rounds, 0.6 s of probing)\n"
        "\n"
        "            a/server:81  a/server:80\n"
        "  a/client  allowed      TIMEOUT\n"
        "  (observed != expected)\n"
        "\n"
        "s.yaml:9:3: watched a/client -> a/server:81\n"
        "    failed (TIMEOUT) for 0.25 s, from 0.50 s to 0.75 s after the change began, which is "
        "tolerated\n"
        "    no verdict for 1.50 s: within that time the watch shows nothing\n"
        "    9 probes, 2 without a verdict, a verdict every 0.06 s, at most 1.50 s apart\n"
        "\n"
        "s.yaml:9:9: watched a/client -> a/server:80\n"
        "    connected for 0.40 s, from 1.20 s to 1.60 s after the change began\n"
        "    40 probes, 1 without a verdict, a verdict every 0.06 s, at most 0.35 s apart"
    )
    lines = [
        "a/client -> a/server:81: failed (TIMEOUT) for 0.25 s, from 0.50 s to 0.75 s after the "
        "change began; 9 probes, 2 without a verdict, a verdict every 0.06 s, "
        "at most 1.50 s apart",
        "a/client -> a/server:80: connected for 0.40 s, from 1.20 s to 1.60 s after the change "
        "began; 40 probes, 1 without a verdict, a verdict every 0.06 s, at most 0.35 s apart",
    ]
    assert [value for name, value in properties(made) if name == "watched"] == lines
    assert summary([made]) == "\n".join(
        [
            "2 of 2 cells proven, in 1 step of 1 scenario on fake",
            "2 pairs watched in 1 step: a verdict every 0.06 s or more often, at most "
            "1.50 s apart",
            "  gaps in s.yaml::other things change:",
            *(f"    {line}" for line in lines),
        ]
    )
