"""The pairs that a step watches, found in the tables of the step and of the step before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from harness.errors import Location, UsageError
from harness.model import (
    Cell,
    Change,
    Deleted,
    Host,
    PodRef,
    Probe,
    Restarted,
    Source,
    Step,
    TruthTable,
    Verdict,
    Watch,
)
from harness.scenario.candidates import Candidates, TooLarge
from harness.scenario.ends import pair_pattern
from harness.scenario.exemptions import meant
from harness.scenario.problems import Problems

_WATCHABLE = {Verdict.ALLOWED, Verdict.TIMEOUT}
_LONGEST_S = 3600.0


@dataclass(frozen=True, slots=True)
class WatchedText:
    """The key ``watch`` of a step as written: each pair with its position."""

    step: str
    at: Location
    pairs: Sequence[tuple[str, Location]]
    changes: Sequence[Change]
    tolerate_s: float | None
    for_s: float
    for_at: Location


@dataclass(frozen=True, slots=True)
class Tables:
    """The table of a step with its candidates, and the step before with its table, if any."""

    here: tuple[TruthTable, Candidates]
    before: tuple[str, TruthTable] | None


def watch(text: WatchedText, tables: Tables, problems: Problems) -> Watch:
    """Return the watch of a step, its probes in the order of the table.

    A pair that matches no cell, or whose verdict is not the same in both steps, is a problem.
    """
    if text.for_s > _LONGEST_S:
        problems.add(text.for_at, "`for` is longer than an hour", "watch for at most 3600s")
    if tables.before is None:
        fact = f"step {text.step!r} watches pairs, and there is no step before it"
        problems.add(text.at, fact, "write a step before it that has the same pairs in its table")
        return Watch((), text.tolerate_s, text.for_s)
    before, table = tables.before
    known = {cell.probe: cell.expected for cell in table.cells}
    removed = {pod for change in text.changes if (pod := _removed(change)) is not None}
    found: set[Probe] = set()
    for pair, location in text.pairs:
        cells = _matching(pair, location, tables, problems)
        found |= {cell.probe for cell in cells}
        found_faults = (_fault(cell, before, known, removed) for cell in cells)
        faults = [fault for fault in found_faults if fault is not None]
        if faults:
            fact, hint = faults[0]
            rest = len(faults) - 1
            more = f" (and {rest} more {'pair' if rest == 1 else 'pairs'})" if rest else ""
            problems.add(location, f"{fact}{more}", hint)
    ordered = tuple(cell.probe for cell in tables.here[0].cells if cell.probe in found)
    return Watch(ordered, text.tolerate_s, text.for_s)


def _matching(pair: str, at: Location, tables: Tables, problems: Problems) -> list[Cell]:
    """Return the cells of the step that a pair means."""
    table, ends = tables.here
    try:
        matches = pair_pattern(pair)
        ends.budget.spend_comparisons(len(table.cells))
    except UsageError as error:
        problems.add(at, error.message, 'write "SOURCE -> DESTINATION"')
        return []
    except TooLarge:
        fact = "up to here, watch is compared with too many cells"
        problems.add(at, fact, "use fewer entries, with '*'")
        return []
    cells = list(meant(pair, matches, tables.here))
    if not cells:
        problems.add(at, f"{pair!r} matches no cell", "remove it, or correct its ends")
    return cells


def _fault(
    cell: Cell, before: str, known: Mapping[Probe, Verdict], removed: Set[Host | Source]
) -> tuple[str, str] | None:
    """Return why a cell cannot be watched, and a hint; None if it can."""
    gone = [end for end in (cell.probe.source, cell.probe.destination.host) if end in removed]
    if gone:
        fact = f"{cell.probe} is watched, and the step restarts or deletes Pod {gone[0]}"
        return fact, "watch pairs whose pods stay the same"
    earlier = known.get(cell.probe)
    if earlier is None:
        fact = f"{cell.probe} is watched, and it is not in the table of step {before!r}"
        return fact, "add the pair to that table"
    if earlier is not cell.expected:
        fact = (
            f"{cell.probe} is watched, and its verdict changes: {earlier} in step "
            f"{before!r}, {cell.expected} in this step"
        )
        return fact, "watch pairs that have the same verdict in both steps"
    if cell.expected not in _WATCHABLE:
        fact = f"{cell.probe} is watched, and its verdict is {cell.expected}"
        return fact, "watch pairs that are allowed or TIMEOUT"
    return None


def _removed(change: Change) -> PodRef | None:
    match change:
        case Restarted(pod):
            return pod
        case Deleted("Pod", namespace, name):
            return PodRef(namespace, name)
        case _:
            return None


def check_defined(steps: Iterable[Step], problems: Problems) -> None:
    """Report the watched cells that the API leaves undefined: no verdict of them is a gap."""
    for step in steps:
        probes = step.watch.probes if step.watch else ()
        for cell in step.table.cells:
            if cell.undefined is not None and cell.probe in probes:
                fact = f"{cell.probe} is watched, and its verdict is undefined: {cell.undefined}"
                problems.add(cell.location, fact, "watch pairs whose verdict the API defines")
