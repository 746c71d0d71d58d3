"""What breaks while a run is on, on a real cluster: an error that says so, never a verdict.

Every test has a run of its own and ends with nothing of it left on the cluster. Those that
break the cluster itself are marked ``exclusive``: nothing else may run on it meanwhile.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import canary, runner
from harness.cluster import kind, kube
from harness.cluster.kind import command
from harness.cluster.kind.installation import installation
from harness.cluster.kube import KubeCluster, KubeSettings, Limits, Rights, rights
from harness.cluster.kube.objects import RUN_LABEL
from harness.cluster.profiles import Profile
from harness.cluster.waiting import Clock
from harness.errors import ClusterError, Location, NoRights
from harness.model import (
    Cell,
    ContainerPort,
    Destination,
    External,
    Labels,
    Manifest,
    Namespace,
    Needs,
    Observation,
    Pod,
    Probe,
    ProbeError,
    Scenario,
    State,
    Step,
    TruthTable,
    Verdict,
    denials,
)
from harness.settle import Timing

Connect = Callable[..., KubeCluster]

NAME = os.environ.get("NETPOL_KIND_NAME") or "netpol"

CLIENT = Pod("a", "client", Labels({"app": "client"}), node=1)
NEAR = Pod("a", "near", Labels({"app": "near"}), (ContainerPort(80),), node=1)
FAR = Pod("a", "far", Labels({"app": "far"}), (ContainerPort(80),), node=2)
OPEN = State(scope="faults", namespaces=(Namespace("a"),), pods=(CLIENT, NEAR, FAR))
DENY = Manifest(
    api_version="networking.k8s.io/v1",
    kind="NetworkPolicy",
    namespace="a",
    name="deny",
    json=json.dumps(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "deny", "namespace": "a"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
        }
    ),
)
SHUT = replace(OPEN, policies=(DENY,))
TO_NEAR = Probe(CLIENT.ref, Destination(NEAR.ref, 80))
TO_FAR = Probe(CLIENT.ref, Destination(FAR.ref, 80))
FROM_FAR = Probe(FAR.ref, Destination(NEAR.ref, 80))


@pytest.fixture
def run() -> Iterator[str]:
    """The name of a run; at the end nothing of it may be on the cluster."""
    name = f"f{secrets.token_hex(2)}"
    yield name
    left = _namespaces(name)
    deadline = time.monotonic() + 60
    while left and time.monotonic() < deadline:
        time.sleep(0.5)
        left = _namespaces(name)
    assert not left
    done = command.check(["docker", "ps", "-aq", "--filter", f"label={RUN_LABEL}={name}"])
    assert not done.strip()


@pytest.fixture
def connect(run: str, profile: Profile) -> Iterator[Connect]:
    """Connect to the cluster with settings that differ from the usual; closed at the end."""
    made: list[KubeCluster] = []

    def make(**settings: Any) -> KubeCluster:
        usual = KubeSettings(run=run, limits=Limits(ready_s=60))
        cluster = kind.connect(NAME, profile, replace(usual, **settings))
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        assert cluster.close() == ()


def test_source_pod_deleted_while_it_probes(connect: Connect, run: str) -> None:
    cluster = connect(probe_timeout_s=6.0)
    cluster.sync(SHUT)
    _await_denial(cluster, TO_FAR)
    with _after(1.5, lambda: _delete_pod(run, CLIENT)):
        seen = list(cluster.probe([TO_FAR, TO_NEAR]))
    assert len(seen) == 2
    for observation in seen:
        _is_error(observation, "a/client")


def test_destination_pod_deleted_while_it_is_probed(connect: Connect, run: str) -> None:
    cluster = connect(probe_timeout_s=6.0)
    cluster.sync(SHUT)
    _await_denial(cluster, TO_FAR)
    with _after(1.5, lambda: _delete_pod(run, FAR)):
        [observation] = cluster.probe([TO_FAR])
    _is_error(observation, "a/far")


def test_destination_pod_deleted_before_it_is_probed(connect: Connect, run: str) -> None:
    cluster = connect()
    cluster.sync(OPEN)
    _delete_pod(run, FAR)
    said: list[Verdict | ProbeError] = []

    def names_the_pod() -> bool:
        # The container may outlive its pod for a moment and answer, and a starved machine says
        # that it is starved. Neither round may give a denial.
        [observation] = cluster.probe([TO_FAR])
        said.append(observation.outcome)
        assert observation.outcome not in denials("drop")
        return "a/far" in str(observation.outcome)

    _until(names_the_pod, 40)
    assert isinstance(said[-1], ProbeError), said


def test_agnhost_missing_from_the_image(connect: Connect) -> None:
    image = _kubectl(
        "get", "daemonset", "kube-proxy", "-n", "kube-system",
        "-o", "jsonpath={.spec.template.spec.containers[0].image}",
    )  # fmt: skip
    cluster = connect(image=image, limits=Limits(ready_s=20))
    with pytest.raises(ClusterError, match="agnhost"):
        cluster.sync(OPEN)


def test_image_that_cannot_be_pulled(connect: Connect) -> None:
    cluster = connect(image="registry.invalid/agnhost:none", limits=Limits(ready_s=20))
    with pytest.raises(ClusterError, match=r"ImagePull|ErrImage"):
        cluster.sync(OPEN)


def test_exec_forbidden_while_a_run_is_on(run: str, profile: Profile, tmp_path: Path) -> None:
    account = f"system:serviceaccount:default:{run}"
    _kubectl("create", "serviceaccount", run)
    try:
        _apply(_role(run, "*"))
        _apply(_binding(run))
        path = _kubeconfig_of_account(run, tmp_path)
        later_s = 0.0
        clock = Clock(now=lambda: time.monotonic() + later_s)
        api = kube.connect(path, run)
        with KubeCluster(KubeSettings(run=run, clock=clock), api) as cluster:
            _until(lambda: _may_exec(account))
            rights.require(api, Rights.RUN)
            cluster.sync(OPEN)
            rest = "namespaces pods services nodes endpointslices networkpolicies"
            _apply(_role(run, *rest.split()))
            _until(lambda: not _may_exec(account))
            later_s = 600.0  # no shell in a pod is kept for so long
            [observation] = cluster.probe([TO_FAR])
            _is_error(observation, "forbidden")
            with pytest.raises(NoRights, match="pods/exec"):
                rights.require(api, Rights.RUN)
    finally:
        for what in ("clusterrolebinding", "clusterrole", "serviceaccount"):
            command.kubectl(NAME, "delete", what, run)


def test_admission_webhook_refuses_the_policy(connect: Connect, run: str) -> None:
    cluster = connect()
    cluster.sync(OPEN)
    hook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": run},
        "webhooks": [
            {
                "name": "nobody.netpol.example",
                "rules": [
                    {
                        "apiGroups": ["networking.k8s.io"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["networkpolicies"],
                    }
                ],
                "namespaceSelector": {"matchLabels": {RUN_LABEL: run}},
                "clientConfig": {"service": {"namespace": "default", "name": "nobody"}},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
    _apply(hook)
    try:
        time.sleep(2)  # the API server reads its webhooks anew, and tells nobody when
        with pytest.raises(ClusterError, match="webhook"):
            cluster.sync(SHUT)
        [observation] = cluster.probe([TO_FAR])
        assert observation.outcome is Verdict.ALLOWED
    finally:
        _kubectl("delete", "validatingwebhookconfiguration", run)


@pytest.mark.exclusive
def test_cni_agent_dead(connect: Connect, run: str, profile: Profile) -> None:
    """Policies are accepted and no longer programmed: the tables are wrong, and say so."""
    cluster = connect(limits=Limits(ready_s=20))
    cluster.sync(OPEN)
    daemon = next(wait for wait in installation(profile).wait if wait.startswith("DaemonSet"))
    _, namespace, name = daemon.split("/")
    nowhere = {"spec": {"template": {"spec": {"nodeSelector": {"netpol.harness/none": "1"}}}}}
    everywhere = {"spec": {"template": {"spec": {"nodeSelector": {"netpol.harness/none": None}}}}}
    patch = ("patch", "daemonset", name, "-n", namespace, "--type=merge", "-p")
    agents = _pods_of(namespace, name)
    _kubectl(*patch, json.dumps(nowhere))
    try:
        _until(lambda: not _pods_of(namespace, name), 60)
        _until(lambda: not _running(agents), 60)
        steps = (_step("open", OPEN, Verdict.ALLOWED), _step("shut", SHUT, Verdict.TIMEOUT))
        scenario_run = runner.ScenarioRun(cluster, _scenario(steps), Timing(settle_s=5.0))
        scenario_run.run(0)
        result = scenario_run.run(1)
        assert result.reachability.mismatches
        assert all(item.outcome is Verdict.ALLOWED for item in result.reachability.mismatches)
        assert f"DaemonSet {namespace}/{name}: ready on 0 of " in cluster.describe([TO_FAR])
        with pytest.raises(ClusterError):
            canary.check(cluster, Timing(settle_s=5.0))
    finally:
        _kubectl(*patch, json.dumps(everywhere))
        _kubectl("rollout", "status", "daemonset", name, "-n", namespace, "--timeout=120s")


@pytest.mark.exclusive
def test_node_paused_for_twenty_seconds(connect: Connect) -> None:
    """Its kernel still answers, its processes do not: a denial there would be anybody's guess."""
    cluster = connect()
    cluster.sync(SHUT)
    _await_denial(cluster, TO_FAR)
    _await_denial(cluster, TO_NEAR)
    node = sorted(item for item in command.nodes(NAME) if "control-plane" not in item)[1]
    command.check(["docker", "pause", node])
    try:
        began = time.monotonic()
        seen = {item.probe: item for item in cluster.probe([TO_FAR, FROM_FAR, TO_NEAR])}
        _is_error(seen[TO_FAR], "a/far")
        _is_error(seen[FROM_FAR], "a/far")
        assert seen[TO_NEAR].outcome is Verdict.TIMEOUT
        time.sleep(max(0.0, began + 20 - time.monotonic()))
    finally:
        command.check(["docker", "unpause", node])
    _await_denial(cluster, TO_FAR)


def test_runner_killed(run: str, profile: Profile) -> None:
    """Nothing cleans up after SIGKILL but ``netpol clean``, and that does."""
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.real.test_faults import *
office = External("office", ("10.77.0.5",), (ContainerPort(443),), ("{run}.example.com",))
cluster = kind.connect(NAME, None, KubeSettings(run="{run}"))
cluster.sync(replace(SHUT, externals=(office,)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=180)
    assert done.returncode == -9
    assert _namespaces(run)
    removed = [item.name for item in kind.clean(NAME).removed]
    assert any(name.startswith(f"namespace {run}-") for name in removed)
    assert f"container netpol-{run}-main-office" in removed
    _until(lambda: not _namespaces(run), 60)


@pytest.mark.parametrize(
    ("number", "workers", "status"),
    [(signal.SIGINT, 0, 130), (signal.SIGTERM, 2, 143)],
)
def test_run_interrupted(run: str, number: signal.Signals, workers: int, status: int) -> None:
    """Who stops a run finds the cluster as it was."""
    examples = Path(__file__).parents[2] / "scenarios" / "examples"
    netpol = [sys.executable, "-m", "harness.cli", "run", "--cluster=kind", f"-n={workers}"]
    process = subprocess.Popen(
        [*netpol, f"--kind-name={NAME}", f"--run-id={run}", str(examples)],
        cwd=examples.parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs us in the background may have us ignore it, and a child inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        _until(lambda: any("canary" not in name for name in _namespaces(run)), 60)
        process.send_signal(number)
        out, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == status, out
    assert "Traceback" not in out


def test_two_workers_wait_for_the_same_outside_address(connect: Connect) -> None:
    one, two = connect(worker="gw0"), connect(worker="gw1")
    office = External("office", ("10.78.0.5",), (ContainerPort(443),))
    there = replace(OPEN, pods=(CLIENT,), externals=(office,))
    one.sync(there)
    waiting = threading.Thread(target=two.sync, args=(there,))
    waiting.start()
    waiting.join(timeout=3)
    assert waiting.is_alive()
    one.sync(replace(there, externals=()))
    waiting.join(timeout=60)
    assert not waiting.is_alive()


# ------------------------------------------------------------------ helpers


def _is_error(observation: Observation, words: str) -> None:
    assert isinstance(observation.outcome, ProbeError), observation
    assert words in observation.outcome.message


def _await_denial(cluster: KubeCluster, probe: Probe) -> None:
    _until(lambda: next(iter(cluster.probe([probe]))).outcome is Verdict.TIMEOUT, 40)


def _until(ask: Callable[[], bool], deadline_s: float = 20) -> None:
    end = time.monotonic() + deadline_s
    while not ask():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.3)


@contextmanager
def _after(seconds: float, what: Callable[[], None]) -> Iterator[None]:
    timer = threading.Timer(seconds, what)
    timer.start()
    yield
    timer.join()


def _step(name: str, state: State, word: Verdict) -> Step:
    here = Location("faults", 1, 1)
    table = TruthTable(tuple(Cell(probe, word, here) for probe in (TO_NEAR, TO_FAR)))
    return Step(name, here, (), state, table)


def _scenario(steps: tuple[Step, ...]) -> Scenario:
    return Scenario("faults", "faults", "faults", "a fault", steps, needs=Needs())


def _kubectl(*words: str, stdin: str = "") -> str:
    done = command.kubectl(NAME, *words, stdin=stdin)
    assert done.status == 0, done.output
    return done.stdout


def _apply(item: Mapping[str, object]) -> None:
    _kubectl("apply", "-f", "-", stdin=json.dumps(item))


def _namespaces(run: str) -> list[str]:
    return _kubectl("get", "namespaces", "-l", f"{RUN_LABEL}={run}", "-o", "name").split()


def _delete_pod(run: str, pod: Pod) -> None:
    [namespace] = [item for item in _namespaces(run) if item.endswith(f"-{pod.namespace}")]
    _kubectl(
        "delete", "pod", pod.name, "-n", namespace.removeprefix("namespace/"),
        "--grace-period=0", "--force",
    )  # fmt: skip


def _pods_of(namespace: str, daemon_set: str) -> list[str]:
    """Its pods that are not gone yet; its own numbers forget them earlier."""
    found = json.loads(_kubectl("get", "pods", "-n", namespace, "-o", "json"))["items"]
    owners = {
        item["metadata"]["name"]: [o["name"] for o in item["metadata"].get("ownerReferences", [])]
        for item in found
    }
    return [name for name, of in owners.items() if daemon_set in of]


def _running(pods: Sequence[str]) -> list[str]:
    """Those with a container that runs: a pod without a grace period is forgotten earlier."""
    words = ("crictl", "ps", "-o", "json")
    found = [
        json.loads(command.check(["docker", "exec", node, *words])) for node in command.nodes(NAME)
    ]
    label = "io.kubernetes.pod.name"
    names = {item["labels"][label] for there in found for item in there["containers"]}
    return sorted(names & set(pods))


def _may_exec(account: str) -> bool:
    words = ("auth", "can-i", "create", "pods", "--subresource=exec", f"--as={account}")
    return command.kubectl(NAME, *words).status == 0


def _role(name: str, *resources: str) -> dict[str, object]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{"apiGroups": ["*"], "resources": resources, "verbs": ["*"]}],
    }


def _binding(name: str) -> dict[str, object]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": name}],
    }


def _kubeconfig_of_account(name: str, folder: Path) -> Path:
    config = yaml.safe_load(kind.kubeconfig(NAME).read_text())
    token = _kubectl("create", "token", name).strip()
    config["users"] = [{"name": name, "user": {"token": token}}]
    cluster = config["clusters"][0]["name"]
    config["contexts"] = [{"name": name, "context": {"cluster": cluster, "user": name}}]
    config["current-context"] = name
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path
