"""Ways to write a policy that network plugins are known to get wrong."""

from __future__ import annotations

from typing import Any

import pytest

from harness.generate.draw import network_policy
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
        ({"policyTypes": ["Ingress"], "egress": NAMED}, set(Trait)),
    ],
)
def test_the_traits_of_a_policy(spec: dict[str, Any], found: set[Trait]) -> None:
    policy = network_policy("x", "p", {"podSelector": {}, **spec})
    assert traits([policy]) == found
