"""Generated cases on a cluster, until the time is over; one that disagrees is made small."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import ClusterError, Occupied
from harness.generate.cases import Generator
from harness.generate.fixture import FixtureFile, write_cases
from harness.generate.shrink import shrunk
from harness.generate.trial import Bench, Trial, Wrong
from harness.model import Scenario
from harness.variants import variant

_MOST_FINDINGS = 5
_ERRORS_IN_A_ROW = 3
_MOST_SKIPPED = 100
_SEARCH_S = 300.0
"""How long to look for a smaller scenario, if less than that is left of the time of the run."""
_SEARCH_SETTLE = 1 / 6
"""The part of the settle time that a smaller scenario gets in the search."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A disagreement that was seen twice, and the file that shows it."""

    path: Path
    wrong: Wrong


@dataclass(slots=True)
class Tally:
    """What a run of generated cases has shown so far."""

    cases: int = 0
    skipped: int = 0
    failed: int = 0
    proven: int = 0
    no_verdict: int = 0
    doubtful: int = 0
    not_repeated: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, trial: Trial) -> None:
        """Count the cells of a case."""
        self.cases += 1
        self.proven += trial.proven
        self.no_verdict += trial.no_verdict
        self.doubtful += trial.doubtful

    def lines(self, seconds: float) -> list[str]:
        """Return the summary of a run that took so many seconds."""
        minutes = max(seconds, 1.0) / 60
        counts = (
            (self.no_verdict, "cells without a verdict"),
            (self.doubtful, "wrong cells without evidence"),
            (self.not_repeated, "cases wrong once, and right when repeated"),
            (self.skipped, "cases skipped"),
            (self.failed, "cases ended by an error of the cluster"),
        )
        return [
            f"{self.cases} cases, {self.proven} cells proven, in {minutes:.1f} minutes: "
            f"{self.cases / minutes:.1f} cases and {self.proven / minutes:.0f} cells a minute",
            *(f"{number} {words}" for number, words in counts if number),
            f"{len(self.findings)} disagreements",
        ]


@dataclass(frozen=True, slots=True)
class Fuzz:
    """Tries the cases of a generator, one after the other.

    ``say`` gets a line for each case, and ``reproduce`` returns the command that runs a file.
    """

    bench: Bench
    generator: Generator
    file: FixtureFile
    folder: Path
    say: Callable[[str], None]
    reproduce: Callable[[Path], str]
    tally: Tally = field(default_factory=Tally)

    def until(self, deadline: float) -> None:
        """Try cases until the clock of the bench shows the deadline. Raises HarnessError.

        The search for a smaller scenario may end a few minutes later.
        """
        errors = 0
        for number in itertools.count(1):
            if self.bench.timing.clock.now() >= deadline:
                return
            case = self.generator.case(number)
            lacks = variant(case, self.bench.cluster.capabilities).lack
            try:
                if lacks is None:
                    self._try(number, case, deadline)
                    errors = 0
            except Occupied as error:
                lacks = error.message
            except ClusterError as error:
                errors += 1
                self.tally.failed += 1
                self.say(f"case {number}: {error.message}")
                if errors == _ERRORS_IN_A_ROW:
                    raise
            if lacks is not None:
                self.tally.skipped += 1
                self.say(f"case {number}: skipped, {lacks}")
                if self.tally.skipped == _MOST_SKIPPED and not self.tally.cases:
                    return
            if len(self.tally.findings) == _MOST_FINDINGS:
                self.say(f"stopped after {_MOST_FINDINGS} disagreements")
                return

    def _try(self, number: int, case: Scenario, deadline: float) -> None:
        trial = self.bench.tried(case)
        self.tally.add(trial)
        self.say(f"case {number}: {len(case.steps)} steps, {trial.proven} cells proven")
        if not trial.wrong:
            return
        self.say(f"case {number}: {trial.wrong[0]}; it is repeated")
        again = set(self.bench.tried(case).wrong)
        repeated = [wrong for wrong in trial.wrong if wrong in again]
        if repeated:
            self._write(number, case, repeated[0], deadline)
        else:
            self.tally.not_repeated += 1
            self.say(f"case {number}: right when repeated")

    def _write(self, number: int, case: Scenario, wrong: Wrong, deadline: float) -> None:
        self.say(f"case {number}: wrong again; looking for a smaller scenario")
        slug = f"disagreement-{case.slug}"
        seen = f"{self.bench.cluster.capabilities.name}: {wrong.probe} gives {wrong.seen}"
        named = replace(
            case,
            slug=slug,
            path=f"{slug}.yaml",
            name=f"Disagreement in case {number} of seed {self.generator.seed}",
            why=f"On {seen}, and the policies give {wrong.expected}.",
        )
        search = _Search(self, wrong, named)
        try:
            search.run(max(deadline, self.bench.timing.clock.now() + _SEARCH_S))
        finally:  # Also when the user interrupts the search: what was found is not lost.
            (path,) = write_cases(self.folder, self.file, [search.smallest])
            self.tally.findings.append(Finding(path, wrong))
            self.say(f"written: {path}: {wrong}")
            self.say(f"reproduce: {self.reproduce(path)}")


@dataclass(slots=True)
class _Search:
    """The search for the smallest scenario with a cell that is wrong in the same way.

    A wrong cell is probed until the settle time is over, so most of the search would be waiting.
    It takes a part of the settle time, and runs the smallest scenario once more with all of it.
    If that gives no wrong cell, the search begins again, with all of it for each run.
    """

    fuzz: Fuzz
    wrong: Wrong
    start: Scenario
    smallest: Scenario = field(init=False)

    def __post_init__(self) -> None:
        self.smallest = self.start

    def run(self, limit: float) -> None:
        """Look for smaller scenarios until the clock shows the limit. Raises HarnessError."""
        bench = self.fuzz.bench
        settle_s = bench.timing.settle_on(bench.cluster) * _SEARCH_SETTLE
        self._with(replace(bench, timing=replace(bench.timing, settle_s=settle_s)), limit)
        if self.smallest is self.start or self._fails(self.smallest, bench):
            return
        self.fuzz.say("not seen again with the whole settle time; the search begins again")
        self.smallest = self.start
        self._with(bench, limit)

    def _with(self, bench: Bench, limit: float) -> None:
        def fails(smaller: Scenario) -> bool:
            failed = bench.timing.clock.now() < limit and self._fails(smaller, bench)
            self.smallest = smaller if failed else self.smallest
            return failed

        shrunk(self.start, self.wrong.probe, fails)

    def _fails(self, smaller: Scenario, bench: Bench) -> bool:
        try:
            trial = bench.tried(smaller)
        except ClusterError as error:
            self.fuzz.say(f"a smaller scenario did not run: {error.message}")
            return False
        return any(found.is_like(self.wrong) for found in trial.wrong)
