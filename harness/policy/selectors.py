"""What the rules of a policy are made of, and the syntax of the words in them.

Values only: nothing here matches a label or an address.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.model import Protocol

# ------------------------------------------------------------------ values


class Direction(enum.StrEnum):
    """A direction as seen from the selected pod, as ``policyTypes`` spells it (R11)."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


class Operator(enum.StrEnum):
    """How a requirement compares a label's value (R43)."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a label selector; ``values`` is empty for Exists and DoesNotExist."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"
            case Operator.IN if len(self.values) == 1:
                return f"{self.key}={self.values[0]}"
            case Operator.IN:
                return f"{self.key} in ({', '.join(self.values)})"
            case Operator.NOT_IN:
                return f"{self.key} notin ({', '.join(self.values)})"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Requirements that must all hold (R40); a selector without any matches everything (R41)."""

    requirements: tuple[Requirement, ...] = ()

    def __str__(self) -> str:
        return ",".join(str(term) for term in self.requirements) or "<all>"


@dataclass(frozen=True, slots=True)
class IPBlock:
    """The addresses of ``cidr`` without those of ``excepts`` (R31); host bits may be set.

    Each is a CIDR, or a ``placeholder`` until a cluster fills it in.
    """

    cidr: str
    excepts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.cidr} except {', '.join(self.excepts)}" if self.excepts else self.cidr


@dataclass(frozen=True, slots=True)
class PolicyPort:
    """A port of a rule: any (None), a number, a name, or ``port`` to ``end_port`` (R25-R28)."""

    protocol: Protocol = Protocol.TCP
    port: int | str | None = None
    end_port: int | None = None

    def __str__(self) -> str:
        if self.port is None:
            return f"{self.protocol} any"
        last = "" if self.end_port is None else f"-{self.end_port}"
        return f"{self.protocol} {self.port}{last}"


def label_selector(selector: Mapping[str, Any] | None) -> LabelSelector | None:
    """Return the values of a selector in which nothing is wrong; None if there is none."""
    if selector is None:
        return None
    labels = selector.get("matchLabels") or {}
    equal = [Requirement(key, Operator.IN, (value,)) for key, value in labels.items()]
    terms = [
        Requirement(term["key"], Operator(term["operator"]), tuple(term.get("values") or ()))
        for term in selector.get("matchExpressions") or ()
    ]
    return LabelSelector((*equal, *terms))


# ------------------------------------------------------------------ the syntax of words


@dataclass(frozen=True, slots=True)
class BadWord:
    """Why a word breaks its syntax, and what is possible."""

    fact: str
    hint: str


LONGEST_SUBDOMAIN = 253
LONGEST_PORT_NAME = 15
LAST_PORT = 65535

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
PORT_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

_FIRST_AND_LAST = "the first and last a letter or digit"
_LABEL_HINT = f"at most 63 letters, digits, '-', '_', '.'; {_FIRST_AND_LAST}"


def dns_label(text: str) -> BadWord | None:
    """Check the name of a namespace, a pod or a Service (RFC 1123 label)."""
    if DNS_LABEL.fullmatch(text):
        return None
    hint = f"at most 63 lower-case letters, digits and '-'; {_FIRST_AND_LAST}"
    return BadWord(f"{text!r} is not a valid name", hint)


def dns_subdomain(text: str) -> BadWord | None:
    """Check the name of any other object (RFC 1123 subdomain)."""
    if len(text) <= LONGEST_SUBDOMAIN and DNS_SUBDOMAIN.fullmatch(text):
        return None
    hint = (
        f"at most {LONGEST_SUBDOMAIN} lower-case letters, digits, '-' and '.'; {_FIRST_AND_LAST}"
    )
    return BadWord(f"{text!r} is not a valid name", hint)


def label_key(text: str) -> BadWord | None:
    """Check the key of a label, which may begin with a DNS name and a slash."""
    prefix, slash, name = text.rpartition("/")
    if LABEL_WORD.fullmatch(name) and not (slash and dns_subdomain(prefix)):
        return None
    hint = f"{_LABEL_HINT}; an optional prefix is a DNS name and '/'"
    return BadWord(f"{text!r} is not a valid label key", hint)


def label_value(text: str) -> BadWord | None:
    """Check the value of a label, which may be empty."""
    if not text or LABEL_WORD.fullmatch(text):
        return None
    return BadWord(f"{text!r} is not a valid label value", _LABEL_HINT)


def port_name(text: str) -> BadWord | None:
    """Check the name of a container port (an IANA service name)."""
    if (
        len(text) <= LONGEST_PORT_NAME
        and PORT_NAME.fullmatch(text)
        and not text.replace("-", "").isdecimal()
    ):
        return None
    signs = "lower-case letters, digits and single '-', with a letter in it"
    hint = f"at most {LONGEST_PORT_NAME} {signs}"
    if text.isdecimal():
        hint = f"a port number is written without quotes: {text}"
    return BadWord(f"{text!r} is not a valid port name", hint)


def port_number(number: int, key: str = "port") -> BadWord | None:
    """Check the number of a port that stands at ``key``."""
    if 1 <= number <= LAST_PORT:
        return None
    return BadWord(f"{key} {number} is out of range", f"a port is 1 to {LAST_PORT}")
