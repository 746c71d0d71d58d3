"""The frozen values that travel through the harness. Imports only ``errors``.

Ends are printed, in YAML, messages and reports alike, as

    ns/pod              a pod                    (source, destination)
    node/1              the first worker         (source, destination)
    external/office     an outside host          (source, destination)
    svc/ns/name         a Service's ClusterIP    (destination)
    nodeport/ns/name@1  a NodePort through node 1 (destination)
    dns/name.ns         a Service by its name    (destination)
    dns/api.example.com an absolute name         (destination)
    ip/203.0.113.5      an address               (destination)

A destination adds ``:port`` (before the ``@`` of a nodeport) and ``/UDP`` or ``/SCTP``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.errors import Location

RESERVED_NAMESPACES = frozenset({"svc", "dns", "nodeport", "node", "external", "ip", "ns"})
"""Words that an end may start with, and which no namespace of a scenario may be called."""


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


# ------------------------------------------------------------------ topology


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


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that serves every one of ``ports`` and can be a source of probes.

    ``node`` counts the workers from 1; a cluster with fewer takes it modulo their number.
    A change of ``incarnation`` alone means: delete it and make it again.
    """

    namespace: str
    name: str
    labels: Labels = field(default_factory=Labels)
    ports: tuple[ContainerPort, ...] = ()
    node: int = 1
    host_network: bool = False
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
    change of ``incarnation`` alone means: delete it and create it again.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    json: str
    location: Location | None = field(default=None, compare=False)
    incarnation: int = 0
    namespace_from_step: bool = field(default=False, compare=False)

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

    ``scope`` is the slug of the scenario: states of different scopes never share objects.
    ``exact_names`` asks for the namespaces under their own names. ``refused`` are objects
    that the API server must refuse; they never come to exist. ``networks`` are the ranges
    that the scenario sets; where it sets none, the cluster's own ranges must not overlap
    ``outside``: the scenario's outside hosts and its narrow ipBlocks, in CIDR notation.
    Both are the same in all states of a scope.
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

    def namespace(self, name: str) -> Namespace | None:
        return next((item for item in self.namespaces if item.name == name), None)

    def pod(self, ref: PodRef) -> Pod | None:
        return next((item for item in self.pods if item.ref == ref), None)

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


# ------------------------------------------------------------------ probes


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


# ------------------------------------------------------------------ scenarios


@dataclass(frozen=True, slots=True)
class Limitation:
    """The author's word for a cell that this cluster is known to get wrong, and the reason."""

    stated: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One expectation of a truth table, and the place in the YAML that states it.

    ``never_allowed`` is the author's reason why this pair cannot connect even without
    policies; it exempts the cell from the proof by a control step. ``undefined`` is the
    oracle's reason why the API leaves this cell open: whatever verdict it gets is reported,
    never failed. ``not_judged`` is the oracle's reason why it cannot check the author's word,
    which stays in force. With a ``limitation``, ``expected`` is what this cluster is known to
    give.
    """

    probe: Probe
    expected: Verdict
    location: Location
    never_allowed: str | None = None
    undefined: str | None = None
    not_judged: str | None = None
    limitation: Limitation | None = None

    @property
    def stated(self) -> Verdict:
        """The author's word, whatever the cluster is known to give."""
        return self.limitation.stated if self.limitation else self.expected


@dataclass(frozen=True, slots=True)
class TruthTable:
    """The expectations of one step, row by row; no probe stands in it twice.

    ``columns`` are the destinations in the author's order, since a row may leave some out.
    """

    cells: tuple[Cell, ...]
    columns: tuple[Destination, ...] = ()


@dataclass(frozen=True, slots=True)
class Created:
    """A step creates a namespace, a pod or a Service."""

    item: Namespace | Pod | Service

    def __str__(self) -> str:
        match self.item:
            case Namespace(name):
                return f"create namespace {name}"
            case Pod(namespace, name):
                return f"create Pod {namespace}/{name}"
            case Service(namespace, name):
                return f"create Service {namespace}/{name}"


@dataclass(frozen=True, slots=True)
class Applied:
    """A step applies an object. ``updates`` says that the object existed already."""

    manifest: Manifest
    updates: bool = False

    def __str__(self) -> str:
        return f"{'update' if self.updates else 'apply'} {self.manifest}"


@dataclass(frozen=True, slots=True)
class Refused:
    """A step submits an object that the API server must refuse."""

    manifest: Manifest

    def __str__(self) -> str:
        return f"see {self.manifest} refused"


@dataclass(frozen=True, slots=True)
class Deleted:
    """A step deletes an object; ``namespace`` is empty for one that is in no namespace."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"delete {self.kind} {where}"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A step sets a label of a namespace or a pod, or removes it if ``value`` is None."""

    target: NamespaceRef | PodRef
    key: str
    value: str | None

    def __str__(self) -> str:
        if self.value is None:
            return f"remove label {self.key} of {self.target}"
        return f"label {self.target} {self.key}={self.value}"


@dataclass(frozen=True, slots=True)
class Restarted:
    """A step deletes a pod and creates it again."""

    pod: PodRef

    def __str__(self) -> str:
        return f"restart Pod {self.pod}"


Change = Created | Applied | Refused | Deleted | Labelled | Restarted
"""One thing that a step does; ``str()`` says it in words, for people."""


@dataclass(frozen=True, slots=True)
class Step:
    """A state and what shall be reachable in it.

    ``changes`` lead from the state of the step before to this one, in the order in which they
    happen. ``settle_s`` and ``hold_s`` are the author's wishes in seconds, or None for the
    cluster's own.
    """

    name: str
    location: Location
    changes: tuple[Change, ...]
    state: State
    table: TruthTable
    settle_s: float | None = None
    hold_s: float | None = None

    @property
    def actions(self) -> tuple[str, ...]:
        """What the step does, in words."""
        return tuple(map(str, self.changes))


@dataclass(frozen=True, slots=True)
class Needs:
    """What a scenario asks of a cluster beyond pods, TCP, UDP and ClusterIPs.

    ``features`` are words out of ``FEATURES``; ``kinds`` are ``apiVersion/Kind`` of the
    objects it applies, without those that every cluster enforces. ``networks`` and ``outside``
    are those of its states.
    """

    features: frozenset[str] = frozenset()
    nodes: int = 1
    kinds: frozenset[str] = frozenset()
    networks: Networks = field(default_factory=Networks)
    outside: tuple[str, ...] = ()


FEATURES: Mapping[str, str] = {
    "sctp": "SCTP in the nodes' kernel",
    "ipv6": "IPv6 addresses for pods and Services",
    "external": "hosts outside the cluster with addresses of the author's choosing",
    "hostnetwork": "pods on the node's network",
    "nodeport": "node ports that the harness can reach",
    "endport": "the endPort field of a NetworkPolicyPort",
    "ipblock-pod-ip": "ipBlock rules that match addresses of pods",
    "ipblock-node-ip": "ipBlock rules that match addresses of nodes",
    "admission": "an API server that admits or refuses objects",
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario file, read and checked.

    ``path`` is as the user gave it; ``slug`` is made from the file's name and names what
    the scenario makes. ``oracle_off`` is the author's reason, or None. ``weak`` says that the
    author declares that no step changes any cell. ``topology`` is the state before the first
    step; None where the first step changes nothing.
    """

    path: str
    name: str
    slug: str
    why: str
    steps: tuple[Step, ...]
    covers: tuple[str, ...] = ()
    catches: tuple[str, ...] = ()
    needs: Needs = field(default_factory=Needs)
    families: tuple[Family, ...] = (Family.V4,)
    exact_names: bool = False
    oracle_off: str | None = None
    weak: bool = False
    notes: tuple[str, ...] = ()
    topology: State | None = None


# ------------------------------------------------------------------ results


class CellStatus(enum.StrEnum):
    """What one cell showed. Each cell has exactly one: the first that applies, in this order."""

    NO_VERDICT = "no verdict"
    """The probe could not tell. An error of the step."""
    WRONG = "wrong"
    """A verdict other than the expected one, where the API defines one. Fails the step."""
    LIMITED = "limited"
    """As this cluster is known to give it, against the author's word, with evidence."""
    UNDEFINED = "undefined"
    """The API leaves the verdict open, so that no verdict shows anything."""
    EXEMPT = "exempt"
    """As expected, of a pair that the author declares ``never-allowed``."""
    UNPROVEN = "unproven"
    """A denial as expected, of a pair that was never seen connecting. Fails the step."""
    NOT_JUDGED = "not judged"
    """As the author says, with evidence; the oracle cannot check the author's word."""
    PROVEN = "proven"
    """As the author says, and a denial has its evidence."""


def is_rejected(
    cell: Cell, outcome: Verdict | ProbeError | None, denies_by: DeniesBy, connected: bool
) -> bool:
    """Whether a REFUSED is a denial, and so counts as TIMEOUT.

    It is one where the CNI denies by rejecting, the author or a known limitation says TIMEOUT,
    and the pair was seen connecting (``connected``): where nothing listens, a host refuses too.
    """
    may_be_denial = Verdict.TIMEOUT in {cell.expected, cell.stated} and connected
    return outcome is Verdict.REFUSED and outcome in denials(denies_by) and may_be_denial


def satisfies(
    cell: Cell, outcome: Verdict | ProbeError | None, denies_by: DeniesBy, connected: bool
) -> bool:
    """Whether an outcome is the verdict that the cell expects; see ``is_rejected``."""
    if is_rejected(cell, outcome, denies_by, connected):
        return cell.expected is Verdict.TIMEOUT
    return outcome is cell.expected


@dataclass(frozen=True, slots=True)
class Flap:
    """A wrong verdict of a cell that had been right before, in the same step.

    ``from_s`` and ``until_s`` are the first and the last moment at which it was seen, in
    seconds after ``sync`` returned.
    """

    verdict: Verdict
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class CellResult:
    """What became of one cell in one step.

    ``wrong_from_s`` and ``wrong_until_s`` are the first and the last moment at which the cell
    was seen wrong, in seconds after ``sync`` returned, or None if it never was. ``evidence``
    is False where the cell needs evidence (see ``runner.needs_proof``) and the pair was never
    seen connecting; ``control`` is what the control step last saw of such a pair.
    ``connected`` is whether the pair was seen connecting, and ``denies_by`` how the cluster
    denies. ``flapped`` are the wrong verdicts that the cell gave after it had been right.
    """

    cell: Cell
    observation: Observation | None
    evidence: bool = True
    control: Observation | None = None
    connected: bool = False
    denies_by: DeniesBy = "drop"
    wrong_from_s: float | None = None
    wrong_until_s: float | None = None
    flapped: tuple[Flap, ...] = ()

    @property
    def outcome(self) -> Verdict | ProbeError | None:
        return self.observation.outcome if self.observation else None

    @property
    def measured(self) -> bool:
        return isinstance(self.outcome, Verdict)

    @property
    def rejected(self) -> bool:
        """Whether the outcome is a REFUSED that counts as TIMEOUT."""
        return is_rejected(self.cell, self.outcome, self.denies_by, self.connected)

    @property
    def as_expected(self) -> bool:
        return satisfies(self.cell, self.outcome, self.denies_by, self.connected)

    @property
    def status(self) -> CellStatus:
        cell = self.cell
        if not self.measured:
            return CellStatus.NO_VERDICT
        if cell.undefined is None and not self.as_expected:
            return CellStatus.WRONG
        if cell.limitation is not None and self.evidence:
            return CellStatus.LIMITED
        if cell.undefined is not None:
            return CellStatus.UNDEFINED
        if cell.never_allowed is not None:
            return CellStatus.EXEMPT
        if not self.evidence:
            return CellStatus.UNPROVEN
        return CellStatus.PROVEN if cell.not_judged is None else CellStatus.NOT_JUDGED

    @property
    def reason(self) -> str:
        """Why the cell has its status; empty for those that need no reason."""
        cell = self.cell
        match self.status:
            case CellStatus.NO_VERDICT:
                return self.outcome.message if isinstance(self.outcome, ProbeError) else _NO_PROBE
            case CellStatus.LIMITED:
                return cell.limitation.reason if cell.limitation else ""
            case CellStatus.UNDEFINED:
                return cell.undefined or ""
            case CellStatus.EXEMPT:
                return cell.never_allowed or ""
            case CellStatus.NOT_JUDGED:
                return cell.not_judged or ""
            case CellStatus.WRONG if cell.never_allowed and self.outcome is Verdict.ALLOWED:
                return f"declared never-allowed: {cell.never_allowed}"
            case CellStatus.WRONG | CellStatus.UNPROVEN | CellStatus.PROVEN:
                return ""


_NO_PROBE = "it was never probed"


@dataclass(frozen=True, slots=True)
class Reachability:
    """Expected and observed, cell by cell, in the order of the table."""

    results: tuple[CellResult, ...]

    def having(self, status: CellStatus) -> tuple[CellResult, ...]:
        """The cells of that status, in the order of the table."""
        return tuple(result for result in self.results if result.status is status)

    @property
    def unmeasured(self) -> tuple[CellResult, ...]:
        """Cells without a verdict: an error of the step, never a denial."""
        return self.having(CellStatus.NO_VERDICT)

    @property
    def mismatches(self) -> tuple[CellResult, ...]:
        """Cells with a verdict that is not the expected one, where the API defines one."""
        return self.having(CellStatus.WRONG)

    @property
    def unproven(self) -> tuple[CellResult, ...]:
        """Denials as expected, of pairs that were never seen connecting."""
        return self.having(CellStatus.UNPROVEN)


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step as it went. Times are seconds.

    ``full_rounds`` counts the rounds over the whole table, the confirming one included.
    ``time_to_deny_s`` and ``time_to_allow_s`` are the longest time, after the cluster had
    accepted the state, at which a cell expected to be denied (allowed) was still wrong;
    None where the table has no such cell. ``held_s`` is how long the table had been right in
    full when it stopped being right within the hold time; None where it did not.
    """

    scenario: Scenario
    step: Step
    reachability: Reachability
    full_rounds: int
    sync_s: float
    probe_s: float
    time_to_deny_s: float | None = None
    time_to_allow_s: float | None = None
    held_s: float | None = None
