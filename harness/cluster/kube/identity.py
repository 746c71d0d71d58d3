"""Which process created an object, and whether it is still running.

A process id is valid only in its PID namespace, and only until the next boot. A host name
identifies nothing, because containers and clones share it. So an owner is identified by boot
and PID namespace (its place), process id, and start time of the process. Whether a process of
another place is running cannot be found out: then ``heartbeat`` decides.

On Linux this is read from ``/proc``. macOS has no ``/proc`` and no PID namespaces: there
``sysctl`` identifies the boot, and ``ps`` prints the start time. A machine that has neither has
no place, and each process counts as one of another machine.
"""

from __future__ import annotations

import enum
import json
import os
import socket
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

_SYSCTLS = ("kern.bootsessionuuid", "kern.boottime")  # the second changes with the clock
_ZOMBIES = ("Z", "X")


class Life(enum.Enum):
    """Whether the process of a run is running."""

    RUNNING = "running"
    OVER = "over"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that created an object. ``host`` is shown to people and not compared."""

    place: str
    pid: int
    started: str
    host: str

    def __str__(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """Return the Owner that a text describes, or None."""
        try:
            found = json.loads(text)
            place, pid, started, host = (found[key] for key in ("place", "pid", "started", "host"))
        except (ValueError, TypeError, KeyError):
            return None
        texts = all(isinstance(word, str) for word in (place, started, host))
        return cls(place, pid, started, host) if texts and isinstance(pid, int) else None


def _output(*argv: str) -> str:
    """Return the output of a program, in English and UTC; empty if it fails."""
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=10, env=environment, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _exists(pid: int) -> bool:
    """Whether a process has that id, also if ``/proc`` hides the processes of other users."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine and its processes. Tests replace its sources."""

    proc: Path = Path("/proc")
    output: Callable[..., str] = _output
    exists: Callable[[int], bool] = _exists

    def this_process(self) -> Owner:
        """Return the Owner of the calling process."""
        pid = os.getpid()
        started = self._started(pid)
        return Owner(self._place() if started else "", pid, started or "", socket.gethostname())

    def life(self, owner: Owner) -> Life:
        """Return whether the process of an owner is running, as far as this machine can know."""
        if not owner.place or owner.place != self._place():
            return Life.UNKNOWN
        started = self._started(owner.pid)
        if started is None:
            return Life.UNKNOWN if self.exists(owner.pid) else Life.OVER
        return Life.RUNNING if started == owner.started else Life.OVER

    def _place(self) -> str:
        """Return what identifies this boot and PID namespace, or an empty text."""
        try:
            # Under `unshare --pid` alone, /proc still shows the processes of another namespace.
            if (self.proc / "self").readlink().name != str(os.getpid()):
                return ""
            boot = (self.proc / "sys/kernel/random/boot_id").read_text(encoding="ascii")
            return f"{boot.strip()} {(self.proc / 'self/ns/pid').readlink()}"
        except OSError:
            found = (self.output("sysctl", "-n", name) for name in _SYSCTLS)
            return next((text for text in found if text), "")

    def _started(self, pid: int) -> str | None:
        """Return when a process started; empty if it has ended, None if it cannot be read."""
        try:
            # The name of the process is in parentheses and may contain anything.
            text = (self.proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
            state, started = (text.rpartition(")")[2].split()[index] for index in (0, 19))
        except OSError:
            if (self.proc / "self").is_symlink():
                return None
            found = self.output("ps", "-o", "state=", "-o", "lstart=", "-p", str(pid))
            state, _, started = found.partition(" ")
        if not state:
            return None
        return "" if state.startswith(_ZOMBIES) else started.strip()
