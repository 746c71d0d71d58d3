"""When a TIMEOUT is believed: the prober against execs and pods that go wrong in one way each."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.cluster.kube.api import ApiError, Container, ExecError, Output
from harness.cluster.kube.live import LiveNode, LivePod, View
from harness.cluster.kube.probing import Manner, Prober
from harness.errors import ClusterError
from harness.model import (
    AbsoluteName,
    ContainerPort,
    Destination,
    ExternalRef,
    Labels,
    Namespace,
    NodeRef,
    Observation,
    Pod,
    PodRef,
    Probe,
    ProbeError,
    Protocol,
    Service,
    ServiceName,
    ServicePort,
    Source,
    State,
    Verdict,
)

A, B = PodRef("app", "a"), PodRef("app", "b")
PODS = (Pod("app", "a", ports=(ContainerPort(80),)), Pod("app", "b", ports=(ContainerPort(80),)))
LIVE = {
    A: LivePod(A, "real", "a", "uid-a", ("10.0.0.1",), "n1", "agnhost"),
    B: LivePod(B, "real", "b", "uid-b", ("10.0.0.2",), "n1", "agnhost"),
}
VIEW = View(
    State("s", (Namespace("app"),), PODS),
    LIVE,
    nodes=(LiveNode("n1", "n1", ("172.18.0.2",)),),
    names={"app": "real"},
)
PROBE = Probe(A, Destination(B, 80))

Answering = Callable[[str, str], str]
"""Pod and script to what the exec prints; raises ExecError."""
Servers = Callable[[], list[dict[str, Any]]]
"""The pods of the cluster's DNS; raises ApiError."""


def answered(script: str, line: str, *, took_s: float = 0.1) -> str:
    """A batch through to its end, every probe with the same answer."""
    indices = re.findall(r"\bp (\d+) ", script)
    lines = [f"= {i} {line.format(s='5.0', e=f'{5 + took_s:.2f}')}" for i in indices]
    return "\n".join(["= begin 5.00", *lines, f"= end {5 + took_s:.2f}", ""])


def allowed(script: str) -> str:
    return answered(script, "0 {s} {e} ")


def timeout(script: str, took_s: float = 1.0) -> str:
    return answered(script, "1 {s} {e} TIMEOUT", took_s=took_s)


class ScriptedApi:
    """Execs that answer as told; counts them."""

    context = "test"

    def __init__(self, answering: Answering, servers: Servers = list) -> None:
        self.answering = answering
        self.servers = servers
        self.execs: list[str] = []
        self.containers: list[Container] = []

    def execute(
        self, container: Container, command: Sequence[str], stdin: str, idle_s: float
    ) -> Output:
        began = time.monotonic()
        self.execs.append(container.pod)
        self.containers.append(container)
        return Output(self.answering(container.pod, stdin), began)

    def find(self, *what: str, **where: str) -> list[dict[str, Any]]:
        assert (what, where) == (
            ("v1", "Pod"),
            {"selector": "k8s-app=kube-dns", "namespace": "kube-system"},
        )
        return self.servers()


def alive(name: str, **changes: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"namespace": "real", "name": name, "uid": f"uid-{name}"}
    ready = changes.pop("ready", "True")
    address = changes.pop("address", {"a": "10.0.0.1", "b": "10.0.0.2"}[name])
    status = {"podIPs": [{"ip": address}], "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {**metadata, **changes}, "spec": {}, "status": status}


def both() -> dict[tuple[str, str], Any]:
    return {("real", name): alive(name) for name in ("a", "b")}


def probed(
    answering: Answering,
    pods: Callable[[], dict[tuple[str, str], Any]] = both,
    probes: Sequence[Probe] = (PROBE,),
    manner: Manner | None = None,
    servers: Servers = list,
    view: View = VIEW,
) -> tuple[dict[Probe, Observation], ScriptedApi]:
    api = ScriptedApi(answering, servers)

    def no_node(ref: NodeRef) -> LivePod:
        raise ClusterError(f"{ref} does not start: no image")

    prober = Prober(api, manner or Manner(), None, no_node, pods)  # type: ignore[arg-type]
    found = prober.probe(view, probes)
    prober.close()
    assert len(found) == len(probes)
    return {item.probe: item for item in found}, api


def deny_from_a(pod: str, script: str) -> str:
    """Probes from a time out, b serves its own loopback."""
    return timeout(script) if pod == "a" else allowed(script)


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


def test_a_timeout_counts_when_the_destination_shows_that_it_lives() -> None:
    found, api = probed(deny_from_a)
    assert found[PROBE].outcome is Verdict.TIMEOUT
    assert api.execs == ["a", "b"]


def error(found: dict[Probe, Observation]) -> str:
    outcome = found[PROBE].outcome
    assert isinstance(outcome, ProbeError), outcome
    return outcome.message


@pytest.mark.parametrize(
    ("took_s", "asked_again"),
    [
        (1.4, False),  # it ended after the probe of a did
        (0.5, True),  # it may have died since
    ],
)
def test_the_destinations_own_batch_is_proof_where_it_covers_the_probe(
    took_s: float, asked_again: bool
) -> None:
    back = Probe(B, Destination(A, 80))

    def answering(pod: str, script: str) -> str:
        if pod == "b" and "127.0.0.1" not in script:
            return answered(script, "1 {s} {e} REFUSED", took_s=took_s)
        return deny_from_a(pod, script)

    found, api = probed(answering, probes=(PROBE, back))
    assert found[PROBE].outcome is Verdict.TIMEOUT
    assert sorted(api.execs) == (["a", "b", "b"] if asked_again else ["a", "b"])


def test_a_destination_that_was_frozen_meanwhile_proves_nothing() -> None:
    back = Probe(B, Destination(A, 80))

    def answering(pod: str, script: str) -> str:
        if pod == "b" and "127.0.0.1" not in script:
            return answered(script, "1 {s} {e} REFUSED", took_s=9.0)
        return deny_from_a(pod, script)

    found, _ = probed(answering, probes=(PROBE, back))
    assert error(found) == (
        "TIMEOUT, but app/b stalled in the same round: a probe of its own took 9.0 s"
    )


def test_a_destination_that_began_late_proves_nothing() -> None:
    back = Probe(B, Destination(A, 80))

    def answering(pod: str, script: str) -> str:
        if pod == "b":
            time.sleep(0.3)
        return deny_from_a(pod, script)

    class Late(ScriptedApi):
        def execute(self, *what: Any) -> Output:
            output = super().execute(*what)
            return Output(output.text, time.monotonic())

    api = Late(answering)
    manner = Manner(grace_s=0.2)
    prober = Prober(api, manner, None, lambda ref: LIVE[A], both)  # type: ignore[arg-type]
    found = {item.probe: item for item in prober.probe(VIEW, (PROBE, back))}
    prober.close()
    assert error(found) == ("TIMEOUT, but app/b stalled in the same round: it took 0.3 s to begin")


def test_a_destination_that_thaws_when_asked_proves_nothing() -> None:
    def answering(pod: str, script: str) -> str:
        if pod == "b":
            time.sleep(0.5)
        return deny_from_a(pod, script).replace("6.00", "5.20")

    found, _ = probed(answering, manner=Manner(timeout_s=0.2))
    assert error(found) == ("TIMEOUT, but app/b gave no sign of life: it took 0.5 s to answer")


@pytest.mark.parametrize(
    ("name", "now", "words"),
    [
        ("b", None, "app/b was deleted while probing"),
        ("a", None, "app/a was deleted while probing"),
        ("b", alive("b", uid="other"), "app/b was deleted while probing"),
        ("b", alive("b", deletionTimestamp="now"), "app/b is being deleted"),
        ("b", alive("b", address="10.0.0.9"), "app/b changed its address while probing"),
        ("b", alive("b", ready="False"), "app/b is not ready: phase unknown"),
    ],
)
def test_a_timeout_of_a_pod_that_went_is_no_denial(name: str, now: Any, words: str) -> None:
    pods = both()
    pods.pop(("real", name))
    if now:
        pods["real", name] = now
    found, _ = probed(deny_from_a, lambda: pods)
    assert error(found) == f"TIMEOUT, but {words}"


def test_a_timeout_to_a_frozen_destination_is_no_denial() -> None:
    def answering(pod: str, script: str) -> str:
        if pod == "b":
            raise ExecError("not a word for 7 s", timed_out=True)
        return timeout(script)

    found, _ = probed(answering)
    assert error(found) == (
        "TIMEOUT, but app/b gave no sign of life: app/b did not answer: not a word for 7 s; "
        "its node may be down or frozen"
    )


def test_a_timeout_to_a_dead_server_is_no_denial() -> None:
    def answering(pod: str, script: str) -> str:
        return timeout(script) if pod == "a" else answered(script, "1 {s} {e} REFUSED")

    found, _ = probed(answering)
    assert error(found) == "TIMEOUT, but app/b gave no sign of life: port 80/TCP: REFUSED"


def test_when_the_pods_cannot_be_asked_for_no_timeout_counts() -> None:
    def silent() -> dict[tuple[str, str], Any]:
        raise ApiError("no answer")

    found, _ = probed(deny_from_a, silent)
    assert error(found) == "TIMEOUT, but whether the pods still live could not be asked: no answer"


def test_on_a_rejecting_cluster_a_refusal_needs_a_living_server() -> None:
    def answering(pod: str, script: str) -> str:
        return answered(script, "1 {s} {e} REFUSED")

    found, api = probed(answering, manner=Manner(rejects=True))
    assert error(found) == "REFUSED, but app/b gave no sign of life: port 80/TCP: REFUSED"
    found, api = probed(answering)
    assert found[PROBE].outcome is Verdict.REFUSED
    assert api.execs == ["a"]


def test_on_a_rejecting_cluster_a_batch_of_its_own_does_not_show_that_a_server_lives() -> None:
    back = Probe(B, Destination(A, 80))

    def answering(pod: str, script: str) -> str:
        if pod == "b" and "127.0.0.1" not in script:
            return allowed(script).replace("5.10", "5.40")  # b ran until after the probe of a
        return answered(script, "1 {s} {e} REFUSED")

    found, api = probed(answering, probes=(PROBE, back), manner=Manner(rejects=True))
    assert error(found) == "REFUSED, but app/b gave no sign of life: port 80/TCP: REFUSED"
    assert found[back].outcome is Verdict.ALLOWED
    assert sorted(api.execs) == ["a", "b", "b"]


def no_name(pod: str, script: str) -> str:
    """Names that a asks for do not resolve; b serves its own loopback."""
    return answered(script, "1 {s} {e} DNS") if pod == "a" else allowed(script)


def resolver(*ready: str) -> Servers:
    return lambda: [
        {"status": {"conditions": [{"type": "Ready", "status": status}]}} for status in ready
    ]


NO_NAME = Probe(A, Destination(AbsoluteName("shop.example.com"), 80))


@pytest.mark.parametrize(
    ("ready", "outcome"),
    [
        (("True",), Verdict.DNS),
        (("False", "True"), Verdict.DNS),
        ((), Verdict.DNS),  # another resolver than kube-dns: nobody knows where to look
        (("False", "False"), ProbeError("DNS, but no DNS server of the cluster is ready")),
    ],
)
def test_a_failed_lookup_is_a_denial_only_while_a_dns_server_is_ready(
    ready: tuple[str, ...], outcome: Verdict | ProbeError
) -> None:
    found, _ = probed(no_name, probes=(NO_NAME,), servers=resolver(*ready))
    assert found[NO_NAME].outcome == outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (403, Verdict.DNS),  # the namespace of the DNS servers may be out of bounds
        (
            503,
            ProbeError("DNS, but whether the pods still live could not be asked: because"),
        ),
    ],
)
def test_when_the_dns_servers_cannot_be_read(status: int, outcome: Verdict | ProbeError) -> None:
    def unreadable() -> list[dict[str, Any]]:
        raise ApiError("because", status)

    found, _ = probed(no_name, probes=(NO_NAME,), servers=unreadable)
    assert found[NO_NAME].outcome == outcome


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_failed_lookup_of_a_pod_that_went_is_no_denial(name: str) -> None:
    service = Service("app", "web", Labels({}), (ServicePort(80, 80),))
    view = replace(VIEW, state=replace(VIEW.state, services=(service,)))
    probe = Probe(A, Destination(ServiceName("app", "web"), 80))
    pods = both()
    del pods["real", name]
    found, _ = probed(no_name, lambda: pods, probes=(probe,), servers=resolver("True"), view=view)
    assert found[probe].outcome == ProbeError(f"DNS, but app/{name} was deleted while probing")


def test_a_starved_round_proves_no_denial_and_the_next_is_smaller() -> None:
    other = Probe(A, Destination(A, 80))
    sizes: list[int] = []

    def answering(pod: str, script: str) -> str:
        sizes.append(
            int(found[1]) if (found := re.search(r"while \[ \$i -lt (\d+) ", script)) else 99
        )
        lines = ["= 0 1 5.0 6.1 TIMEOUT", "= 1 0 5.0 8.5 "]
        return "\n".join(["= begin 5.0", *lines, "= end 8.5", ""])

    manner = Manner(parallel=4)
    api = ScriptedApi(answering)
    prober = Prober(api, manner, None, lambda ref: LIVE[A], both)  # type: ignore[arg-type]
    found = {item.probe: item for item in prober.probe(VIEW, (PROBE, other))}
    assert error(found) == (
        "TIMEOUT, but the cluster is starved of CPU: a probe that connected took 3.5 s, "
        "longer than 2 s"
    )
    many = [Probe(A, Destination(B, port)) for port in range(1, 4)]
    prober.probe(VIEW, many)
    prober.close()
    assert sizes == [99, 2]


@pytest.mark.parametrize(
    ("failure", "words", "execs"),
    [
        (ExecError("pods a not found", 404), "pod app/a is gone", 1),
        (
            ExecError("User cannot", 403),
            "exec into app/a is forbidden; it takes create and get on pods/exec: User cannot",
            1,
        ),
        (
            ExecError("not a word for 7 s", timed_out=True),
            "app/a did not answer: not a word for 7 s; its node may be down or frozen",
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
            raise ExecError("the exec broke", output="= begin 5.0\n= 0 0 5.0 5.1 \n")
        return allowed(script)

    found, _ = probed(answering, probes=(PROBE, second))
    assert found[PROBE].outcome is Verdict.ALLOWED
    assert found[second].outcome is Verdict.ALLOWED
    assert "--protocol=udp" in scripts[1]
    assert scripts[1].count("10.0.0.2:80") == 1


def test_a_batch_that_says_nothing_is_no_denial() -> None:
    found, api = probed(lambda pod, script: "")
    assert error(found) == "the batch did not begin"
    assert len(api.execs) == 3


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (PodRef("app", "none"), "pod app/none is not there"),
        (NodeRef(1), "node/1 does not start: no image"),
        (ExternalRef("office"), "external/office cannot be made here"),
    ],
)
def test_a_source_that_is_not_there_is_no_denial(source: Source, words: str) -> None:
    probe = Probe(source, Destination(B, 80))
    found, _ = probed(lambda pod, script: allowed(script), probes=(probe,))
    assert found[probe].outcome == ProbeError(words)


def test_a_destination_without_an_address_is_no_denial() -> None:
    probe = Probe(A, Destination(PodRef("app", "none"), 80))
    found, api = probed(lambda pod, script: allowed(script), probes=(probe,))
    assert found[probe].outcome == ProbeError(
        "app/none has no IPv4 address that a probe can choose"
    )
    assert api.execs == []
