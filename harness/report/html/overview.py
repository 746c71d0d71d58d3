"""What the HTML report shows before anything is opened: counts, failures, lists."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness import catalogue
from harness.model import CellStatus
from harness.report.pairs import StartRecord, WatchRecord
from harness.report.record import CellRecord, Outcome, StepRecord
from harness.report.results import Results
from harness.report.tally import counted
from harness.report.text import sentence

FAILING = (CellStatus.WRONG, CellStatus.NO_VERDICT, CellStatus.UNPROVEN)
"""The statuses that fail a step."""

_SEVERITY = (
    Outcome.WRONG,
    Outcome.NOT_REFUSED,
    Outcome.UNPROVEN,
    Outcome.NO_VERDICT,
    Outcome.CLUSTER_ERROR,
    Outcome.LIMITED,
    Outcome.PASSED,
    Outcome.SKIPPED,
)
_FINE = {Outcome.PASSED, Outcome.LIMITED, Outcome.SKIPPED}

_LISTED = 200
"""The maximum number of failures in the list; each step lists at most ``_LISTED_PER_STEP``."""
_LISTED_PER_STEP = 10


@dataclass(frozen=True, slots=True)
class Count:
    """The number of cells or steps with one status or outcome."""

    word: str
    number: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A cell, or a step without cells, that is not as it must be; ``place`` finds it in the data.

    ``place`` are the numbers of the scenario, of its step, and of the cell (-1: the step).
    """

    place: tuple[int, int, int]
    status: str
    pair: str
    fact: str
    why: str
    location: str


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A step that failed, and its first failures; ``unlisted`` are the others."""

    scenario: str
    step: str
    place: tuple[int, int]
    failures: tuple[Failure, ...]
    unlisted: int


@dataclass(frozen=True, slots=True)
class ScenarioLine:
    """A scenario in the list; ``cells`` has every status, zeros too."""

    name: str
    file: str
    outcome: str
    steps: int
    covers: tuple[str, ...]
    cells: tuple[Count, ...]
    message: str
    is_fine: bool


@dataclass(frozen=True, slots=True)
class RequirementLine:
    """A requirement, and the cells of all scenarios that cover it."""

    id: str
    text: str
    scenarios: int
    skipped: int
    cells: tuple[Count, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """The report before anything is opened; ``facts`` are pairs of a name and a value."""

    verdict: str
    is_fine: bool
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    steps: tuple[Count, ...]
    cells: tuple[Count, ...]
    total_cells: int
    total_steps: int
    failed: tuple[FailedStep, ...]
    unlisted_steps: int
    scenarios: tuple[ScenarioLine, ...]
    requirements: tuple[RequirementLine, ...]


def scenarios(steps: Iterable[StepRecord]) -> tuple[tuple[StepRecord, ...], ...]:
    """Return the steps of each scenario, in the order of the results."""
    return tuple(tuple(found) for _, found in itertools.groupby(steps, key=lambda step: step.file))


def overview(results: Results) -> Overview:
    """Return the overview of a run."""
    steps = results.steps
    cells = [cell for step in steps for cell in step.cells]
    grouped = scenarios(steps)
    failed = tuple(_failed(grouped))
    listed = tuple(_bounded(failed))
    verdict, is_fine = _verdict(results, cells)
    return Overview(
        verdict=verdict,
        is_fine=is_fine,
        facts=tuple(_facts(results)),
        notes=tuple(_notes(results)),
        steps=_outcomes(steps),
        cells=_statuses(cells),
        total_cells=len(cells),
        total_steps=len(steps),
        failed=listed,
        unlisted_steps=len(failed) - len(listed),
        scenarios=tuple(map(_scenario, grouped)),
        requirements=tuple(_requirements(grouped)),
    )


# ------------------------------------------------------------------ the run


def _verdict(results: Results, cells: Sequence[CellRecord]) -> tuple[str, bool]:
    if results.run.refusal:
        return "No step ran: the cluster was refused", False
    failed = [step for step in results.steps if step.outcome not in _FINE]
    of_steps = f"{len(failed)} of {counted(len(results.steps), 'step')} failed"
    if failed:
        bad = [f"{n} {status}" for status in FAILING if (n := _number(cells, status))]
        return f"{of_steps}: {', '.join(bad)} cells" if bad else of_steps, False
    if not cells:
        return "No cell was measured", False
    skipped = sum(step.outcome is Outcome.SKIPPED for step in results.steps)
    but = f", {counted(skipped, 'step')} skipped" if skipped else ""
    proven = _number(cells, CellStatus.PROVEN)
    return f"Nothing failed: {proven} of {counted(len(cells), 'cell')} proven{but}", True


def _number(cells: Iterable[CellRecord], status: CellStatus) -> int:
    return sum(cell.status is status for cell in cells)


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    run = results.run
    measured = sorted({step.cluster for step in results.steps if step.cells})
    yield "cluster", ", ".join(measured) or run.cluster
    yield "started", run.started.replace("T", " ").replace("+00:00", " UTC")
    minutes, seconds = divmod(round(run.duration_s), 60)
    yield "duration", f"{minutes} min {seconds} s" if minutes else f"{run.duration_s:.1f} s"
    yield "scenarios", str(len({step.file for step in results.steps}))
    yield "steps", str(len(results.steps))
    yield "workers", str(run.workers or 1)
    if run.cni:
        yield "CNI", f"{run.cni} {run.cni_version}".rstrip()
    if run.kubernetes:
        yield "Kubernetes", run.kubernetes
    yield "run", run.run_id
    yield "netpol", run.harness


def _notes(results: Results) -> Iterator[str]:
    if results.run.refusal:
        yield results.run.refusal
    yield from (f"not removed: {item}" for item in results.run.leftovers)


def _outcomes(steps: Iterable[StepRecord]) -> tuple[Count, ...]:
    counts = Counter(step.outcome for step in steps)
    return tuple(Count(str(each), counts[each]) for each in Outcome)


def _statuses(cells: Iterable[CellRecord]) -> tuple[Count, ...]:
    counts = Counter(cell.status for cell in cells)
    return tuple(Count(str(each), counts[each]) for each in CellStatus)


# ------------------------------------------------------------------ failures


def _failed(grouped: Sequence[Sequence[StepRecord]]) -> Iterator[FailedStep]:
    for number, steps in enumerate(grouped):
        for place, step in enumerate(steps):
            if step.outcome not in _FINE:
                found = tuple(_failures(step, number, place))
                yield FailedStep(
                    scenario=step.scenario,
                    step=step.step,
                    place=(number, place),
                    failures=found[:_LISTED_PER_STEP],
                    unlisted=max(0, len(found) - _LISTED_PER_STEP),
                )


def _bounded(failed: Iterable[FailedStep]) -> Iterator[FailedStep]:
    total = 0
    for step in failed:
        total += len(step.failures)
        if total > _LISTED:
            return
        yield step


def _failures(step: StepRecord, number: int, place: int) -> Iterator[Failure]:
    odd = [(at, cell) for at, cell in enumerate(step.cells) if cell.status in FAILING]
    for at, cell in sorted(odd, key=lambda item: FAILING.index(item[1].status)):
        yield Failure(
            place=(number, place, at),
            status=str(cell.status),
            pair=cell.pair,
            fact=_fact(cell),
            why=cell.reason or "; ".join(cell.reasons.splitlines()[:2]),
            location=cell.location,
        )
    over_time: tuple[WatchRecord | StartRecord, ...] = (*step.watched, *step.started)
    for pair in over_time:
        if pair.failed or pair.silent:
            yield Failure(
                place=(number, place, -1),
                status="wrong" if pair.failed else "no verdict",
                pair=pair.pair,
                fact=f"{_over_time(pair)}, expected {pair.expected}",
                why="",
                location=pair.location,
            )
    if not step.cells:
        yield Failure(
            place=(number, place, -1),
            status=str(step.outcome),
            pair="",
            fact=sentence(step) or str(step.outcome),
            why="",
            location=f"{step.file}:{step.line}",
        )


def _fact(cell: CellRecord) -> str:
    match cell.status:
        case CellStatus.NO_VERDICT:
            return f"no verdict, expected {cell.expected}"
        case CellStatus.UNPROVEN:
            return f"{cell.observed} as expected, but never seen connecting"
        case _:
            return f"observed {cell.observed}, expected {cell.expected}"


def _over_time(pair: WatchRecord | StartRecord) -> str:
    """Return the first thing that is wrong with a pair that was probed over time."""
    if not pair.failed:
        return "no verdict for too long"
    gaps = pair.gaps if isinstance(pair, WatchRecord) else pair.lost
    for gap in gaps:
        if not gap.tolerated:
            return f"{gap.observed} from {gap.from_s:.2f} s to {gap.until_s:.2f} s"
    if isinstance(pair, StartRecord) and pair.connected_s is not None:
        return f"connected {pair.connected_s:.2f} s after the first probe of the pod"
    return "never connected"


# ------------------------------------------------------------------ lists


def _scenario(steps: Sequence[StepRecord]) -> ScenarioLine:
    outcomes = {step.outcome for step in steps}
    worst = next(each for each in _SEVERITY if each in outcomes)
    first = steps[0]
    skipped = next((step.message for step in steps if step.outcome is Outcome.SKIPPED), "")
    return ScenarioLine(
        name=first.scenario,
        file=first.file,
        outcome=str(worst),
        steps=len(steps),
        covers=first.covers,
        cells=_statuses(cell for step in steps for cell in step.cells),
        message=skipped if worst is Outcome.SKIPPED else "",
        is_fine=worst in _FINE,
    )


def _requirements(grouped: Iterable[Sequence[StepRecord]]) -> Iterator[RequirementLine]:
    found: dict[str, list[Sequence[StepRecord]]] = {}
    for steps in grouped:
        for id_ in steps[0].covers:
            found.setdefault(id_, []).append(steps)
    known = catalogue.requirements()
    for id_ in sorted(found):
        covering = [step for steps in found[id_] for step in steps]
        yield RequirementLine(
            id=id_,
            text=known[id_].text if id_ in known else "",
            scenarios=len(found[id_]),
            skipped=sum(step.outcome is Outcome.SKIPPED for step in covering),
            cells=_statuses(cell for step in covering for cell in step.cells),
        )
