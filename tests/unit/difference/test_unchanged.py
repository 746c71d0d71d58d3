"""Pairs of ends that are the same in both versions: what is skipped, and what must not be."""

from __future__ import annotations

import io

import pytest

from harness.application import Application, read
from harness.difference import Versions, compare
from harness.difference.aligned import aligned
from harness.difference.saying import version
from harness.difference.scope import common
from harness.difference.unchanged import UnchangedEnds
from harness.matrix import judged

APP = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {name: ops, labels: {team: ops}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, ports: [{containerPort: 80, name: http}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, ports: [{containerPort: 5432, name: sql}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: ops, labels: {app: agent}}
spec: {hostNetwork: false, containers: [{name: c, ports: [{containerPort: 9100}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {team: ops}}
    - podSelector: {matchLabels: {app: web}}
    ports: [{port: sql}]
"""
TIER = """\
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: apart}
spec:
  priority: 1
  subject: {namespaces: {matchLabels: {team: shop}}}
  ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: ops}}}]}]
"""


def application(manifests: str) -> Application:
    return read(["-"], stdin=io.BytesIO(manifests.encode()))


CHANGES = {
    "nothing": APP,
    "a label of a peer's namespace": APP.replace("labels: {team: ops}", "labels: {team: other}"),
    "a label of a source": APP.replace("labels: {app: web}", "labels: {app: other}"),
    "the endpoints of a Service": APP.replace("{selector: {app: web}", "{selector: {app: db}"),
    "the number of a named port": APP.replace("containerPort: 5432", "containerPort: 5433"),
    "a peer of a policy": APP.replace(
        "- podSelector: {matchLabels: {app: web}}", "- podSelector: {}"
    ),
    "the subject of a policy": APP.replace(
        "podSelector: {matchLabels: {app: db}}", "podSelector: {}"
    ),
    "the network of a pod": APP.replace("hostNetwork: false", "hostNetwork: true"),
    "a policy of a tier": APP + TIER,
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_changed_pair_is_skipped(change: str) -> None:
    """The matrix of each version judges every pair."""
    old, new = application(APP), application(CHANGES[change])
    before, after = (
        {(cell.source, cell.destination): cell.word for cell in judged(one).cells}
        for one in (old, new)
    )
    inside = [pair for pair in before if pair in after and "outside" not in "".join(pair)]
    found = {
        (c.source, c.destination): (c.before.word, c.after.word)
        for c in compare(Versions(old, new)).changes
    }
    expected = {
        pair: (before[pair], after[pair]) for pair in inside if before[pair] is not after[pair]
    }
    assert {pair: words for pair, words in found.items() if pair in inside} == expected


def test_only_ends_with_a_change_are_judged_twice() -> None:
    old, new = application(APP), application(CHANGES["a peer of a policy"])
    scope = common(old, new)
    ends = aligned(old, new, scope)
    hosts = scope.hosts.hosts
    unchanged = UnchangedEnds(version(old, ends.old, hosts), version(new, ends.new, hosts))
    assert [row.title for row in ends.rows if not unchanged.has_row(row)] == ["shop/db"]
    titles = [c.title for c in ends.columns if not unchanged.has_column(c)]
    assert {title.partition(":")[0] for title in titles} == {"shop/db", "DNS"}
