"""The compact data of the HTML report, as JSON: the script of the page renders it when needed.

Texts that occur often are written once, in ``texts``, and named by their place there. A cell is a
few numbers in one list for its step; everything else about it is in ``more``, where it exists.
Steps share the ``things`` of their topologies: namespaces, pods, Services, hosts, objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.errors import Location
from harness.model import CellStatus
from harness.report.ends import Ends
from harness.report.html.overview import scenarios
from harness.report.record import CellRecord, StepRecord, json_text
from harness.report.results import Results

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_STATUSES = tuple(CellStatus)


def data(results: Results, previous: Sequence[Results]) -> str:
    """Return the data as JSON that can stand in a script element."""
    earlier = _Earlier(previous)
    texts, things = _Texts(), _Things()
    document: dict[str, object] = {
        "options": results.run.options or f"--cluster={results.run.cluster}",
        "statuses": [str(status) for status in _STATUSES],
        "scenarios": [
            _scenario(steps, texts, things, earlier) for steps in scenarios(results.steps)
        ],
        "texts": texts.all,
        "things": things.all,
    }
    # In a script element, "</script" and "<!--" would end or change it.
    return json_text(document).replace("<", "\\u003c")


class _Texts:
    """The texts of the document, each once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    @property
    def all(self) -> list[str]:
        return list(self._places)


class _Things:
    """The parts of all topologies, each once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self.all: list[dict[str, object]] = []

    def places(self, records: Iterable[DataclassInstance]) -> list[int]:
        return [self._place(asdict(record)) for record in records]

    def _place(self, thing: dict[str, object]) -> int:
        place = self._places.setdefault(json_text(thing), len(self.all))
        if place == len(self.all):
            self.all.append(thing)
        return place


class _Earlier:
    """What earlier runs observed of a cell."""

    def __init__(self, runs: Iterable[Results]) -> None:
        self._found: dict[tuple[str, str, str], list[dict[str, str]]] = {}
        for results in runs:
            for step in results.steps:
                for cell in step.cells:
                    self._found.setdefault((step.file, step.step, cell.pair), []).append(
                        {
                            "started": results.run.started,
                            "run": results.run.run_id,
                            "cluster": step.cluster,
                            "observed": cell.observed,
                            "status": str(cell.status),
                        }
                    )

    def of(self, step: StepRecord, cell: CellRecord) -> list[dict[str, str]]:
        return self._found.get((step.file, step.step, cell.pair), [])


def _scenario(
    steps: Sequence[StepRecord], texts: _Texts, things: _Things, earlier: _Earlier
) -> Mapping[str, object]:
    first = steps[0]
    return {
        "file": first.file,
        "name": first.scenario,
        "covers": first.covers,
        "catches": first.catches,
        "weak": first.weak,
        "snapshot": first.snapshot,
        "steps": [_step(step, texts, things, earlier) for step in steps],
    }


def _step(
    step: StepRecord, texts: _Texts, things: _Things, earlier: _Earlier
) -> Mapping[str, object]:
    rows = list(dict.fromkeys(cell.source for cell in step.cells))
    heads = {cell.column: (cell.destination, cell.family) for cell in step.cells}
    names = list(dict.fromkeys((*(name for name in step.columns if name in heads), *heads)))
    row, column = _by_text(rows), _by_text(names)
    numbers: list[int] = []
    more: dict[int, object] = {}
    paths: dict[tuple[int, ...], int] = {}
    for place, cell in enumerate(step.cells):
        where = Location.parse(cell.location) or Location(cell.location, 0, 0)
        numbers += [
            row[cell.source],
            column[cell.column],
            texts.place(cell.expected),
            texts.place(cell.observed),
            _STATUSES.index(cell.status),
            texts.place(where.path),
            where.line,
            where.column,
            paths.setdefault(cell.path, len(paths)),
        ]
        if found := _more(cell, earlier.of(step, cell)):
            more[place] = found
    return {
        "name": step.step,
        "index": step.index,
        "line": step.line,
        "outcome": str(step.outcome),
        "cluster": step.cluster,
        "message": step.message,
        "actions": step.actions,
        "ignored": step.ignored,
        "applied_as": step.applied_as,
        "rebuilt": step.rebuilt,
        "rounds": step.full_rounds,
        "sync_s": step.sync_s,
        "probe_s": step.probe_s,
        "deny_s": step.time_to_deny_s,
        "allow_s": step.time_to_allow_s,
        "held_s": step.held_s,
        "change": step.change,
        "turned_denied": step.turned_denied,
        "turned_allowed": step.turned_allowed,
        "watched": [asdict(pair) for pair in step.watched],
        "started": [asdict(pair) for pair in step.started],
        "rows": rows,
        "columns": [heads[name] for name in names],
        "cells": numbers,
        "paths": [[texts.place(step.path_lines[at]) for at in path] for path in paths],
        **_topology(step, things, rows, [heads[name][0] for name in names]),
        "more": more,
    }


def _topology(
    step: StepRecord, things: _Things, rows: Iterable[str], destinations: Iterable[str]
) -> Mapping[str, object]:
    held = step.topology
    ends = Ends(held)
    return {
        "namespaces": things.places(held.namespaces),
        "pods": things.places(held.pods),
        "services": things.places(held.services),
        "externals": things.places(held.externals),
        "objects": things.places(held.objects),
        "row_ends": [asdict(ends.source(row)) for row in rows],
        "column_ends": [asdict(ends.destination(each)) for each in destinations],
    }


def _by_text(items: Iterable[str]) -> Mapping[str, int]:
    return {text: place for place, text in enumerate(items)}


def _more(cell: CellRecord, earlier: Sequence[object]) -> dict[str, object]:
    """Return what is known of a cell beside its verdicts; nothing for most."""
    is_plain = cell.status is CellStatus.PROVEN
    found: dict[str, object] = {
        "stated": cell.stated if cell.stated != cell.expected else "",
        "reason": cell.reason,
        "control": cell.control,
        "rejected": cell.rejected,
        "limitation": cell.limitation,
        "wrong_from_s": cell.wrong_from_s,
        "wrong_until_s": cell.wrong_until_s,
        "flapped": [asdict(flap) for flap in cell.flapped],
        "reasons": cell.reasons,
        "command": cell.command,
        "raw": cell.raw,
        "cni": asdict(cell.cni) if cell.cni else None,
        "earlier": [] if is_plain else earlier,
    }
    return {key: value for key, value in found.items() if value not in ("", None, False, [])}
