"""Which pods an audit probes from, and which connections it tries.

A source is one ready pod of each workload; they are spread over the nodes. A destination is a
port of a pod of each workload on each node, up to a limit, since every node enforces for itself;
and the ports of Services.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness import oracle
from harness.application.state import modelled
from harness.audit.values import End, Pair, Plan
from harness.cluster.kube.applications import Survey
from harness.cluster.kube.running import RunningPod
from harness.errors import UsageError
from harness.model import (
    ContainerPort,
    Destination,
    Namespace,
    Pod,
    Probe,
    Protocol,
    Service,
    ServiceRef,
    ServiceType,
    State,
    Verdict,
)

MOST_PAIRS = 10_000
_MOST_PODS = 5
"""So many pods of a workload are destinations at most, each on another node."""

_Workloads = Mapping[str, Sequence[RunningPod]]
"""The pods of each workload, by its title: ``shop/web``."""


def planned(survey: Survey) -> Plan:
    """Return what an audit of these namespaces would do. Raises UsageError for too much."""
    now, workloads = state(survey), _workloads(survey.pods)
    sources = tuple(_sources(workloads))
    ends = (*_of_pods(now, workloads), *_of_services(now, survey))
    judge = oracle.Judge(now)
    every = tuple(
        Pair(Probe(item.ref, to), address, begin, end, judge.predict(Probe(item.ref, to)))
        for begin, item in sources
        for to, address, end in ends
        if to.host != item.ref
    )
    pairs = tuple(pair for pair in every if _is_decided(pair))
    if len(pairs) > MOST_PAIRS:
        fact = f"{len(pairs):,} connections are too many: at most {MOST_PAIRS:,} are tried"
        raise UsageError(fact, "name fewer namespaces")
    notes = (*survey.unread, *_without_pods(survey), *_by_nature(workloads), *_undecided(every))
    gaps = tuple(_without_ready(workloads))
    return Plan(
        context=survey.context,
        namespaces=survey.namespaces,
        pods=survey.pods,
        sources=tuple(item for _, item in sources),
        pairs=pairs,
        notes=notes,
        gaps=gaps,
    )


def state(survey: Survey) -> State:
    """Return the State of what runs: pods that are ready, Services and policies."""
    application = survey.application
    services = (modelled(item) for item in application.services)
    return State(
        scope="audit",
        namespaces=tuple(Namespace(item.name, item.labels) for item in application.namespaces),
        pods=tuple(item.pod for item in survey.pods if item.fault is None),
        services=tuple(item for item in services if item is not None),
        policies=(*application.policies, *application.not_judged),
        exact_names=True,
    )


def _workloads(pods: Iterable[RunningPod]) -> _Workloads:
    found: dict[str, list[RunningPod]] = defaultdict(list)
    for item in sorted(pods, key=lambda item: (item.workload, item.ref.name)):
        found[item.workload].append(item)
    names = Counter(name.partition(" ")[2] for name in found)
    titled = {}
    for name, items in found.items():
        kind, _, title = name.partition(" ")
        titled[title if names[title] == 1 else f"{title} ({kind})"] = items
    return titled


# ------------------------------------------------------------------ ends


def _sources(workloads: _Workloads) -> Iterator[tuple[End, RunningPod]]:
    used: Counter[str] = Counter()
    for title, pods in workloads.items():
        fit = [item for item in pods if item.fault is None and item.obstacle is None]
        if fit:
            chosen = min(fit, key=lambda item: used[item.live.node])
            used[chosen.live.node] += 1
            yield End(title, chosen.ref.name, chosen.live.node, (chosen.ref,)), chosen


def _of_pods(now: State, workloads: _Workloads) -> Iterator[tuple[Destination, str, End]]:
    for title, pods in workloads.items():
        for item in _on_each_node(pods):
            address = item.address or ""
            detail = f"{item.ref.name} ({address})"
            for number in _served(item.pod, now.services):
                end = End(f"{title}:{number}", detail, item.live.node, (item.ref,))
                yield Destination(item.ref, number), address, end


def _on_each_node(pods: Sequence[RunningPod]) -> list[RunningPod]:
    """Return one pod on each node; of a workload on one node two, since one may be the source."""
    fit = [item for item in pods if item.fault is None and not item.pod.host_network]
    chosen = list({item.live.node: item for item in reversed(fit)}.values())[::-1]
    if len(chosen) == 1:
        chosen = fit[:2]
    return chosen[:_MOST_PODS]


def _served(pod: Pod, services: Iterable[Service]) -> Iterator[int]:
    """Return the TCP ports that a pod declares, and those that Services expect it to have."""
    declared = [port.number for port in pod.ports if port.protocol is Protocol.TCP]
    expected = [
        forward.target
        for service in services
        if service.namespace == pod.namespace and service.selector.items() <= pod.labels.items()
        for forward in service.ports
        if isinstance(forward.target, int) and forward.protocol is Protocol.TCP
    ]
    yield from dict.fromkeys((*declared, *expected))


def _of_services(now: State, survey: Survey) -> Iterator[tuple[Destination, str, End]]:
    for service in now.services:
        ref = ServiceRef(service.namespace, service.name)
        address = survey.addresses.get(ref)
        if service.type is ServiceType.HEADLESS or address is None:
            continue
        backends = tuple(pod.ref for pod in now.endpoints(service))
        for port in service.ports:
            if port.protocol is Protocol.TCP:
                end = End(f"{ref}:{port.number}", address, backends=backends)
                yield Destination(ref, port.number), address, end


# ------------------------------------------------------------------ what is not tried


def _is_decided(pair: Pair) -> bool:
    """Whether the policies decide the pair, and a pod would answer if they allow it."""
    found = pair.prediction
    is_open_or_closed = {Verdict.ALLOWED, Verdict.TIMEOUT} & found.verdicts
    return found.not_judged is None and bool(is_open_or_closed)


def _undecided(pairs: Iterable[Pair]) -> Iterator[str]:
    found: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        if not _is_decided(pair):
            why = pair.prediction.not_judged or pair.prediction.judgement.undefined
            found[why or pair.prediction.judgement.reasons[-1].strip()].append(pair)
    for why, those in found.items():
        more = f" and {len(those) - 1} more pairs are" if len(those) > 1 else " is"
        yield f"{those[0]}{more} not tried: {why}"


def _without_pods(survey: Survey) -> Iterator[str]:
    known = {item.workload for item in survey.pods}
    for workload in survey.application.workloads:
        if str(workload) not in known:
            yield f"{workload} has no pod now"


def _by_nature(workloads: _Workloads) -> Iterator[str]:
    for title, pods in workloads.items():
        if all(item.obstacle for item in pods):
            yield f"no probe starts in {title}: {pods[0].obstacle}"
        inside = [item.pod for item in pods if not item.pod.host_network]
        if inside and not any(pod.ports for pod in inside):
            yield f"{title} declares no ports, so only ports that Services name are tried"
        for port in _other_ports(inside):
            yield (
                f"no verdict for {title}:{port.number}/{port.protocol}: a real server answers "
                f"no probe over {port.protocol}"
            )


def _other_ports(pods: Iterable[Pod]) -> Iterator[ContainerPort]:
    found = dict.fromkeys(port for pod in pods for port in pod.ports)
    yield from (port for port in found if port.protocol is not Protocol.TCP)


def _without_ready(workloads: _Workloads) -> Iterator[str]:
    for title, pods in workloads.items():
        if all(item.fault for item in pods):
            yield f"{title} has no pod that is ready: {pods[0].ref.name}: {pods[0].fault}"
