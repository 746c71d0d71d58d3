"""What a cluster holds: namespaces, pods, Services, outside hosts, objects; the State of all."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from harness.errors import Location
from harness.model.verdicts import Protocol

RESERVED_NAMESPACES = frozenset({"svc", "dns", "nodeport", "node", "external", "ip", "ns"})
"""Words that an end may start with, and which no namespace of a scenario may be called."""


class Labels(Mapping[str, str]):
    """Labels of a pod or namespace: an immutable, hashable mapping, ordered by key."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str] | None = None) -> None:
        self._items = tuple(sorted((items or {}).items()))

    def __getitem__(self, key: str) -> str:
        for name, value in self._items:
            if name == key:
                return value
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == other._items if isinstance(other, Labels) else NotImplemented

    def __repr__(self) -> str:
        return f"Labels({dict(self._items)!r})"

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self._items) or "<none>"


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that a pod (or an outside host) listens on."""

    number: int
    protocol: Protocol = Protocol.TCP
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace; ``labels`` are the author's, without the control plane's own (R78)."""

    name: str
    labels: Labels = field(default_factory=Labels)
    incarnation: int = 0

    @property
    def all_labels(self) -> Labels:
        """The author's labels and the one that the control plane sets (R78)."""
        return Labels({**self.labels, "kubernetes.io/metadata.name": self.name})


@dataclass(frozen=True, slots=True)
class NamespaceRef:
    """The namespace of that name, where something else may be meant too."""

    name: str

    def __str__(self) -> str:
        return f"namespace {self.name}"


@dataclass(frozen=True, slots=True)
class PodRef:
    """The pod ``namespace/name``, as an end."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Readiness(enum.StrEnum):
    """How the kubelet finds out whether a pod is ready."""

    HTTP = "http"
    TCP = "tcp"
    EXEC = "exec"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that serves every one of ``ports`` and can be a source of probes.

    ``node`` counts the workers from 1; a cluster with fewer takes it modulo their number.
    A change of ``incarnation`` alone means: delete it and make it again. With ``readiness``, the
    kubelet probes its first TCP port all the time, and it is behind a Service only while it
    answers.
    """

    namespace: str
    name: str
    labels: Labels = field(default_factory=Labels)
    ports: tuple[ContainerPort, ...] = ()
    node: int = 1
    host_network: bool = False
    incarnation: int = 0
    readiness: Readiness | None = None

    @property
    def ref(self) -> PodRef:
        return PodRef(self.namespace, self.name)

    @property
    def first_tcp(self) -> int | None:
        """The number of the first TCP port, or None."""
        return next((port.number for port in self.ports if port.protocol is Protocol.TCP), None)


@dataclass(frozen=True, slots=True)
class CompletedPod:
    """A pod that runs to its end: phase ``Succeeded``.

    Its object and labels stay. It is no end of a probe, and no policy applies to it; its address
    may be given to another pod. ``node`` and ``incarnation`` are as in Pod.
    """

    namespace: str
    name: str
    labels: Labels = field(default_factory=Labels)
    node: int = 1
    incarnation: int = 0

    @property
    def ref(self) -> PodRef:
        return PodRef(self.namespace, self.name)


class ServiceType(enum.StrEnum):
    """How a Service is reached."""

    CLUSTER_IP = "ClusterIP"
    HEADLESS = "Headless"
    NODE_PORT = "NodePort"


class ExternalTrafficPolicy(enum.StrEnum):
    """Whether a NodePort forwards to other nodes (Cluster) or only to its own pods (Local)."""

    CLUSTER = "Cluster"
    LOCAL = "Local"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service; ``target`` is a number or the name of a container port."""

    number: int
    target: int | str
    protocol: Protocol = Protocol.TCP
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A Service over the pods of its namespace that carry all of ``selector``."""

    namespace: str
    name: str
    selector: Labels
    ports: tuple[ServicePort, ...]
    type: ServiceType = ServiceType.CLUSTER_IP
    external_traffic_policy: ExternalTrafficPolicy = ExternalTrafficPolicy.CLUSTER


@dataclass(frozen=True, slots=True)
class External:
    """A host outside the cluster, with addresses of the author's choosing."""

    name: str
    addresses: tuple[str, ...]
    ports: tuple[ContainerPort, ...] = ()
    dns_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A Kubernetes object as its author wrote it, under logical names.

    ``json`` is the object as JSON text, ``metadata.namespace`` filled in;
    ``namespace_from_step`` says that its author wrote none, and the step's was filled in. A
    change of ``incarnation`` alone means: delete it and create it again. ``written_as`` is how
    its author called it, if the cluster gets another kind of the same meaning; else empty.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    json: str
    location: Location | None = field(default=None, compare=False)
    incarnation: int = 0
    namespace_from_step: bool = field(default=False, compare=False)
    written_as: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names the object: API version, kind, namespace and name."""
        return self.api_version, self.kind, self.namespace, self.name

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.namespace}/{self.name}"
            if self.namespace
            else f"{self.kind} {self.name}"
        )


@dataclass(frozen=True, slots=True)
class Networks:
    """Address ranges, in CIDR notation: those that a scenario sets, or those of a cluster.

    A scenario sets at most one range for each family. An empty tuple means "not set" in a
    scenario, and "not known" for a cluster.
    """

    pods: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """All that a cluster shall hold at one moment, under logical names.

    ``pods`` are those that run, and ``completed`` those that have run to their end.
    ``scope`` is the slug of the scenario, or of its fixture: states of different scopes never
    share objects.
    ``exact_names`` asks for the namespaces under their own names. ``refused`` are objects
    that the API server must refuse; they never come to exist. ``networks`` are the ranges
    that the scenario sets; where it sets none, the cluster's own ranges must not overlap
    ``outside``: the scenario's outside hosts and its narrow ipBlocks, in CIDR notation.
    Both are the same in all states of a scenario. ``agent_restarts`` is how often the agents of
    the CNI were restarted in this scope; a cluster restarts them when the number rises.
    """

    scope: str
    namespaces: tuple[Namespace, ...] = ()
    pods: tuple[Pod, ...] = ()
    services: tuple[Service, ...] = ()
    externals: tuple[External, ...] = ()
    policies: tuple[Manifest, ...] = ()
    refused: tuple[Manifest, ...] = ()
    exact_names: bool = False
    networks: Networks = field(default_factory=Networks)
    outside: tuple[str, ...] = ()
    agent_restarts: int = 0
    completed: tuple[CompletedPod, ...] = ()

    def restarts_agents(self, before: State | None) -> bool:
        """Return whether the agents of the CNI are restarted on the way from another state."""
        same_scope = before is not None and before.scope == self.scope
        return self.agent_restarts > (before.agent_restarts if before and same_scope else 0)

    def namespace(self, name: str) -> Namespace | None:
        return next((item for item in self.namespaces if item.name == name), None)

    def pod(self, ref: PodRef) -> Pod | None:
        return next((item for item in self.pods if item.ref == ref), None)

    @property
    def pod_objects(self) -> tuple[Pod | CompletedPod, ...]:
        """The pods that run, then those that have completed."""
        return (*self.pods, *self.completed)

    def service(self, namespace: str, name: str) -> Service | None:
        return next((s for s in self.services if (s.namespace, s.name) == (namespace, name)), None)

    def external(self, name: str) -> External | None:
        return next((item for item in self.externals if item.name == name), None)

    def endpoints(self, service: Service) -> tuple[Pod, ...]:
        """The pods behind a Service, in the order of the state."""
        return tuple(
            pod
            for pod in self.pods
            if pod.namespace == service.namespace
            and service.selector.items() <= pod.labels.items()
        )
