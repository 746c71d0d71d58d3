"""The servers: the ports of pods and outside hosts, and the DNS server."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.cluster.netns.kernel import enter
from harness.cluster.netns.loop import READABLE, Loop
from harness.errors import ClusterError
from harness.model import ContainerPort, Protocol

_BACKLOG = 4096
_ANSWERS_AT_ONCE = 64
_DNS_TIMEOUT_S = 5.0

Answer = Callable[[bytes], bytes]
"""Returns the answer to a request."""


@dataclass(frozen=True, slots=True)
class Server:
    """Ports to be served at some addresses of a network namespace.

    TCP and SCTP connections are accepted and closed, datagrams are answered; with
    ``dns_over_tcp`` a TCP connection is a DNS connection.
    """

    netns: int
    addresses: tuple[str, ...]
    ports: tuple[ContainerPort, ...]
    answer: Answer = lambda _: b"here"
    dns_over_tcp: bool = False


def listen(loop: Loop, server: Server, owner: str) -> tuple[socket.socket, ...]:
    """Serve; moves the calling thread, which must not be the loop's.

    Raises ClusterError where a port of the node is already taken by another pod.
    """
    opened: list[tuple[socket.socket, Callable[[], None]]] = []
    enter(server.netns)
    try:
        for port in server.ports:
            for address in server.addresses:
                sock = _open(address, port)
                opened.append((sock, _handler(loop, server, port.protocol, sock)))
    except OSError as error:
        for sock, _ in opened:
            sock.close()
        raise ClusterError(
            f"{owner} cannot serve its ports: {error.strerror}",
            hint="pods with hostNetwork share the ports of their node",
        ) from error

    def serve() -> None:
        for sock, handler in opened:
            loop.watch(sock.fileno(), READABLE, handler)

    loop.call_and_wait(serve)
    return tuple(sock for sock, _ in opened)


def stop_listening(loop: Loop, sockets: Iterable[socket.socket]) -> None:
    """Stop serving; returns when nothing answers any more. Not for the loop's thread."""

    def stop() -> None:
        for sock in sockets:
            loop.unwatch(sock.fileno())
            sock.close()

    loop.call_and_wait(stop)


def _open(address: str, port: ContainerPort) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if port.protocol is Protocol.UDP else socket.SOCK_STREAM
    number = socket.IPPROTO_SCTP if port.protocol is Protocol.SCTP else 0
    sock = socket.socket(family, kind, number)
    try:
        sock.setblocking(False)
        if port.protocol is not Protocol.UDP:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port.number))
        if port.protocol is not Protocol.UDP:
            sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _handler(
    loop: Loop, server: Server, protocol: Protocol, sock: socket.socket
) -> Callable[[], None]:
    if protocol is Protocol.UDP:
        return lambda: _answer_datagrams(sock, server.answer)
    if server.dns_over_tcp:
        return lambda: _accept(sock, lambda conn: _DnsConnection(loop, conn, server.answer))
    return lambda: _accept(sock, socket.socket.close)


def _answer_datagrams(sock: socket.socket, answer: Answer) -> None:
    for _ in range(_ANSWERS_AT_ONCE):
        try:
            query, client = sock.recvfrom(4096)
        except BlockingIOError:
            return
        except OSError:
            continue  # an ICMP error about an earlier answer
        try:
            sock.sendto(answer(query), client)
        except OSError:
            continue  # the client is gone, or policy denies the answer


def _accept(sock: socket.socket, handle: Callable[[socket.socket], object]) -> None:
    for _ in range(_ANSWERS_AT_ONCE):
        try:
            connection, _ = sock.accept()
        except BlockingIOError:
            return
        except OSError:
            continue  # the client has given up already
        handle(connection)


class _DnsConnection:
    """One TCP connection to the DNS server: one query, one answer."""

    def __init__(self, loop: Loop, connection: socket.socket, answer: Answer) -> None:
        self._loop = loop
        self._connection = connection
        self._answer = answer
        self._received = b""
        connection.setblocking(False)
        loop.watch(connection.fileno(), READABLE, self._read)
        self._deadline = loop.call_later(_DNS_TIMEOUT_S, self._end)

    def _read(self) -> None:
        try:
            received = self._connection.recv(4096)
        except OSError:
            received = b""
        self._received += received
        if not received:
            self._end()
        elif len(self._received) >= 2:
            (length,) = struct.unpack_from("!H", self._received)
            if len(self._received) >= 2 + length:
                self._reply(self._received[2 : 2 + length])

    def _reply(self, query: bytes) -> None:
        answer = self._answer(query)
        with contextlib.suppress(OSError):  # the client is gone
            self._connection.send(struct.pack("!H", len(answer)) + answer)
        self._end()

    def _end(self) -> None:
        self._deadline.cancel()
        self._loop.unwatch(self._connection.fileno())
        self._connection.close()
