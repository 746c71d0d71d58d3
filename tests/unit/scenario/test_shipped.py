"""What an application's manifests give a scenario, and how its steps name the policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import scenario
from harness.errors import ScenarioError
from harness.model import Applied, Labels, Namespace, Scenario, ServiceType, State

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def shop() -> Scenario:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(DATA)
        return scenario.load(Path("valid/application.yaml"))


def start_of(shop: Scenario) -> State:
    assert shop.topology is not None
    return shop.topology


def test_workloads_become_pods_on_nodes_1_and_2_in_turn(shop: Scenario) -> None:
    """Those of a namespace stand together, also what the topology adds."""
    found = [(str(pod.ref), pod.node) for pod in start_of(shop).pods]
    assert found == [
        ("shop/web-1", 1),
        ("shop/web-2", 2),
        ("shop/db-0", 1),
        ("shop/guest", 2),
        ("watch/agent-1", 1),
        ("watch/agent-2", 2),
    ]


def test_a_pod_has_the_labels_and_ports_of_its_workload(shop: Scenario) -> None:
    web = start_of(shop).pods[0]
    assert web.labels == Labels({"app": "web"})
    assert [(port.number, port.name) for port in web.ports] == [(8080, "http")]
    assert [pod.host_network for pod in start_of(shop).pods[4:]] == [True, True]


def test_namespaces_have_the_labels_of_their_manifests(shop: Scenario) -> None:
    labels = Labels({"team": "shop"})
    assert start_of(shop).namespaces == (Namespace("shop", labels), Namespace("watch"))


def test_services_are_those_with_endpoints(shop: Scenario) -> None:
    found = [(item.name, item.type, len(item.ports)) for item in start_of(shop).services]
    assert found == [
        ("web", ServiceType.NODE_PORT, 1),
        ("db", ServiceType.HEADLESS, 1),
        ("admin", ServiceType.CLUSTER_IP, 1),
    ]


def test_steps_apply_policies_by_name(shop: Scenario) -> None:
    applied = [
        [str(change.manifest) for change in step.changes if isinstance(change, Applied)]
        for step in shop.steps
    ]
    db, web = "NetworkPolicy shop/db", "NetworkPolicy shop/web"
    assert applied == [[], [db, web], [], [db]]


def test_a_policy_stands_where_its_manifest_stands(shop: Scenario) -> None:
    (db, _) = shop.steps[1].state.policies
    assert str(db.location) == "manifests/shop.yaml:75:1"


def test_what_is_left_out_is_said(shop: Scenario) -> None:
    file = "manifests/shop.yaml"
    assert shop.notes == (
        "valid/application.yaml:4:1: without a manifest, and so without labels of their own: "
        "namespaces kube-system, watch",
        "valid/application.yaml:4:1: namespace kube-system with 1 object is left out: no "
        "scenario can have it",
        f"{file}:90:1: CiliumNetworkPolicy shop/layer-7 is left out: its meaning is not known "
        "here; `apply` in a step applies it",
        f"{file}:34:1: Service shop/mail is left out: the manifests do not show its endpoints",
        f"{file}:39:1: Service shop/admin: port 81 is left out: no pod has a port 'admin'",
    )


def test_the_day_of_a_snapshot_is_kept(shop: Scenario) -> None:
    assert shop.snapshot == "2026-01-31"


# ------------------------------------------------------------------ small files

POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {labels}}}
spec: {{hostNetwork: {host}, containers: [{{name: c, ports: [{{containerPort: 80}}]}}]}}
"""
POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: a}
spec: {podSelector: {}}
"""
STEPS = "steps: [{step: one, policies: all, expect: TIMEOUT}]\n"


def pod(name: str, namespace: str = "a", labels: str = "{}", host: str = "false") -> str:
    return POD.format(name=name, namespace=namespace, labels=labels, host=host)


def written(folder: Path, *manifests: str, keys: str = "manifests: [app.yaml]\n") -> Path:
    (folder / "app.yaml").write_text("---\n".join(manifests), "utf-8")
    path = folder / "s.yaml"
    path.write_text(f"scenario: S\nwhy: W.\n{keys}{STEPS}", "utf-8")
    return path


def refused(path: Path) -> str:
    with pytest.raises(ScenarioError) as error:
        scenario.load(path)
    return str(error.value).replace(f"{path.parent}/", "")


def test_a_fixture_can_have_manifests(tmp_path: Path) -> None:
    path = written(tmp_path, pod("x"), pod("y"), POLICY, keys="fixture: fixtures/app.yaml\n")
    (tmp_path / "fixtures").mkdir()
    fixture = "fixture: F\nmanifests: [../app.yaml]\n"
    (tmp_path / "fixtures" / "app.yaml").write_text(fixture, "utf-8")
    read = scenario.load(path)
    assert read.fixture is not None
    assert [str(item.ref) for item in read.fixture.state.pods] == ["a/x", "a/y"]
    assert [str(item) for item in read.steps[0].state.policies] == ["NetworkPolicy a/deny"]


def test_two_pods_of_one_node_do_not_share_a_port(tmp_path: Path) -> None:
    """The third pod is on the node of the first."""
    pods = (pod(name, host="true") for name in ("x", "y", "z"))
    keys = "manifests: [app.yaml]\nproves: nothing-changes\n"
    path = written(tmp_path, *pods, POLICY, keys=keys)
    read = scenario.read(path)
    assert [(item.node, len(item.ports)) for item in start_of(read).pods] == [
        (1, 1),
        (2, 1),
        (1, 0),
    ]
    assert [note.rpartition("/")[2] for note in read.notes[1:]] == [
        "z is left out: another pod has it on node 1"
    ]


def test_the_topology_adds_pods_and_nothing_else(tmp_path: Path) -> None:
    keys = "manifests: [app.yaml]\ntopology: {a: {labels: {t: u}, pods: {x: {}, y: {}}}}\n"
    assert refused(written(tmp_path, pod("x"), POLICY, keys=keys)) == (
        "s.yaml:4:16: namespace 'a' exists already in the manifests, at s.yaml:3:1\n"
        "    4 | topology: {a: {labels: {t: u}, pods: {x: {}, y: {}}}}\n"
        "hint: leave them out here, or change its labels by label: {ns/a: {...}}\n"
        "s.yaml:4:39: pod a/x exists already in the manifests, at app.yaml:1:1\n"
        "    4 | topology: {a: {labels: {t: u}, pods: {x: {}, y: {}}}}\n"
        "hint: delete it first, or give the new one another name"
    )


def test_the_harness_s_own_labels_are_refused(tmp_path: Path) -> None:
    labels = "{netpol.harness/run: x}"
    assert refused(written(tmp_path, pod("x", labels=labels), POLICY)) == (
        "app.yaml:1:1: 'netpol.harness/run' is reserved for the harness\n"
        "hint: use a prefix of your own"
    )


def test_addresses_of_the_cluster_stand_only_in_manifests_of_a_step(tmp_path: Path) -> None:
    policy = POLICY.replace(
        "podSelector: {}", "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: $(cidr:pods)}}]}]"
    )
    assert refused(written(tmp_path, pod("x"), policy)) == (
        "app.yaml:6:1: $(cidr:pods) stands only in manifests that a step applies\n"
        "hint: write an address"
    )


def test_a_scenario_has_so_many_pods(tmp_path: Path) -> None:
    many = (pod(f"p{number}") for number in range(251))
    assert refused(written(tmp_path, *many, POLICY)) == (
        "s.yaml:3:1: the manifests make 251 pods, and a scenario has at most 250\n"
        "    3 | manifests: [app.yaml]\n"
        "hint: name fewer manifests, or leave workloads out: `without: [shop/web]`"
    )


def test_a_scenario_has_so_many_services(tmp_path: Path) -> None:
    many = (
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: s{number}, namespace: a}}\n"
        "spec: {selector: {app: x}, ports: [{port: 80}]}\n"
        for number in range(1_001)
    )
    assert refused(written(tmp_path, pod("x"), pod("y"), *many, POLICY)) == (
        "s.yaml:3:1: the manifests have 1,001 Services\n"
        "    3 | manifests: [app.yaml]\n"
        "hint: a scenario has at most 1,000; name fewer manifests"
    )


def test_a_link_does_not_lead_out_of_the_project(tmp_path: Path) -> None:
    inside, outside = tmp_path / "project", tmp_path / "secret.yaml"
    inside.mkdir()
    outside.write_text("password: x\n", "utf-8")
    path = written(inside, pod("x"), POLICY, keys="manifests: [k8s]\n")
    (inside / "k8s").mkdir()
    (inside / "k8s" / "link.yaml").symlink_to(outside)
    assert refused(path) == (
        "k8s/link.yaml:1:1: k8s/link.yaml leads out of the project\nhint: links are followed"
    )


def test_namespaces_are_not_too_long_for_the_cluster(tmp_path: Path) -> None:
    long = "n" * 45
    policy = POLICY.replace("namespace: a", f"namespace: {long}")
    pods = (pod("x", long), pod("y", long))
    assert refused(written(tmp_path, *pods, policy)) == (
        f"s.yaml:3:1: 's-{long}' has 47 characters\n"
        "    3 | manifests: [app.yaml]\n"
        "hint: a namespace's name on a cluster is made from the file's name and this one, which "
        "may have 42 together; shorten either"
    )
