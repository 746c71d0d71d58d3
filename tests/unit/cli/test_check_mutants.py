"""However a file is changed, `netpol check` finds it good or says what is wrong with it.

Each mutant is made from its number. NETPOL_MUTANTS is how many are checked, NETPOL_FIRST_MUTANT
the number of the first: a failure is seen again with its number and NETPOL_MUTANTS=1.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness import cli
from tests.unit.cli.mutants import Corpus, Mutant, copy_corpus, link_corpus

MUTANTS = int(os.environ.get("NETPOL_MUTANTS", "2000"))
FIRST = int(os.environ.get("NETPOL_FIRST_MUTANT", "0"))
HANGS_S = 20
"""Processor time of one command, which needs less than one, however busy the machine is."""

PARTS = 4
"""Tests among which the mutants are divided, for parallel workers."""
AT_A_TIME = 10
"""Files of one command: most of its time goes into the parser of the command line."""

GOOD = re.compile(
    r"(?P<slot>\d+)/\S+: valid, "
    r"(?:\d+ steps?, \d+ cells?(?:: .+)?"
    r"|a fixture with \d+ namespaces?, \d+ pods?, \d+ Services?)"
)
PROBLEM = re.compile(r"(?P<slot>\d+)/\S+:\d+:\d+: \S")
NOT_FOR_AUTHORS = re.compile(r"Traceback|pydantic|Input should|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Hangs(BaseException):
    """A mutant was not checked in time. No Exception, so that nothing takes it for an error."""


@contextmanager
def watched() -> Iterator[None]:
    """Raise Hangs where the body takes very much processor time."""

    def stop(*_: object) -> None:
        raise Hangs

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANGS_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class Checks:
    """Runs `netpol check` on mutants, each in a copy of the corpus of its own."""

    def __init__(self, folder: Path, slots: int, capsys: pytest.CaptureFixture[str]) -> None:
        first = copy_corpus(folder / "0")
        others = [link_corpus(first, folder / str(slot)) for slot in range(1, slots)]
        self._slots = [first, *others]
        self._folder = folder
        self._capsys = capsys
        self.seen: Counter[str] = Counter()

    def failures(self, mutants: Sequence[Mutant]) -> list[str]:
        """Return a line for each mutant for which the command fails, or prints what is unfit."""
        fault = self._fault(mutants)
        if fault and len(mutants) > 1:  # each alone, to name the one
            return [line for mutant in mutants for line in self.failures([mutant])] or [fault]
        return [f"mutant {mutants[0].number}, {mutants[0].file}: {fault}"] if fault else []

    def _fault(self, mutants: Sequence[Mutant]) -> str | None:
        with ExitStack() as placed:
            paths = [
                Path(placed.enter_context(mutant.placed(slot))).relative_to(self._folder)
                for mutant, slot in zip(mutants, self._slots, strict=False)
            ]
            try:
                with watched():
                    status = cli.main(["check", *map(str, paths)])
            except Hangs:
                return "hangs"
        out, err = self._capsys.readouterr()
        unfit = NOT_FOR_AUTHORS.search(out + err)
        if unfit:
            return f"printed {unfit[0]!r}"
        good = {int(line["slot"]) for line in map(GOOD.fullmatch, out.splitlines()) if line}
        bad = {int(line["slot"]) for line in map(PROBLEM.match, err.splitlines()) if line}
        meant = cli.Exit.INVALID if bad else cli.Exit.OK
        if status != meant or good & bad or good | bad != set(range(len(mutants))):
            return f"exit status {status}, {out[-200:]!r}, {err[-300:]!r}"
        self.seen += Counter(good=len(good), bad=len(bad))
        return None


@pytest.mark.parametrize("part", range(PARTS))
def test_a_mutant_is_good_or_has_problems(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    numbers = range(FIRST, FIRST + MUTANTS)[part::PARTS]
    corpus = Corpus()
    checks = Checks(tmp_path, min(AT_A_TIME, len(numbers)), capsys)
    failures: list[str] = []
    for begin in range(0, len(numbers), AT_A_TIME):
        batch = [corpus.mutant(number) for number in numbers[begin : begin + AT_A_TIME]]
        failures += checks.failures(batch)
    assert not failures, "\n".join([f"{len(failures)} of {len(numbers)}", *failures[:20]])
    assert checks.seen.total() == len(numbers)
    # Else the mutants are too broken, or not broken enough.
    few, many = len(numbers) / 50, len(numbers) / 2
    assert len(numbers) < 100 or few < checks.seen["good"] < many, checks.seen
