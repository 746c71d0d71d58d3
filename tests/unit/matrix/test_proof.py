"""What packets show of the pairs of a matrix, on a scripted cluster."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from harness.application import read
from harness.cli.matrix import shown_by
from harness.errors import ClusterError
from harness.matrix import Cell, Matrix, Packets, Seen, Word, judged
from harness.matrix.formats import csv_text, json_text, markdown
from harness.matrix.proof import MOST_PODS, proven
from harness.matrix.text import packets
from harness.model import PodRef, Probe, ProbeError, State, Verdict
from tests.fakes import EVERYTHING, Answer, FakeCluster, FakeTime, by_the_book, enforces_nothing

SHOP = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, ports: [{containerPort: 5432}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: lost, namespace: shop}
spec: {selector: {app: lost}, ports: [{port: 9}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
"""
HOST_PODS = """\
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: one, namespace: shop}
spec:
  template:
    metadata: {labels: {app: one}}
    spec: {hostNetwork: true, containers: [{name: c, ports: [{containerPort: 9100}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: two, namespace: shop}
spec: {hostNetwork: true, containers: [{name: c, ports: [{containerPort: 9100}]}]}
"""
KUBE_SYSTEM = """\
---
apiVersion: v1
kind: Pod
metadata: {name: metrics, namespace: kube-system, labels: {app: metrics}}
spec: {containers: [{name: c, ports: [{containerPort: 4443}]}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: l7, namespace: kube-system}
"""


def matrix(manifests: str = SHOP) -> Matrix:
    return judged(read(["-"], stdin=io.BytesIO(manifests.encode())))


def proof(cluster: FakeCluster, made: Matrix) -> Matrix:
    return replace(made, cells=proven(cluster, made.state, made.cells))


def seen(found: Matrix, source: str, destination: str) -> Packets:
    (cell,) = (c for c in found.cells if (c.source, c.destination) == (source, destination))
    assert cell.packets is not None
    return cell.packets


def answering(pair: str, answer: Answer) -> FakeCluster:
    """A cluster by the book, but for one pair."""

    def answers(state: State, probe: Probe) -> Verdict | ProbeError:
        return answer(state, probe) if str(probe) == pair else by_the_book(state, probe)

    time = FakeTime()
    return FakeCluster(answers, clock=time.clock)


def test_a_cluster_that_does_what_the_policies_say() -> None:
    cluster = FakeCluster()
    found = proof(cluster, matrix())
    assert packets(found.cells) == [
        "packets: 10 agree, 2 not probed",
        "  not probed: 2, since nothing would answer",
    ]
    assert shown_by(found.cells) == 0
    assert [bool(state.policies) for state in cluster.synced] == [False, True]  # a control step


def test_a_denial_that_is_not_enforced() -> None:
    found = proof(FakeCluster(enforces_nothing), matrix())
    why = "external/outside -> shop/db:5432 gives allowed, not TIMEOUT"
    assert seen(found, "outside", "shop/db:5432") == Packets(Seen.DISAGREES, (why,))
    assert packets(found.cells) == [
        "packets: 9 agree, 1 DISAGREE, 2 not probed",
        "  disagrees: outside -> shop/db:5432: denied",
        f"      {why}",
        "  not probed: 2, since nothing would answer",
    ]
    assert shown_by(found.cells) == 1
    assert ",shop/db:5432,denied,disagrees\n" in csv_text(found)
    assert '"seen": "disagrees"' in json_text(found)
    assert f"- {why}\n" in markdown(found)


def test_a_denial_of_a_pair_that_never_connects_proves_nothing() -> None:
    cluster = answering("external/outside -> shop/db:5432", lambda *_: Verdict.TIMEOUT)
    found = proof(cluster, matrix())
    why = "external/outside -> shop/db:5432 does not connect without policies either"
    assert seen(found, "outside", "shop/db:5432") == Packets(Seen.UNPROVEN, (why,))
    assert shown_by(found.cells) == 1


def test_a_pair_that_is_closed_against_the_policies() -> None:
    def closed_by_policies(state: State, probe: Probe) -> Verdict:
        return Verdict.TIMEOUT if state.policies else Verdict.ALLOWED

    found = proof(answering("shop/web -> shop/db:5432", closed_by_policies), matrix())
    why = "shop/web -> shop/db:5432 gives TIMEOUT, not allowed"
    assert seen(found, "shop/web", "shop/db:5432") == Packets(Seen.DISAGREES, (why,))


def test_a_pair_that_is_closed_without_policies_too() -> None:
    found = proof(answering("shop/web -> shop/db:5432", lambda *_: Verdict.TIMEOUT), matrix())
    why = "shop/web -> shop/db:5432 does not connect without policies either"
    assert seen(found, "shop/web", "shop/db:5432") == Packets(Seen.UNPROVEN, (why,))


def test_a_pair_without_a_verdict() -> None:
    broken = ProbeError("the source is gone")
    found = proof(answering("shop/web -> shop/db:5432", lambda *_: broken), matrix())
    why = "shop/web -> shop/db:5432: the source is gone"
    assert seen(found, "shop/web", "shop/db:5432") == Packets(Seen.NO_VERDICT, (why,))
    assert shown_by(found.cells) == 3


def test_what_the_cluster_has_itself_is_not_probed() -> None:
    cluster = FakeCluster()
    found = proof(cluster, matrix(SHOP + KUBE_SYSTEM))
    of_its_own = Packets(Seen.NOT_PROBED, ("its policies are not judged",))
    assert seen(found, "shop/web", "kube-system/metrics:4443") == of_its_own
    assert seen(found, "shop/web", "shop/db:5432") == Packets(Seen.AGREES)
    assert all(pod.namespace == "shop" for state in cluster.synced for pod in state.pods)
    assert all(m.kind == "NetworkPolicy" for state in cluster.synced for m in state.policies)
    judged_too = proof(FakeCluster(), matrix(SHOP + KUBE_SYSTEM.split("---\napiVersion: c")[0]))
    own = Packets(Seen.NOT_PROBED, ("fake has a kube-system of its own",))
    assert seen(judged_too, "shop/web", "kube-system/metrics:4443") == own


def test_pods_on_host_networks_share_a_node() -> None:
    cluster = FakeCluster()
    found = proof(cluster, matrix(SHOP + HOST_PODS))
    on_nodes = {(pod.name, pod.node, len(pod.ports)) for pod in cluster.synced[0].pods}
    assert on_nodes == {("web", 1, 1), ("db", 1, 1), ("one-1", 2, 1), ("one-2", 2, 0),
                        ("two", 2, 0)}  # fmt: skip
    assert seen(found, "shop/web", "shop/two:9100") == Packets(Seen.AGREES)


def test_a_cluster_without_sctp() -> None:
    sctp = SHOP.replace("containerPort: 5432", "containerPort: 5432, protocol: SCTP")
    lacks = replace(EVERYTHING, features=EVERYTHING.features - {"sctp"})
    cluster = FakeCluster(capabilities=lacks)
    found = proof(cluster, matrix(sctp))
    why = Packets(Seen.NOT_PROBED, ("fake has no SCTP",))
    assert seen(found, "shop/web", "shop/db:5432/SCTP") == why
    pod = cluster.synced[0].pod(PodRef("shop", "db"))
    assert pod is not None
    assert pod.ports == ()


def test_too_many_pods() -> None:
    one = matrix().state
    many = replace(one, pods=one.pods * MOST_PODS)
    with pytest.raises(ClusterError) as caught:
        proven(FakeCluster(), many, [])
    assert caught.value.message == "1000 pods are too many to be probed"


def test_nothing_to_probe() -> None:
    cells = [Cell("a", "b", Word.NO_ENDPOINT)]
    found = proven(FakeCluster(), matrix().state, cells)
    assert found == (
        replace(cells[0], packets=Packets(Seen.NOT_PROBED, ("nothing would answer",))),
    )
    assert shown_by(found) == 3
