"""What the HTML page of a comparison shows: the runs, and what differs between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness import catalogue
from harness.report.compare import Apart, Comparison, Difference, Given, Kind, RequirementRow
from harness.report.compare_text import ORDER, about, apart, summary_line, title

_LISTED = 1000
"""The maximum number of differences listed of each kind; steps that are apart likewise."""

_NAMES = {
    Kind.REGRESSION: "Regressions",
    Kind.MEND: "Mends",
    Kind.FLAKY: "Flaky",
    Kind.DIFFERENT: "Differences",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What one run gave, as text, and the status or outcome that gives it its colour."""

    text: str
    status: str


_ABSENT = Shown("-", "")


@dataclass(frozen=True, slots=True)
class Line:
    """A pair that differs, or the step itself; ``where`` is its line in the file of the step."""

    pair: str
    where: str
    expected: str
    given: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class StepLines:
    """A step with pairs that differ."""

    file: str
    step: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class KindSection:
    """The differences of one kind; ``unlisted`` are those that ``steps`` do not have."""

    id: str
    name: str
    title: str
    total: int
    unlisted: int
    steps: tuple[StepLines, ...]


@dataclass(frozen=True, slots=True)
class ApartLine:
    """A step that is not compared, with its outcome in each run."""

    file: str
    step: str
    outcomes: tuple[Shown, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApartSection:
    """The steps that are not compared for one reason; ``unlisted`` as in ``KindSection``."""

    title: str
    total: int
    unlisted: int
    lines: tuple[ApartLine, ...]


@dataclass(frozen=True, slots=True)
class RequirementLine:
    """A requirement, and what each run gave for it."""

    id: str
    text: str
    given: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Differing:
    """The page; ``runs`` are pairs of a name and what the run was."""

    verdict: str
    runs: tuple[tuple[str, str], ...]
    requirements: tuple[RequirementLine, ...]
    same_requirements: tuple[RequirementLine, ...]
    kinds: tuple[KindSection, ...]
    apart: tuple[ApartSection, ...]


def differing(comparison: Comparison) -> Differing:
    """Return the page of a comparison."""
    rows = comparison.requirements
    return Differing(
        verdict=summary_line(comparison),
        runs=tuple((run.name, about(run)) for run in comparison.runs),
        requirements=tuple(_requirement(row) for row in rows if row.differing),
        same_requirements=tuple(_requirement(row) for row in rows if not row.differing),
        kinds=tuple(_kinds(comparison)),
        apart=tuple(_apart(comparison)),
    )


def _requirement(row: RequirementRow) -> RequirementLine:
    known = catalogue.requirements().get(row.id)
    given = tuple(_outcome(one.word) for one in row.tried)
    return RequirementLine(row.id, known.text if known else "", given)


def _outcome(word: str) -> Shown:
    return Shown(word, word) if word else _ABSENT


def _kinds(comparison: Comparison) -> Iterator[KindSection]:
    for kind in ORDER:
        if found := comparison.of(kind):
            yield _kind(kind, found, title(kind, comparison))


def _kind(kind: Kind, found: Sequence[Difference], title: str) -> KindSection:
    steps = groupby(found[:_LISTED], key=lambda item: (item.file, item.step))
    return KindSection(
        id=kind.name.lower(),
        name=_NAMES[kind],
        title=title,
        total=len(found),
        unlisted=max(0, len(found) - _LISTED),
        steps=tuple(StepLines(*key, tuple(map(_line, items))) for key, items in steps),
    )


def _line(item: Difference) -> Line:
    line = item.location.removeprefix(f"{item.file}:")
    return Line(
        pair=item.pair or "the step",
        where=item.location if line == item.location else f"line {line.partition(':')[0]}",
        expected=item.expected,
        given=tuple(_given(one) if one else _ABSENT for one in item.given),
    )


def _given(one: Given) -> Shown:
    return Shown(str(one), str(one.status))


def _apart(comparison: Comparison) -> Iterator[ApartSection]:
    for why in Apart:
        if found := comparison.because(why):
            yield ApartSection(
                title=f"Steps {apart(why)}",
                total=len(found),
                unlisted=max(0, len(found) - _LISTED),
                lines=tuple(
                    ApartLine(
                        item.file, item.step, tuple(map(_outcome, item.outcomes)), item.reasons
                    )
                    for item in found[:_LISTED]
                ),
            )
