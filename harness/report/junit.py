"""The properties of a test case in JUnit files: the cluster, and what a step gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from harness import VERSION
from harness.cluster import Capabilities
from harness.model import CellStatus
from harness.report.record import StepRecord
from harness.report.tally import excuses_by_status, flaps
from harness.report.watches import lines, start_lines


def about(has: Capabilities) -> Iterator[tuple[str, str]]:
    """Yield names and values: the cluster, its CNI and the versions, as far as they are known."""
    yield "cluster", has.name
    if has.cni:
        yield "cni", f"{has.cni} {has.cni_version}".strip()
    if has.kubernetes:
        yield "kubernetes", has.kubernetes
    yield "netpol", VERSION


def properties(step: StepRecord) -> Iterator[tuple[str, str | int | float]]:
    """Yield names and values: rounds, times, cells by status, and why some prove nothing.

    There is one property for each reason, with the same name.
    """
    yield "rounds", step.full_rounds
    for name, seconds in (
        ("time-to-deny", step.time_to_deny_s),
        ("time-to-allow", step.time_to_allow_s),
        ("held", step.held_s),
    ):
        if seconds is not None:
            yield name, seconds
    yield "cells", len(step.cells)
    counts = Counter(cell.status for cell in step.cells)
    for status in CellStatus:
        if counts[status]:
            yield str(status), counts[status]
    for status, line in excuses_by_status(step.cells):
        yield f"{status} because", line
    for line in flaps(step.cells):
        yield "flapped", line
    for line in lines(step):
        yield "watched", line
    for line in start_lines(step):
        yield "from-start", line
