"""Scenarios of one fixture in random orders, on the embedded cluster."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from harness.cluster.netns import NetnsCluster
from harness.model import CellStatus
from harness.predecessor import Predecessor
from harness.runner import ScenarioRun
from tests.sharing import STEPS, written


@pytest.mark.parametrize("seed", range(3))
def test_any_order_gives_the_same_results(available: None, tmp_path: Path, seed: int) -> None:
    shared = written(tmp_path)
    order = list(STEPS)
    random.Random(seed).shuffle(order)  # noqa: S311
    predecessor = Predecessor()
    with NetnsCluster(0.2) as cluster:
        for name in order:
            run = ScenarioRun(cluster, shared[name], None, None, predecessor)
            for index in range(len(shared[name].steps)):
                seen = run.run(index).reachability.results
                statuses = {item.status for item in seen}
                assert statuses == {CellStatus.PROVEN}, (order, name, index)
            assert run.rebuilt == "", (order, name)
