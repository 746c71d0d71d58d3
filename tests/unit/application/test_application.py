"""Reading an application from its manifests."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from harness.application import (
    Application,
    AppNamespace,
    AppService,
    Ignored,
    Reach,
    Role,
    Workload,
    WorkloadKind,
    read,
)
from harness.errors import Location, ScenarioError
from harness.model import ExternalTrafficPolicy, Labels, Protocol, ServicePort


def app(text: str, namespace: str = "default") -> Application:
    return read(["-"], namespace, io.BytesIO(text.encode()))


def workload(text: str) -> Workload:
    (found,) = app(text).workloads
    return found


def service(spec: str) -> AppService:
    text = f"apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {spec}\n"
    (found,) = app(text).services
    return found


def refused(text: str) -> str:
    with pytest.raises(ScenarioError) as error:
        app(text)
    return str(error.value)


TEMPLATE = "{metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}"
APPS = "apps/v1"
KINDS = [
    ("v1", "ReplicationController", f"{{replicas: 2, template: {TEMPLATE}}}", 2),
    (APPS, "Deployment", f"{{replicas: 2, template: {TEMPLATE}}}", 2),
    (APPS, "ReplicaSet", f"{{replicas: 2, template: {TEMPLATE}}}", 2),
    (APPS, "StatefulSet", f"{{replicas: 2, template: {TEMPLATE}}}", 2),
    (APPS, "DaemonSet", f"{{template: {TEMPLATE}}}", 1),
    ("batch/v1", "CronJob", f"{{jobTemplate: {{spec: {{template: {TEMPLATE}}}}}}}", 1),
]


@pytest.mark.parametrize(("version", "kind", "spec", "replicas"), KINDS, ids=lambda v: str(v)[:21])
def test_a_kind_that_makes_pods(version: str, kind: str, spec: str, replicas: int) -> None:
    text = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: web}}\nspec: {spec}\n"
    found = workload(text)
    assert (found.kind, found.namespace, found.name) == (kind, "default", "web")
    assert found.labels == Labels({"app": "web"})
    assert found.replicas == replicas
    assert found.location == Location("stdin", 1, 1)


def test_a_job_adds_its_own_labels() -> None:
    found = workload(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\n"
        f"spec: {{template: {TEMPLATE}}}"
    )
    job = {"job-name": "once", "batch.kubernetes.io/job-name": "once"}
    assert found.labels == Labels({"app": "web", **job})


def test_a_stateful_set_may_count_from_another_number() -> None:
    found = workload(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\n"
        f"spec: {{replicas: 3, ordinals: {{start: 5}}, template: {TEMPLATE}}}"
    )
    assert (found.replicas, found.first_ordinal) == (3, 5)


POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  hostNetwork: true
  initContainers:
  - name: setup
    ports: [{containerPort: 1}]
  - name: proxy
    restartPolicy: Always
    ports: [{containerPort: 15001, name: proxy}]
  containers:
  - name: main
    ports:
    - {containerPort: 80, name: http}
    - {containerPort: 53, protocol: UDP}
    - {containerPort: 80}
"""


def test_the_containers_and_ports_of_a_pod() -> None:
    found = workload(POD)
    assert found.host_network
    assert [(item.name, item.role) for item in found.containers] == [
        ("setup", Role.INIT),
        ("proxy", Role.SIDECAR),
        ("main", Role.MAIN),
    ]
    assert [(port.number, port.protocol, port.name) for port in found.ports] == [
        (15001, Protocol.TCP, "proxy"),
        (80, Protocol.TCP, "http"),
        (53, Protocol.UDP, None),
    ]
    assert found.ports[1].location == Location("stdin", 15, 7)
    assert str(found) == "Pod shop/web"


@pytest.mark.parametrize(
    ("spec", "reach"),
    [
        ("{selector: {app: web}, ports: [{port: 80}]}", Reach.CLUSTER_IP),
        ("{selector: {app: web}, ports: [{port: 80}], type: NodePort}", Reach.NODE_PORT),
        ("{selector: {app: web}, ports: [{port: 80}], type: LoadBalancer}", Reach.LOAD_BALANCER),
        ("{selector: {app: web}, clusterIP: None}", Reach.HEADLESS),
    ],
)
def test_the_types_of_services(spec: str, reach: Reach) -> None:
    found = service(spec)
    assert (found.reach, found.selector) == (reach, Labels({"app": "web"}))


def test_a_service_without_a_selector() -> None:
    assert service("{ports: [{port: 80}]}").selector is None


def test_a_service_that_is_a_name() -> None:
    found = service("{type: ExternalName, externalName: db.example.com}")
    assert (found.reach, found.external_name) == (Reach.EXTERNAL_NAME, "db.example.com")


def test_the_ports_of_a_service() -> None:
    found = service(
        "{externalTrafficPolicy: Local, ports: [{port: 80, name: a, targetPort: http},"
        " {port: 53, name: b, protocol: UDP, targetPort: 5353}, {port: 9, name: c}]}"
    )
    assert found.ports == (
        ServicePort(80, "http", Protocol.TCP, "a"),
        ServicePort(53, 5353, Protocol.UDP, "b"),
        ServicePort(9, 9, Protocol.TCP, "c"),
    )
    assert found.external_traffic_policy is ExternalTrafficPolicy.LOCAL


POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, uid: 1-2}
spec: {podSelector: {}}
status: {}
"""


def test_a_policy_as_a_server_prints_it() -> None:
    (found,) = app(POLICY, namespace="shop").policies
    assert str(found) == "NetworkPolicy shop/deny"
    assert found.location == Location("stdin", 1, 1)
    assert "uid" not in found.json


def test_objects_of_lists_and_of_lists_of_one_kind() -> None:
    found = app(
        "apiVersion: v1\nkind: List\nitems:\n"
        "- {apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}\n"
        "- apiVersion: v1\n  kind: ServiceList\n  items:\n"
        "  - {metadata: {name: web, namespace: shop}, spec: {ports: [{port: 80}]}}\n"
    )
    assert found.namespaces == (
        AppNamespace("shop", Labels({"team": "a"}), Location("stdin", 4, 3)),
    )
    assert [str(item) for item in found.services] == ["Service shop/web"]
    assert found.services[0].location == Location("stdin", 8, 5)
    assert found.notes == ()


def test_objects_that_change_no_connection_are_counted() -> None:
    found = app(
        f"{POLICY}---\napiVersion: v1\nkind: ConfigMap\ndata: {{a: 1, a: 2}}\n"
        "---\napiVersion: v1\nkind: ConfigMap\n---\napiVersion: x.example.com/v1\nkind: Service\n"
    )
    assert found.ignored == (Ignored("ConfigMap", 2), Ignored("Service", 1))


def test_a_namespace_without_a_manifest_is_said_once() -> None:
    found = app(POD + "---\n" + POLICY)
    assert found.namespaces == (AppNamespace("default"), AppNamespace("shop"))
    assert [str(note) for note in found.notes] == [
        "without a manifest, and so without labels of their own: namespaces default, shop"
    ]


@pytest.mark.parametrize(
    ("policy", "name", "note"),
    [
        (
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
            "metadata: {name: l7, namespace: shop}\n",
            "CiliumNetworkPolicy shop/l7",
            "CiliumNetworkPolicy shop/l7 of cilium.io is not judged: "
            "its meaning is not known here",
        ),
        (
            "apiVersion: policy.networking.k8s.io/v1\nkind: ClusterNetworkPolicy\n"
            "metadata: {name: tenants}\nspec: {later: true}\n",
            "ClusterNetworkPolicy tenants",
            "ClusterNetworkPolicy tenants of policy.networking.k8s.io/v1 is not judged: "
            "this version is not known here",
        ),
    ],
    ids=["another kind", "another version"],
)
def test_a_policy_of_unknown_meaning_is_not_judged(policy: str, name: str, note: str) -> None:
    found = app(f"{POD}---\n{policy}")
    assert [str(item) for item in found.not_judged] == [name]
    assert str(found.notes[0]) == f"stdin:19:1: {note}"


# ------------------------------------------------------------------ faults

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: carts}}
    spec:
      containers:
      - {name: c, ports: [{containerPort: 80a}]}
"""


def test_every_problem_has_its_place_and_a_hint() -> None:
    assert refused(DEPLOYMENT) == (
        "stdin:5:28: the selector asks for app=cart, which the pods do not have, "
        "in Deployment 'web'\n"
        "    5 |   selector: {matchLabels: {app: cart}}\n"
        "hint: write it in template.metadata.labels\n"
        "stdin:10:28: containerPort '80a' is not a number in Deployment 'web'\n"
        "   10 |       - {name: c, ports: [{containerPort: 80a}]}\n"
        "hint: a port is 1 to 65535"
    )


SPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n"


def test_a_namespace_may_stand_in_several_files() -> None:
    """Its labels are the same everywhere."""
    found = app(f"{SPACE}---\n{POD}---\n{SPACE}")
    assert [item.name for item in found.namespaces] == ["shop"]
    assert refused(f"{SPACE}---\n{SPACE.replace('team: a', 'team: b')}") == (
        "stdin:5:1: Namespace shop stands here and, with other contents, in stdin:1:1\n"
        "    5 | apiVersion: v1\n"
        "hint: name only one of both files"
    )


FAULTS = [
    (POLICY.replace("podSelector", "podselector"), "stdin:4:8: unknown key 'podselector'"),
    (POD.replace("kind: Pod", "kind: Pods"), "stdin:2:1: there is no kind 'Pods' in v1"),
    (POD.replace("v1", "v2"), "stdin:1:1: there is no kind 'Pod' in v2"),
    (POD.replace("name: web, n", "n"), "stdin:3:1: metadata.name is missing in a Pod"),
    (POD.replace("app: web", "app: y"), "stdin:3:54: Kubernetes reads y as the boolean true"),
    (POD.replace("UDP", "UPD"), "stdin:16:27: protocol 'UPD' is not known in Pod 'web'"),
    (POD.replace("hostNetwork: true", "hostNetwork: 1"), "stdin:5:3: hostNetwork 1 is not a bool"),
    (POD.replace("containers:\n  - name: main", "main:\n  - name: main"), "stdin:4:1: no contain"),
    (
        POD + "---\n" + POD.replace("hostNetwork: true", "hostNetwork: false"),
        "stdin:19:1: Pod shop/web stands here and, with other contents, in stdin:1:1",
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
        "spec: {ports: [{port: 1, targetPort: 0o120}]}",
        "stdin:4:38: Kubernetes reads 0o120 as the number 80",
    ),
    ("just: text\n", "stdin:1:1: this is not a Kubernetes object"),
    ("kind: Pod\n", "stdin:1:1: apiVersion is missing"),
    ("a: [b\n", "stdin:2:1: not YAML: a ']' or ',' is missing"),
    ("apiVersion: v1\nkind: Secret\n", "-:1:1: there is no workload, no Service and no policy"),
    ("a: {{ .Values.b }}\nc", "stdin:1:4: this is a template, not YAML"),
]


@pytest.mark.parametrize(("text", "begins"), FAULTS, ids=[begins for _, begins in FAULTS])
def test_a_fault(text: str, begins: str) -> None:
    message = refused(text)
    assert message.startswith(begins), message


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ScenarioError, match=r"there is no file nowhere\.yaml"):
        read(["nowhere.yaml"])


# ------------------------------------------------------------------ folders


def test_a_folder_and_what_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "k8s/a/pod.yaml": POD,
        "k8s/b.yml": "just: text\n",
        "k8s/c.json": '{"apiVersion": "v1", "kind": "Secret"}',
        "k8s/d.yaml": "a: {{ .Values.b }}\nc",
        "k8s/.git/e.yaml": "a: [",
        "k8s/readme.md": "a: [",
        "k8s/chart/Chart.yaml": "name: x\n",
        "k8s/chart/templates/f.yaml": "a: {{ .Values.b }}\nc",
        "k8s/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\n"
        "kind: Kustomization\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = read(["k8s", "k8s/a/pod.yaml"])
    assert [str(item) for item in found.workloads] == ["Pod shop/web"]
    assert found.workloads[0].location == Location("k8s/a/pod.yaml", 1, 1)
    assert found.ignored == (
        Ignored("Kustomization", 1),
        Ignored("Secret", 1),
        Ignored("no Kubernetes object", 1),
    )
    assert [str(note) for note in found.notes] == [
        "k8s/d.yaml:1:4: this is a template, not YAML, and is left out; render it to read it",
        "k8s/chart/Chart.yaml:1:1: a Helm chart is left out; "
        "`helm template k8s/chart > rendered.yaml` renders it",
        "k8s/kustomization.yaml:1:1: a kustomization is not applied; "
        "`kubectl kustomize k8s > rendered.yaml` renders it",
        "without a manifest, and so without labels of their own: namespaces shop",
    ]


def test_kinds_are_those_of_the_api() -> None:
    assert {*WorkloadKind} == {kind for _, kind, _, _ in KINDS} | {"Pod", "Job"}


TIERS = {
    "policy.networking.k8s.io/v1alpha2": (
        "ClusterNetworkPolicy",
        "all",
        "tier: Admin, priority: 1, ",
    ),
    "policy.networking.k8s.io/v1beta1": (
        "ClusterNetworkPolicy",
        "all",
        "tier: Baseline, priority: 1, ",
    ),
    "policy.networking.k8s.io/v1alpha1": ("AdminNetworkPolicy", "all", "priority: 1, "),
}


@pytest.mark.parametrize("version", TIERS)
def test_policies_in_tiers_have_no_namespace(version: str) -> None:
    kind, name, more = TIERS[version]
    found = app(
        f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}}}\n"
        f"spec: {{{more}subject: {{namespaces: {{}}}}}}\n",
        "shop",
    )
    assert [str(item) for item in found.policies] == [f"{kind} {name}"]
    assert (found.namespaces, found.not_judged, found.notes) == ((), (), ())
