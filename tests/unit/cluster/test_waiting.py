"""How often a condition is checked, and when a wait ends."""

from __future__ import annotations

import itertools
import threading

import pytest

from harness.cluster.waiting import TimedOut, Wait
from harness.errors import ClusterError
from tests.fakes import FakeTime


class Busy(ClusterError):
    transient = True


def test_the_pauses_between_checks_grow_to_a_second() -> None:
    time = FakeTime()
    checks: list[float] = []

    def missing() -> str | None:
        checks.append(time.now)
        return "a pod"

    with pytest.raises(TimedOut) as caught:
        Wait(30, 0.2, time.clock).until(missing, "the pods")
    assert str(caught.value) == "timed out after 30 s waiting for the pods: a pod"
    gaps = [round(later - earlier, 6) for earlier, later in itertools.pairwise(checks)]
    assert gaps[0] == 0.2
    assert gaps == sorted(gaps)
    assert gaps[-1] == 1.0
    assert 30 <= checks[-1] - checks[0] <= 31


def test_a_first_pause_of_more_than_a_second_stays() -> None:
    time = FakeTime()
    checks: list[float] = []

    def missing() -> str | None:
        checks.append(time.now)
        return "a node"

    with pytest.raises(TimedOut):
        Wait(9, 3.0, time.clock).until(missing, "the nodes")
    assert [now - checks[0] for now in checks] == pytest.approx([0, 3, 6, 9])


def test_a_transient_error_is_what_is_missing_and_another_one_ends_the_wait() -> None:
    time = FakeTime()
    errors = [Busy("busy"), ClusterError("forbidden")]

    def ask() -> int:
        raise errors.pop(0)

    with pytest.raises(ClusterError, match="forbidden"):
        Wait(9, clock=time.clock).value(ask, "an answer")
    assert errors == []


def test_a_wait_ends_when_it_is_stopped() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(TimedOut):
        Wait(60).until(lambda: "all", "nothing", stop)
