"""Running programs for the kind cluster: deadlines, failures and their messages."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ClusterError

_MOST_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that ended: its exit status and what it wrote."""

    status: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """The end of what it wrote, for a message: stderr, or else stdout."""
        return (self.stderr.strip() or self.stdout.strip())[-_MOST_SHOWN:]


def run(
    argv: Sequence[str | Path], *, stdin: str | bytes = "", deadline_s: float = 60.0
) -> Completed:
    """Run a process and return its exit status and what it wrote.

    The process gets its own session: Ctrl-C reaches only this process, which then ends the
    other one. Raises ClusterError if the program does not exist or the deadline passes.
    """
    command = [str(word) for word in argv]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise ClusterError(
            f"the program {command[0]!r} is not on the PATH", f"install {command[0]}"
        ) from None
    with process:
        try:
            data = stdin.encode() if isinstance(stdin, str) else stdin
            out, err = process.communicate(data, timeout=deadline_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise ClusterError(
                f"timed out after {deadline_s:g} s: {shlex.join(command)}",
                "is the machine overloaded, or Docker stuck?",
            ) from None
        except BaseException:
            process.kill()
            raise
    return Completed(
        process.returncode, out.decode(errors="replace"), err.decode(errors="replace")
    )


def check(argv: Sequence[str | Path], *, stdin: str | bytes = "", deadline_s: float = 60.0) -> str:
    """Run a process that must succeed and return its stdout. Raises ClusterError."""
    done = run(argv, stdin=stdin, deadline_s=deadline_s)
    if done.status:
        line = shlex.join(str(word) for word in argv)
        raise ClusterError(f"exit {done.status}: {line}\n{done.output}")
    return done.stdout


def kubectl(cluster: str, *arguments: str, stdin: str = "") -> Completed:
    """Run kubectl in the control plane node: it has the right version and needs no install."""
    return run(
        [
            *("docker", "exec", "-i", f"{cluster}-control-plane"),
            *("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", *arguments),
        ],
        stdin=stdin,
    )


def nodes(cluster: str) -> tuple[str, ...]:
    """Return the names of the containers that are the nodes of a kind cluster."""
    label = f"label=io.x-k8s.kind.cluster={cluster}"
    names = check(["docker", "ps", "-a", "--filter", label, "--format", "{{.Names}}"])
    return tuple(sorted(names.split()))


def progress(text: str) -> None:
    """Print progress to stderr."""
    print(f"netpol: {text}", file=sys.stderr, flush=True)  # noqa: T201 - it may take minutes
