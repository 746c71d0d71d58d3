"""What an author's tables say against what the policies say, and whether they say anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from harness import oracle
from harness.errors import Location, Problem
from harness.model import Cell, Probe, Scenario, Step, Verdict

_SHOWN = 3
_DENIALS = frozenset({Verdict.TIMEOUT, Verdict.DNS})


def changes_something(steps: Iterable[Step]) -> bool:
    """Whether a step changes a cell: from another step, or from the control without policies."""
    seen: dict[Probe, Verdict] = {}
    for step in steps:
        for cell in step.table.cells:
            if cell.expected in _DENIALS and cell.never_allowed is None:
                return True
            if seen.setdefault(cell.probe, cell.expected) is not cell.expected:
                return True
    return False


def compare(
    scenario: Scenario, line_at: Callable[[Location], str]
) -> tuple[Scenario, tuple[Problem, ...]]:
    """Hold every cell against the oracle.

    Gives the scenario with the oracle's reason in each cell that the API leaves open, and one
    problem for each word that the policies contradict.
    """
    facts = oracle.Facts(features=scenario.needs.features)
    against: dict[Location, list[str]] = {}
    steps = []
    for step in scenario.steps:
        judge = oracle.Judge(step.state, facts)
        cells = tuple(_judged(judge, cell, against) for cell in step.table.cells)
        steps.append(replace(step, table=replace(step.table, cells=cells)))
    hint = (
        "correct the word or the policy; `netpol explain` tells more, and "
        "`oracle: {off: reason}` keeps both as they are"
    )
    problems = [
        Problem(location, _shortened(texts), line_at(location), hint)
        for location, texts in against.items()
        if scenario.oracle_off is None
    ]
    return replace(scenario, steps=tuple(steps)), tuple(problems)


def _judged(judge: oracle.Judge, cell: Cell, against: dict[Location, list[str]]) -> Cell:
    prediction = judge.predict(cell.probe)
    if prediction.not_judged is not None:
        return cell
    if not prediction.words:
        reason = prediction.judgement.undefined or "the API leaves it open"
        return replace(cell, undefined=reason)
    if prediction.contradicts(cell.expected):
        texts = against.setdefault(cell.location, [])
        text = _contradiction(cell, prediction)
        if prediction.words == {Verdict.ALLOWED} and len(texts) < _SHOWN:
            misses = judge.notes(cell.probe)
            text += "".join(f"\n    {line}" for line in misses)
        texts.append(text)
    return cell


def _shortened(texts: list[str]) -> str:
    rest = len(texts) - _SHOWN
    more = [f"and {rest} more pairs of this word"] if rest > 0 else []
    return "\n".join([*texts[:_SHOWN], *more])


def _contradiction(cell: Cell, prediction: oracle.Prediction) -> str:
    """Tell how the policies contradict a cell."""
    words = " or ".join(str(word) for word in Verdict if word in prediction.words)
    says = f"{cell.probe} gives {words}"
    if prediction.words == {Verdict.ALLOWED}:
        says = f"the policies allow {cell.probe}"
    elif (
        prediction.words == {Verdict.TIMEOUT}
        and prediction.judgement.ruling is oracle.Ruling.DENIED
    ):
        says = f"the policies deny {cell.probe}"
    reasons = "".join(f"\n    {line}" for line in prediction.judgement.reasons)
    return f"{cell.expected}, but {says}{reasons}"
