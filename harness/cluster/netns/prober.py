"""Probes as sockets of the source's own network namespace, all in one loop."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.cluster.netns.addresses import (
    DNS_SERVICE,
    family_of,
    of_family,
)
from harness.cluster.netns.kernel import enter
from harness.cluster.netns.loop import READABLE, WRITABLE, Deadline, Loop
from harness.cluster.netns.names import query_for, read_answer
from harness.cluster.netns.view import ClusterView, NoVerdict, SourceHost, resolve, source_host
from harness.model import (
    Family,
    Probe,
    ProbeError,
    Protocol,
    Verdict,
)

_STARTS_A_TURN = 32
_VERDICTS = {
    0: Verdict.ALLOWED,
    errno.ECONNREFUSED: Verdict.REFUSED,
    errno.ETIMEDOUT: Verdict.TIMEOUT,
    **dict.fromkeys(
        (
            # ICMP errors, as the kernel gives them to a socket.
            *(errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENONET),
            *(errno.EACCES, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EPROTO),
            errno.EPERM,  # dropped on the way out of a node
            *(errno.ECONNRESET, errno.ECONNABORTED),
        ),
        Verdict.OTHER,
    ),
}
"""The verdict that an error of a connection means. Every other error is no verdict."""
_LINGER_NONE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """The outcome of the probe of that index in its round."""

    index: int
    started: float
    ended: float
    outcome: Verdict | ProbeError
    raw: str


class Prober:
    """Starts probes in their order and turns what their sockets report into outcomes."""

    def __init__(self, loop: Loop, limit: int) -> None:
        """``limit`` is how many sockets may be open at once."""
        self.loop = loop
        self._limit = limit
        self._open = 0
        self._waiting: deque[_Attempt] = deque()
        self._scheduled = False

    def start(
        self,
        probes: Sequence[Probe],
        timeout_s: float,
        view: Callable[[], ClusterView | None],
        report: Callable[[ProbeOutcome], None],
    ) -> None:
        """Run the probes; each gives one report, in the loop's thread."""
        for index, probe in enumerate(probes):
            self._waiting.append(_Attempt(self, index, probe, timeout_s, view, report))
        self._start_more_soon()

    def finished(self) -> None:
        """Count an attempt as ended."""
        self._open -= 1
        if self._waiting:
            self._start_more_soon()

    def _start_more_soon(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._start_more)

    def _start_more(self) -> None:
        self._scheduled = False
        for _ in range(_STARTS_A_TURN):
            if not self._waiting or self._open >= self._limit:
                return
            self._open += 1
            self._waiting.popleft().start()
        self._start_more_soon()


class _Attempt:
    """One probe: a DNS query if it needs one, then one connection."""

    __slots__ = (
        "_deadline",
        "_index",
        "_probe",
        "_prober",
        "_query",
        "_report",
        "_sock",
        "_started",
        "_timeout_s",
        "_view",
    )

    def __init__(
        self,
        prober: Prober,
        index: int,
        probe: Probe,
        timeout_s: float,
        view: Callable[[], ClusterView | None],
        report: Callable[[ProbeOutcome], None],
    ) -> None:
        self._prober = prober
        self._index = index
        self._probe = probe
        self._timeout_s = timeout_s
        self._view = view
        self._report = report
        self._sock: socket.socket | None = None
        self._deadline: Deadline | None = None
        self._started = 0.0
        self._query = b""

    def start(self) -> None:
        self._started = time.monotonic()
        self._attempt(self._begin)

    def _begin(self) -> None:
        view = self._view()
        if view is None:
            raise NoVerdict("the cluster holds nothing yet")
        host = source_host(view, self._probe)
        target = resolve(view, self._probe)
        if isinstance(target, str):
            self._look_up(view, host, target)
        else:
            self._connect(host, *target)

    def _attempt(self, call: Callable[[], None]) -> None:
        """Call it; end the probe without a verdict if it fails."""
        try:
            call()
        except NoVerdict as reason:
            self._finish(ProbeError(str(reason)), "")
        except Exception as error:  # noqa: BLE001 - one probe must not end the others
            self._finish(ProbeError(f"the probe failed: {error!r}"), "")

    # -------------------------------------------------------------- the name

    def _look_up(self, view: ClusterView, host: SourceHost, name: str) -> None:
        family = self._probe.family
        server = of_family(view.addresses.services[DNS_SERVICE], family)
        if server is None:
            raise NoVerdict(f"this cluster has no IPv{family}")
        self._query = query_for(name, family)
        self._set_deadline(lambda: self._finish(Verdict.DNS, f"no answer about {name}"))
        try:
            self._dial(host, server, 53, Protocol.UDP, lambda: self._read_dns_reply(host, name))
            self._send(self._query)
        except OSError as error:
            self._judge_lookup(name, error)

    def _read_dns_reply(self, host: SourceHost, name: str) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            found = read_answer(self._query, sock.recv(4096))
        except BlockingIOError:
            return
        except OSError as error:
            self._judge_lookup(name, error)
            return
        if found is None:
            return
        self._close()
        if isinstance(found, str):
            self._finish(Verdict.DNS, f"{name}: {found}")
        elif not found:
            self._finish(Verdict.DNS, f"{name}: no address of IPv{self._probe.family}")
        else:
            ip = found[0]
            self._attempt(lambda: self._connect(host, ip, self._probe.destination.port))

    def _judge_lookup(self, name: str, error: OSError) -> None:
        self._finish(outcome_of_lookup(_code(error)), f"{name}: {_error_text(_code(error))}")

    # -------------------------------------------------------------- the connection

    def _connect(self, host: SourceHost, ip: str, port: int) -> None:
        protocol = self._probe.destination.protocol
        udp = protocol is Protocol.UDP
        self._set_deadline(
            lambda: self._finish(Verdict.TIMEOUT, f"nothing in {self._timeout_s} s")
        )
        try:
            self._dial(host, ip, port, protocol, self._read_reply if udp else self._connected)
            if udp:
                self._send(b"who is there?")
        except OSError as error:
            self._judge(_code(error))

    def _dial(
        self, host: SourceHost, ip: str, port: int, protocol: Protocol, handler: Callable[[], None]
    ) -> None:
        """Open a socket at the source and point it at the target.

        Raises OSError where the network refuses, NoVerdict where there is no socket to use.
        """
        sock = _bound(host, family_of(ip), protocol)
        try:
            code = sock.connect_ex((ip, port))
            if code not in {0, errno.EINPROGRESS}:
                raise OSError(code, os.strerror(code))
            events = READABLE if protocol is Protocol.UDP else WRITABLE
            self._prober.loop.watch(sock.fileno(), events, handler)
        except OSError:
            sock.close()
            raise
        self._sock = sock

    def _send(self, data: bytes) -> None:
        if self._sock:
            self._sock.send(data)

    def _connected(self) -> None:
        if self._sock:
            self._judge(self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _read_reply(self) -> None:
        if self._sock is None:
            return
        try:
            self._sock.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._judge(_code(error))
        else:
            self._judge(0)

    # -------------------------------------------------------------- the end

    def _set_deadline(self, expired: Callable[[], None]) -> None:
        self._deadline = self._prober.loop.call_later(self._timeout_s, expired)

    def _judge(self, code: int) -> None:
        self._finish(outcome_of(code), _error_text(code))

    def _close(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
        if self._sock:
            self._prober.loop.unwatch(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _finish(self, outcome: Verdict | ProbeError, raw: str) -> None:
        self._close()
        ended = time.monotonic()
        self._prober.finished()
        self._report(ProbeOutcome(self._index, self._started, ended, outcome, raw))


def outcome_of(code: int) -> Verdict | ProbeError:
    """Return the outcome that an error number of a connection means; 0 is a connection."""
    verdict = _VERDICTS.get(code)
    return verdict or ProbeError(f"the probe's socket failed: {_error_text(code)}")


def outcome_of_lookup(code: int) -> Verdict | ProbeError:
    """Return the outcome that an error number of a DNS query means."""
    outcome = outcome_of(code)
    return outcome if isinstance(outcome, ProbeError) else Verdict.DNS


def _bound(host: SourceHost, family: Family, protocol: Protocol) -> socket.socket:
    """Return a socket of the source with a fresh port; moves the calling thread.

    Raises NoVerdict: what fails here fails on this machine, before any packet.
    """
    try:
        enter(host.netns)
        sock = _open(family, protocol)
    except OSError as error:
        raise NoVerdict(f"the probe has no socket: {_error_text(_code(error))}") from error
    try:
        host.source_ports.bind(sock)
    except OSError as error:
        sock.close()
        raise NoVerdict(f"the probe has no source port: {_error_text(_code(error))}") from error
    return sock


def _open(family: Family, protocol: Protocol) -> socket.socket:
    domain = socket.AF_INET6 if family is Family.V6 else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol is Protocol.UDP else socket.SOCK_STREAM
    number = socket.IPPROTO_SCTP if protocol is Protocol.SCTP else 0
    sock = socket.socket(domain, kind | socket.SOCK_NONBLOCK, number)
    if protocol is Protocol.UDP:
        return sock
    # A connection ends by a reset: no port waits in TIME_WAIT, and conntrack forgets it.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    return sock


def _code(error: OSError) -> int:
    return error.errno or errno.EINVAL


def _error_text(code: int) -> str:
    return f"{errno.errorcode.get(code, code)}: {os.strerror(code)}" if code else "connected"
