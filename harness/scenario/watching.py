"""The pairs that a step watches, or that its new pods probe from their first moment.

Both are found in the tables of the step and of the step before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from harness.documents.problems import Problems
from harness.documents.source import Document
from harness.errors import Location, UsageError
from harness.model import (
    AbsoluteName,
    Cell,
    Change,
    Created,
    Deleted,
    Host,
    Pod,
    PodRef,
    Probe,
    Restarted,
    Service,
    ServiceName,
    ServiceRef,
    Source,
    Step,
    TruthTable,
    Verdict,
    Watch,
)
from harness.scenario.candidates import Candidates, TooLarge
from harness.scenario.ends import pair_pattern
from harness.scenario.exemptions import meant
from harness.scenario.schema import StepWire
from harness.scenario.syntax import seconds

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
        cells = _matching(pair, location, tables.here, problems)
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


@dataclass(frozen=True, slots=True)
class StartedText:
    """The key ``from-start`` of a step as written: each pair with its position."""

    step: str
    at: Location
    pairs: Sequence[tuple[str, Location]]
    changes: Sequence[Change]
    is_first: bool


def from_start(
    text: StartedText, here: tuple[TruthTable, Candidates], problems: Problems
) -> tuple[Probe, ...]:
    """Return the pairs that new pods of a step probe from their first moment, as in the table.

    A pair that matches no cell, whose source is no new pod, or whose destination has no address
    before the step, is a problem.
    """
    if text.is_first:
        fact = f"step {text.step!r} has pairs from the start, and there is no step before it"
        problems.add(text.at, fact, "create the pod in a later step: its policies come first")
    made = {end for change in text.changes for end in _made(change)}
    found: set[Probe] = set()
    for pair, location in text.pairs:
        cells = _matching(pair, location, here, problems)
        found |= {cell.probe for cell in cells}
        faults = [fault for cell in cells if (fault := _start_fault(cell, made))]
        if faults:
            problems.add(location, *faults[0])
    return tuple(cell.probe for cell in here[0].cells if cell.probe in found)


def _start_fault(cell: Cell, made: Set[Host | Source]) -> tuple[str, str] | None:
    """Return why a pod cannot probe a pair from its first moment, and a hint; None if it can."""
    source, host = cell.probe.source, cell.probe.destination.host
    if source not in made:
        fact = f"{source} is not created by this step, so {cell.probe} has no start here"
        return fact, "write pairs whose source is a pod that the step creates or restarts"
    if host in made:
        fact = f"{host} is created by this step, so {source} cannot know its address"
        return fact, "create the destination in an earlier step"
    if isinstance(host, ServiceName | AbsoluteName):
        fact = f"{cell.probe} needs a lookup, which may be denied for itself"
        return fact, "write the pod or the Service, not its name"
    if cell.expected not in _WATCHABLE:
        fact = f"{cell.probe} is probed from the start, and its verdict is {cell.expected}"
        return fact, "write pairs that are allowed or TIMEOUT"
    return None


def _made(change: Change) -> Iterator[Host | Source]:
    match change:
        case Created(Pod(namespace, name)):
            yield PodRef(namespace, name)
        case Created(Service(namespace, name)):
            yield ServiceRef(namespace, name)
        case Restarted(pod):
            yield pod
        case _:
            pass


def _matching(
    pair: str, at: Location, here: tuple[TruthTable, Candidates], problems: Problems
) -> list[Cell]:
    """Return the cells of the step that a pair means."""
    table, ends = here
    try:
        matches = pair_pattern(pair)
        ends.budget.spend_comparisons(len(table.cells))
    except UsageError as error:
        problems.add(at, error.message, 'write "SOURCE -> DESTINATION"')
        return []
    except TooLarge:
        fact = "up to here, pairs are compared with too many cells"
        problems.add(at, fact, "use fewer entries, with '*'")
        return []
    cells = list(meant(pair, matches, here))
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
        probes = {*(step.watch.probes if step.watch else ()), *step.from_start}
        for cell in step.table.cells:
            if cell.undefined is not None and cell.probe in probes:
                fact = f"{cell.probe} is watched, and its verdict is undefined: {cell.undefined}"
                problems.add(cell.location, fact, "watch pairs whose verdict the API defines")


# ------------------------------------------------------------------ as written


def watched_text(
    document: Document, index: int, step: StepWire, changes: tuple[Change, ...]
) -> WatchedText | None:
    """Return the watch of a step as written, or None if it has none."""
    wire = step.watch
    if wire is None:
        return None
    place = ("steps", index, "watch")
    return WatchedText(
        step=step.step,
        at=document.key_at(place),
        pairs=[
            (pair, document.at((*place, "pairs", number)))
            for number, pair in enumerate(wire.pairs)
        ],
        changes=changes,
        tolerate_s=None if wire.tolerate is None else seconds(wire.tolerate),
        for_s=0.0 if wire.for_ is None else seconds(wire.for_),
        for_at=document.at((*place, "for")),
    )


def started_text(
    document: Document, index: int, step: StepWire, changes: tuple[Change, ...]
) -> StartedText | None:
    """Return the pairs that a step has probed from the start, as written; None if it has none."""
    place = ("steps", index, "from-start")
    pairs = [(pair, document.at((*place, at))) for at, pair in enumerate(step.from_start)]
    if not pairs:
        return None
    return StartedText(step.step, document.key_at(place), pairs, changes, is_first=not index)
