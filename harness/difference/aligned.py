"""The rows and columns of two versions side by side, and which of them only one version has."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.application import Application, AppService, Reach, Workload
from harness.application.state import Deployed, deployed, modelled
from harness.difference import matching
from harness.difference.scope import Port, Scope, named_by_egress, named_for, wider
from harness.difference.values import EndChange, How, What
from harness.errors import Location
from harness.matrix.ends import Column, Row, of_dns, of_services, of_workload, port_of, row_of
from harness.model import ExternalRef, Protocol, ServiceRef


@dataclass(frozen=True, slots=True)
class RowPair:
    """A source before and after; None: that version does not have it."""

    old: Row | None
    new: Row | None

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(row.title for row in (self.new, self.old) if row)

    @property
    def title(self) -> str:
        """The title in the newest version that has it."""
        return self.titles[0]

    @property
    def is_in_both(self) -> bool:
        return self.old is not None and self.new is not None

    @property
    def is_host(self) -> bool:
        """Whether it is a host outside the cluster."""
        row = self.new or self.old
        return row is not None and isinstance(row.refs[0], ExternalRef)


class Asked(enum.Enum):
    """Why a port is a destination."""

    DECLARED = enum.auto()
    NAMED = enum.auto()
    """No manifest declares it, and a policy names it."""
    OTHER = enum.auto()
    """It stands for all that nobody declares or names."""


@dataclass(frozen=True, slots=True)
class ColumnPair:
    """A destination before and after; None: that version does not have it.

    ``owner`` is the name of what was added or removed, if only one version has it; otherwise that
    of its workload, Service or host.
    """

    old: Column | None
    new: Column | None
    owner: str = ""
    asked: Asked = Asked.DECLARED

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(column.title for column in (self.new, self.old) if column)

    @property
    def title(self) -> str:
        """The title in the newest version that has it."""
        return self.titles[0]

    @property
    def is_in_both(self) -> bool:
        return self.old is not None and self.new is not None

    @property
    def protocol(self) -> Protocol:
        column = self.new or self.old
        assert column is not None  # noqa: S101 - one of both is there
        return column.inside[0].protocol

    def absence(self, own: Column | None) -> str:
        """Return why a host outside has no such connection in a version."""
        if own is None:
            return "it is not there"
        if isinstance(own.owner, AppService):
            return f"a host outside does not reach a Service of type {own.owner.reach}"
        return "a host outside does not reach it"


@dataclass(frozen=True, slots=True)
class Aligned:
    """Both versions side by side. ``old`` and ``new`` are the workloads with all their ports."""

    rows: tuple[RowPair, ...]
    columns: tuple[ColumnPair, ...]
    old: tuple[Deployed, ...]
    new: tuple[Deployed, ...]
    changes: tuple[EndChange, ...]


def aligned(old: Application, new: Application, scope: Scope) -> Aligned:
    """Return the rows and columns of both versions side by side."""
    found = _Alignment(old, new, scope)
    workloads = matching.workloads(_with_pods(old), _with_pods(new))
    for pair in workloads:
        found.workload(*pair)
    for before, after in matching.services(_reached(old), _reached(new)):
        found.service(before, after)
    found.columns += [ColumnPair(column, column) for column in of_dns()]
    for host, title in zip(scope.hosts.hosts, scope.hosts.titles, strict=True):
        row = Row(title, (ExternalRef(host.name),))
        found.rows.append(RowPair(row, row))
    for column in scope.columns_outside():
        owner = column.title.rpartition(":")[0]
        asked = Asked.OTHER if scope.is_other(column) else Asked.DECLARED
        found.columns.append(ColumnPair(column, column, owner, asked))
    return Aligned(
        tuple(found.rows),
        tuple(found.columns),
        tuple(found.old),
        tuple(found.new),
        tuple(found.changes),
    )


def _with_pods(application: Application) -> list[Deployed]:
    return [item for item in deployed(application) if item.pods]


def _reached(application: Application) -> list[AppService]:
    """Return the Services that have an address of their own, and endpoints in the manifests."""
    return [
        item
        for item in application.services
        if modelled(item) is not None and item.reach is not Reach.HEADLESS
    ]


class _Alignment:
    """What is aligned so far."""

    def __init__(self, old: Application, new: Application, scope: Scope) -> None:
        self.rows: list[RowPair] = []
        self.columns: list[ColumnPair] = []
        self.old: list[Deployed] = []
        self.new: list[Deployed] = []
        self.changes: list[EndChange] = []
        self._versions = (old, new)
        self._scope = scope
        self._egress = (*named_by_egress(old.policies), *named_by_egress(new.policies))
        self._every = ({_key(w) for w in old.workloads}, {_key(w) for w in new.workloads})

    def workload(self, old: Deployed | None, new: Deployed | None) -> None:
        """Add a workload: its row, and a column for each port."""
        self.rows.append(RowPair(row_of(old) if old else None, row_of(new) if new else None))
        before, after = (
            list(of_workload(old)) if old else [],
            list(of_workload(new)) if new else [],
        )
        if old and new:
            if _key(old.workload) != _key(new.workload):
                where = new.workload.location
                self.changes.append(
                    EndChange(What.WORKLOAD, How.RENAMED, new.title, where, old.title)
                )
            self.columns += self._ports(before, after, new.title)
            known = {_port(column) for column in (*before, *after)}
            more = [port for port in self._named(old, new) if port not in known]
            for port in more:
                suffix = self._scope.suffix(port)
                pair = port_of(old, port, suffix), port_of(new, port, suffix)
                asked = Asked.OTHER if port[0] == self._scope.other else Asked.NAMED
                self.columns.append(ColumnPair(*pair, new.title, asked))
            old, new = wider(old, more), wider(new, more)
        elif old or new:
            self._one_workload(old, new, before or after)
        self.old += [old] if old else []
        self.new += [new] if new else []

    def _named(self, old: Deployed, new: Deployed) -> Iterable[Port]:
        """Return the ports that policies of either version name for a workload, and all others."""
        before, after = self._versions
        named = (*named_for(old, before), *named_for(new, after), *self._egress)
        return dict.fromkeys((*named, *self._scope.others()))

    def _one_workload(
        self, old: Deployed | None, new: Deployed | None, columns: Sequence[Column]
    ) -> None:
        item = new or old
        assert item is not None  # noqa: S101 - the caller has one of both
        is_elsewhere = _key(item.workload) in self._every[0 if new else 1]
        why = "" if not is_elsewhere else "it asked for no pods" if new else "it asks for no pods"
        how = How.ADDED if new else How.REMOVED
        self.changes.append(
            EndChange(What.WORKLOAD, how, item.title, item.workload.location, why=why)
        )
        self.columns += [
            ColumnPair(None if new else column, column if new else None, item.title)
            for column in columns
        ]

    def service(self, old: AppService | None, new: AppService | None) -> None:
        """Add a Service: a column for each port."""
        before, after = of_services([old] if old else []), of_services([new] if new else [])
        item = new or old
        assert item is not None  # noqa: S101 - the caller has one of both
        title = str(ServiceRef(item.namespace, item.name))
        if old and new:
            was = str(ServiceRef(old.namespace, old.name))
            if was != title:
                self.changes.append(EndChange(What.SERVICE, How.RENAMED, title, new.location, was))
            self.columns += self._ports([*before], [*after], title)
            return
        how = How.ADDED if new else How.REMOVED
        self.changes.append(EndChange(What.SERVICE, how, title, item.location))
        self.columns += [ColumnPair(column, None, title) for column in before]
        self.columns += [ColumnPair(None, column, title) for column in after]

    def _ports(
        self, old: Sequence[Column], new: Sequence[Column], owner: str
    ) -> Iterator[ColumnPair]:
        """Yield the ports of an owner that both versions have."""
        for before, after in matching.ports(old, new):
            if before and after:
                if _port(before) != _port(after):
                    where = _location(after)
                    self.changes.append(
                        EndChange(What.PORT, How.RENAMED, after.title, where, before.title)
                    )
                yield ColumnPair(before, after, owner)
            elif before or after:
                only = after or before
                assert only is not None  # noqa: S101 - one of both is there
                how = How.ADDED if after else How.REMOVED
                self.changes.append(EndChange(What.PORT, how, only.title, _location(only)))
                yield ColumnPair(before, after, only.title)


def _key(workload: Workload) -> tuple[str, str]:
    return workload.namespace, workload.name


def _port(column: Column) -> tuple[int, object]:
    return column.inside[0].port, column.inside[0].protocol


def _location(column: Column) -> Location | None:
    """Return where a port is declared, or its owner."""
    owner = column.owner
    if isinstance(owner, Workload):
        for port in owner.ports:
            if (port.number, port.protocol) == _port(column):
                return port.location
    return owner.location if owner else None
