"""Truth tables: the text of ``expect`` as cells, each with the place of its word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.documents.problems import Problems
from harness.documents.source import WrittenText
from harness.errors import Location, UsageError
from harness.model import (
    Cell,
    Destination,
    Family,
    Probe,
    Source,
    TruthTable,
    Verdict,
)
from harness.scenario.candidates import Candidates, TooLarge
from harness.scenario.ends import destination_pattern, source_pattern
from harness.suggest import nearest

_NOT_PROBED = "-"
_WORDS: Mapping[str, Verdict | None] = {str(word): word for word in Verdict} | {_NOT_PROBED: None}
_DENIED = frozenset({
    "blocked", "closed", "deny", "denied", "denies", "drop", "dropped", "no", "x", "false",
})  # fmt: skip
_OPEN = frozenset({"allow", "allows", "open", "ok", "yes", "pass", "true", "connected", "."})
_HOW = "write `expect: |2` and the table on the lines below, or one word for all"


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a table, and where it stands."""

    text: str
    location: Location


@dataclass(frozen=True, slots=True)
class _Expansion:
    """A row's sources or a column's destinations; ``pattern`` says that a ``*`` gave them."""

    pattern: bool
    sources: tuple[Source, ...] = ()
    destinations: tuple[Destination, ...] = ()


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of one table as its words set them; a later word replaces an earlier one."""

    candidates: Candidates
    by_probe: dict[Probe, Cell] = field(default_factory=dict)

    def set(
        self, row: _Expansion, column: _Expansion, verdict: Verdict | None, location: Location
    ) -> bool:
        """Set the cells of a row and a column; return whether some pair has no family."""
        candidates = self.candidates
        without_family = False
        for source in row.sources:
            for destination in column.destinations:
                host = destination.host
                if (row.pattern or column.pattern) and candidates.is_itself(source, host):
                    continue
                families = candidates.families_of(source, host)
                candidates.budget.spend_cells(len(families))
                without_family = without_family or (not families and verdict is not None)
                for family in families:
                    probe = Probe(source, destination, family)
                    self.by_probe.pop(probe, None)
                    if verdict is not None:
                        self.by_probe[probe] = Cell(probe, verdict, location)
        return without_family


class TableReader:
    """Reads the tables of one file; what is wrong in them becomes problems."""

    def __init__(self, path: str, lines: Callable[[Location], str], problems: Problems) -> None:
        self._path = path
        self._lines = lines
        self._problems = problems

    def read(self, expect: WrittenText, candidates: Candidates) -> TruthTable:
        """Return the cells of an ``expect``."""
        try:
            return self._read(expect, candidates)
        except TooLarge:
            fact = "up to here, the tables of this file name too many pairs"
            self._problems.add(expect.location, fact, "name fewer pods, or split the file")
            return TruthTable(())

    def _read(self, expect: WrittenText, candidates: Candidates) -> TruthTable:
        if not expect.is_block:
            if len(expect.text.split()) > 1:
                fact = "expect is neither one word nor a table"
                self._problems.add(expect.location, fact, _HOW)
                return TruthTable(())
            return self._whole(_Word(expect.text.strip(), expect.location), candidates)
        rows = [row for row in self._rows(expect) if row]
        if len(rows) == 1 and len(rows[0]) == 1 and "/" not in rows[0][0].text:
            return self._whole(rows[0][0], candidates)
        return self._table(rows, expect.location, candidates)

    def _rows(self, expect: WrittenText) -> Iterator[list[_Word]]:
        """Yield the words of each line of a block, without comments."""
        for number in range(expect.location.line + 1, expect.last_line + 1):
            line = self._lines(Location(self._path, number, 1))
            code = re.split(r"(?:^|(?<=\s))#", line, maxsplit=1)[0]
            yield [
                _Word(found[0], Location(self._path, number, found.start() + 1))
                for found in re.finditer(r"\S+", code)
            ]

    def _whole(self, word: _Word, candidates: Candidates) -> TruthTable:
        """Return the cells of one word for every pod and every declared port."""
        if not word.text:
            self._problems.add(word.location, "expect is empty", _HOW)
            return TruthTable(())
        verdict = self._verdict(word)
        if verdict is None:
            if word.text == _NOT_PROBED:
                self._problems.add(word.location, "nothing is probed in this step", _HOW)
            return TruthTable(())
        cells = _Cells(candidates)
        everything = _Expansion(True, destinations=candidates.everything())
        pods = _Expansion(True, sources=candidates.pods())
        self._fill(cells, pods, everything, word, verdict)
        if not cells.by_probe:
            fact = "there is no pod with a port, and another pod to reach it"
            self._problems.add(word.location, fact, "declare ports: [80] on a pod")
        return _ordered(cells, [pods], [everything])

    def _table(self, rows: list[list[_Word]], at: Location, candidates: Candidates) -> TruthTable:
        if len(rows) < 2:
            place = rows[0][0].location if rows else at
            fact = "the table has a header and no row" if rows else "the table is empty"
            hint = "the first line names destinations, every other line a source and its words"
            self._problems.add(place, fact, hint)
            return TruthTable(())
        odd = next((word for word in rows[0] if word.text in _WORDS), None)
        if odd:
            fact = f"the table's first line holds {odd.text!r}, which is no destination"
            hint = "the first line names destinations, every other line a source and its words"
            self._problems.add(odd.location, fact, hint)
            return TruthTable(())
        before = self._problems.met
        columns = [self._column(word, candidates) for word in rows[0]]
        self._refuse_twins(rows[0], "column")
        read = [(row, self._row(row[0], candidates)) for row in rows[1:]]
        self._refuse_twins([row[0] for row in rows[1:]], "row")
        cells = _Cells(candidates)
        for row, source in read:
            if not self._has_all_words(row, rows[0]):
                continue
            for word, column in zip(row[1:], columns, strict=True):
                verdict = self._verdict(word)
                if source and column and word.text in _WORDS:
                    self._fill(cells, source, column, word, verdict)
        if not cells.by_probe and self._problems.met == before:
            hint = "replace a '-' by a word; a pattern means no pair of a pod with itself"
            self._problems.add(at, "nothing is probed in this step", hint)
        return _ordered(cells, [source for _, source in read], columns)

    def _column(self, word: _Word, candidates: Candidates) -> _Expansion | None:
        try:
            pattern = destination_pattern(word.text)
            found = candidates.destinations(pattern)
        except UsageError as error:
            self._problems.add(word.location, error.message, error.hint)
            return None
        return _Expansion(pattern.literal is None, destinations=found)

    def _row(self, word: _Word, candidates: Candidates) -> _Expansion | None:
        if self._problems.are_many:
            return None
        if word.text in _WORDS:
            hint = "a row begins with its source; is the line above broken in two?"
            self._problems.add(word.location, f"{word.text!r} is not a source", hint)
            return None
        try:
            pattern = source_pattern(word.text)
            found = candidates.sources(pattern)
        except UsageError as error:
            self._problems.add(word.location, error.message, error.hint)
            return None
        return _Expansion(pattern.literal is None, sources=found)

    def _refuse_twins(self, words: list[_Word], kind: str) -> None:
        seen: dict[str, _Word] = {}
        for word in words:
            plain = word.text.removesuffix("/TCP")
            if plain in seen and "*" not in plain:
                first = seen[plain].location
                where = f"line {first.line}" if kind == "row" else f"column {first.column}"
                fact = f"the {kind} {word.text} stands twice, first in {where}"
                self._problems.add(word.location, fact, "remove one of them")
            seen.setdefault(plain, word)

    def _has_all_words(self, row: list[_Word], header: list[_Word]) -> bool:
        given, wanted = len(row) - 1, len(header)
        if given < wanted:
            fact = f"row {row[0].text} lacks words: {given} for {wanted} destinations"
            hint = (
                f"a word is missing for {header[given].text}; '-' says that a pair is not probed"
            )
            self._problems.add(row[0].location, fact, hint)
        elif given > wanted:
            fact = f"row {row[0].text} has words too many: {given} for {wanted} destinations"
            hint = "one word for each destination"
            self._problems.add(row[wanted + 1].location, fact, hint)
        return given == wanted

    def _verdict(self, word: _Word) -> Verdict | None:
        if word.text in _WORDS:
            return _WORDS[word.text]
        known = ", ".join(name for name in _WORDS if name != _NOT_PROBED)
        hint = (
            nearest(word.text, _WORDS) or f"words are {known}; '-' for a pair that is not probed"
        )
        if word.text.lower() in _DENIED:
            hint = "a policy's denial shows as TIMEOUT"
        elif word.text.lower() in _OPEN:
            hint = "did you mean 'allowed'?"
        self._problems.add(word.location, f"{word.text!r} is not a word of a table", hint)
        return None

    def _fill(
        self,
        cells: _Cells,
        row: _Expansion,
        column: _Expansion,
        word: _Word,
        verdict: Verdict | None,
    ) -> None:
        """Set the cells of one word, or remove them if it has no verdict."""
        skipped = cells.set(row, column, verdict, word.location)
        if skipped and not row.pattern and not column.pattern:
            pair = f"{row.sources[0]} -> {column.destinations[0]}"
            shown = ", ".join(str(int(family)) for family in cells.candidates.families)
            fact = f"{pair}: the two ends share no address of the families [{shown}]"
            hint = "write '-' here; an external may have one ip for each family"
            self._problems.add(word.location, fact, hint)


def _ordered(
    cells: _Cells, rows: Iterable[_Expansion | None], columns: Iterable[_Expansion | None]
) -> TruthTable:
    """Return the cells row by row, with rows and columns where the author first has them."""
    sources = dict.fromkeys(source for ends in rows if ends for source in ends.sources)
    found = dict.fromkeys(end for ends in columns if ends for end in ends.destinations)
    row = {source: place for place, source in enumerate(sources)}
    column = {destination: place for place, destination in enumerate(found)}

    def place(cell: Cell) -> tuple[int, int, Family]:
        probe = cell.probe
        return row[probe.source], column[probe.destination], probe.family

    return TruthTable(tuple(sorted(cells.by_probe.values(), key=place)), tuple(found))
