"""What a cluster lacks is found out by asking it, and never by what its network plugin does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from harness.cluster import Capabilities
from harness.cluster.kube.api import Api, ApiError, ExecError, Object
from harness.cluster.kube.batch import BatchRunner, ProbeSettings
from harness.cluster.kube.gates import Gates
from harness.cluster.kube.live import LiveNode, LivePod
from harness.errors import ClusterError
from harness.model import Needs, NodeRef

from .rounds import VIEW, Answering, ScriptedApi, allowed, answered, timeout

THREE_NODES = replace(VIEW, nodes=tuple(LiveNode(name, name, ()) for name in ("n1", "n2", "n3")))
NO_SCTP = "OTHER: protocol not supported"


@dataclass(slots=True)
class NodePods:
    """Pods on nodes, or a reason why there are none."""

    refused: str = ""
    made: list[NodeRef] = field(default_factory=list)

    def on_node(self, ref: NodeRef, node: LiveNode) -> LivePod:
        if self.refused:
            raise ClusterError(self.refused)
        self.made.append(ref)
        return LivePod(ref, "nodes", f"node-{ref.index}", "uid", (), node.name, "agnhost")


def asked(
    api: object, answering: Answering = lambda *_: "", refused: str = ""
) -> tuple[Capabilities, NodePods, ScriptedApi]:
    """A cluster with three nodes whose execs answer as told."""
    execs, pods = ScriptedApi(answering), NodePods(refused)
    batches = BatchRunner(execs, ProbeSettings(), None)  # type: ignore[arg-type]
    gates = Gates(api, lambda: THREE_NODES, pods, batches)  # type: ignore[arg-type]
    questions = gates.questions()
    known = frozenset({"sctp", "endport", "node-peers", "domain-names"})
    has = Capabilities("mine", known, questions=questions)
    return has, pods, execs


class Versioned(Api):
    """An API server that has only a version."""

    def __init__(self, **found: str) -> None:
        self._found = found

    def request(self, method: str, url: str, **_: object) -> Object:
        assert (method, url) == ("get", "/version")
        return self._found


def needing(feature: str) -> Needs:
    return Needs(frozenset({feature}))


def other(words: str) -> Answering:
    return lambda _, script: answered(script, f"1 {{s}} {{e}} {words}")


def test_a_kernel_without_sctp_is_found_out_once_and_only_if_a_scenario_needs_it() -> None:
    has, pods, execs = asked(None, other(NO_SCTP))
    assert has.lacks(Needs()) is None
    assert execs.execs == []
    reason = "cluster mine lacks feature sctp (the kernel of node n1 says: protocol not supported)"
    assert has.lacks(needing("sctp")) == reason
    assert has.lacks(needing("sctp")) == reason
    assert execs.execs == ["node-1"]
    assert pods.made == [NodeRef(1)]


def test_the_kernels_of_two_nodes_are_asked() -> None:
    def answer(pod: str, script: str) -> str:
        return other(NO_SCTP)(pod, script) if pod == "node-2" else refused(pod, script)

    refused = other("REFUSED")
    has, _, execs = asked(None, answer)
    assert has.lacks(needing("sctp")) == (
        "cluster mine lacks feature sctp (the kernel of node n2 says: protocol not supported)"
    )
    assert execs.execs == ["node-1", "node-2"]


def ends_early(pod: str, script: str) -> str:
    raise ExecError("no such container", 500)


@pytest.mark.parametrize(
    "answering",
    [
        other("REFUSED"),
        other("OTHER: permission denied"),
        lambda _, script: allowed(script),
        lambda _, script: timeout(script),
        lambda *_: "",
        ends_early,
    ],
    ids=["refused", "no permission", "connected", "no answer", "no output", "no exec"],
)
def test_sctp_is_there_unless_a_kernel_says_that_it_is_not(answering: Answering) -> None:
    """A TIMEOUT may be the doing of the network plugin: scenarios must show it."""
    has, pods, _ = asked(None, answering)
    assert has.lacks(needing("sctp")) is None
    assert pods.made == [NodeRef(1), NodeRef(2)]


def test_sctp_is_there_if_no_pod_may_use_the_network_of_a_node() -> None:
    has, _, execs = asked(None, other(NO_SCTP), refused="violates PodSecurity")
    assert has.lacks(needing("sctp")) is None
    assert execs.execs == []


@pytest.mark.parametrize(
    ("major", "minor", "lacks"),
    [
        ("1", "34", False),
        ("1", "25", False),
        ("1", "25+", False),
        ("2", "0", False),
        ("1", "24", True),
    ],
)
def test_an_old_api_server_has_no_end_port(major: str, minor: str, lacks: bool) -> None:
    reason = (
        "cluster mine lacks feature endport "
        "(endPort is stable since Kubernetes 1.25, and the API server is 1.24)"
    )
    has, *_ = asked(Versioned(major=major, minor=minor))
    assert has.lacks(needing("endport")) == (reason if lacks else None)


def test_a_version_that_is_none_is_an_error() -> None:
    has, *_ = asked(Versioned(gitVersion="unknown"))
    with pytest.raises(ApiError) as caught:
        has.lacks(needing("endport"))
    assert caught.value.message == (
        "the API server does not say its version: {'gitVersion': 'unknown'}"
    )


class Defined(Api):
    """An API server with one version of the tiers, whose peers of egress have these keys."""

    def __init__(self, *keys: str) -> None:
        to: Object = {"items": {"properties": {key: {} for key in keys}}}
        rules = {"items": {"properties": {"action": {}, "to": to}}}
        spec = {"properties": {"egress": rules, "tier": {}}}
        self._schemas = {"Policy": {"properties": {"spec": spec}}, "PolicyList": {}}

    def request(self, method: str, url: str, **_: object) -> Object:
        group = "policy.networking.k8s.io/v1alpha2"
        if url == "/apis":
            versions = [{"groupVersion": "apps/v1"}, {"groupVersion": group}]
            return {"groups": [{"versions": [version]} for version in versions]}
        if url == f"/openapi/v3/apis/{group}" and self._schemas:
            return {"components": {"schemas": self._schemas}}
        raise ApiError(f"no {method} {url}", 404)


@pytest.mark.parametrize(
    ("feature", "key"), [("node-peers", "nodes"), ("domain-names", "domainNames")]
)
def test_the_definition_of_the_kind_says_which_peers_it_has(feature: str, key: str) -> None:
    standard, _, _ = asked(Defined("namespaces", "pods", "networks"))
    assert standard.lacks(needing(feature)) == (
        f"cluster mine lacks feature {feature} "
        f"(the definition of the kind has no peer {key}; the experimental one has it)"
    )
    experimental, _, _ = asked(Defined("namespaces", "pods", "networks", "nodes", "domainNames"))
    assert experimental.lacks(needing(feature)) is None


def test_a_server_that_does_not_say_which_peers_it_has_may_have_them() -> None:
    silent = Defined()
    silent._schemas = {}
    assert asked(silent)[0].lacks(needing("node-peers")) is None
