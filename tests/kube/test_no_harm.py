"""On a cluster that others use, nothing of theirs is ever changed or deleted.

Random sequences of States are made true on a cluster that holds strangers' objects, while any
call may fail, also after the server has done it. Then each stranger's object is what it was,
byte for byte, and ours are gone or named by ``close``.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.cluster.kube import KubeCluster, KubeSettings
from harness.cluster.kube.objects import OWNER_LABEL, RUN_LABEL, TOKEN_ANNOTATION, WORKER_LABEL
from harness.errors import HarnessError
from harness.model import (
    Labels,
    Manifest,
    Namespace,
    Pod,
    Service,
    ServicePort,
    ServiceType,
    State,
)

from .apiserver import ApiServer, DirectApi, Fault, Faults, Object

SEQUENCES = int(os.environ.get("NETPOL_NO_HARM_SEQUENCES", "300"))
MINE = {OWNER_LABEL: "netpol-harness", RUN_LABEL: "r1", WORKER_LABEL: "main"}
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}},
    "spec": {},
    "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}]},
}
RUNNING = {"spec": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
NP = "networking.k8s.io/v1"
FELIX = "crd.projectcalico.org/v1"


def thing(version: str, kind: str, name: str, namespace: str = "", **metadata: object) -> Object:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {}), **metadata},
    }


def strangers() -> list[Object]:
    """What others have on the cluster, with names and labels as much like ours as can be."""
    other_run = {"netpol.harness/process": json.dumps({"pid": 1, "started": "1"})}
    return [
        NODE,
        thing("v1", "Namespace", "production", labels={"team": "shop"}),
        thing(NP, "NetworkPolicy", "deny", "production"),
        thing("v1", "Pod", "web", "production", labels=MINE) | RUNNING,
        # Names and labels that this run would give, in namespaces that it did not make.
        thing("v1", "Namespace", "r1-main-s-b", labels=MINE),
        thing("v1", "Namespace", "r1-main-node-processes", labels=MINE),
        thing("v1", "Namespace", "c", labels=MINE, annotations=other_run),
        thing("v1", "Namespace", "r2-main-s-a", labels={**MINE, RUN_LABEL: "r2"}),
        thing("storage.k8s.io/v1", "StorageClass", "standard") | {"provisioner": "local-path"},
        thing(FELIX, "FelixConfiguration", "default", labels=MINE) | {"spec": {"ipipMTU": 1400}},
    ]


def manifest(version: str, kind: str, namespace: str, name: str, spec: str) -> Manifest:
    item = thing(version, kind, name, namespace) | {"spec": {"podSelector": {}, "note": spec}}
    return Manifest(version, kind, namespace, name, json.dumps(item))


NAMES = st.sampled_from(["a", "b", "c", "production"])
INCARNATIONS = st.integers(0, 2)
LABELS = st.sampled_from([Labels(), Labels({"app": "x"}), Labels({"app": "y", "tier": "z"})])
SERVICE_TYPES = st.sampled_from(
    [ServiceType.CLUSTER_IP, ServiceType.HEADLESS, ServiceType.NODE_PORT]
)


@st.composite
def states(draw: st.DrawFn) -> State:
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    spaces = tuple(Namespace(name, draw(LABELS), draw(INCARNATIONS)) for name in names)
    pods = tuple(
        Pod(name, pod, draw(LABELS), incarnation=draw(INCARNATIONS))
        for name in names
        for pod in draw(st.lists(st.sampled_from(["p", "q"]), max_size=2, unique=True))
    )
    services = tuple(
        Service(name, "s", draw(LABELS), (ServicePort(80, draw(st.integers(80, 81))),), kind)
        for name in names
        if (kind := draw(st.none() | SERVICE_TYPES)) is not None
    )
    objects = {
        (item.kind, item.namespace, item.name): item
        for name in names
        for item in draw(st.lists(st.sampled_from([
            manifest(NP, "NetworkPolicy", name, "deny", "1"),
            manifest(NP, "NetworkPolicy", name, "deny", "2"),
            manifest(NP, "NetworkPolicy", name, "other", "1"),
            manifest("cilium.io/v2", "CiliumNetworkPolicy", name, "deny", "1"),
            manifest("storage.k8s.io/v1", "StorageClass", "", "standard", "1"),
            manifest("storage.k8s.io/v1", "StorageClass", "", "ours", "1"),
            manifest("storage.k8s.io/v1", "StorageClass", "", "ours", "2"),
            manifest(FELIX, "FelixConfiguration", "", "default", "1"),
            manifest(FELIX, "FelixConfiguration", name, "ours", "1"),
        ]), max_size=3))
    }  # fmt: skip
    policies = tuple(replace(item, incarnation=draw(INCARNATIONS)) for item in objects.values())
    refused = draw(st.sampled_from([(), (manifest(NP, "NetworkPolicy", names[0], "no", "1"),)]))
    return State(
        scope=draw(st.sampled_from(["s", "t"])),
        namespaces=spaces,
        pods=pods,
        services=services,
        policies=policies,
        refused=refused,
        exact_names=draw(st.booleans()),
    )


@dataclass(frozen=True)
class Theft:
    """Somebody deletes a namespace and makes one of the same name, with a policy in it."""

    name: str


STEPS = st.lists(states() | st.builds(Theft, NAMES), min_size=1, max_size=4)
FAULTS = st.builds(
    Faults,
    seed=st.integers(0, 2**32),
    percent=st.sampled_from([0, 0, 5, 15, 30]),
    kinds=st.lists(st.sampled_from(Fault), min_size=1, unique=True).map(tuple),
)


@settings(
    max_examples=SEQUENCES,
    deadline=None,
    derandomize=SEQUENCES == 300,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(STEPS, FAULTS)
@example([State("s", (Namespace("production"),), exact_names=True)], Faults())
@example([State("s", (Namespace("b"),))], Faults())
@example(
    [
        State(
            "s",
            (Namespace("a"),),
            policies=(manifest("storage.k8s.io/v1", "StorageClass", "", "standard", "1"),),
            exact_names=True,
        )
    ],
    Faults(),
)
@example([State("s", (Namespace("a"),)), Theft("r1-main-s-a"), State("s")], Faults())
def test_strangers_keep_what_they_have_and_ours_goes(
    steps: list[State | Theft], faults: Faults
) -> None:
    server = ApiServer()
    theirs = [json.loads(json.dumps(server.put(item))) for item in strangers()]
    api = DirectApi(server)
    settings_ = KubeSettings(run="r1", context="double", clock=server.clock)
    cluster = KubeCluster(settings_, api=api)
    api.faults = faults
    for step in steps:
        if isinstance(step, Theft):
            theirs += steal(server, step.name, theirs)
            continue
        try:
            cluster.sync(step)
        except HarnessError:
            continue
    left = cluster.close()
    assert_unharmed(server, theirs)
    remaining = [
        item
        for item in server.objects.values()
        if TOKEN_ANNOTATION in item["metadata"].get("annotations", {})
        and not item["metadata"].get("namespace")
    ]
    unnamed = [
        f"{item['kind']} {item['metadata']['name']}"
        for item in remaining
        if not any(f"{item['kind']} {item['metadata']['name']}" in line for line in left)
    ]
    assert not unnamed, left
    if not faults.percent:
        assert left == ()


def steal(server: ApiServer, name: str, theirs: list[Object]) -> list[Object]:
    taken = {(item["kind"], item["metadata"]["name"]) for item in theirs}
    found = [
        item["metadata"]["name"]
        for item in server.objects.values()
        if item["kind"] == "Namespace" and item["metadata"]["name"].endswith(name)
    ]
    made = []
    for real in found:
        if ("Namespace", real) not in taken:
            server.drop("v1", "Namespace", "", real)
            made += [
                server.put(thing("v1", "Namespace", real, labels=MINE)),
                server.put(thing(NP, "NetworkPolicy", "deny", real)),
                server.put(thing("v1", "Pod", "p", real, labels=MINE) | RUNNING),
            ]
    copied: list[Object] = json.loads(json.dumps(made))
    return copied


def assert_unharmed(server: ApiServer, theirs: list[Object]) -> None:
    for item in theirs:
        metadata = item["metadata"]
        now = server.objects.get(
            (item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"])
        )
        assert json.dumps(now, sort_keys=True) == json.dumps(item, sort_keys=True)


@pytest.mark.parametrize("method", ["patch", "put", "delete", "post"])
def test_the_comparison_can_fail(method: str) -> None:
    server = ApiServer()
    theirs = [json.loads(json.dumps(server.put(item))) for item in strangers()]
    path = "/apis/storage.k8s.io/v1/storageclasses"
    if method == "post":
        server.handle("post", path, [], thing("storage.k8s.io/v1", "StorageClass", "new"))
        assert_unharmed(server, theirs)
        return
    item = thing("storage.k8s.io/v1", "StorageClass", "standard")
    server.handle(method, f"{path}/standard", [], None if method == "delete" else item)
    with pytest.raises(AssertionError):
        assert_unharmed(server, theirs)
