"""The restart of the CNI's agents: only when the State asks for it, and only their pods."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.cluster.kube import KubeCluster, KubeSettings
from harness.errors import ClusterError
from harness.model import Manifest, Namespace, State

from .apiserver import ApiServer, DirectApi
from .cluster_state import Object
from .test_no_harm import NODE, NP, RUNNING, thing

NAMES = ("DaemonSet/*/cni-node", "Deployment/cni/cni-controller")
DENY = Manifest(
    NP, "NetworkPolicy", "db", "deny", json.dumps(thing(NP, "NetworkPolicy", "deny", "db"))
)
STATE = State("s", (Namespace("db"),), policies=(DENY,))


def pod(name: str, owner: Object, **labels: str) -> Object:
    owners = [{"kind": owner["kind"], "name": "x", "uid": owner["metadata"]["uid"]}]
    item = thing("v1", "Pod", name, "cni", labels=labels, ownerReferences=owners)
    return item | RUNNING | {"spec": {"nodeName": "n1", "terminationGracePeriodSeconds": 1}}


@pytest.fixture
def server() -> ApiServer:
    """A CNI with one agent and one controller, and a stranger's pod with the agent's labels."""
    server = ApiServer()
    put = server.state.put
    put(NODE)
    put(thing("v1", "Namespace", "cni"))
    agent = put(thing("apps/v1", "DaemonSet", "cni-node", "cni") | {"status": {"numberReady": 1}})
    controller = put(
        thing("apps/v1", "Deployment", "cni-controller", "cni")
        | {"spec": {"replicas": 1}, "status": {"readyReplicas": 1}}
    )
    stranger = thing("apps/v1", "DaemonSet", "stranger", "cni") | {"status": {"numberReady": 1}}
    put(pod("agent", agent, app="cni"))
    put(pod("controller", controller, app="cni"))
    put(pod("stranger", put(stranger), app="cni"))
    return server


def connected(server: ApiServer, *names: str) -> KubeCluster:
    settings = KubeSettings(run="r1", clock=server.clock, agents=names)
    return KubeCluster(settings, DirectApi(server))


def uid(server: ApiServer, name: str) -> str | None:
    found = server.state.found("v1", "Pod", "cni", name)
    return found["metadata"]["uid"] if found else None


def test_the_agents_are_restarted_once_and_the_policies_change_meanwhile(
    server: ApiServer,
) -> None:
    cluster = connected(server, *NAMES)
    cluster.sync(STATE)
    before = {name: uid(server, name) for name in ("agent", "controller", "stranger")}
    server.calls.clear()
    restarted = replace(STATE, policies=(), agent_restarts=1)
    cluster.sync(restarted)
    deleted = [(call.kind, call.name) for call in server.calls if call.verb == "delete"]
    assert deleted == [("Pod", "agent"), ("NetworkPolicy", "deny")]
    after = {name: uid(server, name) for name in before}
    assert after["agent"] not in {None, before["agent"]}
    assert (after["controller"], after["stranger"]) == (before["controller"], before["stranger"])

    cluster.sync(restarted)
    cluster.sync(STATE)
    assert uid(server, "agent") == after["agent"]
    cluster.sync(replace(STATE, agent_restarts=1))
    assert uid(server, "agent") != after["agent"]


def test_a_sync_returns_when_the_agents_are_ready_again(server: ApiServer) -> None:
    cluster = connected(server, *NAMES)
    cluster.sync(STATE)
    server.state.delays.ready = 50
    began = server.clock.now()
    cluster.sync(replace(STATE, agent_restarts=1))
    assert 50 < server.clock.now() - began < 60
    daemon_set = server.state.found("apps/v1", "DaemonSet", "cni", "cni-node")
    assert daemon_set is not None
    assert daemon_set["status"] == {"numberReady": 1}


def test_a_status_that_is_older_than_the_restart_ends_no_wait(server: ApiServer) -> None:
    cluster = connected(server, *NAMES)
    cluster.sync(STATE)
    server.state.delays.ready = 50
    server.state.delays.counted = 30
    began = server.clock.now()
    cluster.sync(replace(STATE, agent_restarts=1))
    assert 50 < server.clock.now() - began < 90


def test_agents_that_do_not_come_back_are_named(server: ApiServer) -> None:
    cluster = connected(server, *NAMES)
    cluster.sync(STATE)
    server.state.delays.ready = 10_000
    with pytest.raises(ClusterError, match="DaemonSet cni-node: ready on 0 of 1 nodes"):
        cluster.sync(replace(STATE, agent_restarts=1))


@pytest.mark.parametrize("names", [(), NAMES[1:], ("DaemonSet/cni/other",)])
def test_without_a_known_agent_nothing_is_deleted(
    server: ApiServer, names: tuple[str, ...]
) -> None:
    cluster = connected(server, *names)
    cluster.sync(STATE)
    server.calls.clear()
    with pytest.raises(ClusterError, match="no DaemonSet of them has a pod"):
        cluster.sync(replace(STATE, agent_restarts=1))
    assert not [call for call in server.calls if call.is_change]


def test_a_user_who_may_not_delete_them_is_told(server: ApiServer) -> None:
    cluster = connected(server, *NAMES)
    cluster.sync(STATE)
    server.refusals.append(("delete", "Pod", 403, "forbidden"))
    with pytest.raises(ClusterError, match="the agent cni/agent cannot be restarted: forbidden"):
        cluster.sync(replace(STATE, agent_restarts=1))


def test_only_a_cluster_with_known_agents_has_the_feature(server: ApiServer) -> None:
    assert "agents" in connected(server, *NAMES).capabilities.features
    assert "agents" not in connected(server).capabilities.features
