"""Known defects of real CNIs: each puts another function in the place of a part, or of a stage.

One module for each topic, each with its functions and a tuple ``DEFECTS``: name, id, parts, and
the delay of those that depend on time.
``harness/data/catalogue.toml`` says what each id means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from harness.cluster.netns.defects import (
    emit,
    ipblock,
    load,
    observe,
    path,
    ports,
    rules,
    select,
    start,
    tiers,
)
from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.defects.together import together
from harness.cluster.netns.parts import PARTS, Parts
from harness.errors import UsageError
from harness.suggest import nearest

_TOPICS = (select, rules, ports, ipblock, emit, path, load, observe, start, tiers)

DEFECTS: Mapping[str, Defect] = {
    defect.name: defect for topic in _TOPICS for defect in topic.DEFECTS
}
"""Every defect that can be switched on, by its name."""


LONGEST_DELAY_S = 60.0

_DELAY = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)s?")


def parts_with(defect: str | None) -> Parts:
    """Return the parts with that defect switched on, or with two: ``one+other``.

    One that depends on time may have a delay: ``one:0.3s``. Raises UsageError for an unknown
    name, for a wrong delay, and for two that cannot be on together.
    """
    if defect is None:
        return PARTS
    first, *others = map(_named, defect.split("+"))
    if len(others) > 1:
        raise UsageError(f"{defect!r} are more than two defects", "switch on at most two")
    return together(first, others[0]) if others else first.parts


def _named(text: str) -> Defect:
    """Return the defect of ``NAME`` or ``NAME:SECONDS``. Raises UsageError."""
    name, colon, delay = text.partition(":")
    if name not in DEFECTS:
        hint = nearest(name, DEFECTS) or f"defects are {', '.join(sorted(DEFECTS))}"
        raise UsageError(f"{name!r} is not a defect of the embedded cluster", hint)
    return _after(DEFECTS[name], delay) if colon else DEFECTS[name]


def _after(defect: Defect, delay: str) -> Defect:
    """Return the defect with that delay. Raises UsageError if it takes none, or no such one."""
    if defect.parts_after is None:
        timed = ", ".join(sorted(name for name, one in DEFECTS.items() if one.parts_after))
        hint = f"write {defect.name!r} alone; defects that take one are {timed}"
        raise UsageError(f"the defect {defect.name!r} takes no delay", hint)
    found = _DELAY.fullmatch(delay)
    delay_s = float(found[1]) if found else 0.0
    if not 0 < delay_s <= LONGEST_DELAY_S:
        hint = (
            f"write seconds, more than 0 and at most {LONGEST_DELAY_S:g}: "
            f"{defect.name}:{defect.delay_s:g}s"
        )
        raise UsageError(f"{delay!r} is not a delay of the defect {defect.name!r}", hint)
    return replace(defect, parts=defect.parts_after(delay_s), delay_s=delay_s)
