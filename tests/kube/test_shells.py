"""Shells that stay open in pods: when one is used again, and when another is started."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from harness.cluster.kube.api import Container, ExecError, Output
from harness.cluster.kube.shells import Shells
from harness.cluster.waiting import Clock

from .rounds import LIVE, A, B

POD = LIVE[A]
WHOLE = "= begin 1.0\n= end 2.0\n"


@dataclass
class Opened:
    """An exec of the double: what it was asked, and whether it is closed."""

    answers: Callable[[Opened], str]
    container: Container
    asked: int = 0
    is_closed: bool = False

    def ask(self, words: str, idle_s: float, *, end: re.Pattern[str]) -> Output:
        self.asked += 1
        assert not self.is_closed
        text = self.answers(self)
        assert end.search(text) or "= end" not in text
        return Output(text, 1.0)

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Opening:
    """An API server that starts execs, and remembers them."""

    answers: Callable[[Opened], str] = lambda _: WHOLE
    opened: list[Opened] = field(default_factory=list)

    def start(self, container: Container, _command: Sequence[str], _s: float) -> Opened:
        self.opened.append(Opened(self.answers, container))
        return self.opened[-1]


@dataclass
class Times:
    """A clock that a test moves."""

    now_s: float = 0.0

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now_s)


def shells(api: Opening, times: Times | None = None) -> Shells:
    return Shells(api, (times or Times()).clock)  # type: ignore[arg-type]


def test_the_next_batch_of_a_pod_runs_in_the_same_shell() -> None:
    api = Opening()
    kept = shells(api)
    assert [kept.run(POD, "script", 5.0).text for _ in range(3)] == [WHOLE] * 3
    assert [item.asked for item in api.opened] == [3]
    assert api.opened[0].container == Container("real", "a", "agnhost")


def test_another_pod_and_another_incarnation_have_shells_of_their_own() -> None:
    api = Opening()
    kept = shells(api)
    for pod in (POD, LIVE[B], replace(POD, uid="another"), POD):
        kept.run(pod, "script", 5.0)
    assert [item.asked for item in api.opened] == [2, 1, 1]


def test_two_batches_at_the_same_time_do_not_share_a_shell() -> None:
    both = threading.Barrier(2, timeout=10)

    def answers(_: Opened) -> str:
        both.wait()
        return WHOLE

    api = Opening(answers)
    kept = shells(api)
    threads = [threading.Thread(target=kept.run, args=(POD, "script", 5.0)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [item.asked for item in api.opened] == [1, 1]


@pytest.mark.parametrize(
    ("wait_s", "batches", "opened"),
    [(59, 2, 1), (61, 2, 2), (59, 6, 1), (59, 7, 2)],
    ids=["soon", "idle for too long", "still young", "too old"],
)
def test_an_idle_or_an_old_shell_is_not_used(wait_s: float, batches: int, opened: int) -> None:
    api, times = Opening(), Times()
    kept = shells(api, times)
    for _ in range(batches):
        kept.run(POD, "script", 5.0)
        times.now_s += wait_s
    assert len(api.opened) == opened
    assert [item.is_closed for item in api.opened] == [True] * (opened - 1) + [False]


def second(of: str | ExecError) -> Callable[[Opened], str]:
    """The first shell gives this to its second batch, and everything else is whole."""

    def answers(item: Opened) -> str:
        if item.asked < 2:
            return WHOLE
        if isinstance(of, ExecError):
            raise of
        return of

    return answers


@pytest.mark.parametrize(
    "gone", ["", ExecError("the exec ended without a status"), ExecError("broken pipe")]
)
def test_a_kept_shell_that_is_gone_is_replaced(gone: str | ExecError) -> None:
    api = Opening(second(gone))
    kept = shells(api)
    assert [kept.run(POD, "script", 5.0).text for _ in range(2)] == [WHOLE, WHOLE]
    assert [(item.asked, item.is_closed) for item in api.opened] == [(2, True), (1, False)]


@pytest.mark.parametrize(
    "error",
    [
        ExecError("broken pipe", output="= begin 1.0\n= 0 0 1.0 1.1 \n"),
        ExecError("no output for 5 s", timed_out=True),
    ],
    ids=["it had begun", "it hangs"],
)
def test_a_batch_that_broke_off_is_an_error_and_its_shell_is_closed(error: ExecError) -> None:
    api = Opening(second(error))
    kept = shells(api)
    kept.run(POD, "script", 5.0)
    with pytest.raises(ExecError) as caught:
        kept.run(POD, "script", 5.0)
    assert caught.value is error
    assert [(item.asked, item.is_closed) for item in api.opened] == [(2, True)]
    assert kept.run(POD, "script", 5.0).text == WHOLE
    assert len(api.opened) == 2


def test_a_batch_without_an_end_is_returned_and_its_shell_is_closed() -> None:
    api = Opening(second("= begin 1.0\n"))
    kept = shells(api)
    kept.run(POD, "script", 5.0)
    assert kept.run(POD, "script", 5.0).text == "= begin 1.0\n"
    assert [(item.asked, item.is_closed) for item in api.opened] == [(2, True)]


def test_the_number_of_idle_shells_is_bounded() -> None:
    api = Opening()
    kept = shells(api)
    for number in range(70):
        kept.run(replace(POD, uid=str(number)), "script", 5.0)
    assert [item.is_closed for item in api.opened] == [True] * 6 + [False] * 64


def test_closing_closes_them_all_and_later_those_that_run() -> None:
    api = Opening()
    kept = shells(api)

    def answers(_: Opened) -> str:
        kept.close()
        return WHOLE

    api.answers = answers
    kept.run(POD, "script", 5.0)
    assert [item.is_closed for item in api.opened] == [True]
    api.answers = lambda _: WHOLE
    for pod in (POD, LIVE[B]):
        kept.run(pod, "script", 5.0)
    assert all(item.is_closed for item in api.opened)
