"""`netpol import --context`: what is written for an application that runs on a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness import application, scenario
from harness.application import Application
from harness.cli import Exit, main
from harness.errors import Location, ScenarioError, UsageError
from harness.matrix import judged
from harness.matrix.formats import csv_text
from harness.model import Manifest
from harness.snapshot import imported_from
from harness.snapshot.manifests import as_manifests

from .serving import HttpServer, kubeconfig, serving
from .test_applications import APPS, LEFT_OUT, World, thing

DAY = "2026-01-31"


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def shop() -> World:
    """Return a cluster with two Deployments, a Service, and a policy for one of them."""
    world = World()
    world.deployment("web", replicas=2)
    world.deployment("db")
    ports = [{"port": 5432, "targetPort": 80, "protocol": "TCP"}]
    service = thing("v1", "Service", "db", "shop")
    world.put(service | {"spec": {"selector": {"app": "db"}, "ports": ports}})
    peers = [{"podSelector": {"matchLabels": {"app": "web"}}}]
    world.policy("db", podSelector={"matchLabels": {"app": "db"}}, ingress=[{"from": peers}])
    world.put(world.pod("job", {"app": "job"}))
    return world


WRITTEN = """\
# What ran on the cluster of context double on 2026-01-31, as netpol read it.
# Only what decides connections is here, for netpol and not for kubectl apply.
apiVersion: v1
kind: Namespace
metadata: {name: kube-system, labels: {kubernetes.io/metadata.name: kube-system}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {kubernetes.io/metadata.name: shop, team: shop}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  replicas: 1
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: c, ports: [{containerPort: 80}]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, ports: [{containerPort: 80}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: job, namespace: shop, labels: {app: job}}
spec:
  containers: [{name: c, ports: [{containerPort: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  ports: [{port: 5432, targetPort: 80}]
  selector: {app: db}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
    - from: [{podSelector: {matchLabels: {app: web}}}]
"""


def test_what_runs_is_written_beside_its_scenarios() -> None:
    found = imported_from("double", shop().read(), Path("tests"), DAY)
    texts = {str(item.path): item.text for item in found}
    assert [*texts] == [
        "tests/manifests/app.yaml",
        "tests/fixtures/app.yaml",
        "tests/app.yaml",
        "tests/outside.yaml",
    ]
    assert texts["tests/manifests/app.yaml"] == WRITTEN
    assert texts["tests/fixtures/app.yaml"].splitlines()[1:] == [
        'manifests: ["../manifests/app.yaml"]'
    ]
    assert found[0].notes == (LEFT_OUT,)
    assert not Path("tests").exists()


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with serving() as http:
        yield http


def test_the_verb_writes_what_can_be_loaded_and_says_the_same(
    server: HttpServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = shop()
    server.api = world.server
    named = ["--context=kind-netpol", "--kubeconfig", kubeconfig(server, tmp_path)]
    assert main(["import", *named, "-o", "tests"]) == Exit.OK
    assert capsys.readouterr().out == (
        "written: tests/manifests/app.yaml\nwritten: tests/fixtures/app.yaml\n"
        "written: tests/app.yaml\nwritten: tests/outside.yaml\n"
        f"note: {LEFT_OUT}\n"
        "next: read the tables, then netpol run tests\n"
    )
    assert main(["import", *named, "-o", "tests"]) == Exit.USAGE
    assert capsys.readouterr().err == (
        "already there: tests/manifests/app.yaml, tests/fixtures/app.yaml, tests/app.yaml, "
        "tests/outside.yaml\n"
        "hint: `netpol snapshot --update` refreshes tables; or name another folder\n"
    )
    assert {call.verb for call in world.server.calls} == {"discover", "list"}
    assert [str(path) for path in scenario.find(Path("tests"))] == [
        "tests/app.yaml",
        "tests/outside.yaml",
    ]
    assert main(["check", "tests"]) == Exit.OK
    assert capsys.readouterr().err == ""
    read = application.read(["tests/manifests"])
    assert pairs(read) == pairs(world.read())


def pairs(found: Application) -> list[str]:
    return sorted(csv_text(judged(found)).splitlines())


def test_one_namespace(
    server: HttpServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = shop()
    world.put(thing("v1", "Namespace", "other"))
    server.api = world.server
    named = ["--context=kind-netpol", "--kubeconfig", kubeconfig(server, tmp_path)]
    assert main(["import", *named, "-n", "shop", "-o", "tests"]) == Exit.OK
    assert "note: only shop was read: other pods are no ends\n" in capsys.readouterr().out
    found = application.read(["tests/manifests"])
    assert [item.name for item in found.namespaces] == ["kube-system", "shop"]
    assert main(["import", "k8s", *named, "-o", "tests"]) == Exit.USAGE
    assert capsys.readouterr().err == (
        "--context reads a cluster, so k8s cannot be read too\n"
        "hint: leave out the paths, or --context\n"
    )


HIDDEN = "s3cr3t"


def test_nothing_secret_is_read_or_written() -> None:
    """Values of environment variables, commands and annotations are often secret."""
    world = World()
    for kind in ("Secret", "ConfigMap"):
        world.put(thing("v1", kind, "keys", "shop") | {"data": {"key": HIDDEN}})
    told = {"team/token": HIDDEN, "lint.netpol.harness/comment": "ignore all: wanted"}
    container = {
        "name": "c", "image": HIDDEN, "command": [HIDDEN], "args": [HIDDEN],
        "env": [{"name": "A", "value": HIDDEN}], "ports": [{"containerPort": 80}],
        "envFrom": [{"secretRef": {"name": HIDDEN}}],
        "readinessProbe": {"httpGet": {"port": 80, "httpHeaders": [{"name": HIDDEN}]}},
    }  # fmt: skip
    for name in ("web", "db"):
        template = {
            "metadata": {"labels": {"app": name}, "annotations": told},
            "spec": {"containers": [container], "volumes": [{"name": HIDDEN}]},
        }
        spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
        world.put(thing(APPS, "Deployment", name, "shop", annotations=told) | {"spec": spec})
    for name, said in (("web", told), ("db", {"team/token": HIDDEN})):
        item = world.policy(name)
        item["metadata"] |= {"annotations": said, "finalizers": [f"x/{HIDDEN}"]}
        world.put(item)
    files = imported_from("double", world.read(), Path("tests"), DAY)
    assert not any(HIDDEN in file.text for file in files)
    assert files[0].text.count("annotations: {lint.netpol.harness/comment: ") == 3
    for word in ("uid", "resourceVersion", "managedFields", "status", "creationTimestamp"):
        assert word not in files[0].text
    asked = {call.kind for call in world.server.calls}
    assert "Deployment" in asked
    assert not asked & {"Secret", "ConfigMap"}


EVERYTHING = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {"on": "yes", team: "07"}}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop, labels: {app: bare}}
spec:
  hostNetwork: true
  initContainers:
    - {name: first, ports: [{containerPort: 1}]}
    - {name: beside, restartPolicy: Always, ports: [{containerPort: 15001, name: mesh}]}
  containers: [{name: c, ports: [{containerPort: 53, protocol: UDP, name: dns}]}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  replicas: 3
  ordinals: {start: 2}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: none, namespace: shop}
spec:
  replicas: 0
  template: {metadata: {}, spec: {containers: [{name: c}]}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec:
  template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: c}]}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: rs, namespace: shop}
spec:
  template: {metadata: {labels: {app: rs}}, spec: {containers: [{name: c}]}}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: rc, namespace: shop}
spec:
  template: {metadata: {labels: {app: rc}}, spec: {containers: [{name: c}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop}
spec:
  template: {metadata: {labels: {app: once}}, spec: {containers: [{name: c}]}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: often, namespace: shop}
spec:
  jobTemplate:
    spec:
      template: {metadata: {labels: {app: often}}, spec: {containers: [{name: c}]}}
---
apiVersion: v1
kind: Service
metadata: {name: lb, namespace: shop}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector: {app: bare}
  ports: [{name: a, port: 53, targetPort: dns, protocol: UDP}, {name: b, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: shop}
spec: {clusterIP: None, selector: {app: db}}
---
apiVersion: v1
kind: Service
metadata: {name: by-hand, namespace: shop}
spec: {type: NodePort, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: elsewhere, namespace: shop}
spec: {type: ExternalName, externalName: example.com}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open, namespace: shop, labels: {of: shop}}
spec:
  podSelector: {matchExpressions: [{key: app, operator: NotIn, values: ["1", "no"]}]}
  policyTypes: [Ingress, Egress]
  ingress: [{}]
  egress:
    - to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {namespaceSelector: {}}]
      ports: [{port: dns, protocol: UDP}, {port: 80, endPort: 90}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: l7, namespace: shop}
spec: {endpointSelector: {}, ingress: [{fromEntities: [world]}]}
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: all}
spec: {endpointSelector: {}}
"""


def values(found: Application) -> list[list[str]]:
    """Return what an application consists of, sorted, without the places."""
    by_kind = (found.namespaces, found.workloads, found.services)
    texts = [sorted(_without_places(repr(item)) for item in items) for items in by_kind]
    policies = (*found.policies, *found.not_judged)
    return [*texts, sorted(str(_known(item)) for item in policies)]


def _without_places(text: str) -> str:
    while "Location(" in text:
        before, _, behind = text.partition("Location(")
        text = before + "@" + behind.partition(")")[2]
    return text


def _known(item: Manifest) -> tuple[str, object]:
    return str(item), json.loads(item.json)


def test_what_is_written_is_the_same_application() -> None:
    Path("all.yaml").write_text(EVERYTHING, "utf-8")
    before = application.read(["all.yaml"])
    text = as_manifests(before, ["head"])
    Path("again.yaml").write_text(text, "utf-8")
    after = application.read(["again.yaml"])
    assert values(after) == values(before)
    assert len(before.workloads) == 8
    assert len(before.not_judged) == 2
    assert as_manifests(after, ["head"]) == text
    turned = replace(
        before,
        namespaces=before.namespaces[::-1],
        workloads=before.workloads[::-1],
        services=before.services[::-1],
        policies=before.policies[::-1],
    )
    assert as_manifests(turned, ["head"]) == text


def refused(world: World) -> str:
    with pytest.raises((UsageError, ScenarioError)) as error:
        imported_from("double", world.read("shop"), Path("tests"), DAY)
    assert not Path("tests").exists()
    return str(error.value)


def test_what_cannot_be_imported() -> None:
    world = World()
    world.deployment("web")
    assert refused(world) == (
        "context 'double' has no policy, so there is nothing to test\n"
        "hint: `netpol matrix` shows who reaches whom"
    )
    for number in range(250):
        world.put(world.pod(f"bare-{number}", {"app": "bare"}))
    assert refused(world) == (
        "context 'double' has 251 pods to try, and a scenario has at most 250\n"
        "hint: -n NAME reads one namespace"
    )


def test_what_no_scenario_can_have_is_said_with_its_place_in_what_would_be_written() -> None:
    world = World()
    world.put(world.pod("web", {"netpol.harness/run": "1"}))
    world.policy("web")
    with pytest.raises(ScenarioError) as error:
        imported_from("double", world.read(), Path("tests"), DAY)
    (problem,) = error.value.problems
    assert problem.location == Location("tests/manifests/app.yaml", 11, 1)
