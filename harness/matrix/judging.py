"""The pairs of an application, and what the oracle says about each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness import oracle
from harness.application import Application, AppService, Note, Reach, WorkloadKind
from harness.application.state import MOST_REPLICAS, Deployed, deployed, state
from harness.errors import UsageError
from harness.matrix.ends import (
    Column,
    Row,
    columns,
    is_in,
    matched,
    probes,
    require_namespaces,
    rows,
)
from harness.matrix.outside import Outside, outside
from harness.matrix.values import ALL, Cell, Cut, Matrix, Word
from harness.model import Verdict

_MOST_PAIRS = 250_000


def judged(application: Application, cut: Cut = ALL) -> Matrix:
    """Return who reaches whom. Raises UsageError for a cut that keeps nothing, or too much."""
    workloads = deployed(application)
    hosts = outside(application.policies)
    sources, destinations = rows(workloads, hosts), columns(application, workloads, hosts)
    kept_rows = matched((row.title for row in sources), cut.sources, "sources")
    kept_columns = matched(
        (column.title for column in destinations), cut.destinations, "destinations"
    )
    require_namespaces((item.name for item in application.namespaces), cut.namespaces)
    _require_few(len(kept_rows) * len(kept_columns))
    pairs = [
        (row, column)
        for row in sources
        if row.title in kept_rows
        for column in destinations
        if column.title in kept_columns and is_in(cut.namespaces, row, column)
    ]
    asked = state(application, workloads, hosts.hosts)
    judge = oracle.Judge(asked)
    cells = tuple(cell for pair in pairs if (cell := cell_of(judge, *pair)) is not None)
    with_row = {cell.source for cell in cells}
    with_column = {cell.destination for cell in cells}
    return Matrix(
        tuple(row.title for row in sources if row.title in with_row),
        tuple(column.title for column in destinations if column.title in with_column),
        cells,
        (*application.notes, *_notes(application, workloads, hosts)),
        application.ignored,
        asked,
    )


def _require_few(pairs: int) -> None:
    if pairs > _MOST_PAIRS:
        raise UsageError(
            f"there are {pairs:,} pairs, and at most {_MOST_PAIRS:,} can be judged at once",
            "keep fewer: --from NAME, --to NAME",
        )


# ------------------------------------------------------------------ verdicts


def cell_of(judge: oracle.Judge, row: Row, column: Column) -> Cell | None:
    """Return what the oracle says about a pair; None if it has no meaning."""
    asked = probes(row, column)
    predictions = [judge.predict(probe) for probe in asked]
    found = [_word(prediction) for prediction in predictions]
    if not found:
        return None
    words = {word for word, _ in found}
    if len(words) == 1:
        by = predictions[0].judgement.by
        return Cell(row.title, column.title, *found[0], asked, by=by)
    reasons = tuple(f"{probe}: {word}" for probe, (word, _) in zip(asked, found, strict=True))
    return Cell(row.title, column.title, Word.DIFFERS, reasons, asked)


def _word(prediction: oracle.Prediction) -> tuple[Word, tuple[str, ...]]:
    judgement = prediction.judgement
    if prediction.not_judged is not None:
        return Word.NOT_JUDGED, (prediction.not_judged,)
    if not prediction.verdicts:
        return Word.UNDEFINED, tuple(filter(None, (judgement.undefined,)))
    if judgement.ruling is oracle.Ruling.DENIED:
        return Word.DENIED, judgement.reasons
    if prediction.verdicts == {Verdict.ALLOWED}:
        return Word.ALLOWED, judgement.reasons
    return Word.NO_ENDPOINT, judgement.reasons


# ------------------------------------------------------------------ what else a reader should know


def _notes(
    application: Application, workloads: Sequence[Deployed], hosts: Outside
) -> Iterator[Note]:
    for item in workloads:
        yield from (Note(text, item.workload.location) for text in _of_workload(item))
    for service in application.services:
        yield from (Note(text, service.location) for text in _of_service(service))
    if hosts.left_out:
        yield Note(f"no row and no column for blocks {', '.join(hosts.left_out)}")


def _of_workload(item: Deployed) -> Iterator[str]:
    workload, title = item.workload, item.title
    if not item.pods:
        yield f"{title} asks for no pods, so it is no end"
    elif not workload.ports:
        yield f"{title} declares no ports, so it is only a source"
    if workload.host_network:
        yield (
            f"{title} is on the network of its node; it is judged from another node than its "
            "destinations, since those of its own node always allow it"
        )
    if workload.kind is WorkloadKind.STATEFUL_SET and workload.replicas > MOST_REPLICAS:
        yield f"{title}: the first {MOST_REPLICAS} of {workload.replicas} pods stand for all"


def _of_service(service: AppService) -> Iterator[str]:
    if service.reach is Reach.EXTERNAL_NAME:
        yield f"{service} is another name of {service.external_name}"
    elif service.selector is None:
        yield f"{service} has no selector: its endpoints are not in the manifests"
    elif service.reach is Reach.HEADLESS:
        yield f"{service} is headless: it leads to its pods directly"
