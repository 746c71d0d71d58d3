"""When a denial is believed: execs, pods and DNS servers that go wrong in one way each."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest

from harness.cluster.kube.api import ApiError, ExecError, Output
from harness.cluster.kube.batch import ProbeSettings
from harness.cluster.kube.live import LiveService
from harness.model import (
    AbsoluteName,
    ContainerPort,
    Destination,
    Labels,
    NodePortRef,
    Pod,
    Probe,
    ProbeError,
    Protocol,
    Service,
    ServiceName,
    ServicePort,
    ServiceRef,
    ServiceType,
    Verdict,
)

from .rounds import (
    PROBE,
    VIEW,
    A,
    B,
    ScriptedApi,
    Servers,
    alive,
    allowed,
    answered,
    both,
    deny_from_a,
    error,
    probed,
    prober,
    timeout,
)


def test_a_timeout_counts_when_the_destination_shows_that_it_lives() -> None:
    found, api = probed(deny_from_a)
    assert found[PROBE].outcome is Verdict.TIMEOUT
    assert api.execs == ["a", "b"]


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
        "TIMEOUT, but app/b stalled in the same round: one of its own probes took 9.0 s"
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
    running = prober(api, ProbeSettings(grace_s=0.2))
    found = {item.probe: item for item in running.probe(VIEW, (PROBE, back))}
    running.close()
    stalled = r"TIMEOUT, but app/b stalled in the same round: it took \d+\.\d s to start"
    assert re.fullmatch(stalled, error(found))


def test_a_destination_that_thaws_when_asked_proves_nothing() -> None:
    def answering(pod: str, script: str) -> str:
        if pod == "b":
            time.sleep(0.5)
        return deny_from_a(pod, script).replace("6.00", "5.20")

    found, _ = probed(answering, settings=ProbeSettings(timeout_s=0.2))
    late = r"TIMEOUT, but app/b failed the liveness check: it answered after \d+\.\d s"
    assert re.fullmatch(late, error(found))


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
            raise ExecError("no output for 7 s", timed_out=True)
        return timeout(script)

    found, _ = probed(answering)
    assert error(found) == (
        "TIMEOUT, but app/b failed the liveness check: app/b did not answer: no output for 7 s; "
        "its node may be down or frozen"
    )


def test_a_timeout_to_a_dead_server_is_no_denial() -> None:
    def answering(pod: str, script: str) -> str:
        return timeout(script) if pod == "a" else answered(script, "1 {s} {e} REFUSED")

    found, _ = probed(answering)
    assert error(found) == "TIMEOUT, but app/b failed the liveness check: port 80/TCP: REFUSED"


MANY = replace(
    VIEW,
    state=replace(
        VIEW.state,
        pods=(
            replace(VIEW.state.pods[0], labels=Labels({"app": "a"})),
            Pod(
                "app",
                "b",
                Labels({"app": "b"}),
                (
                    ContainerPort(79, name="admin"),
                    ContainerPort(80),
                    ContainerPort(81, name="web"),
                    ContainerPort(81, Protocol.UDP, "web"),
                ),
            ),
        ),
        services=(
            Service(
                "app",
                "web",
                Labels({"app": "b"}),
                (
                    ServicePort(80, "web"),
                    ServicePort(80, "web", Protocol.UDP),
                    ServicePort(90, 80),
                ),
                ServiceType.NODE_PORT,
            ),
        ),
    ),
    services={("app", "web"): LiveService(("10.96.0.1",), {(80, Protocol.TCP): 30080})},
)


@pytest.mark.parametrize(
    ("destinations", "asked"),
    [
        ([Destination(B, 80)], ["127.0.0.1:80"]),
        ([Destination(B, 81, Protocol.UDP)], ["127.0.0.1:81 UDP"]),
        ([Destination(B, 80), Destination(B, 81)], ["127.0.0.1:80", "127.0.0.1:81"]),
        ([Destination(ServiceRef("app", "web"), 80)], ["127.0.0.1:81"]),
        ([Destination(ServiceRef("app", "web"), 80, Protocol.UDP)], ["127.0.0.1:81 UDP"]),
        ([Destination(ServiceRef("app", "web"), 90)], ["127.0.0.1:80"]),
        ([Destination(NodePortRef("app", "web", 1), 80)], ["127.0.0.1:81"]),
        ([Destination(B, 99)], ["127.0.0.1:79"]),  # no port of its own: any shows that it runs
        ([Destination(B, 80, Protocol.UDP)], ["127.0.0.1:79"]),
    ],
)
def test_only_the_ports_in_doubt_are_tried(
    destinations: list[Destination], asked: list[str]
) -> None:
    seen: list[str] = []

    def answering(pod: str, script: str) -> str:
        if pod == "a":
            return timeout(script)
        found = re.findall(r"(127\.0\.0\.1:\d+) --timeout=\S+( --protocol=udp)?", script)
        seen.extend(address + (" UDP" if udp else "") for address, udp in found)
        return allowed(script)

    probes = [Probe(A, destination) for destination in destinations]
    found, _ = probed(answering, probes=probes, view=MANY)
    assert sorted(seen) == asked
    assert {item.outcome for item in found.values()} == {Verdict.TIMEOUT}


def test_when_the_pods_cannot_be_asked_for_no_timeout_counts() -> None:
    def silent() -> dict[tuple[str, str], Any]:
        raise ApiError("no answer")

    found, _ = probed(deny_from_a, silent)
    assert (
        error(found)
        == "TIMEOUT, but it could not be checked whether the pods still run: no answer"
    )


def test_on_a_rejecting_cluster_a_refusal_needs_a_living_server() -> None:
    def answering(pod: str, script: str) -> str:
        return answered(script, "1 {s} {e} REFUSED")

    found, api = probed(answering, settings=ProbeSettings(denies_by="reject"))
    assert error(found) == "REFUSED, but app/b failed the liveness check: port 80/TCP: REFUSED"
    found, api = probed(answering)
    assert found[PROBE].outcome is Verdict.REFUSED
    assert api.execs == ["a"]


def test_on_a_rejecting_cluster_a_batch_of_its_own_does_not_show_that_a_server_lives() -> None:
    back = Probe(B, Destination(A, 80))

    def answering(pod: str, script: str) -> str:
        if pod == "b" and "127.0.0.1" not in script:
            return allowed(script).replace("5.10", "5.40")  # b ran until after the probe of a
        return answered(script, "1 {s} {e} REFUSED")

    found, api = probed(
        answering, probes=(PROBE, back), settings=ProbeSettings(denies_by="reject")
    )
    assert error(found) == "REFUSED, but app/b failed the liveness check: port 80/TCP: REFUSED"
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
            ProbeError("DNS, but it could not be checked whether the pods still run: because"),
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

    running = prober(ScriptedApi(answering), ProbeSettings(parallel=4))
    found = {item.probe: item for item in running.probe(VIEW, (PROBE, other))}
    assert error(found) == (
        "TIMEOUT, but the cluster is starved of CPU: a probe that connected took 3.5 s, "
        "longer than 2 s"
    )
    many = [Probe(A, Destination(B, port)) for port in range(1, 4)]
    running.probe(VIEW, many)
    running.close()
    assert sizes == [99, 2]
