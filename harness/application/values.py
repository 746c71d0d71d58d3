"""What an application consists of, as frozen values; each has the place that states it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from harness.documents.written import Written
from harness.errors import Location
from harness.model import ExternalTrafficPolicy, Labels, Manifest, Protocol, ServicePort


@dataclass(frozen=True, slots=True)
class AppNamespace:
    """A namespace; without a manifest it has no location, and no labels of its own."""

    name: str
    labels: Labels = field(default_factory=Labels)
    location: Location | None = None


class Role(enum.Enum):
    """When a container of a pod runs."""

    INIT = "init"
    """To its end, before the others start. Nothing serves its ports later."""
    SIDECAR = "sidecar"
    """An init container that goes on running."""
    MAIN = "main"


@dataclass(frozen=True, slots=True)
class DeclaredPort:
    """A port that a container declares."""

    number: int
    protocol: Protocol
    name: str | None
    location: Location


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod, with the ports that it declares."""

    name: str
    role: Role
    ports: tuple[DeclaredPort, ...]
    location: Location


class WorkloadKind(enum.StrEnum):
    """The kinds of objects that make pods."""

    POD = "Pod"
    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"
    REPLICA_SET = "ReplicaSet"
    REPLICATION_CONTROLLER = "ReplicationController"
    JOB = "Job"
    CRON_JOB = "CronJob"

    @property
    def template(self) -> tuple[str, ...]:
        """The path of its pods' template, which has their metadata and spec."""
        match self:
            case WorkloadKind.POD:
                return ()
            case WorkloadKind.CRON_JOB:
                return ("spec", "jobTemplate", "spec", "template")
            case _:
                return ("spec", "template")


@dataclass(frozen=True, slots=True)
class Workload:
    """An object that makes pods, and what all its pods have.

    ``labels`` are those of its pods, with the labels that the control plane adds and that are the
    same for all of them. ``replicas`` is how many pods it asks for, as far as the manifest says.
    ``first_ordinal`` is the number of the first pod of a StatefulSet.
    """

    kind: WorkloadKind
    namespace: str
    name: str
    labels: Labels
    containers: tuple[Container, ...]
    location: Location
    host_network: bool = False
    replicas: int = 1
    first_ordinal: int = 0

    @property
    def ports(self) -> tuple[DeclaredPort, ...]:
        """The ports that its pods serve: those of all containers that go on running."""
        found: dict[tuple[int, Protocol], DeclaredPort] = {}
        for container in self.containers:
            for port in container.ports if container.role is not Role.INIT else ():
                found.setdefault((port.number, port.protocol), port)
        return tuple(found.values())

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Reach(enum.StrEnum):
    """How a Service is reached; the words are those of its type, and Headless."""

    CLUSTER_IP = "ClusterIP"
    HEADLESS = "Headless"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"
    EXTERNAL_NAME = "ExternalName"


@dataclass(frozen=True, slots=True)
class AppService:
    """A Service.

    ``selector`` is None if it has none: its endpoints are then not in the manifests.
    ``external_name`` is the DNS name that an ExternalName stands for.
    """

    namespace: str
    name: str
    reach: Reach
    selector: Labels | None
    ports: tuple[ServicePort, ...]
    location: Location
    external_traffic_policy: ExternalTrafficPolicy = ExternalTrafficPolicy.CLUSTER
    external_name: str | None = None

    def __str__(self) -> str:
        return f"Service {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Ignored:
    """How many objects of a kind were passed over, since they change no connection."""

    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a reader of the result should know; ``location`` is None for no one place."""

    text: str
    location: Location | None = None

    def __str__(self) -> str:
        return f"{self.location}: {self.text}" if self.location else self.text


@dataclass(frozen=True, slots=True)
class CustomObject:
    """An object of a custom kind, from which an operator may make pods."""

    kind: str
    namespace: str
    name: str
    labels: Labels
    location: Location

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Remark:
    """What an author tells netpol in a file: a comment ``# netpol: ...``, or an annotation.

    ``item`` is the location of the object that it is about as a whole; without it, it is about
    a ``line`` of the file.
    """

    text: str
    location: Location
    line: int
    item: Location | None = None


@dataclass(frozen=True, slots=True)
class Application:
    """All that the manifests say about connections, in the order in which they were read.

    ``policies`` are those of known kinds, also in tiers, in which nothing is wrong.
    ``not_judged`` are policies of kinds whose meaning is not known here. ``written`` has the
    place of each part of a namespace, a workload, a Service or a policy, by the location of the
    object.
    """

    namespaces: tuple[AppNamespace, ...] = ()
    workloads: tuple[Workload, ...] = ()
    services: tuple[AppService, ...] = ()
    policies: tuple[Manifest, ...] = ()
    not_judged: tuple[Manifest, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    notes: tuple[Note, ...] = ()
    customs: tuple[CustomObject, ...] = ()
    remarks: tuple[Remark, ...] = ()
    written: Written = field(default_factory=Written, compare=False, repr=False)

    def namespace(self, name: str) -> AppNamespace | None:
        return next((item for item in self.namespaces if item.name == name), None)
