"""Topologies of a results.json: steps that have the same one share it, so that files stay small.

In the file, ``topology`` of a step has its objects only, and ``shared_topology`` is the number of
the rest in a list of the file. In memory each step has its whole topology.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.report.record import StepRecord
from harness.report.topology import EMPTY, TopologyRecord


def shared(
    steps: Sequence[StepRecord],
) -> tuple[tuple[TopologyRecord, ...], tuple[StepRecord, ...]]:
    """Return the different topologies without their objects, and the steps as in the file."""
    numbers: dict[str, int] = {}
    found: list[TopologyRecord] = []
    written = []
    for step in steps:
        rest = replace(step.topology, objects=())
        if rest == EMPTY:
            written.append(step)
            continue
        number = numbers.setdefault(repr(rest), len(found))
        if number == len(found):
            found.append(rest)
        own = replace(EMPTY, objects=step.topology.objects)
        written.append(replace(step, topology=own, shared_topology=number))
    return tuple(found), tuple(written)


def with_topologies(
    steps: Sequence[StepRecord], topologies: Sequence[TopologyRecord]
) -> tuple[StepRecord, ...]:
    """Return the steps of a file with their whole topologies. Raises IndexError."""
    return tuple(_whole(step, topologies) for step in steps)


def _whole(step: StepRecord, topologies: Sequence[TopologyRecord]) -> StepRecord:
    number = step.shared_topology
    if number is None:
        return step
    if number < 0:
        raise IndexError(number)
    whole = replace(topologies[number], objects=step.topology.objects)
    return replace(step, topology=whole, shared_topology=None)
