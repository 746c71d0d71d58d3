"""The result of a step as strings and numbers that can be sent between processes."""

from __future__ import annotations

import enum
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.model import (
    Cell,
    CellResult,
    CellStatus,
    Manifest,
    Observation,
    Placement,
    Probe,
    Scenario,
    StepResult,
    Trace,
    TruthTable,
)
from harness.report.changes import kind_of, turned
from harness.report.pairs import (
    StartRecord,
    WatchRecord,
    rounded,
    rounded_or_none,
    start_record,
    watch_record,
)
from harness.report.topology import EMPTY, TopologyRecord, topology_record

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Explain = Callable[[CellResult], str]
"""Returns the reasons of the expected verdict, or the command that repeats a probe."""


def _no_path(_probe: Probe) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Background:
    """What a record tells beside the verdicts, as far as it is known.

    ``path`` returns which policy or rule decides at each end of a probe, a line for each.
    ``placements`` say where the cluster placed pods, ``traces`` what its CNI says about probes.
    """

    path: Callable[[Probe], tuple[str, ...]] = _no_path
    placements: tuple[Placement, ...] = ()
    traces: tuple[Trace, ...] = ()


UNKNOWN = Background()


class Outcome(enum.StrEnum):
    """The outcome of a step; ``LIMITED`` is an expected failure."""

    PASSED = "passed"
    LIMITED = "limited"
    WRONG = "wrong"
    NO_VERDICT = "no verdict"
    UNPROVEN = "unproven"
    CLUSTER_ERROR = "cluster error"
    NOT_REFUSED = "not refused"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class FlapRecord:
    """A wrong verdict of a cell that had been right before (see ``model.Flap``)."""

    observed: str
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """What the CNI says about a cell, or why nothing was learned (see ``model.Trace``)."""

    says: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class CellRecord:
    """One cell: its ends, the expected and observed verdicts, and the location of the expectation.

    ``stated`` is the verdict in the file; ``expected`` differs only under a ``limitation``, the
    reason why the cluster is known to give it. ``observed`` is empty without a verdict.
    ``reason`` is why the cell has its status, if the status has reasons. ``reasons``,
    ``command`` and ``raw`` are set only for cells that a failure or a summary explains, ``cni``
    for the first wrong ones. ``path`` are the places of its lines in ``StepRecord.path_lines``.
    """

    source: str
    destination: str
    family: int
    expected: str
    stated: str
    observed: str
    status: CellStatus
    location: str
    reason: str = ""
    control: str = ""
    rejected: bool = False
    limitation: str = ""
    wrong_from_s: float | None = None
    wrong_until_s: float | None = None
    flapped: tuple[FlapRecord, ...] = ()
    path: tuple[int, ...] = ()
    reasons: str = ""
    command: str = ""
    raw: str = ""
    cni: TraceRecord | None = None

    @property
    def is_odd(self) -> bool:
        """Whether the cell fails its step, or ends it with an error."""
        return self.status in _ODD

    @property
    def pair(self) -> str:
        """The probe as text."""
        suffix = " (IPv6)" if self.family == 6 else ""
        return f"{self.source} -> {self.destination}{suffix}"

    @property
    def column(self) -> str:
        """The destination as the head of a column."""
        return _head(self.destination, self.family)


_ODD = {CellStatus.NO_VERDICT, CellStatus.WRONG, CellStatus.UNPROVEN}


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step; ``index`` counts from 0, times are seconds (see ``model.StepResult``).

    ``columns`` are the destinations of the table in the order of the file; the cells are in the
    order of its rows. ``topology`` is what the cluster held; it is empty for a skipped step.
    ``shared_topology`` is only in files (see ``sharing``).
    ``path_lines`` are the lines of the paths of all cells, each once. ``snapshot`` is the day on
    which the policies gave the table; it is empty for a table of an author. ``ignored`` are kinds
    of applied objects that have no effect on this cluster, ``applied_as`` are kinds in whose place
    it got others of the same meaning. ``rebuilt`` is why the fixture was made
    again before the first step. ``change`` is the kind of its change (see ``changes``);
    ``turned_denied`` and ``turned_allowed`` count the cells that it turned to TIMEOUT and to
    allowed.
    """

    file: str
    scenario: str
    step: str
    index: int
    line: int
    outcome: Outcome
    cluster: str
    message: str = ""
    columns: tuple[str, ...] = ()
    topology: TopologyRecord = EMPTY
    shared_topology: int | None = None
    path_lines: tuple[str, ...] = ()
    cells: tuple[CellRecord, ...] = ()
    actions: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    catches: tuple[str, ...] = ()
    weak: bool = False
    snapshot: str = ""
    ignored: tuple[str, ...] = ()
    applied_as: tuple[str, ...] = ()
    rebuilt: str = ""
    full_rounds: int = 0
    sync_s: float = 0.0
    probe_s: float = 0.0
    time_to_deny_s: float | None = None
    time_to_allow_s: float | None = None
    held_s: float | None = None
    change: str = ""
    turned_denied: int = 0
    turned_allowed: int = 0
    watched: tuple[WatchRecord, ...] = ()
    started: tuple[StartRecord, ...] = ()
    duration_s: float = 0.0

    @property
    def name(self) -> str:
        """The node id of the step, as pytest accepts it."""
        return f"{self.file}::{self.step}"

    @property
    def has_failed(self) -> bool:
        """Whether the step fails its run, or ends it with an error."""
        return self.outcome not in {Outcome.PASSED, Outcome.LIMITED, Outcome.SKIPPED}

    def path(self, cell: CellRecord) -> tuple[str, ...]:
        """Which policy or rule decides at each end of a cell, according to the oracle."""
        return tuple(self.path_lines[place] for place in cell.path)

    def having(self, status: CellStatus) -> tuple[CellRecord, ...]:
        """The cells of that status, in the order of the table."""
        return tuple(cell for cell in self.cells if cell.status is status)

    def to_json(self) -> str:
        """Return the record as one line of JSON, with the fields of ``results.json``."""
        return json_text(_adapter().dump_python(self))

    @classmethod
    def from_json(cls, text: str) -> StepRecord:
        """Return the record that ``to_json`` wrote."""
        return _adapter().validate_json(text, strict=True)


def in_order(steps: Iterable[StepRecord]) -> tuple[StepRecord, ...]:
    """Return the steps sorted by file, and by their position in it."""
    return tuple(sorted(steps, key=lambda step: (step.file, step.index)))


def json_text(document: object, levels: int = 0) -> str:
    """Return the document as JSON that can be encoded, even if a file name has odd bytes.

    Objects and lists have an entry a line down to so many ``levels``; below that, and in
    everything that is empty, they are on one line.
    """
    text = "".join(_lines(document, levels, ""))
    return text.encode("utf-8", "replace").decode("utf-8")


def _lines(value: object, levels: int, indent: str) -> Iterator[str]:
    deeper, end = f"\n{indent} ", f"\n{indent}"
    match value:
        case dict() if value and levels:
            for number, (key, item) in enumerate(value.items()):
                yield f"{',' if number else '{'}{deeper}{_compact(key)}: "
                yield from _lines(item, levels - 1, f"{indent} ")
            yield f"{end}}}"
        case list() | tuple() if value and levels:
            for number, item in enumerate(value):
                yield f"{',' if number else '['}{deeper}"
                yield from _lines(item, levels - 1, f"{indent} ")
            yield f"{end}]"
        case _:
            yield _compact(value)


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@functools.cache
def _adapter() -> TypeAdapter[StepRecord]:
    from pydantic import TypeAdapter  # Imported here because it takes longer than most verbs.

    return TypeAdapter(StepRecord)


def record(
    result: StepResult,
    cluster: str,
    explain: Explain,
    by_hand: Explain,
    background: Background = UNKNOWN,
) -> StepRecord:
    """Return the record of a StepResult; ``cluster`` is the name of the cluster.

    ``by_hand`` returns the command for cells whose observation has none.
    """
    scenario, reachability = result.scenario, result.reachability
    index = scenario.steps.index(result.step)
    denied, allowed = turned(scenario, index)
    plain = [_cell(item, explain, by_hand) for item in reachability.results]
    cells, path_lines = _with_background(reachability.results, plain, background)
    return replace(
        _without_cells(scenario, index, _outcome(result), cluster),
        columns=_columns(result.step.table, cells),
        topology=topology_record(result.step.state, background.placements),
        path_lines=path_lines,
        cells=cells,
        applied_as=_applied_as(result.step.state.policies),
        full_rounds=result.full_rounds,
        sync_s=rounded(result.sync_s),
        probe_s=rounded(result.probe_s),
        time_to_deny_s=rounded_or_none(result.time_to_deny_s),
        time_to_allow_s=rounded_or_none(result.time_to_allow_s),
        held_s=rounded_or_none(result.held_s),
        turned_denied=denied,
        turned_allowed=allowed,
        watched=tuple(map(watch_record, result.watched)),
        started=tuple(map(start_record, result.started)),
        duration_s=rounded(result.duration_s),
    )


def _applied_as(manifests: Iterable[Manifest]) -> tuple[str, ...]:
    found = {
        f"{item.written_as.split()[0]} as {item.api_version} {item.kind}"
        for item in manifests
        if item.written_as
    }
    return tuple(sorted(found))


def _with_background(
    results: Sequence[CellResult], cells: Sequence[CellRecord], background: Background
) -> tuple[tuple[CellRecord, ...], tuple[str, ...]]:
    """Return the cells with their paths and traces, and the lines of all paths, each once."""
    places: dict[str, int] = {}
    traces = {trace.probe: trace for trace in background.traces}
    found = []
    for result, cell in zip(results, cells, strict=True):
        lines = background.path(result.cell.probe)
        path = tuple(places.setdefault(line, len(places)) for line in lines)
        trace = traces.get(result.cell.probe)
        cni = TraceRecord(trace.says, trace.command) if trace else None
        found.append(replace(cell, path=path, cni=cni))
    return tuple(found), tuple(places)


def _columns(table: TruthTable, cells: Sequence[CellRecord]) -> tuple[str, ...]:
    """Return the heads of the columns, with the families of a destination side by side."""
    place = {str(destination): number for number, destination in enumerate(table.columns)}
    heads = dict.fromkeys((cell.destination, cell.family) for cell in cells)
    ordered = sorted(heads, key=lambda head: (place.get(head[0], len(place)), head[1]))
    return tuple(_head(*head) for head in ordered)


def _head(destination: str, family: int) -> str:
    return f"{destination} (IPv6)" if family == 6 else destination


def at_best(cells: Iterable[Cell]) -> tuple[CellRecord, ...]:
    """Return the cells as if each gave the verdict in the file, with evidence.

    Their statuses are the best that a run can give.
    """
    seen = ((cell, Observation(cell.probe, 0, 0, cell.expected)) for cell in cells)
    return tuple(_cell(CellResult(*each), _nothing, _nothing) for each in seen)


def _nothing(_result: CellResult) -> str:
    return ""


def unmeasured_record(
    scenario: Scenario, index: int, outcome: Outcome, cluster: str, message: str
) -> StepRecord:
    """Return the record of a step that was skipped, or ended before its first probe."""
    state, is_skipped = scenario.steps[index].state, outcome is Outcome.SKIPPED
    return replace(
        _without_cells(scenario, index, outcome, cluster, message),
        topology=EMPTY if is_skipped else topology_record(state),
    )


def _without_cells(
    scenario: Scenario, index: int, outcome: Outcome, cluster: str, message: str = ""
) -> StepRecord:
    step = scenario.steps[index]
    return StepRecord(
        file=scenario.path,
        scenario=scenario.name,
        step=step.name,
        index=index,
        line=step.location.line,
        outcome=outcome,
        cluster=cluster,
        message=message,
        actions=step.actions,
        change=kind_of(step.changes),
        covers=scenario.covers,
        catches=scenario.catches,
        weak=scenario.weak,
        snapshot=scenario.snapshot or "",
    )


def _outcome(result: StepResult) -> Outcome:
    """Return the outcome; WRONG precedes NO_VERDICT, because it is about the policies."""
    seen = {cell.status for cell in result.reachability.results}
    wrong = [bool(pair.intolerable) for pair in result.watched]
    wrong += [pair.is_wrong for pair in result.started]
    if CellStatus.WRONG in seen or any(wrong):
        return Outcome.WRONG
    silent = [pair.is_silent for pair in result.watched]
    silent += [pair.is_silent for pair in result.started]
    if CellStatus.NO_VERDICT in seen or not seen or any(silent):
        return Outcome.NO_VERDICT
    if CellStatus.UNPROVEN in seen:
        return Outcome.UNPROVEN
    return Outcome.LIMITED if CellStatus.LIMITED in seen else Outcome.PASSED


_EXPLAINED = {CellStatus.NO_VERDICT, CellStatus.WRONG, CellStatus.LIMITED, CellStatus.UNPROVEN}


def _cell(result: CellResult, explain: Explain, by_hand: Explain) -> CellRecord:
    cell, seen, status = result.cell, result.observation, result.status
    fine = result.as_expected and status not in _EXPLAINED
    return CellRecord(
        source=str(cell.probe.source),
        destination=str(cell.probe.destination),
        family=int(cell.probe.family),
        expected=str(cell.expected),
        stated=str(cell.stated),
        observed=str(result.outcome) if result.measured else "",
        status=status,
        location=str(cell.location),
        reason=result.reason,
        control="" if fine or result.control is None else str(result.control.outcome),
        rejected=result.rejected,
        limitation=cell.limitation.reason if cell.limitation else "",
        wrong_from_s=rounded_or_none(result.wrong_from_s),
        wrong_until_s=rounded_or_none(result.wrong_until_s),
        flapped=tuple(
            FlapRecord(str(flap.verdict), rounded(flap.from_s), rounded(flap.until_s))
            for flap in result.flapped
        ),
        reasons="" if fine else explain(result),
        command="" if fine else ((seen.command if seen else "") or by_hand(result)),
        raw="" if fine or seen is None else seen.raw,
    )
