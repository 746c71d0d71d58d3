"""What a defect is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from harness.cluster.netns.compiler.stages import Stages
from harness.cluster.netns.parts import PARTS, Parts


@dataclass(frozen=True, slots=True)
class Defect:
    """A known mistake of CNIs; ``name`` is for the command line, ``id`` is the catalogue's.

    A defect that depends on time has a delay: ``parts`` are those of ``delay_s``, and
    ``parts_after`` returns those of another delay.
    """

    name: str
    id: str
    parts: Parts
    delay_s: float | None = None
    parts_after: Callable[[float], Parts] | None = None

    @classmethod
    def in_stages(cls, name: str, id_: str, stages: Stages) -> Self:
        """Return a defect of the compiler's stages; all other parts are right."""
        return cls(name, id_, replace(PARTS, stages=stages))

    @classmethod
    def timed(
        cls, name: str, id_: str, delay_s: float, parts_after: Callable[[float], Parts]
    ) -> Self:
        """Return a defect that takes a delay in seconds, by default ``delay_s``."""
        return cls(name, id_, parts_after(delay_s), delay_s, parts_after)
