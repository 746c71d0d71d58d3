"""A matrix as Markdown, JSON and CSV, and as a graph for Graphviz; all formats by name."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

from harness.matrix.text import packets, text
from harness.matrix.values import Cell, Matrix, Word
from harness.report.markdown import escaped, head, row

_NO_PAIR = "-"


def markdown(matrix: Matrix) -> str:
    """Return a table with a row for each source."""
    words = _words(matrix)
    lines = head(["from \\ to", *map(escaped, matrix.destinations)])
    for source in matrix.sources:
        cells = (words.get((source, name), _NO_PAIR) for name in matrix.destinations)
        lines.append(row([escaped(source), *cells]))
    notes = [f"- {escaped(str(note))}" for note in matrix.notes]
    proof = [f"- {escaped(line.strip())}" for line in packets(matrix.cells)]
    return "\n\n".join("\n".join(part) for part in (lines, proof, notes) if part) + "\n"


def json_text(matrix: Matrix) -> str:
    """Return the cells with their reasons as JSON."""
    cells = list(map(_cell_json, matrix.cells))
    made = {
        "sources": matrix.sources,
        "destinations": matrix.destinations,
        "cells": cells,
        "notes": [str(note) for note in matrix.notes],
        "ignored": [{"kind": item.kind, "count": item.count} for item in matrix.ignored],
    }
    return json.dumps(made, indent=2) + "\n"


def _cell_json(cell: Cell) -> dict[str, object]:
    made: dict[str, object] = {
        "from": cell.source,
        "to": cell.destination,
        "word": cell.word,
        "reasons": cell.reasons,
    }
    if cell.packets is not None:
        made["packets"] = {"seen": cell.packets.seen, "why": cell.packets.why}
    return made


def csv_text(matrix: Matrix) -> str:
    """Return a line for each cell, as CSV."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    has_packets = any(cell.packets is not None for cell in matrix.cells)
    writer.writerow(("from", "to", "word", *(["packets"] if has_packets else [])))
    for cell in matrix.cells:
        seen = [cell.packets.seen] if cell.packets is not None else []
        writer.writerow((cell.source, cell.destination, cell.word, *seen))
    return written.getvalue()


def dot(matrix: Matrix) -> str:
    """Return the allowed pairs as a graph in the language of Graphviz."""
    edges = [
        f"  {json.dumps(cell.source)} -> {json.dumps(cell.destination)}"
        for cell in matrix.cells
        if cell.word is Word.ALLOWED
    ]
    return "\n".join(["digraph reaches {", "  rankdir=LR", *edges, "}"]) + "\n"


def html(matrix: Matrix) -> str:
    """Return one HTML page."""
    from harness.matrix.page import page  # Only a page needs all that it imports.

    return page(matrix)


def _words(matrix: Matrix) -> dict[tuple[str, str], str]:
    return {(cell.source, cell.destination): cell.word for cell in matrix.cells}


FORMATS: Mapping[str, Callable[[Matrix], str]] = MappingProxyType(
    {
        "text": text,
        "markdown": markdown,
        "json": json_text,
        "csv": csv_text,
        "html": html,
        "dot": dot,
    }
)
