"""Pairs that were probed over time as strings and numbers: watched, or from the start of a pod."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.model import StartedPair, StartPhase, WatchedPair, WatchGap


@dataclass(frozen=True, slots=True)
class GapRecord:
    """A time in which a watched pair had another verdict (see ``model.WatchGap``)."""

    observed: str
    from_s: float
    until_s: float
    tolerated: bool


@dataclass(frozen=True, slots=True)
class WatchRecord:
    """What the probes of a watched pair gave (see ``model.WatchedPair``).

    ``silent`` is true if a time without a verdict was so long that the watch shows nothing.
    """

    pair: str
    expected: str
    location: str
    tolerate_s: float
    probes: int
    without_verdict: int
    interval_s: float
    silent_s: float
    silent: bool
    gaps: tuple[GapRecord, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a gap was longer than tolerated."""
        return any(not gap.tolerated for gap in self.gaps)


@dataclass(frozen=True, slots=True)
class PhaseRecord:
    """What the probes of a pair gave in one phase of a start (see ``model.StartPhase``)."""

    probes: int
    without_verdict: int
    connected: int
    from_s: float | None
    until_s: float | None


@dataclass(frozen=True, slots=True)
class StartRecord:
    """What a new pod saw of a pair from its first moment (see ``model.StartedPair``)."""

    pair: str
    expected: str
    location: str
    init: PhaseRecord
    main: PhaseRecord
    connected_s: float | None
    lost: tuple[GapRecord, ...]
    failed: bool
    silent: bool


def watch_record(pair: WatchedPair) -> WatchRecord:
    """Return the record of a watched pair."""
    return WatchRecord(
        pair=str(pair.cell.probe),
        expected=str(pair.cell.expected),
        location=str(pair.cell.location),
        tolerate_s=pair.tolerate_s,
        probes=pair.probes,
        without_verdict=pair.without_verdict,
        interval_s=rounded(pair.interval_s),
        silent_s=rounded(pair.silent_s),
        silent=pair.is_silent,
        gaps=tuple(_gap(gap, pair.intolerable) for gap in pair.gaps),
    )


def start_record(pair: StartedPair) -> StartRecord:
    """Return the record of a pair that was probed from the start of its pod."""
    return StartRecord(
        pair=str(pair.cell.probe),
        expected=str(pair.cell.expected),
        location=str(pair.cell.location),
        init=_phase(pair.init),
        main=_phase(pair.main),
        connected_s=rounded_or_none(pair.connected_s),
        lost=tuple(_gap(gap, pair.lost_for_long) for gap in pair.lost),
        failed=pair.is_wrong,
        silent=pair.is_silent,
    )


def _phase(phase: StartPhase) -> PhaseRecord:
    return PhaseRecord(
        phase.probes,
        phase.without_verdict,
        phase.connected,
        rounded_or_none(phase.from_s),
        rounded_or_none(phase.until_s),
    )


def _gap(gap: WatchGap, failing: Sequence[WatchGap]) -> GapRecord:
    from_s, until_s = rounded(gap.from_s), rounded(gap.until_s)
    return GapRecord(str(gap.verdict), from_s, until_s, gap not in failing)


def rounded(seconds: float) -> float:
    """Return a time in whole milliseconds."""
    return round(seconds, 3)


def rounded_or_none(seconds: float | None) -> float | None:
    """Return a time in whole milliseconds, or None."""
    return None if seconds is None else rounded(seconds)
