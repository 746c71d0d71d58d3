"""What a listing of a CNI's agent tells about one probe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Met:
    """A rule that met packets, or a flow, as a line of text; and whether it denies them."""

    text: str
    denies: bool = False
