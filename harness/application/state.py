"""The pods of workloads, and the State that an application is on a cluster.

Pods of one workload have the same labels and ports, so one or two stand for all. Those of a
StatefulSet have a label of their own each.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.application.values import Application, AppService, Reach, Workload, WorkloadKind
from harness.model import (
    ContainerPort,
    External,
    Labels,
    Namespace,
    Pod,
    PodRef,
    Protocol,
    Service,
    ServicePort,
    ServiceType,
    State,
)

MOST_REPLICAS = 10
"""How many pods of a StatefulSet there are at most; the others have labels of the same kind."""
_TYPES = {
    Reach.CLUSTER_IP: ServiceType.CLUSTER_IP,
    Reach.HEADLESS: ServiceType.HEADLESS,
    Reach.NODE_PORT: ServiceType.NODE_PORT,
    Reach.LOAD_BALANCER: ServiceType.NODE_PORT,
}
_FIRST_HOST_NODE = 2
"""All other pods are on node 1."""
_DNS = ("kube-system", Labels({"k8s-app": "kube-dns"}))


@dataclass(frozen=True, slots=True)
class Deployed:
    """A workload and the pods that stand for it; none if it asks for none.

    ``title`` is ``namespace/name``, with the kind if another workload has the same name.
    """

    workload: Workload
    title: str
    pods: tuple[Pod, ...]


def deployed(application: Application) -> tuple[Deployed, ...]:
    """Return the workloads with their pods; each hostNetwork pod has a node of its own."""
    names = Counter((item.namespace, item.name) for item in application.workloads)
    found: list[Deployed] = []
    taken: set[PodRef] = set()
    node = _FIRST_HOST_NODE
    for item in application.workloads:
        is_alone = names[item.namespace, item.name] == 1
        title = f"{item.namespace}/{item.name}"
        ports = tuple(_served(item, application.services))
        named = (tuple(_pods(item, base, ports, node)) for base in _bases(item, is_alone))
        pods = next(made for made in named if not any(pod.ref in taken for pod in made))
        taken.update(pod.ref for pod in pods)
        node += len(pods) if item.host_network else 0
        found.append(Deployed(item, title if is_alone else f"{title} ({item.kind})", pods))
    return tuple(found)


def _bases(item: Workload, is_alone: bool) -> Iterator[str]:
    """Yield what the names of the pods may begin with, the shortest first."""
    if is_alone or item.kind is WorkloadKind.STATEFUL_SET:
        yield item.name
    yield (with_kind := f"{item.name}-{item.kind.lower()}")
    yield from (f"{with_kind}-{number}" for number in itertools.count(2))


def _served(item: Workload, services: Iterable[AppService]) -> Iterator[ContainerPort]:
    """Yield the ports that pods declare, and those that Services expect them to have."""
    known = {(port.number, port.protocol) for port in item.ports}
    for port in item.ports:
        yield ContainerPort(port.number, port.protocol, port.name)
    for service in services:
        selector = service.selector
        if service.namespace != item.namespace or selector is None:
            continue
        if selector.items() <= item.labels.items():
            for forward in service.ports:
                number, protocol = forward.target, forward.protocol
                if isinstance(number, int) and (number, protocol) not in known:
                    known.add((number, protocol))
                    yield ContainerPort(number, protocol)


def _pods(item: Workload, base: str, ports: tuple[ContainerPort, ...], node: int) -> Iterator[Pod]:
    """Yield the pods of a workload; ``node`` is the first that no hostNetwork pod has yet."""
    if item.kind is WorkloadKind.STATEFUL_SET:
        first = item.first_ordinal
        named = [
            (f"{base}-{number}", _of_replica(item, number))
            for number in range(first, first + min(item.replicas, MOST_REPLICAS))
        ]
    elif item.kind is WorkloadKind.DAEMON_SET or item.replicas > 1:
        named = [(f"{base}-{number}", item.labels) for number in (1, 2)]
    else:
        named = [(base, item.labels)] * item.replicas
    for offset, (name, labels) in enumerate(named):
        at = node + offset if item.host_network else 1
        yield Pod(item.namespace, name, labels, ports, at, item.host_network)


def _of_replica(item: Workload, number: int) -> Labels:
    return Labels(
        {
            **item.labels,
            "apps.kubernetes.io/pod-index": str(number),
            "statefulset.kubernetes.io/pod-name": f"{item.name}-{number}",
        }
    )


def state(
    application: Application, workloads: Sequence[Deployed], externals: Sequence[External] = ()
) -> State:
    """Return the State of an application.

    Services whose endpoints the manifests do not show are not in it.
    """
    namespaces = tuple(Namespace(item.name, item.labels) for item in application.namespaces)
    pods = tuple(pod for item in workloads for pod in item.pods)
    services = tuple(
        service for item in application.services if (service := modelled(item)) is not None
    )
    found = State(
        scope="application",
        namespaces=namespaces,
        pods=pods,
        services=services,
        externals=tuple(externals),
        policies=(*application.policies, *application.not_judged),
        exact_names=True,
    )
    return with_dns(found)


def with_dns(state: State) -> State:
    """Add the cluster's DNS to a State that has its namespace, and no pod like it."""
    namespace, labels = _DNS
    if state.namespace(namespace) is None or any(
        pod.namespace == namespace and labels.items() <= pod.labels.items() for pod in state.pods
    ):
        return state
    dns = (ContainerPort(53, Protocol.UDP, "dns"), ContainerPort(53, Protocol.TCP, "dns-tcp"))
    ports = tuple(ServicePort(port.number, port.number, port.protocol) for port in dns)
    is_there = state.service(namespace, "kube-dns") is not None
    added = () if is_there else (Service(namespace, "kube-dns", labels, ports),)
    return replace(
        state,
        pods=(*state.pods, Pod(namespace, "kube-dns", labels, dns)),
        services=(*state.services, *added),
    )


def modelled(item: AppService) -> Service | None:
    """Return a Service as a State has it; None if the manifests do not show its endpoints."""
    if item.selector is None or item.reach is Reach.EXTERNAL_NAME:
        return None
    return Service(
        item.namespace,
        item.name,
        item.selector,
        item.ports,
        _TYPES[item.reach],
        item.external_traffic_policy,
    )
