"""Tables as people write them: "nobody, except".

A row for all pods comes first; later rows override it, for a namespace, a workload, or a pod.
Pods of one workload that reach the same are one row or one column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness import oracle
from harness.model import (
    Destination,
    Host,
    PodRef,
    Probe,
    Protocol,
    Source,
)
from harness.scenario.candidates import Candidates
from harness.scenario.ends import SourcePattern, destination_pattern, source_pattern

NOT_PROBED = "-"
_EVERY_POD = "*/*"
_GAP = 3

Word = str
_Row = tuple[Word | None, ...]
"""The words of a source; None where a pattern means no pair, as of a pod with itself."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is written, and what it means."""

    text: str
    ends: tuple[Destination, ...]

    def is_probed(self, words: Words) -> bool:
        """Return whether a pod has a word for it."""
        pods = words.candidates.pods()
        return any(words.pair(pod, self) not in {None, NOT_PROBED} for pod in pods)


class Words:
    """The words that the policies give in one state."""

    def __init__(self, candidates: Candidates, facts: oracle.Facts) -> None:
        self.candidates = candidates
        self._judge = oracle.Judge(candidates.state, facts)
        self._known: dict[Probe, Word] = {}

    def of(self, probe: Probe) -> Word:
        """Return the word of a pair; a dash if the API leaves it open or it is not judged."""
        if probe not in self._known:
            found = self._judge.predict(probe)
            is_certain = found.not_judged is None and len(found.verdicts) == 1
            self._known[probe] = str(*found.verdicts) if is_certain else NOT_PROBED
        return self._known[probe]

    def pair(self, source: Source, column: Column) -> Word | None:
        """Return the word of a source in a column; None if the column has no pair with it.

        A column in which the words differ has the dash.
        """
        found = {
            self.of(Probe(source, end, family))
            for end in column.ends
            if not self.candidates.is_itself(source, end.host)
            for family in self.candidates.families_of(source, end.host)
        }
        if len(found) > 1:
            return NOT_PROBED
        return next(iter(found), None)

    def agree(self, ends: Sequence[Destination]) -> bool:
        """Return whether every source has one word for all these ends."""
        singles = [Column("", (end,)) for end in ends]
        for source in self.candidates.pods():
            found = {self.pair(source, single) for single in singles} - {None}
            if len(found) > 1:
                return False
        return True


# ------------------------------------------------------------------ rows


Rows = Sequence[tuple[str, _Row]]
"""Rows as they are written, each with its words."""


def lines(columns: Sequence[Column], rows: Rows) -> tuple[str, ...]:
    """Return the lines of a table."""
    grid = [["", *(column.text for column in columns)]]
    grid += [[name, *(word or NOT_PROBED for word in row)] for name, row in rows]
    widths = [max(len(line[place]) for line in grid) for place in range(len(grid[0]))]
    return tuple(
        "".join(
            word.ljust(width + _GAP) for word, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in grid
    )


def rows_of_hosts(words: Words, columns: Sequence[Column], hosts: Iterable[Source]) -> Rows:
    """Return a row for each host outside the cluster."""
    return [(str(host), _row(words, host, columns)) for host in hosts]


def rows_of_pods(words: Words, columns: Sequence[Column]) -> Rows:
    """Return the rows of all pods: each as wide as it may be, the widest first."""
    return [*_rows(words, columns)]


def _row(words: Words, source: Source, columns: Sequence[Column]) -> _Row:
    return tuple(words.pair(source, column) for column in columns)


def _rows(words: Words, columns: Sequence[Column]) -> Iterator[tuple[str, _Row]]:
    pods = [pod for pod in words.candidates.pods() if isinstance(pod, PodRef)]
    meant = {pod: _row(words, pod, columns) for pod in pods}
    now: dict[PodRef, _Row] = {}
    for pattern in _patterns(pods):
        inside = [pod for pod in pods if pattern.matches(pod)]
        best = _most_frequent(
            [meant[pod] for pod in inside if not _fits(meant[pod], now.get(pod))]
        )
        if best is None:
            continue
        right = sum(1 for pod in inside if _fits(meant[pod], best))
        before = sum(1 for pod in inside if _fits(meant[pod], now.get(pod)))
        if right - before > 1:
            now.update(dict.fromkeys(inside, best))
            yield pattern.text, best
    for pod in pods:
        if not _fits(meant[pod], now.get(pod)) and any(meant[pod]):
            yield str(pod), meant[pod]


def _patterns(pods: Sequence[PodRef]) -> Iterator[SourcePattern]:
    yield source_pattern(_EVERY_POD)
    for namespace in dict.fromkeys(pod.namespace for pod in pods):
        yield source_pattern(f"{namespace}/*")
    for pod in pods:
        base, dash, number = pod.name.rpartition("-")
        if dash and number.isdecimal():
            yield source_pattern(f"{pod.namespace}/{base}-*")


def _fits(meant: _Row, given: _Row | None) -> bool:
    """Return whether the words of a wider row are those that a pod has."""
    if given is None:
        return not any(meant)
    return all(
        mine in {None, theirs or NOT_PROBED} for mine, theirs in zip(meant, given, strict=True)
    )


def _most_frequent(rows: Iterable[_Row]) -> _Row | None:
    """Return the row that most have, with the words that its own pods leave open."""
    counted = Counter(rows)
    if not counted:
        return None
    best, _ = max(
        counted.items(),
        key=lambda item: sum(count for row, count in counted.items() if _alike(row, item[0])),
    )
    filled = list(best)
    for row in counted:
        if _alike(row, tuple(filled)):
            filled = [mine or theirs for mine, theirs in zip(filled, row, strict=True)]
    return tuple(filled)


def _alike(one: _Row, other: _Row) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


# ------------------------------------------------------------------ columns


def columns(
    words: Iterable[Words],
    name: str,
    pods: Sequence[PodRef],
    ports: Sequence[tuple[int, Protocol]],
) -> Iterator[Column]:
    """Yield the columns of pods of one workload: one for a port if no source tells them apart.

    ``name`` is a pattern like ``shop/web-*``.
    """
    in_all = [*words]
    for number, protocol in ports:
        ends = tuple(Destination(pod, number, protocol) for pod in pods)
        text = f"{name}{port_text(number, protocol)}"
        pattern = destination_pattern(text)
        if len(ends) > 1 and all(
            item.agree(ends) and set(item.candidates.destinations(pattern)) == set(ends)
            for item in in_all
        ):
            yield Column(text, ends)
        else:
            yield from (Column(str(end), (end,)) for end in ends)


def single(host: Host, number: int, protocol: Protocol) -> Column:
    """Return the column of one destination."""
    end = Destination(host, number, protocol)
    return Column(str(end), (end,))


def port_text(number: int, protocol: Protocol) -> str:
    """Return a port as tables write it."""
    return f":{number}" if protocol is Protocol.TCP else f":{number}/{protocol}"
