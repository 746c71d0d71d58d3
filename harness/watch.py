"""The gaps in the verdicts of a watched pair.

A gap that is shorter than the interval of its probes may be missed; the result states the
interval that was reached, and the longest time without a verdict.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.model import Cell, Observation, Verdict, Watch, WatchedPair, WatchGap
from harness.settle import Satisfied

_TOLERATED_S = {Verdict.ALLOWED: 1.0}
"""How long a gap may last by default, by the verdict of the cell; all others tolerate none."""


@dataclass(frozen=True, slots=True)
class Span:
    """When the change of a step began and when its watch ended, on the clock of the harness.

    ``silence_s`` is the longest time without a verdict for which the watch still shows something.
    """

    began: float
    ended: float
    silence_s: float


def watched(
    cell: Cell,
    watch: Watch,
    observations: Sequence[Observation],
    right: Satisfied,
    span: Span,
) -> WatchedPair:
    """Return what the observations of a cell's pair show."""
    ordered = sorted((o for o in observations if o.probe == cell.probe), key=_started)
    verdicts = [item for item in ordered if isinstance(item.outcome, Verdict)]
    starts = [item.started for item in verdicts]
    edges = [ordered[0].started if ordered else span.began, *starts]
    edges.append(max(span.ended, edges[-1]))
    silences = [later - earlier for earlier, later in itertools.pairwise(edges)]
    tolerated_s = _TOLERATED_S.get(cell.expected, 0.0)
    return WatchedPair(
        cell=cell,
        tolerate_s=tolerated_s if watch.tolerate_s is None else watch.tolerate_s,
        probes=len(ordered),
        without_verdict=len(ordered) - len(verdicts),
        silence_s=span.silence_s,
        interval_s=(starts[-1] - starts[0]) / (len(starts) - 1) if len(starts) > 1 else 0.0,
        silent_s=max(silences),
        gaps=tuple(_gaps(cell, verdicts, right, span)),
    )


def _gaps(
    cell: Cell, verdicts: Sequence[Observation], right: Satisfied, span: Span
) -> Iterator[WatchGap]:
    """Yield the gaps in verdicts that are in the order of their start."""
    first: Observation | None = None
    for item in verdicts:
        if right(cell, item):
            if first is not None:
                yield _gap(first, item.started, span)
            first = None
        elif first is None:
            first = item
    if first is not None:
        yield _gap(first, max(span.ended, first.ended), span)


def _gap(first: Observation, until: float, span: Span) -> WatchGap:
    verdict = first.outcome if isinstance(first.outcome, Verdict) else Verdict.OTHER
    return WatchGap(verdict, first.started - span.began, until - span.began)


def _started(observation: Observation) -> float:
    return observation.started
