"""A matrix as text, Markdown, JSON, CSV, and as a graph for Graphviz."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from textwrap import fill
from types import MappingProxyType

from harness.matrix.values import Cell, Matrix, Seen, Word
from harness.report.markdown import escaped, head, row

_WIDTH = 100
_NO_PAIR = "-"


def text(matrix: Matrix) -> str:
    """Return for each destination the sources that reach it; equal ones stand together."""
    parts = [_block(names, cells) for names, cells in _alike(matrix)]
    parts.append("\n".join(packets(matrix.cells)))
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


def packets(cells: Sequence[Cell]) -> list[str]:
    """Return what packets showed of some cells, one line each; none if there were no packets."""
    probed = [(cell, cell.packets) for cell in cells if cell.packets is not None]
    if not probed:
        return []
    counts = Counter(found.seen for _, found in probed)
    shown = ", ".join(f"{counts[seen]} {_COUNTED[seen]}" for seen in Seen if counts[seen])
    left_out = Counter(why for _, p in probed if p.seen is Seen.NOT_PROBED for why in p.why)
    lines = [f"packets: {shown}"]
    for cell, found in probed:
        if found.seen not in {Seen.AGREES, Seen.NOT_PROBED}:
            lines.append(f"  {found.seen}: {cell.source} -> {cell.destination}: {cell.word}")
            lines += [f"      {line}" for line in found.why]
    return lines + [f"  not probed: {count}, since {why}" for why, count in left_out.items()]


_COUNTED = {
    Seen.AGREES: "agree",
    Seen.DISAGREES: "DISAGREE",
    Seen.UNPROVEN: "unproven",
    Seen.NO_VERDICT: "without a verdict",
    Seen.NOT_PROBED: "not probed",
}


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


def _words(matrix: Matrix) -> dict[tuple[str, str], str]:
    return {(cell.source, cell.destination): cell.word for cell in matrix.cells}


FORMATS: Mapping[str, Callable[[Matrix], str]] = MappingProxyType(
    {"text": text, "markdown": markdown, "json": json_text, "csv": csv_text, "dot": dot}
)
