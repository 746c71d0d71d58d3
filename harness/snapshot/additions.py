"""What snapshots lack: the ends of new workloads and ports, and pods without a row.

An end that no table has becomes a column of the file that has those of other workloads too, in
its last table of each set of policies. A file about one workload stays so: for an end that no
file can take there is a step that a person may add.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Problem, ScenarioError
from harness.model import Destination, PodRef, Source, Verdict
from harness.scenario import Outline
from harness.scenario.candidates import TooLarge
from harness.snapshot.changes import Added
from harness.snapshot.grid import Column, Words, columns, lines, rows_of_pods
from harness.snapshot.table import Policies, WrittenTable

_DENIALS = frozenset({str(Verdict.TIMEOUT), str(Verdict.DNS)})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file whose tables are what the policies gave on a day, as it was read."""

    path: Path
    day: str
    found: Outline
    tables: tuple[WrittenTable, ...]

    @property
    def is_weak(self) -> bool:
        """Whether it says that policies change nothing in it."""
        return self.found.scenario.weak

    @property
    def open_tables(self) -> Sequence[WrittenTable]:
        """The tables that may get rows and columns: those of one step, with rows for pods."""
        used = Counter(table.location for table in self.tables)
        return [table for table in self.tables if table.of_pods and used[table.location] == 1]

    @property
    def takers(self) -> tuple[WrittenTable, ...]:
        """The tables that get columns: one of those with the same policies, with most rows."""
        best: dict[Policies, WrittenTable] = {}
        for table in self.open_tables:
            known = best.setdefault(table.policies, table)
            if len(table.sources) >= len(known.sources):
                best[table.policies] = table
        return tuple(best.values())


@dataclass(frozen=True, slots=True)
class Homeless:
    """Ends that no table takes; ``step`` has the lines of a step that may end a file."""

    ends: tuple[str, ...]
    path: Path
    step: tuple[str, ...]


@contextlib.contextmanager
def within_budget(found: Outline) -> Iterator[None]:
    """Raise ScenarioError where the tables of a file name too many pairs."""
    try:
        yield
    except TooLarge:
        fact = "the tables of this file name too many pairs"
        raise ScenarioError([Problem(found.snapshot_at, fact, hint="split the file")]) from None


def add_rows(snapshots: Sequence[Snapshot]) -> Mapping[Path, list[Added]]:
    """Let tables have rows for pods of which no table with the same policies has the pairs."""
    known: dict[Policies, set[tuple[Source, Destination]]] = defaultdict(set)
    for item in snapshots:
        for table in item.tables:
            known[table.policies].update(table.pairs())
    found: dict[Path, list[Added]] = defaultdict(list)
    for item in snapshots:
        with within_budget(item.found):
            for table in item.open_tables:
                lacking = [*table.sources_without(known[table.policies])]
                found[item.path] += [table.add_source(pod) for pod in lacking]
    return found


def add_columns(
    snapshots: Sequence[Snapshot],
) -> tuple[Mapping[Path, list[Added]], tuple[Homeless, ...]]:
    """Let tables have columns for the ends that no table has; return also those left over."""
    covered = {end for item in snapshots for table in item.tables for end in table.ends}
    groups: dict[str, dict[Destination, None]] = defaultdict(dict)
    knowing: dict[str, dict[Path, Snapshot]] = defaultdict(dict)
    for item in snapshots:
        with within_budget(item.found):
            for end in (end for table in item.tables for end in table.every()):
                if end not in covered:
                    groups[_title(end)].setdefault(end)
                    knowing[_title(end)][item.path] = item
    found: dict[Path, list[Added]] = defaultdict(list)
    left: dict[Path, list[str]] = defaultdict(list)
    by_path = {item.path: item for item in snapshots}
    for title, ends in groups.items():
        home = _home([*knowing[title].values()], [*ends])
        if home is None:
            left[_example([*knowing[title].values()]).path].append(title)
            continue
        with within_budget(home.found):
            for column in _columns(title, [*ends], home.takers):
                found[home.path] += [
                    table.add_column(column)
                    for table in home.takers
                    if column.is_probed(table.words_now)
                ]
    homeless = (
        _homeless(by_path[path], {title: [*groups[title]] for title in titles})
        for path, titles in left.items()
    )
    return found, tuple(homeless)


def _title(end: Destination) -> str:
    """Return what the ends of one workload have in common, or the Service."""
    host = end.host
    if not isinstance(host, PodRef):
        return str(host)
    base, dash, number = host.name.rpartition("-")
    return f"{host.namespace}/{base if dash and number.isdecimal() else host.name}"


def _home(knowing: Sequence[Snapshot], ends: Sequence[Destination]) -> Snapshot | None:
    """Return the file whose tables take some ends, or None."""
    able = [item for item in knowing if item.takers]
    is_denied = any(_is_denied(table, ends) for item in able for table in item.takers)
    fitting = [item for item in able if not (item.is_weak and is_denied)]
    if len(able) == 1:
        return next(iter(fitting), None)
    several = [item for item in fitting if item.is_weak or _is_about_several(item.takers)]
    several.sort(key=lambda item: not item.is_weak)
    return next(iter(several), None)


def _is_denied(table: WrittenTable, ends: Iterable[Destination]) -> bool:
    words = table.words_now
    pods = words.candidates.pods()
    return any(words.pair(pod, Column("", (end,))) in _DENIALS for end in ends for pod in pods)


def _is_about_several(tables: Iterable[WrittenTable]) -> bool:
    """Return whether columns are about more than one workload."""
    ends = (end for table in tables for end in table.ends)
    return len({_title(end) for end in ends if isinstance(end.host, PodRef)}) > 1


def _columns(
    title: str, ends: Sequence[Destination], tables: Sequence[WrittenTable]
) -> Iterator[Column]:
    """Yield the columns of some ends of one title."""
    pods = {end.host: None for end in ends if isinstance(end.host, PodRef)}
    ports = {(end.port, end.protocol): None for end in ends}
    if len(pods) < 2:
        yield from (Column(str(end), (end,)) for end in ends)
        return
    words: Sequence[Words] = [table.words_now for table in tables]
    for column in columns(words, f"{title}-*", [*pods], [*ports]):
        if set(column.ends) <= set(ends):
            yield column


def _example(knowing: Sequence[Snapshot]) -> Snapshot:
    """Return a file that a step about more ends may be added to."""
    return next((item for item in knowing if not item.is_weak), knowing[0])


def _homeless(item: Snapshot, groups: Mapping[str, Sequence[Destination]]) -> Homeless:
    last = item.tables[-1]
    with within_budget(item.found):
        made = [c for title, ends in groups.items() for c in _columns(title, ends, [last])]
        table = lines(made, rows_of_pods(last.words_now, made))
    step = (
        f"  - step: who reaches {next(iter(groups))}",
        "    expect: |2",
        *(f"      {line}" for line in table),
    )
    ends = tuple(str(end) for ends in groups.values() for end in ends)
    return Homeless(ends, item.path, step)
