"""The double answers as Kubernetes documents that its API server does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from harness.cluster.kube.api import Api, ApiError

from .apiserver import ApiServer, Call, Fault
from .cluster_state import Key, Object, as_text, selects
from .serving import HttpServer, kubeconfig, serving

SECRETS = "/api/v1/namespaces/db/secrets"


@pytest.fixture(scope="module")
def process() -> Iterator[HttpServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(process: HttpServer) -> ApiServer:
    process.api = ApiServer()
    return process.api


class Client:
    """Plain HTTP, so that the double is not pinned by what our adapter sends."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._pool = urllib3.PoolManager(retries=False)

    def __call__(
        self, method: str, path: str, body: Object | None = None, content: str = "json"
    ) -> tuple[int, Any]:
        url = f"{self._address}{path}"
        headers = {"Content-Type": f"application/{content}"}
        sent = None if body is None else json.dumps(body).encode()
        answer = self._pool.request(method, url, body=sent, headers=headers)
        return answer.status, json.loads(answer.data)

    def make(self, path: str, body: Object) -> Object:
        status, made = self("POST", path, body)
        assert status == 201, made
        return dict(made)


@pytest.fixture
def client(server: ApiServer, process: HttpServer) -> Client:
    return Client(process.address)


def namespace(name: str, **labels: str) -> Object:
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def secret(name: str, **labels: str) -> Object:
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {}}


def words(answer: tuple[int, Any]) -> tuple[int, str, str]:
    status, body = answer
    assert (body["kind"], body["status"], body["code"]) == ("Status", "Failure", status)
    return status, body["reason"], body["message"]


def test_an_object_gets_a_uid_a_version_and_a_time(client: Client) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    one = client.make(SECRETS, secret("one"))
    two = client.make(SECRETS, secret("two"))
    assert one["metadata"]["uid"] != two["metadata"]["uid"]
    assert int(one["metadata"]["resourceVersion"]) < int(two["metadata"]["resourceVersion"])
    assert one["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert one["metadata"]["namespace"] == "db"
    assert client("GET", f"{SECRETS}/one") == (200, one)


def test_a_name_is_taken_once(client: Client) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    assert words(client("POST", "/api/v1/namespaces", namespace("db"))) == (
        409,
        "AlreadyExists",
        'namespaces "db" already exists',
    )


def test_what_is_not_there_is_not_found(client: Client) -> None:
    assert words(client("GET", f"{SECRETS}/one")) == (404, "NotFound", 'secrets "one" not found')
    missing = (404, "NotFound", 'namespaces "db" not found')
    assert words(client("POST", SECRETS, secret("one"))) == missing
    for method in ("PATCH", "DELETE"):
        assert client(method, f"{SECRETS}/one", {})[0] == 404


def test_a_dry_run_changes_nothing(client: Client) -> None:
    assert client("POST", "/api/v1/namespaces?dryRun=All", namespace("db"))[0] == 201
    assert client("GET", "/api/v1/namespaces/db")[0] == 404


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("", ["a", "b", "c"]),
        ("run=r1", ["a"]),
        ("run==r1,worker=x", []),
        ("run", ["a", "b"]),
        ("!run", ["c"]),
        ("run!=r1", ["b", "c"]),
        ("run in (r1,r2),run", ["a", "b"]),
        ("run notin (r1)", ["b", "c"]),
    ],
)
def test_lists_are_chosen_by_label(client: Client, selector: str, names: list[str]) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    for item in (secret("a", run="r1"), secret("b", run="r2"), secret("c")):
        client.make(SECRETS, item)
    query = selector.replace(",", "%2C").replace("=", "%3D").replace(" ", "%20")
    for path in (SECRETS, "/api/v1/secrets"):
        status, found = client("GET", f"{path}?labelSelector={query}")
        assert (status, found["kind"]) == (200, "SecretList")
        assert [item["metadata"]["name"] for item in found["items"]] == names


def test_a_selector_of_nothing_matches_all() -> None:
    assert selects("", {})


def test_a_merge_patch_adds_and_removes(client: Client) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    made = client.make(SECRETS, secret("one", a="1", b="2"))
    changes = {"metadata": {"labels": {"a": None, "c": "3"}}}
    status, now = client("PATCH", f"{SECRETS}/one", changes, "merge-patch+json")
    assert (status, now["metadata"]["labels"]) == (200, {"b": "2", "c": "3"})
    assert now["metadata"]["uid"] == made["metadata"]["uid"]
    assert now["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]


def test_writing_what_is_there_makes_no_new_version(client: Client) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    made = client.make(SECRETS, secret("one", a="1"))
    changes = {"metadata": {"labels": {"a": "1"}}}
    assert client("PATCH", f"{SECRETS}/one", changes, "merge-patch+json") == (200, made)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_update_of_an_older_version_conflicts(client: Client, method: str) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    made = client.make(SECRETS, secret("one"))
    changed = {**made, "data": {"x": "eA=="}}
    assert client("PUT", f"{SECRETS}/one", changed)[0] == 200
    late = {**made, "data": {"x": "eQ=="}}
    assert words(client(method, f"{SECRETS}/one", late, "merge-patch+json")) == (
        409,
        "Conflict",
        'Operation cannot be fulfilled on secrets "one": the object has been modified; '
        "please apply your changes to the latest version and try again",
    )


def test_an_update_of_another_uid_is_refused(client: Client) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    made = client.make(SECRETS, secret("one"))
    metadata = {"name": "one", "uid": "other"}
    there = made["metadata"]["uid"]
    assert words(client("PUT", f"{SECRETS}/one", {**made, "metadata": metadata})) == (
        409,
        "Conflict",
        'Operation cannot be fulfilled on secrets "one": Precondition failed: '
        f"UID in precondition: other, UID in object meta: {there}",
    )
    changes = {"metadata": {"uid": "other"}}
    assert words(client("PATCH", f"{SECRETS}/one", changes, "merge-patch+json")) == (
        422,
        "Invalid",
        'Secret "one" is invalid: metadata.uid: Invalid value: "other": field is immutable',
    )


def test_an_apply_creates_and_then_changes(client: Client) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    item = secret("one", a="1")
    made = client("PATCH", f"{SECRETS}/one?fieldManager=m", item, "apply-patch+yaml")[1]
    item = secret("one", b="2")
    now = client("PATCH", f"{SECRETS}/one?fieldManager=m", item, "apply-patch+yaml")[1]
    assert now["metadata"]["labels"] == {"a": "1", "b": "2"}
    assert now["metadata"]["uid"] == made["metadata"]["uid"]


@pytest.mark.parametrize(
    ("preconditions", "cause"),
    [
        ({"uid": "other"}, "UID in precondition: other, UID in object meta: {uid}"),
        (
            {"resourceVersion": "1"},
            "ResourceVersion in precondition: 1, ResourceVersion in object meta: "
            "{resourceVersion}",
        ),
    ],
)
def test_a_delete_keeps_its_preconditions(
    client: Client, preconditions: dict[str, str], cause: str
) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    made = client.make(SECRETS, secret("one"))["metadata"]
    refused = client("DELETE", f"{SECRETS}/one", {"preconditions": preconditions})
    assert words(refused) == (
        409,
        "Conflict",
        'Operation cannot be fulfilled on secrets "one": Precondition failed: '
        + cause.format(**made),
    )
    kept = {key: made[key] for key in ("uid", "resourceVersion")}
    assert client("DELETE", f"{SECRETS}/one", {"preconditions": kept})[0] == 200
    assert client("GET", f"{SECRETS}/one")[0] == 404


def test_a_finalizer_holds_an_object(client: Client) -> None:
    item = {
        "apiVersion": "crd.projectcalico.org/v1",
        "kind": "FelixConfiguration",
        "metadata": {"name": "default", "finalizers": ["x/y"]},
    }
    path = "/apis/crd.projectcalico.org/v1/felixconfigurations"
    client.make(path, item)
    status, going = client("DELETE", f"{path}/default")
    assert (status, "deletionTimestamp" in going["metadata"]) == (200, True)
    assert client("GET", f"{path}/default") == (200, going)
    changes = {"metadata": {"finalizers": None}}
    client("PATCH", f"{path}/default", changes, "merge-patch+json")
    assert client("GET", f"{path}/default")[0] == 404


# ------------------------------------------------------------------ namespaces


def test_a_namespace_is_labelled_with_its_name_and_gets_an_account(
    client: Client, server: ApiServer
) -> None:
    made = client.make("/api/v1/namespaces", namespace("db", a="1"))
    assert made["metadata"]["labels"] == {"a": "1", "kubernetes.io/metadata.name": "db"}
    assert made["status"] == {"phase": "Active"}
    assert words(client("POST", "/api/v1/namespaces/db/pods", pod("a"))) == (
        403,
        "Forbidden",
        'pods "a" is forbidden: error looking up service account db/default: '
        'serviceaccount "default" not found',
    )
    server.state.clock.sleep(0.3)
    client.make("/api/v1/namespaces/db/pods", pod("a"))


def test_a_deleted_namespace_stays_a_while_and_takes_its_content_along(
    client: Client, server: ApiServer
) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    client.make(SECRETS, secret("one"))
    status, going = client("DELETE", "/api/v1/namespaces/db")
    assert (status, going["status"]) == (200, {"phase": "Terminating"})
    refused = client("POST", SECRETS, secret("two"))
    assert words(refused) == (
        403,
        "Forbidden",
        'secrets "two" is forbidden: unable to create new content in namespace db because it '
        "is being terminated",
    )
    assert refused[1]["details"] == {"causes": [{"reason": "NamespaceTerminating"}]}
    assert words(client("POST", "/api/v1/namespaces", namespace("db")))[1] == "AlreadyExists"
    assert words(client("DELETE", "/api/v1/namespaces/db"))[:2] == (409, "Conflict")
    assert client("GET", f"{SECRETS}/one")[0] == 200
    server.state.clock.sleep(1.0)
    assert client("GET", f"{SECRETS}/one")[0] == 404
    assert client("GET", "/api/v1/namespaces/db")[0] == 200
    server.state.clock.sleep(1.0)
    assert client("GET", "/api/v1/namespaces/db")[0] == 404
    client.make("/api/v1/namespaces", namespace("db"))


def test_what_was_due_to_a_namespace_does_not_hit_the_next_of_that_name(
    client: Client, server: ApiServer
) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    client("DELETE", "/api/v1/namespaces/db")
    server.state.drop("v1", "Namespace", "", "db")
    client.make("/api/v1/namespaces", namespace("db"))
    client.make(SECRETS, secret("one"))
    server.state.clock.sleep(10)
    assert client("GET", f"{SECRETS}/one")[0] == 200


# ------------------------------------------------------------------ pods and Services


def pod(name: str, grace_s: int = 0, **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": "n1"},
            "terminationGracePeriodSeconds": grace_s,
            "containers": [{"name": "agnhost", "image": "agnhost"}],
        },
    }


def node(name: str) -> Object:
    labels = {"kubernetes.io/hostname": name}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def test_a_pod_becomes_ready_on_its_node_and_then_is_an_endpoint(
    client: Client, server: ApiServer
) -> None:
    client.make("/api/v1/nodes", node("n0"))
    client.make("/api/v1/nodes", node("n1"))
    client.make("/api/v1/namespaces", namespace("db"))
    server.state.clock.sleep(1)
    made = client.make("/api/v1/namespaces/db/pods", pod("a", app="db"))
    assert (made["status"], "nodeName" in made["spec"]) == ({"phase": "Pending"}, False)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "db", "labels": {"run": "r1"}},
        "spec": {"selector": {"app": "db"}, "type": "NodePort", "ports": [{"port": 80}]},
    }
    spec = client.make("/api/v1/namespaces/db/services", service)["spec"]
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert 30000 <= spec["ports"][0]["nodePort"] < 32768
    slices = "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=run%3Dr1"
    assert client("GET", slices)[1]["items"][0]["endpoints"] == []
    server.state.clock.sleep(1)
    now = client("GET", "/api/v1/namespaces/db/pods/a")[1]
    assert now["spec"]["nodeName"] == "n1"
    assert now["status"]["conditions"] == [{"type": "Ready", "status": "True"}]
    assert int(now["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    [item] = client("GET", slices)[1]["items"]
    assert item["metadata"]["labels"] == {"run": "r1", "kubernetes.io/service-name": "db"}
    assert item["endpoints"][0]["addresses"] == [now["status"]["podIP"]]


def test_a_pod_that_fits_no_node_stays_pending(client: Client, server: ApiServer) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    server.state.clock.sleep(1)
    client.make("/api/v1/namespaces/db/pods", pod("a"))
    server.state.clock.sleep(9)
    now = client("GET", "/api/v1/namespaces/db/pods/a")[1]
    assert now["status"] == {"phase": "Pending"}


def test_a_pod_is_deleted_after_its_grace(client: Client, server: ApiServer) -> None:
    client.make("/api/v1/nodes", node("n1"))
    client.make("/api/v1/namespaces", namespace("db"))
    server.state.clock.sleep(1)
    for item in (pod("slow", grace_s=5), pod("fast")):
        client.make("/api/v1/namespaces/db/pods", item)
    server.state.clock.sleep(1)
    for name in ("slow", "fast"):
        client("DELETE", f"/api/v1/namespaces/db/pods/{name}")
    server.state.clock.sleep(0.5)
    assert client("GET", "/api/v1/namespaces/db/pods/fast")[0] == 404
    going = client("GET", "/api/v1/namespaces/db/pods/slow")[1]["metadata"]
    assert going["deletionGracePeriodSeconds"] == 5
    server.state.clock.sleep(5.5)
    assert client("GET", "/api/v1/namespaces/db/pods/slow")[0] == 404


# ------------------------------------------------------------------ what is refused


def test_policies_and_storage_classes_are_validated(client: Client) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    policies = "/apis/networking.k8s.io/v1/namespaces/db/networkpolicies"
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny"},
        "spec": {"podSelector": {}, "policyTypes": ["Sideways"]},
    }
    for path in (policies, f"{policies}?dryRun=All"):
        assert words(client("POST", path, policy)) == (
            422,
            "Invalid",
            'NetworkPolicy.networking.k8s.io "deny" is invalid: spec.policyTypes: '
            'Unsupported value: "Sideways"',
        )
    classes = "/apis/storage.k8s.io/v1/storageclasses"
    item = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "fast"},
        "provisioner": "one",
    }
    made = client.make(classes, item)
    changed = client("PUT", f"{classes}/fast", {**made, "provisioner": "two"})
    assert words(changed)[:2] == (422, "Invalid")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/apis/none/v1/things", 404),
        ("GET", "/apis/none/v1", 404),
        ("POST", "/api/v1/secrets", 404),
        ("GET", "/api/v1/namespaces/db/nodes", 404),
        ("GET", "/api/v1/namespaces/db/pods/a/exec", 404),
        ("DELETE", "/api/v1/namespaces", 405),
    ],
)
def test_urls_that_are_not_served(client: Client, method: str, path: str, status: int) -> None:
    assert client(method, path, {})[0] == status


def test_names_in_body_and_url_must_agree(client: Client) -> None:
    client.make("/api/v1/namespaces", namespace("db"))
    stray = secret("one")
    stray["metadata"]["namespace"] = "other"
    assert client("POST", SECRETS, stray)[0] == 400
    client.make(SECRETS, secret("one"))
    assert client("PUT", f"{SECRETS}/one", secret("two"))[0] == 400


def test_access_reviews(server: ApiServer, process: HttpServer, tmp_path: Path) -> None:
    server.denied.add(("list", "nodes"))
    api = Api(kubeconfig(process, tmp_path), "kind-netpol")
    assert api.can_i("list", "", "pods")
    assert not api.can_i("list", "", "nodes")
    server.denied.add(("list", "pods", "shop"))
    assert api.can_i("list", "", "pods", namespace="other")
    assert not api.can_i("list", "", "pods", namespace="shop")


def test_discovery_says_what_is_namespaced(client: Client) -> None:
    for path, name, namespaced in (
        ("/api/v1", "pods", True),
        ("/api/v1", "namespaces", False),
        ("/apis/storage.k8s.io/v1", "storageclasses", False),
        ("/apis/cilium.io/v2", "ciliumnetworkpolicies", True),
    ):
        found = {item["name"]: item for item in client("GET", path)[1]["resources"]}
        assert found[name]["namespaced"] is namespaced
    groups = {item["name"] for item in client("GET", "/apis")[1]["groups"]}
    assert {"networking.k8s.io", "coordination.k8s.io"} <= groups
    assert client("GET", "/api") == (200, {"kind": "APIVersions", "versions": ["v1"]})


# ------------------------------------------------------------------ faults


@pytest.mark.parametrize(
    ("fault", "status", "done"),
    [
        (Fault.CONFLICT, 409, False),
        (Fault.FORBIDDEN, 403, False),
        (Fault.INTERNAL, 500, False),
        (Fault.UNAVAILABLE, 503, False),
        (Fault.TIMEOUT, 504, False),
        (Fault.BROKEN, None, False),
        (Fault.LOST_500, 500, True),
        (Fault.LOST_TIMEOUT, 504, True),
        (Fault.LOST_BROKEN, None, True),
    ],
)
def test_a_fault_hits_the_call_that_was_chosen(
    client: Client, server: ApiServer, fault: Fault, status: int | None, done: bool
) -> None:
    hit = Call("create", "Namespace", "", "db")
    server.faults = lambda call: fault if call == hit else None
    if status is None:
        with pytest.raises(urllib3.exceptions.ProtocolError):
            client("POST", "/api/v1/namespaces", namespace("db"))
    else:
        assert words(client("POST", "/api/v1/namespaces", namespace("db")))[0] == status
    assert server.state.clock.now() == (30 if status == 504 else 0)
    assert client("GET", "/api/v1/namespaces/db")[0] == (200 if done else 404)
    assert len(server.made) == done
    again = client("POST", "/api/v1/namespaces", namespace("db"))
    assert again[0] == (409 if done else 201)
    assert server.calls[-1] == Call("create", "Namespace", "", "db", nth=1)


def test_somebody_may_act_just_before_a_call(client: Client, server: ApiServer) -> None:
    made = client.make("/api/v1/namespaces", namespace("db"))
    key = Key("v1", "Namespace", "", "db")

    def replaced(call: Call) -> None:
        if call.verb == "delete":
            server.state.drop(*key)
            server.state.put(namespace("db"))

    server.before = replaced
    uid = {"preconditions": {"uid": made["metadata"]["uid"]}}
    assert client("DELETE", "/api/v1/namespaces/db", uid)[0] == 409
    assert list(server.made.values()) == [key]
    assert as_text(server.state.get(key)) != as_text(made)


def test_our_client_reads_the_double(
    server: ApiServer, process: HttpServer, tmp_path: Path
) -> None:
    api = Api(kubeconfig(process, tmp_path), "kind-netpol")
    api.create(namespace("db"))
    found = api.get("v1", "Namespace", "db")
    assert found is not None
    assert found["metadata"]["name"] == "db"
    server.faults = lambda call: Fault.UNAVAILABLE if call.verb == "get" else None
    with pytest.raises(ApiError, match="the server is shutting down"):
        api.get("v1", "Namespace", "db")
