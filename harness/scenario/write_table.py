"""A truth table as an author writes it: one word, or a grid of sources and destinations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.model import Destination, PodRef, Probe, Source, TruthTable, Verdict
from harness.scenario.candidates import Candidates
from harness.scenario.yaml_text import Literal

_Pair = tuple[Source, Destination]
_NOT_PROBED = "-"
_EVERY_POD = "*/*"
_GAP = 2


class Unwritable(ValueError):
    """A scenario that no file can describe; the message says what in it."""


def expectation(table: TruthTable, candidates: Candidates) -> str | Literal:
    """Return the value of ``expect``. Raises Unwritable."""
    words = _words(table, candidates)
    if not words:
        raise Unwritable("a table without cells")
    word, *others = dict.fromkeys(words.values())
    if not others and _is_everything(table, candidates):
        return str(word)
    grid = _Grid(table, words, candidates)
    return Literal("|2", tuple(grid.lines()))


def _words(table: TruthTable, candidates: Candidates) -> Mapping[_Pair, Verdict]:
    """Return the verdict that the table states for each pair; it is the same in all families."""
    found: dict[_Pair, Verdict] = {}
    probes = {cell.probe for cell in table.cells}
    for cell in table.cells:
        source, destination = cell.probe.source, cell.probe.destination
        if found.setdefault((source, destination), cell.stated) is not cell.stated:
            fact = f"{source} -> {destination} has two verdicts, and a table has one word"
            raise Unwritable(f"{fact} for all families")
        for family in candidates.families_of(source, destination.host):
            probe = Probe(source, destination, family)
            if probe not in probes:
                raise Unwritable(f"{probe} is not in the table, and its other family is")
    return found


def _is_everything(table: TruthTable, candidates: Candidates) -> bool:
    """Return whether the cells are those that one word without a table stands for."""
    destinations = tuple(dict.fromkeys(candidates.everything()))
    probes = (
        Probe(source, destination, family)
        for source in candidates.pods()
        for destination in destinations
        if not candidates.is_itself(source, destination.host)
        for family in sorted(candidates.families_of(source, destination.host))
    )
    return table.columns == destinations and [cell.probe for cell in table.cells] == list(probes)


@dataclass(frozen=True, slots=True)
class Exemptions:
    """The pairs that are never allowed, each with its reason: in all steps, and in single ones."""

    of_file: Mapping[str, str]
    of_steps: tuple[Mapping[str, str], ...]

    @classmethod
    def of(cls, tables: Sequence[tuple[TruthTable, Candidates]]) -> Exemptions:
        """Return what the cells of one table after another say.

        Raises Unwritable if the two families of a pair differ.
        """
        found: dict[_Pair, dict[int, str | None]] = {}
        for step, (table, _) in enumerate(tables):
            for cell in table.cells:
                pair = (cell.probe.source, cell.probe.destination)
                reason = found.setdefault(pair, {}).setdefault(step, cell.never_allowed)
                if reason != cell.never_allowed:
                    written = _written(pair)
                    fact = f"{written} is never-allowed for different reasons in its families"
                    raise Unwritable(fact)
        everywhere = {pair: set(reasons.values()) for pair, reasons in found.items()}
        of_file: dict[_Pair, str] = {}
        of_steps: tuple[dict[str, str], ...] = tuple({} for _ in tables)
        for pair, reasons in found.items():
            for step, reason in reasons.items():
                if reason is not None and len(everywhere[pair]) == 1:
                    of_file[pair] = reason
                elif reason is not None:
                    of_steps[step][_written(pair)] = reason
        return cls(_shortened(of_file, tables), of_steps)


def _written(pair: _Pair) -> str:
    return f"{pair[0]} -> {pair[1]}"


def _shortened(
    reasons: Mapping[_Pair, str], tables: Sequence[tuple[TruthTable, Candidates]]
) -> Mapping[str, str]:
    """Return the pairs as written, those of every pod to one destination as one pair."""
    meant: dict[Destination, set[str | None]] = {}
    pods: dict[Destination, set[Source]] = {}
    for table, ends in tables:
        for cell in table.cells:
            source, end = cell.probe.source, cell.probe.destination
            if isinstance(source, PodRef):
                itself = ends.is_itself(source, end.host)
                meant.setdefault(end, set()).add(None if itself else reasons.get((source, end)))
                pods.setdefault(end, set()).add(source)
    found = {}
    for pair, reason in reasons.items():
        source, end = pair
        every = isinstance(source, PodRef) and meant[end] == {reason} and len(pods[end]) > 1
        found[f"{_EVERY_POD} -> {end}" if every else _written(pair)] = reason
    return found


class _Grid:
    """Rows of sources and columns of destinations, in the order of the cells."""

    def __init__(
        self, table: TruthTable, words: Mapping[_Pair, Verdict], candidates: Candidates
    ) -> None:
        self._words = words
        self._candidates = candidates
        self._sources = tuple(dict.fromkeys(source for source, _ in words))
        ends = (destination for _, destination in words)
        self._destinations = tuple(dict.fromkeys((*table.columns, *ends)))

    def lines(self) -> Iterator[str]:
        """Yield the lines, with aligned columns."""
        header = ["", *map(str, self._destinations)]
        rows = [header, *self._rows()]
        widths = [max(len(row[index]) for row in rows) for index in range(len(header))]
        for row in rows:
            padded = (word.ljust(width + _GAP) for word, width in zip(row, widths, strict=True))
            yield "".join(padded).rstrip()

    def _rows(self) -> Iterator[list[str]]:
        pods = [source for source in self._sources if isinstance(source, PodRef)]
        common = self._common_row(pods)
        for source in self._sources:
            if common is None or not isinstance(source, PodRef):
                found = (self._words.get((source, end)) for end in self._destinations)
                yield [str(source), *(str(word or _NOT_PROBED) for word in found)]
            elif source == pods[0]:
                yield [_EVERY_POD, *common]

    def _common_row(self, pods: Sequence[PodRef]) -> list[str] | None:
        """Return the words that every pod has, or None if the row of a pod is another one."""
        every = self._candidates.pods()
        start = self._sources.index(pods[0]) if pods else 0
        in_order = [pod for pod in every if pod in set(pods)] == list(pods)
        together = self._sources[start : start + len(pods)] == tuple(pods)
        if len(pods) < 2 or not in_order or not together:
            return None
        row = []
        for end in self._destinations:
            words = {self._words.get((pod, end)) for pod in every if self._is_meant(pod, end)}
            alone = any((pod, end) in self._words for pod in every if not self._is_meant(pod, end))
            if len(words) > 1 or alone:
                return None
            row.append(str(next(iter(words), None) or _NOT_PROBED))
        return row

    def _is_meant(self, pod: Source, destination: Destination) -> bool:
        """Return whether the row of every pod means this pair."""
        host = destination.host
        itself = self._candidates.is_itself(pod, host)
        return not itself and bool(self._candidates.families_of(pod, host))
