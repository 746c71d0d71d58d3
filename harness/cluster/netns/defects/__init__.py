"""Known defects of real CNIs: each puts another function in the place of a part, or of a stage.

One module for each topic, each with its functions and a tuple ``DEFECTS``: name, id, parts.
``harness/data/catalogue.toml`` says what each id means.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.cluster.netns.defects import emit, ipblock, load, observe, path, ports, rules, select
from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.defects.together import together
from harness.cluster.netns.parts import PARTS, Parts
from harness.errors import UsageError
from harness.suggest import nearest

_TOPICS = (select, rules, ports, ipblock, emit, path, load, observe)

DEFECTS: Mapping[str, Defect] = {
    defect.name: defect for topic in _TOPICS for defect in topic.DEFECTS
}
"""Every defect that can be switched on, by its name."""


def parts_with(defect: str | None) -> Parts:
    """Return the parts with that defect switched on, or with two: ``one+other``.

    Raises UsageError for an unknown name, and for two that cannot be on together.
    """
    if defect is None:
        return PARTS
    first, *others = map(_named, defect.split("+"))
    if len(others) > 1:
        raise UsageError(f"{defect!r} are more than two defects", "switch on at most two")
    return together(first, others[0]) if others else first.parts


def _named(name: str) -> Defect:
    if name in DEFECTS:
        return DEFECTS[name]
    hint = nearest(name, DEFECTS) or f"defects are {', '.join(sorted(DEFECTS))}"
    raise UsageError(f"{name!r} is not a defect of the embedded cluster", hint)
