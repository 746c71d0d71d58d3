"""What an author's tables say against what the policies say, and whether they say anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness import oracle
from harness.errors import Location, Problem
from harness.model import Cell, Probe, Scenario, State, Step, TruthTable, Verdict

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


def with_undefined(scenario: Scenario) -> Scenario:
    """The scenario with the oracle's reason in each cell that the API leaves open."""
    steps = tuple(
        replace(step, table=TruthTable(tuple(_marked(scenario, step.state, step.table.cells))))
        for step in scenario.steps
    )
    return replace(scenario, steps=steps)


def _marked(scenario: Scenario, state: State, cells: Iterable[Cell]) -> Iterable[Cell]:
    judged = is_judged(state)
    facts = _facts(scenario)
    for cell in cells:
        prediction = oracle.predict(state, cell.probe, facts) if judged else None
        if prediction is None or prediction.words:
            yield cell
        else:
            reason = prediction.judgement.undefined or "the API leaves it open"
            yield replace(cell, undefined=reason)


def is_judged(state: State) -> bool:
    """Whether the oracle knows all that is applied."""
    return all(manifest.is_network_policy for manifest in state.policies)


def _facts(scenario: Scenario) -> oracle.Facts:
    return oracle.Facts(features=scenario.needs.features)


def disagreements(scenario: Scenario, lines: dict[Location, str]) -> tuple[Problem, ...]:
    """One problem for each word that the policies contradict."""
    if scenario.oracle_off is not None:
        return ()
    facts = _facts(scenario)
    found: dict[Location, list[str]] = {}
    for step in scenario.steps:
        for cell in step.table.cells if is_judged(step.state) else ():
            words = _against(step.state, cell, facts)
            if words:
                found.setdefault(cell.location, []).append(words)
    hint = (
        "correct the word or the policy; `netpol explain` tells more, and "
        "`oracle: {off: reason}` keeps both as they are"
    )
    return tuple(
        Problem(location, _shortened(texts), lines.get(location, ""), hint)
        for location, texts in found.items()
    )


def _shortened(texts: list[str]) -> str:
    rest = len(texts) - _SHOWN
    more = [f"and {rest} more pairs of this word"] if rest > 0 else []
    return "\n".join([*texts[:_SHOWN], *more])


def _against(state: State, cell: Cell, facts: oracle.Facts) -> str | None:
    """Tell how the policies contradict a cell, or None if they do not."""
    prediction = oracle.predict(state, cell.probe, facts)
    if not prediction.words or cell.expected in prediction.words:
        return None
    words = " or ".join(str(word) for word in Verdict if word in prediction.words)
    ruling = prediction.judgement.ruling
    says = f"{cell.probe} gives {words}"
    if prediction.words == {Verdict.ALLOWED}:
        says = f"the policies allow {cell.probe}"
    elif prediction.words == {Verdict.TIMEOUT} and ruling is oracle.Ruling.DENIED:
        says = f"the policies deny {cell.probe}"
    reasons = "".join(f"\n    {line}" for line in prediction.judgement.reasons)
    return f"{cell.expected}, but {says}{reasons}"
