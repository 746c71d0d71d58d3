"""A scenario: its steps, the changes that each makes, the truth tables, what it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace

from harness.errors import Location
from harness.model.probes import Destination, Probe
from harness.model.topology import (
    CompletedPod,
    Manifest,
    Namespace,
    NamespaceRef,
    Networks,
    Pod,
    PodRef,
    Service,
    State,
)
from harness.model.verdicts import Family, Verdict


@dataclass(frozen=True, slots=True)
class Limitation:
    """What the table states for a cell that this cluster is known to get wrong, and the reason."""

    stated: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One expectation of a truth table, and the place in the YAML that states it.

    ``never_allowed`` is the author's reason why this pair cannot connect even without
    policies; it exempts the cell from the proof by a control step. ``undefined`` is the
    oracle's reason why the API leaves this cell open: whatever verdict it gets is reported,
    never failed. ``not_judged`` is the oracle's reason why it cannot check what the table states,
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
        """The verdict that the table states, whatever the cluster is known to give."""
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

    item: Namespace | Pod | CompletedPod | Service

    def __str__(self) -> str:
        match self.item:
            case Namespace(name):
                return f"create namespace {name}"
            case Pod(namespace, name):
                return f"create Pod {namespace}/{name}"
            case CompletedPod(namespace, name):
                return f"create Pod {namespace}/{name}, which completes"
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


@dataclass(frozen=True, slots=True)
class AgentsRestarted:
    """A step restarts the agents of the CNI on all nodes."""

    def __str__(self) -> str:
        return "restart the agents of the CNI"


Change = Created | Applied | Refused | Deleted | Labelled | Restarted | AgentsRestarted
"""One thing that a step does; ``str()`` says it in words, for people."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Pairs that are probed all the while a step is applied and settles.

    Each has the same verdict in the step before and in this one. ``tolerate_s`` is how long one
    may have another verdict at a time, or None for the default of its verdict. ``for_s`` is how
    long the watch lasts at least, counted from the beginning of the change.
    """

    probes: tuple[Probe, ...]
    tolerate_s: float | None = None
    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StepNeeds:
    """Words out of ``FEATURES`` that a step needs, and not its whole scenario.

    A cluster without one of ``state`` cannot have the step's State. One without one of ``table``
    can, and does not give the verdicts of the table.
    """

    state: frozenset[str] = frozenset()
    table: frozenset[str] = frozenset()

    @property
    def features(self) -> frozenset[str]:
        return self.state | self.table


@dataclass(frozen=True, slots=True)
class Step:
    """A state and what shall be reachable in it.

    ``changes`` lead from the state of the step before to this one, in the order in which they
    happen. ``settle_s`` and ``hold_s`` are the author's wishes in seconds, or None for the
    cluster's own. ``from_start`` are pairs of the table whose source the step creates, and which
    it probes itself from its first moment.
    """

    name: str
    location: Location
    changes: tuple[Change, ...]
    state: State
    table: TruthTable
    settle_s: float | None = None
    hold_s: float | None = None
    watch: Watch | None = None
    from_start: tuple[Probe, ...] = ()
    needs: StepNeeds = field(default_factory=StepNeeds)

    @property
    def actions(self) -> tuple[str, ...]:
        """What the step does, in words."""
        return tuple(map(str, self.changes))

    @property
    def state_if_skipped(self) -> State:
        """What a cluster has after the step if it skips it: nothing is submitted to be refused."""
        return replace(self.state, refused=())


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a cluster skips a step: the features that it lacks for the step named ``of``."""

    of: str
    missing: frozenset[str]


def skips(steps: Iterable[Step], features: Set[str]) -> Iterator[Skip | None]:
    """Yield for each step why a cluster with these ``features`` skips it, or None.

    It skips a step that needs another one. If it cannot have the State of that step, it skips all
    later steps too, because their changes begin with that State.
    """
    blocked: Skip | None = None
    for step in steps:
        missing = step.needs.features - features
        own = Skip(step.name, missing) if missing else None
        yield blocked or own
        if blocked is None and step.needs.state - features:
            blocked = own


@dataclass(frozen=True, slots=True)
class Needs:
    """What a scenario asks of a cluster beyond pods, TCP, UDP and ClusterIPs.

    ``features`` are words out of ``FEATURES``, without those that steps ask for themselves;
    ``kinds`` are ``apiVersion/Kind`` of the
    objects it applies, without those that every cluster enforces. ``networks`` and ``outside``
    are those of its states. ``on_request`` are words out of ``ON_REQUEST``. ``pod_blocks`` are
    the families in which its policies name the block of all pods.
    """

    features: frozenset[str] = frozenset()
    nodes: int = 1
    kinds: frozenset[str] = frozenset()
    networks: Networks = field(default_factory=Networks)
    outside: tuple[str, ...] = ()
    on_request: frozenset[str] = frozenset()
    pod_blocks: frozenset[Family] = frozenset()


FEATURES: Mapping[str, str] = {
    "sctp": "SCTP in the nodes' kernel",
    "ipv6": "IPv6 addresses for pods and Services",
    "external": "hosts outside the cluster with addresses of the author's choosing",
    "hostnetwork": "pods on the node's network",
    "nodeport": "node ports that the harness can reach",
    "endport": "the endPort field of a NetworkPolicyPort",
    "hairpin": "a pod that reaches itself through its own Service",
    "ipblock-pod-ip": "ipBlock rules that match addresses of pods",
    "ipblock-node-ip": "ipBlock rules that match addresses of nodes",
    "admission": "an API server that admits or refuses objects",
    "kubelet": "a kubelet that probes pods",
    "agents": "agents of the CNI that the harness can restart",
    "from-start": "pods that probe from their first moment",
    "node-peers": "the peer nodes in policies of the tiers",
    "domain-names": "the peer domainNames in policies of the tiers",
}

ON_REQUEST: Mapping[str, str] = {
    "disruptive": "scenarios that disturb other users of the cluster",
    "scale": "scenarios with many objects or pods",
}
"""What a scenario may need that no cluster has by itself: a run includes it by name."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """A topology that several scenarios share.

    ``written`` is its path as the scenario names it; ``path`` is the file as messages show it.
    ``state`` is what the fixture alone holds; ``nodes`` is the highest node that it names.
    """

    written: str
    path: str
    title: str
    state: State
    nodes: int = 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario file, read and checked.

    ``path`` is as the user gave it; ``slug`` is made from the file's name and names what
    the scenario makes. ``oracle_off`` is the author's reason, or None. ``weak`` says that the
    author declares that no step changes any cell. ``topology`` is the state before the first
    step, with what the ``fixture`` has; None where the first step changes nothing.
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
    fixture: Fixture | None = None
    snapshot: str | None = None

    def features_of(self, step: Step) -> frozenset[str]:
        """Return the features that every cluster which runs the step has."""
        return self.needs.features | step.needs.features
