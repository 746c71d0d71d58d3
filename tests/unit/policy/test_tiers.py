"""Policies in tiers: what their documents mean, and what the API server would refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.model import Manifest, Protocol
from harness.policy import LabelSelector, Operator, kind_of, kinds, parsed
from harness.policy.selectors import Requirement
from harness.policy.tiers import (
    DomainNames,
    Networks,
    Nodes,
    PortName,
    PortNumbers,
    RuleAction,
    SelectedPods,
    Tier,
    TierPolicy,
    TierRule,
)
from tests.policy_objects import ADMIN, BASELINE, CLUSTER, GONE, GROUP, Object, put
from tests.policy_schema import only_the_reader_sees, takes

SELECTED_A = LabelSelector((Requirement("team", Operator.IN, ("a",)),))
EVERY = SelectedPods(LabelSelector())
PORTS = (PortNumbers(Protocol.TCP, 80, 80), PortNumbers(Protocol.UDP, 1, 9), PortName("web"))


def manifest(document: Object) -> Manifest:
    name = document["metadata"]["name"]
    return Manifest(document["apiVersion"], document["kind"], "", name, json.dumps(document))


def found(document: Object) -> list[tuple[str, str]]:
    """The faults, each with its path."""
    kind = kinds.meant(document["apiVersion"], document["kind"])
    assert kind is not None
    return [(".".join(map(str, one.path)), one.message) for one in kind.faults(document)]


# ------------------------------------------------------------------ meaning


@pytest.mark.parametrize("version", ["v1alpha2", "v1beta1"])
def test_a_cluster_network_policy(version: str) -> None:
    document = {**CLUSTER, "apiVersion": f"{GROUP}/{version}"}
    assert found(document) == []
    assert parsed([manifest(document)]) == (
        TierPolicy(
            "ClusterNetworkPolicy",
            "p",
            Tier.ADMIN,
            7,
            EVERY,
            (
                TierRule(
                    RuleAction.ACCEPT,
                    (SelectedPods(SELECTED_A), SelectedPods(LabelSelector(), SELECTED_A)),
                    PORTS,
                    "one",
                ),
            ),
            (
                TierRule(RuleAction.DENY, (Networks(("10.0.0.0/8", "fd00::/8")),)),
                TierRule(RuleAction.PASS, (Nodes(LabelSelector()),)),
                TierRule(RuleAction.ACCEPT, (DomainNames(("*.example.org",)),)),
            ),
        ),
    )


def test_an_admin_network_policy() -> None:
    assert found(ADMIN) == []
    assert parsed([manifest(ADMIN)]) == (
        TierPolicy(
            "AdminNetworkPolicy",
            "p",
            Tier.ADMIN,
            7,
            SelectedPods(LabelSelector(), SELECTED_A),
            (TierRule(RuleAction.ACCEPT, (SelectedPods(SELECTED_A),), PORTS),),
            (TierRule(RuleAction.PASS, (Networks(("10.0.0.0/8",)),)),),
        ),
    )


def test_a_baseline_admin_network_policy() -> None:
    assert found(BASELINE) == []
    assert parsed([manifest(BASELINE)]) == (
        TierPolicy(
            "BaselineAdminNetworkPolicy",
            "default",
            Tier.BASELINE,
            0,
            EVERY,
            (TierRule(RuleAction.DENY, (EVERY,)),),
        ),
    )


def test_a_policy_lists_its_networks() -> None:
    assert [*parsed([manifest(CLUSTER)])[0].cidrs] == ["10.0.0.0/8", "fd00::/8"]


# ------------------------------------------------------------------ faults


def changed(document: Object, path: str, value: Any) -> Object:
    """A copy in which something stands at that path, like spec.ingress.0; nothing, if GONE."""
    return put(document, tuple(int(s) if s.isdecimal() else s for s in path.split(".")), value)


_NETWORKS = [f"10.0.{number}.0/24" for number in range(26)]

FAULTS: list[tuple[Object, str, Any, str, str]] = [
    (CLUSTER, "spec", GONE, "", "spec is missing"),
    (CLUSTER, "spec.tier", GONE, "spec", "tier is missing"),
    (CLUSTER, "spec.tier", "Base", "spec.tier", "tier 'Base' is not known"),
    (CLUSTER, "spec.priority", GONE, "spec", "priority is missing"),
    (CLUSTER, "spec.priority", 1001, "spec.priority", "priority 1001 is out of range"),
    (CLUSTER, "spec.priority", -1, "spec.priority", "priority -1 is out of range"),
    (CLUSTER, "spec.priority", "7", "spec.priority", "priority is '7' (text), not a number"),
    (CLUSTER, "spec.subject", GONE, "spec", "subject is missing"),
    (CLUSTER, "spec.subject", {}, "spec.subject", "an empty item"),
    (CLUSTER, "spec.subject.namespaces", None, "spec.subject.namespaces", "namespaces is empty"),
    (CLUSTER, "spec.subject.pods", {}, "spec.subject", "namespaces and pods stand side by side"),
    (CLUSTER, "spec.subject", {"pods": {}}, "spec.subject.pods", "podSelector is missing"),
    (CLUSTER, "spec.subject.networks", [], "spec.subject.networks", "unknown key 'networks'"),
    (CLUSTER, "spec.policyTypes", [], "spec.policyTypes", "unknown key 'policyTypes'"),
    (CLUSTER, "spec.ingress.0.action", GONE, "spec.ingress.0", "action is missing"),
    (CLUSTER, "spec.ingress.0.action", "Allow", "spec.ingress.0.action", "'Allow' is not known"),
    (CLUSTER, "spec.ingress.0.from", GONE, "spec.ingress.0", "from is missing"),
    (CLUSTER, "spec.ingress.0.from", [], "spec.ingress.0.from", "from is an empty list"),
    (CLUSTER, "spec.ingress.0.to", [], "spec.ingress.0.to", "unknown key 'to'"),
    (CLUSTER, "spec.ingress.0.ports", [], "spec.ingress.0.ports", "unknown key 'ports'"),
    (CLUSTER, "spec.ingress.0.name", "n" * 101, "spec.ingress.0.name", "has 101 characters"),
    (CLUSTER, "spec.ingress.0.protocols", [], "spec.ingress.0.protocols", "is an empty list"),
    (
        CLUSTER,
        "spec.ingress.0.from.0",
        {"networks": ["10.0.0.0/8"]},
        "spec.ingress.0.from.0.networks",
        "unknown key 'networks'",
    ),
    (
        CLUSTER,
        "spec.ingress",
        CLUSTER["spec"]["ingress"] * 26,
        "spec.ingress",
        "ingress has 26 entries",
    ),
    (
        CLUSTER,
        "spec.ingress.0.protocols.0",
        {"tcp": {}},
        "spec.ingress.0.protocols.0.tcp",
        "destinationPort is missing",
    ),
    (
        CLUSTER,
        "spec.ingress.0.protocols.0.tcp.destinationPort.number",
        0,
        "spec.ingress.0.protocols.0.tcp.destinationPort.number",
        "number 0 is out of range",
    ),
    (
        CLUSTER,
        "spec.ingress.0.protocols.1.udp.destinationPort.range.end",
        1,
        "spec.ingress.0.protocols.1.udp.destinationPort.range",
        "the range from 1 to 1",
    ),
    (
        CLUSTER,
        "spec.egress.0.protocols",
        [{"destinationNamedPort": "web"}],
        "spec.egress.0.protocols.0",
        "a named port in a rule with networks",
    ),
    (
        CLUSTER,
        "spec.egress.0.to.0.networks",
        _NETWORKS,
        "spec.egress.0.to.0.networks",
        "networks has 26 entries",
    ),
    (
        CLUSTER,
        "spec.egress.0.to.0.networks",
        None,
        "spec.egress.0.to.0.networks",
        "networks is empty",
    ),
    (
        CLUSTER,
        "spec.egress.2.to.0.domainNames",
        None,
        "spec.egress.2.to.0.domainNames",
        "domainNames is empty",
    ),
    (
        CLUSTER,
        "spec.egress.0.to.0.networks.1",
        "10.0.0.0/8",
        "spec.egress.0.to.0.networks.1",
        "'10.0.0.0/8' stands there twice",
    ),
    (
        CLUSTER,
        "spec.egress.0.to.0.networks.0",
        "10.0.0.0",
        "spec.egress.0.to.0.networks.0",
        "is not a CIDR",
    ),
    (
        CLUSTER,
        "spec.egress.0.to.0.networks.0",
        "::ffff:10.0.0.0/104",
        "spec.egress.0.to.0.networks.0",
        "is an IPv4 address in an IPv6 one",
    ),
    (
        CLUSTER,
        "spec.egress.2.to.0.domainNames.0",
        "*.org.*",
        "spec.egress.2.to.0.domainNames.0",
        "'*.org.*' is not a domain name",
    ),
    (ADMIN, "spec.tier", "Admin", "spec.tier", "unknown key 'tier'"),
    (ADMIN, "spec.ingress.0.action", "Accept", "spec.ingress.0.action", "'Accept' is not known"),
    (
        ADMIN,
        "spec.subject.pods.namespaceSelector",
        GONE,
        "spec.subject.pods",
        "namespaceSelector is missing",
    ),
    (
        ADMIN,
        "spec.ingress.0.ports.0.portNumber",
        {"protocol": "ICMP", "port": 80},
        "spec.ingress.0.ports.0.portNumber.protocol",
        "protocol 'ICMP' is not known",
    ),
    (
        ADMIN,
        "spec.ingress.0.ports.1.portRange.end",
        GONE,
        "spec.ingress.0.ports.1.portRange",
        "end is missing",
    ),
    (BASELINE, "metadata.name", "mine", "metadata.name", "called 'mine'"),
    (BASELINE, "spec.priority", 1, "spec.priority", "unknown key 'priority'"),
    (BASELINE, "spec.ingress.0.action", "Pass", "spec.ingress.0.action", "'Pass' is not known"),
    (
        BASELINE,
        "spec.egress",
        [{"action": "Deny", "to": [{"domainNames": ["example.org"]}]}],
        "spec.egress.0.to.0.domainNames",
        "unknown key 'domainNames'",
    ),
]


@pytest.mark.parametrize(
    ("document", "path", "value", "place", "message"),
    FAULTS,
    ids=[f"{case[0]['kind']}-{number}" for number, case in enumerate(FAULTS)],
)
def test_a_fault_is_found_where_it_stands(
    document: Object, path: str, value: Any, place: str, message: str
) -> None:
    faults = found(changed(document, path, value))
    assert [where for where, _ in faults] == [place]
    assert message in faults[0][1]
    assert takes(changed(document, path, value)) is only_the_reader_sees(faults[0][1])


def test_a_placeholder_may_be_longer_than_a_network() -> None:
    long = f"$(ip:y/{'a' * 40})/32"
    longer = changed(CLUSTER, "spec.egress.0.to.0.networks.0", long)
    assert found(longer) == []
    assert takes(longer)


# ------------------------------------------------------------------ warnings


@pytest.mark.parametrize(
    ("document", "path", "value", "place"),
    [
        (CLUSTER, "spec.egress.2.action", "Deny", "spec.egress.2.to.0.domainNames"),
        (ADMIN, "spec.ingress.0.ports.1.portRange.end", 1, "spec.ingress.0.ports.1.portRange"),
        (
            ADMIN,
            "spec.egress.0.to.0",
            {"domainNames": ["example.org"]},
            "spec.egress.0.to.0.domainNames",
        ),
    ],
)
def test_what_the_text_forbids_and_the_server_accepts_is_a_warning(
    document: Object, path: str, value: Any, place: str
) -> None:
    wrong = changed(document, path, value)
    assert found(wrong) == []
    assert takes(wrong)
    kind = kind_of(manifest(wrong))
    assert kind is not None
    assert [".".join(map(str, one.path)) for one in kind.warnings(wrong)] == [place]
    assert kind.warnings(document) == ()


# ------------------------------------------------------------------ the registry


@pytest.mark.parametrize(
    ("api_version", "kind", "expected"),
    [
        (f"{GROUP}/v1beta1", "ClusterNetworkPolicy", f"{GROUP}/v1beta1"),
        (f"{GROUP}/v1", "ClusterNetworkPolicy", f"{GROUP}/v1alpha2"),
        (f"{GROUP}/v1alpha2", "AdminNetworkPolicy", f"{GROUP}/v1alpha1"),
        ("policy.networking.k8s.oi/v1alpha1", "AdminNetworkPolicy", f"{GROUP}/v1alpha1"),
        (f"{GROUP}/v1alpha1", "AdminNetworkPolcy", f"{GROUP}/v1alpha1"),
        ("networking.k8s.io/v1", "ClusterNetworkPolicy", f"{GROUP}/v1alpha2"),
        ("networking.k8s.aws/v1alpha1", "ClusterNetworkPolicy", None),
        ("projectcalico.org/v3", "NetworkPolicy", None),
    ],
)
def test_the_kind_that_was_meant(api_version: str, kind: str, expected: str | None) -> None:
    entry = kinds.meant(api_version, kind)
    assert (entry and entry.api_version) == expected
