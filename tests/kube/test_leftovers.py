"""What dead runs left is removed, and nothing of a run that may be alive."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import pytest

from harness.cluster.kube import Cleaning, KubeCluster, KubeSettings, Leftover, leftovers
from harness.cluster.kube.heartbeat import Heartbeats
from harness.cluster.kube.identity import Life, Machine, Owner
from harness.cluster.kube.leftovers import Decision, Runs
from harness.cluster.kube.objects import OWNER_LABEL, PROCESS_ANNOTATION, RUN_LABEL
from harness.model import Namespace, State

from .apiserver import ApiServer, Call, Chance, DirectApi, Fault, Faults
from .test_no_harm import NODE, thing

HERE = Machine()
ME = HERE.this_process()
ALIVE = replace(ME, pid=1, started=HERE._started(1) or "")
DEAD = replace(ALIVE, started="1")
AWAY = Owner("another boot", 7, "100", "ci-7")
RUNNING = "process 1 on this machine is running"
ENDED = "process 1 on this machine has ended"
SEEN = "process 7 on ci-7 cannot be seen from here"
UNREAD = f"{SEEN}, and heartbeats cannot be read: leases is forbidden"


def test_the_owners_are_what_they_are_called() -> None:
    assert [HERE.life(owner) for owner in (ALIVE, DEAD, AWAY)] == [
        Life.RUNNING,
        Life.OVER,
        Life.UNKNOWN,
    ]


def beats(age_s: float) -> Heartbeats:
    return Heartbeats({str(AWAY): age_s})


NONE, FORBIDDEN = Heartbeats(), Heartbeats(fault="leases is forbidden")
HOW = "; `netpol clean --run=r1` removes it"


@pytest.mark.parametrize(
    ("owner", "heartbeats", "decision"),
    [
        (ALIVE, NONE, Decision(False, RUNNING)),
        (DEAD, NONE, Decision(True, ENDED)),
        # Here the process decides, whatever its heartbeat says.
        (DEAD, Heartbeats({str(DEAD): 1.0}), Decision(True, ENDED)),
        (ALIVE, Heartbeats({str(ALIVE): 999.0}), Decision(False, RUNNING)),
        (AWAY, NONE, Decision(False, f"{SEEN}, and has no heartbeat{HOW}")),
        (
            AWAY,
            Heartbeats({str(DEAD): 999.0}),
            Decision(False, f"{SEEN}, and has no heartbeat{HOW}"),
        ),
        (AWAY, beats(-5.0), Decision(False, f"{SEEN}, and had a heartbeat 0 s ago")),
        (AWAY, beats(42.4), Decision(False, f"{SEEN}, and had a heartbeat 42 s ago")),
        (AWAY, beats(599.0), Decision(False, f"{SEEN}, and had a heartbeat 599 s ago")),
        (AWAY, beats(600.0), Decision(True, f"{SEEN}, and its heartbeat stopped 10 minutes ago")),
        (
            AWAY,
            FORBIDDEN,
            Decision(False, f"{UNREAD}{HOW}"),
        ),
    ],
)  # fmt: skip
def test_a_run_is_over_only_when_that_is_sure(
    owner: Owner, heartbeats: Heartbeats, decision: Decision
) -> None:
    assert Runs(heartbeats).decide("r1", str(owner)) == decision


@pytest.mark.parametrize(
    ("owner", "heartbeats", "decision"),
    [
        (ALIVE, NONE, Decision(False, RUNNING)),
        (DEAD, NONE, Decision(True, ENDED)),
        (ME, NONE, Decision(True, "this process made it")),
        (AWAY, NONE, Decision(True, f"{SEEN}, and has no heartbeat")),
        (AWAY, FORBIDDEN, Decision(True, UNREAD)),
        (AWAY, beats(599.0), Decision(False, f"{SEEN}, and had a heartbeat 599 s ago")),
        (AWAY, beats(600.0), Decision(True, f"{SEEN}, and its heartbeat stopped 10 minutes ago")),
    ],
)  # fmt: skip
def test_a_run_that_is_named_is_over_unless_it_is_known_to_be_alive(
    owner: Owner, heartbeats: Heartbeats, decision: Decision
) -> None:
    named = Runs(heartbeats, "r1")
    assert named.decide("r1", str(owner)) == decision
    assert named.decide("r2", str(DEAD)) == Decision(False, "it belongs to run r2")


@pytest.mark.parametrize("named", [None, "r1"])
def test_what_names_no_process_is_nobodys_to_delete(named: str | None) -> None:
    expected = Decision(False, "it does not name the process that made it")
    for process in ("", "me", '{"host": "h", "pid": 1, "started": "2"}'):
        assert Runs(NONE, named).decide("r1", process) == expected


# ------------------------------------------------------------------ on a cluster


@pytest.fixture
def server() -> ApiServer:
    server = ApiServer()
    server.state.put(NODE)
    server.clock.sleep(3600)
    return server


@pytest.fixture
def api(server: ApiServer) -> DirectApi:
    return DirectApi(server)


def namespace(server: ApiServer, name: str, owner: Owner | None, run: str = "r1") -> None:
    annotations = {} if owner is None else {PROCESS_ANNOTATION: str(owner)}
    labels = {RUN_LABEL: run, OWNER_LABEL: "netpol-harness"}
    server.state.put(thing("v1", "Namespace", name, labels=labels, annotations=annotations))


def lease(server: ApiServer, home: str, owner: Owner, renewed: str, run: str = "r1") -> None:
    marks: dict[str, Any] = {
        "labels": {RUN_LABEL: run},
        "annotations": {PROCESS_ANNOTATION: str(owner)},
    }
    item = thing("coordination.k8s.io/v1", "Lease", "heartbeat", home, **marks)
    server.state.put(item | {"spec": {"renewTime": renewed}})


def cleaned(server: ApiServer, api: DirectApi, run: str | None = None) -> Cleaning:
    return leftovers.clean(api, leftovers.runs(api, run, server.clock), server.clock)


def names(server: ApiServer) -> list[str]:
    server.clock.sleep(60)
    server.state.catch_up()
    return sorted(key[3] for key in server.state.objects if key[1] == "Namespace")


def test_clean_removes_what_dead_runs_left_and_says_why_the_rest_is_kept(
    server: ApiServer, api: DirectApi
) -> None:
    namespace(server, "alive", ALIVE)
    namespace(server, "dead", DEAD)
    namespace(server, "silent", AWAY)
    namespace(server, "unmarked", None)
    server.state.put(thing("v1", "Namespace", "production"))
    found = cleaned(server, api)
    assert found == Cleaning(
        removed=(Leftover("namespace dead", ENDED),),
        kept=(
            Leftover("namespace alive", RUNNING),
            Leftover("namespace silent", f"{SEEN}, and has no heartbeat{HOW}"),
            Leftover("namespace unmarked", "it does not name the process that made it"),
        ),
    )
    assert names(server) == ["alive", "production", "silent", "unmarked"]
    assert str(found.removed[0]) == f"namespace dead: {ENDED}"


def test_a_run_elsewhere_goes_when_its_heartbeat_stopped_and_its_lease_goes_last(
    server: ApiServer, api: DirectApi
) -> None:
    other = replace(AWAY, pid=8)
    for owner, run, renewed in (
        (AWAY, "r1", "2026-01-01T00:49:00.000000Z"),
        (other, "r2", "2026-01-01T00:59:30.000000Z"),
    ):
        namespace(server, f"{run}-main-heartbeat", owner, run)
        lease(server, f"{run}-main-heartbeat", owner, renewed, run)
        namespace(server, f"{run}-main-s-db", owner, run)
    found = cleaned(server, api)
    why = f"{SEEN}, and its heartbeat stopped 11 minutes ago"
    assert found.removed == (
        Leftover("namespace r1-main-s-db", why),
        Leftover("namespace r1-main-heartbeat", why),
    )
    assert [item.name for item in found.kept] == [
        "namespace r2-main-s-db",
        "namespace r2-main-heartbeat",
    ]
    assert names(server) == ["r2-main-heartbeat", "r2-main-s-db"]


def test_of_a_run_that_is_named_nothing_else_is_looked_at(
    server: ApiServer, api: DirectApi
) -> None:
    namespace(server, "mine", ME)
    namespace(server, "other", DEAD, run="r2")
    assert cleaned(server, api, "r1") == Cleaning(
        removed=(Leftover("namespace mine", "this process made it"),)
    )
    assert names(server) == ["other"]


def test_what_is_being_deleted_is_left_to_it(server: ApiServer, api: DirectApi) -> None:
    namespace(server, "dead", DEAD)
    assert len(cleaned(server, api).removed) == 1
    assert cleaned(server, api) == Cleaning(
        kept=(Leftover("namespace dead", "it is being deleted already"),)
    )


def test_a_namespace_that_took_the_name_of_a_dead_one_is_not_deleted(
    server: ApiServer, api: DirectApi
) -> None:
    namespace(server, "dead", DEAD)

    def replaced(call: Call) -> None:
        if call.verb == "delete":
            server.state.drop("v1", "Namespace", "", "dead")
            server.state.put(thing("v1", "Namespace", "dead", labels={"theirs": "yes"}))

    server.before = replaced
    cleaned(server, api)
    assert names(server) == ["dead"]
    now = server.state.found("v1", "Namespace", "", "dead")
    assert now is not None
    assert now["metadata"]["labels"]["theirs"] == "yes"


def test_one_namespace_that_cannot_be_deleted_does_not_keep_the_others(
    server: ApiServer, api: DirectApi
) -> None:
    namespace(server, "dead-1", DEAD)
    namespace(server, "dead-2", DEAD)

    def forbids(call: Call) -> Fault | None:
        return Fault.FORBIDDEN if (call.verb, call.name) == ("delete", "dead-1") else None

    server.faults = forbids
    found = cleaned(server, api)
    why = 'Namespace "dead-1" is forbidden: exceeded quota: all'
    assert found.failed == (Leftover("namespace dead-1", why),)
    assert [item.name for item in found.removed] == ["namespace dead-2"]
    assert names(server) == ["dead-1"]


CALICO = "crd.projectcalico.org/v1"


def global_policy(server: ApiServer, name: str, owner: Owner | None) -> None:
    marks = {} if owner is None else {PROCESS_ANNOTATION: str(owner)}
    labels = {} if owner is None else {RUN_LABEL: "r1", OWNER_LABEL: "netpol-harness"}
    server.state.put(thing(CALICO, "GlobalNetworkPolicy", name, labels=labels, annotations=marks))


def global_policies(server: ApiServer) -> list[str]:
    return sorted(key.name for key in server.state.objects if key.kind == "GlobalNetworkPolicy")


def test_clean_removes_objects_of_the_whole_cluster_before_namespaces(
    server: ApiServer, api: DirectApi
) -> None:
    namespace(server, "dead", DEAD)
    global_policy(server, "deny", DEAD)
    global_policy(server, "alive", ALIVE)
    global_policy(server, "theirs", None)
    assert cleaned(server, api) == Cleaning(
        removed=(Leftover("GlobalNetworkPolicy deny", ENDED), Leftover("namespace dead", ENDED)),
        kept=(Leftover("GlobalNetworkPolicy alive", RUNNING),),
    )
    assert global_policies(server) == ["alive", "theirs"]


@pytest.mark.parametrize(
    ("version", "kind", "name"),
    [
        ("v1alpha2", "ClusterNetworkPolicy", "r1-main-s-closed"),
        ("v1alpha1", "AdminNetworkPolicy", "r1-main-s-closed"),
        ("v1alpha1", "BaselineAdminNetworkPolicy", "default"),
    ],
)
def test_clean_removes_the_policies_in_tiers_of_a_run_that_is_over(
    server: ApiServer, api: DirectApi, version: str, kind: str, name: str
) -> None:
    namespace(server, "dead", DEAD)
    labels = {RUN_LABEL: "r1", OWNER_LABEL: "netpol-harness"}
    marks = {PROCESS_ANNOTATION: str(DEAD)}
    version = f"policy.networking.k8s.io/{version}"
    server.state.put(thing(version, kind, name, labels=labels, annotations=marks))
    server.state.put(thing(version, kind, "theirs"))
    assert cleaned(server, api).removed == (
        Leftover(f"{kind} {name}", ENDED),
        Leftover("namespace dead", ENDED),
    )
    assert [key.name for key in server.state.objects if key.kind == kind] == ["theirs"]


def test_clean_names_the_kinds_that_it_could_not_look_at(
    server: ApiServer, api: DirectApi
) -> None:
    namespace(server, "dead", DEAD)
    global_policy(server, "deny", DEAD)
    server.refusals.append(("list", "GlobalNetworkPolicy", 403, "forbidden"))
    server.refusals.append(("list", "StorageClass", 403, "forbidden as well"))
    found = cleaned(server, api)
    assert found.removed == (Leftover("namespace dead", ENDED),)
    why = "the run may have left objects of these kinds: forbidden"
    assert found.unseen == (Leftover("GlobalNetworkPolicy, StorageClass", why),)


def test_kinds_that_never_answer_are_waited_for_together(
    server: ApiServer, api: DirectApi
) -> None:
    """One deadline, however many they are; what answers is removed all the same."""
    namespace(server, "dead", DEAD)
    global_policy(server, "deny", DEAD)
    silent = {"StorageClass", "ServiceCIDR", "FelixConfiguration"}

    def unavailable(call: Call) -> Fault | None:
        return Fault.UNAVAILABLE if call.verb == "list" and call.kind in silent else None

    server.faults = unavailable
    began = server.clock.now()
    found = cleaned(server, api)
    assert server.clock.now() - began < 40
    assert [item.name for item in found.removed] == ["GlobalNetworkPolicy deny", "namespace dead"]
    assert [item.name for item in found.unseen] == [", ".join(sorted(silent))]


@pytest.mark.parametrize("seed", range(20))
def test_clean_rides_out_errors_and_touches_nothing_else(
    server: ApiServer, api: DirectApi, seed: int
) -> None:
    namespace(server, "alive", ALIVE)
    namespace(server, "dead", DEAD)
    global_policy(server, "deny", DEAD)
    before = json.dumps(server.state.found("v1", "Namespace", "", "alive"))
    transient = (Fault.INTERNAL, Fault.UNAVAILABLE, Fault.BROKEN, Fault.LOST_BROKEN)
    server.faults = Faults(Chance(seed, 50), transient).of
    removed = ["GlobalNetworkPolicy deny", "namespace dead"]
    assert [item.name for item in cleaned(server, api).removed] == removed
    assert json.dumps(server.state.found("v1", "Namespace", "", "alive")) == before
    assert names(server) == ["alive"]


def test_clean_finds_what_a_killed_run_made(server: ApiServer, api: DirectApi) -> None:
    """A run as it is, then as it looks from another boot when it is killed."""
    settings = KubeSettings(run="r1", clock=server.clock)
    cluster = KubeCluster(settings, api)
    cluster.sync(State("s", (Namespace("db"),)))
    assert cleaned(server, api).removed == ()
    elsewhere = Machine(output=lambda *_: "", proc=HERE.proc / "none")

    def seen_from_elsewhere() -> list[str]:
        known = replace(leftovers.runs(api, None, server.clock), machine=elsewhere)
        found = leftovers.clean(api, known, server.clock)
        return [item.name for item in found.removed]

    server.clock.sleep(599)
    assert seen_from_elsewhere() == []
    server.clock.sleep(2)
    assert seen_from_elsewhere() == ["namespace r1-main-s-db", "namespace r1-main-heartbeat"]
    assert names(server) == []
    assert ME.pid == os.getpid()
    assert cluster.close() == ()
