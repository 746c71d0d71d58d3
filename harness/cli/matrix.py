"""The verb matrix: who reaches whom in an application."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace

from harness.cli.applications import application_of
from harness.cli.exits import Exit
from harness.errors import UsageError
from harness.matrix import Cell, Cut, Matrix, Seen, judged
from harness.matrix.formats import FORMATS
from harness.matrix.text import WIDTH, text


def matrix(parsed: argparse.Namespace) -> int:
    """Print the matrix of an application; notes follow the text, or go to stderr."""
    if parsed.netpol_defect and not parsed.packets:
        raise UsageError("--defect needs --packets", "only the embedded cluster has defects")
    cut = Cut(tuple(parsed.sources), tuple(parsed.destinations), tuple(parsed.namespaces))
    made = judged(application_of(parsed), cut)
    if parsed.packets:
        made = _proven(made, parsed.netpol_defect)
    print(_formatted(made, parsed.format), end="")
    if parsed.format in {"csv", "dot"}:
        for note in made.notes:
            print(f"note: {note}", file=sys.stderr)
    return shown_by(made.cells)


def _formatted(made: Matrix, name: str) -> str:
    if name == "text":
        width = shutil.get_terminal_size((WIDTH, 0)).columns if sys.stdout.isatty() else WIDTH
        return text(made, width)
    return FORMATS[name](made)


def _proven(made: Matrix, defect: str | None) -> Matrix:
    # What sends packets takes half a second to import.
    from harness.cli.making import embedded
    from harness.matrix.proof import proven

    with embedded(defect) as cluster:
        return replace(made, cells=proven(cluster, made.state, made.cells))


def shown_by(cells: Iterable[Cell]) -> Exit:
    """Return the exit status of what packets showed of some cells."""
    seen = {cell.packets.seen for cell in cells if cell.packets is not None}
    if seen & {Seen.DISAGREES, Seen.UNPROVEN}:
        return Exit.WRONG
    if Seen.NO_VERDICT in seen or seen == {Seen.NOT_PROBED}:
        return Exit.NO_VERDICT
    return Exit.OK
