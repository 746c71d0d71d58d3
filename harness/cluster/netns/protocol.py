"""The messages between the cluster and its child process.

Each request has its own socket pair, whose far end is handed to the child over
the one socket that both share; the answer comes back on it. A child that died is therefore
an end of file for all who wait.
"""

from __future__ import annotations

import pickle
import socket
import struct
from dataclasses import dataclass

from harness.cluster.netns.prober import ProbeOutcome
from harness.cluster.netns.trace import RuleCount
from harness.model import Placement, Probe, State


@dataclass(frozen=True, slots=True)
class Hello:
    """The first request: become a cluster. Answered by Ready or Failed."""

    defect: str | None


@dataclass(frozen=True, slots=True)
class Ready:
    """The child has its namespaces; what the kernel supports."""

    sctp: bool
    ipv6: bool


@dataclass(frozen=True, slots=True)
class Sync:
    """Make the cluster equal to this. Answered by Done or Failed.

    ``started`` are the pairs that new pods probe from their first moment.
    """

    state: State
    started: tuple[Probe, ...] = ()
    timeout_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Starts:
    """Tell what the new pods of the last Sync saw. Answered by Started when they are through."""


@dataclass(frozen=True, slots=True)
class Probes:
    """Run these. Answered by Outcomes, until every probe has one."""

    probes: tuple[Probe, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Describe:
    """Describe the ends of these probes. Answered by Text or Failed."""

    probes: tuple[Probe, ...]


@dataclass(frozen=True, slots=True)
class Places:
    """Tell where things are. Answered by Placed or Failed."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Read the counters of the rules of policies. Answered by Counted or Failed."""


@dataclass(frozen=True, slots=True)
class Done:
    """The request was fulfilled."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text for people."""

    text: str


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Some of a round's outcomes."""

    outcomes: tuple[ProbeOutcome, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """What new pods saw in their init containers, and after those."""

    init: tuple[ProbeOutcome, ...]
    main: tuple[ProbeOutcome, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the pods and Services of the last Sync are."""

    placements: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """The rules of policies that have a counter, on all nodes."""

    counts: tuple[RuleCount, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The request failed, and why."""

    message: str
    hint: str | None = None


Request = Hello | Sync | Starts | Probes | Describe | Places | Counters
Answer = Ready | Done | Text | Outcomes | Started | Placed | Counted | Failed


def send(channel: socket.socket, message: Request | Answer) -> None:
    """Write one message. Raises OSError."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    channel.sendall(struct.pack("=Q", len(body)) + body)


def receive(channel: socket.socket) -> object:
    """Read one message. Raises EOFError when the other side is gone, or OSError."""
    (length,) = struct.unpack("=Q", _exactly(channel, 8))
    return pickle.loads(_exactly(channel, length))  # noqa: S301 - our own child or parent


def _exactly(channel: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        part = channel.recv(min(1 << 20, length - len(received)))
        if not part:
            raise EOFError
        received += part
    return bytes(received)
