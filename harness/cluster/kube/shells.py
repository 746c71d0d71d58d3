"""Shells that stay open in pods and run one batch after another.

To start an exec costs about as much CPU as five probes, in the API server, the kubelet and the
container runtime. So the shell of a batch is kept for the next batch of the same pod.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass

from harness import agnhost
from harness.cluster.kube.api import Api, Container, Exec, ExecError, Output
from harness.cluster.kube.live import LivePod
from harness.cluster.waiting import Clock

_LIFE_S = 600.0
"""A shell ends with its input. If nobody ends that, because the run was killed, it ends here."""
_OLD_S = 300.0
"""No batch starts in a shell that is older."""
_IDLE_S = 60.0
"""Proxies forget connections on which nothing was sent, after some minutes."""
_KEPT = 64
_END = re.compile(r"^= end \S+\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Shell:
    pod: LivePod
    exec: Exec
    started: float
    used: float


class Shells:
    """Runs batches in pods; may be used from many threads. Each has a shell to itself."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: deque[_Shell] = deque()
        self._kept = _KEPT

    def run(self, pod: LivePod, script: str, idle_s: float) -> Output:
        """Run a batch script of ``agnhost`` in a pod, and return what it printed.

        Raises ExecError as ``Api.execute`` does. A kept shell that turns out to be gone before
        the batch began is replaced by another one.
        """
        kept = self._take(pod)
        if kept is not None:
            try:
                output = self._ask(kept, script, idle_s)
            except ExecError as error:
                if error.timed_out or agnhost.began_s(error.output) is not None:
                    raise
            else:
                if agnhost.began_s(output.text) is not None:
                    return output
        container = Container(pod.namespace, pod.name, pod.container)
        running = self._api.start(container, agnhost.shell(_LIFE_S), idle_s)
        now = self._clock.now()
        return self._ask(_Shell(pod, running, now, now), script, idle_s)

    def close(self) -> None:
        """Close all shells; those that run a batch when that is over."""
        with self._lock:
            idle, self._idle = self._idle, deque()
            self._kept = 0
        for shell in idle:
            shell.exec.close()

    def _ask(self, shell: _Shell, script: str, idle_s: float) -> Output:
        is_whole = False
        try:
            output = shell.exec.ask(agnhost.kept(script), idle_s, end=_END)
            is_whole = agnhost.ended_s(output.text) is not None
            return output
        finally:
            if is_whole:
                self._keep(shell)
            else:
                shell.exec.close()

    def _take(self, pod: LivePod) -> _Shell | None:
        """Return a shell of this pod that is young enough, and close those that are not."""
        now = self._clock.now()
        with self._lock:
            old = [item for item in self._idle if _is_old(item, now)]
            young = [item for item in self._idle if not _is_old(item, now)]
            found = next((item for item in young if item.pod == pod), None)
            self._idle = deque(item for item in young if item is not found)
        for shell in old:
            shell.exec.close()
        return found

    def _keep(self, shell: _Shell) -> None:
        with self._lock:
            self._idle.append(_Shell(shell.pod, shell.exec, shell.started, self._clock.now()))
            oldest = self._idle.popleft() if len(self._idle) > self._kept else None
        if oldest is not None:
            oldest.exec.close()


def _is_old(shell: _Shell, now: float) -> bool:
    return now - shell.started > _OLD_S or now - shell.used > _IDLE_S
