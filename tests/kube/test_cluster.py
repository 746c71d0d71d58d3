"""The adapter against an API server that refuses, forbids, or holds what others made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import kmock
import pytest
import yaml

from harness.choice import ClusterChoice
from harness.cli import Exit, main
from harness.cluster import Gap, KnownCell, kind
from harness.cluster.kube import KubeCluster, KubeSettings, Limits, Rights, rights
from harness.cluster.kube.api import Api
from harness.cluster.kube.identity import Machine, Owner
from harness.cluster.kube.objects import PROCESS_ANNOTATION, RUN_LABEL
from harness.cluster.profiles import ProfileFile, parse
from harness.errors import NoRights
from harness.model import Verdict

from .conftest import refusal

IP_POOLS = "/apis/crd.projectcalico.org/v1/ippools"


NODE = {
    "metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}},
    "spec": {},
    "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}]},
}
REVIEWS = "/c/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
EMPTY: dict[str, Any] = {"items": []}
LEFT_OPEN = "the API leaves it open, and no profile says that the CNI does it"


@pytest.fixture
def cluster(server: kmock.RawHandler, kubeconfig: str) -> Iterator[KubeCluster]:
    server["get /c/api/v1/nodes"] << {"items": [NODE]}
    server["get /c/api/v1/pods"] << EMPTY
    server["get /c/apis/discovery.k8s.io/v1/endpointslices"] << EMPTY
    limits = Limits(ready_s=1, gone_s=1, close_s=1)
    settings = KubeSettings(run="r1", limits=limits)
    cluster = KubeCluster(settings, Api(kubeconfig, "kind-netpol"))
    yield cluster
    server["delete /c/api/v1/namespaces/*"] << {}
    cluster._prober.close()


@pytest.mark.parametrize(
    ("needed", "document"), [(Rights.RUN, "docs/rbac.yaml"), (Rights.GATE, "docs/gate.yaml")]
)
def test_every_missing_right_is_named(
    needed: Rights, document: str, server: kmock.RawHandler, kubeconfig: str
) -> None:
    def answer(request: kmock.Request) -> dict[str, Any]:
        wanted = request.data["spec"]["resourceAttributes"]
        forbidden = wanted["subresource"] == "exec" or wanted["resource"] == "nodes"
        return {"status": {"allowed": not forbidden}}

    server[f"post {REVIEWS}"] << answer
    with pytest.raises(NoRights) as caught:
        rights.require(Api(kubeconfig, "kind-netpol"), needed)
    assert str(caught.value) == (
        "context 'kind-netpol' lacks the rights to list nodes, get pods/exec, create pods/exec\n"
        f"hint: {document} has a role with all rights that are needed"
    )


def test_a_run_on_any_cluster_begins_with_its_rights_and_its_workers_do_not(
    server: kmock.RawHandler, kubeconfig: str
) -> None:
    server[f"post {REVIEWS}"] << {"status": {"allowed": False}}
    choice = ClusterChoice(
        cluster="current", context="production", kubeconfig=Path(kubeconfig), run_id="r1"
    )
    with pytest.raises(NoRights) as caught:
        choice.make("main")
    assert str(caught.value).startswith(
        "context 'production' lacks the rights to list nodes, get namespaces, "
    )
    asked = len(list(server[f"post {REVIEWS}"]))
    server["get /c/api/v1/nodes"] << {"items": [NODE]}
    choice.make("gw0")
    assert len(list(server[f"post {REVIEWS}"])) == asked


def test_with_all_rights_a_run_begins(server: kmock.RawHandler, kubeconfig: str) -> None:
    server["get /c/api/v1/nodes"] << {"items": [NODE]}
    server[f"post {REVIEWS}"] << {"status": {"allowed": True}}
    choice = ClusterChoice(cluster="current", context="kind-netpol", kubeconfig=Path(kubeconfig))
    assert choice.make("main")


@pytest.mark.parametrize("needed", Rights)
def test_the_role_in_the_docs_grants_what_is_asked_for(needed: Rights) -> None:
    asked = {
        (right.group, right.resource, verb) for right in needed.rights for verb in right.verbs
    }
    assert asked - granted(needed) == set()


@pytest.mark.parametrize("needed", [Rights.RUN, Rights.GATE])
def test_the_role_of_a_run_grants_heartbeats_without_which_it_goes_on(needed: Rights) -> None:
    leases = {
        ("coordination.k8s.io", "leases", verb) for verb in ("get", "list", "create", "patch")
    }
    assert leases - granted(needed) == set()


def granted(needed: Rights) -> set[tuple[str, str, str]]:
    path = Path(__file__).parents[2] / needed.document
    return {
        (group, resource, verb)
        for item in yaml.safe_load_all(path.read_text())
        if item["kind"] in {"ClusterRole", "Role"}
        for rule in item["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


MINE = """
title = "mine"
sources = ["https://example.com"]
versions = ["v1"]
[install]
version = "v1"
pod_subnet = "10.0.0.0/16"
wait = ["DaemonSet/kube-system/agent"]
manifest = {{file = "a.yaml", url = "https://example.com/a.yaml", sha256 = "{0:064}"}}
[[limitations]]
says = "it leaks"
source = "a/b#1"
versions = ["v1"]
features = ["endport"]
cells = [{{scenario = "s", step = "shut", probe = "a/a -> a/b:80", gives = "allowed"}}]
"""


def test_a_kind_cluster_is_known_for_what_its_profile_says(
    server: kmock.RawHandler, kubeconfig: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server["get /c/api/v1/nodes"] << {"items": [NODE]}
    server["get /c/api/v1/namespaces/kube-system/pods"] << EMPTY
    own = tmp_path / "netpol" / "clusters" / "netpol"
    own.mkdir(parents=True)
    Path(kubeconfig).rename(own / "kubeconfig")
    data = {"cni": "mine", "version": "v1", "waits": "", "profile": MINE.format(0)}
    mark = json.dumps({"data": data})
    for name, says in (("kind", "netpol"), ("docker", mark)):
        (tmp_path / name).write_text(f"#!/bin/sh\nprintf '%s\\n' '{says}'\n")
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    profile = parse(ProfileFile("mine", "mine.toml", MINE.format(0), shipped=False))
    settings = KubeSettings(run="r1")
    can = kind.connect("netpol", profile, settings).capabilities
    assert (can.cni, can.cni_version) == ("mine", "v1")
    reason = "it leaks (a/b#1; v1)"
    assert can.gaps == (
        Gap("endport", reason),
        Gap("ipblock-node-ip", LEFT_OPEN),
        Gap("ipblock-pod-ip", LEFT_OPEN),
        Gap("ipv6", "no pod of kube-system has an IPv6 address"),
    )
    assert "endport" not in can.features
    assert can.known_cells == (KnownCell("s", "shut", "a/a -> a/b:80", Verdict.ALLOWED, reason),)


@pytest.mark.parametrize(
    ("cni", "denies_by", "vouched"),
    [
        (None, "drop", frozenset()),
        ("kube-router", "reject", {"ipblock-pod-ip", "ipblock-node-ip"}),
        ("cilium", "drop", frozenset()),
    ],
)
def test_any_cluster_is_known_for_what_the_profile_of_its_cni_says(
    server: kmock.RawHandler, kubeconfig: str, cni: str | None, denies_by: str, vouched: set[str]
) -> None:
    server["get /c/api/v1/nodes"] << {"items": [NODE]}
    server["get /c/api/v1/namespaces/kube-system/pods"] << EMPTY
    server[f"post {REVIEWS}"] << {"status": {"allowed": True}}
    choice = ClusterChoice(
        cluster="current", context="production", kubeconfig=Path(kubeconfig), cni=cni
    )
    can = choice.make("main").capabilities
    assert (can.name, can.denies_by) == ("production", denies_by)
    assert (can.cni, can.cni_version, can.kubernetes) == (cni or "", "", "v1.34.0")
    assert can.features & {"ipblock-pod-ip", "ipblock-node-ip"} == vouched


# ------------------------------------------------------------------ netpol clean


def made_by(owner: Owner, name: str) -> dict[str, Any]:
    marks = {"labels": {RUN_LABEL: "r1"}, "annotations": {PROCESS_ANNOTATION: str(owner)}}
    return {"metadata": {"name": name, "uid": f"uid-{name}", **marks}}


def test_clean_says_what_it_removed_and_what_it_kept(
    server: kmock.RawHandler, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    me = Machine().this_process()
    dead = replace(me, started="1")
    found = [made_by(me, "alive"), made_by(dead, "dead"), made_by(dead, "stuck")]
    server["get /c/api/v1/namespaces"] << {"items": found}
    server["get /c/apis/coordination.k8s.io/v1/leases"] << EMPTY
    server["get /c/api/v1/nodes"] << EMPTY
    server["get /c/apis/networking.k8s.io/v1/servicecidrs"] << EMPTY
    server[f"get /c{IP_POOLS}"] << refusal(403, "ippools is forbidden")
    server["delete /c/api/v1/namespaces/dead"] << {}
    server["delete /c/api/v1/namespaces/stuck"] << refusal(403, "no")
    command = ["clean", "--cluster=current", "--context=production", f"--kubeconfig={kubeconfig}"]
    assert main(command) == Exit.NO_VERDICT
    ended = f"process {me.pid} on this machine has ended"
    assert capsys.readouterr() == (
        f"removed: namespace dead: {ended}\n"
        f"kept: namespace alive: process {me.pid} on this machine is running\n"
        "not looked at: IPPool: the run may have left objects of these kinds: "
        "ippools is forbidden\n"
        "1 leftover removed, 1 kept\n",
        "not removed: namespace stuck: no\n",
    )
    (request,) = list(server["delete /c/api/v1/namespaces/dead"])
    assert request.data["preconditions"] == {"uid": "uid-dead"}
    (request,) = list(server["get /c/api/v1/namespaces"])
    assert request.params.get("labelSelector") == "netpol.harness/run"


def test_clean_of_a_run_asks_for_that_run_only(
    server: kmock.RawHandler, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server["get /c/api/v1/namespaces"] << EMPTY
    server["get /c/apis/coordination.k8s.io/v1/leases"] << EMPTY
    others = ("/api/v1/nodes", "/apis/networking.k8s.io/v1/servicecidrs", IP_POOLS)
    for url in others:
        server[f"get /c{url}"] << EMPTY
    command = ["clean", "--cluster=current", "--context=production", f"--kubeconfig={kubeconfig}"]
    assert main([*command, "--run=r7"]) == Exit.OK
    assert capsys.readouterr().out == "0 leftovers removed, 0 kept\n"
    for url in ("/api/v1/namespaces", *others):
        (request,) = list(server[f"get /c{url}"])
        assert request.params.get("labelSelector") == "netpol.harness/run=r7"
