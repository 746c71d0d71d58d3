"""The summary at the end of a run, as text.

It begins with the number of cells by status, for the whole run and for each folder. Times of
enforcement and the slowest scenarios follow, and all that people should know about the cells.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from harness.model import CellStatus
from harness.report.enforcement import lines as enforcement_lines
from harness.report.grid import Entry, Grid
from harness.report.record import Outcome, StepRecord
from harness.report.tally import counted, excuses, flaps, tally
from harness.report.text import WIDTH, aligned
from harness.report.watches import lines as watch_lines
from harness.report.widths import shortened

_ROUNDS = 10
"""The maximum number of listed steps that needed many rounds; those with the most come first."""
_SLOWEST = 5
"""The number of slowest scenarios that are listed, if there are more."""
_WORTH_REPORTING_S = 0.01


def summary(
    steps: Sequence[StepRecord],
    leftovers: Sequence[str] = (),
    width: int = WIDTH,
    colour: bool = False,
) -> str:
    """Return some lines about a run, or an empty string if nothing ran.

    Tables wider than ``width`` are continued below.
    """
    lines = [*_totals(steps), *_by_folder(steps, width, colour)]
    lines += [*enforcement_lines(steps), *_slow(steps), *_slowest(steps), *_notes(steps)]
    return "\n".join([*lines, *_not_removed(leftovers)])


def what_is_wrong(steps: Sequence[StepRecord], leftovers: Sequence[str] = ()) -> str:
    """Return the totals of a run with failures, and what was not removed; or an empty string."""
    totals = _totals(steps) if any(step.has_failed for step in steps) else ()
    return "\n".join([*totals, *_not_removed(leftovers)])


def _not_removed(leftovers: Sequence[str]) -> list[str]:
    return [f"not removed: {item}" for item in leftovers]


def _totals(steps: Sequence[StepRecord]) -> Iterator[str]:
    cells = [cell for step in steps for cell in step.cells]
    if not cells:
        return
    measured = [step for step in steps if step.cells]
    files = len({step.file for step in measured})
    clusters = ", ".join(sorted({step.cluster for step in measured}))
    yield (
        f"{tally(cells)}, in {counted(len(measured), 'step')} of "
        f"{counted(files, 'scenario')} on {clusters}"
    )


def _by_folder(steps: Sequence[StepRecord], width: int, colour: bool) -> Iterator[str]:
    """Yield a table with a row for each folder: its cells by status, and its steps."""
    folders: dict[str, list[StepRecord]] = defaultdict(list)
    for step in steps:
        folders[step.file.rpartition("/")[0] or "."].append(step)
    if len(folders) < 2:
        return
    counts = [_counts(of_folder) for of_folder in folders.values()]
    heads = [head for head in _HEADS if any(each[head] for each in counts)]
    rows = tuple(shortened(name, width // 2) for name in _tails(list(folders)))
    entries = tuple(tuple(_entry(each, head) for head in heads) for each in counts)
    yield aligned(Grid(rows, tuple(heads), entries), width, colour)


def _tails(folders: Sequence[str]) -> Sequence[str]:
    """Return the ends of paths, as many parts of each as make all of them differ."""
    for parts in range(1, max(folder.count("/") for folder in folders) + 1):
        tails = ["/".join(folder.split("/")[-parts:]) for folder in folders]
        if len(set(tails)) == len(folders):
            return tails
    return folders


_WITHOUT_CELLS = (Outcome.SKIPPED, Outcome.NOT_REFUSED, Outcome.CLUSTER_ERROR)
_STATUSES = (CellStatus.PROVEN, *(each for each in CellStatus if each is not CellStatus.PROVEN))
_HEADS = ("steps", *_WITHOUT_CELLS, "cells", *_STATUSES)


def _counts(steps: Sequence[StepRecord]) -> Counter[str]:
    """Return the numbers below the heads: of steps, and of cells by status."""
    counts = Counter({"steps": len(steps), "cells": sum(len(step.cells) for step in steps)})
    counts.update(str(step.outcome) for step in steps if step.outcome in _WITHOUT_CELLS)
    counts.update(str(cell.status) for step in steps for cell in step.cells)
    return counts


def _entry(counts: Counter[str], head: str) -> Entry:
    status = CellStatus(head) if head in _STATUSES else None
    return Entry(str(counts[head]), status) if counts[head] else Entry("")


def _slow(steps: Sequence[StepRecord]) -> Iterator[str]:
    right = [step for step in steps if step.outcome in {Outcome.PASSED, Outcome.LIMITED}]
    denied = [(step.time_to_deny_s or 0.0, step.name) for step in right]
    allowed = [(step.time_to_allow_s or 0.0, step.name) for step in right]
    for word, found in (("time-to-deny", denied), ("time-to-allow", allowed)):
        seconds, name = max(found, default=(0.0, ""))
        if seconds >= _WORTH_REPORTING_S:
            yield f"slowest {word} {seconds:.2f} s: {name}"
    slow = sorted(
        (step for step in steps if step.full_rounds > 2), key=lambda step: -step.full_rounds
    )
    if slow:
        yield f"{counted(len(slow), 'step')} needed more than two full rounds:"
        yield from (f"  {step.full_rounds} rounds: {step.name}" for step in slow[:_ROUNDS])
        if len(slow) > _ROUNDS:
            yield f"  ... and {counted(len(slow) - _ROUNDS, 'more step')}"


def _slowest(steps: Sequence[StepRecord]) -> Iterator[str]:
    """Yield the scenarios that took longest, if there are many."""
    seconds: dict[str, float] = defaultdict(float)
    for step in steps:
        seconds[step.file] += step.duration_s
    if len(seconds) <= _SLOWEST or max(seconds.values()) < _WORTH_REPORTING_S:
        return
    yield "slowest scenarios:"
    for file, taken in sorted(seconds.items(), key=lambda item: -item[1])[:_SLOWEST]:
        yield f"  {taken:.1f} s: {file}"


def _notes(steps: Sequence[StepRecord]) -> Iterator[str]:
    yield from _snapshots(steps)
    for file in dict.fromkeys(step.file for step in steps if step.weak):
        yield f"weak, no step changes any cell: {file}"
    for step in steps:
        if step.rebuilt:
            yield f"fixture made again for {step.file}: {step.rebuilt}"
    for (cluster, kinds), files in _ignored(steps).items():
        yield f"no effect on {cluster}: {', '.join(kinds)}, applied by {', '.join(files)}"
    for line, number in Counter(line for step in steps for line in step.applied_as).items():
        yield f"applied in {counted(number, 'step')}: {line}"
    cells = [cell for step in steps for cell in step.cells]
    if rejected := sum(cell.rejected for cell in cells):
        yield (
            f"{counted(rejected, 'denial')} observed as REFUSED: this cluster denies by "
            "rejecting, and the pairs were seen connecting before"
        )
    if flapped := sum(bool(cell.flapped) for cell in cells):
        yield f"{counted(flapped, 'cell')} flapped, wrong after being right:"
        yield from (f"  {line}" for line in flaps(cells))
    yield from _watches(steps)
    yield from _starts(steps)
    yield from excuses(cells)


def _snapshots(steps: Sequence[StepRecord]) -> Iterator[str]:
    """Yield how many scenarios have tables that no author wrote."""
    days = {step.file: step.snapshot for step in steps if step.snapshot}
    if days:
        first, last = min(days.values()), max(days.values())
        when = f"on {first}" if first == last else f"between {first} and {last}"
        of = counted(len(days), "scenario")
        yield f"snapshot, tables are what the policies gave {when}: {of}"


def _watches(steps: Sequence[StepRecord]) -> Iterator[str]:
    watched = [pair for step in steps for pair in step.watched]
    if not watched:
        return
    in_steps = counted(sum(bool(step.watched) for step in steps), "step")
    yield (
        f"{counted(len(watched), 'pair')} watched in {in_steps}: a verdict every "
        f"{max(pair.interval_s for pair in watched):.2f} s or more often, at most "
        f"{max(pair.silent_s for pair in watched):.2f} s apart"
    )
    for step in steps:
        if any(pair.gaps for pair in step.watched):
            yield f"  gaps in {step.name}:"
            yield from (f"    {line}" for line in watch_lines(step))


def _starts(steps: Sequence[StepRecord]) -> Iterator[str]:
    started = [pair for step in steps for pair in step.started]
    if not started:
        return
    in_steps = counted(sum(bool(step.started) for step in steps), "step")
    probes = sum(pair.init.probes + pair.main.probes for pair in started)
    denied = [pair for pair in started if pair.expected != "allowed"]
    open_ = sum(pair.connected_s is not None for pair in denied)
    yield (
        f"{counted(len(started), 'pair')} probed from the start of a pod in {in_steps}, "
        f"{counted(probes, 'probe')}: {open_} of {len(denied)} denied connected at first"
    )


def _ignored(steps: Sequence[StepRecord]) -> dict[tuple[str, tuple[str, ...]], list[str]]:
    """Return the files that apply kinds without effect, by cluster and kinds."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for step in steps:
        files = found.setdefault((step.cluster, step.ignored), []) if step.ignored else []
        if step.file not in files:
            files.append(step.file)
    return found
