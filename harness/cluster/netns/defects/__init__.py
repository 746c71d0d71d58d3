"""Known defects of real CNIs: each puts another function in the place of a part, or of a stage.

One module for each topic, each with its functions and a tuple ``DEFECTS``: name, id, parts.
``harness/data/catalogue.toml`` says what each id means.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.cluster.netns.defects import emit, ipblock, load, observe, path, ports, rules, select
from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.parts import PARTS, Parts
from harness.errors import UsageError
from harness.suggest import nearest

_TOPICS = (select, rules, ports, ipblock, emit, path, load, observe)

DEFECTS: Mapping[str, Defect] = {
    defect.name: defect for topic in _TOPICS for defect in topic.DEFECTS
}
"""Every defect that can be switched on, by its name."""


def parts_with(defect: str | None) -> Parts:
    """Return the parts with that defect switched on. Raises UsageError for an unknown name."""
    if defect is None:
        return PARTS
    if defect in DEFECTS:
        return DEFECTS[defect].parts
    hint = nearest(defect, DEFECTS) or f"defects are {', '.join(sorted(DEFECTS))}"
    raise UsageError(f"{defect!r} is not a defect of the embedded cluster", hint)
