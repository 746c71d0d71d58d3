"""New pods on a real cluster: the loops that they get, and what is read from them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cluster.kube import objects
from harness.cluster.kube.api import ExecError
from harness.cluster.kube.batch import BatchRunner, ProbeSettings
from harness.cluster.kube.objects import Counting, Image
from harness.cluster.kube.starts import Starts
from harness.model import (
    Destination,
    FirstMoments,
    Observation,
    Pod,
    PodRef,
    Probe,
    ProbeError,
    Verdict,
)

from .rounds import NAMING, PROBE, VIEW, A, B, ScriptedApi, allowed, prober

ALLOWED, TIMEOUT = Verdict.ALLOWED, Verdict.TIMEOUT
BEFORE = replace(VIEW, pods={B: VIEW.pods[B]})
"""The view before the pod A is created."""
OTHER = Probe(A, Destination(B, 81))
INIT = "= begin 5.00\n= tick 5.00\n= 0 1 5.00 6.00 TIMEOUT\n= 1 0 5.00 5.10 \n= end 6.90\n"
MAIN = "= begin 8.00\n= tick 8.00\n= 0 1 8.00 9.00 TIMEOUT\n= 1 0 8.00 8.10 \n= end 12.90\n"


def told(init: str = INIT, main: str = MAIN) -> str:
    waited = "= begin 11.00\n= waiting\n= waiting\n"
    return f"{waited}= file init\n{init}= file main\n{main}= end 13.00\n"


def seen(
    answering: Callable[[str, str], str], probes: tuple[Probe, ...] = (PROBE, OTHER)
) -> tuple[FirstMoments, ScriptedApi, Counting | None]:
    """What is seen if the pod A is created, and then there."""
    api = ScriptedApi(lambda pod, script: answering(pod, script).replace("= tick", "= tock"))
    running = prober(api)
    starts = Starts(BatchRunner(api, ProbeSettings(), None), running.proof)  # type: ignore[arg-type]
    with starts.watch(lambda: VIEW, probes) as moments:
        scripts = starts.counting(BEFORE, A)
        assert starts.counting(BEFORE, B) is None
        assert not moments.init
    assert starts.counting(BEFORE, A) is None
    running.close()
    return moments, api, scripts


def tells(text: str) -> Callable[[str, str], str]:
    return lambda pod, script: text if pod == "a" else allowed(script)


def outcomes(found: list[Observation], probe: Probe) -> list[Verdict | ProbeError]:
    return [item.outcome for item in found if item.probe == probe]


def test_what_a_pod_wrote_is_read_from_its_own_container() -> None:
    moments, api, scripts = seen(tells(told()))
    for phase in (moments.init, moments.main):
        assert outcomes(phase, PROBE) == [TIMEOUT]
        assert outcomes(phase, OTHER) == [ALLOWED]
    # Both phases are on one clock: 3 s from the first probe to the one after the init container.
    first, second = (min(item.started for item in phase) for phase in (moments.init, moments.main))
    assert round(second - first, 3) == 3.0
    assert ("a", "first") in {(item.pod, item.name) for item in api.containers}
    assert scripts is not None
    assert "10.0.0.2:80 " in scripts.init
    assert "10.0.0.2:81 " in scripts.main
    assert moments.init[0].command.endswith(
        "-c agnhost -- /agnhost connect 10.0.0.2:80 --timeout=1000ms"
    )


def test_a_denial_needs_a_destination_that_serves() -> None:
    def answering(pod: str, script: str) -> str:
        return told() if pod == "a" else allowed(script).replace(" 0 5.0 ", " 1 5.0 ") + "REFUSED"

    moments, _, _ = seen(answering)
    for phase in (moments.init, moments.main):
        assert all(isinstance(found, ProbeError) for found in outcomes(phase, PROBE))
        assert outcomes(phase, OTHER) == [ALLOWED]


@pytest.mark.parametrize("init", ["", "= begin 5.00\n", "= begin 5.00\n= 1 0 5.00 5.10 \n= 0 1 5"])
def test_a_pod_that_wrote_nothing_about_a_pair_gives_no_verdict(init: str) -> None:
    moments, _, _ = seen(tells(told(init)))
    assert outcomes(moments.init, PROBE) == [ProbeError("its pod told nothing about it")]
    assert outcomes(moments.main, PROBE) == [TIMEOUT]


def test_a_pod_that_cannot_be_read_gives_no_verdict() -> None:
    def answering(pod: str, script: str) -> str:
        raise ExecError("the connection was lost")

    moments, api, _ = seen(answering)
    lost = ProbeError("exec into app/a failed: the connection was lost")
    for phase in (moments.init, moments.main):
        assert {item.outcome for item in phase} == {lost}
        assert {item.probe for item in phase} == {PROBE, OTHER}
    assert len(api.execs) == 3


def test_a_destination_without_an_address_gives_no_verdict() -> None:
    nowhere = Probe(A, Destination(PodRef("app", "none"), 80))
    moments, _, scripts = seen(tells(told()), (PROBE, nowhere))
    assert scripts is not None
    assert outcomes(moments.init, nowhere) == [
        ProbeError("app/none has no IPv4 address that a probe can choose")
    ]


def test_a_pod_that_was_not_created_gives_no_verdict() -> None:
    api = ScriptedApi(tells(told()))
    running = prober(api)
    starts = Starts(BatchRunner(api, ProbeSettings(), None), running.proof)  # type: ignore[arg-type]
    with starts.watch(lambda: VIEW, (PROBE,)) as moments:
        pass
    running.close()
    assert api.execs == []
    for phase in (moments.init, moments.main):
        assert outcomes(phase, PROBE) == [ProbeError("its pod told nothing about it")]


def test_an_error_of_the_step_is_not_replaced() -> None:
    api = ScriptedApi(tells(told()))
    starts = Starts(BatchRunner(api, ProbeSettings(), None), prober(api).proof)  # type: ignore[arg-type]

    def go_wrong() -> None:
        with starts.watch(lambda: VIEW, (PROBE,)):
            starts.counting(BEFORE, A)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        go_wrong()
    assert api.execs == []


def test_the_loops_come_before_the_servers_and_share_a_volume() -> None:
    item = Pod("app", "a")
    image = Image("agnhost:1")
    plain = objects.pod(item, NAMING, "real", "n1", image)
    made = objects.counting(plain, item, image, Counting("at first", "then"))
    spec = made["spec"]
    [init] = spec["initContainers"]
    first, server = spec["containers"]
    assert [server] == plain["spec"]["containers"]
    assert (init["name"], init["command"]) == ("first-init", ["/bin/sh", "-c", "at first"])
    assert (first["name"], first["command"]) == ("first", ["/bin/sh", "-c", "then"])
    for container in (init, first):
        assert container["volumeMounts"] == [{"name": "first", "mountPath": "/first"}]
        assert container["securityContext"] == server["securityContext"]
    assert spec["volumes"] == [{"name": "first", "emptyDir": {}}]
    assert "initContainers" not in plain["spec"]


@pytest.mark.parametrize("shell", ["/bin/sh", "busybox sh"])
def test_the_loops_in_real_shells(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell.split()[0]) is None:
        pytest.skip("busybox is not on the PATH")
    program, folder = tmp_path / "agnhost", tmp_path / "first"
    folder.mkdir()
    program.write_text(
        '#!/bin/sh\ncase "$1 $2" in\n"connect 10.0.0.2:80") echo TIMEOUT >&2; exit 1;;\nesac\n'
    )
    program.chmod(0o755)

    def run(script: str) -> str:
        text = script.replace("/agnhost", str(program)).replace("/first", str(folder))
        done = subprocess.run([*shell.split(), "-c", text], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def answering(pod: str, script: str) -> str:
        return run(script) if pod == "a" else allowed(script)

    api = ScriptedApi(lambda pod, script: answering(pod, script).replace("= tick", "= tock"))
    running = prober(api)
    starts = Starts(BatchRunner(api, ProbeSettings(timeout_s=0.2), None), running.proof)  # type: ignore[arg-type]
    with starts.watch(lambda: VIEW, (PROBE, OTHER)) as moments:
        scripts = starts.counting(BEFORE, A)
        assert scripts is not None
        run(scripts.init)
        run(scripts.main)
    running.close()
    assert (folder / "over").exists()
    for phase in (moments.init, moments.main):
        assert set(outcomes(phase, PROBE)) == {TIMEOUT}
        assert set(outcomes(phase, OTHER)) == {ALLOWED}
        assert len(outcomes(phase, PROBE)) > 1
    ended = max(item.ended for item in moments.init)
    assert ended <= min(item.started for item in moments.main)
