"""One batch of probes: execs that fail in one way each, and what is run again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cluster.kube.api import Container, ExecError
from harness.model import (
    Destination,
    Probe,
    Protocol,
    Verdict,
)

from .rounds import LIVE, PROBE, VIEW, A, B, allowed, deny_from_a, error, probed


def test_an_allowed_probe_takes_one_exec_and_can_be_repeated_by_hand() -> None:
    found, api = probed(lambda pod, script: allowed(script))
    assert found[PROBE].outcome is Verdict.ALLOWED
    assert api.execs == ["a"]
    assert found[PROBE].command == (
        "kubectl --context test -n real exec a -c agnhost -- "
        "/agnhost connect 10.0.0.2:80 --timeout=1000ms"
    )


def test_each_pod_is_probed_from_its_own_container() -> None:
    pods = {
        ref: replace(pod, container=name)
        for (ref, pod), name in zip(LIVE.items(), ("debugger-x", "agnhost"), strict=True)
    }
    found, api = probed(deny_from_a, view=replace(VIEW, pods=pods))
    assert found[PROBE].outcome is Verdict.TIMEOUT
    assert api.containers == [
        Container("real", "a", "debugger-x"),
        Container("real", "b", "agnhost"),
    ]
    assert found[PROBE].command.startswith("kubectl --context test -n real exec a -c debugger-x ")


@pytest.mark.parametrize(
    ("failure", "words", "execs"),
    [
        (ExecError("pods a not found", 404), "pod app/a is gone", 1),
        (
            ExecError("User cannot", 403),
            "exec into app/a is forbidden; it needs create and get on pods/exec: User cannot",
            1,
        ),
        (
            ExecError("no output for 7 s", timed_out=True),
            "app/a did not answer: no output for 7 s; its node may be down or frozen",
            1,
        ),
        (
            ExecError("container not found", 500),
            "exec into app/a failed: container not found",
            3,
        ),
    ],
)
def test_an_exec_that_fails_is_no_denial(failure: ExecError, words: str, execs: int) -> None:
    def answering(pod: str, script: str) -> str:
        raise failure

    found, api = probed(answering)
    assert error(found) == words
    assert len(api.execs) == execs


def test_only_what_got_no_verdict_is_run_again() -> None:
    second = Probe(A, Destination(B, 80, Protocol.UDP))
    scripts: list[str] = []

    def answering(pod: str, script: str) -> str:
        scripts.append(script)
        if len(scripts) == 1:
            raise ExecError("the exec failed", output="= begin 5.0\n= 0 0 5.0 5.1 \n")
        return allowed(script)

    found, _ = probed(answering, probes=(PROBE, second))
    assert found[PROBE].outcome is Verdict.ALLOWED
    assert found[second].outcome is Verdict.ALLOWED
    assert "--protocol=udp" in scripts[1]
    assert scripts[1].count("10.0.0.2:80") == 1


def test_a_batch_that_says_nothing_is_no_denial() -> None:
    found, api = probed(lambda pod, script: "")
    assert error(found) == "the batch did not start"
    assert len(api.execs) == 3
