"""What the CNI is asked about a wrong cell, and what is said if nothing is learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.cluster.kube import KubeCluster, KubeSettings
from harness.cluster.kube.agents import Agents
from harness.cluster.kube.api import ApiError, Container, Output
from harness.cluster.kube.live import LivePod, View
from harness.cluster.kube.tracing import AgentCommand, Tracing, by_hand
from harness.cluster.waiting import Clock
from harness.model import (
    Destination,
    ExternalRef,
    Family,
    Pod,
    PodRef,
    Probe,
    Protocol,
    ServiceRef,
    State,
    Trace,
)
from tests.fakes import FakeTime

from .apiserver import ApiServer, DirectApi
from .cluster_state import Object
from .test_no_harm import NODE

HOW = AgentCommand("DaemonSet/*/cni-node", "agent", ("iptables-save", "-c"))
A, B = PodRef("x", "a"), PodRef("x", "b")
PROBE = Probe(A, Destination(B, 80))
STATE = State("s", pods=(Pod("x", "a"), Pod("x", "b", node=2)))
VIEW = View(
    STATE,
    {
        A: LivePod(A, "np-x", "a", "1", ("10.0.0.1",), "n1", "serve"),
        B: LivePod(B, "np-x", "b", "2", ("10.0.0.2",), "n2", "serve"),
    },
)


class FakeApi:
    """A CNI with an agent on each node; ``dropped`` packets have met the rule of pod b."""

    def __init__(self, time: FakeTime) -> None:
        self.time = time
        self.dropped = 0
        self.asked: list[str] = []
        self.takes_s = 0.0
        self.error: ApiError | None = None
        self.listing = (
            "[0:0] -A ALL -s 10.0.0.1/32 -j POD-A\n[0:0] -A POD-A -j ACCEPT\n"
            "[0:0] -A ALL -d 10.0.0.2/32 -j POD-B\n"
            '[{}:60] -A POD-B -m comment --comment "no policy" -j DROP\n'
        )

    def find(self, _version: str, kind: str, **_: str) -> list[Object]:
        if kind == "DaemonSet":
            return [{"metadata": {"name": "cni-node", "namespace": "cni", "uid": "d"}}]
        return [
            {
                "metadata": {
                    "name": f"cni-{node}",
                    "namespace": "cni",
                    "ownerReferences": [{"uid": "d"}],
                },
                "spec": {"nodeName": node},
            }
            for node in ("n1", "n2")
        ]

    def execute(
        self, container: Container, command: Sequence[str], _stdin: str, _idle_s: float
    ) -> Output:
        assert (container.namespace, container.name, command) == ("cni", "agent", HOW.command)
        self.asked.append(container.pod)
        self.time.now += self.takes_s
        if self.error:
            raise self.error
        return Output(self.listing.replace("{}", str(self.dropped)), 0.0)


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def api(time: FakeTime) -> FakeApi:
    return FakeApi(time)


def tracing(api: FakeApi, clock: Clock, how: AgentCommand = HOW) -> Tracing:
    def probe(_: Probe) -> None:
        api.asked.append("probe")
        api.dropped += 1

    return Tracing(api, Agents(api, (HOW.agent,), clock), how, probe, clock)  # type: ignore[arg-type]


def test_the_agents_of_both_nodes_are_asked_before_and_after_one_probe(
    api: FakeApi, time: FakeTime
) -> None:
    (trace,) = tracing(api, time.clock).trace(VIEW, [PROBE])
    assert api.asked == ["cni-n1", "cni-n2", "probe", "cni-n1", "cni-n2"]
    assert trace == Trace(
        PROBE,
        "n2: chain POD-B: DROP of 1 packet: no policy",
        "kubectl exec -n cni cni-n1 -c agent -- iptables-save -c; "
        "kubectl exec -n cni cni-n2 -c agent -- iptables-save -c",
    )


def test_pods_of_one_node_are_asked_about_once(api: FakeApi, time: FakeTime) -> None:
    moved = {**VIEW.pods, B: replace(VIEW.pods[B], node="n1")}
    (trace,) = tracing(api, time.clock).trace(replace(VIEW, pods=moved), [PROBE])
    assert api.asked == ["cni-n1", "probe", "cni-n1"]
    assert trace.says == "n1: chain POD-B: DROP of 1 packet: no policy"


def test_a_probe_that_no_rule_met(api: FakeApi, time: FakeTime) -> None:
    quiet = replace(tracing(api, time.clock), probe=lambda _: None)
    (trace,) = quiet.trace(VIEW, [PROBE])
    assert trace.says == "no rule of the pods met a packet of a new connection"


def test_a_node_whose_rules_are_about_other_pods_tells_nothing(
    api: FakeApi, time: FakeTime
) -> None:
    """As with a CNI in another mode, which keeps its rules elsewhere."""
    api.listing = api.listing.replace("10.0.0.1/", "10.0.0.9/")
    (trace,) = tracing(api, time.clock).trace(VIEW, [PROBE])
    assert trace.says == (
        "n2: chain POD-B: DROP of 1 packet: no policy\n"
        "nothing was learned on n1: no rule is about the pods"
    )


def test_a_rule_that_denies_comes_before_those_of_other_nodes(
    api: FakeApi, time: FakeTime
) -> None:
    line = '[{}:9] -A POD-A -m comment --comment "all may leave" -j RETURN'
    api.listing = api.listing.replace("[0:0] -A POD-A -j ACCEPT", line)
    (trace,) = tracing(api, time.clock).trace(VIEW, [PROBE])
    assert trace.says == (
        "n2: chain POD-B: DROP of 1 packet: no policy\n"
        "n1: chain POD-A: RETURN of 1 packet: all may leave"
    )


def says(tracing: Tracing, view: View, probe: Probe) -> str:
    return tracing.trace(view, [probe])[0].says


def test_a_cluster_whose_profile_does_not_say_how_asks_nobody() -> None:
    server = ApiServer()
    server.state.put(NODE)
    settings = KubeSettings(run="r1", clock=server.clock)
    cluster = KubeCluster(settings, DirectApi(server))
    server.calls.clear()
    (trace,) = cluster.trace([PROBE])
    assert trace.says == "no way to ask the CNI of this cluster is known"
    assert server.calls == []


def test_where_people_ask_by_hand_the_command_has_the_pods_of_the_cluster() -> None:
    words = ("antctl", "-S", "{source_namespace}/{source_pod}", "-f", "{protocol}_dst={port}")
    on_udp = replace(PROBE, destination=Destination(B, 53, Protocol.UDP))
    assert by_hand(words, VIEW, on_udp) == Trace(
        on_udp,
        "nothing was learned: people ask this CNI by hand",
        "antctl -S np-x/a -f udp_dst=53",
    )
    to = ("trace", "-dst", "{destination_pod}", "-dst-namespace", "{destination_namespace}")
    assert by_hand(to, VIEW, PROBE).command == "trace -dst b -dst-namespace np-x"


@pytest.mark.parametrize(
    "probe",
    [
        replace(PROBE, family=Family.V6),
        replace(PROBE, destination=Destination(B, 80, Protocol.SCTP)),
        replace(PROBE, destination=Destination(PodRef("x", "gone"), 80)),
        replace(PROBE, source=ExternalRef("office")),
        replace(PROBE, destination=Destination(ServiceRef("x", "b"), 80)),
    ],
)
def test_what_people_cannot_ask_by_hand_is_said(probe: Probe) -> None:
    assert by_hand(("antctl",), VIEW, probe) == Trace(
        probe,
        "nothing was learned: this CNI can be asked about TCP and UDP between pods with a network "
        "of their own, over IPv4",
    )


def test_a_host_network_pod_is_not_asked_about_by_hand() -> None:
    host = replace(STATE, pods=(STATE.pods[0], replace(STATE.pods[1], host_network=True)))
    assert by_hand(("antctl",), replace(VIEW, state=host), PROBE).command == ""


def test_a_cluster_with_a_command_for_people_gives_it() -> None:
    server = ApiServer()
    server.state.put(NODE)
    settings = KubeSettings(run="r1", clock=server.clock, trace_by_hand=("antctl", "traceflow"))
    cluster = KubeCluster(settings, DirectApi(server))
    (trace,) = cluster.trace([PROBE])
    assert trace.says.startswith("nothing was learned: this CNI can be asked about TCP")


def test_what_cannot_be_learned_is_said(api: FakeApi, time: FakeTime) -> None:
    asks = tracing(api, time.clock)
    over_6 = replace(PROBE, family=Family.V6)
    assert says(asks, VIEW, over_6) == "nothing was learned: the agents are asked about IPv4 only"
    outside = Probe(ExternalRef("office"), Destination(ExternalRef("other"), 80))
    alone = "nothing was learned: no end has a network of its own"
    assert says(asks, VIEW, outside) == alone
    host = replace(STATE, pods=tuple(replace(pod, host_network=True) for pod in STATE.pods))
    assert says(asks, replace(VIEW, state=host), PROBE) == alone
    far = {**VIEW.pods, B: replace(VIEW.pods[B], node="n3")}
    missing = "nothing was learned: DaemonSet/*/cni-node has no pod on n3"
    assert says(asks, replace(VIEW, pods=far), PROBE) == missing
    assert api.asked == []
    api.error = ApiError("pods is forbidden: User cannot create pods/exec", 403)
    forbidden = "nothing was learned: pods is forbidden: User cannot create pods/exec"
    assert says(asks, VIEW, PROBE) == forbidden
    api.error, api.listing = None, "exec failed"
    assert says(asks, VIEW, PROBE) == "nothing was learned: cni/cni-n1 lists no iptables"


def test_an_agent_that_keeps_flows_is_asked_for_the_new_ones(api: FakeApi, time: FakeTime) -> None:
    api.listing = (
        '{"flow": {"verdict": "DROPPED", "uuid": "{}", '
        '"IP": {"source": "10.0.0.1", "destination": "10.0.0.2"}}}\n'
    )
    asks = tracing(api, time.clock, replace(HOW, prints="hubble"))
    (trace,) = asks.trace(VIEW, [PROBE])
    assert trace.says == "n1: DROPPED: 10.0.0.1 -> 10.0.0.2\nn2: DROPPED: 10.0.0.1 -> 10.0.0.2"
    quiet = replace(asks, probe=lambda _: None)
    assert says(quiet, VIEW, PROBE) == "no new flow is about the pods"
    api.listing = "failed to connect to the hubble server"
    assert says(asks, VIEW, PROBE) == "nothing was learned: cni/cni-n1 lists no hubble"


def test_all_probes_share_one_deadline(api: FakeApi, time: FakeTime) -> None:
    api.takes_s = 4.0
    first, second = tracing(api, time.clock).trace(VIEW, [PROBE, PROBE])
    assert first.says == "n2: chain POD-B: DROP of 1 packet: no policy"
    assert second.says == "nothing was learned: the agents did not answer within 15 s"
    assert time.now == 1016.0
