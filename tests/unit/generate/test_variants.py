"""A policy with one part changed: every part, one at a time, and all of them valid."""

from __future__ import annotations

import json

from harness.generate.draw import network_policy
from harness.generate.variants import Size, variants
from harness.policy import faults

POLICY = network_policy(
    "x",
    "p",
    {
        "podSelector": {"matchLabels": {"app": "a", "tier": "b"}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [
                    {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "c"}}},
                    {"ipBlock": {"cidr": "$(cidr:pods)", "except": ["$(ip:y/a)/32"]}},
                ],
                "ports": [{"port": 80}],
            },
            {
                "from": [
                    {
                        "podSelector": {
                            "matchExpressions": [
                                {"key": "app", "operator": "NotIn", "values": ["d", "e"]}
                            ]
                        }
                    }
                ],
                "ports": [{"protocol": "UDP", "port": "dns"}],
            },
        ],
    },
)


def test_every_part_is_changed_once() -> None:
    assert [variant.words for variant in variants(POLICY)] == [
        "empty podSelector",
        "without podSelector.matchLabels.app",
        "without podSelector.matchLabels.tier",
        "without policyTypes",
        "policyTypes Egress",
        "policyTypes Ingress, Egress",
        "without ingress[0]",
        "without ingress[0].from",
        "without ingress[0].from[0]",
        "empty ingress[0].from[0].podSelector",
        "ingress[0].from[0] as two entries",
        "without ingress[0].from[0].namespaceSelector",
        "without ingress[0].from[0].podSelector",
        "without ingress[0].from[1]",
        "without ingress[0].from[1].ipBlock.except[0]",
        "ingress[0].from[1].ipBlock inverted",
        "without ingress[0].from[1].ipBlock.except",
        "without ingress[0].ports",
        "ingress[0].ports[0] for UDP",
        "ingress[0].ports[0] for all ports",
        "ingress[0].ports[0] with port 79",
        "ingress[0].ports[0] with port 81",
        "without ingress[1]",
        "without ingress[1].from",
        "empty ingress[1].from[0].podSelector",
        "opposite ingress[1].from[0].podSelector.matchExpressions[0]",
        "ingress[1].from[0].podSelector with the key app",
        "without ingress[1].from[0].podSelector.matchExpressions[0].values[0]",
        "without ingress[1].from[0].podSelector.matchExpressions[0].values[1]",
        "ingress[1].from[0] in every namespace",
        "without ingress[1].ports",
        "ingress[1].ports[0] for TCP",
        "ingress[1].ports[0] for all ports",
        "ingress[0] with the ports of ingress[1]",
        "ingress[1] with the ports of ingress[0]",
    ]


def test_all_are_valid_and_differ() -> None:
    found = [variant.policy.json for variant in variants(POLICY)]
    assert not [text for text in found if faults(json.loads(text))]
    assert len({*found, POLICY.json}) == len(found) + 1


def test_the_smaller_ones_have_less_text() -> None:
    smaller = [v for v in variants(POLICY) if v.size is Size.SMALLER]
    assert len(smaller) > 10
    assert all(len(variant.policy.json) < len(POLICY.json) for variant in smaller)
