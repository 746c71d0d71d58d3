"""The process that is the embedded cluster; ``cluster`` starts it.

Two threads: the loop, with every socket, and one that reconciles. Everything it makes is the
kernel's, held by this process alone, and dies with it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable

from harness.cluster.netns import kernel, protocol
from harness.cluster.netns.counter import Counter
from harness.cluster.netns.defects import parts_with
from harness.cluster.netns.loop import READABLE, Loop
from harness.cluster.netns.prober import ProbeOutcome, Prober
from harness.cluster.netns.reconcile import Reconciler
from harness.errors import HarnessError
from harness.model import Family

_SPARE_FILES = 256
_MOST_PROBES_AT_ONCE = 12_000
_OUTCOMES_A_MESSAGE = 256

Job = Callable[[], protocol.Answer]


def main() -> None:
    """Serve the parent on the socket whose number is the first argument."""
    shared = socket.socket(fileno=int(sys.argv[1]))
    kernel.die_with_parent(int(sys.argv[2]))
    channel = _accept(shared)
    if channel is None:
        return
    try:
        hello = protocol.receive(channel)
        assert isinstance(hello, protocol.Hello)  # noqa: S101 - the first message of the protocol
        kernel.unshare_namespaces()
        child = Child(shared, hello)
    except OSError as error:
        refusal = kernel.refusal("start", error)
        protocol.send(channel, protocol.Failed(refusal.message, refusal.hint))
        return
    except HarnessError as error:
        protocol.send(channel, protocol.Failed(error.message, error.hint))
        return
    try:
        protocol.send(channel, protocol.Ready(kernel.has_sctp(), kernel.has_ipv6()))
    except BrokenPipeError:  # The parent was interrupted meanwhile.
        return
    channel.close()
    child.run()


def check() -> None:
    """Try what the kernel must allow; print what it refuses, and exit 1."""
    try:
        kernel.unshare_namespaces()
        home = kernel.new_netns()
        kernel.run_nft({home: "table inet trial {}\n"})
    except (OSError, HarnessError) as error:
        sys.stdout.write(str(error))
        sys.exit(1)


class Child:
    """The loop and the thread that reconciles."""

    def __init__(self, shared: socket.socket, hello: protocol.Hello) -> None:
        families = (Family.V4, Family.V6) if kernel.has_ipv6() else (Family.V4,)
        limit = kernel.raise_file_limit()
        self._shared = shared
        self._loop = Loop()
        self._prober = Prober(self._loop, min(_MOST_PROBES_AT_ONCE, max(64, limit // 2)))
        self._jobs: queue.SimpleQueue[tuple[socket.socket, Job]] = queue.SimpleQueue()
        self._counter: Counter | None = None
        self._reconciler = Reconciler(self._loop, families, parts_with(hello.defect))

    def run(self) -> None:
        """Serve until the parent is gone."""
        threading.Thread(target=self._work, daemon=True).start()
        self._loop.watch(self._shared.fileno(), READABLE, self._receive)
        self._loop.run()

    def _receive(self) -> None:
        channel = _accept(self._shared)
        if channel is None:
            os._exit(0)
        try:
            request = protocol.receive(channel)
        except (EOFError, OSError):
            channel.close()
            return
        match request:
            case protocol.Probes(probes=probes, timeout_s=timeout_s):
                report = _Round(channel, len(probes)).report
                self._prober.start(probes, timeout_s, lambda: self._reconciler.view, report)
            case protocol.Sync():
                self._jobs.put((channel, lambda: self._sync(request)))
            case protocol.Starts():
                self._jobs.put((channel, self._starts))
            case protocol.Describe(probes=probes):
                self._jobs.put((channel, lambda: protocol.Text(self._reconciler.describe(probes))))
            case protocol.Places():
                self._jobs.put((channel, lambda: protocol.Placed(self._reconciler.placements())))
            case protocol.Counters():
                self._jobs.put((channel, lambda: protocol.Counted(self._reconciler.counts())))
            case _:
                channel.close()

    def _sync(self, request: protocol.Sync) -> protocol.Answer:
        if self._counter:
            self._counter.stop()
        counter = Counter(self._loop, self._prober, request.started, request.timeout_s)
        self._counter = counter if request.started else None
        self._reconciler.sync(request.state, self._counter)
        return protocol.Done()

    def _starts(self) -> protocol.Answer:
        return protocol.Started(*(self._counter.outcomes() if self._counter else ((), ())))

    def _work(self) -> None:
        while True:
            channel, job = self._jobs.get()
            answer: protocol.Answer
            try:
                answer = job()
            except HarnessError as error:
                answer = protocol.Failed(error.message, error.hint)
            except OSError as error:
                refusal = kernel.refusal("answer", error)
                answer = protocol.Failed(refusal.message, refusal.hint)
            except Exception as error:  # noqa: BLE001 - whatever it is, the parent must be told
                answer = protocol.Failed(f"the embedded cluster failed: {error!r}")
            with channel:
                try:
                    protocol.send(channel, answer)
                except OSError:
                    continue  # nobody waits for it any more


class _Round:
    """Collects the outcomes of one request and sends them in batches."""

    def __init__(self, channel: socket.socket, count: int) -> None:
        self._channel = channel
        self._missing = count
        self._gathered: list[ProbeOutcome] = []
        if not count:
            channel.close()

    def report(self, outcome: ProbeOutcome) -> None:
        self._gathered.append(outcome)
        self._missing -= 1
        if self._missing and len(self._gathered) < _OUTCOMES_A_MESSAGE:
            return
        with contextlib.suppress(OSError):  # nobody waits for them any more
            protocol.send(self._channel, protocol.Outcomes(tuple(self._gathered)))
        self._gathered.clear()
        if not self._missing:
            self._channel.close()


def _accept(shared: socket.socket) -> socket.socket | None:
    """Take the next channel from the parent; None when the parent is gone."""
    message, descriptors, _, _ = socket.recv_fds(shared, 1, 1)
    if not message or not descriptors:
        return None
    return socket.socket(fileno=descriptors[0])
