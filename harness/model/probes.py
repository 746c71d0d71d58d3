"""The ends of a probe, the probe, what was observed, and what a cluster tells about them."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.model.topology import PodRef
from harness.model.verdicts import Family, ProbeError, Protocol, Verdict


@dataclass(frozen=True, slots=True)
class NodeRef:
    """The worker ``node/1``, ``node/2``, ... as an end: a process in the node's own network."""

    index: int

    def __str__(self) -> str:
        return f"node/{self.index}"


@dataclass(frozen=True, slots=True)
class ExternalRef:
    """The outside host of that name, as an end."""

    name: str

    def __str__(self) -> str:
        return f"external/{self.name}"


@dataclass(frozen=True, slots=True)
class ServiceRef:
    """A Service through its ClusterIP."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"svc/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class NodePortRef:
    """A NodePort Service through the node of that index; the probe's port is the Service's own."""

    namespace: str
    name: str
    node: int

    def __str__(self) -> str:
        return f"nodeport/{self.namespace}/{self.name}@{self.node}"


@dataclass(frozen=True, slots=True)
class ServiceName:
    """A Service by its name ``name.namespace.svc.cluster.local.``."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"dns/{self.name}.{self.namespace}"


@dataclass(frozen=True, slots=True)
class AbsoluteName:
    """A DNS name outside the cluster, without the last dot."""

    name: str

    def __str__(self) -> str:
        return f"dns/{self.name}"


@dataclass(frozen=True, slots=True)
class Address:
    """A literal IP address."""

    ip: str

    def __str__(self) -> str:
        return f"ip/{self.ip}"


Source = PodRef | NodeRef | ExternalRef
Host = (
    PodRef
    | NodeRef
    | ExternalRef
    | ServiceRef
    | NodePortRef
    | ServiceName
    | AbsoluteName
    | Address
)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a probe goes: a host, a port and a protocol."""

    host: Host
    port: int
    protocol: Protocol = Protocol.TCP

    def __str__(self) -> str:
        suffix = "" if self.protocol is Protocol.TCP else f"/{self.protocol}"
        if isinstance(self.host, NodePortRef):
            service = f"nodeport/{self.host.namespace}/{self.host.name}"
            return f"{service}:{self.port}{suffix}@{self.host.node}"
        host = str(self.host)
        if isinstance(self.host, Address) and ":" in self.host.ip:
            host = f"ip/[{self.host.ip}]"
        return f"{host}:{self.port}{suffix}"


@dataclass(frozen=True, slots=True)
class Probe:
    """One connection attempt with a fresh source port."""

    source: Source
    destination: Destination
    family: Family = Family.V4

    def __str__(self) -> str:
        suffix = " (IPv6)" if self.family is Family.V6 else ""
        return f"{self.source} -> {self.destination}{suffix}"


@dataclass(frozen=True, slots=True)
class Observation:
    """What one probe gave. Times are ``time.monotonic()`` seconds of the harness's process.

    ``raw`` holds the words as they came; ``command`` repeats the probe by hand, where a
    command can.
    """

    probe: Probe
    started: float
    ended: float
    outcome: Verdict | ProbeError
    raw: str = ""
    command: str = ""


@dataclass(slots=True)
class FirstMoments:
    """What new pods saw from their first moment: in their init containers, and after those."""

    init: list[Observation] = field(default_factory=list)
    main: list[Observation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a cluster placed a pod, or which addresses a Service got.

    ``node`` is the cluster's own name of the node; empty for a Service.
    """

    of: PodRef | ServiceRef
    node: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """What a CNI says about one probe: a rule or a reason, or why nothing was learned.

    It is never a verdict. ``command`` asks for the same by hand, where a command can.
    """

    probe: Probe
    says: str
    command: str = ""
