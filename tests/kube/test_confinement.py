"""Policies of the whole cluster never select a pod of anybody else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cluster.kube import objects
from harness.cluster.kube.objects import Naming, Scope
from harness.errors import ClusterError, Location
from harness.model import Labels, Manifest
from harness.oracle.selectors import selects
from harness.policy import parsed
from harness.policy.tiers import TierPolicy

NAMING = Naming("r1", "gw0", "demo")
EXACT = replace(NAMING, exact=True)
MARKS = {"netpol.harness/run": "r1", "netpol.harness/worker": "gw0"}
GROUP = "policy.networking.k8s.io"
NAME = "kubernetes.io/metadata.name"
KINDS = (
    (f"{GROUP}/v1alpha2", "ClusterNetworkPolicy"),
    (f"{GROUP}/v1beta1", "ClusterNetworkPolicy"),
    (f"{GROUP}/v1alpha1", "AdminNetworkPolicy"),
    (f"{GROUP}/v1alpha1", "BaselineAdminNetworkPolicy"),
)


def policy(
    subject: object, version: str = KINDS[0][0], kind: str = KINDS[0][1], **spec: object
) -> Manifest:
    name = "default" if kind.startswith("Baseline") else "closed"
    document = {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"subject": subject, **spec},
    }
    place = Location("s.yaml", 7, 9)
    return Manifest(version, kind, "", name, json.dumps(document), place)


def subject_of(made: dict[str, Any]) -> object:
    return made["spec"]["subject"]


@pytest.mark.parametrize(
    ("subject", "confined"),
    [
        ({"namespaces": {}}, {"namespaces": {"matchLabels": MARKS}}),
        (
            {"namespaces": {"matchLabels": {"team": "a"}}},
            {"namespaces": {"matchLabels": {"team": "a", **MARKS}}},
        ),
        (
            {"namespaces": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}},
            {
                "namespaces": {
                    "matchExpressions": [{"key": "team", "operator": "Exists"}],
                    "matchLabels": MARKS,
                }
            },
        ),
        (
            {"namespaces": {"matchLabels": {NAME: "db"}}},
            {"namespaces": {"matchLabels": {NAME: "r1-gw0-demo-db", **MARKS}}},
        ),
        (
            {"pods": {"podSelector": {"matchLabels": {"app": "x"}}}},
            {
                "pods": {
                    "podSelector": {"matchLabels": {"app": "x"}},
                    "namespaceSelector": {"matchLabels": MARKS},
                }
            },
        ),
        (
            {"pods": {"podSelector": {}, "namespaceSelector": {"matchLabels": {"team": "a"}}}},
            {
                "pods": {
                    "podSelector": {},
                    "namespaceSelector": {"matchLabels": {"team": "a", **MARKS}},
                }
            },
        ),
        # The API server refuses these.
        ({}, {}),
        ("everybody", "everybody"),
    ],
)
def test_a_subject_also_requires_the_labels_of_the_run(subject: object, confined: object) -> None:
    made = objects.manifest(policy(subject), NAMING, Scope.CLUSTER)
    assert subject_of(made) == confined


def test_the_name_has_the_prefix_of_the_run() -> None:
    made = objects.manifest(policy({"namespaces": {}}), NAMING, Scope.CLUSTER)
    assert made["metadata"]["name"] == "r1-gw0-demo-closed"
    assert made["metadata"]["labels"].items() >= MARKS.items()
    exact = objects.manifest(policy({"namespaces": {}}), EXACT, Scope.CLUSTER)
    assert exact["metadata"]["name"] == "closed"
    assert subject_of(exact) == {"namespaces": {"matchLabels": MARKS}}


def test_a_policy_with_a_long_name_is_refused() -> None:
    long = replace(policy({"namespaces": {}}), name="n" * 250)
    with pytest.raises(ClusterError) as caught:
        objects.manifest(long, NAMING, Scope.CLUSTER)
    assert str(caught.value) == (
        f"ClusterNetworkPolicy '{'n' * 250}' is too long: with the run's name it exceeds "
        "253 characters\nhint: shorten it by 11, or write 'exact names: true'"
    )


def test_peers_select_namespaces_under_their_real_names_and_others_too() -> None:
    peers = [{"namespaces": {}}, {"namespaces": {"matchLabels": {NAME: "web"}}}]
    rule = {"action": "Deny", "from": peers}
    made = objects.manifest(
        policy({"namespaces": {}}, priority=7, ingress=[rule]), NAMING, Scope.CLUSTER
    )
    assert made["spec"]["priority"] == 7
    assert made["spec"]["ingress"][0]["from"] == [
        {"namespaces": {}},
        {"namespaces": {"matchLabels": {NAME: "r1-gw0-demo-web"}}},
    ]


def test_the_only_baseline_policy_of_a_cluster_needs_exact_names() -> None:
    baseline = policy({"namespaces": {}}, *KINDS[3])
    with pytest.raises(ClusterError) as caught:
        objects.manifest(baseline, NAMING, Scope.CLUSTER)
    assert str(caught.value) == (
        "a cluster has only one BaselineAdminNetworkPolicy, and others may use the cluster "
        "(s.yaml:7:9)\n"
        "hint: write 'exact names: true' in the scenario, or write a ClusterNetworkPolicy"
    )
    made = objects.manifest(baseline, EXACT, Scope.CLUSTER)
    assert made["metadata"]["name"] == "default"
    assert subject_of(made) == {"namespaces": {"matchLabels": MARKS}}


def test_the_one_that_stands_for_a_policy_with_a_tier_keeps_its_name() -> None:
    written = "ClusterNetworkPolicy closed"
    baseline = replace(policy({"namespaces": {}}, *KINDS[3]), written_as=written)
    made = objects.manifest(baseline, NAMING, Scope.CLUSTER)
    assert made["metadata"]["name"] == "default"
    assert subject_of(made) == {"namespaces": {"matchLabels": MARKS}}


LABELS = st.dictionaries(st.sampled_from(["team", "app", NAME]), st.sampled_from("ab"))
EXPRESSIONS = st.lists(
    st.builds(
        lambda key, operator, values: {
            "key": key,
            "operator": operator,
            **({"values": values} if operator.endswith("In") else {}),
        },
        st.sampled_from(["team", "app"]),
        st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
        st.lists(st.sampled_from("ab"), min_size=1, unique=True),
    ),
    max_size=2,
)
SELECTORS = st.fixed_dictionaries(
    {}, optional={"matchLabels": LABELS, "matchExpressions": EXPRESSIONS}
)
SUBJECTS = st.one_of(
    st.fixed_dictionaries({"namespaces": SELECTORS}),
    st.fixed_dictionaries(
        {
            "pods": st.fixed_dictionaries(
                {"podSelector": SELECTORS}, optional={"namespaceSelector": SELECTORS}
            )
        }
    ),
)
OTHERS = st.dictionaries(
    st.sampled_from(["team", "app", NAME, *MARKS]), st.sampled_from(["a", "b", "r1", "gw1"])
)


@given(SUBJECTS, st.sampled_from(KINDS), st.booleans(), OTHERS)
def test_no_subject_ever_selects_a_namespace_without_the_labels_of_the_run(
    subject: object, kind: tuple[str, str], exact: bool, labels: dict[str, str]
) -> None:
    written = policy(subject, *kind, tier="Admin", priority=1)
    if kind[1].startswith("Baseline"):
        written = replace(written, written_as="ClusterNetworkPolicy closed")
    made = objects.manifest(written, EXACT if exact else NAMING, Scope.CLUSTER)
    [real] = parsed([replace(written, json=json.dumps(made))])
    assert isinstance(real, TierPolicy)
    assert not selects(real.subject.namespaces, Labels(labels))
