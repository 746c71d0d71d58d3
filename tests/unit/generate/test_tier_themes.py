"""What each theme of policies in tiers is about: a reading that is wrong there shows in a cell."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.generate import fixture_file
from harness.generate.changes import Seen, seen
from harness.generate.draw import Draw, chance, tier_policy
from harness.generate.tiers import THEMES
from harness.model import Manifest

STATE = fixture_file(None).fixture.state
DRAWS = 10
LEAST = 9
"""In so many of the draws of a theme a cell shows the wrong reading."""

Spec = dict[str, Any]
Specs = Sequence[Spec]
Reading = Callable[[Specs], Specs]
"""What a wrong reading makes of the policies in tiers of a case."""
PEERS = {"ingress": "from", "egress": "to"}


def each_list(change: Callable[[Specs], Specs]) -> Reading:
    """A reading that changes each list of rules."""

    def changed(spec: Spec) -> Spec:
        return {key: change(part) if key in PEERS else part for key, part in spec.items()}

    return lambda specs: [*map(changed, specs)]


def rules_reversed(rules: Specs) -> Specs:
    return rules[::-1]


def first_rules(rules: Specs) -> Specs:
    return rules[:20]


def without(action: str) -> Callable[[Specs], Specs]:
    return lambda rules: [rule for rule in rules if rule["action"] != action]


def with_action(action: str, other: str) -> Callable[[Specs], Specs]:
    return lambda rules: [
        {**rule, "action": other if rule["action"] == action else rule["action"]} for rule in rules
    ]


def priorities_reversed(specs: Specs) -> Specs:
    return [
        {**spec, "priority": other["priority"]}
        for spec, other in zip(specs, reversed(specs), strict=True)
    ]


def directions_swapped(specs: Specs) -> Specs:
    def turned(rules: Specs, key: str, other: str) -> Specs:
        return [
            {PEERS[other] if name == PEERS[key] else name: part for name, part in rule.items()}
            for rule in rules
        ]

    return [
        {
            **spec,
            "ingress": turned(spec["egress"], "egress", "ingress"),
            "egress": turned(spec["ingress"], "ingress", "egress"),
        }
        for spec in specs
    ]


def before_network_policies(action: str) -> Reading:
    """Of the Baseline tier, the rules with that action are evaluated before NetworkPolicies."""

    def read(specs: Specs) -> Specs:
        early = [{**spec, "tier": "Admin"} for spec in specs]
        only = each_list(lambda rules: [rule for rule in rules if rule["action"] == action])
        return [*only(early), *specs]

    return read


def left_out(specs: Specs) -> Specs:
    return specs[:0]


WRONG: Mapping[str, Mapping[str, Reading]] = {
    "_exception": {"the last rule decides": each_list(rules_reversed)},
    "_priorities": {"the last policy decides": priorities_reversed},
    "_pass_to_baseline": {
        "Pass accepts": each_list(with_action("Pass", "Accept")),
        "Pass denies": each_list(with_action("Pass", "Deny")),
        "Pass is left out": each_list(without("Pass")),
    },
    "_accepts": {"Accept passes": each_list(with_action("Accept", "Pass"))},
    "_both_directions": {"a direction has the rules of the other": directions_swapped},
    "_below_isolation": {
        "Baseline denies first": before_network_policies("Deny"),
        "Baseline accepts first": before_network_policies("Accept"),
    },
    "_beside_isolation": {"no Baseline beside a NetworkPolicy": left_out},
    "_many_rules": {"the first rules count": each_list(first_rules)},
}


def test_every_theme_has_a_wrong_reading() -> None:
    assert {theme.__name__ for theme in THEMES} == WRONG.keys()


@pytest.mark.parametrize(
    ("theme", "words"), [(theme, words) for theme, found in WRONG.items() for words in found]
)
def test_a_wrong_reading_of_a_theme_shows(theme: str, words: str) -> None:
    (draws,) = (one for one in THEMES if one.__name__ == theme)
    shown = 0
    for number in range(DRAWS):
        made = draws(Draw(chance(f"{number}"), STATE, ip_blocks=number % 2 == 0))
        shown += verdicts(made) != verdicts(read(made, WRONG[theme][words]))
    assert shown >= LEAST


def read(made: Sequence[Manifest], wrong: Reading) -> list[Manifest]:
    in_tiers = [json.loads(item.json)["spec"] for item in made if item.namespace == ""]
    others = [item for item in made if item.namespace != ""]
    return [tier_policy(f"w{n}", spec) for n, spec in enumerate(wrong(in_tiers), 1)] + others


def verdicts(policies: Sequence[Manifest]) -> Seen:
    return seen(replace(STATE, policies=tuple(policies)))
