"""What a defect is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from harness.cluster.netns.compiler.stages import Stages
from harness.cluster.netns.parts import PARTS, Parts


@dataclass(frozen=True, slots=True)
class Defect:
    """A known mistake of CNIs; ``name`` is for the command line, ``id`` is the catalogue's."""

    name: str
    id: str
    parts: Parts

    @classmethod
    def in_stages(cls, name: str, id_: str, stages: Stages) -> Self:
        """Return a defect of the compiler's stages; all other parts are right."""
        return cls(name, id_, replace(PARTS, stages=stages))
