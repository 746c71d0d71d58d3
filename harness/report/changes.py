"""The changes of a step in a word, and how many cells they turn."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model import (
    AgentsRestarted,
    Applied,
    Cell,
    Change,
    CompletedPod,
    Created,
    Deleted,
    Labelled,
    PodRef,
    Refused,
    Restarted,
    Scenario,
    Verdict,
)


def kind_of(changes: Sequence[Change]) -> str:
    """Return the kind of the changes of a step, ``several`` or ``nothing``."""
    kinds = {_kind(change) for change in changes}
    return kinds.pop() if len(kinds) == 1 else "several" if kinds else "nothing"


def _kind(change: Change) -> str:
    match change:
        case Created(CompletedPod()):
            return "Pod created"
        case Created(item):
            return f"{type(item).__name__} created"
        case Applied(manifest, updates):
            return f"{manifest.kind} {'updated' if updates else 'created'}"
        case Refused(manifest):
            return f"{manifest.kind} refused"
        case Deleted(kind):
            return f"{kind} deleted"
        case Labelled(target):
            return f"{'Pod' if isinstance(target, PodRef) else 'Namespace'} relabelled"
        case Restarted():
            return "Pod restarted"
        case AgentsRestarted():
            return "agents restarted"


def turned(scenario: Scenario, index: int) -> tuple[int, int]:
    """Return how many cells a step turns to TIMEOUT, and how many to allowed.

    The first step begins without policies, so that every denial in it is new.
    """
    cells = scenario.steps[index].table.cells
    if not index:
        return sum(_is_denial(cell) for cell in cells), 0
    before = {cell.probe: cell.expected for cell in scenario.steps[index - 1].table.cells}
    turned = [cell for cell in cells if before.get(cell.probe, cell.expected) is not cell.expected]
    return (
        sum(_is_denial(cell) for cell in turned),
        sum(cell.expected is Verdict.ALLOWED and cell.undefined is None for cell in turned),
    )


def _is_denial(cell: Cell) -> bool:
    exempt = cell.undefined is not None or cell.never_allowed is not None
    return cell.expected is Verdict.TIMEOUT and not exempt
