"""A matrix as one HTML page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from harness.matrix.text import packets
from harness.matrix.values import Cell, Matrix, Packets, Seen, Word
from harness.report.html import document

_SCRIPTS = ("theme", "page", "table", "matrix")
_WIDE = 80
"""With more characters in the names of the columns, these are vertical and pairs have symbols."""
_SYMBOLS = {
    Word.ALLOWED: "✓",
    Word.DENIED: "✕",
    Word.UNDEFINED: "?",
    Word.NOT_JUDGED: "…",
    Word.DIFFERS: "±",
    Word.NO_ENDPOINT: "∅",
}
_KINDS = {
    Word.ALLOWED: "v-allowed",
    Word.DENIED: "v-denied",
    Word.UNDEFINED: "s-undefined",
    Word.NOT_JUDGED: "s-not-judged",
    Word.DIFFERS: "s-differs",
    Word.NO_ENDPOINT: "s-no-endpoint",
}
_OPEN = (Word.UNDEFINED, Word.NOT_JUDGED, Word.DIFFERS)


@dataclass(frozen=True, slots=True)
class _Count:
    """How many pairs have a word, with its symbol and the class of its colour."""

    word: str
    symbol: str
    kind: str
    number: int


@dataclass(frozen=True, slots=True)
class _Pair:
    """A pair in the grid; ``at`` is its place in the data of the script."""

    at: int
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Row:
    destination: str
    pairs: tuple[_Pair | None, ...]


@dataclass(frozen=True, slots=True)
class _Open:
    """A reason why pairs are open, and these pairs."""

    reason: str
    pairs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the template renders."""

    counts: tuple[_Count, ...]
    sources: tuple[str, ...]
    is_narrow: bool
    rows: tuple[_Row, ...]
    open: tuple[_Open, ...]
    packets: tuple[str, ...]
    notes: tuple[str, ...]
    data: str


def page(matrix: Matrix) -> str:
    """Return the matrix as one HTML document, which loads nothing."""
    allowed = sum(cell.word is Word.ALLOWED for cell in matrix.cells)
    verdict = (
        f"{len(matrix.sources)} sources, {len(matrix.destinations)} destinations: "
        f"{allowed} of {len(matrix.cells)} pairs are allowed"
    )
    agrees = all(
        cell.packets is None or cell.packets.seen in {Seen.AGREES, Seen.NOT_PROBED}
        for cell in matrix.cells
    )
    return document("matrix", _SCRIPTS, verdict=verdict, is_fine=agrees, matrix=_shown(matrix))


def _shown(matrix: Matrix) -> _Shown:
    is_narrow = sum(map(len, matrix.sources)) > _WIDE
    counts = Counter(cell.word for cell in matrix.cells)
    return _Shown(
        counts=tuple(
            _Count(word, _SYMBOLS[word], _KINDS[word], counts[word])
            for word in Word
            if counts[word]
        ),
        sources=matrix.sources,
        is_narrow=is_narrow,
        rows=tuple(_rows(matrix, is_narrow)),
        open=_open(matrix.cells),
        packets=tuple(packets(matrix.cells)),
        notes=tuple(map(str, matrix.notes)),
        data=_data(matrix.cells),
    )


def _rows(matrix: Matrix, is_narrow: bool) -> Iterator[_Row]:
    pairs = {
        (cell.source, cell.destination): _pair(at, cell, is_narrow)
        for at, cell in enumerate(matrix.cells)
    }
    for name in matrix.destinations:
        yield _Row(name, tuple(pairs.get((source, name)) for source in matrix.sources))


def _pair(at: int, cell: Cell, is_narrow: bool) -> _Pair:
    word = _SYMBOLS[cell.word] if is_narrow else cell.word
    if cell.packets is None or cell.packets.seen in {Seen.AGREES, Seen.NOT_PROBED}:
        return _Pair(at, word, _KINDS[cell.word])
    return _Pair(at, f"{word} !", f"{_KINDS[cell.word]} c-wrong")


def _open(cells: Sequence[Cell]) -> tuple[_Open, ...]:
    found: dict[str, list[str]] = {}
    for cell in cells:
        if cell.word in _OPEN:
            reason = cell.reasons[-1] if cell.reasons else cell.word
            pair = f"{cell.source} -> {cell.destination}"
            found.setdefault(f"{cell.word}: {reason}", []).append(pair)
    return tuple(_Open(reason, tuple(pairs)) for reason, pairs in found.items())


@dataclass(slots=True)
class _Table:
    """Values that pairs have in common, each once."""

    values: list[tuple[str, ...]] = field(default_factory=list)
    _places: dict[Hashable, int] = field(default_factory=dict)

    def place(self, value: tuple[str, ...]) -> int:
        known = self._places.setdefault(value, len(self.values))
        if known == len(self.values):
            self.values.append(value)
        return known


def _data(cells: Sequence[Cell]) -> str:
    """Return the words and the reasons of all pairs as JSON, which no element can end."""
    reasons, of_packets, words = _Table(), _Table(), list(Word)
    pairs = [
        (
            words.index(cell.word),
            reasons.place(cell.reasons),
            -1 if cell.packets is None else of_packets.place(_lines(cell.packets)),
        )
        for cell in cells
    ]
    data = {
        "words": words,
        "pairs": pairs,
        "reasons": reasons.values,
        "packets": of_packets.values,
    }
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _lines(found: Packets) -> tuple[str, ...]:
    return (f"packets: {found.seen}", *found.why)
