"""On a shared cluster, objects of other users are never changed or deleted.

Random sequences of States are made true on a cluster with objects of other users. Any call may
fail, also after the server has done it, and other users may take the names that a run uses.
At the end each object of the others is unchanged, byte for byte, and those of the run are gone
or named by ``close``. No policy of the whole cluster ever selects pods of the others.

``NETPOL_NO_HARM_SEQUENCES`` is the number of sequences, 300 by default. Up to 300 they are
always the same; more are drawn anew each time.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from harness.cluster.kube import KubeCluster, KubeSettings, Limits
from harness.cluster.kube.api import Api
from harness.cluster.kube.objects import OWNER_LABEL, RUN_LABEL, WORKER_LABEL
from harness.cluster.kube.owned import Ref
from harness.errors import HarnessError
from harness.model import (
    CompletedPod,
    Destination,
    Labels,
    Manifest,
    Namespace,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    Service,
    ServicePort,
    ServiceType,
    State,
)

from .apiserver import ApiServer, Call, Chance, DirectApi, Fault, Faults
from .cluster_state import Key, Object, as_text
from .serving import HttpServer, kubeconfig, serving

pytestmark = pytest.mark.filterwarnings("ignore::harness.errors.HarnessWarning")

SEQUENCES = int(os.environ.get("NETPOL_NO_HARM_SEQUENCES", "300"))
OVER_HTTP = 10
LIMITS = Limits(ready_s=15, gone_s=10, close_s=15)
MINE = {OWNER_LABEL: "netpol-harness", RUN_LABEL: "r1", WORKER_LABEL: "main"}
MARKS = {RUN_LABEL: "r1", WORKER_LABEL: "main"}
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}},
    "spec": {},
    "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}]},
}
RUNNING = {"spec": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
NP = "networking.k8s.io/v1"
STORAGE = "storage.k8s.io/v1"
FELIX = "crd.projectcalico.org/v1"
TIERS = "policy.networking.k8s.io/v1alpha2"
ADMIN = "policy.networking.k8s.io/v1alpha1"


def thing(version: str, kind: str, name: str, namespace: str = "", **metadata: object) -> Object:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {}), **metadata},
    }


def strangers() -> list[Object]:
    """The objects of other users, with names and labels as similar to the run's as possible."""
    other_run = {"netpol.harness/process": json.dumps({"pid": 1, "started": "1"})}
    return [
        NODE,
        thing("v1", "Namespace", "production", labels={"team": "shop"}),
        thing(NP, "NetworkPolicy", "deny", "production"),
        thing("v1", "Pod", "web", "production", labels=MINE) | RUNNING,
        # Names and labels that this run would give, in namespaces that it did not make.
        thing("v1", "Namespace", "r1-main-s-b", labels=MINE),
        thing("v1", "Namespace", "r1-main-node-processes", labels=MINE),
        thing("coordination.k8s.io/v1", "Lease", "heartbeat", "production", labels=MINE),
        thing("v1", "Namespace", "c", labels=MINE, annotations=other_run),
        thing("v1", "Namespace", "r2-main-s-a", labels={**MINE, RUN_LABEL: "r2"}),
        thing(STORAGE, "StorageClass", "standard") | {"provisioner": "local-path"},
        thing(FELIX, "FelixConfiguration", "default", labels=MINE) | {"spec": {"ipipMTU": 1400}},
    ]


def manifest(version: str, kind: str, namespace: str, name: str, note: str) -> Manifest:
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "note": note}
    item = thing(version, kind, name, namespace) | {"spec": spec}
    return Manifest(version, kind, namespace, name, json.dumps(item))


def tier(version: str, kind: str, name: str, subject: object, priority: int = 1) -> Manifest:
    """A policy of the whole cluster."""
    rule = {"action": "Deny", "from": [{"namespaces": {}}]}
    spec = {"tier": "Admin", "priority": priority, "subject": subject, "ingress": [rule]}
    item = thing(version, kind, name) | {"spec": spec}
    return Manifest(version, kind, "", name, json.dumps(item))


def sideways(namespace: str) -> Manifest:
    """A policy that the API server refuses."""
    found = manifest(NP, "NetworkPolicy", namespace, "no", "1")
    return replace(found, json=found.json.replace("Ingress", "Sideways"))


NAMES = st.sampled_from([*["a", "d", "e"] * 3, "b", "c", "production"])
"""The last three may belong to others, depending on scope and ``exact names``."""
INCARNATIONS = st.sampled_from([0, 0, 0, 0, 1, 2])
LABELS = st.sampled_from([Labels(), Labels({"app": "x"}), Labels({"app": "y", "tier": "z"})])
KINDS_OF_POD = st.sampled_from([Pod, Pod, Pod, CompletedPod])
SERVICE_TYPES = st.sampled_from(list(ServiceType))


def of_namespace(name: str) -> list[Manifest]:
    return [
        manifest(NP, "NetworkPolicy", name, "deny", "1"),
        manifest(NP, "NetworkPolicy", name, "deny", "2"),
        manifest(NP, "NetworkPolicy", name, "other", "1"),
        manifest("cilium.io/v2", "CiliumNetworkPolicy", name, "deny", "1"),
    ]


def of_cluster(name: str) -> list[Manifest]:
    return [
        manifest(STORAGE, "StorageClass", "", "ours", "1"),
        manifest(STORAGE, "StorageClass", "", "ours", "2"),
        manifest(FELIX, "GlobalNetworkPolicy", "", "ours", "1"),
        # Its author gives it a namespace.
        manifest(FELIX, "FelixConfiguration", name, "ours", "1"),
        manifest(FELIX, "FelixConfiguration", name, "ours", "2"),
        # Of other users.
        manifest(STORAGE, "StorageClass", "", "standard", "1"),
        manifest(FELIX, "FelixConfiguration", "", "default", "1"),
        *THE_BASELINE,
    ]


EVERYBODY: Object = {"namespaces": {}}
SHOP: Object = {
    "pods": {"podSelector": {}, "namespaceSelector": {"matchLabels": {"team": "shop"}}}
}
ALL_PODS: Object = {"pods": {"podSelector": {}}}
IN_TIERS = [
    tier(TIERS, "ClusterNetworkPolicy", "closed", EVERYBODY),
    tier(TIERS, "ClusterNetworkPolicy", "closed", SHOP, priority=2),
    tier(ADMIN, "AdminNetworkPolicy", "closed", ALL_PODS),
]
THE_BASELINE = [
    tier(ADMIN, "BaselineAdminNetworkPolicy", "default", subject) for subject in (EVERYBODY, SHOP)
]

# Made once: to check a strategy takes longer than to draw from it.
SEVERAL_NAMES = st.lists(NAMES, min_size=1, max_size=3, unique=True)
PODS = st.lists(st.sampled_from(["p", "q"]), max_size=2, unique=True)
NO_SERVICE_OR_TYPE = st.none() | SERVICE_TYPES
TARGETS = st.integers(80, 81)
RARELY = st.sampled_from([False, False, False, False, True])
FEW = st.sampled_from([*[0] * 9, 1])
SCOPES = st.sampled_from(["s", "s", "s", "t"])


@st.composite
def states(draw: st.DrawFn, exact_names: bool) -> State:
    """Draw a State that mostly has ``exact_names`` or not, as the others of its trial."""
    names = draw(SEVERAL_NAMES)
    spaces = tuple(Namespace(name, draw(LABELS), draw(INCARNATIONS)) for name in names)
    pods = [
        draw(KINDS_OF_POD)(name, pod, draw(LABELS), incarnation=draw(INCARNATIONS))
        for name in names
        for pod in draw(PODS)
    ]
    services = tuple(
        Service(name, "s", draw(LABELS), (ServicePort(80, draw(TARGETS)),), kind)
        for name in names
        if (kind := draw(NO_SERVICE_OR_TYPE)) is not None
    )
    exact = exact_names ^ draw(RARELY)
    few = 2 if exact else draw(FEW)
    inside = [item for name in names for item in of_namespace(name)]
    chosen = draw(st.lists(st.sampled_from(inside), max_size=4))
    chosen += draw(st.lists(st.sampled_from(IN_TIERS), max_size=2))
    chosen += draw(st.lists(st.sampled_from(of_cluster(names[0])), max_size=few))
    policies = {(item.kind, item.namespace, item.name): item for item in chosen}
    accepted = manifest(NP, "NetworkPolicy", names[0], "no", "1")
    refusals = st.sampled_from([*[()] * 6, *[(sideways(names[0]),)] * 3, (accepted,)])
    return State(
        scope=draw(SCOPES),
        namespaces=spaces,
        pods=tuple(pod for pod in pods if isinstance(pod, Pod)),
        completed=tuple(pod for pod in pods if isinstance(pod, CompletedPod)),
        services=services,
        policies=tuple(replace(p, incarnation=draw(INCARNATIONS)) for p in policies.values()),
        refused=draw(refusals),
        exact_names=exact,
    )


@dataclass(frozen=True)
class Theft:
    """Another user replaces the run's namespaces whose names end so, and fills them."""

    name: str


@dataclass(frozen=True)
class Look:
    """A probe from a node, which needs a namespace of its own, and what ``describe`` tells."""

    destination: PodRef


@dataclass(frozen=True)
class Trial:
    """A sequence of steps, the calls that go wrong, and those before which a rival acts."""

    steps: tuple[State | Theft | Look, ...]
    faults: Faults = field(default_factory=Faults)
    rival: Chance = field(default_factory=Chance)

    @property
    def is_calm(self) -> bool:
        return self.faults.never and not self.rival.percent


def chances(*percents: int) -> st.SearchStrategy[Chance]:
    return st.builds(Chance, st.integers(0, 2**32), st.sampled_from(percents))


def sequences(*, exact_names: bool) -> st.SearchStrategy[list[State | Theft | Look]]:
    state = states(exact_names=exact_names)
    others = st.one_of(st.builds(Theft, NAMES), st.just(Look(PodRef("nowhere", "p"))))
    step = st.sampled_from([state, state, state, state, state, others]).flatmap(lambda kind: kind)
    return st.lists(step, min_size=1, max_size=5)


STEPS = {exact: sequences(exact_names=exact) for exact in (False, True)}
KINDS_OF_FAULT = st.lists(st.sampled_from(Fault), min_size=1, unique=True).map(tuple)
FAULTS = st.builds(Faults, chances(0, 0, 3, 8, 20), KINDS_OF_FAULT, chances(0, 0, 0, 5, 20))
RIVALS = chances(0, 0, 5, 20)


@st.composite
def trials(draw: st.DrawFn) -> Trial:
    """Draw a sequence whose States mostly differ little, so that objects live on and change."""
    steps = draw(STEPS[draw(st.booleans())])
    return Trial(tuple(steps), draw(FAULTS), draw(RIVALS))


class SharedCluster:
    """The cluster with its other users, and what they do during a trial."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.theirs: dict[Key, str] = {}
        self.seen: Counter[str] = Counter()
        for item in strangers():
            self._put(item)

    def _put(self, item: Object) -> None:
        metadata = item["metadata"]
        names = (metadata.get("namespace", ""), metadata["name"])
        key = Key(item["apiVersion"], item["kind"], *names)
        self.theirs[key] = as_text(self.server.state.put(item))

    def run(self, trial: Trial, api: Api) -> None:
        """Run a trial and check what it promises."""
        known = KubeSettings(run="r1", clock=self.server.clock, limits=LIMITS)
        cluster = KubeCluster(known, api)
        self.server.faults = trial.faults.of
        self.server.before = lambda call: self._race(trial.rival, call)
        for step in trial.steps:
            try:
                self._take(cluster, step)
            except HarnessError:
                self.seen["failed"] += 1
            self.check_subjects()
        left = cluster.close()
        self.server.faults, self.server.before = lambda _: None, lambda _: None
        self.check(left)
        if trial.is_calm:
            assert left == ()

    def _take(self, cluster: KubeCluster, step: State | Theft | Look) -> None:
        match step:
            case State():
                cluster.sync(step)
                self.seen["synced"] += 1
            case Theft(name):
                for key in [key for key in self.server.state.objects if key.name.endswith(name)]:
                    if key.kind == "Namespace":
                        self._take_over(key)
            case Look(destination):
                probe = Probe(NodeRef(1), Destination(destination, 80))
                list(cluster.probe([probe]))
                cluster.describe([probe])
                self.seen["looked"] += 1

    def _race(self, rival: Chance, call: Call) -> None:
        """Take a name just before a call that needs it is served."""
        if not call.is_change or rival.draw(call) is None:
            return
        self.server.state.catch_up()
        if call.namespace:
            self._take_over(Key("v1", "Namespace", "", call.namespace))
            return
        for key in OWN_KINDS:
            if key.kind == call.kind:
                self._take_over(key._replace(name=call.name))
                return

    def _take_over(self, key: Key) -> None:
        if key in self.theirs:
            return
        self.seen["taken"] += 1
        self.server.state.drop(*key)
        item = thing(key.api_version, key.kind, key.name, labels=MINE)
        self._put(item)
        if key.kind == "Namespace":
            self._put(thing("v1", "ServiceAccount", "default", key.name))
            self._put(thing(NP, "NetworkPolicy", "deny", key.name, labels=MINE))
            self._put(thing("v1", "Pod", "p", key.name, labels=MINE) | RUNNING)

    def check_subjects(self) -> None:
        """Check that each policy of the run requires the labels of its namespaces."""
        for uid, key in self.server.made.items():
            found = self.server.state.found(*key)
            if key.api_version not in {TIERS, ADMIN} or found is None:
                continue
            if found["metadata"]["uid"] == uid:
                subject = found["spec"]["subject"]
                spaces = subject.get("namespaces") or subject["pods"]["namespaceSelector"]
                assert spaces["matchLabels"].items() >= MARKS.items()
                self.seen["confined"] += 1

    def check(self, left: tuple[str, ...]) -> None:
        """Check that the objects of others are unchanged, and those of the run gone or named."""
        for key, before in self.theirs.items():
            assert as_text(self.server.state.found(*key)) == before
        for uid, key in self.server.made.items():
            found = self.server.state.found(*key)
            if found is None or found["metadata"]["uid"] != uid:
                continue
            # Where a namespace cannot be read, its name stands for what is in it.
            named = {re.split("[:,]", line)[0] for line in left}
            home = Ref("v1", "Namespace", "", key.namespace)
            assert named & {str(Ref(*key)), str(home)}, (key, left)
            self.seen["left"] += 1


OWN_KINDS = (
    Key("v1", "Namespace", "", ""),
    Key(STORAGE, "StorageClass", "", ""),
    Key(FELIX, "FelixConfiguration", "", ""),
    Key(FELIX, "GlobalNetworkPolicy", "", ""),
    Key(TIERS, "ClusterNetworkPolicy", "", ""),
    Key(ADMIN, "BaselineAdminNetworkPolicy", "", ""),
)

# A smaller seed is another one, so that a failing trial is shown as it was drawn.
patient = settings(
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def test_objects_of_other_users_stay_and_those_of_the_run_go() -> None:
    seen: Counter[str] = Counter()

    @settings(patient, max_examples=SEQUENCES, derandomize=SEQUENCES <= 300, print_blob=True)
    @given(trials())
    @example(Trial((State("s", (Namespace("production"),), exact_names=True),)))
    @example(Trial((State("s", (Namespace("b"),)),)))
    @example(Trial((State("s", (Namespace("a"),)), Theft("r1-main-s-a"), State("s"))))
    def run(trial: Trial) -> None:
        shared = SharedCluster(ApiServer())
        shared.run(trial, DirectApi(shared.server))
        seen.update(shared.seen)

    run()
    if SEQUENCES >= 300:  # else the sequences would show little
        assert seen["synced"] > SEQUENCES / 3, seen
        assert all(
            seen[what] > SEQUENCES / 100
            for what in ("failed", "taken", "looked", "left", "confined")
        )


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[ApiServer], Api]]:
    with serving() as server:
        config = kubeconfig(server, tmp_path_factory.mktemp("http"))
        yield lambda api: connected(server, api, config)


def connected(server: HttpServer, api: ApiServer, config: str) -> Api:
    server.api = api
    return Api(config, "kind-netpol")


@settings(patient, max_examples=OVER_HTTP, derandomize=True)
@given(trial=trials())
def test_the_same_holds_over_http(http: Callable[[ApiServer], Api], trial: Trial) -> None:
    shared = SharedCluster(ApiServer())
    shared.run(trial, http(shared.server))


@pytest.mark.parametrize("verb", ["merge", "update", "delete", "drop"])
def test_the_comparison_can_fail(verb: str) -> None:
    shared = SharedCluster(ApiServer())
    shared.check(())
    state = shared.server.state
    key = Key(STORAGE, "StorageClass", "", "standard")
    item = thing(key.api_version, key.kind, key.name) | {"provisioner": "local-path"}
    match verb:
        case "merge":
            state.merge(key, {"metadata": {"labels": {"x": "y"}}})
        case "update":
            state.update(key, item | {"reclaimPolicy": "Retain"})
        case "delete":
            state.delete(key)
        case "drop":
            state.drop(*key)
            state.put(item)
    with pytest.raises(AssertionError):
        shared.check(())


def test_what_is_left_and_not_named_is_found() -> None:
    shared = SharedCluster(ApiServer())
    DirectApi(shared.server).create(thing("v1", "Namespace", "a"))
    shared.check(("Namespace a: no answer",))
    with pytest.raises(AssertionError):
        shared.check(("Namespace ab: no answer",))
