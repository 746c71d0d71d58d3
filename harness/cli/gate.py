"""The verb gate: whether policies are enforced now, before untrusted code is let in."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness import gate as gates
from harness import report, results_file
from harness.choice import ClusterChoice, Purpose
from harness.cli import making
from harness.cli.exits import Exit, status_of
from harness.cli.parser import choice_of
from harness.cluster import Cluster
from harness.cluster.waiting import REAL
from harness.errors import (
    ClusterError,
    DeniesOtherwise,
    HarnessError,
    HarnessWarning,
    NoNetwork,
    NoRights,
    NotEnforcing,
    UsageError,
)
from harness.gate import Check, Finding, Ground
from harness.model import Labels, StepResult
from harness.policy.selectors import BadWord, label_key, label_value
from harness.scenario.reserved import RESERVED_HINT, RESERVED_PREFIX, reserved_fact
from harness.settle import Timing

_SETTLE_S = 10.0
_CLEANING_S = 120.0
_SUITE = "netpol.gate"
_MEANINGS = {
    Exit.WRONG: "not enforced",
    Exit.USAGE: "usage",
    Exit.NO_VERDICT: "no verdict",
    Exit.NO_NETWORK: "no network",
    Exit.NO_RIGHTS: "no rights",
    Exit.OVER_TIME: "over time",
    Exit.DENIES_OTHERWISE: "denies otherwise",
}


def gate(parsed: argparse.Namespace) -> int:
    """Run the checks of the gate; print and write what they gave, and clean up afterwards."""
    _make_room(parsed.junitxml)
    attempt = _Attempt(
        choice=choice_of(parsed),
        ground=_ground(parsed),
        settle_s=parsed.netpol_settle,
        limit_s=parsed.timeout,
        junit=parsed.junitxml,
    )
    with making.terminated_as_exit(), warnings.catch_warnings():
        warnings.simplefilter("always", HarnessWarning)
        warnings.showwarning = _warn  # type: ignore[assignment]
        try:
            return attempt.run()
        except (KeyboardInterrupt, SystemExit):
            attempt.interrupted()
            raise
        finally:
            attempt.clean_up()


def _warn(message: Warning | str, *_: object) -> None:
    print(f"warning: {message}", file=sys.stderr)


def _make_room(path: Path | None) -> None:
    """Remove an older file: one that says that the gate was open must not outlive this gate."""
    if path is None:
        return
    try:
        results_file.make_room(path)
    except OSError as error:
        raise UsageError(f"--junitxml={path}: {error.strerror}") from None


def _ground(parsed: argparse.Namespace) -> Ground:
    """Return what the isolated pods are like. Raises UsageError with every problem."""
    problems: list[str] = []
    of_namespace = _labels("namespace-label", parsed.namespace_labels, problems)
    of_pods = _labels("label", parsed.labels, problems)
    if problems:
        raise UsageError("\n".join(problems))
    return Ground(of_namespace, of_pods, parsed.nodes)


def _labels(option: str, given: Iterable[str], problems: list[str]) -> Labels:
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        bad = _bad_label(key, equals, value)
        if bad is None and key in found:
            bad = BadWord(f"{key!r} is given twice", "a label has one value")
        if bad is not None:
            problems.append(f"--{option}={text}: {bad.fact}\nhint: {bad.hint}")
        found[key] = value
    return Labels(found)


def _bad_label(key: str, equals: str, value: str) -> BadWord | None:
    if not equals:
        return BadWord("there is no '='", "write KEY=VALUE")
    if key.startswith(RESERVED_PREFIX):
        return BadWord(reserved_fact(key), RESERVED_HINT)
    if key == "kubernetes.io/metadata.name":
        return BadWord(f"{key!r} is set by the API server", "use another label")
    return label_key(key) or label_value(value)


@dataclass(slots=True)
class _Attempt:
    """One attempt at the gate: what it found so far, and what it must remove."""

    choice: ClusterChoice
    ground: Ground
    settle_s: float | None
    limit_s: float
    junit: Path | None
    began: float = field(default_factory=REAL.now)
    cluster: Cluster | None = None
    findings: list[Finding] = field(default_factory=list)
    is_cut_off: bool = False
    """Whether a create may be under way of which the cluster has no record."""

    def run(self) -> Exit:
        """Run the checks within the time limit, and tell the result. Raises UsageError."""
        try:
            with making.time_limit(self.limit_s):
                self._check()
        except making.OverTime:
            self.is_cut_off = True
            return self._closed(Exit.OVER_TIME, self._late())
        except HarnessError as error:
            return self._closed(_exit_of(error), error)
        self._write(None)
        print(f"gate: open after {self._seconds:.1f} s", flush=True)
        return Exit.OK

    def _check(self) -> None:
        self.cluster = self.choice.make("main", Purpose.GATE)
        has = self.cluster.capabilities
        about = gates.covered(self.ground, has)
        print(f"gate: cluster {has.name}, run {self.choice.run_id}, {about}", flush=True)
        usual_s = min(_SETTLE_S, has.settle_s)
        timing = Timing(settle_s=usual_s if self.settle_s is None else self.settle_s)
        for finding in gates.check(self.cluster, self.ground, timing):
            self.findings.append(finding)
            print(_line(len(self.findings), finding), flush=True)
            if finding.fault is not None:
                raise finding.fault

    def _late(self) -> ClusterError:
        return ClusterError(
            f"the time limit of {self.limit_s:g} s is over, and the check "
            f"{self._current.word!r} has not ended",
            "see whether the API server answers, pods start, and the image can be pulled; "
            "--timeout=SECONDS gives more time",
        )

    def _closed(self, status: Exit, fault: HarnessError) -> Exit:
        self._write(fault)
        why = f"exit status {status:d}: {_MEANINGS[status]}"
        print(f"gate: closed after {self._seconds:.1f} s ({why})", flush=True)
        print(fault, file=sys.stderr, flush=True)
        return status

    def interrupted(self) -> None:
        """Tell that somebody ended the gate."""
        self.is_cut_off = True
        self._write(ClusterError("the gate was interrupted", "start it again"))
        print(f"gate: closed after {self._seconds:.1f} s (interrupted)", flush=True)

    def clean_up(self) -> None:
        """Remove what was made on the cluster, for a limited time."""
        if self.cluster is None:
            return
        try:
            with making.time_limit(_CLEANING_S):
                making.close(self.cluster)
                if self.is_cut_off:
                    making.sweep(self.choice)
        except making.OverTime:
            late = f"cleaning up took more than {_CLEANING_S:g} s"
            print(f"not removed: {late}; `netpol clean` goes on with it", file=sys.stderr)

    @property
    def _current(self) -> Check:
        """The check that failed or did not end."""
        passed = sum(finding.fault is None for finding in self.findings)
        order = list(Check)
        return order[min(passed, len(order) - 1)]

    @property
    def _seconds(self) -> float:
        return REAL.now() - self.began

    def _write(self, fault: HarnessError | None) -> None:
        if self.junit is None:
            return
        text = report.document(_SUITE, [self._case(check, fault) for check in Check])
        try:
            results_file.write(self.junit, text)
        except OSError as error:
            raise UsageError(f"--junitxml={self.junit}: {error.strerror}") from None

    def _case(self, check: Check, fault: HarnessError | None) -> report.Case:
        finding = next((item for item in self.findings if item.check is check), None)
        result = finding.result if finding else None
        has = self.cluster.capabilities if self.cluster and self.findings else None
        return report.Case(
            check.word,
            _trouble(check, self._current, fault, result),
            result.duration_s if result else 0.0,
            (
                *(report.about(has) if has else ()),
                *(report.properties(_record(result)) if result else ()),
            ),
        )


def _exit_of(error: HarnessError) -> Exit:
    match error:
        case NotEnforcing():
            return Exit.WRONG
        case NoNetwork():
            return Exit.NO_NETWORK
        case NoRights():
            return Exit.NO_RIGHTS
        case DeniesOtherwise():
            return Exit.DENIES_OTHERWISE
        case _:
            return status_of(error)


def _line(number: int, finding: Finding) -> str:
    """Return what a check gave, in one line."""
    check, result = finding.check, finding.result
    start = f"[{number}/{len(Check)}] {check.word:<8}"
    if finding.fault is not None or result is None:
        return f"{start} failed"
    cells = len(result.reachability.results)
    waited = result.time_to_deny_s
    denied = "" if waited is None else f", denied after {waited:.1f} s"
    return f"{start} passed {result.duration_s:>6.1f} s  {cells} pairs{denied}: {check.says}"


def _trouble(
    check: Check, current: Check, fault: HarnessError | None, result: StepResult | None
) -> report.Trouble | None:
    """Return why a check did not pass, for the JUnit file."""
    order = [*Check]
    if fault is None or order.index(check) < order.index(current):
        return None
    if check is not current:
        return report.Trouble(report.Kind.SKIPPED, f"not run: {current.word} did not pass")
    kind = report.Kind.FAILURE if isinstance(fault, NotEnforcing) else report.Kind.ERROR
    table = f"\n\n{report.table(_record(result))}" if result else ""
    return report.Trouble(kind, fault.message.partition("\n")[0], f"{fault}{table}")


def _record(result: StepResult) -> report.StepRecord:
    return report.record(result, "", lambda _: "", lambda _: "")
