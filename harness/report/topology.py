"""What a cluster held in a step, as strings and numbers: topology, and objects as applied."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from harness.model import (
    CompletedPod,
    ContainerPort,
    External,
    Manifest,
    Placement,
    Pod,
    Service,
    ServiceRef,
    ServiceType,
    State,
)
from harness.oracle import subjects
from harness.policy import Direction, Effect, Policy, effect_of, kind_of


@dataclass(frozen=True, slots=True)
class NamespaceRecord:
    """A namespace; ``labels`` include the one that the control plane sets."""

    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PortRecord:
    """A port that a pod or an outside host listens on; ``name`` is empty if it has none."""

    number: int
    protocol: str
    name: str = ""


class PodKind(enum.StrEnum):
    """How a pod runs."""

    USUAL = "usual"
    HOST_NETWORK = "hostNetwork"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class PodRecord:
    """A pod. ``node`` is the number of the worker that the scenario asks for.

    ``placed_on`` is the cluster's name of the node on which it runs, ``addresses`` are those it
    has; both are empty where the cluster did not tell. ``readiness`` is how the kubelet probes it.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    kind: PodKind
    node: int
    placed_on: str = ""
    addresses: tuple[str, ...] = ()
    ports: tuple[PortRecord, ...] = ()
    readiness: str = ""

    @property
    def ref(self) -> str:
        """The pod as an end: ``namespace/name``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ServicePortRecord:
    """A port of a Service; ``target`` is a number or the name of a container port."""

    number: int
    protocol: str
    target: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A Service. ``endpoints`` are the pods behind it, as ends; ``addresses`` its ClusterIPs."""

    namespace: str
    name: str
    type: str
    selector: Mapping[str, str]
    ports: tuple[ServicePortRecord, ...]
    endpoints: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    external_traffic_policy: str = ""

    @property
    def ref(self) -> str:
        """The Service as it is printed in ends: ``namespace/name``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ExternalRecord:
    """A host outside the cluster."""

    name: str
    addresses: tuple[str, ...]
    ports: tuple[PortRecord, ...] = ()
    dns_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """A policy or another object as the step applied it.

    ``yaml`` is its text as a person writes it, with the logical names. ``location`` is where the
    file has it, or empty. ``selects`` are the pods to which a policy applies; null where the
    meaning of the object is not known. ``policy_types`` are its directions.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    yaml: str
    location: str = ""
    selects: tuple[str, ...] | None = ()
    policy_types: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}"


@dataclass(frozen=True, slots=True)
class TopologyRecord:
    """All that a cluster held in a step, under the names of the scenario."""

    namespaces: tuple[NamespaceRecord, ...] = ()
    pods: tuple[PodRecord, ...] = ()
    services: tuple[ServiceRecord, ...] = ()
    externals: tuple[ExternalRecord, ...] = ()
    objects: tuple[ObjectRecord, ...] = ()


EMPTY = TopologyRecord()


def topology_record(state: State, placements: Iterable[Placement] = ()) -> TopologyRecord:
    """Return the record of a State; ``placements`` say where the cluster placed things."""
    placed = {placement.of: placement for placement in placements}
    return TopologyRecord(
        namespaces=tuple(
            NamespaceRecord(item.name, dict(item.all_labels)) for item in state.namespaces
        ),
        pods=tuple(_pod(pod, placed.get(pod.ref)) for pod in state.pod_objects),
        services=tuple(
            _service(state, item, placed.get(ServiceRef(item.namespace, item.name)))
            for item in state.services
        ),
        externals=tuple(map(_external, state.externals)),
        objects=tuple(_object(state, item) for item in state.policies),
    )


def _pod(pod: Pod | CompletedPod, placement: Placement | None) -> PodRecord:
    made = PodRecord(
        namespace=pod.namespace,
        name=pod.name,
        labels=dict(pod.labels),
        kind=PodKind.COMPLETED,
        node=pod.node,
        placed_on=placement.node if placement else "",
        addresses=placement.addresses if placement else (),
    )
    if isinstance(pod, CompletedPod):
        return made
    return replace(
        made,
        kind=PodKind.HOST_NETWORK if pod.host_network else PodKind.USUAL,
        ports=tuple(map(_port, pod.ports)),
        readiness=str(pod.readiness) if pod.readiness else "",
    )


def _port(port: ContainerPort) -> PortRecord:
    return PortRecord(port.number, str(port.protocol), port.name or "")


def _service(state: State, service: Service, placement: Placement | None) -> ServiceRecord:
    is_node_port = service.type is ServiceType.NODE_PORT
    return ServiceRecord(
        namespace=service.namespace,
        name=service.name,
        type=str(service.type),
        selector=dict(service.selector),
        ports=tuple(
            ServicePortRecord(p.number, str(p.protocol), str(p.target), p.name or "")
            for p in service.ports
        ),
        endpoints=tuple(str(pod.ref) for pod in state.endpoints(service)),
        addresses=placement.addresses if placement else (),
        external_traffic_policy=str(service.external_traffic_policy) if is_node_port else "",
    )


def _external(host: External) -> ExternalRecord:
    return ExternalRecord(host.name, host.addresses, tuple(map(_port, host.ports)), host.dns_names)


def _object(state: State, manifest: Manifest) -> ObjectRecord:
    # Imported here because it brings pydantic, whose import takes longer than most verbs.
    from harness.scenario.write_manifest import as_yaml

    kind, unknown = kind_of(manifest), effect_of(manifest) is Effect.UNKNOWN
    policy = kind.parse(manifest) if kind else None
    return ObjectRecord(
        api_version=manifest.api_version,
        kind=manifest.kind,
        namespace=manifest.namespace,
        name=manifest.name,
        yaml=as_yaml(manifest),
        location=str(manifest.location) if manifest.location else "",
        selects=None if unknown else _selected(state, policy) if policy else (),
        policy_types=tuple(str(way) for way in Direction if policy and policy.acts_on(way)),
    )


def _selected(state: State, policy: Policy) -> tuple[str, ...]:
    return tuple(str(pod.ref) for pod in subjects(state, policy))
