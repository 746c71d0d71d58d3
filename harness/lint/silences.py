"""Comments and annotations that silence findings, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.application import Remark
from harness.errors import Location
from harness.lint.kinds import finding, kinds
from harness.lint.values import Choice, Finding, Place, Said
from harness.suggest import nearest_or_all

UNUSED = "unused-silence"
BAD = "bad-silence"
_FORM = re.compile(r"ignore\[(?P<ids>[^\]]*)\](?P<reason>.*)", re.DOTALL)
_HINT = "write # netpol: ignore[ID] and the reason, with ids like selects-no-pod"


@dataclass(frozen=True, slots=True)
class Silenced:
    """The findings that are left, with those about silences, and how many were silenced."""

    findings: tuple[Finding, ...]
    count: int


def silenced(found: Sequence[Finding], remarks: Sequence[Remark], choice: Choice) -> Silenced:
    """Return the findings without those that the files silence.

    A silence of a kind that is not wanted is neither used nor unused.
    """
    by_item: dict[tuple[str, Location | None], list[int]] = {}
    by_line: dict[tuple[str, str, int], list[int]] = {}
    for number, item in enumerate(found):
        here = item.place.location
        by_item.setdefault((item.id, item.place.item), []).append(number)
        by_line.setdefault((item.id, here.path, here.line), []).append(number)
    gone: set[int] = set()
    about: list[Finding] = []
    for remark in remarks:
        match = _FORM.fullmatch(remark.text.strip())
        place = Place("silence", remark.location, remark.location, remark.text)
        if match is None:
            fact = f"'netpol: {remark.text}' is not known"
            about.append(finding(BAD, place, Said(fact, _HINT)))
            continue
        for name in filter(None, re.split(r"[\s,]+", match["ids"])):
            if name not in kinds():
                hint = nearest_or_all(name, kinds(), "ids")
                about.append(finding(BAD, place, Said(f"there is no finding {name!r}", hint)))
                continue
            meant = [
                *by_item.get((name, remark.item), ()),
                *by_line.get((name, remark.location.path, remark.line), ()),
            ]
            gone.update(meant)
            if not meant and choice.has(name):
                fact = f"there is no finding {name!r} here to silence"
                about.append(finding(UNUSED, place, Said(fact, "remove it")))
    left = [item for number, item in enumerate(found) if number not in gone]
    return Silenced((*left, *(item for item in about if choice.has(item.id))), len(gone))
