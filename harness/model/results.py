"""What was seen: of a cell, of a table, of a step."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from harness.model.probes import Observation
from harness.model.scenarios import Cell, Scenario, Step
from harness.model.verdicts import DeniesBy, ProbeError, Verdict, denials


class CellStatus(enum.StrEnum):
    """What one cell showed. Each cell has exactly one: the first that applies, in this order."""

    NO_VERDICT = "no verdict"
    """The probe could not tell. An error of the step."""
    WRONG = "wrong"
    """A verdict other than the expected one, where the API defines one. Fails the step."""
    LIMITED = "limited"
    """As this cluster is known to give it, with evidence; the table states another verdict."""
    UNDEFINED = "undefined"
    """The API leaves the verdict open, so that no verdict shows anything."""
    EXEMPT = "exempt"
    """As expected, of a pair that the author declares ``never-allowed``."""
    UNPROVEN = "unproven"
    """A denial as expected, of a pair that was never seen connecting. Fails the step."""
    NOT_JUDGED = "not judged"
    """As the table states, with evidence; the oracle cannot check it."""
    PROVEN = "proven"
    """As the table states, and a denial has its evidence."""


def is_rejected(
    cell: Cell, outcome: Verdict | ProbeError | None, denies_by: DeniesBy, connected: bool
) -> bool:
    """Whether a REFUSED is a denial, and so counts as TIMEOUT.

    It is one where the CNI denies by rejecting, the author or a known limitation says TIMEOUT,
    and the pair was seen connecting (``connected``): where nothing listens, a host refuses too.
    """
    may_be_denial = Verdict.TIMEOUT in {cell.expected, cell.stated} and connected
    return outcome is Verdict.REFUSED and outcome in denials(denies_by) and may_be_denial


def satisfies(
    cell: Cell, outcome: Verdict | ProbeError | None, denies_by: DeniesBy, connected: bool
) -> bool:
    """Whether an outcome is the verdict that the cell expects; see ``is_rejected``."""
    if is_rejected(cell, outcome, denies_by, connected):
        return cell.expected is Verdict.TIMEOUT
    return outcome is cell.expected


@dataclass(frozen=True, slots=True)
class Flap:
    """A wrong verdict of a cell that had been right before, in the same step.

    ``from_s`` and ``until_s`` are the first and the last moment at which it was seen, in
    seconds after ``sync`` returned.
    """

    verdict: Verdict
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class CellResult:
    """What became of one cell in one step.

    ``wrong_from_s`` and ``wrong_until_s`` are the first and the last moment at which the cell
    was seen wrong, in seconds after ``sync`` returned, or None if it never was. ``evidence``
    is False where the cell needs evidence (see ``runner.needs_proof``) and the pair was never
    seen connecting; ``control`` is what the control step last saw of such a pair.
    ``connected`` is whether the pair was seen connecting, and ``denies_by`` how the cluster
    denies. ``flapped`` are the wrong verdicts that the cell gave after it had been right.
    """

    cell: Cell
    observation: Observation | None
    evidence: bool = True
    control: Observation | None = None
    connected: bool = False
    denies_by: DeniesBy = "drop"
    wrong_from_s: float | None = None
    wrong_until_s: float | None = None
    flapped: tuple[Flap, ...] = ()

    @property
    def outcome(self) -> Verdict | ProbeError | None:
        return self.observation.outcome if self.observation else None

    @property
    def measured(self) -> bool:
        return isinstance(self.outcome, Verdict)

    @property
    def rejected(self) -> bool:
        """Whether the outcome is a REFUSED that counts as TIMEOUT."""
        return is_rejected(self.cell, self.outcome, self.denies_by, self.connected)

    @property
    def as_expected(self) -> bool:
        return satisfies(self.cell, self.outcome, self.denies_by, self.connected)

    @property
    def status(self) -> CellStatus:
        cell = self.cell
        if not self.measured:
            return CellStatus.NO_VERDICT
        if cell.undefined is None and not self.as_expected:
            return CellStatus.WRONG
        if cell.limitation is not None and self.evidence:
            return CellStatus.LIMITED
        if cell.undefined is not None:
            return CellStatus.UNDEFINED
        if cell.never_allowed is not None:
            return CellStatus.EXEMPT
        if not self.evidence:
            return CellStatus.UNPROVEN
        return CellStatus.PROVEN if cell.not_judged is None else CellStatus.NOT_JUDGED

    @property
    def reason(self) -> str:
        """Why the cell has its status; empty for those that need no reason."""
        cell = self.cell
        match self.status:
            case CellStatus.NO_VERDICT:
                return self.outcome.message if isinstance(self.outcome, ProbeError) else _NO_PROBE
            case CellStatus.LIMITED:
                return cell.limitation.reason if cell.limitation else ""
            case CellStatus.UNDEFINED:
                return cell.undefined or ""
            case CellStatus.EXEMPT:
                return cell.never_allowed or ""
            case CellStatus.NOT_JUDGED:
                return cell.not_judged or ""
            case CellStatus.WRONG if cell.never_allowed and self.outcome is Verdict.ALLOWED:
                return f"declared never-allowed: {cell.never_allowed}"
            case CellStatus.WRONG | CellStatus.UNPROVEN | CellStatus.PROVEN:
                return ""


_NO_PROBE = "it was never probed"


@dataclass(frozen=True, slots=True)
class Reachability:
    """Expected and observed, cell by cell, in the order of the table."""

    results: tuple[CellResult, ...]

    def having(self, status: CellStatus) -> tuple[CellResult, ...]:
        """The cells of that status, in the order of the table."""
        return tuple(result for result in self.results if result.status is status)

    @property
    def unmeasured(self) -> tuple[CellResult, ...]:
        """Cells without a verdict: an error of the step, never a denial."""
        return self.having(CellStatus.NO_VERDICT)

    @property
    def mismatches(self) -> tuple[CellResult, ...]:
        """Cells with a verdict that is not the expected one, where the API defines one."""
        return self.having(CellStatus.WRONG)

    @property
    def unproven(self) -> tuple[CellResult, ...]:
        """Denials as expected, of pairs that were never seen connecting."""
        return self.having(CellStatus.UNPROVEN)


@dataclass(frozen=True, slots=True)
class WatchGap:
    """A time in which a watched pair had another verdict than its table states.

    ``from_s`` is the start of the first probe with the other verdict, ``until_s`` the start of
    the first probe that was right again, or the end of the watch. In seconds after the change
    began.
    """

    verdict: Verdict
    from_s: float
    until_s: float

    @property
    def lasted_s(self) -> float:
        return self.until_s - self.from_s


@dataclass(frozen=True, slots=True)
class WatchedPair:
    """What the probes of one watched pair gave.

    ``probes`` counts them, ``without_verdict`` those that gave none. ``interval_s`` is the
    mean interval between two verdicts. ``silent_s`` is the longest time without a verdict: a gap
    within it would not be seen. After more than ``silence_s`` the pair counts as not watched.
    """

    cell: Cell
    tolerate_s: float
    probes: int
    without_verdict: int
    silence_s: float
    interval_s: float
    silent_s: float
    gaps: tuple[WatchGap, ...] = ()

    @property
    def intolerable(self) -> tuple[WatchGap, ...]:
        """The gaps that fail the step."""
        limit = self.tolerate_s
        return tuple(gap for gap in self.gaps if gap.lasted_s > limit or not limit)

    @property
    def is_silent(self) -> bool:
        """Whether a time without a verdict is so long that the watch shows nothing."""
        none = self.probes == self.without_verdict
        return none or self.silent_s > self.silence_s


@dataclass(frozen=True, slots=True)
class StartPhase:
    """What the probes of one pair gave in one phase of its source's start.

    ``probes`` counts them, ``without_verdict`` those that gave none, ``connected`` those that
    connected. ``from_s`` and ``until_s`` are the starts of the first and the last verdict, in
    seconds after the first probe of the pod, or None without a verdict.
    """

    probes: int
    without_verdict: int
    connected: int
    from_s: float | None = None
    until_s: float | None = None


@dataclass(frozen=True, slots=True)
class StartedPair:
    """What a new pod saw of one pair from its first moment, in its init container and after it.

    ``connected_s`` is when it first connected, in seconds after the first probe of the pod, or
    None if it never did. ``lost`` are the gaps of an allowed pair after that.
    """

    cell: Cell
    init: StartPhase
    main: StartPhase
    connected_s: float | None = None
    lost: tuple[WatchGap, ...] = ()
    tolerate_s: float = 1.0

    @property
    def is_wrong(self) -> bool:
        """Whether a denied pair ever connected, or an allowed one never did or was cut off."""
        if self.cell.expected is Verdict.ALLOWED:
            never = self.connected_s is None and not self.is_silent
            return never or bool(self.lost_for_long)
        return self.connected_s is not None

    @property
    def lost_for_long(self) -> tuple[WatchGap, ...]:
        """The gaps of an allowed pair that are longer than tolerated."""
        return tuple(gap for gap in self.lost if gap.lasted_s > self.tolerate_s)

    @property
    def is_silent(self) -> bool:
        """Whether one of the phases has no verdict, so that it shows nothing."""
        return self.init.from_s is None or self.main.from_s is None


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step as it went. Times are seconds.

    ``full_rounds`` counts the rounds over the whole table, the confirming one included.
    ``time_to_deny_s`` and ``time_to_allow_s`` are the longest time, after the cluster had
    accepted the state, at which a cell expected to be denied (allowed) was still wrong;
    None where the table has no such cell. ``held_s`` is how long the table had been right in
    full when it stopped being right within the hold time; None where it did not.
    ``duration_s`` is the time of the whole step; that of the first one includes the control step.
    """

    scenario: Scenario
    step: Step
    reachability: Reachability
    full_rounds: int
    sync_s: float
    probe_s: float
    time_to_deny_s: float | None = None
    time_to_allow_s: float | None = None
    held_s: float | None = None
    watched: tuple[WatchedPair, ...] = ()
    started: tuple[StartedPair, ...] = ()
    duration_s: float = 0.0
