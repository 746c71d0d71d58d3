"""Ways to write a policy that network plugins are known to get wrong."""

from __future__ import annotations

from typing import Any

import pytest

from harness.generate.draw import network_policy, tier_policy
from harness.policy.traits import Trait, traits

ANY: list[dict[str, Any]] = [{}]
NAMED = [{"ports": [{"protocol": "UDP", "port": 53}, {"port": "http"}]}]


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"policyTypes": ["Ingress"], "ingress": ANY}, set()),
        ({"policyTypes": ["Ingress"], "egress": []}, set()),
        ({"policyTypes": ["Ingress"], "egress": ANY}, {Trait.RULES_WITHOUT_TYPE}),
        ({"policyTypes": ["Egress"], "ingress": ANY}, {Trait.RULES_WITHOUT_TYPE}),
        ({"ingress": ANY, "egress": ANY}, set()),
        ({"ingress": NAMED}, set()),
        ({"egress": NAMED}, {Trait.NAMED_PORT_IN_EGRESS}),
        (
            {"policyTypes": ["Ingress"], "egress": NAMED},
            {Trait.RULES_WITHOUT_TYPE, Trait.NAMED_PORT_IN_EGRESS},
        ),
    ],
)
def test_the_traits_of_a_policy(spec: dict[str, Any], found: set[Trait]) -> None:
    policy = network_policy("x", "p", {"podSelector": {}, **spec})
    assert traits([policy]) == found


EVERY: dict[str, Any] = {"namespaces": {}}


def excluding(operator: str) -> dict[str, Any]:
    values = {"values": ["a"]} if operator in {"In", "NotIn"} else {}
    return {"matchExpressions": [{"key": "team", "operator": operator, **values}]}


def within(operator: str) -> dict[str, Any]:
    return {"pods": {"namespaceSelector": excluding(operator), "podSelector": {}}}


@pytest.mark.parametrize(
    ("tier", "rule", "found"),
    [
        ("Admin", {"action": "Accept", "from": [EVERY]}, set()),
        ("Baseline", {"action": "Deny", "from": [EVERY]}, set()),
        ("Baseline", {"action": "Accept", "from": [EVERY]}, {Trait.ACCEPT_IN_BASELINE}),
        (
            "Admin",
            {"action": "Deny", "from": [EVERY], "protocols": [{"destinationNamedPort": "web"}]},
            {Trait.NAMED_PORT_IN_TIERS},
        ),
        (
            "Admin",
            {"action": "Deny", "from": [EVERY, {"namespaces": excluding("NotIn")}]},
            {Trait.EXCLUDED_NAMESPACES_IN_TIERS},
        ),
        (
            "Admin",
            {"action": "Pass", "from": [{"namespaces": excluding("DoesNotExist")}]},
            {Trait.EXCLUDED_NAMESPACES_IN_TIERS},
        ),
        ("Admin", {"action": "Pass", "from": [{"namespaces": excluding("In")}]}, set()),
        ("Admin", {"action": "Pass", "from": [within("NotIn")]}, set()),
    ],
)
def test_the_traits_of_a_policy_in_a_tier(
    tier: str, rule: dict[str, Any], found: set[Trait]
) -> None:
    spec = {"tier": tier, "priority": 1, "subject": EVERY, "ingress": [rule]}
    assert traits([tier_policy("t", spec)]) == found
