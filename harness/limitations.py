"""What the known limitations of a cluster change in the tables of a scenario."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from harness.cluster import KnownCell
from harness.errors import UsageError
from harness.model import Cell, Limitation, Scenario, Step
from harness.suggest import nearest_or_all


def limited(scenario: Scenario, known_cells: Iterable[KnownCell]) -> Scenario:
    """Return the scenario with the verdicts that the cluster is known to give.

    Each cell keeps the verdict in the file as well. Raises UsageError for a known cell of this
    scenario that is not in its tables.
    """
    known = {
        (item.step, item.probe): item
        for item in known_cells
        if _is_called(scenario, item.scenario)
    }
    if not known:
        return scenario
    for item in known.values():
        _require_cell(scenario, item)

    def as_known(step: Step, cell: Cell) -> Cell:
        found = known.get((step.name, str(cell.probe)))
        if found is None or found.gives is cell.expected:
            return cell
        limitation = Limitation(cell.expected, found.reason)
        return replace(cell, expected=found.gives, undefined=None, limitation=limitation)

    tables = [
        replace(step.table, cells=tuple(as_known(step, cell) for cell in step.table.cells))
        for step in scenario.steps
    ]
    steps = zip(scenario.steps, tables, strict=True)
    return replace(scenario, steps=tuple(replace(step, table=table) for step, table in steps))


def _is_called(scenario: Scenario, name: str) -> bool:
    """Return whether a name with some of its folders, ``ports/named-ports``, is a scenario's."""
    *folders, slug = name.split("/")
    if slug != scenario.slug:
        return False
    above = Path(scenario.path).absolute().parent.parts
    return not folders or above[-len(folders) :] == tuple(folders)


def _require_cell(scenario: Scenario, known: KnownCell) -> None:
    written = {
        step.name: [str(cell.probe) for cell in step.table.cells] for step in scenario.steps
    }
    if known.step not in written:
        missing = f"no step {known.step!r}"
        hint = nearest_or_all(known.step, written, "steps")
    elif known.probe not in written[known.step]:
        missing = f"no cell {known.probe!r} in step {known.step!r}"
        hint = nearest_or_all(known.probe, written[known.step], "cells")
    else:
        return
    raise UsageError(
        f"{scenario.path} has {missing}; `cells` of the CNI profile lists it: {known.reason}", hint
    )
