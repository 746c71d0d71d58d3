"""A ClusterNetworkPolicy as another kind: it says the same, or there is a reason why not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import Location
from harness.model import Manifest
from harness.policy import kind_of, parsed
from harness.policy.tiers import TierPolicy
from harness.policy.translation import (
    Impossible,
    at_version,
    forerunner,
    is_cluster_network_policy,
)

GROUP = "policy.networking.k8s.io"
PLACE = Location("s.yaml", 7, 9)


def policy(tier: str = "Admin", version: str = "v1alpha2", **spec: Any) -> Manifest:
    document = {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "closed", "labels": {"team": "a"}},
        "spec": {"tier": tier, "priority": 7, "subject": {"namespaces": {}}, **spec},
    }
    return Manifest(
        f"{GROUP}/{version}",
        "ClusterNetworkPolicy",
        "",
        "closed",
        json.dumps(document),
        PLACE,
        incarnation=2,
    )


def spec_of(manifest: Manifest | Impossible) -> dict[str, Any]:
    assert isinstance(manifest, Manifest)
    spec: dict[str, Any] = json.loads(manifest.json)["spec"]
    return spec


def test_the_tier_admin_is_an_admin_network_policy_with_other_words() -> None:
    found = forerunner(
        policy(
            subject={"pods": {"podSelector": {"matchLabels": {"app": "x"}}}},
            ingress=[
                {
                    "name": "from others",
                    "action": "Accept",
                    "from": [{"namespaces": {}}, {"pods": {"podSelector": {}}}],
                    "protocols": [
                        {"tcp": {"destinationPort": {"number": 80}}},
                        {"udp": {"destinationPort": {"range": {"start": 53, "end": 60}}}},
                        {"destinationNamedPort": "web"},
                    ],
                },
                {"action": "Pass", "from": [{"namespaces": {}}]},
            ],
            egress=[{"action": "Deny", "to": [{"networks": ["10.0.0.0/8"]}, {"nodes": {}}]}],
        )
    )
    assert isinstance(found, Manifest)
    assert (found.api_version, found.kind, found.name) == (
        f"{GROUP}/v1alpha1",
        "AdminNetworkPolicy",
        "closed",
    )
    assert (found.location, found.incarnation) == (PLACE, 2)
    assert found.written_as == "ClusterNetworkPolicy closed"
    assert json.loads(found.json) == {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "AdminNetworkPolicy",
        "metadata": {"name": "closed", "labels": {"team": "a"}},
        "spec": {
            "priority": 7,
            "subject": {
                "pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "x"}}}
            },
            "ingress": [
                {
                    "name": "from others",
                    "action": "Allow",
                    "from": [
                        {"namespaces": {}},
                        {"pods": {"namespaceSelector": {}, "podSelector": {}}},
                    ],
                    "ports": [
                        {"portNumber": {"protocol": "TCP", "port": 80}},
                        {"portRange": {"protocol": "UDP", "start": 53, "end": 60}},
                        {"namedPort": "web"},
                    ],
                },
                {"action": "Pass", "from": [{"namespaces": {}}]},
            ],
            "egress": [{"action": "Deny", "to": [{"networks": ["10.0.0.0/8"]}, {"nodes": {}}]}],
        },
    }


def test_the_tier_baseline_is_the_one_that_a_cluster_has() -> None:
    rule = {"action": "Deny", "from": [{"namespaces": {}}]}
    found = forerunner(policy("Baseline", ingress=[rule]))
    assert isinstance(found, Manifest)
    assert (found.kind, found.name) == ("BaselineAdminNetworkPolicy", "default")
    assert found.written_as == "ClusterNetworkPolicy closed"
    document = json.loads(found.json)
    assert document["metadata"] == {"name": "default", "labels": {"team": "a"}}
    assert document["spec"] == {"subject": {"namespaces": {}}, "ingress": [rule]}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (
            {"ingress": [{"action": "Pass", "from": [{"namespaces": {}}]}]},
            "a BaselineAdminNetworkPolicy has no action Pass",
        ),
        (
            {"egress": [{"action": "Accept", "to": [{"domainNames": ["a.example"]}]}]},
            "a BaselineAdminNetworkPolicy has no domainNames",
        ),
    ],
)
def test_what_a_baseline_policy_of_v1alpha1_cannot_say(spec: dict[str, Any], why: str) -> None:
    assert forerunner(policy("Baseline", **spec)) == Impossible(why)
    assert isinstance(forerunner(policy("Admin", **spec)), Manifest)


def test_another_version_has_the_same_fields() -> None:
    written = policy(ingress=[{"action": "Accept", "from": [{"namespaces": {}}]}])
    found = at_version(written, f"{GROUP}/v1beta1")
    assert found.api_version == json.loads(found.json)["apiVersion"] == f"{GROUP}/v1beta1"
    assert found.kind == "ClusterNetworkPolicy"
    assert found.written_as == "ClusterNetworkPolicy closed"
    assert spec_of(found) == spec_of(written)


def test_other_kinds_are_not_meant() -> None:
    assert is_cluster_network_policy(policy())
    assert not is_cluster_network_policy(replace(policy(), api_version="networking.k8s.aws/v1"))
    assert not is_cluster_network_policy(replace(policy(), kind="AdminNetworkPolicy"))


SELECTORS = st.sampled_from([{}, {"matchLabels": {"ns": "x"}}])
PODS = st.fixed_dictionaries({"podSelector": SELECTORS}, optional={"namespaceSelector": SELECTORS})
SUBJECTS = st.one_of(
    st.fixed_dictionaries({"namespaces": SELECTORS}), st.fixed_dictionaries({"pods": PODS})
)
NUMBERS = st.integers(1, 30_000)
PORTS = st.one_of(
    st.just({"destinationNamedPort": "web"}),
    st.builds(
        lambda protocol, port: {protocol: {"destinationPort": port}},
        st.sampled_from(["tcp", "udp", "sctp"]),
        st.one_of(
            st.builds(lambda number: {"number": number}, NUMBERS),
            st.builds(lambda first: {"range": {"start": first, "end": first + 10}}, NUMBERS),
        ),
    ),
)


def rules(peers_key: str, actions: list[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    rule = st.fixed_dictionaries(
        {
            "action": st.sampled_from(actions),
            peers_key: st.lists(SUBJECTS, min_size=1, max_size=2),
        },
        optional={"protocols": st.lists(PORTS, min_size=1, max_size=2), "name": st.just("r")},
    )
    return st.lists(rule, max_size=3)


@st.composite
def policies(draw: st.DrawFn) -> Manifest:
    tier = draw(st.sampled_from(["Admin", "Baseline"]))
    actions = ["Accept", "Deny", *(["Pass"] if tier == "Admin" else [])]
    return policy(
        tier,
        subject=draw(SUBJECTS),
        priority=draw(st.integers(0, 1000)),
        ingress=draw(rules("from", actions)),
        egress=draw(rules("to", actions)),
    )


@given(policies())
def test_the_translation_is_a_policy_without_faults_that_means_the_same(written: Manifest) -> None:
    found = forerunner(written)
    assert isinstance(found, Manifest)
    kind = kind_of(found)
    assert kind is not None
    assert kind.faults(json.loads(found.json)) == ()
    [mine], [theirs] = parsed([written]), parsed([found])
    assert isinstance(mine, TierPolicy)
    assert isinstance(theirs, TierPolicy)
    # There is only one in the tier Baseline, so it has no priority.
    priority = mine.priority if found.kind == "AdminNetworkPolicy" else 0
    assert theirs == replace(mine, kind=found.kind, name=found.name, priority=priority)
