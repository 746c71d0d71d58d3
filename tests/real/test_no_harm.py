"""What ``tests/kube/test_no_harm.py`` shows on a double, on a real cluster with real strangers.

Faults are put in on our side of the connection: a request is not sent and answered with 503, or
it is sent and its answer is dropped.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.cluster import kind
from harness.cluster.kube import KubeCluster, KubeSettings, Limits
from harness.cluster.kube.api import Api, ApiError, Object
from harness.cluster.kube.objects import OWNER_LABEL, RUN_LABEL, WORKER_LABEL
from harness.cluster.kube.owned import Ref, ref_of
from harness.errors import HarnessError
from harness.model import Labels, Manifest, Namespace, Pod, State
from tests.kube.apiserver import Call, Chance, Fault, Faults

from .conftest import NAME

SEQUENCES = 30
LIMITS = Limits(ready_s=90, gone_s=90, close_s=120)
NP = "networking.k8s.io/v1"
STORAGE = "storage.k8s.io/v1"
FELIX = "crd.projectcalico.org/v1"


class FaultyApi(Api):
    """An ``Api`` some of whose requests are not sent, or whose answers get lost."""

    def __init__(self, kubeconfig: str, context: str) -> None:
        super().__init__(kubeconfig, context)
        self.faults = Faults()
        self._counts: Counter[tuple[str, str]] = Counter()

    def request(
        self,
        method: str,
        url: str,
        *,
        body: Object | None = None,
        query: Sequence[tuple[str, str]] = (),
        content_type: str | None = None,
    ) -> Object:
        nth = self._counts[method, url]
        self._counts[method, url] += 1
        fault = self.faults.of(Call(method, url, nth=nth))
        if fault is Fault.UNAVAILABLE:
            raise ApiError("not sent", 503)
        answer = super().request(method, url, body=body, query=query, content_type=content_type)
        if fault is not None:
            raise ApiError(f"{method.upper()} {url}: the answer was dropped")
        return answer


def thing(version: str, kind_: str, name: str, namespace: str = "", **metadata: object) -> Object:
    place = {"namespace": namespace} if namespace else {}
    metadata = {"name": name, **place, **metadata}
    return {"apiVersion": version, "kind": kind_, "metadata": metadata}


def manifest(item: Object) -> Manifest:
    ref = ref_of(item)
    return Manifest(ref.api_version, ref.kind, ref.namespace, ref.name, json.dumps(item))


def policy(namespace: str, way: str) -> Manifest:
    spec = {"podSelector": {}, "policyTypes": [way]}
    return manifest(thing(NP, "NetworkPolicy", "deny", namespace) | {"spec": spec})


def storage(name: str, *, expands: bool) -> Manifest:
    spec = {"provisioner": "netpol.example/none", "allowVolumeExpansion": expands}
    return manifest(thing(STORAGE, "StorageClass", name) | spec)


# ------------------------------------------------------------------ what is drawn


@dataclass(frozen=True)
class Theft:
    """Somebody replaces our namespaces whose names end so by their own."""

    name: str


@dataclass(frozen=True)
class Trial:
    """A sequence of steps, and the requests that go wrong."""

    steps: tuple[State | Theft, ...]
    faults: Faults


@dataclass(frozen=True)
class Names:
    """Names that no other test on the cluster uses; ``run`` is ours, and so are its labels."""

    run: str

    @property
    def ours(self) -> str:
        return f"{self.run}-ours"

    @property
    def theirs(self) -> str:
        """A stranger's, with exact names and in scope ``s``."""
        return f"{self.run}-theirs"

    @property
    def labels(self) -> dict[str, str]:
        return {OWNER_LABEL: "netpol-harness", RUN_LABEL: self.run, WORKER_LABEL: "main"}


@st.composite
def states(draw: st.DrawFn, names: Names) -> State:
    spaces = draw(st.sampled_from([(names.ours,), (names.ours, names.theirs)]))
    exact = draw(st.booleans())
    incarnations = st.integers(0, 1)
    first = spaces[0]
    chosen = draw(st.sampled_from([
        (),
        (policy(first, "Ingress"),),
        (policy(first, "Egress"),),
    ]))  # fmt: skip
    if exact:
        felix = manifest(thing(FELIX, "FelixConfiguration", "default") | {"spec": {}})
        chosen += draw(st.sampled_from([
            (),
            (storage(names.ours, expands=False),),
            (storage(names.ours, expands=True),),
            (storage(names.theirs, expands=True),),
            (felix,),
        ]))  # fmt: skip
    return State(
        scope=draw(st.sampled_from(["s", "t"])),
        namespaces=tuple(Namespace(name, Labels(), draw(incarnations)) for name in spaces),
        pods=draw(st.sampled_from([(), (), (Pod(first, "p"),)])),
        policies=tuple(replace(item, incarnation=draw(incarnations)) for item in chosen),
        exact_names=exact,
    )


def trials(names: Names) -> st.SearchStrategy[Trial]:
    kinds = [states(names)] * 4 + [st.just(Theft(names.ours))]
    steps = st.sampled_from(kinds).flatmap(lambda step: step)
    chance = st.builds(Chance, st.integers(0, 2**32), st.sampled_from([0, 5, 15]))
    faults = st.builds(Faults, chance, st.just((Fault.UNAVAILABLE, Fault.LOST_BROKEN)))
    return st.builds(Trial, st.lists(steps, min_size=1, max_size=3).map(tuple), faults)


# ------------------------------------------------------------------ what is on the cluster


@dataclass(slots=True)
class Strangers:
    """Objects of somebody else, made through a connection without faults."""

    api: Api
    names: Names
    before: dict[Ref, str] = field(default_factory=dict)

    def make(self) -> None:
        run, theirs, labels = self.names.run, self.names.theirs, self.names.labels
        spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
        for item in (
            thing("v1", "Namespace", theirs, labels={"team": "shop"}),
            thing(NP, "NetworkPolicy", "deny", theirs, labels=labels) | {"spec": spec},
            thing("v1", "ConfigMap", "shop", theirs) | {"data": {"a": "b"}},
            thing("v1", "Namespace", f"{run}-main-s-{theirs}", labels=labels),
            thing("v1", "Namespace", f"{run}-main-node-processes", labels=labels),
            thing("v1", "Namespace", f"{run}x-main-s-a", labels={**labels, RUN_LABEL: f"{run}x"}),
            thing(STORAGE, "StorageClass", theirs, labels=labels)
            | {"provisioner": "netpol.example/theirs"},
        ):
            self.put(item)
        for ref in (
            Ref(STORAGE, "StorageClass", "", "standard"),
            Ref(FELIX, "FelixConfiguration", "", "default"),
        ):
            if (now := self.now(ref)) != "null":
                self.before[ref] = now

    def put(self, item: Object) -> None:
        self.before[ref_of(item)] = json.dumps(self.api.create(item), sort_keys=True)

    def now(self, ref: Ref) -> str:
        try:
            found = self.api.get(ref.api_version, ref.kind, ref.name, ref.namespace)
        except ApiError as error:
            if error.status != 404:  # a kind that this cluster does not have
                raise
            found = None
        return json.dumps(found, sort_keys=True)

    def steal(self, ending: str) -> None:
        for item in self.ours():
            if item.kind == "Namespace" and item.name.endswith(ending):
                self.remove(item)
                self.put(thing("v1", "Namespace", item.name, labels=self.names.labels))

    def ours(self) -> list[Ref]:
        """Return what bears the labels of our run and is not a stranger's."""
        found = [
            Ref(version, kind_, "", item["metadata"]["name"])
            for version, kind_ in (("v1", "Namespace"), (STORAGE, "StorageClass"))
            for item in self.api.find(version, kind_, selector=f"{RUN_LABEL}={self.names.run}")
        ]
        return [ref for ref in found if ref not in self.before]

    def remove(self, ref: Ref) -> None:
        found = self.api.get(ref.api_version, ref.kind, ref.name)
        deadline = time.monotonic() + 90
        while found is not None:
            assert time.monotonic() < deadline, f"{ref} is still there"
            if not found["metadata"].get("deletionTimestamp"):
                uid = found["metadata"]["uid"]
                self.api.delete(ref.api_version, ref.kind, "", ref.name, uid)
            time.sleep(0.3)
            found = self.api.get(ref.api_version, ref.kind, ref.name)


@pytest.fixture
def strangers() -> Iterator[Strangers]:
    names = Names(f"h{secrets.token_hex(2)}")
    made = Strangers(Api(str(kind.kubeconfig(NAME)), f"kind-{NAME}"), names)
    try:
        made.make()
        yield made
    finally:
        for ref in [*made.before, *made.ours()]:
            if ref.name.startswith(names.run) and not ref.namespace:
                made.remove(ref)


def test_strangers_keep_what_they_have_and_ours_goes(strangers: Strangers) -> None:
    api = FaultyApi(str(kind.kubeconfig(NAME)), f"kind-{NAME}")

    @settings(
        max_examples=SEQUENCES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(trials(strangers.names))
    def run(trial: Trial) -> None:
        run_trial(trial, api, strangers)

    run()


def run_trial(trial: Trial, api: FaultyApi, strangers: Strangers) -> None:
    api.faults = Faults()
    known = set(strangers.before)
    cluster = KubeCluster(KubeSettings(run=strangers.names.run, limits=LIMITS), api)
    api.faults = trial.faults
    for step in trial.steps:
        match step:
            case State():
                with contextlib.suppress(HarnessError):
                    cluster.sync(step)
            case Theft(name):
                strangers.steal(name)
    left = cluster.close()
    for ref, before in strangers.before.items():
        assert strangers.now(ref) == before
    named = {re.split("[:,]", line)[0] for line in left}
    assert {str(ref) for ref in strangers.ours()} <= named
    if trial.faults.never:
        assert left == ()
    for ref in [*strangers.ours(), *(set(strangers.before) - known)]:
        strangers.before.pop(ref, None)
        strangers.remove(ref)
