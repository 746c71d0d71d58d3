"""The rows and columns of a matrix, the pairs of them that have a meaning, and cuts."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.application import Application, AppService, Reach, Workload, WorkloadKind
from harness.application.state import Deployed, modelled
from harness.errors import UsageError
from harness.matrix.outside import Outside
from harness.model import (
    Destination,
    ExternalRef,
    NodePortRef,
    PodRef,
    Probe,
    Protocol,
    ServiceRef,
)
from harness.suggest import nearest_or_all

_DNS = ServiceRef("kube-system", "kube-dns")
_NODE_PORTS = frozenset({Reach.NODE_PORT, Reach.LOAD_BALANCER})


@dataclass(frozen=True, slots=True)
class Row:
    """A source: several refs are replicas that policies can tell apart.

    ``owner`` is None for a host outside.
    """

    title: str
    refs: tuple[PodRef | ExternalRef, ...]
    owner: Workload | None = None

    @property
    def namespace(self) -> str:
        return self.owner.namespace if self.owner else ""


@dataclass(frozen=True, slots=True)
class Column:
    """A port as a destination for pods, and for hosts outside; empty if these cannot reach it.

    ``owner`` is None for the cluster's DNS and for hosts outside. ``port_name`` is the name that
    the owner gives to the port.
    """

    title: str
    inside: tuple[Destination, ...]
    outside: tuple[Destination, ...] = ()
    owner: Workload | AppService | None = None
    port_name: str | None = None

    @property
    def namespace(self) -> str:
        return self.owner.namespace if self.owner else ""


def probes(row: Row, column: Column) -> tuple[Probe, ...]:
    """Return the probes that a pair stands for; none if it has no meaning."""
    ends = column.outside if isinstance(row.refs[0], ExternalRef) else column.inside
    return tuple(Probe(ref, end) for ref in row.refs for end in ends if end.host != ref)


def rows(workloads: Sequence[Deployed], hosts: Outside) -> tuple[Row, ...]:
    """Return the sources: workloads with pods, and hosts outside."""
    found = [row_of(item) for item in workloads if item.pods]
    for host, title in zip(hosts.hosts, hosts.titles, strict=True):
        found.append(Row(title, (ExternalRef(host.name),)))
    return tuple(found)


def row_of(item: Deployed) -> Row:
    """Return a workload with pods as a source: the pods that policies can tell apart."""
    pods = item.pods if item.workload.kind is WorkloadKind.STATEFUL_SET else item.pods[:1]
    return Row(item.title, tuple(pod.ref for pod in pods), item.workload)


def columns(
    application: Application, workloads: Sequence[Deployed], hosts: Outside
) -> tuple[Column, ...]:
    """Return the destinations: ports of workloads, of Services, of DNS, and of hosts outside."""
    return (
        *(column for item in workloads if item.pods for column in of_workload(item)),
        *of_services(application.services),
        *of_dns(),
        *_of_outside(hosts),
    )


def of_workload(item: Deployed) -> Iterator[Column]:
    """Yield the ports that a workload with pods declares."""
    for port in item.workload.ports:
        suffix = port_suffix(port.number, port.protocol)
        yield port_of(item, (port.number, port.protocol), suffix, port.name)


def port_of(
    item: Deployed, port: tuple[int, Protocol], suffix: str, name: str | None = None
) -> Column:
    """Return a port of a workload with pods as a destination."""
    is_set = item.workload.kind is WorkloadKind.STATEFUL_SET
    pods = item.pods if is_set else item.pods[-1:]
    ends = tuple(Destination(pod.ref, *port) for pod in pods)
    return Column(f"{item.title}{suffix}", ends, ends, item.workload, name)


def of_services(services: Iterable[AppService]) -> Iterator[Column]:
    """Yield the ports of Services that have an address, and endpoints in the manifests."""
    for item in services:
        if modelled(item) is None or item.reach is Reach.HEADLESS:
            continue
        ref = ServiceRef(item.namespace, item.name)
        node = NodePortRef(item.namespace, item.name, 1)
        for port in item.ports:
            title = f"{ref}{port_suffix(port.number, port.protocol)}"
            inside = (Destination(ref, port.number, port.protocol),)
            through = (Destination(node, port.number, port.protocol),)
            is_open = item.reach in _NODE_PORTS
            yield Column(title, inside, through if is_open else (), item, port.name)


def of_dns() -> Iterator[Column]:
    """Yield the ports of the cluster's DNS."""
    for protocol in (Protocol.UDP, Protocol.TCP):
        yield Column(f"DNS{port_suffix(53, protocol)}", (Destination(_DNS, 53, protocol),))


def _of_outside(hosts: Outside) -> Iterator[Column]:
    for host, title in zip(hosts.hosts, hosts.titles, strict=True):
        for port in host.ports:
            end = Destination(ExternalRef(host.name), port.number, port.protocol)
            yield Column(f"{title}{port_suffix(port.number, port.protocol)}", (end,))


def port_suffix(number: int, protocol: Protocol) -> str:
    """Return what follows the name of the owner of a port in a title."""
    return f":{number}" if protocol is Protocol.TCP else f":{number}/{protocol}"


# ------------------------------------------------------------------ cuts


def matched(titles: Iterable[str], patterns: Sequence[str], kind: str) -> frozenset[str]:
    """Return the titles that a pattern matches; all if there is no pattern.

    A pattern matches a title, or its part before the port. Raises UsageError for one that matches
    none; ``kind`` is what the titles are called then.
    """
    known = tuple(titles)
    kept: set[str] = set()
    for pattern in patterns:
        found = [title for title in known if _matches(title, pattern)]
        if not found:
            names = [title.rpartition(":")[0] or title for title in known]
            fact = f"no {kind.removesuffix('s')} is called {pattern!r}"
            raise UsageError(fact, nearest_or_all(pattern, names, kind))
        kept.update(found)
    return frozenset(kept if patterns else known)


def _matches(title: str, pattern: str) -> bool:
    names = (title, title.rpartition(":")[0])
    return any(name == pattern or fnmatch.fnmatchcase(name, pattern) for name in names)


def is_in(namespaces: tuple[str, ...], row: Row, column: Column) -> bool:
    """Return whether an end of the pair is in one of the namespaces; without any, all are."""
    return not namespaces or bool({row.namespace, column.namespace} & {*namespaces})


def require_namespaces(known: Iterable[str], names: Iterable[str]) -> None:
    """Raise UsageError for a namespace that is not known."""
    all_known = tuple(known)
    for name in names:
        if name not in all_known:
            hint = nearest_or_all(name, all_known, "namespaces")
            raise UsageError(f"there is no namespace {name!r} in the manifests", hint)
