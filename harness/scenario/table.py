"""Truth tables: the text of ``expect`` as cells, each with the place of its word."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import yaml

from harness.errors import Location, UsageError
from harness.model import (
    AbsoluteName,
    Address,
    Cell,
    Destination,
    External,
    ExternalRef,
    Family,
    Host,
    NodePortRef,
    Pod,
    PodRef,
    Probe,
    Protocol,
    Service,
    ServiceName,
    ServiceRef,
    ServiceType,
    Source,
    State,
    TruthTable,
    Verdict,
)
from harness.scenario.ends import (
    DestinationPattern,
    SourcePattern,
    destination_pattern,
    source_pattern,
)
from harness.scenario.source import Problems, location_of
from harness.suggest import nearest, nearest_or_all

_T = TypeVar("_T")

_NOT_PROBED = "-"
_WORDS: Mapping[str, Verdict | None] = {str(word): word for word in Verdict} | {_NOT_PROBED: None}
_DENIED = frozenset({
    "blocked", "closed", "deny", "denied", "denies", "drop", "dropped", "no", "x", "false",
})  # fmt: skip
_OPEN = frozenset({"allow", "allows", "open", "ok", "yes", "pass", "true", "connected", "."})
_HOW = "write `expect: |2` and the table on the lines below, or one word for all"


# ------------------------------------------------------------------ what an end may be


class TooLarge(Exception):
    """The tables of a file name more than can be read in a reasonable time."""


@dataclass(slots=True)
class Budget:
    """How much work the tables of one file may be: cells, and ends compared with patterns."""

    cells: int = 50_000
    comparisons: int = 1_000_000

    def spend_cells(self, number: int) -> None:
        """Raise TooLarge when the tables name too many pairs."""
        self.cells -= number
        if self.cells < 0:
            raise TooLarge

    def spend_comparisons(self, number: int) -> None:
        """Raise TooLarge when too many patterns meet too many ends."""
        self.comparisons -= number
        if self.comparisons < 0:
            raise TooLarge


@dataclass(frozen=True)
class Ends:
    """What the ends of one step's table can be.

    ``services`` are those of this and of earlier steps: the name of one that was deleted can
    still be asked.
    """

    state: State
    families: tuple[Family, ...]
    services: Mapping[tuple[str, str], Service]
    budget: Budget = field(default_factory=Budget)

    @cached_property
    def _pods(self) -> Mapping[PodRef, Pod]:
        return {pod.ref: pod for pod in self.state.pods}

    @cached_property
    def _services(self) -> Mapping[tuple[str, str], Service]:
        return {(item.namespace, item.name): item for item in self.state.services}

    @cached_property
    def _behind(self) -> Mapping[tuple[str, str], frozenset[PodRef]]:
        """The endpoints of each Service."""
        self.budget.spend_comparisons(len(self.state.services) * len(self.state.pods))
        return {
            name: frozenset(pod.ref for pod in self.state.endpoints(item))
            for name, item in self._services.items()
        }

    @cached_property
    def _externals(self) -> Mapping[str, External]:
        return {item.name: item for item in self.state.externals}

    def sources(self, pattern: SourcePattern) -> tuple[Source, ...]:
        """The sources that a row means. Raises UsageError."""
        literal = pattern.literal
        if literal is None:
            self.budget.spend_comparisons(len(self.state.pods) + len(self.state.externals))
            known = [s for s in self._all_sources() if pattern.matches(s)]
            return self._some(tuple(known), pattern.text, "pods", map(str, self._refs()))
        self._check_exists(literal)
        return (literal,)

    def destinations(self, pattern: DestinationPattern) -> tuple[Destination, ...]:
        """The destinations that a column means. Raises UsageError."""
        literal = pattern.literal
        if literal is None:
            candidates = tuple(self._all_destinations(pattern))
            self.budget.spend_comparisons(len(candidates))
            known = [d for d in candidates if pattern.matches(d)]
            written = (str(d) for d in candidates)
            return self._some(tuple(known), pattern.text, "ends of that kind", written)
        self._check_exists(literal.host)
        self._check_port(literal)
        return (literal,)

    def everything(self) -> tuple[Destination, ...]:
        """Every declared port of every pod and every ClusterIP."""
        return tuple(self._of_pods()) + tuple(self._of_services())

    def pods(self) -> tuple[Source, ...]:
        return tuple(self._refs())

    def families_of(self, source: Source, host: Host) -> tuple[Family, ...]:
        """The scenario's families in which both ends have an address."""
        both = self._families(source) & self._families(host)
        return tuple(family for family in self.families if family in both)

    def is_itself(self, source: Source, host: Host) -> bool:
        """Whether the host is the source pod, or a Service that may lead back to it."""
        match host:
            case PodRef():
                return source == host
            case ServiceRef() | ServiceName() | NodePortRef():
                return source in self._behind.get((host.namespace, host.name), ())
            case _:
                return False

    # -------------------------------------------------------------- candidates

    def _refs(self) -> Iterator[PodRef]:
        return (pod.ref for pod in self.state.pods)

    def _all_sources(self) -> Iterator[Source]:
        yield from self._refs()
        yield from (ExternalRef(external.name) for external in self.state.externals)

    def _all_destinations(self, pattern: DestinationPattern) -> Iterator[Destination]:
        yield from self.everything()
        for external in self.state.externals:
            for port in external.ports:
                yield Destination(ExternalRef(external.name), port.number, port.protocol)
        for service in self.state.services:
            for listening in service.ports:
                name = ServiceName(service.namespace, service.name)
                yield Destination(name, listening.number, listening.protocol)
                if service.type is ServiceType.NODE_PORT and pattern.kind == "nodeport":
                    through = NodePortRef(service.namespace, service.name, int(pattern.fields[2]))
                    yield Destination(through, listening.number, listening.protocol)

    def _of_pods(self) -> Iterator[Destination]:
        for pod in self.state.pods:
            for port in pod.ports:
                yield Destination(pod.ref, port.number, port.protocol)

    def _of_services(self) -> Iterator[Destination]:
        for service in self.state.services:
            if service.type is not ServiceType.HEADLESS:
                for port in service.ports:
                    host = ServiceRef(service.namespace, service.name)
                    yield Destination(host, port.number, port.protocol)

    @staticmethod
    def _some(found: tuple[_T, ...], text: str, kind: str, known: Iterable[str]) -> tuple[_T, ...]:
        if not found:
            hint = nearest_or_all(text, known, kind)
            raise UsageError(f"{text!r} matches nothing in this step", hint)
        return found

    # -------------------------------------------------------------- checks

    def _check_exists(self, host: Source | Host) -> None:
        match host:
            case PodRef(namespace, _) if host not in self._pods:
                hint = nearest_or_all(str(host), map(str, self._refs()), "pods")
                if (namespace, host.name) in self._services:
                    hint = f"the Service is written svc/{host}"
                raise UsageError(f"there is no pod '{host}' in this step", hint)
            case ExternalRef(name) if name not in self._externals:
                known = (external.name for external in self.state.externals)
                hint = nearest_or_all(name, known, "externals")
                raise UsageError(f"there is no external {name!r}", hint)
            case ServiceRef() | NodePortRef():
                self._check_service(host, self._services.get((host.namespace, host.name)))
            case ServiceName():
                self._check_service(host, self.services.get((host.namespace, host.name)))
            case _:
                pass  # nodes, addresses and outside names are not of the scenario's making

    def _check_service(
        self, host: ServiceRef | NodePortRef | ServiceName, service: Service | None
    ) -> None:
        name = f"{host.namespace}/{host.name}"
        if service is None:
            known = [f"{s.namespace}/{s.name}" for s in self.state.services]
            hint = nearest_or_all(name, known, "Services")
            if isinstance(host, ServiceName):
                asked = f"{host.name}.{host.namespace}"
                if any(asked in external.dns_names for external in self.state.externals):
                    hint = (
                        "dns/ and two labels mean a Service; outside names need three to be probed"
                    )
            raise UsageError(f"there is no Service {name!r} in this step", hint)
        if isinstance(host, ServiceRef) and service.type is ServiceType.HEADLESS:
            hint = f"ask for it by name: dns/{host.name}.{host.namespace}"
            raise UsageError(f"Service {name} is Headless and has no ClusterIP", hint)
        if isinstance(host, NodePortRef) and service.type is not ServiceType.NODE_PORT:
            hint = f"give it type: NodePort, or write svc/{name}:port"
            raise UsageError(f"Service {name} has no node port", hint)

    def _check_port(self, destination: Destination) -> None:
        host = destination.host
        if not isinstance(host, ServiceRef | NodePortRef | ServiceName):
            return
        service = self.services.get((host.namespace, host.name))
        if service is None or not service.ports or service.type is ServiceType.HEADLESS:
            return
        known = {(port.number, port.protocol) for port in service.ports}
        if (destination.port, destination.protocol) not in known:
            shown = ", ".join(_port_text(*port) for port in sorted(known))
            written = _port_text(destination.port, destination.protocol)
            fact = f"Service {host.namespace}/{host.name} has no port {written}"
            raise UsageError(fact, f"its ports are {shown}")

    def _families(self, host: Source | Host) -> frozenset[Family]:
        match host:
            case Address(ip):
                return _families_of([ip])
            case ExternalRef(name):
                external = self._externals.get(name)
                return _families_of(external.addresses if external else ())
            case AbsoluteName(name):
                owners = [e for e in self.state.externals if name in e.dns_names]
                return _families_of(owners[0].addresses) if owners else frozenset(Family)
            case _:
                return frozenset(Family)


def _families_of(addresses: Iterable[str]) -> frozenset[Family]:
    return frozenset(Family(ipaddress.ip_address(address).version) for address in addresses)


def _port_text(number: int, protocol: Protocol) -> str:
    return str(number) if protocol is Protocol.TCP else f"{number}/{protocol}"


# ------------------------------------------------------------------ tables


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a table, and where it stands."""

    text: str
    location: Location


@dataclass(frozen=True, slots=True)
class _Ends:
    """A row's sources or a column's destinations; ``pattern`` says that a ``*`` gave them."""

    pattern: bool
    sources: tuple[Source, ...] = ()
    destinations: tuple[Destination, ...] = ()


class TableReader:
    """Reads the tables of one file; what is wrong in them becomes problems."""

    def __init__(self, path: str, lines: Callable[[Location], str], problems: Problems) -> None:
        self._path = path
        self._lines = lines
        self._problems = problems

    def read(self, node: yaml.Node, ends: Ends) -> TruthTable:
        """Return the cells of an ``expect``."""
        try:
            return self._read(node, ends)
        except TooLarge:
            at = location_of(self._path, node.start_mark)
            fact = "up to here, the tables of this file name too many pairs"
            self._problems.add(at, fact, "name fewer pods, or split the file")
            return TruthTable(())

    def _read(self, node: yaml.Node, ends: Ends) -> TruthTable:
        text = str(node.value)
        words = text.split()
        at = location_of(self._path, node.start_mark)
        if getattr(node, "style", None) != "|":
            if len(words) > 1:
                fact = "expect is neither one word nor a table"
                self._problems.add(at, fact, _HOW)
                return TruthTable(())
            return self._whole(_Word(text.strip(), at), ends)
        rows = [row for row in self._rows(node, at) if row]
        if len(rows) == 1 and len(rows[0]) == 1 and "/" not in rows[0][0].text:
            return self._whole(rows[0][0], ends)
        return self._table(rows, at, ends)

    def _rows(self, node: yaml.Node, at: Location) -> Iterator[list[_Word]]:
        """The words of each line of a literal block, without comments."""
        last = at.line + 1 + str(node.value).rstrip("\n").count("\n")
        if node.end_mark:
            last = min(last, node.end_mark.line + 1)
        for number in range(at.line + 1, last + 1):
            line = self._lines(Location(self._path, number, 1))
            code = re.split(r"(?:^|(?<=\s))#", line, maxsplit=1)[0]
            yield [
                _Word(found[0], Location(self._path, number, found.start() + 1))
                for found in re.finditer(r"\S+", code)
            ]

    def _whole(self, word: _Word, ends: Ends) -> TruthTable:
        """One word for every pod to every declared port."""
        if not word.text:
            self._problems.add(word.location, "expect is empty", _HOW)
            return TruthTable(())
        verdict = self._verdict(word)
        if verdict is None:
            if word.text == _NOT_PROBED:
                self._problems.add(word.location, "nothing is probed in this step", _HOW)
            return TruthTable(())
        cells: dict[Probe, Cell] = {}
        everything = _Ends(True, destinations=ends.everything())
        pods = _Ends(True, sources=ends.pods())
        self._fill(cells, pods, everything, (word, ends, verdict))
        if not cells:
            fact = "there is no pod with a port, and another pod to reach it"
            self._problems.add(word.location, fact, "declare ports: [80] on a pod")
        return _ordered(cells.values(), [pods], [everything])

    def _table(self, rows: list[list[_Word]], at: Location, ends: Ends) -> TruthTable:
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
        columns = [self._column(word, ends) for word in rows[0]]
        self._refuse_twins(rows[0], "column")
        read = [(row, self._row(row[0], ends)) for row in rows[1:]]
        self._refuse_twins([row[0] for row in rows[1:]], "row")
        cells: dict[Probe, Cell] = {}
        for row, source in read:
            if not self._has_all_words(row, rows[0]):
                continue
            for word, column in zip(row[1:], columns, strict=True):
                verdict = self._verdict(word)
                if source and column and word.text in _WORDS:
                    self._fill(cells, source, column, (word, ends, verdict))
        if not cells and self._problems.met == before:
            hint = "replace a '-' by a word; a pattern means no pair of a pod with itself"
            self._problems.add(at, "nothing is probed in this step", hint)
        return _ordered(cells.values(), [source for _, source in read], columns)

    def _column(self, word: _Word, ends: Ends) -> _Ends | None:
        try:
            pattern = destination_pattern(word.text)
            found = ends.destinations(pattern)
        except UsageError as error:
            self._problems.add(word.location, error.message, error.hint)
            return None
        return _Ends(pattern.literal is None, destinations=found)

    def _row(self, word: _Word, ends: Ends) -> _Ends | None:
        if self._problems.are_many:
            return None
        if word.text in _WORDS:
            hint = "a row begins with its source; is the line above broken in two?"
            self._problems.add(word.location, f"{word.text!r} is not a source", hint)
            return None
        try:
            pattern = source_pattern(word.text)
            found = ends.sources(pattern)
        except UsageError as error:
            self._problems.add(word.location, error.message, error.hint)
            return None
        return _Ends(pattern.literal is None, sources=found)

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
        cells: dict[Probe, Cell],
        row: _Ends,
        column: _Ends,
        what: tuple[_Word, Ends, Verdict | None],
    ) -> None:
        """Set the cells of one word; a later word takes the place of an earlier one."""
        word, ends, verdict = what
        skipped = False
        for source in row.sources:
            for destination in column.destinations:
                if (row.pattern or column.pattern) and ends.is_itself(source, destination.host):
                    continue
                families = ends.families_of(source, destination.host)
                ends.budget.spend_cells(len(families))
                skipped = skipped or (not families and verdict is not None)
                for family in families:
                    probe = Probe(source, destination, family)
                    cells.pop(probe, None)
                    if verdict is not None:
                        cells[probe] = Cell(probe, verdict, word.location)
        if skipped and not row.pattern and not column.pattern:
            pair = f"{row.sources[0]} -> {column.destinations[0]}"
            shown = ", ".join(str(int(family)) for family in ends.families)
            fact = f"{pair}: the two ends share no address of the families [{shown}]"
            hint = "write '-' here; an external may have one ip for each family"
            self._problems.add(word.location, fact, hint)


def _ordered(
    cells: Iterable[Cell], rows: Iterable[_Ends | None], columns: Iterable[_Ends | None]
) -> TruthTable:
    """Return the cells row by row, with rows and columns where the author first has them."""
    sources = dict.fromkeys(source for ends in rows if ends for source in ends.sources)
    found = dict.fromkeys(end for ends in columns if ends for end in ends.destinations)
    row = {source: place for place, source in enumerate(sources)}
    column = {destination: place for place, destination in enumerate(found)}

    def place(cell: Cell) -> tuple[int, int, Family]:
        probe = cell.probe
        return row[probe.source], column[probe.destination], probe.family

    return TruthTable(tuple(sorted(cells, key=place)), tuple(found))
