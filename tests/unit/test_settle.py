"""When a table is right, and what became of it meanwhile. No test here waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.errors import Location
from harness.model import (
    Cell,
    Destination,
    Flap,
    Observation,
    Pod,
    PodRef,
    Probe,
    ProbeError,
    State,
    TruthTable,
    Verdict,
)
from harness.settle import Phase, Progress, Rounds, Streak, Timeline, Timing
from tests.fakes import FakeCluster, FakeTime

ALLOWED, TIMEOUT, REFUSED = Verdict.ALLOWED, Verdict.TIMEOUT, Verdict.REFUSED
SILENT = ProbeError("it took 2.1 s to answer")
CLIENT, SERVER = PodRef("a", "client"), PodRef("a", "server")
STATE = State("test", pods=(Pod("a", "client"),))

Outcome = Verdict | ProbeError
At = Callable[[float], Outcome]
"""What a cell gives at a moment, in seconds after the first probe."""


def cell(port: int, word: Verdict) -> Cell:
    return Cell(Probe(CLIENT, Destination(SERVER, port)), word, Location("s.yaml", 9, 3))


OPEN, SHUT = cell(81, ALLOWED), cell(80, TIMEOUT)


def rounds(shut: At, opened: At = lambda _: ALLOWED, pause_s: float = 0.1) -> Rounds:
    """Rounds over two cells, which give what the functions say."""
    time = FakeTime()
    began = time.now

    def answer(state: State, probe: Probe) -> Outcome:
        of_cell = shut if probe == SHUT.probe else opened
        return of_cell(round(time.now - began, 6))

    cluster = FakeCluster(answer, clock=time.clock)
    cluster.sync(STATE)
    timing = Timing(pause_s=pause_s, clock=time.clock)
    return Rounds(cluster, TruthTable((OPEN, SHUT)), timing, satisfied)


def satisfied(asked: Cell, observation: Observation) -> bool:
    return observation.outcome is asked.expected


def seconds(made: Rounds) -> float:
    """How long it all took."""
    return round(made.timing.clock.now() - 1000.0, 6)


def confirmed(made: Rounds, settle_s: float = 5.0) -> Rounds:
    made.until_confirmed(made.timing.clock.now() + settle_s)
    return made


def held(made: Rounds, hold_s: float, settle_s: float = 5.0) -> Rounds:
    made.until_held(made.timing.clock.now() + settle_s, hold_s)
    return made


def outcomes(made: Rounds) -> list[Outcome]:
    return [made.latest[each.probe].outcome for each in (OPEN, SHUT)]


def flaps(made: Rounds) -> list[tuple[Flap, ...]]:
    found = [made.timelines[each.probe].flaps(1000.0) for each in (OPEN, SHUT)]
    return [
        tuple(replace(f, from_s=_r(f.from_s), until_s=_r(f.until_s)) for f in of) for of in found
    ]


def _r(moment: float) -> float:
    return round(moment, 6)


# ------------------------------------------------------------------ timelines


def timeline(*seen: tuple[float, Outcome], expected: Verdict = TIMEOUT) -> Timeline:
    made = Timeline()
    for moment, outcome in seen:
        observation = Observation(SHUT.probe, moment, moment + 0.5, outcome)
        made.add(observation, outcome is expected)
    return made


def test_a_timeline_joins_equal_verdicts_and_keeps_their_times() -> None:
    made = timeline((1, ALLOWED), (2, ALLOWED), (3, TIMEOUT), (4, REFUSED), (5, TIMEOUT))
    assert made.streaks == [
        Streak(ALLOWED, False, 1, 2),
        Streak(TIMEOUT, True, 3, 3),
        Streak(REFUSED, False, 4, 4),
        Streak(TIMEOUT, True, 5, 5),
    ]
    assert (made.wrong_from, made.wrong_until) == (1, 4)


def test_reasons_for_no_verdict_are_one_streak_with_the_last_reason() -> None:
    made = timeline((1, SILENT), (2, ProbeError("exec failed")))
    assert made.streaks == [Streak(ProbeError("exec failed"), False, 1, 2)]


def test_what_was_always_right_was_never_wrong() -> None:
    made = timeline((1, TIMEOUT), (2, TIMEOUT))
    assert (made.wrong_from, made.wrong_until, made.flaps(0)) == (None, None, ())


def test_only_a_wrong_verdict_after_a_right_one_is_a_flap() -> None:
    assert timeline((1, ALLOWED), (2, TIMEOUT)).flaps(0) == ()
    assert timeline((1, TIMEOUT), (2, SILENT), (3, TIMEOUT)).flaps(0) == ()
    assert timeline((1, ALLOWED), (2, ALLOWED)).flaps(0) == ()
    again = timeline((1, ALLOWED), (12, TIMEOUT), (13, ALLOWED), (14, ALLOWED), (15, TIMEOUT))
    assert again.flaps(10) == (Flap(ALLOWED, 3, 4),)


# ------------------------------------------------------------------ the confirming round


def test_a_right_table_takes_two_full_rounds() -> None:
    made = confirmed(rounds(lambda _: TIMEOUT))
    assert (made.full, made.held_s, flaps(made)) == (2, None, [(), ()])


def test_a_table_that_is_not_right_in_the_confirming_round_is_settled_again_and_flapped() -> None:
    """Right at 1 s, and wrong once more in the confirming round and the one after it."""

    def shut(at: float) -> Outcome:
        return ALLOWED if at < 1.0 or 1.0 < at < 1.3 else TIMEOUT

    made = rounds(shut, opened=lambda at: TIMEOUT if at < 1.1 else ALLOWED)
    confirmed(made)
    assert outcomes(made) == [ALLOWED, TIMEOUT]
    assert flaps(made) == [(), (Flap(ALLOWED, 1.1, 1.2),)]
    assert made.full == 3
    assert made.held_s is None


def test_a_table_that_stays_wrong_after_it_was_right_is_wrong_when_the_settle_time_is_over() -> (
    None
):
    made = confirmed(rounds(_once(TIMEOUT, then=ALLOWED)), settle_s=1.0)
    assert outcomes(made) == [ALLOWED, ALLOWED]
    assert seconds(made) == 1.0


def _once(first: Outcome, then: Outcome) -> At:
    """The first look gives one thing, all others another."""
    left = [first]
    return lambda _: left.pop() if left else then


# ------------------------------------------------------------------ the hold time


def test_enforcement_that_stops_for_three_seconds_within_the_hold_time_is_wrong() -> None:
    """It passed once, with a time-to-deny of 13 s: the settle time of 30 s was not over."""

    def shut(at: float) -> Outcome:
        return ALLOWED if 13.2 <= at < 16.2 else TIMEOUT

    made = held(rounds(shut), hold_s=20.0, settle_s=30.0)
    assert outcomes(made) == [ALLOWED, ALLOWED]
    assert made.held_s == pytest.approx(13.2)
    assert flaps(made) == [(), (Flap(ALLOWED, 13.2, 13.2),)]
    assert seconds(made) == 13.2  # Nothing is probed again.


def test_the_last_look_is_not_before_the_end_of_the_hold_time() -> None:
    """One round in three seconds: those at 0, 3, and 6 s; 5 s shall be held."""
    made = held(rounds(lambda _: TIMEOUT, pause_s=3.0), hold_s=5.0)
    assert (made.full, seconds(made), made.held_s) == (3, 6.0, None)


def test_the_hold_time_begins_when_the_whole_table_is_right_at_once() -> None:
    """At 1 s the wrong cell is right and the other is not: that is no broken hold."""
    made = held(
        rounds(
            lambda at: ALLOWED if at < 1.0 else TIMEOUT,
            opened=lambda at: TIMEOUT if 0 < at < 2.0 else ALLOWED,
        ),
        hold_s=5.0,
    )
    assert outcomes(made) == [ALLOWED, TIMEOUT]
    assert made.held_s is None
    assert seconds(made) == 7.0
    assert flaps(made) == [(Flap(TIMEOUT, 1.0, 1.9),), ()]


def test_a_table_that_was_never_right_in_full_breaks_no_hold() -> None:
    made = held(rounds(lambda _: ALLOWED), hold_s=20.0, settle_s=1.0)
    assert (outcomes(made), made.held_s, seconds(made)) == ([ALLOWED, ALLOWED], None, 1.0)


def test_no_verdict_within_the_hold_time_is_no_verdict_and_not_wrong() -> None:
    made = held(rounds(lambda at: TIMEOUT if at < 2.0 else SILENT), hold_s=20.0)
    assert outcomes(made) == [ALLOWED, SILENT]
    assert made.held_s is None
    assert seconds(made) == 2.3  # Three more rounds of 0.1 s, although settle time is left.


def test_a_cell_that_has_a_verdict_again_within_the_hold_time_is_judged_by_it() -> None:
    right = held(rounds(lambda at: SILENT if at == 2.0 else TIMEOUT), hold_s=5.0)
    assert (outcomes(right), right.held_s, flaps(right)) == ([ALLOWED, TIMEOUT], None, [(), ()])

    def wrong(at: float) -> Outcome:
        return TIMEOUT if at < 2.0 else SILENT if at == 2.0 else ALLOWED

    opened = held(rounds(wrong), hold_s=5.0)
    assert outcomes(opened) == [ALLOWED, ALLOWED]
    assert opened.held_s == pytest.approx(2.1)


def test_a_wrong_verdict_beside_one_that_is_missing_breaks_the_hold_at_once() -> None:
    made = held(
        rounds(
            lambda at: TIMEOUT if at < 2.0 else SILENT,
            opened=lambda at: ALLOWED if at < 2.0 else REFUSED,
        ),
        hold_s=5.0,
    )
    assert outcomes(made) == [REFUSED, SILENT]
    assert made.held_s == pytest.approx(2.0)
    assert seconds(made) == 2.0


# ------------------------------------------------------------------ progress


def told(made: Rounds) -> list[Progress]:
    """What the rounds tell from now on, with times that can be compared."""
    found: list[Progress] = []
    made.tell = lambda p: found.append(replace(p, left_s=_r(p.left_s or 0.0)))
    return found


def test_rounds_tell_how_many_cells_are_right_and_how_long_they_may_take() -> None:
    made = rounds(lambda at: ALLOWED if at < 0.1 else TIMEOUT)
    found = told(made)
    confirmed(made)
    assert found == [
        Progress(Phase.SETTLE, 1, 0, 2, 5.0),
        Progress(Phase.SETTLE, 1, 1, 2, 5.0),
        Progress(Phase.SETTLE, 2, 1, 2, 4.9),
        Progress(Phase.SETTLE, 2, 2, 2, 4.9),
        Progress(Phase.CONFIRM, 3, 2, 2, 4.9),
        Progress(Phase.CONFIRM, 3, 2, 2, 4.9),
    ]


def test_a_table_that_is_not_right_in_the_confirming_round_is_told_to_settle_again() -> None:
    made = rounds(_in_turn(TIMEOUT, ALLOWED, TIMEOUT, TIMEOUT))
    found = told(made)
    confirmed(made)
    assert [(p.phase, p.right) for p in found[1::2]] == [
        (Phase.SETTLE, 2),
        (Phase.CONFIRM, 1),
        (Phase.SETTLE, 2),
        (Phase.CONFIRM, 2),
    ]


def _in_turn(*words: Outcome) -> At:
    left = iter(words)
    return lambda _: next(left)


def test_the_hold_time_is_told_as_what_is_left_of_it() -> None:
    made = rounds(lambda _: TIMEOUT, pause_s=1.0)
    found = told(made)
    held(made, hold_s=2.0, settle_s=30.0)
    assert found[::2] == [
        Progress(Phase.SETTLE, 1, 0, 2, 30.0),
        Progress(Phase.HOLD, 2, 2, 2, 1.0),
        Progress(Phase.HOLD, 3, 2, 2, 0.0),
    ]
