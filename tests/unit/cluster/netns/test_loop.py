"""The loop of the embedded cluster, over a scripted poll and a clock that tests move."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.cluster.netns.loop import READABLE, Loop

SOCKET = 900


class Stop(Exception):
    """Ends a loop."""


class ScriptedPoll:
    """Gives the scripted answers in turn and moves the clock; then it ends the loop."""

    def __init__(self, *answers: tuple[float, list[int]]) -> None:
        """Each answer: the seconds that pass in it, and the descriptors that are ready."""
        self._answers = list(answers)
        self.now = 100.0
        self.patience: list[float] = []
        self.watched: dict[int, int] = {}

    def register(self, fd: int, eventmask: int, /) -> None:
        self.watched[fd] = eventmask

    def unregister(self, fd: int, /) -> None:
        del self.watched[fd]

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        self.patience.append(timeout)
        if not self._answers:
            raise Stop
        seconds, ready = self._answers.pop(0)
        self.now += seconds
        return [(descriptor, READABLE) for descriptor in ready]


def loop_over(poll: ScriptedPoll) -> Loop:
    return Loop(poll, lambda: poll.now)


def run(loop: Loop) -> None:
    with pytest.raises(Stop):
        loop.run()


def noting(log: list[str], word: str) -> Callable[[], None]:
    return lambda: log.append(word)


def test_an_answer_that_waits_is_heard_before_a_deadline_that_is_over() -> None:
    """A busy machine comes late: the deadline is over, and the answer in its socket."""
    poll = ScriptedPoll((5.0, [SOCKET]), (0.0, []))
    loop = loop_over(poll)
    log: list[str] = []
    deadline = loop.call_later(1.0, noting(log, "TIMEOUT"))

    def answered() -> None:
        log.append("answer")
        deadline.cancel()

    loop.watch(SOCKET, READABLE, answered)
    run(loop)
    assert log == ["answer"]


def test_no_deadline_is_judged_in_a_turn_in_which_another_socket_is_ready() -> None:
    """The answer may wait behind those that one look can give."""
    poll = ScriptedPoll((5.0, [SOCKET]), (0.0, [SOCKET + 1]), (0.0, []))
    loop = loop_over(poll)
    log: list[str] = []
    deadline = loop.call_later(1.0, noting(log, "TIMEOUT"))
    loop.watch(SOCKET, READABLE, noting(log, "another"))
    loop.watch(SOCKET + 1, READABLE, deadline.cancel)
    run(loop)
    assert log == ["another"]


def test_a_deadline_is_judged_when_nothing_is_ready_and_not_before_its_time() -> None:
    poll = ScriptedPoll((0.5, []), (0.4, []), (0.1, []))
    loop = loop_over(poll)
    log: list[str] = []
    loop.call_later(1.0, lambda: log.append(f"over at {poll.now - 100.0:g}"))
    run(loop)
    assert log == ["over at 1"]
    assert poll.patience == [1.0, 0.5, pytest.approx(0.1), -1]


def test_deadlines_that_are_over_together_come_in_their_order() -> None:
    poll = ScriptedPoll((9.0, []))
    loop = loop_over(poll)
    log: list[str] = []
    loop.call_later(2.0, noting(log, "third"))
    loop.call_later(1.0, noting(log, "first"))
    loop.call_later(1.0, noting(log, "second"))
    loop.call_later(1.5, noting(log, "cancelled")).cancel()
    run(loop)
    assert log == ["first", "second", "third"]


def test_what_is_due_soon_comes_in_the_next_turn_without_waiting() -> None:
    poll = ScriptedPoll((0.0, []), (0.0, []))
    loop = loop_over(poll)
    log: list[str] = []

    def first() -> None:
        log.append("first")
        loop.call_soon(noting(log, "second"))

    loop.call_soon(first)
    run(loop)
    assert log == ["first", "second"]
    assert poll.patience == [0, 0, -1]


def test_a_descriptor_that_is_forgotten_is_not_called_even_if_it_was_ready() -> None:
    poll = ScriptedPoll((0.0, [SOCKET, SOCKET + 1]))
    loop = loop_over(poll)
    log: list[str] = []
    loop.watch(SOCKET, READABLE, lambda: loop.unwatch(SOCKET + 1))
    loop.watch(SOCKET + 1, READABLE, noting(log, "called"))
    run(loop)
    assert log == []
    assert SOCKET + 1 not in poll.watched
