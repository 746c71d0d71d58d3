"""A watch on a real cluster: what its loops must show so that a denial is believed."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.agnhost import Answer, Target
from harness.cluster.kube.api import ApiError, Container, ExecError, Heard, Output, say_nothing
from harness.cluster.kube.batch import BatchRunner, ProbeSettings
from harness.cluster.kube.inventory import Inventory
from harness.cluster.kube.live import View
from harness.cluster.kube.loops import Life
from harness.cluster.kube.probing import Prober
from harness.cluster.waiting import Wait
from harness.errors import ClusterError
from harness.model import (
    ContainerPort,
    Destination,
    ExternalRef,
    Observation,
    PodRef,
    Probe,
    ProbeError,
    Protocol,
    State,
    Verdict,
)

from .rounds import (
    NAMING,
    PATIENCE_S,
    PROBE,
    VIEW,
    A,
    Answering,
    B,
    NoNodes,
    Pods,
    ScriptedApi,
    allowed,
    both,
    looped,
    prober,
    timeout,
)

OWN = Target("127.0.0.1", 80)
ALLOWED, TIMEOUT, REFUSED = Verdict.ALLOWED, Verdict.TIMEOUT, Verdict.REFUSED
INTERVAL_S = 0.2


def own(*answers: tuple[float, float, Verdict]) -> dict[Target, list[Answer]]:
    return {OWN: [Answer(outcome, "", start, start + took) for start, took, outcome in answers]}


SERVING = own((9.5, 0.1, ALLOWED), (10.5, 0.1, ALLOWED), (11.5, 0.1, ALLOWED))
AROUND = ((9.5, 0.1, ALLOWED), (11.5, 0.1, ALLOWED))
TICKS = [9.0, 10.0, 11.0, 12.0]


@pytest.mark.parametrize(
    ("life", "fault"),
    [
        (Life(ticks=TICKS, own=SERVING), None),
        (Life(ticks=TICKS), None),
        (Life(ticks=TICKS, own=own((9.5, 0.1, REFUSED), *[(10.0, 0.1, ALLOWED)] * 2)),
         "did not show afterwards that it serves port 80/TCP"),
        (Life(ticks=TICKS, own=own((8.0, 0.1, REFUSED), *AROUND)), None),
        (Life(ticks=TICKS, own=own((9.5, 0.1, REFUSED), (11.5, 0.1, ALLOWED))),
         "failed the liveness check: port 80/TCP: REFUSED"),
        (Life(ticks=TICKS, own=own(AROUND[0], (10.5, 1.0, TIMEOUT), AROUND[1])),
         "failed the liveness check: port 80/TCP: TIMEOUT"),
        (Life(ticks=TICKS, own=own((9.5, 0.1, ALLOWED), (11.5, 0.1, REFUSED))),
         "failed the liveness check: port 80/TCP: REFUSED"),
        (Life(ticks=TICKS, own=own((9.5, 0.1, ALLOWED), (11.5, 2.1, ALLOWED))),
         "failed the liveness check: port 80/TCP answered after 2.1 s"),
        (Life(ticks=TICKS, own={OWN: []}), "did not show afterwards that it serves port 80/TCP"),
        (Life(ticks=[9.0, 11.5], own=SERVING), "stood still for 2.5 s"),
        (Life(ticks=[7.0, 9.5, 11.5], own=SERVING), None),
        (Life(ticks=[10.5, 11.5], own=SERVING), "was not seen running"),
        (Life(ticks=[9.0, 10.9], own=SERVING, problem="pod app/b is gone"),
         "was not seen running: pod app/b is gone"),
        (Life(), "was not seen running"),
    ],
)  # fmt: skip
def test_what_a_loop_shows_of_its_pod(life: Life, fault: str | None) -> None:
    assert life.fault(Observation(PROBE, 10.0, 11.0, TIMEOUT), 2.0) == fault


# ------------------------------------------------------------------ scripted loops


def watched(
    answering: Answering,
    pods: Pods = both,
    probes: Sequence[Probe] = (PROBE,),
    view: View = VIEW,
    settings: ProbeSettings | None = None,
) -> tuple[list[Observation], ScriptedApi]:
    api = ScriptedApi(answering, pods)
    running = prober(api, settings)
    with running.watch(lambda: view, probes, INTERVAL_S) as seen:
        assert seen == []
    running.close()
    return sorted(seen, key=lambda item: item.started), api


DENIED = ("= 0 1 5.60 6.60 TIMEOUT", "= 0 1 6.60 7.60 TIMEOUT")
SERVED = ("= 0 0 5.10 5.20 ", "= 0 0 8.00 8.10 ")


def denied(pod: str, script: str) -> str:
    return looped(DENIED if pod == "a" else SERVED)


def test_denials_of_a_watch_count_if_the_destination_served_all_the_time() -> None:
    found, api = watched(denied)
    assert [item.outcome for item in found] == [TIMEOUT, TIMEOUT]
    assert found[1].started - found[0].started == pytest.approx(1.0)
    assert found[0].ended - found[0].started == pytest.approx(1.0)
    assert sorted(api.execs) == ["a", "b"]
    assert found[0].command == (
        "kubectl --context test -n real exec a -c agnhost -- "
        "/agnhost connect 10.0.0.2:80 --timeout=1000ms"
    )


def test_a_destination_tries_only_the_ports_that_are_watched() -> None:
    scripts: dict[str, str] = {}

    def answering(pod: str, script: str) -> str:
        scripts[pod] = script
        return denied(pod, script)

    ports = (ContainerPort(79), ContainerPort(80), ContainerPort(80, Protocol.UDP))
    pods = (VIEW.state.pods[0], replace(VIEW.state.pods[1], ports=ports))
    found, _ = watched(answering, view=replace(VIEW, state=replace(VIEW.state, pods=pods)))
    assert [item.outcome for item in found] == [TIMEOUT, TIMEOUT]
    assert re.findall(r"go \d+ (\S+)", scripts["b"]) == ["127.0.0.1:80"]


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        (looped(SERVED, without=6.0), "app/b stood still for 3.5 s"),
        (looped(SERVED, until_s=1.0), "app/b was not seen running"),
        (
            looped(("= 0 0 5.10 5.20 ", "= 0 1 7.00 7.01 REFUSED", "= 0 0 8.0 8.1 ")),
            "app/b failed the liveness check: port 80/TCP: REFUSED",
        ),
    ],
    ids=["frozen", "ended", "dead server"],
)
def test_a_denial_without_evidence_is_no_verdict(destination: str, words: str) -> None:
    found, _ = watched(lambda pod, _: looped(DENIED) if pod == "a" else destination)
    assert found[-1].outcome == ProbeError(f"TIMEOUT, but {words}")


def test_a_connection_needs_no_evidence() -> None:
    def answering(pod: str, script: str) -> str:
        return looped(("= 0 0 6.0 6.1 ",)) if pod == "a" else looped(("= 0 1 5.0 5.1 REFUSED",))

    found, _ = watched(answering)
    assert [item.outcome for item in found] == [ALLOWED]


def test_a_denial_while_another_probe_was_slow_is_no_verdict() -> None:
    other = Probe(A, Destination(B, 81))
    answers = ("= 0 1 5.60 6.60 TIMEOUT", "= 0 1 8.60 9.60 TIMEOUT", "= 1 0 6.00 8.50 ")

    def answering(pod: str, script: str) -> str:
        return looped(answers) if pod == "a" else looped(("= 0 0 9.70 9.80 ",))

    found, _ = watched(answering, probes=(PROBE, other))
    assert [item.outcome for item in found if item.probe == PROBE] == [
        ProbeError(
            "TIMEOUT, but the cluster is starved of CPU: a probe that connected took 2.5 s, "
            "longer than 2 s"
        ),
        TIMEOUT,
    ]


def test_a_pod_that_went_shows_no_denial() -> None:
    found, _ = watched(denied, lambda: {key: pod for key, pod in both().items() if key[1] == "a"})
    assert {item.outcome for item in found} == {
        ProbeError("TIMEOUT, but app/b was deleted while probing")
    }


def test_when_the_pods_cannot_be_listed_no_denial_counts() -> None:
    def unreadable() -> dict[tuple[str, str], object]:
        raise ApiError("no answer")

    found, _ = watched(denied, unreadable)
    assert {item.outcome for item in found} == {
        ProbeError("TIMEOUT, but it could not be checked whether the pods still run: no answer")
    }


def test_an_exec_that_breaks_off_is_started_again() -> None:
    execs: list[str] = []

    def answering(pod: str, script: str) -> str:
        if pod == "b":
            return looped(SERVED)
        execs.append(pod)
        if len(execs) == 1:
            raise ExecError("the connection was lost", output="= begin 5.0\n= 0 0 5.0 5.1 \n")
        return looped(("= 0 0 5.0 5.1 ",))

    api = ScriptedApi(answering)
    running = prober(api)
    with running.watch(lambda: VIEW, (PROBE,), INTERVAL_S) as seen:
        wait_until(lambda: len(execs) == 2)
    running.close()
    assert sorted(str(item.outcome) for item in seen) == sorted(
        map(str, [ALLOWED, ALLOWED, ProbeError("exec into app/a failed: the connection was lost")])
    )


def wait_until(holds: Callable[[], bool]) -> None:
    Wait(PATIENCE_S, 0.005).until(lambda: None if holds() else "it does not hold", "a test")


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        (Probe(PodRef("app", "none"), Destination(B, 80)), "pod app/none does not exist"),
        (
            Probe(A, Destination(PodRef("app", "none"), 80)),
            "app/none has no IPv4 address that a probe can choose",
        ),
        (
            Probe(ExternalRef("office"), Destination(B, 80)),
            "external/office does not exist: this cluster has no outside hosts",
        ),
    ],
)
def test_a_pair_that_cannot_be_watched_has_no_verdict(probe: Probe, words: str) -> None:
    found, _ = watched(denied, probes=(probe,))
    assert {item.outcome for item in found} == {ProbeError(words)}


def test_a_loop_starts_again_where_its_destination_has_another_address() -> None:
    scripts: list[str] = []

    def answering(pod: str, script: str) -> str:
        if pod == "a":
            scripts.append(script)
        return looped(SERVED)

    moved = replace(VIEW.pods[B], addresses=("10.0.0.9",))
    views = [VIEW]
    running = prober(ScriptedApi(answering))
    with running.watch(lambda: views[-1], (PROBE,), INTERVAL_S):
        views.append(replace(VIEW, pods={**VIEW.pods, B: moved}))
        wait_until(lambda: len(scripts) == 2)
    running.close()
    assert "10.0.0.2:80" in scripts[0]
    assert "10.0.0.9:80" in scripts[1]


def test_a_loop_ends_where_its_source_is_gone() -> None:
    views = [VIEW]
    running = prober(ScriptedApi(lambda pod, _: looped(SERVED)))
    gone = ProbeError("pod app/a does not exist")
    with running.watch(lambda: views[-1], (PROBE,), INTERVAL_S) as seen:
        views.append(View(State("s")))
    running.close()
    assert [item.outcome for item in seen if item.outcome != gone] == [ALLOWED, ALLOWED]


def test_a_slow_watch_does_not_slow_the_rounds_of_the_step() -> None:
    sizes: list[int] = []

    def answering(pod: str, script: str) -> str:
        if "= tick" in script:
            return looped(("= 0 0 5.0 9.5 ",))
        sizes.extend(int(found) for found in re.findall(r"while \[ \$i -lt (\d+) ", script))
        return allowed(script)

    running = prober(ScriptedApi(answering), ProbeSettings(parallel=8))
    many = [Probe(A, Destination(B, port)) for port in range(1, 10)]
    with running.watch(lambda: VIEW, (PROBE,), INTERVAL_S):
        running.probe(VIEW, many)
    running.probe(VIEW, many)
    running.close()
    assert sizes == [8, 8]


def test_rounds_run_during_a_watch_of_more_sources_than_may_exec_at_once() -> None:
    def answering(pod: str, script: str) -> str:
        return looped(SERVED) if "= tick" in script else allowed(script)

    running = prober(ScriptedApi(answering), ProbeSettings(execs=1))
    with running.watch(lambda: VIEW, (PROBE,), INTERVAL_S):
        (found,) = running.probe(VIEW, (PROBE,))
    running.close()
    assert found.outcome is ALLOWED


def test_an_error_of_the_step_ends_the_loops() -> None:
    running = prober(ScriptedApi(denied))
    with (
        pytest.raises(ClusterError, match=r"\Agone\Z"),
        running.watch(lambda: VIEW, (PROBE,), INTERVAL_S),
    ):
        raise ClusterError("gone")
    running.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("kube-watch")]


# ------------------------------------------------------------------ outside hosts


class Office:
    """An outside host; ``scripts`` are those that it ran."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.scripts: list[str] = []

    def sync(self, externals: object) -> None: ...

    def probe(self, name: str, script: str, deadline_s: float) -> str:
        self.scripts.append(script)
        return self.output

    def command(self, name: str) -> str:
        return f"docker exec {name}"

    def close(self) -> tuple[str, ...]:
        return ()


def test_the_loop_of_an_outside_host_ends_by_itself_and_starts_again() -> None:
    office = Office(looped(("= 0 0 5.0 5.1 ",)))
    batches = BatchRunner(ScriptedApi(denied), ProbeSettings(), office)  # type: ignore[arg-type]
    running = Prober(batches, Inventory(ScriptedApi(denied), NAMING), NoNodes())  # type: ignore[arg-type]
    probe = Probe(ExternalRef("office"), Destination(B, 80))
    with running.watch(lambda: VIEW, (probe,), INTERVAL_S) as seen:
        wait_until(lambda: len(office.scripts) > 2)
    running.close()
    assert {item.outcome for item in seen} == {ALLOWED}
    assert "kill -0" not in office.scripts[0]


# ------------------------------------------------------------------ a real shell


class ShellApi(ScriptedApi):
    """Execs run in the shell of this machine, with a program that stands in for agnhost."""

    def __init__(self, program: Path, shell: tuple[str, ...]) -> None:
        super().__init__(lambda pod, script: timeout(script))
        self._program = program
        self._shell = shell

    def execute(
        self,
        container: Container,
        command: Sequence[str],
        stdin: str,
        idle_s: float,
        heard: Heard = say_nothing,
    ) -> Output:
        text, began = "", math.nan
        with subprocess.Popen(
            (*command[:-1], *self._shell), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(stdin.replace("/agnhost", str(self._program)))
            process.stdin.flush()
            for line in process.stdout:
                began = time.monotonic() if math.isnan(began) else began
                text += line
                if words := heard(line, time.monotonic()):
                    process.stdin.write(words)
                    process.stdin.flush()
        return Output(text, began)


@pytest.mark.parametrize("shell", ["/bin/sh", "busybox sh"])
def test_a_watch_in_real_shells(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell.split()[0]) is None:
        pytest.skip("busybox is not on the PATH")
    program, calls = tmp_path / "agnhost", tmp_path / "calls"
    calls.touch()
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$2" >>{calls}\n'
        'case "$2" in\n'
        "10.0.0.2:80) sleep 0.05; echo TIMEOUT >&2; exit 1;;\n"
        "*) exit 0;;\n"
        "esac\n"
    )
    program.chmod(0o755)
    api = ShellApi(program, tuple(shell.split()))
    running = prober(api, ProbeSettings(timeout_s=0.5))
    other = Probe(A, Destination(B, 81))
    with running.watch(lambda: VIEW, (PROBE, other), 0.05) as seen:
        wait_until(lambda: calls.read_text().count("10.0.0.2:80") > 20)
    running.close()
    outcomes = {probe: [s.outcome for s in seen if s.probe == probe] for probe in (PROBE, other)}
    assert set(outcomes[other]) == {ALLOWED}
    assert outcomes[PROBE].count(TIMEOUT) > 10
