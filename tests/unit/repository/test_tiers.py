"""scenarios/tiers: where they run, and what they are called."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

from harness import catalogue
from harness.cluster import Capabilities
from harness.model import FEATURES, Scenario
from harness.scenario import find, load

SCENARIOS = Path(__file__).parents[3] / "scenarios"
EXPERIMENTAL = frozenset({"node-peers", "domain-names"})


@cache
def tiers() -> dict[str, Scenario]:
    folder = SCENARIOS / "tiers"
    return {str(path.relative_to(folder)): load(path) for path in find(folder)}


def test_there_are_many_and_each_covers_requirements_of_tiers() -> None:
    assert len(tiers()) >= 30
    other = {name: read.covers for name, read in tiers().items() if "T" not in str(read.covers)}
    assert other == {}


def test_only_what_no_connection_shows_has_no_scenario() -> None:
    covered = {id_ for read in tiers().values() for id_ in read.covers}
    of_tiers = {id_ for id_ in catalogue.requirements() if id_.startswith("T")}
    assert of_tiers - covered == {"T31"}


def test_their_names_are_names_of_no_other_scenario() -> None:
    """Profiles of network plugins name cells by the name of the scenario alone."""
    names = Counter(path.stem for path in find(SCENARIOS))
    assert [name for name in tiers() if names[Path(name).stem] > 1] == []


def test_a_cluster_without_the_kind_skips_all_of_them_with_the_reason() -> None:
    without = Capabilities("mine", frozenset(FEATURES), nodes=3)
    for name, read in tiers().items():
        reasons = set(without.skips(read))
        (reason,) = reasons
        assert reason is not None, name
        assert "policy.networking.k8s.io/v1alpha2/ClusterNetworkPolicy" in reason, name


def test_the_standard_definition_lacks_the_peers_of_two_of_them() -> None:
    kinds = {kind for read in tiers().values() for kind in read.needs.kinds}
    standard = Capabilities(
        "mine", frozenset(FEATURES) - EXPERIMENTAL, nodes=3, kinds=frozenset(kinds)
    )
    lacking = {name for name, read in tiers().items() if any(standard.skips(read))}
    assert lacking == {"nodes/every-node.yaml", "domain-names/accept-above-deny.yaml"}
