"""A matrix as text, Markdown, JSON, CSV, and as a graph for Graphviz."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from textwrap import fill
from types import MappingProxyType

from harness.matrix.values import Cell, Matrix, Word
from harness.report.markdown import escaped, head, row

_WIDTH = 100
_NO_PAIR = "-"


def text(matrix: Matrix) -> str:
    """Return for each destination the sources that reach it; equal ones stand together."""
    parts = [_block(names, cells) for names, cells in _alike(matrix)]
    parts.append("\n".join(_behind(matrix)))
    return "\n\n".join(filter(None, parts)) + "\n"


def _alike(matrix: Matrix) -> Iterator[tuple[list[str], list[Cell]]]:
    """Yield destinations with the same word from every source, with the cells of the first."""
    columns: dict[str, list[Cell]] = {name: [] for name in matrix.destinations}
    for cell in matrix.cells:
        columns[cell.destination].append(cell)
    found: dict[tuple[tuple[str, Word], ...], tuple[list[str], list[Cell]]] = {}
    for name, cells in columns.items():
        key = tuple((cell.source, cell.word) for cell in cells)
        found.setdefault(key, ([], cells))[0].append(name)
    yield from found.values()


def _block(names: Sequence[str], cells: Sequence[Cell]) -> str:
    lines = [*names]
    allowed = [cell.source for cell in cells if cell.word is Word.ALLOWED]
    lines.append(_line("from", _shortened(allowed, len(cells)) if allowed else "nobody"))
    for word in (Word.UNDEFINED, Word.NOT_JUDGED, Word.DIFFERS, Word.NO_ENDPOINT):
        having = [cell for cell in cells if cell.word is word]
        if having:
            sources = [cell.source for cell in having]
            lines.append(_line(word.value, _shortened(sources, len(cells))))
            reasons = dict.fromkeys(cell.reasons[-1:] for cell in having)
            lines += [f"      {reason}" for last in reasons for reason in last]
    return "\n".join(lines)


def _shortened(names: Sequence[str], total: int) -> str:
    """Return a list of sources; all of them in short, and whether hosts outside are among them."""
    if len(names) < total or total <= 3:
        return ", ".join(names)
    outside = [name for name in names if name.partition(" ")[0] == "outside"]
    return f"all {total} sources" + (f", also {', '.join(outside)}" if outside else "")


def _line(word: str, listed: str) -> str:
    begin = f"  {word}  "
    return fill(
        listed, _WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _behind(matrix: Matrix) -> Iterator[str]:
    yield from (f"note: {note}" for note in matrix.notes)
    if matrix.ignored:
        kinds = ", ".join(f"{item.count} {item.kind}" for item in matrix.ignored)
        yield fill(f"ignored: {kinds}", _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def markdown(matrix: Matrix) -> str:
    """Return a table with a row for each source."""
    words = _words(matrix)
    lines = head(["from \\ to", *map(escaped, matrix.destinations)])
    for source in matrix.sources:
        cells = (words.get((source, name), _NO_PAIR) for name in matrix.destinations)
        lines.append(row([escaped(source), *cells]))
    notes = [f"- {escaped(str(note))}" for note in matrix.notes]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def json_text(matrix: Matrix) -> str:
    """Return the cells with their reasons as JSON."""
    cells = [
        {"from": cell.source, "to": cell.destination, "word": cell.word, "reasons": cell.reasons}
        for cell in matrix.cells
    ]
    made = {
        "sources": matrix.sources,
        "destinations": matrix.destinations,
        "cells": cells,
        "notes": [str(note) for note in matrix.notes],
        "ignored": [{"kind": item.kind, "count": item.count} for item in matrix.ignored],
    }
    return json.dumps(made, indent=2) + "\n"


def csv_text(matrix: Matrix) -> str:
    """Return a line for each cell, as CSV."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(("from", "to", "word"))
    writer.writerows((cell.source, cell.destination, cell.word) for cell in matrix.cells)
    return written.getvalue()


def dot(matrix: Matrix) -> str:
    """Return the allowed pairs as a graph in the language of Graphviz."""
    edges = [
        f"  {json.dumps(cell.source)} -> {json.dumps(cell.destination)}"
        for cell in matrix.cells
        if cell.word is Word.ALLOWED
    ]
    return "\n".join(["digraph reaches {", "  rankdir=LR", *edges, "}"]) + "\n"


def _words(matrix: Matrix) -> dict[tuple[str, str], str]:
    return {(cell.source, cell.destination): cell.word for cell in matrix.cells}


FORMATS: Mapping[str, Callable[[Matrix], str]] = MappingProxyType(
    {"text": text, "markdown": markdown, "json": json_text, "csv": csv_text, "dot": dot}
)
