"""Generated cases with policies in tiers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import scenario
from harness.cli import Exit, main
from harness.errors import UsageError
from harness.generate import TIER_KIND, Generator, Scope, fixture_file, write_cases
from harness.generate.changes import changed, tier_change_themes
from harness.generate.draw import Draw, chance, tier_policy
from harness.generate.tiers import THEMES, Theme
from harness.generate.variants import Size, variants
from harness.model import Applied, Manifest, Scenario, Verdict
from harness.policy import kind_of
from harness.policy.traits import Trait, traits
from harness.scenario.topology import TopologyBuilder
from harness.scenario.write import write
from harness.variants import TierKinds

FILE = fixture_file(None)
COUNT = 3


@pytest.fixture(scope="module")
def cases() -> list[Scenario]:
    generator = Generator(FILE.fixture, 7, tiers=1)
    return [generator.case(number) for number in range(1, COUNT + 1)]


def in_tiers(case: Scenario) -> list[Manifest]:
    applied = (change for step in case.steps for change in step.changes)
    made = (change.manifest for change in applied if isinstance(change, Applied))
    return [item for item in made if item.kind == "ClusterNetworkPolicy"]


def test_every_case_has_such_policies_and_is_a_good_file(
    cases: list[Scenario], tmp_path: Path
) -> None:
    for path, case in zip(write_cases(tmp_path, FILE, cases), cases, strict=True):
        assert in_tiers(case)
        read = scenario.load(path)
        assert write(read) == write(case)
        assert TIER_KIND in read.needs.kinds == case.needs.kinds


def test_every_denial_is_allowed_in_another_step(cases: list[Scenario]) -> None:
    for case in cases:
        cells = [cell for step in case.steps for cell in step.table.cells]
        denied = {cell.probe for cell in cells if cell.expected is Verdict.TIMEOUT}
        assert denied
        assert denied <= {cell.probe for cell in cells if cell.expected is Verdict.ALLOWED}


def test_traits_of_policies_in_tiers_can_be_left_out() -> None:
    """The fourth case has two of them."""
    left_out = frozenset(trait for trait in Trait if "tier" in trait)

    def found(generator: Generator) -> frozenset[Trait]:
        steps = generator.case(4).steps
        return frozenset().union(*(traits(step.state.policies) for step in steps)) & left_out

    assert len(found(Generator(FILE.fixture, 7, tiers=1))) == 2
    assert not found(Generator(FILE.fixture, 7, tiers=1, without=left_out))


def test_cases_without_are_what_they_are_without_tiers() -> None:
    some, none = Generator(FILE.fixture, 7, tiers=2), Generator(FILE.fixture, 7)
    assert write(some.case(1)) == write(none.case(1))
    assert TIER_KIND not in none.case(1).needs.kinds
    assert TIER_KIND in some.case(2).needs.kinds


def test_policies_that_the_cluster_cannot_have_are_not_drawn() -> None:
    generator = Generator(FILE.fixture, 7, tiers=1, tier_kinds=TierKinds.NONE)
    with pytest.raises(UsageError):
        generator.case(1)


def test_a_change_to_what_the_cluster_cannot_have_is_not_made(cases: list[Scenario]) -> None:
    builder = TopologyBuilder(cases[0].steps[0].state)
    before = builder.state()
    for theme in tier_change_themes(Scope.POLICIES_AND_LABELS):
        assert changed(theme, chance("1"), builder, lambda _: False) == ((), frozenset())
    assert builder.state() == before


@pytest.mark.parametrize("ip_blocks", [True, False])
@pytest.mark.parametrize("theme", THEMES)
def test_the_policies_of_a_theme_have_no_fault(theme: Theme, ip_blocks: bool) -> None:
    for number in range(20):
        for policy in theme(Draw(chance(f"{number}"), FILE.fixture.state, ip_blocks)):
            kind = kind_of(policy)
            assert kind is not None
            assert kind.faults(json.loads(policy.json)) == ()
            assert ip_blocks or "networks" not in policy.json


SPEC = {
    "tier": "Admin",
    "priority": 5,
    "subject": {"pods": {"podSelector": {"matchLabels": {"app": "a"}}}},
    "ingress": [
        {
            "action": "Pass",
            "from": [{"namespaces": {"matchLabels": {"team": "a"}}}],
            "protocols": [{"tcp": {"destinationPort": {"number": 80}}}],
        },
        {"action": "Deny", "from": [{"namespaces": {}}]},
    ],
}


def test_each_part_of_a_policy_is_changed() -> None:
    found = {item.words: item for item in variants(tier_policy("t", SPEC))}
    assert [*found] == [
        "priority 0",
        "priority 1000",
        "tier Baseline",
        "subject every pod",
        "ingress in the opposite order",
        "without ingress[0]",
        "ingress[0] with Accept",
        "ingress[0] with Deny",
        "ingress[0] for all ports",
        "ingress[0] for every pod",
        "without ingress[1]",
        "ingress[1] with Accept",
        "ingress[1] with Pass",
    ]
    smaller = {words for words, item in found.items() if item.size is Size.SMALLER}
    assert smaller == {"without ingress[0]", "ingress[0] for all ports", "without ingress[1]"}
    turned = json.loads(found["ingress in the opposite order"].policy.json)["spec"]
    assert turned["ingress"] == SPEC["ingress"][::-1]  # type: ignore[index]


def test_of_a_long_list_the_first_rules_and_the_last_are_changed() -> None:
    spec = {**SPEC, "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}] * 25}
    words = [item.words for item in variants(tier_policy("t", spec))]
    assert [one for one in words if one.startswith("without")] == [
        f"without ingress[{index}]" for index in (0, 1, 2, 24)
    ]


def test_the_command_writes_such_cases(tmp_path: Path) -> None:
    words = ["generate", "--seed=7", "--count=1", "--tiers", f"--out={tmp_path}"]
    assert main(words) == Exit.OK
    (path,) = tmp_path.glob("*.yaml")
    assert "kind: ClusterNetworkPolicy" in path.read_text("utf-8")
