"""The keys of scenario and fixture files: what keys there are and what their values may be.

One set of models both validates a file and generates the JSON Schema for editors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from harness.model import ContainerPort, Protocol, ServicePort
from harness.scenario.syntax import (
    AbsoluteName,
    Date,
    DefectId,
    DurationText,
    EveryPolicy,
    Feature,
    IpAddress,
    LabelKey,
    LabelValue,
    Name,
    NamespaceName,
    NetworkRange,
    NodeNumber,
    PodName,
    PortName,
    PortNumber,
    PortText,
    RequirementId,
    Seconds,
    ServiceName,
    StepFeature,
    StepTitle,
    Text,
    Title,
    WholeSeconds,
)

_Labels = dict[LabelKey, LabelValue]
_LabelChange = dict[
    LabelKey,
    LabelValue | None,
]
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


_PORT_SHAPES = {int: "\0number", str: "\0text", dict: "\0mapping"}


@dataclass(frozen=True, slots=True)
class Texts:
    """What an author reads about a key: an example, and what to write where it is missing."""

    example: str = ""
    missing: str = ""


_PORTS = Texts("ports: [80, 53/UDP]")
_LABELS = Texts("labels: {app: web}")
_TABLE = "expect: allowed, or `expect: |2` and a table below"


class _Wire(BaseModel):
    # A model that others contain is built within them, and those of fixtures are often not used.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, populate_by_name=False, defer_build=True
    )


class NamedPort(_Wire):
    """A container port with its name and protocol."""

    port: Annotated[PortNumber, Texts(missing="port: a number")] = Field(
        description="The number it listens on, 1 to 65535."
    )
    name: PortName | None = Field(None, description="A name, for policies and targetPorts.")
    protocol: _Protocol = "TCP"


_ContainerPort = Annotated[
    Annotated[PortNumber, Tag("\0number")]
    | Annotated[PortText, Tag("\0text")]
    | Annotated[NamedPort, Tag("\0mapping")],
    _by_shape(_PORT_SHAPES),
]


class PodWire(_Wire):
    """A pod; it listens only on its ports."""

    labels: Annotated[_Labels, _LABELS] = Field(default_factory=dict)
    ports: Annotated[list[_ContainerPort], _PORTS] = Field(
        default_factory=list, description="80, 53/UDP or {name: web, port: 80, protocol: TCP}."
    )
    node: NodeNumber | None = Field(None, description="The number of its worker node, from 1.")
    host_network: bool = Field(False, alias="hostNetwork", description="Use the node's network.")
    completes: bool = Field(False, description="It runs to its end; its object stays.")
    readiness: Literal["http", "tcp", "exec"] | None = Field(
        None, description="How the kubelet probes its first TCP port, all the time."
    )


class NamedServicePort(_Wire):
    """A port of a Service with all its fields."""

    port: Annotated[PortNumber, Texts(missing="port: a number")]
    name: PortName | None = None
    target_port: (
        Annotated[
            Annotated[PortNumber, Tag("\0number")] | Annotated[PortName, Tag("\0text")],
            _by_shape({int: "\0number", str: "\0text"}),
        ]
        | None
    ) = Field(None, alias="targetPort", description="A number or the name of a container port.")
    protocol: _Protocol = "TCP"


_ServicePort = Annotated[
    Annotated[PortNumber, Tag("\0number")]
    | Annotated[PortText, Tag("\0text")]
    | Annotated[NamedServicePort, Tag("\0mapping")],
    _by_shape(_PORT_SHAPES),
]


class ServiceWire(_Wire):
    """A Service for pods of its namespace."""

    type: Literal["ClusterIP", "Headless", "NodePort"] = "ClusterIP"
    selector: Annotated[
        _Labels,
        Texts("selector: {app: web}", "selector: the labels of the pods, like {app: web}"),
    ] = Field(description="Labels of its pods; all must match.", min_length=1)
    ports: Annotated[list[_ServicePort], _PORTS] = Field(default_factory=list)
    external_traffic_policy: Literal["Cluster", "Local"] | None = Field(
        None, alias="externalTrafficPolicy", description="Only for NodePort Services."
    )


class NamespaceWire(_Wire):
    """A namespace with its pods and Services."""

    labels: Annotated[_Labels, _LABELS] = Field(default_factory=dict)
    pods: Annotated[dict[PodName, PodWire], Texts("pods: {client: {}}")] = Field(
        default_factory=dict
    )
    services: dict[ServiceName, ServiceWire] = Field(default_factory=dict)


class ExternalWire(_Wire):
    """A host outside the cluster."""

    ip: Annotated[
        Annotated[IpAddress, Tag("\0text")]
        | Annotated[list[IpAddress], Field(min_length=1, max_length=2), Tag("\0list")],
        _by_shape({list: "\0list", str: "\0text"}),
        Texts(missing="ip: an address like 10.10.0.5"),
    ] = Field(description="An address, or a list with one for each IP family.")
    ports: Annotated[list[_ContainerPort], _PORTS] = Field(default_factory=list)
    names: list[AbsoluteName] = Field(default_factory=list, description="Its absolute DNS names.")


_NetworkTexts = Annotated[
    Annotated[NetworkRange, Tag("\0text")]
    | Annotated[list[NetworkRange], Field(min_length=1, max_length=2), Tag("\0list")],
    _by_shape({list: "\0list", str: "\0text"}),
]


class NetworksWire(_Wire):
    """Address ranges of the cluster: each is a range, or a list with one for each IP family."""

    pods: _NetworkTexts | None = Field(None, description="The range of pod IPs.")
    services: _NetworkTexts | None = Field(None, description="The range of ClusterIPs.")
    nodes: _NetworkTexts | None = Field(None, description="The range of node IPs.")


class ManifestsWire(_Wire):
    """An application's manifests, and how they are read."""

    paths: Annotated[list[str], Texts("paths: [k8s/]", "paths: [k8s/]")] = Field(
        description="Files and folders with manifests, relative to this file.", min_length=1
    )
    namespace: Name = Field("default", description="The namespace of objects that name none.")
    without: Annotated[list[str], Texts("without: [shop/load-generator]")] = Field(
        default_factory=list,
        description="Workloads that get no pods, like shop/web; * stands for any text.",
    )


_Manifests = Annotated[
    Annotated[ManifestsWire, Tag("\0mapping")]
    | Annotated[list[str], Field(min_length=1), Tag("\0list")],
    _by_shape({dict: "\0mapping", list: "\0list"}),
]
_MANIFESTS = Texts("manifests: [k8s/]")
_MANIFESTS_TEXT = (
    "Files and folders with an application's manifests: its pods, Services, policies."
)


class OracleWire(_Wire):
    """Skips the comparison of the tables with the oracle."""

    off: Annotated[Text, Texts(missing="oracle: {off: the reason}")] = Field(
        description="The reason."
    )


_Manifest = Annotated[
    Annotated[str, Tag("\0path")] | Annotated[dict[str, Any], Tag("\0object")],
    _by_shape({str: "\0path", dict: "\0object"}),
]
_Duration = Annotated[
    Annotated[WholeSeconds, Tag("\0number")]
    | Annotated[Seconds, Tag("\0fraction")]
    | Annotated[DurationText, Tag("\0text")],
    _by_shape({int: "\0number", float: "\0fraction", str: "\0text"}),
    # An int is a number as well, so it would match two of the schemas, and one must match.
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}),
]


_Policies = Annotated[
    Annotated[EveryPolicy, Tag("\0word")]
    | Annotated[list[str], Field(min_length=1), Tag("\0list")],
    _by_shape({list: "\0list", str: "\0word"}),
]


class WatchWire(_Wire):
    """Pairs that are probed all the while the step is applied and settles."""

    pairs: Annotated[list[str], Texts('pairs: ["x/a -> y/b:80"]', 'pairs: ["x/a -> y/b:80"]')] = (
        Field(
            description='"SOURCE -> DESTINATION", with the same verdict in the step before.',
            min_length=1,
        )
    )
    tolerate: _Duration | None = Field(
        None,
        description="How long a gap may last: by default 0 for a denied pair, 1 s for an allowed.",
    )
    for_: _Duration | None = Field(
        None, alias="for", description="How long the watch lasts at least."
    )


class StepWire(_Wire):
    """Changes, and the expected reachability after them."""

    step: Annotated[StepTitle, Texts(missing="step: a sentence that names it")] = Field(
        description="The step's name, a sentence."
    )
    needs: Annotated[list[StepFeature], Texts("needs: [sctp]")] = Field(
        default_factory=list,
        description="What this step needs, and not the others: without it, the step is skipped.",
    )
    namespace: str | None = Field(None, description="The namespace of manifests that have none.")
    apply: Annotated[list[_Manifest], Texts("apply: [policies/a.yaml]")] = Field(
        default_factory=list, description="Paths relative to the scenario file, or inline objects."
    )
    policies: Annotated[_Policies | None, Texts("policies: all")] = Field(
        None,
        description="Policies of the manifests that this step applies: all, or names like "
        "shop/web; * stands for any text.",
    )
    delete: Annotated[list[str], Texts("delete: [NetworkPolicy/db/db-policy]")] = Field(
        default_factory=list, description="Kind/namespace/name or Namespace/name."
    )
    create: dict[NamespaceName, NamespaceWire] = Field(
        default_factory=dict, description="More topology."
    )
    label: Annotated[dict[str, _LabelChange], Texts("label: {app1/client: {app: client}}")] = (
        Field(
            default_factory=dict,
            description="app1/client: {app: client} or ns/app1: {team: blue}; "
            "null removes a label.",
        )
    )
    restart: Annotated[list[str], Texts("restart: [app1/client]")] = Field(
        default_factory=list,
        description="Pods: ns/pod; the word agents stands for the agents of the CNI.",
    )
    refused: list[_Manifest] = Field(
        default_factory=list, description="Manifests that the API server must refuse."
    )
    settle: _Duration | None = Field(None, description="How long the table may take to be right.")
    hold: _Duration | None = Field(None, description="How long the table must stay right.")
    watch: Annotated[
        WatchWire | None, Texts('watch: {pairs: ["x/a -> y/b:80"], tolerate: 0, for: 10s}')
    ] = Field(None, description="Pairs whose verdict must not change while the step is applied.")
    from_start: Annotated[list[str], Texts('from-start: ["x/new -> y/b:80"]')] = Field(
        default_factory=list,
        alias="from-start",
        description="Pairs that a pod which this step creates probes from its first moment.",
    )
    never_allowed: dict[str, Text] = Field(
        default_factory=dict,
        alias="never-allowed",
        description='"SOURCE -> DESTINATION": why the pair cannot connect in this step.',
    )
    expect: Annotated[str, Texts(_TABLE, _TABLE)] = Field(
        description="One verdict, or a table after '|2'."
    )


class NodesNeeded(_Wire):
    """The number of worker nodes that the scenario needs."""

    nodes: Annotated[NodeNumber, Texts(missing="nodes: 2")]


_Need = Annotated[
    Annotated[Feature, Tag("\0text")] | Annotated[NodesNeeded, Tag("\0mapping")],
    _by_shape({str: "\0text", dict: "\0mapping"}),
]


def _only_ipv4() -> list[Literal[4, 6]]:
    return [4]


_Externals = dict[Name, ExternalWire]
_Topology = Annotated[
    dict[NamespaceName, NamespaceWire],
    Texts(missing="topology: {app1: {pods: {client: {}}}}"),
]


class FixtureWire(_Wire):
    """A topology that several scenarios share."""

    fixture: Annotated[Title, Texts(missing="fixture: its title")] = Field(
        description="The title."
    )
    why: Text | None = Field(None, description="What it is for, in one or two sentences.")
    externals: _Externals = Field(default_factory=dict, description="Hosts outside the cluster.")
    networks: Annotated[NetworksWire | None, Texts("networks: {pods: 10.244.0.0/16}")] = Field(
        None, description="Address ranges of the cluster, if the scenarios need them."
    )
    manifests: Annotated[_Manifests | None, _MANIFESTS] = Field(None, description=_MANIFESTS_TEXT)
    topology: _Topology = Field(
        default_factory=dict,
        description="Namespaces; with manifests, what is added to them.",
        min_length=1,
    )


class ScenarioWire(_Wire):
    """A topology, and steps that change something and declare a truth table."""

    scenario: Annotated[Title, Texts(missing="scenario: its title")] = Field(
        description="The title."
    )
    why: Annotated[Text, Texts(missing="why: one or two sentences that say what it shows")] = (
        Field(description="What it shows, in one or two sentences.")
    )
    snapshot: Annotated[Date | None, Texts("snapshot: 2026-01-31")] = Field(
        None, description="The day on which the policies gave these tables; no author wrote them."
    )
    covers: Annotated[list[RequirementId], Texts("covers: [R38, R39]")] = Field(
        default_factory=list, description="Requirements: docs/requirements.md lists the ids."
    )
    catches: Annotated[list[DefectId], Texts("catches: [B15]")] = Field(
        default_factory=list, description="Known defects: docs/defects.md lists the ids."
    )
    needs: Annotated[list[_Need], Texts("needs: [endport]")] = Field(
        default_factory=list, description="What it needs that the file does not show."
    )
    families: Annotated[list[Literal[4, 6]], Texts("families: [4, 6]")] = Field(
        default_factory=_only_ipv4, min_length=1, description="IP families: 4, 6 or both."
    )
    exact_names: bool = Field(
        False, alias="exact names", description="Use exactly these namespace names."
    )
    externals: _Externals = Field(default_factory=dict, description="Hosts outside the cluster.")
    networks: Annotated[NetworksWire | None, Texts("networks: {pods: 10.244.0.0/16}")] = Field(
        None, description="Address ranges of the cluster, if the scenario needs them."
    )
    fixture: Annotated[str | None, Texts("fixture: ../fixtures/three-namespaces.yaml")] = Field(
        None, description="A file with a topology that scenarios share, relative to this file."
    )
    manifests: Annotated[_Manifests | None, _MANIFESTS] = Field(None, description=_MANIFESTS_TEXT)
    topology: _Topology = Field(
        default_factory=dict,
        description="Namespaces; with a fixture or manifests, what is added to them.",
        min_length=1,
    )
    never_allowed: dict[str, Text] = Field(
        default_factory=dict,
        alias="never-allowed",
        description='"SOURCE -> DESTINATION": why the pair cannot connect without policies.',
    )
    oracle: OracleWire | None = None
    proves: Literal["nothing-changes"] | None = None
    steps: Annotated[list[StepWire], Texts(missing="steps: a list of at least one step")] = Field(
        min_length=1, max_length=1_000
    )


def container_port(wire: int | str | NamedPort) -> ContainerPort:
    """Return a port of a pod as the model has it."""
    if isinstance(wire, NamedPort):
        return ContainerPort(wire.port, Protocol(wire.protocol), wire.name)
    number, protocol = _number_and_protocol(wire)
    return ContainerPort(number, protocol)


def service_port(wire: int | str | NamedServicePort) -> ServicePort:
    """Return a port of a Service as the model has it."""
    if isinstance(wire, NamedServicePort):
        target = wire.port if wire.target_port is None else wire.target_port
        return ServicePort(wire.port, target, Protocol(wire.protocol), wire.name)
    number, protocol = _number_and_protocol(wire)
    return ServicePort(number, number, protocol)


def _number_and_protocol(written: int | str) -> tuple[int, Protocol]:
    number, _, protocol = str(written).partition("/")
    return int(number), Protocol(protocol or "TCP")
