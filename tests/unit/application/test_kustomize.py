"""Folders with kustomizations: what is read, and what is said where they are not applied."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.application import read
from harness.errors import ScenarioError

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, ports: [{containerPort: 80}]}]}
"""
PATCH = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 3}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {selector: {app: web}, ports: [{port: PORT}]}
"""
BASE = {"k8s/base/kustomization.yaml": "resources: [web.yaml]\n", "k8s/base/web.yaml": WEB}


def written(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, "utf-8")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("patches", "name"),
    [
        ("patches: [{path: web.yaml}]", "web.yaml"),
        ("patchesStrategicMerge: [./web.yaml]", "web.yaml"),
        ("patchesJson6902: [{target: {kind: Deployment}, path: web.yaml}]", "web.yaml"),
        ("patches: [{path: ../patches/web.yaml}]", "../patches/web.yaml"),
        ("configMapGenerator: [{name: x, files: [a=web.yaml]}]", "web.yaml"),
    ],
)
def test_a_patch_is_no_object(patches: str, name: str) -> None:
    overlay = {
        "k8s/overlays/prod/kustomization.yaml": f"resources: [../../base]\n{patches}\n",
        f"k8s/overlays/prod/{name}": PATCH,
    }
    written(BASE | overlay)
    found = read(["k8s"])
    assert [str(item) for item in found.workloads] == ["Deployment default/web"]
    assert found.workloads[0].replicas == 1
    assert str(found.notes[0]) == (
        "k8s/base/kustomization.yaml:1:1: 2 kustomizations are not applied: k8s/base, "
        "k8s/overlays/prod; `kubectl kustomize k8s/base > rendered.yaml` renders the first"
    )


def test_a_kustomization_of_a_git_revision() -> None:
    overlay = {
        "k8s/prod/kustomization.yaml": "patches: [{path: web.yaml}]\n",
        "k8s/prod/web.yaml": PATCH,
    }
    written(BASE | overlay)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *identity, *command], check=True)
    found = read(["HEAD:k8s"])
    assert [str(item) for item in found.workloads] == ["Deployment default/web"]
    with pytest.raises(ScenarioError) as caught:
        read(["HEAD:k8s/prod"])
    hint = str(caught.value.problems[0].hint)
    assert "`kubectl kustomize k8s/prod > rendered.yaml`" in hint


def test_a_patch_of_one_is_an_object_of_another() -> None:
    written(BASE | {"k8s/prod/kustomization.yml": "patches: [{path: ../base/web.yaml}]\n"})
    assert [str(item) for item in read(["k8s"]).workloads] == ["Deployment default/web"]


def test_a_patch_that_is_written_inside() -> None:
    inside = (
        "patchesStrategicMerge:\n- |\n  kind: Deployment\npatches: [{patch: 'x'}, {path: [1]}]\n"
    )
    written(BASE | {"k8s/prod/kustomization.yaml": inside})
    assert len(read(["k8s"]).workloads) == 1


def test_an_overlay_alone_has_no_objects() -> None:
    overlay = {
        "k8s/overlays/prod/kustomization.yaml": "patches: [{path: web.yaml}]\n",
        "k8s/overlays/prod/web.yaml": PATCH,
    }
    written(BASE | overlay)
    with pytest.raises(ScenarioError) as caught:
        read(["k8s/overlays/prod"])
    assert str(caught.value) == (
        "k8s/overlays/prod:1:1: there is no workload, no Service and no policy in "
        "k8s/overlays/prod\n"
        "hint: k8s/overlays/prod/kustomization.yaml:1:1: a kustomization is not applied; "
        "`kubectl kustomize k8s/overlays/prod > rendered.yaml` renders it"
    )


def test_objects_that_differ_name_the_kustomizations() -> None:
    overlay = {"k8s/overlays/prod/kustomization.yaml": "resources: [../../base]\n"}
    services = {
        f"k8s/{place}/services.yaml": "---\n".join(
            SERVICE.replace("NAME", f"s{number}").replace("PORT", port) for number in range(5)
        )
        for place, port in (("base", "80"), ("overlays/prod", "81"))
    }
    written(BASE | overlay | services)
    with pytest.raises(ScenarioError) as caught:
        read(["k8s"])
    command = "`kubectl kustomize k8s/overlays/prod > rendered.yaml`"
    fact = "stands here and, with other contents, in k8s/base/services.yaml"
    hint = f"name only one of both files, or render a kustomization: {command}"
    assert [(str(p.location), p.message, p.hint) for p in caught.value.problems] == [
        (
            "k8s/overlays/prod/services.yaml:1:1",
            f"Service default/s0 {fact}:1:1",
            f"{hint}; there are kustomizations in k8s/base, k8s/overlays/prod",
        ),
        ("k8s/overlays/prod/services.yaml:6:1", f"Service default/s1 {fact}:6:1", hint),
        (
            "k8s/overlays/prod/services.yaml:11:1",
            f"Service default/s2 {fact}:11:1; 2 more objects stand in two places",
            hint,
        ),
    ]
    assert len(read(["k8s/base"]).services) == 5


def test_the_same_object_may_stand_in_two_files() -> None:
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {a: b}}\n"
    other = (
        "kind: Namespace\nmetadata:\n  labels: {a: b}\n  annotations: {c: d}\n  name: shop\n"
        "apiVersion: v1\n"
    )
    written({"k8s/a.yaml": namespace + "---\n" + WEB, "k8s/b.yaml": other + "---\n" + WEB})
    found = read(["k8s"])
    assert len(found.workloads) == 1
    assert [item.name for item in found.namespaces] == ["shop", "default"]


def test_a_kustomization_that_cannot_be_read() -> None:
    written(BASE | {"k8s/prod/kustomization.yaml": "patches: [\n"})
    with pytest.raises(ScenarioError) as caught:
        read(["k8s"])
    assert {problem.location.path for problem in caught.value.problems} == {
        "k8s/prod/kustomization.yaml"
    }


@pytest.mark.parametrize(
    ("files", "namespace"),
    [
        ({"k8s/base/kustomization.yaml": "namespace: shop\nresources: [web.yaml]\n"}, "shop"),
        ({"k8s/kustomization.yaml": "namespace: shop\nresources: [./base/web.yaml]\n"}, "shop"),
        ({"k8s/base/kustomization.yaml": "namespace: shop\nresources: [other.yaml]\n"}, "team"),
        ({"k8s/prod/kustomization.yaml": "namespace: shop\nresources: [../base]\n"}, "team"),
        (
            {
                "k8s/a/kustomization.yaml": "namespace: a\nresources: [../base/web.yaml]\n",
                "k8s/b/kustomization.yaml": "namespace: b\nresources: [../base/web.yaml]\n",
            },
            "team",
        ),
        ({"k8s/base/kustomization.yaml": "namespace: [1]\nresources: [web.yaml]\n"}, "team"),
    ],
)
def test_the_namespace_of_a_kustomization(files: dict[str, str], namespace: str) -> None:
    written(BASE | files)
    assert [item.namespace for item in read(["k8s"], "team").workloads] == [namespace]


def test_objects_that_name_their_namespace_stay_in_it() -> None:
    kustomization = "namespace: shop\nresources: [web.yaml]\n"
    there = WEB.replace("{name: web}", "{name: web, namespace: there}")
    written({"k8s/kustomization.yaml": kustomization, "k8s/web.yaml": there})
    assert [item.namespace for item in read(["k8s"]).workloads] == ["there"]
