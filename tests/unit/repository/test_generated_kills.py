"""The curve of generated cases: what it counts, and what its document shows."""

from __future__ import annotations

from pathlib import Path

from harness.cluster.netns.defects import DEFECTS
from harness.cluster.netns.parts import PARTS
from harness.generate import Generator, fixture_file, write_cases
from tools.generated_kills import SPECIAL, Kill, curve, document, loaded_tables

KILLS = [
    Kill("tcp-only", 3, "a step: `x/a -> y/a:80/UDP` gives allowed, not TIMEOUT"),
    Kill("no-endport", 60, "a step: `x/a -> y/a:81` gives TIMEOUT, not allowed"),
    Kill("lists-cut", None),
]


def test_the_curve_counts_the_first_cases() -> None:
    assert list(curve(KILLS, 1_000)) == [(50, 1), (200, 2), (1_000, 2)]
    assert list(curve(KILLS, 60)) == [(50, 1), (60, 2)]


def test_the_document_has_the_curve_and_survivors() -> None:
    text = document(KILLS, seed=1, count=60)
    assert "| 50 | 1 of 3 |\n| 60 | 2 of 3 |\n" in text
    assert "| B38 | `lists-cut` | **survives** |  |" in text


def test_defects_that_need_a_special_topology_exist() -> None:
    assert SPECIAL.keys() <= DEFECTS.keys()


def test_a_case_is_skipped_only_where_the_rules_are_the_same(tmp_path: Path) -> None:
    file = fixture_file(None)
    (path,) = write_cases(tmp_path, file, [Generator(file.fixture, 7).case(1)])
    assert loaded_tables(path, PARTS) == loaded_tables(path, PARTS)
    assert loaded_tables(path, DEFECTS["no-enforcement"].parts) != loaded_tables(path, PARTS)
