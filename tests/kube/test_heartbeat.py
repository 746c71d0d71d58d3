"""A run shows that it is alive, on the API server's clock."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.cluster.kube import KubeCluster, KubeSettings, heartbeat
from harness.cluster.kube.api import ApiError
from harness.cluster.kube.heartbeat import Heartbeat, Pace
from harness.cluster.kube.identity import Machine
from harness.cluster.kube.objects import PROCESS_ANNOTATION, RUN_LABEL, WORKER_LABEL, Naming
from harness.cluster.kube.owned import Owned
from harness.errors import ClusterError, HarnessWarning
from harness.model import Namespace, State

from .apiserver import ApiServer, Call, DirectApi, Fault
from .cluster_state import Object
from .test_no_harm import NODE, thing

NAMING = Naming("r1", "gw0")
HOME = "r1-gw0-heartbeat"
PROCESS = str(Machine().this_process())
STATE = State("s", (Namespace("db"),))


@pytest.fixture
def server() -> ApiServer:
    server = ApiServer()
    server.state.put(NODE)
    return server


@pytest.fixture
def api(server: ApiServer) -> DirectApi:
    return DirectApi(server)


@pytest.fixture
def beating(server: ApiServer, api: DirectApi) -> Iterator[Callable[[Pace], Heartbeat]]:
    made: list[Heartbeat] = []

    def make(pace: Pace) -> Heartbeat:
        made.append(Heartbeat(Owned(api, NAMING.labels, PROCESS, server.clock), NAMING, pace))
        return made[-1]

    yield make
    for item in made:
        item.stop()


def lease(server: ApiServer) -> Object:
    found = server.state.found("coordination.k8s.io/v1", "Lease", HOME, "heartbeat")
    assert found is not None
    return found


def renewed(server: ApiServer) -> str:
    return str(lease(server)["spec"]["renewTime"])


def soon(holds: Callable[[], bool]) -> None:
    """Wait for another thread to do what it was told to do."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def beats() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("heartbeat-")}


def created(server: ApiServer) -> list[str]:
    return [call.name for call in server.calls if call.verb == "create"]


def test_it_is_a_lease_in_a_namespace_of_its_own(
    server: ApiServer, beating: Callable[[Pace], Heartbeat]
) -> None:
    server.clock.sleep(90)
    item = beating(Pace())
    item.start()
    item.start()
    for found in (lease(server), server.state.found("v1", "Namespace", "", HOME)):
        assert found is not None
        metadata = found["metadata"]
        assert metadata["labels"].items() >= {RUN_LABEL: "r1", WORKER_LABEL: "gw0"}.items()
        assert metadata["annotations"][PROCESS_ANNOTATION] == PROCESS
    assert renewed(server) == "2026-01-01T00:01:30.000000Z"
    assert created(server) == [HOME, "heartbeat"]


def test_it_is_renewed_until_it_stops(
    server: ApiServer, beating: Callable[[Pace], Heartbeat]
) -> None:
    before = beats()
    item = beating(Pace(renew_s=0.01))
    item.start()
    server.clock.sleep(60)
    soon(lambda: renewed(server) == "2026-01-01T00:01:00.000000Z")
    server.clock.sleep(60)
    soon(lambda: renewed(server) == "2026-01-01T00:02:00.000000Z")
    item.stop()
    soon(lambda: beats() <= before)
    assert item.remove() == (f"Namespace {HOME}",)
    server.clock.sleep(5)
    assert item.remove() == ()
    assert server.state.found("v1", "Namespace", "", HOME) is None


def test_a_renewal_that_fails_is_tried_again_sooner(
    server: ApiServer, beating: Callable[[Pace], Heartbeat]
) -> None:
    item = beating(Pace(renew_s=0.01, retry_s=0.01))
    item.start()
    server.faults = lambda _: Fault.FORBIDDEN
    before = len(server.calls)
    soon(lambda: len(server.calls) > before + 3)
    server.clock.sleep(60)
    server.faults = lambda _: None
    soon(lambda: renewed(server) == "2026-01-01T00:01:00.000000Z")


def test_a_lease_that_somebody_else_made_in_its_place_is_not_renewed(
    server: ApiServer, beating: Callable[[Pace], Heartbeat]
) -> None:
    item = beating(Pace(renew_s=0.01, retry_s=0.01))
    item.start()
    server.state.drop("coordination.k8s.io/v1", "Lease", HOME, "heartbeat")
    server.state.put(thing("coordination.k8s.io/v1", "Lease", "heartbeat", HOME) | {"spec": {}})
    before = len(server.calls)
    soon(lambda: len(server.calls) > before + 3)
    assert lease(server)["spec"] == {}


@pytest.mark.parametrize("kind", ["Namespace", "Lease"])
def test_without_the_right_a_run_goes_on_and_says_so_once(
    server: ApiServer, kind: str, beating: Callable[[Pace], Heartbeat]
) -> None:
    server.refusals.append(("create", kind, 403, "leases is forbidden"))
    item = beating(Pace(renew_s=0.01))
    before = beats()
    with pytest.warns(HarnessWarning) as caught:
        item.start()
    item.start()
    assert [str(warning.message) for warning in caught] == [
        "run r1 has no heartbeat: leases is forbidden; if it is killed, `netpol clean` on "
        "another machine cannot tell that it is over (docs/rbac.yaml grants what is needed)"
    ]
    assert beats() <= before


def test_an_error_that_is_no_missing_right_is_an_error(
    server: ApiServer, beating: Callable[[Pace], Heartbeat]
) -> None:
    server.refusals.append(("create", "Lease", 422, "spec: invalid"))
    with pytest.raises(ApiError, match="spec: invalid"):
        beating(Pace()).start()


def test_a_namespace_of_that_name_of_another_user_is_left_alone(
    server: ApiServer, beating: Callable[[Pace], Heartbeat]
) -> None:
    theirs = server.state.put(thing("v1", "Namespace", HOME, labels=NAMING.labels))
    copy = json.dumps(theirs)
    item = beating(Pace())
    with pytest.raises(ClusterError) as caught:
        item.start()
    assert str(caught.value) == (
        f"Namespace {HOME} already exists and was not created by this run\n"
        "hint: netpol never changes objects that it did not create: delete it yourself, "
        "or choose another name"
    )
    assert item.remove() == ()
    assert json.dumps(server.state.found("v1", "Namespace", "", HOME)) == copy


# ------------------------------------------------------------------ in a cluster's life


def test_a_cluster_has_a_heartbeat_before_it_makes_anything(
    server: ApiServer, api: DirectApi
) -> None:
    cluster = KubeCluster(KubeSettings(run="r1", clock=server.clock), api)
    assert created(server) == []
    cluster.sync(STATE)
    assert created(server) == ["r1-main-heartbeat", "heartbeat", "r1-main-s-db"]
    assert cluster.close() == ()
    assert [key for key in server.state.objects if key[1] in {"Namespace", "Lease"}] == []


def test_while_something_cannot_be_deleted_the_lease_stays_to_show_when_the_run_ended(
    server: ApiServer, api: DirectApi
) -> None:
    before = beats()
    cluster = KubeCluster(KubeSettings(run="r1", clock=server.clock), api)
    cluster.sync(STATE)

    def keeps(call: Call) -> Fault | None:
        return Fault.FORBIDDEN if (call.verb, call.name) == ("delete", "r1-main-s-db") else None

    server.faults = keeps
    assert cluster.close() == (
        'Namespace r1-main-s-db: Namespace "r1-main-s-db" is forbidden: exceeded quota: all',
        "Namespace r1-main-heartbeat: it is kept until the rest is gone",
    )
    assert server.state.found("coordination.k8s.io/v1", "Lease", "r1-main-heartbeat", "heartbeat")
    soon(lambda: beats() <= before)


# ------------------------------------------------------------------ reading


def put_lease(server: ApiServer, name: str, owner: str | None, renew: object) -> None:
    annotations = {} if owner is None else {PROCESS_ANNOTATION: owner}
    marks: dict[str, Any] = {"labels": {RUN_LABEL: "r1"}, "annotations": annotations}
    item = thing("coordination.k8s.io/v1", "Lease", "heartbeat", name, **marks)
    server.state.put(item | {"spec": {"renewTime": renew}})


def test_ages_are_by_owner_and_by_the_servers_clock(server: ApiServer, api: DirectApi) -> None:
    server.clock.sleep(3600)
    put_lease(server, "a", "one", "2026-01-01T00:59:00.000000Z")
    put_lease(server, "b", "one", "2026-01-01T00:30:00Z")
    put_lease(server, "c", "two", "2026-01-01T00:00:00.5Z")
    put_lease(server, "d", "future", "2026-01-01T02:00:00Z")
    put_lease(server, "e", "unreadable", "yesterday")
    put_lease(server, "f", "none", None)
    put_lease(server, "g", None, "2026-01-01T00:59:00Z")
    server.state.put(thing("coordination.k8s.io/v1", "Lease", "kubelet", "kube-node-lease"))
    found = heartbeat.read(api)
    assert found.ages_s == {"one": 60.0, "two": 3599.5, "future": -3600.0}
    assert found.namespaces == frozenset("abcdefg")
    assert found.fault is None


def test_without_the_right_to_list_leases_nothing_is_known(
    server: ApiServer, api: DirectApi
) -> None:
    server.refusals.append(("list", "Lease", 403, "leases is forbidden"))
    found = heartbeat.read(api)
    assert (found.ages_s, found.fault) == ({}, "leases is forbidden")
