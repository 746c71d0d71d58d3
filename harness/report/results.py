"""results.json: a run for programs. Its schema is in docs/results.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from harness.model import CellStatus
from harness.report.record import Outcome, StepRecord

SCHEMA_VERSION = 2
"""Grows when a field changes its meaning or goes; new fields do not change it."""


@dataclass(frozen=True, slots=True)
class Run:
    """The run as a whole; ``started`` is ISO 8601 in UTC.

    ``refusal`` is why nothing ran (a cluster that does not enforce policies), or empty.
    """

    run_id: str
    started: str
    duration_s: float
    harness: str
    cluster: str
    workers: int
    refusal: str = ""
    leftovers: tuple[str, ...] = ()


def results_json(run: Run, steps: Sequence[StepRecord]) -> str:
    """Write the run and its steps, in the order of files and steps, as JSON text."""
    ordered = sorted(steps, key=lambda step: (step.file, step.index))
    cells = [cell for step in ordered for cell in step.cells]
    outcomes = Counter(step.outcome for step in ordered)
    statuses = Counter(cell.status for cell in cells)
    document = {
        "schema": SCHEMA_VERSION,
        "run": asdict(run),
        "summary": {
            "steps": {"total": len(ordered), **{each.value: outcomes[each] for each in Outcome}},
            "cells": {"total": len(cells), **{each.value: statuses[each] for each in CellStatus}},
        },
        "steps": [asdict(step) for step in ordered],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
