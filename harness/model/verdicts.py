"""What a probe may say, and how a CNI denies."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal


class Protocol(enum.StrEnum):
    """A transport protocol, as NetworkPolicyPort spells it."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class Family(enum.IntEnum):
    """An IP family."""

    V4 = 4
    V6 = 6


class Verdict(enum.Enum):
    """What a probe said, in ``agnhost connect``'s own words."""

    ALLOWED = "allowed"
    TIMEOUT = "TIMEOUT"
    REFUSED = "REFUSED"
    DNS = "DNS"
    OTHER = "OTHER"

    def __str__(self) -> str:
        return self.value


DeniesBy = Literal["drop", "reject"]
"""How a CNI denies: it drops packets, or it rejects them."""


def denials(denies_by: DeniesBy) -> frozenset[Verdict]:
    """Return the verdicts that a policy can cause, on a cluster that denies this way.

    A CNI that rejects gives TIMEOUT too, where the kernel limits the rate of ICMP.
    """
    dropped = frozenset({Verdict.TIMEOUT, Verdict.DNS})
    return dropped | {Verdict.REFUSED} if denies_by == "reject" else dropped


@dataclass(frozen=True, slots=True)
class ProbeError:
    """Why a probe gave no verdict. Never a denial."""

    message: str

    def __str__(self) -> str:
        return f"no verdict: {self.message}"
