"""What differs between runs: requirements, steps, cells and pairs that were probed over time.

A step is the same in two runs if file and name are the same. Runs are of one CNI if the clusters
of their steps have the same names, which include the CNI and its version.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.model import CellStatus
from harness.report.record import CellRecord, Outcome, StepRecord
from harness.report.requirements import NOTHING, Tried, by_requirement
from harness.report.results import Run


class Kind(enum.StrEnum):
    """What a difference means."""

    REGRESSION = "regression"
    """As the file says in the first of two runs of one CNI, not in the second."""
    MEND = "mend"
    """Not as the file says in the first of two runs of one CNI, but in the second."""
    FLAKY = "flaky"
    """Different among three or more runs of one CNI, or wrong after being right in one of them."""
    DIFFERENT = "different"
    """Any other difference: another CNI, another status, no verdict."""


class Apart(enum.StrEnum):
    """Why the cells of a step are not compared."""

    MISSING = "only in some runs"
    SKIPPED = "skipped in some runs"
    CHANGED = "table changed"


@dataclass(frozen=True, slots=True)
class Given:
    """What one run gave: a verdict or an outcome, its status, and whether the cell flapped.

    The verdict is that of the API: a REFUSED that counts as TIMEOUT is a TIMEOUT.
    """

    verdict: str
    status: CellStatus | Outcome
    flapped: bool = False

    def __str__(self) -> str:
        flapped = ", flapped" if self.flapped else ""
        if not self.verdict or self.verdict == self.status:
            return f"{self.status}{flapped}"
        return f"{self.verdict} ({self.status}{flapped})"


@dataclass(frozen=True, slots=True)
class Difference:
    """A cell or another pair of a step that differs; ``pair`` is empty for the step itself.

    ``given`` has an entry for each run, or None if its step did not run.
    """

    file: str
    step: str
    pair: str
    expected: str
    location: str
    given: tuple[Given | None, ...]
    kind: Kind

    @property
    def name(self) -> str:
        """The node id of the step."""
        return f"{self.file}::{self.step}"


@dataclass(frozen=True, slots=True)
class StepApart:
    """A step whose cells are not compared in all runs, with its outcome in each, or empty.

    ``reasons`` are why it was skipped, each once.
    """

    file: str
    step: str
    why: Apart
    outcomes: tuple[str, ...]
    reasons: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The node id of the step."""
        return f"{self.file}::{self.step}"


@dataclass(frozen=True, slots=True)
class RequirementRow:
    """What the steps that cover a requirement gave in each run."""

    id: str
    tried: tuple[Tried, ...]

    @property
    def differing(self) -> tuple[int, ...]:
        """The places of the runs whose worst outcome is not that of the first run."""
        first = self.tried[0].word
        return tuple(place for place, one in enumerate(self.tried) if one.word != first)


@dataclass(frozen=True, slots=True)
class Compared:
    """A run that is compared: its name in the comparison, and what it measured."""

    name: str
    run: Run
    steps: tuple[StepRecord, ...]

    @property
    def clusters(self) -> str:
        """The names of the clusters of its steps, or the cluster that was asked for."""
        return ", ".join(sorted({step.cluster for step in self.steps})) or self.run.cluster

    @property
    def cells(self) -> int:
        """The number of its cells."""
        return sum(len(step.cells) for step in self.steps)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The runs in the order in which they were given, and what differs between them."""

    runs: tuple[Compared, ...]
    requirements: tuple[RequirementRow, ...]
    differences: tuple[Difference, ...]
    apart: tuple[StepApart, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        refused = len({run.run.refusal for run in self.runs}) > 1
        return not (self.differences or self.apart or refused)

    @property
    def of_one_cni(self) -> bool:
        """Whether there are two runs, of one CNI: only then there is a before and a now."""
        return len(self.runs) == 2 and len({run.clusters for run in self.runs}) == 1

    def of(self, kind: Kind) -> tuple[Difference, ...]:
        """The differences of a kind."""
        return tuple(item for item in self.differences if item.kind is kind)

    def because(self, why: Apart) -> tuple[StepApart, ...]:
        """The steps that are apart for a reason."""
        return tuple(item for item in self.apart if item.why is why)


def compare(runs: Sequence[Compared]) -> Comparison:
    """Compare two runs or more."""
    tables = [{(step.file, step.step): step for step in run.steps} for run in runs]
    keys = sorted({key for table in tables for key in table})
    differences: list[Difference] = []
    apart: list[StepApart] = []
    for key in keys:
        found = [table.get(key) for table in tables]
        ran = [step if step and step.outcome is not Outcome.SKIPPED else None for step in found]
        changed = _is_changed(ran)
        apart += _apart(key, found, changed)
        if not changed and sum(step is not None for step in ran) > 1:
            differences += _differences(runs, ran)
    tried = [by_requirement(run.steps) for run in runs]
    ids = sorted({id_ for one in tried for id_ in one})
    rows = (RequirementRow(id_, tuple(one.get(id_, NOTHING) for one in tried)) for id_ in ids)
    return Comparison(tuple(runs), tuple(rows), tuple(differences), tuple(apart))


# ------------------------------------------------------------------ steps


def _apart(
    key: tuple[str, str], found: Sequence[StepRecord | None], changed: bool
) -> Iterator[StepApart]:
    outcomes = tuple(str(step.outcome) if step else "" for step in found)
    skipped = [step for step in found if step and step.outcome is Outcome.SKIPPED]
    reasons = tuple(dict.fromkeys(step.message for step in skipped))
    if None in found:
        yield StepApart(*key, Apart.MISSING, outcomes, reasons)
    elif skipped and len(skipped) < len(found):
        yield StepApart(*key, Apart.SKIPPED, outcomes, reasons)
    if changed:
        yield StepApart(*key, Apart.CHANGED, outcomes)


def _is_changed(ran: Iterable[StepRecord | None]) -> bool:
    """Return whether the runs have different tables: other pairs, or other verdicts in the file.

    A step that ended before its first probe has no table here.
    """
    tables = [{cell.pair: cell.stated for cell in step.cells} for step in ran if step]
    tables = [table for table in tables if table]
    return any(table != tables[0] for table in tables[1:])


def _differences(
    runs: Sequence[Compared], ran: Sequence[StepRecord | None]
) -> Iterator[Difference]:
    """Yield the pairs that differ; the step itself only if they do not show it."""
    (first, *_) = filter(None, ran)
    seen = [_pairs(step) if step else {} for step in ran]
    shown = False
    for pair in dict.fromkeys(pair for one in seen for pair in one):
        given = tuple(one[pair].given if pair in one else None for one in seen)
        if _differ(given):
            place = next(one[pair] for one in seen if pair in one)
            kind = _kind(runs, given, place.expected)
            yield Difference(
                first.file, first.step, pair, place.expected, place.location, given, kind
            )
            shown = True
    outcomes = tuple(Given("", step.outcome) if step else None for step in ran)
    without = len({bool(step.cells) for step in ran if step}) > 1
    if _differ(outcomes) and (without or not shown):
        where = f"{first.file}:{first.line}"
        kind = _kind(runs, outcomes)
        yield Difference(first.file, first.step, "", "", where, outcomes, kind)


def _differ(given: Iterable[Given | None]) -> bool:
    return len({one for one in given if one}) > 1


# ------------------------------------------------------------------ pairs


@dataclass(frozen=True, slots=True)
class _Pair:
    expected: str
    location: str
    given: Given


def _pairs(step: StepRecord) -> Mapping[str, _Pair]:
    """Return the cells of a step, and the pairs that were watched or probed from a start."""
    found = {cell.pair: _Pair(cell.stated, cell.location, _given(cell)) for cell in step.cells}
    for watch in step.watched:
        given = _over_time(watch.failed, watch.silent)
        found[f"watched {watch.pair}"] = _Pair(watch.expected, watch.location, given)
    for start in step.started:
        given = _over_time(start.failed, start.silent)
        found[f"from the start {start.pair}"] = _Pair(start.expected, start.location, given)
    return found


def _given(cell: CellRecord) -> Given:
    verdict = "TIMEOUT" if cell.rejected else cell.observed
    return Given(verdict, cell.status, bool(cell.flapped))


def _over_time(failed: bool, silent: bool) -> Given:
    if failed:
        return Given("not all the time", Outcome.WRONG)
    if silent:
        return Given("", Outcome.NO_VERDICT)
    return Given("all the time", Outcome.PASSED)


def _kind(runs: Sequence[Compared], given: Sequence[Given | None], expected: str = "") -> Kind:
    """Return what a difference means; a regression is never called flaky."""
    by_cluster: dict[str, list[Given]] = {}
    for run, one in zip(runs, given, strict=True):
        if one:
            by_cluster.setdefault(run.clusters, []).append(one)
    if len(runs) == 2 and len(by_cluster) == 1:
        before, now = (_is_right(one, expected) for one in next(iter(by_cluster.values())))
        if before is True and now is False:
            return Kind.REGRESSION
        if before is False and now is True:
            return Kind.MEND
    for group in by_cluster.values():
        flapped = any(one.flapped for one in group)
        if len(set(group)) > 1 and (flapped or len(group) > 2):
            return Kind.FLAKY
    return Kind.DIFFERENT


_NO_ANSWER = {
    CellStatus.NO_VERDICT,
    CellStatus.UNDEFINED,
    CellStatus.UNPROVEN,
    Outcome.NO_VERDICT,
    Outcome.UNPROVEN,
    Outcome.CLUSTER_ERROR,
}
"""The statuses that show neither that a cluster is right nor that it is wrong."""


def _is_right(given: Given, expected: str) -> bool | None:
    """Return whether a cluster did what the file says, or None if that was not seen.

    A cell with a known limitation is right only if the limitation is no longer observed.
    """
    if given.status in _NO_ANSWER:
        return None
    if isinstance(given.status, CellStatus):
        return given.verdict == expected
    return given.status in {Outcome.PASSED, Outcome.LIMITED}
