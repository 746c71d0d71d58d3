"""JUnit files: the properties of a test case (the cluster, and what a step gave); whole files.

pytest writes the files of runs; ``document`` those of verbs that do not run pytest.
"""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from harness import VERSION
from harness.cluster import Capabilities
from harness.model import CellStatus
from harness.report.record import StepRecord
from harness.report.tally import excuses_by_status, flaps
from harness.report.watches import lines, start_lines


def about(has: Capabilities) -> Iterator[tuple[str, str]]:
    """Yield names and values: the cluster, its CNI and the versions, as far as they are known."""
    yield "cluster", has.name
    if has.cni:
        yield "cni", f"{has.cni} {has.cni_version}".strip()
    if has.kubernetes:
        yield "kubernetes", has.kubernetes
    yield "netpol", VERSION


def properties(step: StepRecord) -> Iterator[tuple[str, str | int | float]]:
    """Yield names and values: rounds, times, cells by status, and why some prove nothing.

    There is one property for each reason, with the same name.
    """
    yield "rounds", step.full_rounds
    for name, seconds in (
        ("time-to-deny", step.time_to_deny_s),
        ("time-to-allow", step.time_to_allow_s),
        ("held", step.held_s),
    ):
        if seconds is not None:
            yield name, seconds
    yield "cells", len(step.cells)
    counts = Counter(cell.status for cell in step.cells)
    for status in CellStatus:
        if counts[status]:
            yield str(status), counts[status]
    for status, line in excuses_by_status(step.cells):
        yield f"{status} because", line
    for line in flaps(step.cells):
        yield "flapped", line
    for line in lines(step):
        yield "watched", line
    for line in start_lines(step):
        yield "from-start", line


class Kind(enum.StrEnum):
    """Why a test case did not pass."""

    FAILURE = "failure"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a test case did not pass: in one line, and the whole text."""

    kind: Kind
    message: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One test case; it passed if it has no ``trouble``."""

    name: str
    trouble: Trouble | None = None
    seconds: float = 0.0
    properties: tuple[tuple[str, str | int | float], ...] = ()


def document(suite: str, cases: Sequence[Case]) -> str:
    """Return a JUnit file with one suite of that name."""
    kinds = Counter(case.trouble.kind for case in cases if case.trouble)
    root = ElementTree.Element("testsuites")
    group = ElementTree.SubElement(
        root,
        "testsuite",
        name=suite,
        tests=str(len(cases)),
        failures=str(kinds[Kind.FAILURE]),
        errors=str(kinds[Kind.ERROR]),
        skipped=str(kinds[Kind.SKIPPED]),
        time=f"{sum(case.seconds for case in cases):.3f}",
    )
    for case in cases:
        _add_case(group, suite, case)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _add_case(group: ElementTree.Element, suite: str, case: Case) -> None:
    item = ElementTree.SubElement(
        group, "testcase", classname=suite, name=case.name, time=f"{case.seconds:.3f}"
    )
    if case.properties:
        listed = ElementTree.SubElement(item, "properties")
        for name, value in case.properties:
            ElementTree.SubElement(listed, "property", name=name, value=_plain(str(value)))
    if case.trouble:
        trouble = case.trouble
        said = ElementTree.SubElement(item, trouble.kind, message=_plain(trouble.message))
        said.text = _plain(trouble.text)


def _plain(text: str) -> str:
    """Return the text without characters that XML does not allow."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)
