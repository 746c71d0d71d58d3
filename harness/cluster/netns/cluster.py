"""The embedded cluster as the harness sees it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.cluster import Capabilities, Cluster, Gap
from harness.cluster.netns import kernel, protocol, trace
from harness.cluster.netns.addresses import NODES
from harness.cluster.netns.defects import parts_with
from harness.cluster.netns.prober import ProbeOutcome
from harness.cluster.netns.trace import RuleCount
from harness.errors import ClusterError
from harness.model import FirstMoments, Observation, Placement, Probe, ProbeError, State, Trace
from harness.policy import builtin, kinds

_SETTLE_S = 3.0
_WATCH_INTERVAL_S = 0.05
_WATCH_SILENCE_S = 1.0
_SHUTDOWN_TIMEOUT_S = 5.0
_GAPS = (
    Gap("admission", "there is no API server"),
    Gap("kubelet", "pods are not probed"),
    Gap("ipv6", "this kernel has no IPv6"),
    Gap("sctp", "this kernel has no SCTP"),
)
_ALWAYS = frozenset(
    {
        "agents",
        "external",
        "from-start",
        "hairpin",
        "hostnetwork",
        "nodeport",
        "endport",
        "ipblock-pod-ip",
        "ipblock-node-ip",
        "node-peers",
        "domain-names",
    }
)


@functools.cache
def why_unavailable() -> str | None:
    """Return why no embedded cluster can run here and what to do about it, or None."""
    if not sys.platform.startswith("linux"):
        return "the embedded cluster needs Linux; use --cluster=kind or current"
    if kernel.find_nft() is None:
        return "the command nft is missing: install the package nftables"
    try:
        trial = subprocess.run(
            _start_of_child("check"),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        return str(kernel.refusal("start", error))
    if trial.returncode == 0:
        return None
    reason = (trial.stdout or trial.stderr).strip().splitlines() or ["it gave no reason"]
    return (
        f"this kernel lets user {os.geteuid()} make no namespaces ({reason[-1]}): allow it with "
        "sysctl kernel.unprivileged_userns_clone=1, "
        "kernel.apparmor_restrict_unprivileged_userns=0 and user.max_user_namespaces=10000 "
        "(those that exist), or run as root"
    )


def _start_of_child(function: str) -> list[str]:
    """A Python that finds the same modules as this one, wherever it is started."""
    path = json.dumps([entry or str(Path.cwd()) for entry in sys.path])
    code = (
        "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
        f"from harness.cluster.netns.child import {function}; {function}()"
    )
    return [sys.executable, "-c", code, path]


def _started() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the child; return the socket to it, and its process. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with theirs:
            child = subprocess.Popen(
                [*_start_of_child("main"), str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C in a terminal is for this process, which then closes it.
            )
    except BaseException:
        ours.close()
        raise
    return ours, child


class NetnsCluster(Cluster):
    """A small Kubernetes network in the kernel of this machine; a ``Cluster``.

    Started by the constructor. Raises UsageError for a defect that it does not know, and
    ClusterError where it cannot run.
    """

    def __init__(self, probe_timeout_s: float = 0.3, defect: str | None = None) -> None:
        parts_with(defect)
        if kernel.find_nft() is None:
            raise ClusterError("the command nft is missing", hint="install the package nftables")
        self._probe_timeout_s = probe_timeout_s
        self._probes_of_starts: tuple[Probe, ...] = ()
        try:
            self._shared, self._child = _started()
        except OSError as error:
            raise kernel.refusal("start", error) from error
        try:
            self._capabilities = self._handshake(defect)
        except BaseException:
            self.close()
            raise

    def _handshake(self, defect: str | None) -> Capabilities:
        ready = self._request(protocol.Hello(defect))
        if not isinstance(ready, protocol.Ready):
            raise ClusterError(f"the embedded cluster answered {ready!r}")
        found = {name for name, has in (("sctp", ready.sctp), ("ipv6", ready.ipv6)) if has}
        return Capabilities(
            name="netns",
            features=_ALWAYS | found,
            nodes=NODES,
            kinds=kinds.names() | builtin.names(),
            ignored_kinds=builtin.names() - kinds.names(),
            gaps=tuple(gap for gap in _GAPS if gap.feature not in found),
            probe_timeout_s=self._probe_timeout_s,
            settle_s=_SETTLE_S,
            watch_interval_s=_WATCH_INTERVAL_S,
            watch_silence_s=_WATCH_SILENCE_S,
        )

    @property
    def capabilities(self) -> Capabilities:
        """What this kernel can do."""
        return self._capabilities

    def sync(self, state: State) -> None:
        """Make the cluster equal to ``state``; see ``Cluster``."""
        self._request(protocol.Sync(state, self._probes_of_starts, self._probe_timeout_s))

    def probe(self, probes: Sequence[Probe]) -> list[Observation]:
        """Run all probes at once; see ``Cluster``. May be called by several threads."""
        probes = tuple(probes)
        begun = time.monotonic()
        observed: dict[int, Observation] = {}
        reason = "the embedded cluster is gone"
        try:
            with self._channel() as channel:
                protocol.send(channel, protocol.Probes(probes, self._probe_timeout_s))
                while len(observed) < len(probes):
                    answer = protocol.receive(channel)
                    if isinstance(answer, protocol.Outcomes):
                        observed.update(_observations(probes, answer.outcomes))
        except (EOFError, OSError):
            pass
        except ClusterError as error:
            reason = error.message
        now = time.monotonic()
        for index, probe in enumerate(probes):
            if index not in observed:
                observed[index] = Observation(probe, begun, now, ProbeError(reason))
        return list(observed.values())

    @contextlib.contextmanager
    def watch_starts(self, probes: Sequence[Probe]) -> Iterator[FirstMoments]:
        """Have new pods probe from their first moment; see ``Cluster``."""
        moments = FirstMoments()
        self._probes_of_starts = tuple(probes)
        try:
            yield moments
        finally:
            self._probes_of_starts = ()
        answer = self._request(protocol.Starts())
        if isinstance(answer, protocol.Started):
            moments.init += [item for _, item in _observations(probes, answer.init)]
            moments.main += [item for _, item in _observations(probes, answer.main)]

    def placements(self) -> tuple[Placement, ...]:
        """Return where the pods and Services are; see ``Cluster``."""
        try:
            answer = self._request(protocol.Places())
        except ClusterError:
            return ()
        return answer.placements if isinstance(answer, protocol.Placed) else ()

    def trace(self, probes: Sequence[Probe]) -> tuple[Trace, ...]:
        """Return which rules dropped packets of one more probe; see ``Cluster``."""
        return tuple(map(self._trace, probes))

    def _trace(self, probe: Probe) -> Trace:
        try:
            before = self._counts()
            self.probe([probe])
            return Trace(probe, trace.says(before, self._counts()))
        except ClusterError as error:
            return Trace(probe, f"nothing was learned: {error.message}")

    def _counts(self) -> tuple[RuleCount, ...]:
        answer = self._request(protocol.Counters())
        return answer.counts if isinstance(answer, protocol.Counted) else ()

    def describe(self, probes: Sequence[Probe]) -> str:
        """Describe the live objects and rules behind some probes; see ``Cluster``."""
        try:
            answer = self._request(protocol.Describe(tuple(probes)))
        except ClusterError as error:
            return f"the embedded cluster cannot be described: {error.message}"
        return answer.text if isinstance(answer, protocol.Text) else ""

    def close(self) -> tuple[str, ...]:
        """End the child; all that it made ends with it."""
        self._shared.close()
        try:
            self._child.wait(_SHUTDOWN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        return ()

    @contextlib.contextmanager
    def _channel(self) -> Iterator[socket.socket]:
        """Open a channel to the child. Raises ClusterError when there is none."""
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise kernel.refusal("be asked", error) from error
        with ours:
            with theirs:
                try:
                    socket.send_fds(self._shared, [b"!"], [theirs.fileno()])
                except OSError as error:
                    raise ClusterError("the embedded cluster is gone") from error
            yield ours

    def _request(self, request: protocol.Request) -> object:
        """Send the child a request that has one answer. Raises ClusterError."""
        try:
            with self._channel() as channel:
                protocol.send(channel, request)
                answer = protocol.receive(channel)
        except (EOFError, OSError) as error:
            raise ClusterError(
                "the embedded cluster died", hint="its error output is above"
            ) from error
        if isinstance(answer, protocol.Failed):
            raise ClusterError(answer.message, answer.hint)
        return answer


def _observations(
    probes: Sequence[Probe], outcomes: Sequence[ProbeOutcome]
) -> Iterator[tuple[int, Observation]]:
    for item in outcomes:
        yield (
            item.index,
            Observation(probes[item.index], item.started, item.ended, item.outcome, item.raw),
        )
