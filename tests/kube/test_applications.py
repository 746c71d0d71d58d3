"""The application that runs on a cluster: what is read, what is left out, what may not be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.application import Application, AppNamespace, WorkloadKind
from harness.cli import main
from harness.cluster.kube.applications import application
from harness.errors import ClusterError, Location, UsageError
from harness.matrix import Cut, judged
from harness.matrix.formats import csv_text
from harness.model import Labels

from .apiserver import ApiServer, Call, DirectApi, Fault
from .cluster_state import KINDS, Object
from .serving import kubeconfig, serving

RBAC = Path(__file__).parents[2] / "docs" / "rbac-read.yaml"

TIER_GROUP = "policy.networking.k8s.io"
TIERS = frozenset({
    "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy",
})  # fmt: skip
NP = "networking.k8s.io/v1"
APPS = "apps/v1"


def thing(version: str, kind: str, name: str, namespace: str = "", **metadata: Any) -> Object:
    home = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **home, **metadata}}


def pod_spec(port: int | None = 80) -> Object:
    ports = [{"containerPort": port, "protocol": "TCP"}] if port else []
    return {"containers": [{"name": "c", "image": "server", "ports": ports, "env": [{"name": 1}]}]}


class World:
    """A cluster with the namespace shop; each method adds what its controllers make."""

    def __init__(self) -> None:
        self.server = ApiServer()
        self.put(thing("v1", "Namespace", "shop", labels={"team": "shop"}))
        self.put(thing("v1", "Namespace", "kube-system"))

    def put(self, item: Object) -> Object:
        return self.server.state.put(item)

    def owned(self, item: Object, owner: Object) -> Object:
        reference = {"kind": owner["kind"], "name": owner["metadata"]["name"],
                     "uid": owner["metadata"]["uid"], "controller": True}  # fmt: skip
        item["metadata"]["ownerReferences"] = [reference]
        return self.put(item)

    def pod(self, name: str, labels: dict[str, str], phase: str = "Running") -> Object:
        item = thing("v1", "Pod", name, "shop", labels=labels)
        return item | {"spec": pod_spec(), "status": {"phase": phase}}

    def deployment(self, name: str, replicas: int = 1) -> list[Object]:
        """Put a Deployment, its ReplicaSet, an old one, and its pods; return the pods."""
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": pod_spec()}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        made = self.put(thing(APPS, "Deployment", name, "shop") | {"spec": spec})
        hashed = {**labels, "pod-template-hash": "f00"}
        sets = [
            thing(APPS, "ReplicaSet", f"{name}-{word}", "shop", labels=hashed)
            | {"spec": spec | {"replicas": number}}
            for word, number in (("f00", replicas), ("0ld", 0))
        ]
        current, _ = [self.owned(item, made) for item in sets]
        return [
            self.owned(self.pod(f"{name}-f00-{number}", hashed), current)
            for number in range(replicas)
        ]

    def policy(self, name: str, namespace: str = "shop", **spec: Any) -> Object:
        item = thing(NP, "NetworkPolicy", name, namespace)
        return self.put(item | {"spec": {"podSelector": {}, "policyTypes": ["Ingress"], **spec}})

    def read(self, *namespaces: str) -> Application:
        return application(DirectApi(self.server), namespaces, self.server.clock)


@pytest.fixture
def world() -> World:
    return World()


def names(found: Application) -> list[str]:
    return [str(workload) for workload in found.workloads]


def notes(found: Application) -> list[str]:
    return [str(note) for note in found.notes]


LEFT_OUT = "kube-system is left out, since it has no policies; -n kube-system reads it"


MATRIX = """\
from,to,word
shop/db,shop/web:80,allowed
shop/web,shop/db:80,allowed
outside,shop/db:80,denied
outside,shop/web:80,allowed
"""


def test_the_matrix_of_what_runs(world: World) -> None:
    world.deployment("web")
    world.deployment("db")
    peers = [{"podSelector": {"matchLabels": {"app": "web"}}}]
    world.policy("db", podSelector={"matchLabels": {"app": "db"}}, ingress=[{"from": peers}])
    ports = [{"port": 5432, "targetPort": 80, "protocol": "TCP"}]
    service = thing("v1", "Service", "db", "shop")
    world.put(service | {"spec": {"selector": {"app": "db"}, "ports": ports}})
    found = judged(world.read(), Cut(destinations=("shop/*",)))
    assert csv_text(found) == MATRIX
    assert [str(note) for note in found.notes] == [LEFT_OUT]
    assert "svc/shop/db:5432" in judged(world.read()).destinations


def test_a_workload_is_one_however_many_objects_it_has(world: World) -> None:
    world.deployment("web", replicas=3)
    found = world.read()
    (web,) = found.workloads
    assert (web.kind, web.replicas) == (WorkloadKind.DEPLOYMENT, 3)
    assert web.location == Location("Deployment shop/web in context double", 0, 0)
    assert str(web.ports[0].location) == "Deployment shop/web in context double"
    labels = Labels({"kubernetes.io/metadata.name": "shop", "team": "shop"})
    place = Location("Namespace shop in context double", 0, 0)
    assert found.namespace("shop") == AppNamespace("shop", labels, place)


def test_pods_without_a_known_owner_are_workloads(world: World) -> None:
    world.put(world.pod("bare", {"app": "bare"}))
    stranger = thing("v1", "ConfigMap", "of-an-operator", "shop")
    world.owned(world.pod("made-by-operator", {"app": "x"}), world.put(stranger))
    world.put(world.pod("done", {"app": "done"}, "Succeeded"))
    found = world.read()
    assert names(found) == ["Pod shop/bare", "Pod shop/made-by-operator"]
    assert [port.number for workload in found.workloads for port in workload.ports] == [80, 80]
    assert notes(found) == [LEFT_OUT, "left out, since they have ended: 1 Pod"]


def test_jobs_belong_to_their_cron_job_and_those_that_are_over_are_left_out(world: World) -> None:
    template = {"metadata": {"labels": {"app": "job"}}, "spec": pod_spec(None)}
    job = {"spec": {"template": template}}
    cron = world.put(
        thing("batch/v1", "CronJob", "nightly", "shop") | {"spec": {"jobTemplate": job}}
    )
    world.owned(thing("batch/v1", "Job", "nightly-1", "shop") | job, cron)
    over = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    world.put(thing("batch/v1", "Job", "migrate", "shop") | job | over)
    world.put(thing("batch/v1", "Job", "import", "shop") | job)
    found = world.read()
    assert names(found) == ["Job shop/import", "CronJob shop/nightly"]
    assert notes(found)[1] == "left out, since they have ended: 1 Job"


def test_pods_with_other_labels_than_the_template_are_named(world: World) -> None:
    for number, pod in enumerate(world.deployment("web", replicas=6)):
        labels = dict(pod["metadata"]["labels"])
        if number < 4:
            labels["track"] = "canary"
        if number == 0:
            del labels["app"]
        world.put(pod | {"metadata": pod["metadata"] | {"labels": labels}})
    assert notes(world.read())[1:] == [
        "Deployment shop/web in context double: pods with other labels than the template, by "
        "which they are judged: web-f00-0 (track=canary, no app), web-f00-1 (track=canary), "
        "web-f00-2 (track=canary), and 1 more"
    ]


def test_kube_system_is_read_if_it_has_policies_or_is_named(world: World) -> None:
    world.put(world.pod("bare", {"app": "bare"}))
    item = world.pod("metrics", {"app": "metrics"})
    world.put(item | {"metadata": item["metadata"] | {"namespace": "kube-system"}})
    assert names(world.read()) == ["Pod shop/bare"]
    assert names(world.read("kube-system")) == ["Pod kube-system/metrics"]
    world.policy("all", "kube-system")
    assert names(world.read()) == ["Pod kube-system/metrics", "Pod shop/bare"]


def test_one_namespace_takes_only_rights_in_it(world: World) -> None:
    world.put(world.pod("bare", {"app": "bare"}))
    world.put(thing("v1", "Namespace", "other"))
    world.policy("other", "other")
    asked = world.read("shop")
    assert names(asked) == ["Pod shop/bare"]
    assert asked.policies == ()
    assert notes(asked) == ["only shop was read: other pods are no ends"]
    of_cluster = {"Namespace", "GlobalNetworkPolicy", *TIERS}
    calls = {call for call in world.server.calls if call.verb != "discover"}
    assert {call.verb for call in calls} == {"get", "list"}
    assert {call.namespace for call in calls if call.kind not in of_cluster} == {"shop"}
    assert {call.verb for call in calls if call.kind == "Namespace"} == {"get"}


def forbid(world: World, *kinds: str) -> None:
    def fault(call: Call) -> Fault | None:
        return Fault.FORBIDDEN if call.kind in kinds else None

    world.server.faults = fault


def test_lists_without_which_the_answer_would_be_wrong_are_errors_all_at_once(
    world: World,
) -> None:
    forbid(world, "NetworkPolicy", "CiliumNetworkPolicy", "Namespace")
    with pytest.raises(ClusterError) as error:
        world.read("shop")
    assert str(error.value) == (
        "context 'double' may not read what the answer depends on:\n"
        '  Namespace shop: Namespace "shop" is forbidden: exceeded quota: all\n'
        '  NetworkPolicy in namespace shop: NetworkPolicy "" is forbidden: exceeded quota: all\n'
        "  CiliumNetworkPolicy in namespace shop: "
        'CiliumNetworkPolicy "" is forbidden: exceeded quota: all\n'
        "hint: docs/rbac-read.yaml has a ClusterRole, and a Role for one namespace, that grant it"
    )


def test_lists_whose_lack_is_seen_are_notes(world: World) -> None:
    world.put(world.pod("bare", {"app": "bare"}))
    forbid(world, "Service", "GlobalNetworkPolicy")
    said = [
        f"{kind} may not be listed, so none is in the answer: "
        f'{kind} "" is forbidden: exceeded quota: all'
        for kind in ("Service", "GlobalNetworkPolicy")
    ]
    assert notes(world.read()) == [*said, LEFT_OUT]


def test_the_service_of_the_api_server_is_left_out(world: World) -> None:
    world.put(world.pod("bare", {"app": "bare"}))
    world.put(thing("v1", "Namespace", "default"))
    ports = {"spec": {"ports": [{"port": 443}]}}
    world.put(thing("v1", "Service", "kubernetes", "default") | ports)
    world.put(thing("v1", "Service", "kubernetes", "shop") | ports)
    assert [str(item) for item in world.read().services] == ["Service shop/kubernetes"]


def test_policies_in_tiers_are_judged(world: World) -> None:
    world.put(world.pod("bare", {"app": "bare"}))
    everybody: Object = {"namespaces": {}}
    deny = {"action": "Deny", "from": [everybody]}
    admin = {"priority": 5, "subject": everybody, "ingress": [{**deny, "action": "Pass"}]}
    for version, kind, name, spec in (
        (f"{TIER_GROUP}/v1alpha2", "ClusterNetworkPolicy", "c", {"tier": "Admin", **admin}),
        (f"{TIER_GROUP}/v1alpha1", "AdminNetworkPolicy", "a", admin),
        (
            f"{TIER_GROUP}/v1alpha1",
            "BaselineAdminNetworkPolicy",
            "default",
            {"subject": everybody, "ingress": [deny]},
        ),
    ):
        world.put(thing(version, kind, name) | {"spec": spec, "status": {"conditions": []}})
    found = world.read()
    assert [str(item) for item in found.policies] == [
        "AdminNetworkPolicy a",
        "ClusterNetworkPolicy c",
        "BaselineAdminNetworkPolicy default",
    ]
    assert found.not_judged == ()
    assert [item.name for item in found.namespaces] == ["kube-system", "shop"]
    assert notes(found) == [LEFT_OUT]


def test_policies_in_tiers_alone_are_nothing_of_a_namespace(world: World) -> None:
    world.put(
        thing(f"{TIER_GROUP}/v1alpha2", "ClusterNetworkPolicy", "c")
        | {"spec": {"tier": "Admin", "priority": 5, "subject": {"namespaces": {}}}}
    )
    with pytest.raises(UsageError) as error:
        world.read("shop")
    assert error.value.message == (
        "there is no workload, no Service and no policy in shop of context 'double'"
    )


def test_policies_of_other_kinds_are_not_judged(world: World) -> None:
    world.put(world.pod("bare", {"app": "bare"}))
    world.put(thing("cilium.io/v2", "CiliumNetworkPolicy", "l7", "shop"))
    world.put(thing("crd.projectcalico.org/v1", "GlobalNetworkPolicy", "all"))
    world.put(thing("crd.projectcalico.org/v1", "StagedGlobalNetworkPolicy", "not-in-force"))
    found = world.read()
    assert [str(item) for item in found.not_judged] == [
        "GlobalNetworkPolicy all",
        "CiliumNetworkPolicy shop/l7",
    ]
    assert notes(found)[1:] == [
        "GlobalNetworkPolicy all in context double: GlobalNetworkPolicy all of "
        "crd.projectcalico.org is not judged: its meaning is not known here",
        "CiliumNetworkPolicy shop/l7 in context double: CiliumNetworkPolicy shop/l7 of "
        "cilium.io is not judged: its meaning is not known here",
    ]


def test_a_namespace_that_does_not_exist_and_an_empty_one(world: World) -> None:
    with pytest.raises(UsageError) as error:
        world.read("shpo")
    assert str(error.value) == (
        "context 'double' has no namespace 'shpo'\nhint: did you mean 'shop'?"
    )
    with pytest.raises(UsageError) as error:
        world.read("shop")
    assert str(error.value) == (
        "there is no workload, no Service and no policy in shop of context 'double'"
    )


def test_long_lists_come_in_pages(world: World) -> None:
    for number in range(501):
        world.put(world.pod(f"pod-{number:04}", {"app": "bare"}))
    found = world.read()
    assert len(found.workloads) == len({workload.name for workload in found.workloads}) == 501
    assert len([call for call in world.server.calls if call.kind == "Pod"]) == 2


def failing(world: World, kind: str, *faults: Fault) -> Callable[[Call], Fault | None]:
    left = list(faults)
    return lambda call: left.pop(0) if left and call.kind == kind else None


def test_an_answer_that_does_not_come_is_asked_for_again(world: World) -> None:
    world.put(world.pod("bare", {"app": "bare"}))
    world.server.faults = failing(world, "Pod", Fault.UNAVAILABLE, Fault.BROKEN)
    assert names(world.read()) == ["Pod shop/bare"]


def test_a_list_that_the_server_forgot_is_read_again(world: World) -> None:
    for number in range(501):
        world.put(world.pod(f"pod-{number:04}", {"app": "bare"}))
    calls = iter([None, Fault.GONE])
    world.server.faults = lambda call: next(calls, None) if call.kind == "Pod" else None
    assert len(world.read().workloads) == 501
    world.server.faults = lambda call: Fault.GONE if call.kind == "Pod" else None
    with pytest.raises(ClusterError, match=r"^the continue token is too old$"):
        world.read()


@pytest.mark.parametrize(("kind", "namespaces"), [("ClusterRole", ()), ("Role", ("shop",))])
def test_the_documented_rights_are_those_that_reading_takes(
    kind: str, namespaces: tuple[str, ...], world: World
) -> None:
    world.put(world.pod("bare", {"app": "bare"}))
    world.read(*namespaces)
    used: dict[tuple[str, str], set[str]] = defaultdict(set)
    for call in world.server.calls:
        known = next((item for item in KINDS.values() if item.kind == call.kind), None)
        is_noted = known is not None and bool(namespaces) and not known.namespaced
        if known and call.name != "kube-system" and not (is_noted and is_custom(known.group)):
            used[known.group, known.plural].add(call.verb)
    rights = next(doc for doc in yaml.safe_load_all(RBAC.read_text()) if doc["kind"] == kind)
    granted = {
        (group, resource): set(rule["verbs"])
        for rule in rights["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert used.keys() <= granted.keys()
    assert {key for key in granted if not is_custom(key[0])} <= used.keys()
    assert all(used[key] <= granted[key] <= {"get", "list"} for key in used)


def is_custom(group: str) -> bool:
    return "." in group and group != "networking.k8s.io"


def test_the_verb_reads_a_context(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as http:
        world = World()
        http.api = world.server
        world.deployment("web")
        named = ["--kubeconfig", kubeconfig(http, tmp_path)]
        arguments = ["matrix", "--context=kind-netpol", *named, "-n", "shop", "--format=csv"]
        assert main([*arguments, "--from=outside", "--to=shop/*"]) == 0
        assert capsys.readouterr().out == "from,to,word\noutside,shop/web:80,allowed\n"
        assert main(["matrix", "--context=other", *named]) == 2
        assert capsys.readouterr().err == (
            "the kubeconfig has no context 'other'\nhint: it has kind-netpol\n"
        )
    assert {call.verb for call in world.server.calls} == {"discover", "get", "list"}
