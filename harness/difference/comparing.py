"""Every pair of two versions of an application, judged in both, and what is not the same."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.application import Application
from harness.difference import scope as scopes
from harness.difference.aligned import Aligned, Asked, ColumnPair, RowPair, aligned
from harness.difference.saying import Version, kind_of, said, version
from harness.difference.unchanged import UnchangedEnds
from harness.difference.values import (
    Change,
    Difference,
    EndChange,
    How,
    Kind,
    PolicyChange,
    Reached,
    Said,
    Unchanged,
)
from harness.errors import UsageError
from harness.matrix import Cell, Cut, Word
from harness.matrix.ends import is_in, matched, require_namespaces
from harness.matrix.judging import cell_of
from harness.matrix.values import ALL
from harness.model import Manifest, Protocol

_MOST_PAIRS = 500_000
_MAY_CONNECT = frozenset({Word.ALLOWED, Word.UNDEFINED, Word.DIFFERS})


@dataclass(frozen=True, slots=True)
class Versions:
    """Two versions of an application, and what they are called."""

    old: Application
    new: Application
    old_name: str = "old"
    new_name: str = "new"


def compare(versions: Versions, cut: Cut = ALL) -> Difference:
    """Return what differs between two versions. Raises UsageError for a cut that keeps nothing."""
    old, new = versions.old, versions.new
    scope = scopes.common(old, new)
    ends = aligned(old, new, scope)
    found = _Comparison(
        version(old, ends.old, scope.hosts.hosts), version(new, ends.new, scope.hosts.hosts)
    )
    pairs = _kept(versions, ends, cut)
    for row, of_row in itertools.groupby(pairs, lambda pair: pair[0]):
        found.judge_row(row, [column for _, column in of_row])
    return Difference(
        versions.old_name,
        versions.new_name,
        tuple(sorted(found.changes, key=_rank)),
        tuple(found.ends(ends.changes)),
        tuple(_policies(old, new)),
        Unchanged(
            found.same[Word.ALLOWED],
            found.same[Word.DENIED],
            found.same.total() - found.same[Word.ALLOWED] - found.same[Word.DENIED],
        ),
        tuple(_notes(versions, scope.hosts.left_out)),
        found.old.state,
        found.new.state,
    )


def _rank(change: Change) -> tuple[bool, int]:
    return not change.is_exposure, [*Kind].index(change.kind)


def _kept(versions: Versions, ends: Aligned, cut: Cut) -> Iterator[tuple[RowPair, ColumnPair]]:
    """Yield the pairs that the cut keeps; a title of either version counts."""
    names = [item.name for item in (*versions.old.namespaces, *versions.new.namespaces)]
    require_namespaces(names, cut.namespaces)
    rows = matched(_titles(ends.rows), cut.sources, "sources")
    columns = matched(_titles(ends.columns), cut.destinations, "destinations")
    sources = [row for row in ends.rows if {*row.titles} & rows]
    destinations = [column for column in ends.columns if {*column.titles} & columns]
    count = len(sources) * len(destinations)
    if count > _MOST_PAIRS:
        fact = f"there are {count:,} pairs, and at most {_MOST_PAIRS:,} can be compared at once"
        raise UsageError(fact, "keep fewer: --from NAME, --to NAME")
    for row in sources:
        for column in destinations:
            if _is_in(cut.namespaces, row, column):
                yield row, column


def _is_in(namespaces: tuple[str, ...], row: RowPair, column: ColumnPair) -> bool:
    """Return whether an end is in one of the namespaces, in a version that has both ends."""
    return any(
        source is not None and destination is not None and is_in(namespaces, source, destination)
        for source, destination in ((row.old, column.old), (row.new, column.new))
    )


def _titles(pairs: Iterable[RowPair | ColumnPair]) -> list[str]:
    return list(dict.fromkeys(title for pair in pairs for title in pair.titles))


class _Comparison:
    """What was found so far."""

    def __init__(self, old: Version, new: Version) -> None:
        self.changes: list[Change] = []
        self.same: Counter[Word] = Counter()
        self.old = old
        self.new = new
        self._unchanged = UnchangedEnds(old, new)
        self._met: set[str] = set()
        self._reached: dict[str, dict[str, list[str]]] = {}
        self._reaches: dict[str, list[str]] = {}

    def judge_row(self, row: RowPair, columns: Sequence[ColumnPair]) -> None:
        """Judge the pairs of a source.

        If all ports of a workload that no manifest declares changed alike, one stands for all.
        """
        undeclared: dict[tuple[str, Protocol], list[tuple[ColumnPair, Change | None]]] = {}
        is_unchanged = self._unchanged.has_row(row)
        for column in columns:
            is_same = is_unchanged and self._unchanged.has_column(column)
            if is_same:
                self._count_unchanged(row, column)
            change = None if is_same else self._judge(row, column)
            if column.asked is Asked.DECLARED:
                self.changes += [change] if change else []
            else:
                key = (column.owner, column.protocol)
                undeclared.setdefault(key, []).append((column, change))
        for alike in undeclared.values():
            every = {change and (change.before, change.after) for _, change in alike}
            last, _ = alike[-1]
            if len(every) == 1 and last.asked is Asked.OTHER:
                alike = alike[-1:]
            self.changes += [change for _, change in alike if change]

    def _count_unchanged(self, row: RowPair, column: ColumnPair) -> None:
        """Count a pair of unchanged ends, about which the oracle says the same in both versions.

        So it is judged once, and only if it counts.
        """
        self._met |= {row.title, column.title, column.owner}
        if row.new and column.new and column.asked is Asked.DECLARED:
            cell = cell_of(self.new.judge, row.new, column.new)
            if cell:
                self.same[cell.word] += 1

    def _judge(self, row: RowPair, column: ColumnPair) -> Change | None:
        """Judge a pair in the versions that have it."""
        self._met |= {row.title, column.title, column.owner}
        before = cell_of(self.old.judge, row.old, column.old) if row.old and column.old else None
        after = cell_of(self.new.judge, row.new, column.new) if row.new and column.new else None
        if row.is_in_both and column.is_in_both:
            return self._in_both(row, column, before, after)
        return self._in_one(row, column, after or before, is_new=after is not None)

    def _in_both(
        self, row: RowPair, column: ColumnPair, before: Cell | None, after: Cell | None
    ) -> Change | None:
        words = (before.word if before else None, after.word if after else None)
        if None in words and (not row.is_host or not {*words} & _MAY_CONNECT):
            return None  # The pair of a workload with itself has a meaning if there are replicas.
        if _are_same(before, after):
            if after and column.asked is Asked.DECLARED:
                self.same[after.word] += 1
            return None
        return self._change(row, column, before, after)

    def _in_one(
        self, row: RowPair, column: ColumnPair, cell: Cell | None, is_new: bool
    ) -> Change | None:
        if cell is None or column.asked is not Asked.DECLARED:
            return None
        if cell.word is Word.ALLOWED:
            if not row.is_in_both:
                self._reaches.setdefault(row.title, []).append(column.title)
            if not column.is_in_both:
                reached = self._reached.setdefault(column.owner, {})
                reached.setdefault(column.title, []).append(row.title)
        if is_new and row.is_host and cell.word in _MAY_CONNECT:
            return self._change(row, column, None, cell)
        return None

    def _change(
        self, row: RowPair, column: ColumnPair, before: Cell | None, after: Cell | None
    ) -> Change:
        was = said(self.old, before, after)
        now = said(self.new, after, before)
        if before is None:
            was = Said(None, why=(column.absence(column.old),))
        if after is None:
            now = Said(None, why=(column.absence(column.new),))
        kind = kind_of(was.word, now.word)
        is_exposure = row.is_host and (
            (now.word is Word.ALLOWED and was.word is not Word.ALLOWED)
            or (now.word in _MAY_CONNECT and was.word not in _MAY_CONNECT)
        )
        return Change(kind, row.title, column.title, was, now, is_exposure)

    def ends(self, changes: Sequence[EndChange]) -> Iterator[EndChange]:
        """Yield the changes of ends that a kept pair has, with the connections of each."""
        for change in changes:
            if change.name in self._met:
                reached = self._reached.get(change.name, {})
                yield replace(
                    change,
                    reached=tuple(Reached(name, tuple(by)) for name, by in reached.items()),
                    reaches=tuple(self._reaches.get(change.name, ())),
                )


def _are_same(before: Cell | None, after: Cell | None) -> bool:
    if before is None or after is None or before.word is not after.word:
        return False
    return before.word is not Word.DIFFERS or {*before.reasons} == {*after.reasons}


# ------------------------------------------------------------------ what else a reader should know


def _policies(old: Application, new: Application) -> Iterator[PolicyChange]:
    for before, after, is_judged in (
        (old.policies, new.policies, True),
        (old.not_judged, new.not_judged, False),
    ):
        left, right = _by_key(before), _by_key(after)
        for key, policy in right.items():
            was = left.get(key)
            if was is None or _rules(was) != _rules(policy):
                how = How.ADDED if was is None else None
                yield PolicyChange(str(policy), how, policy.location, is_judged)
        for key, policy in left.items():
            if key not in right:
                yield PolicyChange(str(policy), How.REMOVED, policy.location, is_judged)


def _rules(policy: Manifest) -> dict[str, object]:
    """Return what a policy says; its labels and annotations change no connection."""
    return {key: value for key, value in json.loads(policy.json).items() if key != "metadata"}


def _by_key(policies: Iterable[Manifest]) -> dict[tuple[str, str, str], Manifest]:
    return {(policy.kind, policy.namespace, policy.name): policy for policy in policies}


def _notes(versions: Versions, left_out: Sequence[str]) -> Iterator[str]:
    """Yield the notes of both versions; one that both have, as the new one has it."""
    old, new = versions.old.notes, versions.new.notes
    known = {note.text for note in new}
    yield from (str(note) for note in (*new, *(note for note in old if note.text not in known)))
    if left_out:
        yield f"blocks without a host of their own, so not compared: {', '.join(left_out)}"
