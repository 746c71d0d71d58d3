"""The pairs that an author declares ``never-allowed``, written into the cells of the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.documents.problems import Problems
from harness.documents.source import Document
from harness.errors import Location, UsageError
from harness.model import Cell, Destination, Probe, Source, TruthTable, Verdict
from harness.scenario.candidates import Candidates, TooLarge
from harness.scenario.ends import pair_pattern
from harness.scenario.schema import ScenarioWire


@dataclass(frozen=True, slots=True)
class Exemption:
    """A ``SOURCE -> DESTINATION`` that never connects, and the author's reason.

    ``step`` is the index of the step that it stands in, or None for all steps.
    """

    pair: str
    reason: str
    location: Location
    step: int | None = None


def exempted(
    exemptions: Sequence[Exemption],
    tables: Sequence[tuple[TruthTable, Candidates]],
    problems: Problems,
) -> list[TruthTable]:
    """Return the tables with the author's reason in each cell that is exempt.

    What a step exempts stands before what the scenario exempts. An exemption of no cell, and one
    of a pair that its tables call allowed, is a problem.
    """
    found: list[dict[Probe, str]] = [{} for _ in tables]
    for exemption in sorted(exemptions, key=lambda item: item.step is not None):
        try:
            matches = pair_pattern(exemption.pair)
        except UsageError as error:
            problems.add(exemption.location, error.message, error.hint)
            continue
        if problems.are_many:
            break
        numbers = range(len(tables)) if exemption.step is None else [exemption.step]
        cells = []
        for number in numbers:
            table, candidates = tables[number]
            try:
                candidates.budget.spend_comparisons(len(table.cells))
            except TooLarge:
                fact = "up to here, never-allowed is compared with too many cells"
                problems.add(exemption.location, fact, "use fewer entries, with '*'")
                return [table for table, _ in tables]
            exempt = list(meant(exemption.pair, matches, tables[number]))
            found[number] |= {cell.probe: exemption.reason for cell in exempt}
            cells += exempt
        _check(exemption, cells, problems)
    return [
        replace(table, cells=tuple(_exempt(cell, reasons) for cell in table.cells))
        for (table, _), reasons in zip(tables, found, strict=True)
    ]


def meant(
    pair: str,
    matches: Callable[[Source, Destination], bool],
    table: tuple[TruthTable, Candidates],
) -> Iterator[Cell]:
    """Return the cells of a table that a pair means: a ``*`` means no pod to itself."""
    wide = "*" in pair
    cells, candidates = table[0].cells, table[1]
    for cell in cells:
        source, destination = cell.probe.source, cell.probe.destination
        itself = wide and candidates.is_itself(source, destination.host)
        if not itself and matches(source, destination):
            yield cell


def _check(exemption: Exemption, cells: Sequence[Cell], problems: Problems) -> None:
    if not cells:
        hint = "remove it, or correct its ends"
        problems.add(exemption.location, f"{exemption.pair!r} matches no cell", hint)
    connecting = [cell for cell in cells if cell.expected is Verdict.ALLOWED]
    if connecting:
        first, rest = connecting[0], len(connecting) - 1
        more = f", and {rest} more {'cell' if rest == 1 else 'cells'}" if rest else ""
        fact = (
            f"{exemption.pair!r} is never-allowed, but {first.probe} is allowed at "
            f"{first.location}{more}"
        )
        problems.add(exemption.location, fact, _HINTS[exemption.step is None])


_HINTS = {
    True: "remove it, or write it in the `never-allowed` of the steps in which it cannot connect",
    False: "remove it, or correct the table of this step",
}


def _exempt(cell: Cell, reasons: dict[Probe, str]) -> Cell:
    reason = reasons.get(cell.probe)
    return cell if reason is None else replace(cell, never_allowed=reason)


def declared(document: Document, wire: ScenarioWire) -> list[Exemption]:
    """Return what the scenario and its steps declare as never-allowed."""
    found = [
        Exemption(pair, reason, document.key_at(("never-allowed", pair)))
        for pair, reason in wire.never_allowed.items()
    ]
    for index, step in enumerate(wire.steps):
        for pair, reason in step.never_allowed.items():
            place = document.key_at(("steps", index, "never-allowed", pair))
            found.append(Exemption(pair, reason, place, index))
    return found
