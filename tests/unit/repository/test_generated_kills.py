"""The curve of generated cases: what it counts, and what its document shows."""

from __future__ import annotations

from pathlib import Path

from harness.cluster.netns.defects import DEFECTS
from harness.cluster.netns.parts import PARTS
from harness.generate import Generator, fixture_file, write_cases
from tools.generated_kills import (
    SPECIAL,
    Kill,
    curve,
    document,
    loaded_tables,
    too_few,
    with_tiers,
    without_tiers,
)

FIXTURE = fixture_file(None).fixture
KILLS = [
    Kill("tcp-only", 3, "a step: `x/a -> y/a:80/UDP` gives allowed, not TIMEOUT"),
    Kill("no-endport", 60, "a step: `x/a -> y/a:81` gives TIMEOUT, not allowed"),
    Kill("lists-cut", None),
]
IN_TIERS = [
    Kill("last-rule-first", 2, "a step: `x/a -> y/a:80` gives TIMEOUT, not allowed"),
    Kill("pass-as-accept", 2, "a step: `x/a -> y/a:81` gives allowed, not TIMEOUT"),
]


def test_the_curve_counts_the_first_cases() -> None:
    marks = (50, 200, 1_000)
    assert list(curve(KILLS, marks, 1_000)) == [(50, 1), (200, 2), (1_000, 2)]
    assert list(curve(KILLS, marks, 60)) == [(50, 1), (60, 2)]


def test_the_document_has_the_curves_and_survivors() -> None:
    found = [(without_tiers(FIXTURE, 1, 60), KILLS), (with_tiers(FIXTURE, 1, 20), IN_TIERS)]
    plain, tiers = document(1, found).split("## Policies in tiers")
    assert "| 50 | 1 of 3 |\n| 60 | 2 of 3 |\n" in plain
    assert "| B38 | `lists-cut` | **survives** |  |" in plain
    assert "`update-gap` (a watch)" in plain
    assert "| 10 | 2 of 2 |\n| 20 | 2 of 2 |\n" in tiers
    assert tiers.index("TB01") < tiers.index("TB11")
    assert "`unknown-peer-open` (rules about nodes)" in tiers


def test_every_defect_has_cases_that_could_show_it_or_a_reason() -> None:
    plain, tiers = without_tiers(FIXTURE, 1, 60), with_tiers(FIXTURE, 1, 20)
    assert sorted((*plain.defects, *tiers.defects)) == sorted(DEFECTS)
    left = {*plain.without_special().defects, *tiers.without_special().defects}
    assert left == DEFECTS.keys() - SPECIAL.keys()
    assert (plain.generator.tiers, tiers.generator.tiers) == (0, 1)


def test_too_few_kills_of_one_kind_fail() -> None:
    assert too_few(KILLS)
    assert not too_few(IN_TIERS)


def test_defects_that_need_a_special_topology_exist() -> None:
    assert SPECIAL.keys() <= DEFECTS.keys()


def test_a_case_is_skipped_only_where_the_rules_are_the_same(tmp_path: Path) -> None:
    file = fixture_file(None)
    (path,) = write_cases(tmp_path, file, [Generator(file.fixture, 7).case(1)])
    assert loaded_tables(path, PARTS) == loaded_tables(path, PARTS)
    assert loaded_tables(path, DEFECTS["no-enforcement"].parts) != loaded_tables(path, PARTS)
