"""An audit of workloads on a real cluster: that does what its policies say, and that does not."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping

import pytest

from harness.cli import main
from harness.cluster.kind import command, lifecycle
from harness.cluster.kube import AGNHOST_IMAGE
from harness.cluster.profiles import Profile

from .breaking import all_accepted

NAME = os.environ.get("NETPOL_KIND_NAME") or "netpol"


def _kubectl(*words: str, stdin: str = "") -> str:
    done = command.kubectl(NAME, *words, stdin=stdin)
    assert done.status == 0, done.output
    return done.stdout


def _apply(item: Mapping[str, object]) -> None:
    _kubectl("apply", "-f", "-", stdin=json.dumps(item))


@pytest.fixture
def namespace() -> Iterator[str]:
    """Web and db with two replicas each, on two nodes; nobody but web may reach db."""
    name = f"audit-{secrets.token_hex(2)}"
    _kubectl("create", "namespace", name)
    _kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    try:
        for app in ("web", "db", "cache"):
            _apply(_deployment(name, app))
        _apply(_policy(name))
        for app in ("web", "db", "cache"):
            _kubectl("rollout", "status", f"deployment/{app}", "-n", name, "--timeout=90s")
        yield name
    finally:
        _kubectl("delete", "namespace", name, "--wait=false")


def _deployment(namespace: str, app: str) -> Mapping[str, object]:
    labels = {"app": app}
    rights = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    server = {
        "name": "server",
        "image": AGNHOST_IMAGE,
        "args": ["netexec", "--http-port=8080", "--udp-port=-1"],
        "ports": [{"containerPort": 8080}],
        "securityContext": rights,
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
        "nodeTaintsPolicy": "Honor",
    }
    pod = {
        "terminationGracePeriodSeconds": 1,
        "topologySpreadConstraints": [spread],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [server],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": app, "namespace": namespace},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _policy(namespace: str) -> Mapping[str, object]:
    peers = [{"podSelector": {"matchLabels": {"app": "web"}}}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "db", "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": {"app": "db"}},
            "ingress": [{"from": peers}],
        },
    }


def _audited(namespace: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Return the exit status, and what is wrong: the word, the pair, and both nodes."""
    named = [f"--context=kind-{NAME}", f"--kubeconfig={lifecycle.kubeconfig(NAME)}"]
    status = main(["audit", *named, "-n", namespace, "--yes", "--format=json"])
    found = json.loads(capsys.readouterr().out)
    wrong = [item for item in found["pairs"] if "as the policies say" not in item["word"]]
    assert len(found["pairs"]) - len(wrong) == sum(
        count for word, count in found["counts"].items() if "as the policies say" in word
    )
    return status, [
        f"{item['word']}: {item['from']} -> {item['to']} on {item['destination']['node']}"
        for item in wrong
    ]


def test_a_cluster_that_does_what_its_policies_say(
    namespace: str, profile: Profile, capsys: pytest.CaptureFixture[str]
) -> None:
    if not profile.enforces:
        pytest.skip(f"{profile.name} enforces no policies")
    assert _audited(namespace, capsys) == (0, [])


@pytest.mark.exclusive
def test_a_node_that_enforces_nothing(
    namespace: str, profile: Profile, capsys: pytest.CaptureFixture[str]
) -> None:
    if profile.name != "calico":
        pytest.skip("only Calico's rules are known to be passed over in this way")
    node = sorted(item for item in command.nodes(NAME) if "control-plane" not in item)[0]
    with all_accepted(node):
        status, wrong = _audited(namespace, capsys)
    assert status == 1
    assert f"wrongly open: {namespace}/cache -> {namespace}/db:8080 on {node}" in wrong
    assert all(line.startswith("wrongly open: ") and line.endswith(f" {node}") for line in wrong)
