"""From one State to the next, against an API server that keeps what it is given."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from harness.cluster.kube import KubeCluster, KubeSettings
from harness.cluster.kube.api import ApiError
from harness.cluster.kube.objects import Naming
from harness.errors import ClusterError, Location, NotRefused
from harness.model import (
    CompletedPod,
    Labels,
    Manifest,
    Namespace,
    Pod,
    Service,
    ServicePort,
    State,
)

from .apiserver import ApiServer, Call, DirectApi
from .cluster_state import Key
from .test_no_harm import ADMIN, EVERYBODY, NODE, SHOP, TIERS, thing, tier

REAL = "r1-main-s-db"
NP = "networking.k8s.io/v1"


def manifest(
    kind: str, name: str, namespace: str = "", version: str = NP, note: str = ""
) -> Manifest:
    item = thing(version, kind, name, namespace) | {"spec": {"podSelector": {}, "note": note}}
    place = Location("s.yaml", 7, 9)
    return Manifest(version, kind, namespace, name, json.dumps(item), place)


POLICY = manifest("NetworkPolicy", "deny", "db")
STORAGE = manifest("StorageClass", "standard", version="storage.k8s.io/v1")
STATE = State("s", (Namespace("db"),))


@pytest.fixture
def server() -> ApiServer:
    server = ApiServer()
    server.state.put(NODE)
    return server


@pytest.fixture
def cluster(server: ApiServer) -> KubeCluster:
    return connected(server)


def connected(server: ApiServer, **changes: Any) -> KubeCluster:
    settings = KubeSettings(run="r1", clock=server.clock, **changes)
    return KubeCluster(settings, DirectApi(server))


def failing(cluster: KubeCluster, state: State) -> str:
    with pytest.raises(ClusterError) as caught:
        cluster.sync(state)
    assert not isinstance(caught.value, NotRefused)
    return str(caught.value)


def changes(server: ApiServer) -> list[Call]:
    return [call for call in server.calls if call.is_change]


# ------------------------------------------------------------------ policies of the cluster

CLOSED = tier(TIERS, "ClusterNetworkPolicy", "closed", EVERYBODY)
BASELINE = tier(ADMIN, "BaselineAdminNetworkPolicy", "default", EVERYBODY)


def test_a_policy_in_a_tier_goes_with_its_step_and_with_its_scenario(
    cluster: KubeCluster, server: ApiServer
) -> None:
    real = Key(TIERS, "ClusterNetworkPolicy", "", "r1-main-s-closed")
    cluster.sync(replace(STATE, policies=(CLOSED,)))
    first = server.state.found(*real)
    assert first
    changed = tier(TIERS, "ClusterNetworkPolicy", "closed", SHOP)
    cluster.sync(replace(STATE, policies=(changed,)))
    second = server.state.found(*real)
    assert second
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert "pods" in second["spec"]["subject"]
    cluster.sync(STATE)
    assert server.state.found(*real) is None
    cluster.sync(replace(STATE, policies=(CLOSED,)))
    cluster.sync(replace(STATE, scope="t"))
    assert server.state.found(*real) is None
    cluster.sync(replace(STATE, policies=(CLOSED,)))
    assert cluster.close() == ()
    assert server.state.found(*real) is None


def test_the_namespaces_have_their_labels_before_a_policy_selects_them(
    cluster: KubeCluster, server: ApiServer
) -> None:
    cluster.sync(replace(STATE, policies=(CLOSED,)))
    made = [call.kind for call in changes(server) if call.verb == "create"]
    assert made.index("ClusterNetworkPolicy") > max(
        place for place, kind in enumerate(made) if kind == "Namespace"
    )


def test_the_baseline_policy_of_somebody_else_is_left_alone(
    cluster: KubeCluster, server: ApiServer
) -> None:
    theirs = thing(ADMIN, "BaselineAdminNetworkPolicy", "default") | {"spec": {"subject": {}}}
    before = json.dumps(server.state.put(theirs))
    state = replace(STATE, policies=(BASELINE,), exact_names=True)
    assert failing(cluster, state) == (
        "BaselineAdminNetworkPolicy default already exists and was not created by this run\n"
        "hint: a cluster has only one: delete it yourself, or use a cluster that has none"
    )
    assert cluster.close() == ()
    key = Key(ADMIN, "BaselineAdminNetworkPolicy", "", "default")
    assert json.dumps(server.state.found(*key)) == before


def test_rights_on_policies_of_the_cluster_are_asked_for_when_a_scenario_has_one(
    cluster: KubeCluster, server: ApiServer
) -> None:
    server.denied.add(("create", "clusternetworkpolicies"))
    server.denied.add(("delete", "clusternetworkpolicies"))
    cluster.sync(STATE)
    sent = changes(server)
    assert failing(cluster, replace(STATE, policies=(CLOSED,))) == (
        "context 'double' lacks the rights to create clusternetworkpolicies "
        "(policy.networking.k8s.io), delete clusternetworkpolicies (policy.networking.k8s.io)\n"
        "hint: docs/rbac.yaml has a role with all rights that are needed"
    )
    asked = changes(server)[len(sent) :]
    assert {call.kind for call in asked} == {"SelfSubjectAccessReview"}


def test_a_description_has_the_policies_of_the_cluster_by_the_names_of_the_scenario(
    cluster: KubeCluster,
) -> None:
    cluster.sync(replace(STATE, policies=(CLOSED,)))
    lines = cluster.describe([]).splitlines()
    place = lines.index("policies of the whole cluster:")
    assert lines[place + 1].startswith('  ClusterNetworkPolicy closed: {"ingress": ')
    assert lines[place + 1].endswith(", as ClusterNetworkPolicy r1-main-s-closed")


# ------------------------------------------------------------------ refusals


def test_a_policy_that_is_refused_says_why(cluster: KubeCluster, server: ApiServer) -> None:
    words = 'admission webhook "guard" denied: no'
    server.refusals.append(("create", "NetworkPolicy", 403, words))
    assert failing(cluster, replace(STATE, policies=(POLICY,))) == (
        f"the API server refused NetworkPolicy db/deny: {words}"
    )


def test_a_step_may_expect_the_refusal(cluster: KubeCluster, server: ApiServer) -> None:
    refusal = (422, "spec.policyTypes: Unsupported value")
    server.refusals.append(("create", "NetworkPolicy", *refusal))
    cluster.sync(replace(STATE, refused=(POLICY,)))
    assert server.state.found(NP, "NetworkPolicy", REAL, "deny") is None


def test_what_should_be_refused_and_is_not(cluster: KubeCluster, server: ApiServer) -> None:
    with pytest.raises(NotRefused) as caught:
        cluster.sync(replace(STATE, refused=(POLICY,)))
    assert str(caught.value) == (
        "the API server accepted NetworkPolicy db/deny, which the step expects it to refuse"
    )
    assert server.state.found(NP, "NetworkPolicy", REAL, "deny") is None


def test_an_update_may_be_what_is_refused(cluster: KubeCluster, server: ApiServer) -> None:
    cluster.sync(replace(STATE, policies=(POLICY,)))
    server.refusals.append(("update", "NetworkPolicy", 422, "spec: immutable"))
    cluster.sync(replace(STATE, policies=(POLICY,), refused=(POLICY,)))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "boom"),
        (403, 'networkpolicies is forbidden: User "u" cannot create resource "networkpolicies"'),
    ],
)
def test_a_failure_is_no_refusal(
    cluster: KubeCluster, server: ApiServer, status: int, words: str
) -> None:
    server.refusals.append(("create", "NetworkPolicy", status, words))
    assert failing(cluster, replace(STATE, refused=(POLICY,))) == (
        f"the API server failed instead of refusing NetworkPolicy db/deny: {words}"
    )


def test_a_policy_in_a_namespace_of_others(cluster: KubeCluster) -> None:
    stray = replace(POLICY, namespace="kube-system")
    assert failing(cluster, replace(STATE, policies=(stray,))) == (
        "NetworkPolicy kube-system/deny is in a namespace that the scenario does not create\n"
        "hint: its namespaces are db"
    )


# ------------------------------------------------------------------ addresses of the cluster


def naming(*blocks: str) -> Manifest:
    """Return a policy with blocks that only the cluster knows."""
    item = thing(NP, "NetworkPolicy", "blocks", "db")
    peers = [{"ipBlock": {"cidr": block}} for block in blocks]
    item["spec"] = {"podSelector": {}, "ingress": [{"from": peers}]}
    return Manifest(NP, "NetworkPolicy", "db", "blocks", json.dumps(item))


def blocks(server: ApiServer) -> list[str]:
    found = server.state.found(NP, "NetworkPolicy", REAL, "blocks")
    assert found is not None
    return [peer["ipBlock"]["cidr"] for peer in found["spec"]["ingress"][0]["from"]]


def address_of(server: ApiServer, name: str) -> str:
    found = server.state.found("v1", "Pod", REAL, name)
    assert found is not None
    address: str = found["status"]["podIP"]
    return address


def test_addresses_are_filled_in_when_the_pods_are_there(
    cluster: KubeCluster, server: ApiServer
) -> None:
    written = naming("$(ip:db/web)/32", "$(ip:node/1)/32", "$(cidr:pods)")
    node = {**NODE, "spec": {"podCIDRs": ["10.244.0.0/24"]}}
    server.state.put(node)
    cluster.sync(replace(STATE, pods=(Pod("db", "web"),), policies=(written,)))
    assert blocks(server) == [f"{address_of(server, 'web')}/32", "172.18.0.2/32", "10.244.0.0/24"]


def test_a_pod_that_is_created_again_has_another_address_in_the_policy(
    cluster: KubeCluster, server: ApiServer
) -> None:
    state = replace(STATE, pods=(Pod("db", "web"),), policies=(naming("$(ip:db/web)/32"),))
    cluster.sync(state)
    before = address_of(server, "web")
    cluster.sync(replace(state, pods=(Pod("db", "web", incarnation=1),)))
    assert address_of(server, "web") != before
    assert blocks(server) == [f"{address_of(server, 'web')}/32"]


def test_a_policy_with_the_same_addresses_is_not_touched(
    cluster: KubeCluster, server: ApiServer
) -> None:
    state = replace(STATE, pods=(Pod("db", "web"),), policies=(naming("$(ip:db/web)/32"),))
    cluster.sync(state)
    before = len(changes(server))
    cluster.sync(state)
    assert [call for call in changes(server)[before:] if call.kind == "NetworkPolicy"] == []


def test_a_pod_without_an_address_of_the_family(cluster: KubeCluster) -> None:
    state = replace(STATE, pods=(Pod("db", "web"),), policies=(naming("$(ip6:db/web)/128"),))
    assert failing(cluster, state) == "the cluster has no IPv6 address for $(ip6:db/web)"


# ------------------------------------------------------------------ objects of other users


def test_a_namespace_of_another_user_is_neither_used_nor_deleted(
    cluster: KubeCluster, server: ApiServer
) -> None:
    before = json.dumps(server.state.put(thing("v1", "Namespace", "db")))
    assert failing(cluster, replace(STATE, exact_names=True)) == (
        "Namespace db already exists and was not created by this run\n"
        "hint: delete it, or leave out 'exact names'"
    )
    assert cluster.close() == ()
    assert json.dumps(server.state.found("v1", "Namespace", "", "db")) == before


def test_an_object_of_the_whole_cluster_is_refused_before_anything_is_sent(
    cluster: KubeCluster, server: ApiServer
) -> None:
    assert failing(cluster, replace(STATE, policies=(POLICY, STORAGE))) == (
        "StorageClass standard is cluster-scoped, and others may use the cluster (s.yaml:7:9)\n"
        "hint: write 'exact names: true' in the scenario, "
        "and run it on a cluster that nobody else uses"
    )
    assert changes(server) == []


def test_a_kind_that_the_cluster_does_not_know_is_refused_before_anything_is_sent(
    cluster: KubeCluster, server: ApiServer
) -> None:
    unknown = manifest("Guard", "g", "db", "guards.example/v1")
    assert failing(cluster, replace(STATE, refused=(unknown,))) == (
        "the cluster has no kind Guard in guards.example/v1"
    )
    assert changes(server) == []


def test_an_object_of_the_whole_cluster_that_exists_is_left_alone(
    cluster: KubeCluster, server: ApiServer
) -> None:
    before = json.dumps(server.state.put(thing("storage.k8s.io/v1", "StorageClass", "standard")))
    assert failing(cluster, replace(STATE, policies=(STORAGE,), exact_names=True)) == (
        "StorageClass standard already exists and was not created by this run\n"
        "hint: netpol never changes objects that it did not create: delete it yourself, "
        "or choose another name"
    )
    cluster.sync(replace(STATE, exact_names=True))
    assert cluster.close() == ()
    assert (
        json.dumps(server.state.found("storage.k8s.io/v1", "StorageClass", "", "standard"))
        == before
    )


def test_a_cluster_scoped_object_that_the_run_created_is_updated_and_goes(
    cluster: KubeCluster, server: ApiServer
) -> None:
    made = replace(STATE, policies=(STORAGE,), exact_names=True)
    cluster.sync(made)
    first = server.state.found("storage.k8s.io/v1", "StorageClass", "", "standard")
    new = manifest("StorageClass", "standard", version="storage.k8s.io/v1", note="new")
    cluster.sync(replace(made, policies=(new,)))
    second = server.state.found("storage.k8s.io/v1", "StorageClass", "", "standard")
    assert first
    assert second
    assert first["metadata"]["uid"] == second["metadata"]["uid"]
    assert second["spec"]["note"] == "new"
    cluster.sync(replace(made, policies=()))
    assert server.state.found("storage.k8s.io/v1", "StorageClass", "", "standard") is None


def test_an_update_takes_away_what_the_file_no_longer_says(
    cluster: KubeCluster, server: ApiServer
) -> None:
    first = {"podSelector": {}, "policyTypes": ["Egress"]}
    second: dict[str, object] = {"podSelector": {}}
    for spec in (first, second):
        item = thing(NP, "NetworkPolicy", "deny", "db") | {"spec": spec}
        cluster.sync(replace(STATE, policies=(replace(POLICY, json=json.dumps(item)),)))
    found = server.state.found(NP, "NetworkPolicy", REAL, "deny")
    assert found
    assert found["spec"] == second


def test_a_namespace_that_others_replace_is_not_used_again(
    cluster: KubeCluster, server: ApiServer
) -> None:
    state = replace(STATE, pods=(Pod("db", "a"),))
    cluster.sync(state)
    server.state.drop("v1", "Namespace", "", REAL)
    theirs = json.dumps(server.state.put(thing("v1", "Namespace", REAL)))
    assert failing(cluster, state) == (
        f"Namespace {REAL} already exists and was not created by this run\n"
        "hint: delete it, or leave out 'exact names'"
    )
    assert server.state.found("v1", "Pod", REAL, "a") is None
    assert cluster.close() == ()
    assert json.dumps(server.state.found("v1", "Namespace", "", REAL)) == theirs


def test_an_object_of_the_run_in_a_namespace_that_others_replaced_goes(
    cluster: KubeCluster, server: ApiServer
) -> None:
    theirs: list[str] = []

    def replaced(call: Call) -> None:
        if (call.verb, call.kind) == ("create", "NetworkPolicy"):
            server.state.drop("v1", "Namespace", "", REAL)
            theirs.append(json.dumps(server.state.put(thing("v1", "Namespace", REAL))))

    server.before = replaced
    cluster.sync(replace(STATE, policies=(POLICY,)))
    assert server.state.found(NP, "NetworkPolicy", REAL, "deny")
    assert cluster.close() == ()
    assert server.state.found(NP, "NetworkPolicy", REAL, "deny") is None
    assert json.dumps(server.state.found("v1", "Namespace", "", REAL)) == theirs[0]


@pytest.mark.parametrize("verb", ["patch", "update"])
def test_an_update_does_not_hit_what_others_put_in_its_place(
    cluster: KubeCluster, server: ApiServer, verb: str
) -> None:
    kind, version = (
        ("Namespace", "v1") if verb == "patch" else ("StorageClass", STORAGE.api_version)
    )
    name = "db" if verb == "patch" else "standard"
    state = replace(STATE, policies=(STORAGE,), exact_names=True)
    cluster.sync(state)
    theirs: list[str] = []

    def replaced(call: Call) -> None:
        if (call.verb, call.kind) == (verb, kind) and not theirs:
            server.state.drop(version, kind, "", name)
            theirs.append(json.dumps(server.state.put(thing(version, kind, name))))

    server.before = replaced
    new = manifest("StorageClass", "standard", version=STORAGE.api_version, note="new")
    spaces = (Namespace("db", Labels({"app": "x"})),)
    words = failing(cluster, replace(state, namespaces=spaces, policies=(new,)))
    assert f"{kind} {name} was deleted by someone else" in words
    assert cluster.close() == ()
    assert json.dumps(server.state.found(version, kind, "", name)) == theirs[0]


def test_what_others_delete_is_made_again(cluster: KubeCluster, server: ApiServer) -> None:
    state = replace(STATE, pods=(Pod("db", "a"), Pod("db", "b")))
    cluster.sync(state)
    server.state.drop("v1", "Pod", REAL, "a")
    cluster.sync(state)
    assert server.state.found("v1", "Pod", REAL, "a")
    server.state.drop("v1", "Namespace", "", REAL)
    cluster.sync(state)
    assert server.state.found("v1", "Pod", REAL, "b")


def test_removed_labels_go(cluster: KubeCluster, server: ApiServer) -> None:
    before, after = Labels({"app": "web", "tier": "x"}), Labels({"app": "api"})
    for labels in (before, after):
        state = State("s", (Namespace("db", labels),), (Pod("db", "a", labels),))
        cluster.sync(state)
    for key in (("v1", "Namespace", "", REAL), ("v1", "Pod", REAL, "a")):
        found = server.state.found(*key)
        assert found
        assert found["metadata"]["labels"]["app"] == "api"
        assert "tier" not in found["metadata"]["labels"]


def test_all_objects_of_the_run_go(cluster: KubeCluster, server: ApiServer) -> None:
    service = Service("db", "s", Labels({"app": "x"}), (ServicePort(80, 80),))
    pod = Pod("db", "a", Labels({"app": "x"}))
    cluster.sync(replace(STATE, pods=(pod,), services=(service,), policies=(POLICY,)))
    cluster.sync(State("t", (Namespace("db"), Namespace("web"))))
    assert cluster.close() == ()
    assert [key for key in server.state.objects if key[1] != "Node"] == []


# ------------------------------------------------------------------ patience


def test_a_moment_without_an_answer_ends_no_step(server: ApiServer) -> None:
    failures = iter(range(3))

    class Flaky(DirectApi):
        def request(self, method: str, url: str, **rest: Any) -> dict[str, Any]:
            if url.endswith("/pods") and method == "get" and next(failures, None) is not None:
                raise ApiError("etcdserver: leader changed", 503)
            return super().request(method, url, **rest)

    settings = KubeSettings(run="r1", clock=server.clock)
    KubeCluster(settings, Flaky(server)).sync(replace(STATE, pods=(Pod("db", "a"),)))
    assert next(failures, None) is None


class TerminatingAtFirst(DirectApi):
    """Refuses the first pods as if the namespace before were still there."""

    left = 2

    def request(self, method: str, url: str, **rest: Any) -> dict[str, Any]:
        if url.endswith("/pods") and method == "post" and self.left:
            self.left -= 1
            raise ApiError(
                f'pods "a" is forbidden: unable to create new content in namespace {REAL} '
                "because it is being terminated",
                403,
            )
        return super().request(method, url, **rest)


def test_a_late_cache_of_namespaces_ends_no_step(server: ApiServer) -> None:
    api = TerminatingAtFirst(server)
    settings = KubeSettings(run="r1", clock=server.clock)
    KubeCluster(settings, api).sync(replace(STATE, pods=(Pod("db", "a"),)))
    assert api.left == 0


def test_a_namespace_that_others_delete_is_not_waited_for(
    cluster: KubeCluster, server: ApiServer
) -> None:
    def delete(call: Call) -> None:
        if call.verb == "create" and call.kind == "Pod":
            server.state.delete(Key("v1", "Namespace", "", REAL))

    server.state.delays.removed = math.inf
    server.before = delete
    assert "because it is being terminated" in failing(
        cluster, replace(STATE, pods=(Pod("db", "a"),))
    )
    assert sum(call.verb == "create" and call.kind == "Pod" for call in server.calls) == 1


def test_a_wait_says_what_it_saw_last(cluster: KubeCluster, server: ApiServer) -> None:
    server.refusals.append(("list", "Pod", 503, "etcdserver: leader changed"))
    state = replace(STATE, pods=(Pod("db", "a"),))
    assert failing(cluster, state) == (
        "timed out after 120 s waiting for pods to become ready: etcdserver: leader changed\n"
        "db/a: it does not exist"
    )


def test_a_create_without_an_answer_is_named_when_it_cannot_be_settled(
    cluster: KubeCluster, server: ApiServer
) -> None:
    cluster.sync(State("s"))
    server.refusals.append(("create", "Namespace", 503, "no"))
    assert failing(cluster, STATE) == (
        f"timed out after 60 s waiting for Namespace {REAL} to be created: no"
    )
    server.refusals[:] = [("get", "Namespace", 503, "no")]
    assert cluster.close() == (
        f"Namespace {REAL}: whether it exists is unknown",
        "Namespace r1-main-heartbeat: it is kept until the rest is gone",
    )


def test_what_cannot_be_deleted_is_named(cluster: KubeCluster, server: ApiServer) -> None:
    cluster.sync(STATE)
    server.refusals.append(("delete", "Namespace", 403, "namespaces is forbidden"))
    with pytest.raises(ApiError):
        cluster.sync(State("t", (Namespace("x"),)))
    assert cluster.close() == (
        f"Namespace {REAL}: namespaces is forbidden",
        "Namespace r1-main-heartbeat: it is kept until the rest is gone",
    )


def test_a_deletion_that_was_refused_is_asked_for_again(
    cluster: KubeCluster, server: ApiServer
) -> None:
    cluster.sync(replace(STATE, policies=(POLICY,)))
    server.refusals.append(("delete", "NetworkPolicy", 403, "networkpolicies is forbidden"))
    assert failing(cluster, STATE) == "networkpolicies is forbidden"
    server.refusals.clear()
    cluster.sync(STATE)
    assert server.state.found(NP, "NetworkPolicy", REAL, "deny") is None
    assert cluster.close() == ()


def test_an_object_of_the_whole_cluster_outlives_the_namespace_that_its_author_wrote(
    cluster: KubeCluster, server: ApiServer
) -> None:
    key = ("storage.k8s.io/v1", "StorageClass", "", "standard")
    stray = replace(STORAGE, namespace="web")
    spaces = (Namespace("db"), Namespace("web"))
    cluster.sync(replace(STATE, namespaces=spaces, policies=(stray,), exact_names=True))
    assert server.state.found(*key)
    server.state.drop("v1", "Namespace", "", "web")
    cluster.sync(replace(STATE, exact_names=True))
    assert server.state.found(*key) is None


# ------------------------------------------------------------------ endpoints

EMPTY = Service("db", "s", Labels({"app": "none"}), (ServicePort(80, 80),))


def put_stale_slice(server: ApiServer) -> None:
    """What the endpoint controller has not yet removed."""
    labels = {**Naming("r1", "main").labels, "kubernetes.io/service-name": "s"}
    endpoints = [{"addresses": ["10.0.0.9"], "conditions": {"ready": True}}]
    item = thing("discovery.k8s.io/v1", "EndpointSlice", "stale", REAL, labels=labels)
    server.state.put(item | {"endpoints": endpoints})


def test_a_service_without_pods_is_awaited_until_it_has_no_endpoints(
    cluster: KubeCluster, server: ApiServer
) -> None:
    put_stale_slice(server)

    def removes(call: Call) -> None:
        if (call.verb, call.kind, call.nth) == ("list", "EndpointSlice", 3):
            server.state.drop("discovery.k8s.io/v1", "EndpointSlice", REAL, "stale")

    server.before = removes
    cluster.sync(replace(STATE, services=(EMPTY,)))
    assert server.state.found("discovery.k8s.io/v1", "EndpointSlice", REAL, "stale") is None


def test_endpoints_that_stay_are_named(cluster: KubeCluster, server: ApiServer) -> None:
    put_stale_slice(server)
    assert failing(cluster, replace(STATE, services=(EMPTY,))) == (
        "timed out after 120 s waiting for the endpoints of the Services: "
        "s has ['10.0.0.9'], not []"
    )


# ------------------------------------------------------------------ pods


def stuck(reason: str, message: str) -> dict[str, Any]:
    waiting = {"state": {"waiting": {"reason": reason, "message": message}}}
    return {"phase": "Pending", "containerStatuses": [waiting]}


@pytest.mark.parametrize(
    ("reason", "message", "words"),
    [
        (
            "ImagePullBackOff",
            'Back-off pulling image "x"',
            "pod db/a does not start: its container is waiting: "
            'ImagePullBackOff: Back-off pulling image "x" (no route)',
        ),
        (
            "RunContainerError",
            "exec: /agnhost: no such file",
            "pod db/a does not start: its container is waiting: "
            "RunContainerError: exec: /agnhost: no such file (no route)",
        ),
        (
            "ContainerCreating",
            "",
            "timed out after 120 s waiting for pods to become ready: 1 of 1 are not ready\n"
            "db/a: its container is waiting: ContainerCreating (no route)",
        ),
    ],
)
def test_pods_that_do_not_start(server: ApiServer, reason: str, message: str, words: str) -> None:
    server.state.delays.ready = math.inf

    class Stuck(DirectApi):
        def request(self, method: str, url: str, **rest: Any) -> dict[str, Any]:
            answer = super().request(method, url, **rest)
            if url.endswith("/pods") and method == "get":
                for pod in answer["items"]:
                    pod["status"] = stuck(reason, message)
            if url.endswith("/events"):
                pod = server.state.found("v1", "Pod", REAL, "a")
                assert pod
                about = {"uid": pod["metadata"]["uid"]}
                return {
                    "items": [
                        {"type": "Warning", "message": "no route", "involvedObject": about},
                        {
                            "type": "Warning",
                            "message": "another pod's",
                            "involvedObject": {"uid": "v"},
                        },
                    ]
                }
            return answer

    settings = KubeSettings(run="r1", clock=server.clock)
    assert (
        failing(KubeCluster(settings, Stuck(server)), replace(STATE, pods=(Pod("db", "a"),)))
        == words
    )


JOB = CompletedPod("db", "job", Labels({"app": "db"}))
WITH_JOB = replace(STATE, completed=(JOB,))


def test_a_pod_that_completes_is_awaited_and_stays(
    cluster: KubeCluster, server: ApiServer
) -> None:
    service = Service("db", "s", Labels({"app": "db"}), (ServicePort(80, 80),))
    cluster.sync(replace(WITH_JOB, pods=(Pod("db", "web"),), services=(service,)))
    made = server.state.found("v1", "Pod", REAL, "job")
    assert made
    assert (made["spec"]["restartPolicy"], made["status"]["phase"]) == ("Never", "Succeeded")
    server.calls.clear()
    cluster.sync(replace(WITH_JOB, pods=(Pod("db", "web"),), services=(service,)))
    assert [call for call in changes(server) if call.kind == "Pod"] == []


def test_labels_that_are_there_are_not_sent_again(cluster: KubeCluster, server: ApiServer) -> None:
    """Every step asks for all namespaces; only labels that changed are a change."""
    labelled = replace(STATE, namespaces=(Namespace("db", Labels({"team": "blue"})),))
    cluster.sync(labelled)
    server.calls.clear()
    cluster.sync(labelled)
    assert changes(server) == []
    cluster.sync(STATE)
    assert [(call.verb, call.kind) for call in changes(server)] == [("patch", "Namespace")]
    found = server.state.found("v1", "Namespace", "", REAL)
    assert found
    assert "team" not in found["metadata"]["labels"]


def test_labels_that_someone_changed_are_set_again(
    cluster: KubeCluster, server: ApiServer
) -> None:
    labelled = replace(STATE, namespaces=(Namespace("db", Labels({"team": "blue"})),))
    cluster.sync(labelled)
    found = server.state.found("v1", "Namespace", "", REAL)
    assert found
    server.state.objects[Key("v1", "Namespace", "", REAL)]["metadata"]["labels"]["team"] = "red"
    cluster.sync(labelled)
    found = server.state.found("v1", "Namespace", "", REAL)
    assert found
    assert found["metadata"]["labels"]["team"] == "blue"


def test_a_completed_pod_can_be_relabelled_restarted_and_deleted(
    cluster: KubeCluster, server: ApiServer
) -> None:
    def found() -> dict[str, Any] | None:
        return server.state.found("v1", "Pod", REAL, "job")

    cluster.sync(WITH_JOB)
    first = found()
    cluster.sync(replace(WITH_JOB, completed=(replace(JOB, labels=Labels({"app": "web"})),)))
    relabelled = found()
    assert first
    assert relabelled
    assert relabelled["metadata"]["uid"] == first["metadata"]["uid"]
    assert relabelled["metadata"]["labels"]["app"] == "web"
    cluster.sync(replace(WITH_JOB, completed=(replace(JOB, incarnation=1),)))
    again = found()
    assert again
    assert again["metadata"]["uid"] != first["metadata"]["uid"]
    cluster.sync(replace(STATE, pods=(Pod("db", "job"),)))
    running = found()
    assert running
    assert "restartPolicy" not in running["spec"]
    cluster.sync(STATE)
    assert not (left := found()) or "deletionTimestamp" in left["metadata"]


def test_a_completed_pod_that_someone_deleted_is_created_again(
    cluster: KubeCluster, server: ApiServer
) -> None:
    cluster.sync(WITH_JOB)
    server.state.drop("v1", "Pod", REAL, "job")
    cluster.sync(WITH_JOB)
    assert server.state.found("v1", "Pod", REAL, "job")


@pytest.mark.parametrize(
    ("ends_as", "completed", "words"),
    [
        ("Failed", 1.0, "pod db/job does not complete: phase Failed"),
        (
            "Succeeded",
            math.inf,
            "timed out after 120 s waiting for pods to complete: 1 of 1 have not completed\n"
            "db/job: phase Running",
        ),
    ],
)
def test_pods_that_do_not_complete(
    cluster: KubeCluster, server: ApiServer, ends_as: str, completed: float, words: str
) -> None:
    server.state.ends_as, server.state.delays.completed = ends_as, completed
    assert failing(cluster, WITH_JOB) == words
    server.state.ends_as, server.state.delays.completed = "Succeeded", 1.0
    cluster.sync(WITH_JOB)
    again = server.state.found("v1", "Pod", REAL, "job")
    assert again
    assert again["status"]["phase"] == "Succeeded"


def test_a_secret_is_copied_beside_the_pods(server: ApiServer) -> None:
    server.state.put(thing("v1", "Namespace", "infra"))
    secret = thing("v1", "Secret", "pull", "infra") | {"type": "t", "data": {"k": "dg=="}}
    server.state.put(secret)
    connected(server, image_pull_secrets=("infra/pull",)).sync(STATE)
    found = server.state.found("v1", "Secret", REAL, "pull")
    assert found
    assert (found["type"], found["data"]) == ("t", {"k": "dg=="})


def test_a_secret_that_is_not_there_is_said(server: ApiServer) -> None:
    cluster = connected(server, image_pull_secrets=("infra/pull",))
    assert failing(cluster, STATE) == (
        "the image pull secret infra/pull does not exist\nhint: name it as NAMESPACE/NAME"
    )
