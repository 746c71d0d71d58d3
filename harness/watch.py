"""The gaps in the verdicts of a watched pair, and what a new pod saw from its first moment.

A gap that is shorter than the interval of its probes may be missed; the result states the
interval that was reached, and the longest time without a verdict.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.model import (
    Cell,
    FirstMoments,
    Observation,
    StartedPair,
    StartPhase,
    Verdict,
    Watch,
    WatchedPair,
    WatchGap,
)
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


def started(cell: Cell, moments: FirstMoments, right: Satisfied) -> StartedPair:
    """Return what a new pod saw of a cell's pair from its first moment."""
    of_pod = (o for o in (*moments.init, *moments.main) if o.probe.source == cell.probe.source)
    began = min((o.started for o in of_pod if isinstance(o.outcome, Verdict)), default=0.0)
    init, main = (
        sorted((o for o in phase if o.probe == cell.probe), key=_started)
        for phase in (moments.init, moments.main)
    )
    both = [o for o in (*init, *main) if isinstance(o.outcome, Verdict)]
    connected = [o for o in both if o.outcome is Verdict.ALLOWED]
    after = both[both.index(connected[0]) :] if connected else []
    allowed = cell.expected is Verdict.ALLOWED
    span = Span(began, after[-1].ended if after else began, 0.0)
    return StartedPair(
        cell,
        init=_phase(cell, init, right, began),
        main=_phase(cell, main, right, began),
        connected_s=connected[0].started - began if connected else None,
        lost=tuple(_gaps(cell, after, right, span)) if allowed else (),
    )


def _phase(
    cell: Cell, probes: Sequence[Observation], right: Satisfied, began: float
) -> StartPhase:
    """Count the probes of a phase. Only what is right or connects is a verdict about policies."""
    verdicts = [o for o in probes if right(cell, o) or o.outcome in _COUNTED]
    starts = [item.started - began for item in verdicts]
    return StartPhase(
        probes=len(probes),
        without_verdict=len(probes) - len(verdicts),
        connected=sum(item.outcome is Verdict.ALLOWED for item in verdicts),
        from_s=starts[0] if starts else None,
        until_s=starts[-1] if starts else None,
    )


_COUNTED = {Verdict.ALLOWED, Verdict.TIMEOUT}


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
