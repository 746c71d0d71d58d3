"""The verb gate on an API server that refuses, hangs, or has no network behind it."""

from __future__ import annotations

import math
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.cli import Exit, main

from .apiserver import ApiServer, Call
from .cluster_state import ClusterState, Key
from .controllers import Delays, VirtualClock
from .serving import HttpServer, kubeconfig, serving

NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}},
    "spec": {},
    "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}]},
}


class RealTime(VirtualClock):
    """The clock of this machine."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture(scope="module")
def process() -> Iterator[HttpServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(process: HttpServer) -> ApiServer:
    # The gate runs in real time; pods never start, and what is deleted is gone soon.
    delays = Delays(account=0.0, ready=math.inf, stopped=0.0, emptied=0.0, removed=0.1)
    process.api = ApiServer(ClusterState(RealTime(), delays))
    process.api.state.put(NODE)
    return process.api


@pytest.fixture
def options(server: ApiServer, process: HttpServer, tmp_path: Path) -> list[str]:
    junit = tmp_path / "junit.xml"
    junit.write_text("of an earlier gate, which was open")
    return [f"--kubeconfig={kubeconfig(process, tmp_path)}", f"--junitxml={junit}"]


def cases(folder: Path) -> dict[str | None, tuple[str, str | None] | None]:
    """Why each test case of the JUnit file did not pass: its kind, and its message."""
    suite = ElementTree.parse(folder / "junit.xml").getroot()[0]  # noqa: S314
    kinds = {"failure", "error", "skipped"}
    return {
        case.get("name"): next(
            ((item.tag, item.get("message")) for item in case if item.tag in kinds), None
        )
        for case in suite
    }


def test_missing_rights_close_the_gate_before_anything_is_made(
    server: ApiServer, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.denied = {("create", "networkpolicies"), ("list", "nodes")}
    assert main(["gate", *options]) == Exit.NO_RIGHTS
    out, err = capsys.readouterr()
    message = (
        "context 'kind-netpol' lacks the rights to list nodes, create networkpolicies "
        "(networking.k8s.io)"
    )
    hint = "hint: docs/gate.yaml has a role with all rights that are needed"
    assert err == f"{message}\n{hint}\n"
    assert out.endswith(" s (exit status 6: no rights)\n")
    assert not any(call.is_change and call.kind == "Namespace" for call in server.calls)
    assert cases(tmp_path) == {
        "control": ("error", message),
        "canary": ("skipped", "not run: control did not pass"),
        "deny": ("skipped", "not run: control did not pass"),
    }


def test_a_pod_that_does_not_start_closes_the_gate_in_time_and_is_removed(
    server: ApiServer, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", "--timeout=1.5", *options]) == Exit.OVER_TIME
    out, err = capsys.readouterr()
    message = "the time limit of 1.5 s is over, and the check 'control' has not ended"
    assert err == (
        f"{message}\nhint: see whether the API server answers, pods start, and the image can be "
        "pulled; --timeout=SECONDS gives more time\n"
    )
    assert out.splitlines()[0].startswith("gate: cluster kind-netpol, run np")
    assert out.endswith(" s (exit status 7: over time)\n")
    assert cases(tmp_path)["control"] == ("error", message)
    assert any(call.verb == "create" and call.kind == "Pod" for call in server.calls)
    left = [key for key in server.made.values() if server.state.found(*key)]
    assert left == []


def test_a_namespace_that_is_refused_closes_the_gate(
    server: ApiServer, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    server.refusals = [("create", "Namespace", 403, "quota of namespaces is used up")]
    assert main(["gate", *options]) == Exit.NO_VERDICT
    out, err = capsys.readouterr()
    assert "[1/3] control  failed\n" in out
    heartbeat, refusal = err.splitlines()
    assert heartbeat.startswith("warning: run np")
    assert refusal.endswith("-gate-inside cannot be created: quota of namespaces is used up")


def test_an_api_server_that_says_nothing_closes_the_gate_in_time(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        file = Path(options[0].partition("=")[2])
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        file.write_text(
            "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {}}], "
            f"clusters: [{{name: c, cluster: {{server: '{address}'}}}}], "
            "contexts: [{name: c, context: {cluster: c, user: u}}]}"
        )
        began = time.monotonic()
        assert main(["gate", "--timeout=0.5", "--context=c", *options]) == Exit.OVER_TIME
        assert time.monotonic() - began < 4
    assert cases(tmp_path)["control"] == (
        "error",
        "the time limit of 0.5 s is over, and the check 'control' has not ended",
    )


def test_a_usage_error_leaves_no_file_of_an_earlier_gate(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--label=app", "--label=netpol.harness/run=x", "--namespace-label=a b=c"]
    words += ["--namespace-label=kubernetes.io/metadata.name=x", "--label=a=1", "--label=a=2"]
    assert main(["gate", *words, *options]) == Exit.USAGE
    assert capsys.readouterr().err == (
        "--namespace-label=a b=c: 'a b' is not a valid label key\n"
        "hint: at most 63 letters, digits, '-', '_', '.'; the first and last a letter or digit; "
        "an optional prefix is a DNS name and '/'\n"
        "--namespace-label=kubernetes.io/metadata.name=x: 'kubernetes.io/metadata.name' is set by "
        "the API server\n"
        "hint: use another label\n"
        "--label=app: there is no '='\n"
        "hint: write KEY=VALUE\n"
        "--label=netpol.harness/run=x: 'netpol.harness/run' is reserved for the harness\n"
        "hint: use a prefix of your own\n"
        "--label=a=2: 'a' is given twice\n"
        "hint: a label has one value\n"
    )
    assert not (tmp_path / "junit.xml").exists()


def test_a_junit_file_that_cannot_be_written_closes_the_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", f"--junitxml={tmp_path}"]) == Exit.USAGE
    assert capsys.readouterr().err == f"--junitxml={tmp_path}: Is a directory\n"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, 143)]
)
def test_a_gate_that_is_interrupted_is_closed_and_cleans_up(
    server: ApiServer, options: list[str], tmp_path: Path, number: signal.Signals, status: int
) -> None:
    created: list[Call] = []
    server.before = lambda call: created.append(call) if call.verb == "create" else None
    command = [sys.executable, "-m", "harness.cli", "gate", *options]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs us in the background may have us ignore it, and a child inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as run:
        deadline = time.monotonic() + 30
        while not any(call.kind == "Pod" for call in created) and time.monotonic() < deadline:
            time.sleep(0.05)
        run.send_signal(number)
        out, _ = run.communicate(timeout=60)
    assert run.returncode == status, out
    assert " s (interrupted)\n" in out
    assert "not removed" not in out
    assert "Traceback" not in out
    assert [key for key in server.made.values() if server.state.found(*key)] == []
    assert cases(tmp_path)["control"] == ("error", "the gate was interrupted")


def test_what_a_killed_gate_left_is_removed_by_clean(
    server: ApiServer, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "harness.cli", "gate", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 30
        while not any((call.verb, call.kind) == ("create", "Pod") for call in server.calls):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        run.kill()
    left = [key for key in server.made.values() if server.state.found(*key)]
    assert Key("v1", "Namespace", "", "default") not in left
    assert [key.kind for key in left].count("Namespace") == 3  # two, and that of the heartbeat
    assert main(["clean", "--cluster=current", options[0]]) == Exit.OK
    assert capsys.readouterr().out.endswith("3 leftovers removed, 0 kept\n")
    deadline = time.monotonic() + 5
    while any(server.state.found(*key) for key in server.made.values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
