"""One epoll loop for all listeners and all probes of the embedded cluster."""

from __future__ import annotations

import heapq
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

READABLE, WRITABLE = select.EPOLLIN, select.EPOLLOUT
_EVENTS_AT_ONCE = 512


class Poller(Protocol):
    """The part of ``select.epoll`` that a Loop needs."""

    def register(self, fd: int, eventmask: int, /) -> None: ...

    def unregister(self, fd: int, /) -> None: ...

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]: ...


@dataclass(order=True, slots=True)
class Deadline:
    """A moment of the loop's clock after which something is called, unless cancelled."""

    at: float
    serial: int
    call: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        self.call = None


class Loop:
    """Calls handlers when descriptors are ready.

    A deadline is judged only after a poll that found nothing ready: a loop that is late must
    not report a timeout while the answer waits in a socket.
    """

    def __init__(
        self, poller: Poller | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._poller = poller or select.epoll()
        self._now = now
        self._handlers: dict[int, Callable[[], None]] = {}
        self._soon: deque[Callable[[], None]] = deque()
        self._deadlines: list[Deadline] = []
        self._serial = 0
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.watch(self._wakeup, READABLE, self._drain_wakeup)

    def _drain_wakeup(self) -> None:
        os.eventfd_read(self._wakeup)

    def watch(self, descriptor: int, events: int, handler: Callable[[], None]) -> None:
        """Call ``handler`` whenever the descriptor is ready, or in error."""
        self._poller.register(descriptor, events)
        self._handlers[descriptor] = handler

    def unwatch(self, descriptor: int) -> None:
        """Stop watching; to be called before the descriptor is closed."""
        del self._handlers[descriptor]
        self._poller.unregister(descriptor)

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call it in the loop's next turn. Other threads may use it."""
        self._soon.append(call)
        os.eventfd_write(self._wakeup, 1)

    def call_and_wait(self, call: Callable[[], None]) -> None:
        """Have the loop's thread call it, and wait until it has; for other threads only."""
        done = threading.Event()

        def run() -> None:
            try:
                call()
            finally:
                done.set()

        self.call_soon(run)
        done.wait()

    def call_later(self, seconds: float, call: Callable[[], None]) -> Deadline:
        """Call it when so much time has passed and nothing else is ready."""
        self._serial += 1
        deadline = Deadline(self._now() + seconds, self._serial, call)
        heapq.heappush(self._deadlines, deadline)
        return deadline

    def run(self) -> None:
        """Run for ever; a handler ends the loop by an exception."""
        while True:
            self._turn()

    def _turn(self) -> None:
        ready = self._poller.poll(self._poll_timeout(), _EVENTS_AT_ONCE)
        for descriptor, _ in ready:
            handler = self._handlers.get(descriptor)
            if handler:
                handler()
        for _ in range(len(self._soon)):
            self._soon.popleft()()
        if not ready:
            self._expire()

    def _poll_timeout(self) -> float:
        """Return how long to wait for something to be ready; -1 without a deadline."""
        while self._deadlines and self._deadlines[0].call is None:
            heapq.heappop(self._deadlines)
        if self._soon:
            return 0
        if not self._deadlines:
            return -1
        return max(0.0, self._deadlines[0].at - self._now())

    def _expire(self) -> None:
        now = self._now()
        while self._deadlines and self._deadlines[0].at <= now:
            call = heapq.heappop(self._deadlines).call
            if call:
                call()
