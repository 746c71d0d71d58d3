"""The pods that stand for workloads."""

from __future__ import annotations

import io

from harness.application import read
from harness.application.state import deployed

WORKLOAD = """\
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: c}}]}}}}
"""


def pods(*workloads: tuple[str, str, int]) -> list[list[str]]:
    text = "---\n".join(
        WORKLOAD.format(kind=kind, name=name, replicas=replicas)
        for kind, name, replicas in workloads
    )
    found = read(["-"], stdin=io.BytesIO(text.encode()))
    return [[pod.name for pod in item.pods] for item in deployed(found)]


def test_a_workload_with_a_name_of_its_own() -> None:
    found = pods(("Deployment", "a", 1), ("Deployment", "b", 3), ("StatefulSet", "c", 12))
    assert found == [["a"], ["b-1", "b-2"], [f"c-{number}" for number in range(10)]]


def test_workloads_with_one_name_have_their_kind_in_the_names_of_their_pods() -> None:
    found = pods(("Deployment", "a", 1), ("ReplicaSet", "a", 2), ("StatefulSet", "a", 1))
    assert found == [["a-deployment"], ["a-replicaset-1", "a-replicaset-2"], ["a-0"]]


def test_no_two_pods_have_one_name() -> None:
    found = pods(("Deployment", "a", 2), ("Deployment", "a-1", 1), ("StatefulSet", "a", 2))
    assert found == [
        ["a-deployment-1", "a-deployment-2"],
        ["a-1"],
        ["a-statefulset-0", "a-statefulset-1"],
    ]
    assert pods(("Deployment", "a", 2), ("Deployment", "a-2", 1)) == [
        ["a-1", "a-2"],
        ["a-2-deployment"],
    ]
