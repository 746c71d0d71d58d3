"""Watched pairs on the embedded cluster, with and without a defect that leaves a gap."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import scenario
from harness.cluster.netns import NetnsCluster
from harness.model import Verdict
from harness.runner import ScenarioRun

FILE = (
    Path(__file__).parents[2] / "scenarios/conformance/time/no-gap-while-other-things-change.yaml"
)


@pytest.mark.parametrize(
    ("defect", "seen"), [(None, []), ("update-gap", [("z/a -> x/a:80", Verdict.ALLOWED)])]
)
def test_a_watch_sees_the_gap_of_a_defect(
    available: None, defect: str | None, seen: list[tuple[str, Verdict]]
) -> None:
    with NetnsCluster(defect=defect) as cluster:
        run = ScenarioRun(cluster, scenario.load(FILE), selected=[1])
        result = run.run(1)
    gaps = [(str(pair.cell.probe), gap.verdict) for pair in result.watched for gap in pair.gaps]
    assert gaps == seen
    assert not result.reachability.mismatches
