"""The changed connections of a difference with packets, in both versions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from harness.cluster import Cluster
from harness.difference.values import Difference, Said
from harness.matrix import Cell
from harness.matrix.proof import proven
from harness.model import State


def with_packets(
    difference: Difference, embedded: Callable[[], AbstractContextManager[Cluster]]
) -> Difference:
    """Return the difference with what packets showed of each changed connection.

    Each version is probed on a cluster of its own, so that nothing of the other one is left
    there. Raises ClusterError.
    """

    def probed(state: State, versions: list[Said]) -> list[Said]:
        cells = [said.cell for said in versions if said.cell is not None]
        found: list[Cell] = []
        if cells:
            with embedded() as cluster:
                found = list(proven(cluster, state, cells))
        left = iter(found)
        return [replace(said, cell=next(left)) if said.cell else said for said in versions]

    before = probed(difference.old_state, [change.before for change in difference.changes])
    after = probed(difference.new_state, [change.after for change in difference.changes])
    changes = tuple(
        replace(change, before=was, after=now)
        for change, was, now in zip(difference.changes, before, after, strict=True)
    )
    return replace(difference, changes=changes)
