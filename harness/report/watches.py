"""What the watched pairs of a step showed, and those from the start of a pod, as text."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.pairs import GapRecord, PhaseRecord, StartRecord, WatchRecord
from harness.report.record import StepRecord
from harness.report.tally import counted

_GAPS = 5
"""The maximum number of gaps listed for each pair."""


def facts(step: StepRecord) -> Iterator[str]:
    """Yield in a few words each what is wrong with the watched pairs of a step."""
    total = counted(len(step.watched), "watched pair")
    if failed := sum(watch.failed for watch in step.watched):
        yield f"{failed} of {total} had a gap"
    if silent := sum(watch.silent for watch in step.watched):
        yield f"{silent} of {total} had no verdict for too long"
    total = counted(len(step.started), "pair")
    if failed := sum(start.failed for start in step.started):
        yield f"{failed} of {total} wrong from the start of a pod"
    if silent := sum(start.silent for start in step.started):
        yield f"{silent} of {total} without a verdict from the start of a pod"


def details(step: StepRecord) -> Iterator[str]:
    """Yield a text for each watched pair that fails the step."""
    for watch in step.watched:
        if watch.failed or watch.silent:
            yield "\n    ".join([f"{watch.location}: watched {watch.pair}", *_lines(watch)])

    for start in step.started:
        if start.failed or start.silent:
            where = f"{start.location}: {start.pair} from the start of its pod"
            yield "\n    ".join([where, *_start_lines(start)])


def start_lines(step: StepRecord) -> Iterator[str]:
    """Yield a line for each pair that a new pod probed from its first moment."""
    for start in step.started:
        yield f"{start.pair}: {'; '.join(_start_lines(start))}"


def _start_lines(start: StartRecord) -> Iterator[str]:
    denied = start.expected != "allowed"
    if start.connected_s is None:
        yield "never connected"
    else:
        wrong = f"; {start.expected} is expected from the first one on" if denied else ""
        yield f"first connected {start.connected_s:.2f} s after the first probe of the pod{wrong}"
    for gap in start.lost[:_GAPS]:
        tolerated = ", which is tolerated" if gap.tolerated else ""
        yield (
            f"then failed ({gap.observed}) for {gap.until_s - gap.from_s:.2f} s, "
            f"from {gap.from_s:.2f} s on{tolerated}"
        )
    yield _phase("init container", start.init)
    yield _phase("container", start.main)


def _phase(name: str, phase: PhaseRecord) -> str:
    if phase.from_s is None or phase.until_s is None:
        return f"{name}: {counted(phase.probes, 'probe')}, no verdict, so it shows nothing"
    without = f", {phase.without_verdict} without a verdict" if phase.without_verdict else ""
    return (
        f"{name}: {counted(phase.probes, 'probe')} from {phase.from_s:.2f} s to "
        f"{phase.until_s:.2f} s, {phase.connected} connected{without}"
    )


def lines(step: StepRecord) -> Iterator[str]:
    """Yield a line for each watched pair: gaps, number of probes, resolution."""
    for watch in step.watched:
        yield f"{watch.pair}: {'; '.join([*map(_gap, watch.gaps[:_GAPS]), _resolution(watch)])}"


def _lines(watch: WatchRecord) -> Iterator[str]:
    found = sorted(watch.gaps, key=lambda gap: gap.tolerated)
    for gap in found[:_GAPS]:
        tolerated = ", which is tolerated" if gap.tolerated else ""
        yield f"{_gap(gap)}{tolerated}"
    if len(found) > _GAPS:
        yield f"... and {counted(len(found) - _GAPS, 'more gap')}"
    if watch.failed and watch.tolerate_s:
        yield f"tolerated: {watch.tolerate_s:g} s"
    if watch.silent:
        yield f"no verdict for {watch.silent_s:.2f} s: within that time the watch shows nothing"
    yield _resolution(watch)


def _gap(gap: GapRecord) -> str:
    word = "connected" if gap.observed == "allowed" else f"failed ({gap.observed})"
    return (
        f"{word} for {gap.until_s - gap.from_s:.2f} s, from {gap.from_s:.2f} s to "
        f"{gap.until_s:.2f} s after the change began"
    )


def _resolution(watch: WatchRecord) -> str:
    without = f", {watch.without_verdict} without a verdict" if watch.without_verdict else ""
    return (
        f"{counted(watch.probes, 'probe')}{without}, a verdict every {watch.interval_s:.2f} s, "
        f"at most {watch.silent_s:.2f} s apart"
    )
