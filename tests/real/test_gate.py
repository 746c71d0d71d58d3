"""The Job of the documents, with its rights and the image, on the cluster that is there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cluster.kind import command
from harness.cluster.profiles import Profile
from tests.prerequisites import missing

from .breaking import all_accepted
from .conftest import NAME

DOCS = Path(__file__).parents[2] / "docs"
IMAGE = "netpol:local"
_LIMIT_S = 300


@pytest.fixture(scope="module")
def image() -> str:
    """The image of the gate on each node; ``make image`` makes it."""
    if command.run(["docker", "image", "inspect", IMAGE]).status:
        missing(f"there is no image {IMAGE}: `make image` builds it")
    load = f"docker save {IMAGE} | docker exec -i $0 ctr --namespace=k8s.io images import -"
    for node in command.nodes(NAME):
        command.check(["sh", "-c", load, node], deadline_s=120)
    return IMAGE


@pytest.fixture
def enforcing(profile: Profile) -> None:
    if not profile.enforces:
        pytest.skip(f"{profile.name} enforces no policies")


@pytest.fixture
def enforcing_nothing(profile: Profile) -> None:
    if profile.enforces:
        pytest.skip(f"{profile.name} enforces policies")


@pytest.fixture
def calico(profile: Profile) -> None:
    if profile.name != "calico":
        pytest.skip("only Calico's rules are known to be passed over in this way")


@pytest.fixture
def rights(image: str, profile: Profile) -> Iterator[str]:
    """The manifests of the documents, for the CNI of the cluster; removed at the end."""
    text = (DOCS / "gate.yaml").read_text(encoding="utf-8")
    text = text.replace(
        "            - gate\n", f"            - gate\n            - --cni={profile.name}\n"
    )
    admission = (DOCS / "gate-admission.yaml").read_text(encoding="utf-8")
    *others, job = text.split("\n---\n")
    before = "\n---\n".join([*others, admission])
    kubectl("apply", "-f", "-", stdin=before)
    yield job
    kubectl("delete", "--ignore-not-found", "-f", "-", stdin=before)


def kubectl(*words: str, stdin: str = "") -> str:
    done = command.kubectl(NAME, *words, stdin=stdin)
    assert done.status == 0, done.output
    return done.stdout


def answer(job: str) -> tuple[int, str]:
    """Run the Job; return the exit status of its container, and its log."""
    kubectl("create", "-f", "-", stdin=job)
    selected = ("-n", "netpol-gate", "-l", "app=netpol-gate")
    path = "{.items[0].status.containerStatuses[0].state.terminated.exitCode}"
    deadline = time.monotonic() + _LIMIT_S
    while time.monotonic() < deadline:
        status = command.kubectl(NAME, "get", "pods", *selected, "-o", f"jsonpath={path}").stdout
        if status.isdecimal():
            return int(status), kubectl("logs", *selected, "--tail=-1")
        time.sleep(1)
    raise AssertionError(kubectl("describe", "pods", *selected))


def test_the_job_of_the_documents_passes_where_policies_are_enforced(
    enforcing: None, rights: str
) -> None:
    status, log = answer(rights)
    assert status == 0, log
    assert [line.split()[:3] for line in log.splitlines()[1:4]] == [
        ["[1/3]", "control", "passed"],
        ["[2/3]", "canary", "passed"],
        ["[3/3]", "deny", "passed"],
    ]
    assert log.splitlines()[-1].startswith("gate: open after ")
    _has_left_nothing(log)


def test_the_job_fails_where_no_policy_is_enforced(enforcing_nothing: None, rights: str) -> None:
    status, log = answer(rights)
    assert status == 1, log
    assert "(exit status 1: not enforced)" in log
    assert "cluster in-cluster does not enforce NetworkPolicy: a policy that denies" in log
    assert f"not enforced on: {', '.join(_workers())}\n" in log
    _has_left_nothing(log)


@pytest.mark.exclusive
def test_the_job_names_the_node_that_enforces_nothing(calico: None, rights: str) -> None:
    node = _workers()[0]
    with all_accepted(node):
        status, log = answer(rights)
    assert status == 1, log
    assert "(exit status 1: not enforced)" in log
    assert "cluster in-cluster enforces NetworkPolicy only in part: a policy that denies" in log
    assert f"not enforced on: {node}\n" in log
    _has_left_nothing(log)


def _workers() -> list[str]:
    return sorted(node for node in command.nodes(NAME) if "control-plane" not in node)


def _has_left_nothing(log: str) -> None:
    left = kubectl("get", "namespaces", "-l", "netpol.harness/run", "-o", "name")
    run = log.partition(", run ")[2].partition(",")[0]
    assert run
    assert f"namespace/{run}-" not in left


def test_the_account_of_the_job_may_not_run_commands_in_other_pods(rights: str) -> None:
    account = "--as=system:serviceaccount:netpol-gate:netpol-gate"
    pod = kubectl("get", "pods", "-n", "kube-system", "-l", "k8s-app=kube-proxy", "-o", "name")
    words = ("exec", "-n", "kube-system", pod.split()[0], account, "--", "true")
    done = command.kubectl(NAME, *words)
    assert done.status != 0
    assert "the gate may only act in namespaces with the label netpol.harness/run" in done.stderr
    done = command.kubectl(NAME, "create", "namespace", "x", "--dry-run=server", account)
    assert "the gate may only create and delete namespaces with the label" in done.stderr
    done = command.kubectl(NAME, "delete", "namespace", "netpol-gate", "--dry-run=server", account)
    assert "the gate may only create and delete namespaces with the label" in done.stderr


def test_without_its_rights_the_job_says_which_are_missing(rights: str) -> None:
    kubectl("delete", "clusterrolebinding", "netpol-gate")
    status, log = answer(rights)
    assert status == 6, log
    assert "context 'in-cluster' lacks the rights to list nodes, get namespaces" in log
