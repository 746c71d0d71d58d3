"""Starting processes for the kind cluster: one place for deadlines, failures and their words."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ClusterError

_WORDS_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that ended: its exit status and what it wrote."""

    status: int
    stdout: str
    stderr: str

    @property
    def words(self) -> str:
        """The end of what it said, for a message."""
        return (self.stderr.strip() or self.stdout.strip())[-_WORDS_SHOWN:]


def run(
    argv: Sequence[str | Path], *, stdin: str | bytes = "", deadline_s: float = 60.0
) -> Completed:
    """Run a process to its end and give what it wrote, whatever its exit status.

    The process gets a session of its own: a Ctrl-C reaches this process alone, which then
    ends the other. Raises ClusterError when the program is not there or the deadline passes.
    """
    words = [str(word) for word in argv]
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise ClusterError(
            f"the program {words[0]!r} is not on the PATH", f"install {words[0]}"
        ) from None
    with process:
        try:
            data = stdin.encode() if isinstance(stdin, str) else stdin
            out, err = process.communicate(data, timeout=deadline_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise ClusterError(
                f"no end after {deadline_s:g} s: {shlex.join(words)}",
                "is the machine overloaded, or Docker stuck?",
            ) from None
        except BaseException:
            process.kill()
            raise
    return Completed(
        process.returncode, out.decode(errors="replace"), err.decode(errors="replace")
    )


def check(argv: Sequence[str | Path], *, stdin: str | bytes = "", deadline_s: float = 60.0) -> str:
    """Run a process that must succeed and give its stdout; ClusterError repeats its words."""
    done = run(argv, stdin=stdin, deadline_s=deadline_s)
    if done.status:
        line = shlex.join(str(word) for word in argv)
        raise ClusterError(f"exit {done.status}: {line}\n{done.words}")
    return done.stdout


def kubectl(cluster: str, *words: str, stdin: str = "") -> Completed:
    """Run the control plane node's own kubectl: of the right version, nothing to install."""
    return run(
        [
            *("docker", "exec", "-i", f"{cluster}-control-plane"),
            *("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", *words),
        ],
        stdin=stdin,
    )


def nodes(cluster: str) -> tuple[str, ...]:
    """The containers that are the nodes of a kind cluster, by name."""
    label = f"label=io.x-k8s.kind.cluster={cluster}"
    names = check(["docker", "ps", "-a", "--filter", label, "--format", "{{.Names}}"])
    return tuple(sorted(names.split()))


def say(text: str) -> None:
    """Tell on stderr what takes minutes."""
    print(f"netpol: {text}", file=sys.stderr, flush=True)  # noqa: T201 - progress of minutes
