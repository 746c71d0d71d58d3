"""What the embedded cluster's probes make of errors, without a network."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from itertools import islice, pairwise

import pytest

from harness.cluster.netns.loop import Loop
from harness.cluster.netns.prober import (
    ProbeOutcome,
    Prober,
    outcome_of,
    outcome_of_lookup,
)
from harness.cluster.netns.view import ClusterView, SourcePorts
from harness.model import Destination, PodRef, Probe, ProbeError, Verdict

NETWORK = {
    0: Verdict.ALLOWED,
    errno.ECONNREFUSED: Verdict.REFUSED,
    errno.ETIMEDOUT: Verdict.TIMEOUT,
    errno.EHOSTUNREACH: Verdict.OTHER,
    errno.ENETUNREACH: Verdict.OTHER,
    errno.EHOSTDOWN: Verdict.OTHER,
    errno.ENONET: Verdict.OTHER,
    errno.EACCES: Verdict.OTHER,
    errno.EPERM: Verdict.OTHER,
    errno.EMSGSIZE: Verdict.OTHER,
    errno.ENOPROTOOPT: Verdict.OTHER,
    errno.EOPNOTSUPP: Verdict.OTHER,
    errno.EPROTO: Verdict.OTHER,
    errno.ECONNRESET: Verdict.OTHER,
    errno.ECONNABORTED: Verdict.OTHER,
}


@pytest.mark.parametrize("code", NETWORK)
def test_an_error_of_the_network_is_a_verdict(code: int) -> None:
    assert outcome_of(code) is NETWORK[code]
    assert outcome_of_lookup(code) is Verdict.DNS


@pytest.mark.parametrize("code", sorted(set(errno.errorcode) - set(NETWORK)))
def test_every_other_error_is_no_verdict(code: int) -> None:
    """EMFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, ...: nothing about the network."""
    word = f"{errno.errorcode[code]}: {os.strerror(code)}"
    assert outcome_of(code) == ProbeError(f"the probe's socket failed: {word}")
    assert outcome_of_lookup(code) == outcome_of(code)


class OneTurn(Loop):
    """A loop that calls at once what is due soon."""

    def call_soon(self, call: Callable[[], None]) -> None:
        call()


def test_an_error_before_the_first_packet_is_no_verdict() -> None:
    def exhausted() -> ClusterView | None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    found: list[ProbeOutcome] = []
    probe = Probe(PodRef("a", "b"), Destination(PodRef("a", "c"), 80))
    Prober(OneTurn(), 8).start([probe], 1.0, exhausted, found.append)
    (outcome,) = found
    assert outcome.outcome == ProbeError("the probe failed: OSError(24, 'Too many open files')")


class Ports(socket.socket):
    """Notes where it is bound; some ports are taken, or the machine is out of something."""

    def __init__(self, taken: set[int], fails: int | None = None) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.bound: list[int] = []
        self._taken = taken
        self._fails = fails

    def bind(self, address: tuple[str, int]) -> None:  # type: ignore[override]
        if self._fails or address[1] in self._taken:
            raise OSError(self._fails or errno.EADDRINUSE, "no")
        self.bound.append(address[1])


def test_a_source_port_is_not_used_again_before_all_others_were() -> None:
    ports = SourcePorts()
    with Ports({33005}) as sock:
        for _ in range(33000, 65000):
            ports.bind(sock)
    assert sock.bound[:7] == [33000, 33001, 33002, 33003, 33004, 33006, 33007]
    first_round = list(islice(sock.bound, 31_999))
    assert len(set(first_round)) == len(first_round)
    assert all(one < other for one, other in pairwise(first_round))
    assert sock.bound[-1] == 33000


def test_a_port_that_cannot_be_had_is_an_error() -> None:
    with Ports(set(), errno.EADDRNOTAVAIL) as sock, pytest.raises(OSError, match="no") as refused:
        SourcePorts().bind(sock)
    assert refused.value.errno == errno.EADDRNOTAVAIL
    with (
        Ports(set(range(33000, 65000))) as sock,
        pytest.raises(OSError, match="in use") as refused,
    ):
        SourcePorts().bind(sock)
    assert refused.value.errno == errno.EADDRINUSE
