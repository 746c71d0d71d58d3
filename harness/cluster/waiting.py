"""One way to wait for a cluster: a deadline, a condition, and a clock that tests replace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from harness.errors import ClusterError

_T = TypeVar("_T")
_SLOWER = 1.15
_MOST_S = 1.0


@dataclass(frozen=True, slots=True)
class Clock:
    """How time is read and passed, in seconds."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


REAL = Clock()


class TimedOut(ClusterError):
    """A condition did not hold before its deadline; ``last`` is what was seen last."""

    def __init__(self, what: str, limit_s: float, last: str) -> None:
        tail = f": {last}" if last else ""
        super().__init__(f"timed out after {limit_s:g} s waiting for {what}{tail}")
        self.last = last


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a condition may take, and the first pause between checks, in seconds.

    The pauses grow to a second: each check costs CPU that the cluster may need to get ready.
    """

    limit_s: float
    poll_s: float = 0.2
    clock: Clock = REAL

    def until(
        self,
        missing: Callable[[], str | None],
        what: str,
        stop: threading.Event | None = None,
    ) -> None:
        """Check until ``missing`` returns None; a text says what is missing still.

        A ClusterError that is transient counts as missing; every other exception ends the wait.
        Raises TimedOut after the deadline, or as soon as ``stop`` is set.
        """
        began = self.clock.now()
        last = ""

        def holds(_: tenacity.RetryCallState | None = None) -> bool:
            nonlocal last
            try:
                found = missing()
            except ClusterError as error:
                if not error.transient:
                    raise
                found = error.message
            last = last if found is None else found
            return found is None

        def over(_: tenacity.RetryCallState) -> bool:
            late = self.clock.now() - began >= self.limit_s
            return late or (stop is not None and stop.is_set())

        asking = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda held: not held),
            wait=tenacity.wait_exponential(
                self.poll_s, exp_base=_SLOWER, max=max(self.poll_s, _MOST_S)
            ),
            stop=over,
            sleep=self.clock.sleep if stop is None else tenacity.sleep_using_event(stop),
        )
        try:
            asking(holds)
        except tenacity.RetryError:
            raise TimedOut(what, self.limit_s, last) from None

    def value(self, ask: Callable[[], _T], what: str) -> _T:
        """Return the answer to a question, asked again while errors are transient."""
        answers: list[_T] = []
        self.until(lambda: answers.append(ask()), what)
        return answers[0]
