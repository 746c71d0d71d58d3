"""What an author's tables say against what the policies say, and whether they say anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from harness import oracle
from harness.documents.problems import Problems
from harness.errors import Location
from harness.model import Cell, Probe, Scenario, Step, Verdict

_SHOWN = 3
_DENIALS = frozenset({Verdict.TIMEOUT, Verdict.DNS})


# ------------------------------------------------------------------ whether they say anything


def changes_something(steps: Iterable[Step]) -> bool:
    """Return whether a cell that can prove something changes.

    It changes if it is denied, since the control step has no policies, or if it differs from the
    same pair in another step. Cells that the API leaves undefined, and cells that the author
    exempts, prove nothing. The undefined ones must be marked.
    """
    return any(True for _ in _changing(cell for cell in _cells(steps) if _proves(cell)))


def _excused_changes(steps: Iterable[Step]) -> list[Cell]:
    return [cell for cell in _changing(_cells(steps)) if not _proves(cell)]


def without_proof(steps: Iterable[Step]) -> tuple[str, str]:
    """Return what is wrong with steps that change nothing which counts, and a hint."""
    excused = _excused_changes(steps)
    if not excused:
        fact = "no step changes any cell, so the scenario passes where nothing is enforced"
        return fact, "deny something, or declare it: `proves: nothing-changes`"
    first: dict[str, Cell] = {}
    for cell in excused:
        reason = (
            f"undefined: {cell.undefined}"
            if cell.undefined
            else f"never-allowed: {cell.never_allowed}"
        )
        first.setdefault(reason, cell)
    lines = [f"\n    {cell.location}: {cell.probe} is {reason}" for reason, cell in first.items()]
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"\n    and {len(lines) - _SHOWN} more reasons"]
    fact = (
        "no step changes a cell that can prove something, so the scenario passes where nothing "
        f"is enforced{''.join(lines)}"
    )
    hint = (
        "deny a pair that connects without policies, and whose verdict the API defines; or "
        "declare it: `proves: nothing-changes`"
    )
    return fact, hint


def _cells(steps: Iterable[Step]) -> Iterator[Cell]:
    return (cell for step in steps for cell in step.table.cells)


def _changing(cells: Iterable[Cell]) -> Iterator[Cell]:
    seen: dict[Probe, Verdict] = {}
    for cell in cells:
        before = seen.setdefault(cell.probe, cell.expected)
        if cell.expected in _DENIALS or before is not cell.expected:
            yield cell


def _proves(cell: Cell) -> bool:
    return cell.undefined is None and cell.never_allowed is None


# ------------------------------------------------------------------ against the policies


def compare(scenario: Scenario, problems: Problems) -> Scenario:
    """Compare every cell with the oracle.

    Returns the scenario with the oracle's reason in each cell that the API leaves undefined,
    or that the oracle cannot judge. Each word that the policies contradict becomes a problem,
    unless the author switched the oracle off.
    """
    against: dict[Location, list[str]] = {}
    steps = []
    for step in scenario.steps:
        judge = oracle.Judge(step.state, oracle.Facts(features=scenario.features_of(step)))
        cells = tuple(_judged(judge, cell, against) for cell in step.table.cells)
        steps.append(replace(step, table=replace(step.table, cells=cells)))
    hint = (
        "correct the table or the policy; `netpol explain` shows more, and "
        "`oracle: {off: reason}` keeps both as they are"
    )
    if scenario.snapshot is not None:
        hint = (
            "the table is a snapshot: `netpol snapshot` shows what changed, and --update writes "
            "it; or correct the policy"
        )
    if scenario.oracle_off is None:
        for location, texts in against.items():
            problems.add(location, _shortened(texts), hint)
    return replace(scenario, steps=tuple(steps))


def _judged(judge: oracle.Judge, cell: Cell, against: dict[Location, list[str]]) -> Cell:
    prediction = judge.predict(cell.probe)
    if prediction.contradicts(cell.expected):
        texts = against.setdefault(cell.location, [])
        notes: tuple[str, ...] = ()
        if prediction.verdicts == {Verdict.ALLOWED} and len(texts) < _SHOWN:
            notes = judge.notes(cell.probe)
        texts.append(_contradiction(cell, prediction, notes))
    undefined = None
    if not prediction.verdicts:
        undefined = prediction.judgement.undefined or "the API leaves it open"
    if undefined or prediction.not_judged:
        return replace(cell, undefined=undefined, not_judged=prediction.not_judged)
    return cell


def _shortened(texts: list[str]) -> str:
    rest = len(texts) - _SHOWN
    more = [f"and {rest} more pairs of this word"] if rest > 0 else []
    return "\n".join([*texts[:_SHOWN], *more])


def _contradiction(cell: Cell, prediction: oracle.Prediction, notes: Sequence[str]) -> str:
    """Describe how the policies contradict a cell."""
    verdicts = " or ".join(str(verdict) for verdict in Verdict if verdict in prediction.verdicts)
    says = f"{cell.probe} gives {verdicts}"
    if prediction.verdicts == {Verdict.ALLOWED}:
        says = f"the policies allow {cell.probe}"
    elif (
        prediction.verdicts == {Verdict.TIMEOUT}
        and prediction.judgement.ruling is oracle.Ruling.DENIED
    ):
        says = f"the policies deny {cell.probe}"
    lines = (*prediction.judgement.reasons, *notes)
    reasons = "".join(f"\n    {line}" for line in lines)
    return f"{cell.expected}, but {says}{reasons}"
