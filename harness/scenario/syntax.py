"""Words with a syntax: what the texts and numbers of a scenario file may be.

Each is a type for pydantic. Its check returns the value as it is used, or raises a fault that
pydantic reports with its place.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from harness import catalogue
from harness.model import FEATURES, ON_REQUEST, RESERVED_NAMESPACES
from harness.policy import selectors
from harness.policy.selectors import BadWord
from harness.scenario.reserved import RESERVED_HINT, RESERVED_PREFIX, reserved_fact
from harness.suggest import nearest_or_all


def _fault(message: str, hint: str) -> PydanticCustomError:
    template = "{message}"  # noqa: RUF027  # pydantic fills it in
    return PydanticCustomError("fault", template, {"message": message, "hint": hint})


def _refuse(bad: BadWord | None) -> None:
    if bad is not None:
        raise _fault(bad.fact, bad.hint)


def _dns_label(text: str) -> str:
    _refuse(selectors.dns_label(text))
    return text


def _namespace(text: str) -> str:
    if text in RESERVED_NAMESPACES:
        hint = f"{text}/... means something else in tables; choose another name"
        raise _fault(f"a namespace cannot be called {text!r}", hint)
    if text.startswith("kube-"):
        hint = "names with kube- are the cluster's own; choose another name"
        raise _fault(f"a namespace cannot be called {text!r}", hint)
    return _dns_label(text)


def _pod(text: str) -> str:
    _refuse(selectors.dns_subdomain(text))
    return text


def _date(text: str) -> str:
    hint = "year-month-day, like 2026-01-31"
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        with contextlib.suppress(ValueError):
            return datetime.date.fromisoformat(text).isoformat()
    raise _fault(f"{text!r} is not a day", hint)


def _every(text: str) -> str:
    if text != "all":
        hint = f"write `policies: all`, or names: `policies: [{text}]`"
        raise _fault(f"policies {text!r} is not a list", hint)
    return text


def _service(text: str) -> str:
    _dns_label(text)
    if text[0].isdigit():
        raise _fault(f"the Service name {text!r} begins with a digit", "begin it with a letter")
    return text


def _own_label_key(text: str) -> str:
    if text.startswith(RESERVED_PREFIX):
        raise _fault(reserved_fact(text), RESERVED_HINT)
    return _label_key(text)


def _label_key(text: str) -> str:
    _refuse(selectors.label_key(text))
    return text


def _label_value(text: str) -> str:
    _refuse(selectors.label_value(text))
    return text


def _port_name(text: str) -> str:
    _refuse(selectors.port_name(text))
    return text


def _port_number(number: int) -> int:
    _refuse(selectors.port_number(number))
    return number


_PORT_TEXT = re.compile(r"([0-9]{1,9})/([A-Za-z]+)")


def _port_text(text: str) -> str:
    found = _PORT_TEXT.fullmatch(text)
    if not found:
        raise _fault(f"{text!r} is not a port", "write 80, 53/UDP or {name: web, port: 80}")
    if found[2] not in {"TCP", "UDP", "SCTP"}:
        near = nearest_or_all(found[2], ("TCP", "UDP", "SCTP"), "protocols")
        raise _fault(f"the protocol {found[2]!r} is not known", near)
    _port_number(int(found[1]))
    return text


def _node(number: int) -> int:
    if not 1 <= number <= 9:
        raise _fault(f"node {number} is out of range", "workers are counted 1 to 9")
    return number


_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s)?")


def _duration(text: str) -> str:
    if not _DURATION.fullmatch(text):
        raise _fault(f"{text!r} is not a time", "write seconds: 60, 60s, 0.5 or 500ms")
    return text


def seconds(value: float | str) -> float:
    """Return a duration as written, in seconds."""
    found = _DURATION.fullmatch(str(value))
    if found is None:  # a number, which may be beyond what the pattern holds
        return float(value)
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def _not_negative(number: float) -> float:
    if number < 0:
        raise _fault(f"{number} seconds are less than none", "write 0 or more")
    return number


def _requirement_id(text: str) -> str:
    if text not in catalogue.requirements():
        hint = "docs/requirements.md lists them"
        raise _fault(f"{text!r} is not the id of a requirement", hint)
    return text


def _defect_id(text: str) -> str:
    if text not in catalogue.defects():
        raise _fault(f"{text!r} is not the id of a defect", "docs/defects.md lists them")
    return text


def _feature(text: str) -> str:
    if text not in {*FEATURES, *ON_REQUEST}:
        hint = nearest_or_all(text, [*FEATURES, *ON_REQUEST, "nodes: 2"], "needs")
        raise _fault(f"{text!r} is nothing that a scenario can need", hint)
    return text


def _step_feature(text: str) -> str:
    if text in ON_REQUEST:
        hint = "write it in the `needs` of the scenario"
        raise _fault(f"{text!r} cannot be the need of one step", hint)
    if text not in FEATURES:
        hint = nearest_or_all(text, FEATURES, "needs")
        raise _fault(f"{text!r} is not a known need", hint)
    return text


def _address(text: str) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise _fault(f"{text!r} is not an IP address", "like 10.10.0.5 or 2001:db8::5") from None
    # Python prints an IPv4 address in IPv6 form in hexadecimal before 3.13.
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return f"::ffff:{mapped}" if mapped else str(found)


def _network(text: str) -> str:
    hint = "like 10.244.0.0/16 or fd00:10::/48"
    if "/" in text:
        with contextlib.suppress(ValueError):
            found = ipaddress.ip_network(text, strict=False)
            if str(found.network_address) == str(ipaddress.ip_address(text.split("/")[0])):
                return str(found)
            hint = str(found)
    raise _fault(f"{text!r} is not a network in CIDR notation", hint)


def _absolute_name(text: str) -> str:
    labels = text.removesuffix(".").split(".")
    if len(text) > 253 or any(map(selectors.dns_label, labels)):
        raise _fault(f"{text!r} is not a DNS name", "like api.example.com, in lower case")
    if len(labels) < 2:
        raise _fault(f"{text!r} is not an absolute name", "like api.example.com")
    return text.removesuffix(".")


def _sentence(text: str) -> str:
    if not text.strip():
        raise _fault("the text is empty", "say in a few words what it is about")
    return text


def _title(text: str) -> str:
    odd = next((sign for sign in text if not sign.isprintable()), None)
    if odd is not None:
        raise _fault(
            f"a title is one printable line, and this one holds U+{ord(odd):04X}", "remove it"
        )
    return _sentence(text)


def _step_title(text: str) -> str:
    if "::" in text:
        raise _fault("pytest cannot address a name that holds '::'", "use a single ':'")
    if text != text.strip():
        raise _fault("the name begins or ends with a space", "remove it")
    return _title(text)


Text = Annotated[str, AfterValidator(_sentence)]
Title = Annotated[str, AfterValidator(_title)]
StepTitle = Annotated[str, AfterValidator(_step_title)]
Name = Annotated[str, AfterValidator(_dns_label)]
Date = Annotated[str, AfterValidator(_date)]
EveryPolicy = Annotated[
    str, AfterValidator(_every), WithJsonSchema({"const": "all", "type": "string"})
]
PodName = Annotated[str, AfterValidator(_pod)]
NamespaceName = Annotated[str, AfterValidator(_namespace)]
ServiceName = Annotated[str, AfterValidator(_service)]
LabelKey = Annotated[str, AfterValidator(_own_label_key)]
LabelValue = Annotated[str, AfterValidator(_label_value)]
PortNumber = Annotated[int, AfterValidator(_port_number)]
PortName = Annotated[str, AfterValidator(_port_name)]
PortText = Annotated[str, AfterValidator(_port_text)]
NodeNumber = Annotated[int, AfterValidator(_node)]
DurationText = Annotated[str, AfterValidator(_duration)]
WholeSeconds = Annotated[int, AfterValidator(_not_negative)]
Seconds = Annotated[float, AfterValidator(_not_negative)]
Feature = Annotated[str, AfterValidator(_feature)]
StepFeature = Annotated[str, AfterValidator(_step_feature)]
RequirementId = Annotated[str, AfterValidator(_requirement_id)]
DefectId = Annotated[str, AfterValidator(_defect_id)]
IpAddress = Annotated[str, AfterValidator(_address)]
NetworkRange = Annotated[str, AfterValidator(_network)]
AbsoluteName = Annotated[str, AfterValidator(_absolute_name)]
