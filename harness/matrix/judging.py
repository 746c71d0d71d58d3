"""The pairs of an application, and what the oracle says about each."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness import oracle
from harness.application import Application, AppService, Note, Reach, WorkloadKind
from harness.application.state import MOST_REPLICAS, Deployed, deployed, modelled, state
from harness.errors import UsageError
from harness.matrix.outside import Outside, outside
from harness.matrix.values import ALL, Cell, Cut, Matrix, Word
from harness.model import (
    Destination,
    ExternalRef,
    NodePortRef,
    Pod,
    PodRef,
    Probe,
    Protocol,
    ServiceRef,
    Verdict,
)
from harness.suggest import nearest_or_all

_DNS = ServiceRef("kube-system", "kube-dns")
_NODE_PORTS = frozenset({Reach.NODE_PORT, Reach.LOAD_BALANCER})


@dataclass(frozen=True, slots=True)
class _From:
    """A source: several refs are replicas that policies can tell apart."""

    title: str
    refs: tuple[PodRef | ExternalRef, ...]
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class _To:
    """A destination for pods, and for hosts outside; None if these cannot reach it."""

    title: str
    inside: tuple[Destination, ...]
    outside: tuple[Destination, ...] = ()
    namespace: str = ""


def judged(application: Application, cut: Cut = ALL) -> Matrix:
    """Return who reaches whom. Raises UsageError for a cut that keeps nothing."""
    workloads = deployed(application)
    hosts = outside(application.policies)
    sources = _kept(tuple(_sources(workloads, hosts)), cut.sources, "sources")
    every = (
        *_of_workloads(workloads),
        *_of_services(application.services),
        *_of_dns(),
        *_of_outside(hosts),
    )
    destinations = _kept(every, cut.destinations, "destinations")
    _require_namespaces(application, cut.namespaces)
    judge = oracle.Judge(state(application, workloads, hosts.hosts))
    cells = tuple(
        cell
        for source in sources
        for destination in destinations
        if _is_in(cut.namespaces, source, destination)
        and (cell := _cell(judge, source, destination)) is not None
    )
    rows = {cell.source for cell in cells}
    columns = {cell.destination for cell in cells}
    return Matrix(
        tuple(item.title for item in sources if item.title in rows),
        tuple(item.title for item in destinations if item.title in columns),
        cells,
        (*application.notes, *_notes(application, workloads, hosts)),
        application.ignored,
    )


# ------------------------------------------------------------------ ends


def _sources(workloads: Sequence[Deployed], hosts: Outside) -> Iterator[_From]:
    for item in workloads:
        if item.pods:
            refs = tuple(pod.ref for pod in _different(item))
            yield _From(item.title, refs, item.workload.namespace)
    for host, title in zip(hosts.hosts, hosts.titles, strict=True):
        yield _From(title, (ExternalRef(host.name),))


def _different(item: Deployed) -> tuple[Pod, ...]:
    """Return the pods that policies can tell apart."""
    if item.workload.kind is WorkloadKind.STATEFUL_SET:
        return item.pods
    return item.pods[:1]


def _of_workloads(workloads: Sequence[Deployed]) -> Iterator[_To]:
    for item in workloads:
        is_set = item.workload.kind is WorkloadKind.STATEFUL_SET
        pods = item.pods if is_set else item.pods[-1:]
        for port in item.workload.ports if pods else ():
            ends = tuple(Destination(pod.ref, port.number, port.protocol) for pod in pods)
            title = f"{item.title}{_port(port.number, port.protocol)}"
            yield _To(title, ends, ends, item.workload.namespace)


def _of_services(services: Iterable[AppService]) -> Iterator[_To]:
    for item in services:
        if modelled(item) is None or item.reach is Reach.HEADLESS:
            continue
        ref = ServiceRef(item.namespace, item.name)
        node = NodePortRef(item.namespace, item.name, 1)
        for port in item.ports:
            title = f"{ref}{_port(port.number, port.protocol)}"
            inside = (Destination(ref, port.number, port.protocol),)
            through = (Destination(node, port.number, port.protocol),)
            is_open = item.reach in _NODE_PORTS
            yield _To(title, inside, through if is_open else (), item.namespace)


def _of_dns() -> Iterator[_To]:
    for protocol in (Protocol.UDP, Protocol.TCP):
        yield _To(f"DNS{_port(53, protocol)}", (Destination(_DNS, 53, protocol),))


def _of_outside(hosts: Outside) -> Iterator[_To]:
    for host, title in zip(hosts.hosts, hosts.titles, strict=True):
        for port in host.ports:
            end = Destination(ExternalRef(host.name), port.number, port.protocol)
            yield _To(f"{title}{_port(port.number, port.protocol)}", (end,))


def _port(number: int, protocol: Protocol) -> str:
    return f":{number}" if protocol is Protocol.TCP else f":{number}/{protocol}"


# ------------------------------------------------------------------ cuts


_End = TypeVar("_End", _From, _To)


def _kept(items: tuple[_End, ...], patterns: Sequence[str], kind: str) -> tuple[_End, ...]:
    """Return the ends that a pattern matches. Raises UsageError for one that matches none.

    A pattern matches a title, or its part before the port.
    """
    kept: set[str] = set()
    for pattern in patterns:
        found = [item.title for item in items if _matches(item.title, pattern)]
        if not found:
            names = [item.title.rpartition(":")[0] or item.title for item in items]
            fact = f"no {kind.removesuffix('s')} is called {pattern!r}"
            raise UsageError(fact, nearest_or_all(pattern, names, kind))
        kept.update(found)
    return tuple(item for item in items if item.title in kept) if patterns else items


def _matches(title: str, pattern: str) -> bool:
    names = (title, title.rpartition(":")[0])
    return any(name == pattern or fnmatch.fnmatchcase(name, pattern) for name in names)


def _is_in(namespaces: tuple[str, ...], source: _From, destination: _To) -> bool:
    return not namespaces or bool({source.namespace, destination.namespace} & {*namespaces})


def _require_namespaces(application: Application, names: Iterable[str]) -> None:
    known = [item.name for item in application.namespaces]
    for name in names:
        if name not in known:
            hint = nearest_or_all(name, known, "namespaces")
            raise UsageError(f"there is no namespace {name!r} in the manifests", hint)


# ------------------------------------------------------------------ verdicts


def _cell(judge: oracle.Judge, source: _From, destination: _To) -> Cell | None:
    is_host = isinstance(source.refs[0], ExternalRef)
    ends = destination.outside if is_host else destination.inside
    probes = [Probe(ref, end) for ref in source.refs for end in ends if end.host != ref]
    found = [_word(judge.predict(probe)) for probe in probes]
    if not found:
        return None
    words = {word for word, _ in found}
    if len(words) == 1:
        return Cell(source.title, destination.title, *found[0])
    reasons = tuple(f"{probe}: {word}" for probe, (word, _) in zip(probes, found, strict=True))
    return Cell(source.title, destination.title, Word.DIFFERS, reasons)


def _word(prediction: oracle.Prediction) -> tuple[Word, tuple[str, ...]]:
    judgement = prediction.judgement
    if prediction.not_judged is not None:
        return Word.NOT_JUDGED, (prediction.not_judged,)
    if not prediction.verdicts:
        return Word.UNDEFINED, tuple(filter(None, (judgement.undefined,)))
    if judgement.ruling is oracle.Ruling.DENIED:
        return Word.DENIED, judgement.reasons
    if prediction.verdicts == {Verdict.ALLOWED}:
        return Word.ALLOWED, judgement.reasons
    return Word.NO_ENDPOINT, judgement.reasons


# ------------------------------------------------------------------ what else a reader should know


def _notes(
    application: Application, workloads: Sequence[Deployed], hosts: Outside
) -> Iterator[Note]:
    for item in workloads:
        yield from (Note(text, item.workload.location) for text in _of_workload(item))
    for service in application.services:
        yield from (Note(text, service.location) for text in _of_service(service))
    if hosts.left_out:
        yield Note(f"no row and no column for blocks {', '.join(hosts.left_out)}")


def _of_workload(item: Deployed) -> Iterator[str]:
    workload, title = item.workload, item.title
    if not item.pods:
        yield f"{title} asks for no pods, so it is no end"
    elif not workload.ports:
        yield f"{title} declares no ports, so it is only a source"
    if workload.host_network:
        yield (
            f"{title} is on the network of its node; it is judged from another node than its "
            "destinations, since those of its own node always allow it"
        )
    if workload.kind is WorkloadKind.STATEFUL_SET and workload.replicas > MOST_REPLICAS:
        yield f"{title}: the first {MOST_REPLICAS} of {workload.replicas} pods stand for all"


def _of_service(service: AppService) -> Iterator[str]:
    if service.reach is Reach.EXTERNAL_NAME:
        yield f"{service} is another name of {service.external_name}"
    elif service.selector is None:
        yield f"{service} has no selector: its endpoints are not in the manifests"
    elif service.reach is Reach.HEADLESS:
        yield f"{service} is headless: it leads to its pods directly"
