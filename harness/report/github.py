"""A run for GitHub Actions: a job summary in Markdown, and annotations at the wrong cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import Location
from harness.report.closing import summary
from harness.report.markdown import escaped
from harness.report.page import observed
from harness.report.record import StepRecord
from harness.report.results import Results
from harness.report.tally import counted
from harness.report.text import failure, sentence

MOST_ANNOTATIONS = 10
"""GitHub shows so many errors of each step of a job."""
MOST_BYTES = 900_000
"""GitHub shows no summary of more than 1 MiB."""


# ------------------------------------------------------------------ the summary


def job_summary(results: Results) -> str:
    """Return what a run gave, with the table and the reasons of each step that failed."""
    failed = [step for step in results.steps if step.has_failed]
    parts = [f"## {escaped(_headline(results, failed))}"]
    if results.run.refusal:
        parts.append(_fenced(results.run.refusal))
    if about := summary(results.steps, results.run.leftovers):
        parts.append(_fenced(about))
    size = sum(map(_size, parts))
    for number, step in enumerate(failed):
        text = "\n\n".join((f"### {escaped(step.name)}", _fenced(_failure(step))))
        size += _size(text)
        if size > MOST_BYTES:
            parts.append(f"... and {counted(len(failed) - number, 'more step')}")
            break
        parts.append(text)
    return "\n\n".join(parts) + "\n"


def _headline(results: Results, failed: Sequence[StepRecord]) -> str:
    if results.run.refusal:
        return f"No step ran on {results.run.cluster}"
    clusters = ", ".join(sorted({step.cluster for step in results.steps}))
    where = f" on {clusters}" if clusters else ""
    total = counted(len(results.steps), "step")
    return f"{len(failed) or 'None'} of {total} failed{where}"


def _failure(step: StepRecord) -> str:
    return failure(step) if step.cells else step.message


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace")) + 2


def _fenced(text: str) -> str:
    """Return a block of code that no line of the text ends."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


# ------------------------------------------------------------------ annotations


@dataclass(frozen=True, slots=True)
class Annotation:
    """A message at a place in a file; an empty ``location`` is none."""

    location: str
    title: str
    message: str
    level: str = "error"

    def __str__(self) -> str:
        properties = {**_place(self.location), "title": self.title}
        words = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
        return f"::{self.level} {words}::{_data(self.message)}"


def workflow_commands(results: Results) -> tuple[str, ...]:
    """Return a workflow command for each cell that failed its step, up to what GitHub shows."""
    found = list(_annotations(results))
    if len(found) > MOST_ANNOTATIONS:
        rest = len(found) - MOST_ANNOTATIONS + 1
        more = Annotation("", "netpol", f"... and {counted(rest, 'more error')}")
        found = [*found[: MOST_ANNOTATIONS - 1], more]
    return tuple(map(str, found))


def _annotations(results: Results) -> Iterator[Annotation]:
    if results.run.refusal:
        yield Annotation("", "netpol: no step ran", results.run.refusal)
    for step in results.steps:
        if step.has_failed:
            yield from _of_step(step)


def _of_step(step: StepRecord) -> Iterator[Annotation]:
    found = [
        Annotation(cell.location, cell.pair, f"{observed(cell)}\n{cell.reasons}".strip())
        for cell in step.cells
        if cell.is_odd
    ]
    for watch in step.watched:
        if watch.failed or watch.silent:
            found.append(Annotation(watch.location, f"watched {watch.pair}", sentence(step)))
    for start in step.started:
        if start.failed or start.silent:
            found.append(Annotation(start.location, start.pair, sentence(step)))
    if not found:
        place = f"{step.file}:{step.line}:1"
        found.append(Annotation(place, step.step, step.message or sentence(step)))
    yield from found


def _place(location: str) -> Mapping[str, str]:
    found = Location.parse(location)
    if found is None:
        return {}
    return {"file": found.path, "line": str(found.line), "col": str(found.column)}


def _data(text: str) -> str:
    """Escape a message as GitHub's toolkit does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape a property as GitHub's toolkit does."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
