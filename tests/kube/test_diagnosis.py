"""What a person is told at wrong cells about the network plugin itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kmock
import pytest

from harness.cluster import kind
from harness.cluster.kind.installation import installation
from harness.cluster.kube import KubeCluster, KubeSettings
from harness.cluster.kube.api import Api
from harness.cluster.profiles import profile

from .conftest import refusal

APPS = "/c/apis/apps/v1"
AGENT = "DaemonSet/kube-system/calico-node"
HEADING = "the network plugin's workloads that are not ready:"
CONTROLLER = "Deployment/kube-system/calico-kube-controllers"


def items(*found: Any) -> dict[str, Any]:
    return {"items": list(found)}


def daemon_set(name: str, ready: int, desired: int) -> dict[str, Any]:
    status = {"numberReady": ready, "desiredNumberScheduled": desired}
    return {"metadata": {"namespace": "kube-system", "name": name}, "status": status}


def deployment(replicas: int, **status: int) -> dict[str, Any]:
    metadata = {"namespace": "kube-system", "name": "calico-kube-controllers"}
    return {"metadata": metadata, "spec": {"replicas": replicas}, "status": status}


@pytest.fixture(autouse=True)
def three_nodes(server: kmock.RawHandler) -> None:
    """All of a cluster but its network plugin: a tainted node, two more, no pods."""
    taints = {"taints": [{"effect": "NoSchedule"}]}
    nodes = [
        {"metadata": {"name": name, "labels": {}}, "spec": spec, "status": {}}
        for name, spec in (("control-plane", taints), ("worker", {}), ("worker2", {}))
    ]
    server["get /c/api/v1/nodes"] << items(*nodes)
    server["get /c/api/v1/pods"] << items()
    server["get /c/api/v1/namespaces/kube-system/pods"] << items()
    server["get /c/apis/discovery.k8s.io/v1/endpointslices"] << items()


def told(kubeconfig: str, *agents: str) -> str:
    settings = KubeSettings(run="r1", agents=agents)
    return KubeCluster(settings, Api(kubeconfig, "kind-netpol")).describe([])


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (daemon_set("calico-node", 3, 3), None),
        (daemon_set("calico-node", 2, 3), "ready on 2 of 3 nodes"),
        # Its nodeSelector fits nowhere: by its own count it is all there.
        (daemon_set("calico-node", 0, 0), "ready on 0 of 3 nodes"),
        (daemon_set("calico-node", 2, 2), "ready on 2 of 3 nodes"),
        (daemon_set("another", 3, 3), "does not exist"),
    ],
)
def test_an_agent_that_is_not_on_every_node_is_named(
    server: kmock.RawHandler, kubeconfig: str, found: object, line: str | None
) -> None:
    server[f"get {APPS}/namespaces/kube-system/daemonsets"] << items(found)
    wanted = f"{HEADING}\n  DaemonSet kube-system/calico-node: {line}" if line else ""
    assert told(kubeconfig, AGENT) == wanted


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ([deployment(1, readyReplicas=1)], None),
        ([deployment(2, readyReplicas=1)], "1 of 2 replicas ready"),
        ([deployment(1)], "0 of 1 replicas ready"),
        ([deployment(0)], "0 of 0 replicas ready"),
        ([], "does not exist"),
    ],
)
def test_a_controller_without_all_its_replicas_is_named(
    server: kmock.RawHandler, kubeconfig: str, found: list[Any], line: str | None
) -> None:
    agent = daemon_set("calico-node", 3, 3)
    server[f"get {APPS}/namespaces/kube-system/daemonsets"] << items(agent)
    server[f"get {APPS}/namespaces/kube-system/deployments"] << items(*found)
    wanted = f"{HEADING}\n  Deployment kube-system/calico-kube-controllers: {line}" if line else ""
    assert told(kubeconfig, AGENT, CONTROLLER) == wanted


@pytest.mark.parametrize(("found", "line"), [("calico-node", ""), ("another", "does not exist")])
def test_an_agent_whose_namespace_is_not_known_is_looked_for_in_all(
    server: kmock.RawHandler, kubeconfig: str, found: str, line: str
) -> None:
    server[f"get {APPS}/daemonsets"] << items(daemon_set(found, 3, 3))
    wanted = f"{HEADING}\n  DaemonSet calico-node: {line}" if line else ""
    assert told(kubeconfig, "DaemonSet/*/calico-node") == wanted


def test_where_nobody_vouches_for_a_plugin_every_daemon_set_is_looked_at(
    server: kmock.RawHandler, kubeconfig: str
) -> None:
    elsewhere = daemon_set("gpu", 0, 0)  # for nodes that this cluster has not
    found = [daemon_set("cilium", 2, 3), daemon_set("kube-proxy", 3, 3), elsewhere]
    server[f"get {APPS}/daemonsets"] << items(*found)
    assert told(kubeconfig) == (
        "DaemonSets that are not ready:\n  DaemonSet kube-system/cilium: ready on 2 of 3 nodes"
    )


def test_what_may_not_be_read_says_so_in_its_place(
    server: kmock.RawHandler, kubeconfig: str
) -> None:
    words = 'daemonsets.apps is forbidden: User "u" cannot list resource "daemonsets"'
    server[f"get {APPS}/daemonsets"] << refusal(403, words)
    assert told(kubeconfig) == f"DaemonSets that are not ready:\n  cannot be read: {words}"


def test_a_kind_cluster_knows_its_agent_from_the_profile(
    server: kmock.RawHandler, kubeconfig: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "netpol" / "clusters" / "netpol"
    own.mkdir(parents=True)
    Path(kubeconfig).rename(own / "kubeconfig")
    flannel = profile("flannel")
    mark = {"data": {"cni": flannel.name, "version": installation(flannel).version, "waits": ""}}
    for name, says in (("kind", "netpol"), ("docker", json.dumps(mark))):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    server[f"get {APPS}/namespaces/kube-flannel/daemonsets"] << items()
    cluster = kind.connect("netpol", flannel, KubeSettings(run="r1"))
    assert "DaemonSet kube-flannel/kube-flannel-ds: does not exist" in cluster.describe([])
