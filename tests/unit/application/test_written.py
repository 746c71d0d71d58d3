"""Where the parts of objects stand, what authors tell netpol, and objects of custom kinds."""

from __future__ import annotations

import io

import pytest

from harness.application import Application, CustomObject, Remark, WorkloadKind, read
from harness.documents.written import Written
from harness.errors import Location
from harness.model import Labels

TEXT = """\
# netpol: about the policy
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  annotations: {lint.netpol.harness/comment: "about all of it"}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from:
    - podSelector: {}
    - namespaceSelector: {}  # netpol: about a line
    ports: [{port: 80}, {port: 81}]
---
apiVersion: v1
kind: List
items:
- apiVersion: batch/v1
  kind: CronJob
  metadata: {name: job}
  spec:
    jobTemplate:
      spec:
        template:
          metadata:
            labels:
              app: job
          spec: {containers: [{name: c}]}
- apiVersion: monitoring.coreos.com/v1
  kind: Prometheus
  metadata: {name: k8s, namespace: monitoring, labels: {app: prometheus, n: 1}}
---
apiVersion: example.com/v1
kind: Database
metadata: {name: main}
---
apiVersion: example.com/v1
kind: Nameless
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: makes-no-pods}
"""


def app(text: str) -> Application:
    return read(["-"], "shop", io.BytesIO(text.encode()))


def at(line: int, column: int) -> Location:
    return Location("stdin", line, column)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("spec", "podSelector", "matchLabels", "app"), at(8, 31)),
        (("spec", "ingress", 0), at(10, 5)),
        (("spec", "ingress", 0, "from", 1), at(12, 7)),
        (("spec", "ingress", 0, "ports", 1, "port"), at(13, 26)),
        (("spec", "ingress", 0, "from", 9), at(10, 5)),
        (("spec", "egress", 0), at(7, 1)),
    ],
)
def test_the_parts_of_a_policy(path: tuple[str | int, ...], place: Location) -> None:
    found = app(TEXT)
    (policy,) = found.policies
    assert policy.location is not None
    assert found.written.at(policy.location, path) == place


def test_a_label_of_a_workload_in_a_list() -> None:
    found = app(TEXT)
    (job,) = found.workloads
    path = (*job.kind.template, "metadata", "labels", "app")
    assert found.written.at(job.location, path) == at(27, 15)


@pytest.mark.parametrize(
    ("path", "is_there"),
    [
        (("spec", "ingress", 0, "from", 1), True),
        (("spec", "ingress", 1), False),
        (("spec", "policyTypes"), False),
        (("spec", "podSelector", "matchLabels", "app", "x"), False),
    ],
)
def test_whether_something_is_written(path: tuple[str | int, ...], is_there: bool) -> None:
    found = app(TEXT)
    (policy,) = found.policies
    assert policy.location is not None
    assert found.written.has(policy.location, path) is is_there


def test_an_object_without_a_file_has_one_place() -> None:
    place = Location("Pod shop/web", 1, 1)
    assert Written().at(place, ("spec", "containers")) == place
    assert not Written().has(place, ("spec",))
    assert Written().excerpt(place) == ""


def test_the_line_at_a_place() -> None:
    found = app(TEXT)
    assert found.written.excerpt(at(11, 7)) == "    - podSelector: {}"


def test_where_the_template_of_a_kind_is() -> None:
    assert WorkloadKind.POD.template == ()
    assert WorkloadKind.DEPLOYMENT.template == ("spec", "template")


def test_what_authors_tell_netpol() -> None:
    policy = at(2, 1)
    assert app(TEXT).remarks == (
        Remark("about all of it", at(6, 17), 6, policy),
        Remark("about the policy", at(1, 1), 2, policy),
        Remark("about a line", at(12, 30), 12),
    )


def test_custom_objects_are_known_by_name_and_labels() -> None:
    assert app(TEXT).customs == (
        CustomObject("Prometheus", "monitoring", "k8s", Labels({"app": "prometheus"}), at(29, 3)),
        CustomObject("Database", "shop", "main", Labels(), at(33, 1)),
    )
    assert str(app(TEXT).customs[1]) == "Database shop/main"
