"""The keys of a scenario file: what keys there are and what their values may be.

One set of models both validates a file and generates the JSON Schema for editors.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from harness import catalogue
from harness.model import FEATURES, RESERVED_NAMESPACES
from harness.policy import selectors
from harness.policy.selectors import BadWord
from harness.scenario.reserved import RESERVED_HINT, RESERVED_PREFIX, reserved_fact
from harness.suggest import nearest_or_all

# ------------------------------------------------------------------ words with a syntax


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
        hint = f"{text}/... has a meaning of its own in tables; choose another name"
        raise _fault(f"a namespace cannot be called {text!r}", hint)
    if text.startswith("kube-"):
        hint = "names with kube- are the cluster's own; choose another name"
        raise _fault(f"a namespace cannot be called {text!r}", hint)
    return _dns_label(text)


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
    """A duration as written, in seconds."""
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
    if text not in FEATURES:
        hint = nearest_or_all(text, [*FEATURES, "nodes: 2"], "needs")
        raise _fault(f"{text!r} is nothing that a scenario can need", hint)
    return text


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise _fault(f"{text!r} is not an IP address", "like 10.10.0.5 or 2001:db8::5") from None


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


_Text = Annotated[str, AfterValidator(_sentence)]
_Name = Annotated[str, AfterValidator(_dns_label)]
_NamespaceName = Annotated[str, AfterValidator(_namespace)]
_ServiceName = Annotated[str, AfterValidator(_service)]
_Labels = dict[
    Annotated[str, AfterValidator(_own_label_key)], Annotated[str, AfterValidator(_label_value)]
]
_LabelChange = dict[
    Annotated[str, AfterValidator(_own_label_key)],
    Annotated[str, AfterValidator(_label_value)] | None,
]
_Number = Annotated[int, AfterValidator(_port_number)]
_PortName = Annotated[str, AfterValidator(_port_name)]
_Protocol = Literal["TCP", "UDP", "SCTP"]


def _by_shape(shapes: Mapping[type, str]) -> Discriminator:
    """Choose a union's member by the value's type, so that errors speak of one member only."""
    *_, last = shapes.values()

    def tag(value: object) -> str:
        if isinstance(value, bool):
            return last  # a bool is an int to Python, and none to YAML
        for kind, name in shapes.items():
            if isinstance(value, kind):
                return name
        return last

    return Discriminator(tag)


_PORT_SHAPES = {int: "<number>", str: "<text>", dict: "<mapping>"}


@dataclass(frozen=True, slots=True)
class Texts:
    """What an author reads about a key: an example, and what to write where it is missing."""

    example: str = ""
    missing: str = ""


_PORTS = Texts("ports: [80, 53/UDP]")
_LABELS = Texts("labels: {app: web}")
_TABLE = "expect: allowed, or `expect: |2` and a table below"


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)


class NamedPort(_Wire):
    """A container port in full."""

    port: Annotated[_Number, Texts(missing="port: a number")] = Field(
        description="The number it listens on, 1 to 65535."
    )
    name: _PortName | None = Field(None, description="A name, for policies and targetPorts.")
    protocol: _Protocol = "TCP"


_ContainerPort = Annotated[
    Annotated[_Number, Tag("<number>")]
    | Annotated[str, AfterValidator(_port_text), Tag("<text>")]
    | Annotated[NamedPort, Tag("<mapping>")],
    _by_shape(_PORT_SHAPES),
]


class PodWire(_Wire):
    """A pod that listens on its ports and nothing else."""

    labels: Annotated[_Labels, _LABELS] = Field(default_factory=dict)
    ports: Annotated[list[_ContainerPort], _PORTS] = Field(
        default_factory=list, description="80, 53/UDP or {name: web, port: 80, protocol: TCP}."
    )
    node: Annotated[int, AfterValidator(_node)] | None = Field(
        None, description="The worker it runs on, counted from 1."
    )
    host_network: bool = Field(False, alias="hostNetwork", description="On the node's network.")


class NamedServicePort(_Wire):
    """A port of a Service in full."""

    port: Annotated[_Number, Texts(missing="port: a number")]
    name: _PortName | None = None
    target_port: (
        Annotated[
            Annotated[_Number, Tag("<number>")] | Annotated[_PortName, Tag("<text>")],
            _by_shape({int: "<number>", str: "<text>"}),
        ]
        | None
    ) = Field(None, alias="targetPort", description="A number or the name of a container port.")
    protocol: _Protocol = "TCP"


_ServicePort = Annotated[
    Annotated[_Number, Tag("<number>")]
    | Annotated[str, AfterValidator(_port_text), Tag("<text>")]
    | Annotated[NamedServicePort, Tag("<mapping>")],
    _by_shape(_PORT_SHAPES),
]


class ServiceWire(_Wire):
    """A Service over pods of its namespace."""

    type: Literal["ClusterIP", "Headless", "NodePort"] = "ClusterIP"
    selector: Annotated[
        _Labels,
        Texts("selector: {app: web}", "selector: the labels of the pods, like {app: web}"),
    ] = Field(description="All of these labels.", min_length=1)
    ports: Annotated[list[_ServicePort], _PORTS] = Field(default_factory=list)
    external_traffic_policy: Literal["Cluster", "Local"] | None = Field(
        None, alias="externalTrafficPolicy", description="Of a NodePort Service."
    )


class NamespaceWire(_Wire):
    """A namespace with its pods and Services."""

    labels: Annotated[_Labels, _LABELS] = Field(default_factory=dict)
    pods: Annotated[dict[_Name, PodWire], Texts("pods: {client: {}}")] = Field(
        default_factory=dict
    )
    services: dict[_ServiceName, ServiceWire] = Field(default_factory=dict)


_IpAddress = Annotated[str, AfterValidator(_address)]


class ExternalWire(_Wire):
    """A host outside of the cluster."""

    ip: Annotated[
        Annotated[_IpAddress, Tag("<text>")]
        | Annotated[list[_IpAddress], Field(min_length=1, max_length=2), Tag("<list>")],
        _by_shape({list: "<list>", str: "<text>"}),
        Texts(missing="ip: an address like 10.10.0.5"),
    ] = Field(description="An address, or a list of one for each family.")
    ports: Annotated[list[_ContainerPort], _PORTS] = Field(default_factory=list)
    names: list[Annotated[str, AfterValidator(_absolute_name)]] = Field(
        default_factory=list, description="Its absolute DNS names."
    )


_NetworkText = Annotated[str, AfterValidator(_network)]
_NetworkTexts = Annotated[
    Annotated[_NetworkText, Tag("<text>")]
    | Annotated[list[_NetworkText], Field(min_length=1, max_length=2), Tag("<list>")],
    _by_shape({list: "<list>", str: "<text>"}),
]


class NetworksWire(_Wire):
    """Address ranges of the cluster; each is one range, or a list of one for each family."""

    pods: _NetworkTexts | None = Field(None, description="Where pods have their addresses.")
    services: _NetworkTexts | None = Field(None, description="Where ClusterIPs are allocated.")
    nodes: _NetworkTexts | None = Field(None, description="Where nodes have their addresses.")


class OracleWire(_Wire):
    """A wish not to compare the tables with what the policies say."""

    off: Annotated[_Text, Texts(missing="oracle: {off: the reason}")] = Field(
        description="The reason."
    )


_Manifest = Annotated[
    Annotated[str, Tag("<path>")] | Annotated[dict[str, Any], Tag("<object>")],
    _by_shape({str: "<path>", dict: "<object>"}),
]
_Duration = Annotated[
    Annotated[int, AfterValidator(_not_negative), Tag("<number>")]
    | Annotated[float, AfterValidator(_not_negative), Tag("<fraction>")]
    | Annotated[str, AfterValidator(_duration), Tag("<text>")],
    _by_shape({int: "<number>", float: "<fraction>", str: "<text>"}),
]


class StepWire(_Wire):
    """Changes, and what is reachable after them."""

    step: Annotated[
        str, AfterValidator(_step_title), Texts(missing="step: a sentence that names it")
    ] = Field(description="The step's name, a sentence.")
    namespace: str | None = Field(None, description="Of the step's manifests that name none.")
    apply: Annotated[list[_Manifest], Texts("apply: [policies/a.yaml]")] = Field(
        default_factory=list, description="Paths beside the scenario file, or objects inline."
    )
    delete: Annotated[list[str], Texts("delete: [NetworkPolicy/db/db-policy]")] = Field(
        default_factory=list, description="Kind/namespace/name or Namespace/name."
    )
    create: dict[_NamespaceName, NamespaceWire] = Field(
        default_factory=dict, description="More topology."
    )
    label: Annotated[dict[str, _LabelChange], Texts("label: {app1/client: {app: client}}")] = (
        Field(
            default_factory=dict,
            description="app1/client: {app: client} or ns/app1: {team: blue}; null removes a label.",
        )
    )
    restart: Annotated[list[str], Texts("restart: [app1/client]")] = Field(
        default_factory=list, description="Pods: ns/pod."
    )
    refused: list[_Manifest] = Field(
        default_factory=list, description="Manifests that the API server must refuse."
    )
    settle: _Duration | None = Field(None, description="How long it may take to become right.")
    hold: _Duration | None = Field(None, description="How long it must then stay right.")
    never_allowed: dict[str, _Text] = Field(
        default_factory=dict,
        alias="never-allowed",
        description='"SOURCE -> DESTINATION": why they cannot connect in this step.',
    )
    expect: Annotated[str, Texts(_TABLE, _TABLE)] = Field(
        description="One word, or a table behind '|2'."
    )


class NodesNeeded(_Wire):
    """Worker nodes that must be there."""

    nodes: Annotated[int, AfterValidator(_node), Texts(missing="nodes: 2")]


_Need = Annotated[
    Annotated[str, AfterValidator(_feature), Tag("<text>")]
    | Annotated[NodesNeeded, Tag("<mapping>")],
    _by_shape({str: "<text>", dict: "<mapping>"}),
]


def _only_ipv4() -> list[Literal[4, 6]]:
    return [4]


class ScenarioWire(_Wire):
    """A topology, and steps that change something and state a truth table."""

    scenario: Annotated[str, AfterValidator(_title), Texts(missing="scenario: its title")] = Field(
        description="Its title."
    )
    why: Annotated[_Text, Texts(missing="why: one or two sentences that say what it shows")] = (
        Field(description="What it shows, in one or two sentences.")
    )
    covers: Annotated[
        list[Annotated[str, AfterValidator(_requirement_id)]], Texts("covers: [R38, R39]")
    ] = Field(
        default_factory=list, description="Requirements: docs/requirements.md lists the ids."
    )
    catches: Annotated[
        list[Annotated[str, AfterValidator(_defect_id)]], Texts("catches: [B15]")
    ] = Field(default_factory=list, description="Known defects: docs/defects.md lists the ids.")
    needs: Annotated[list[_Need], Texts("needs: [endport]")] = Field(
        default_factory=list, description="What it needs beyond what the file shows by itself."
    )
    families: Annotated[list[Literal[4, 6]], Texts("families: [4, 6]")] = Field(
        default_factory=_only_ipv4, min_length=1, description="IP families: 4, 6 or both."
    )
    exact_names: bool = Field(
        False, alias="exact names", description="Namespaces get exactly these names."
    )
    externals: dict[_Name, ExternalWire] = Field(
        default_factory=dict, description="Hosts outside of the cluster."
    )
    networks: Annotated[NetworksWire | None, Texts("networks: {pods: 10.244.0.0/16}")] = Field(
        None, description="The cluster's address ranges, where the scenario depends on them."
    )
    topology: Annotated[
        dict[_NamespaceName, NamespaceWire],
        Texts(missing="topology: {app1: {pods: {client: {}}}}"),
    ] = Field(description="Namespaces.", min_length=1)
    never_allowed: dict[str, _Text] = Field(
        default_factory=dict,
        alias="never-allowed",
        description='"SOURCE -> DESTINATION": why they cannot connect even without policies.',
    )
    oracle: OracleWire | None = None
    proves: Literal["nothing-changes"] | None = None
    steps: Annotated[list[StepWire], Texts(missing="steps: a list of at least one step")] = Field(
        min_length=1, max_length=1_000
    )


def json_schema() -> str:
    """The JSON Schema of scenario files, as text."""
    document = ScenarioWire.model_json_schema(by_alias=True)
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "A scenario of the NetworkPolicy harness"
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
