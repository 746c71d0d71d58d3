"""A table of a snapshot as it is written, and as it should be.

Words are replaced where they stand. Rows and columns of ends that are gone are removed, and a
source that differs from its row gets a row of its own. New rows and columns stand last. Comments
and empty lines stay.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NoReturn

from harness import oracle
from harness.documents.source import WrittenText
from harness.errors import Location, Problem, ScenarioError, UsageError
from harness.model import Destination, ExternalRef, PodRef, Probe, Source, Verdict
from harness.scenario import Outline
from harness.scenario.candidates import Candidates
from harness.scenario.ends import destination_pattern, source_pattern
from harness.snapshot.changes import Added, Gone, Word
from harness.snapshot.grid import (
    NOT_PROBED,
    Column,
    Rows,
    Words,
    lines,
    rows_of_hosts,
    rows_of_pods,
)

_COMMENT = re.compile(r"(?:^|(?<=\s))#")
_OWN_LINE = re.compile(r"( *(?:- +)*)expect: ")
_GAP = 3
_KNOWN = frozenset({NOT_PROBED, *map(str, Verdict)})


@dataclass(frozen=True, slots=True)
class _Text:
    """A word of a table and where it stands."""

    text: str
    location: Location


@dataclass(slots=True)
class _Line:
    """A line of a table: its first word, and the others; with what it means."""

    name: _Text
    words: list[_Text]
    sources: tuple[Source, ...] = ()
    is_pattern: bool = False


@dataclass(slots=True)
class _End:
    """A column as it is written, and what it means."""

    name: _Text
    ends: tuple[Destination, ...] = ()
    is_pattern: bool = False


Policies = frozenset[tuple[str, str, str, str]]


class WrittenTable:
    """A table of a file, and what the policies say about its pairs."""

    def __init__(self, found: Outline, index: int) -> None:
        self._expect: WrittenText = found.expects[index]
        self._lines = found.text.splitlines(keepends=True)
        self._step = found.scenario.steps[index]
        self._ends: Candidates = found.ends[index]
        facts = oracle.Facts(features=found.scenario.features_of(self._step))
        self._judge = oracle.Judge(self._step.state, facts)
        self._facts = facts
        self.words: list[Word] = []
        self.gone: list[Gone] = []
        self.owners: dict[Probe, tuple[int, int]] = {}
        self._now: dict[tuple[int, int], str] = {}
        self._apart: dict[Source, None] = {}
        """Sources that need a row of their own."""
        self._columns: list[_End] = []
        self._rows: list[_Line] = []
        self._new_columns: list[Column] = []
        self._new_sources: list[PodRef] = []
        self.policies: Policies = frozenset(item.key for item in self._step.state.policies)
        self._read()
        self._judge_all()

    @property
    def differs(self) -> bool:
        return bool(self.words or self.gone or self._new_columns or self._new_sources)

    @property
    def location(self) -> Location:
        """Where it stands. Several steps may have one table."""
        return self._expect.location

    @property
    def of_pods(self) -> bool:
        """Whether its rows and columns are pods and what leads to them: it may get more."""
        return bool(self._columns and self._columns[0].name.text) and bool(
            any(isinstance(source, PodRef) for source in self.sources)
            and any(not isinstance(end.host, ExternalRef) for end in self.ends)
        )

    @property
    def ends(self) -> frozenset[Destination]:
        """The ends of its columns, whatever their words are."""
        return frozenset(end for column in self._columns for end in column.ends)

    @functools.cached_property
    def words_now(self) -> Words:
        """The words that the policies give in its step."""
        return Words(self._ends, self._facts)

    @property
    def sources(self) -> frozenset[Source]:
        """The sources that have a row."""
        return frozenset(source for row in self._rows for source in row.sources)

    def every(self) -> Iterator[Destination]:
        """Yield all ends of pods and Services that some pod has a word for."""
        words = self.words_now
        for end in self._ends.everything():
            if Column("", (end,)).is_probed(words):
                yield end

    def pairs(self) -> Iterator[tuple[Source, Destination]]:
        """Yield the pairs that it has, also those with a dash."""
        for row in self._rows:
            for source in row.sources:
                yield from ((source, end) for end in self.ends)

    def sources_without(self, pairs: Set[tuple[Source, Destination]]) -> Iterator[PodRef]:
        """Yield the pods that have no row, and a pair with a column that ``pairs`` lacks."""
        rows = self.sources
        ends = self.ends.union(*(column.ends for column in self._new_columns))
        for pod in self._ends.pods():
            if (
                isinstance(pod, PodRef)
                and pod not in rows
                and any((pod, end) not in pairs and self._has_word(pod, end) for end in ends)
            ):
                yield pod

    def _has_word(self, source: Source, end: Destination) -> bool:
        return self.words_now.pair(source, Column("", (end,))) not in {None, NOT_PROBED}

    def add_column(self, column: Column) -> Added:
        """Let the table have one more column."""
        self._new_columns.append(column)
        return Added(self.location, self._step.name, f"no column {column.text}")

    def add_source(self, source: PodRef) -> Added:
        """Let the table have a row for one more source."""
        self._new_sources.append(source)
        return Added(self.location, self._step.name, f"no row {source}")

    # -------------------------------------------------------------- reading

    def _read(self) -> None:
        expect = self._expect
        rows = [*self._written()] if expect.is_block else []
        if len(rows) < 2:
            word = _Text(expect.text.strip(), expect.location)
            if rows and rows[0]:
                word = rows[0][0]
            self._read_whole(word)
            return
        self._columns = [self._column(word) for word in rows[0]]
        self._rows = [self._row(row) for row in rows[1:]]
        self._require_ends(rows[0][0])
        for place, row in enumerate(self._rows):
            if len(row.words) != len(self._columns):
                fact = f"row {row.name.text} has {len(row.words)} words for "
                self._refuse(row.name, f"{fact}{len(self._columns)} destinations")
            for number, column in enumerate(self._columns):
                self._own(place, number, row, column)

    def _read_whole(self, word: _Text) -> None:
        """Read one word for every pod and every declared port."""
        everything = _End(_Text("", word.location), self._ends.everything(), is_pattern=True)
        pods = _Line(_Text("", word.location), [word], self._ends.pods(), is_pattern=True)
        self._columns, self._rows = [everything], [pods]
        self._own(0, 0, pods, everything)

    def _written(self) -> Iterator[list[_Text]]:
        """Yield the words of each line with some, without comments."""
        path = self._expect.location.path
        for number in range(self._expect.location.line + 1, self._expect.last_line + 1):
            code = _COMMENT.split(self._lines[number - 1], maxsplit=1)[0]
            words = [
                _Text(item[0], Location(path, number, item.start() + 1))
                for item in re.finditer(r"\S+", code)
            ]
            if words:
                yield words

    def _column(self, word: _Text) -> _End:
        try:
            pattern = destination_pattern(word.text)
            ends = self._ends.destinations(pattern)
        except UsageError as error:
            self.gone.append(Gone(word.location, self._step.name, error.message))
            return _End(word)
        return _End(word, ends, is_pattern=pattern.literal is None)

    def _row(self, words: list[_Text]) -> _Line:
        name, *others = words
        try:
            pattern = source_pattern(name.text)
            sources = self._ends.sources(pattern)
        except UsageError as error:
            self.gone.append(Gone(name.location, self._step.name, error.message))
            return _Line(name, others)
        return _Line(name, others, sources, is_pattern=pattern.literal is None)

    def _require_ends(self, at: _Text) -> None:
        if not any(column.ends for column in self._columns):
            self._refuse(at, f"no destination of step {self._step.name!r} exists any more")
        if not any(row.sources for row in self._rows):
            self._refuse(at, f"no source of step {self._step.name!r} exists any more")

    def _refuse(self, at: _Text, fact: str) -> NoReturn:
        excerpt = self._lines[at.location.line - 1].rstrip("\r\n")
        hint = "write the table again, or remove the step"
        raise ScenarioError([Problem(at.location, fact, excerpt, hint)])

    def _own(self, place: int, number: int, row: _Line, column: _End) -> None:
        word = row.words[number]
        if word.text not in _KNOWN:
            self._refuse(word, f"{word.text!r} is not a word of a table")
        for source in row.sources:
            for end in column.ends:
                is_itself = self._ends.is_itself(source, end.host)
                if is_itself and (row.is_pattern or column.is_pattern):
                    continue
                families = self._ends.families_of(source, end.host)
                self._ends.budget.spend_cells(len(families))
                for family in families:
                    probe = Probe(source, end, family)
                    self.owners.pop(probe, None)
                    if word.text != NOT_PROBED:
                        self.owners[probe] = (place, number)

    # -------------------------------------------------------------- judging

    def _judge_all(self) -> None:
        probes: dict[tuple[int, int], list[Probe]] = {}
        for probe, where in self.owners.items():
            probes.setdefault(where, []).append(probe)
        for where, found in probes.items():
            word = self._rows[where[0]].words[where[1]]
            now = {probe: self._word(probe, word.text) for probe in found}
            kept = _kept(word.text, now)
            self._now[where] = kept
            for probe, new in now.items():
                if new != kept:
                    self._apart.setdefault(probe.source)
                if new != word.text:
                    reasons = self._reasons(probe)
                    step = self._step.name
                    self.words.append(Word(word.location, step, probe, word.text, new, reasons))
        self.words.sort(key=lambda item: item.location)

    def _reasons(self, probe: Probe) -> tuple[str, ...]:
        found = self._judge.explain(probe)
        return (*found.prediction.judgement.reasons, *found.notes)

    def _word(self, probe: Probe, old: str) -> str:
        """Return what the policies give; the old word where it may be right."""
        found = self._judge.predict(probe)
        if not found.contradicts(Verdict(old)):
            return old
        return min(map(str, found.verdicts))

    # -------------------------------------------------------------- writing

    def replace_in(self, written: list[str]) -> None:
        """Write the table as it should be into the lines of the file."""
        added = [self._words_of_rows(column) for column in self._new_columns]
        more = self._own_rows()
        if more is None or (self._apart and not self._columns[0].name.text):
            self._write_anew(written)
        elif more or self.gone or added:
            self._write_rows(written, more, added)
        else:
            self._write_words(written)

    def _own_rows(self) -> list[list[str]] | None:
        """Return the rows of sources without one that is right; None if no row can say it."""
        now = self.words_now
        rows = []
        for source in (*self._apart, *self._new_sources):
            row = [str(source)]
            for column in self._columns:
                if not column.ends:
                    continue
                words = {
                    self._word(probe, self._old(probe))
                    for end in column.ends
                    for family in self._ends.families_of(source, end.host)
                    if (probe := Probe(source, end, family)) in self.owners
                }
                if source in self._new_sources:
                    words = self._of_new_source(source, column, now)
                if len(words) > 1:
                    return None
                row.append(next(iter(words), NOT_PROBED))
            row += [now.pair(source, column) or NOT_PROBED for column in self._new_columns]
            rows.append(row)
        return rows

    def _of_new_source(self, source: Source, column: _End, now: Words) -> set[str]:
        found = {now.pair(source, Column("", (end,))) for end in column.ends}
        return {word for word in found if word is not None}

    def _words_of_rows(self, column: Column) -> Mapping[int, str]:
        """Return the word of each row in a new column; sources that differ get own rows."""
        now = self.words_now
        last = {source: place for place, row in enumerate(self._rows) for source in row.sources}
        meant = {source: now.pair(source, column) for source in last}
        found: dict[int, str] = {}
        for place in range(len(self._rows)):
            mine = [word for source, word in meant.items() if last[source] == place and word]
            found[place] = Counter(mine).most_common(1)[0][0] if mine else NOT_PROBED
        for source, place in last.items():
            if meant[source] not in {None, found[place]}:
                self._apart.setdefault(source)
        return found

    def _old(self, probe: Probe) -> str:
        place, number = self.owners[probe]
        return self._rows[place].words[number].text

    def _write_words(self, written: list[str]) -> None:
        """Replace single words; those behind stay in their columns if there is room."""
        changed = [
            (self._rows[place].words[number], new)
            for (place, number), new in self._now.items()
            if self._rows[place].words[number].text != new
        ]
        for word, new in sorted(changed, key=lambda item: item[0].location, reverse=True):
            line = written[word.location.line - 1]
            start = word.location.column - 1
            behind = line[start + len(word.text) :]
            room = len(behind) - len(behind.lstrip(" "))
            longer = len(new) - len(word.text)
            if behind.strip():
                behind = " " * max(1, room - longer) + behind.lstrip(" ")
            written[word.location.line - 1] = line[:start] + new + behind

    def _write_rows(
        self,
        written: list[str],
        more: Sequence[Sequence[str]],
        added: Sequence[Mapping[int, str]],
    ) -> None:
        """Write all rows again, in new columns; comments and empty lines stay."""
        kept = [number for number, column in enumerate(self._columns) if column.ends]
        header = self._columns[0].name.location.line
        grid: dict[int, list[str]] = {
            header: [
                "",
                *(self._columns[number].name.text for number in kept),
                *(column.text for column in self._new_columns),
            ]
        }
        for place, row in enumerate(self._rows):
            if row.sources:
                words = [self._now.get((place, n), row.words[n].text) for n in kept]
                words += [column[place] for column in added]
                grid[row.name.location.line] = [row.name.text, *words]
        dead = {row.name.location.line for row in self._rows if not row.sources}
        every = [*grid.values(), *more]
        widths = [max(map(len, column)) for column in zip(*every, strict=True)]
        first = next(row for row in self._rows if row.sources)
        indent = " " * (first.name.location.column - 1)
        for number, words in grid.items():
            written[number - 1] = indent + _line(words, widths) + _tail(written[number - 1])
        last = max(grid)
        ending = _ending(written[last - 1])
        if more and not ending:
            written[last - 1] += "\n"
        written[last:last] = [f"{indent}{_line(row, widths)}{ending or chr(10)}" for row in more]
        for number in dead:
            written[number - 1] = ""

    def _write_anew(self, written: list[str]) -> None:
        """Replace the whole table by one of the same columns, and of all pods."""
        words = Words(self._ends, self._facts)
        columns = [*self._split_columns(words), *self._new_columns]
        rows: Rows = rows_of_pods(words, columns)
        hosts = [
            item for row in self._rows for item in row.sources if not isinstance(item, PodRef)
        ]
        rows = [*rows, *rows_of_hosts(words, columns, dict.fromkeys(hosts))]
        expect = self._expect
        line = written[expect.location.line - 1]
        before = _OWN_LINE.match(line)
        if before is None:
            at = _Text(expect.text, expect.location)
            self._refuse(at, "no table can stand here, and one word is not enough any more")
        outer, ending = len(before[1]), _ending(line) or "\n"
        tail = _tail(line).rstrip("\r\n")
        head = f"{line[: expect.location.column - 1]}|2{tail}{ending}"
        block = [f"{' ' * (outer + 2)}{item}{ending}" for item in lines(columns, rows)]
        last = expect.last_line if expect.is_block else expect.location.line
        written[expect.location.line - 1 : last] = [head, *block]

    def _split_columns(self, words: Words) -> Iterator[Column]:
        for column in self._columns:
            if column.name.text and words.agree(column.ends):
                yield Column(column.name.text, column.ends)
            else:
                yield from (Column(str(end), (end,)) for end in column.ends)


def _kept(old: str, now: Mapping[Probe, str]) -> str:
    """Return the word that most pairs have, rather the old one."""
    counted = Counter(now.values())
    return max(counted, key=lambda word: (counted[word], word == old))


def _line(words: Sequence[str], widths: Sequence[int]) -> str:
    padded = (word.ljust(width + _GAP) for word, width in zip(words, widths, strict=True))
    return "".join(padded).rstrip()


def _tail(line: str) -> str:
    """Return the comment of a line and its end."""
    code, *comment = _COMMENT.split(line, maxsplit=1)
    return f"   #{comment[0]}" if comment else _ending(code)


def _ending(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
