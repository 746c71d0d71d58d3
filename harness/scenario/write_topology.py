"""The topology of a Scenario as YAML: namespaces, pods, Services, outside hosts and networks."""

from __future__ import annotations

import graphlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from harness.model import (
    CompletedPod,
    ContainerPort,
    External,
    ExternalTrafficPolicy,
    Labels,
    Namespace,
    Networks,
    Pod,
    Protocol,
    Service,
    ServicePort,
    ServiceType,
)
from harness.scenario.write_table import Unwritable
from harness.scenario.yaml_text import Layout, Listed, Mapped, Node

Entries = Iterator[tuple[str, Node]]
Item = Namespace | Pod | CompletedPod | Service


@dataclass(slots=True)
class Placement:
    """Which pods say their node: all, or those that the turns of node 1 and 2 do not give it."""

    always: bool
    written: list[int] = field(default_factory=list)
    next: int = 1

    def of(self, pod: Pod | CompletedPod) -> Entries:
        """Yield the node of the next pod in the file, if it is written."""
        if not self.always and pod.node == self.next:
            self.next = 3 - self.next
        else:
            self.written.append(pod.node)
            yield "node", pod.node


@dataclass(slots=True)
class _Contents:
    """What is created in one namespace."""

    labels: Labels = field(default_factory=Labels)
    pods: list[Pod | CompletedPod] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)


def namespaces(items: Iterable[Item], placement: Placement) -> Mapped:
    """Return namespaces with what is created in them."""
    found: dict[str, _Contents] = {}
    for item in items:
        match item:
            case Namespace(name, labels):
                found.setdefault(name, _Contents()).labels = labels
            case Pod() | CompletedPod():
                found.setdefault(item.namespace, _Contents()).pods.append(item)
            case Service():
                found.setdefault(item.namespace, _Contents()).services.append(item)
    spaces = [(name, _namespace(contents, placement)) for name, contents in found.items()]
    return Mapped(tuple(spaces), Layout.OPEN)


def in_one_order(*kinds: Sequence[Item]) -> list[Item]:
    """Return all, sorted so that the things of a namespace stand together.

    The namespaces, and the things of each kind by their namespaces, keep their order.
    """
    order: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for names in ([_home(item) for item in items] for items in kinds):
        once = list(dict.fromkeys(names))
        for name in once:
            order.add(name)
        for before, after in itertools.pairwise(once):
            order.add(after, before)
    try:
        places = {name: place for place, name in enumerate(order.static_order())}
    except graphlib.CycleError:
        raise Unwritable("no order of the namespaces gives this order of their pods") from None

    return sorted(itertools.chain(*kinds), key=lambda item: places[_home(item)])


def _home(item: Item) -> str:
    """Return the namespace of an item; that of a namespace is itself."""
    return item.name if isinstance(item, Namespace) else item.namespace


def _in_turns(pods: Sequence[Pod | CompletedPod], node: int) -> Sequence[Pod | CompletedPod]:
    """Return pods in an order in which the turns of node 1 and 2 give all of them their nodes.

    A State does not say which completed pods stood between the others. ``node`` is the next.
    If there is no such order, they stay as they are.
    """
    running = [pod for pod in pods if isinstance(pod, Pod)]
    completed = [pod for pod in pods if isinstance(pod, CompletedPod)]
    orders: dict[int, tuple[Pod | CompletedPod, ...]] = {0: ()}  # by the number of running pods
    for taken in range(len(pods)):
        longer: dict[int, tuple[Pod | CompletedPod, ...]] = {}
        for i, order in orders.items():
            for first, pod in ((i, completed[taken - i :]), (i + 1, running[i:])):
                if pod and pod[0].node == node:
                    longer[first] = (*order, pod[0])
        orders, node = longer, 3 - node
    return orders.get(len(running), pods)


def _namespace(contents: _Contents, placement: Placement) -> Mapped:
    in_turns = contents.pods if placement.always else _in_turns(contents.pods, placement.next)
    pods = tuple((pod.name, _pod(pod, placement)) for pod in in_turns)
    services = tuple((service.name, _service(service)) for service in contents.services)
    entries = (
        *unless_empty("labels", _labels(contents.labels)),
        *unless_empty("pods", Mapped(pods, open_if(len(pods) > 1))),
        *unless_empty("services", Mapped(services, open_if(len(services) > 1))),
    )
    return Mapped(entries, open_if(len(entries) > 1))


def open_if(several: bool) -> Layout:
    """Return the layout of what has one or several parts."""
    return Layout.OPEN if several else Layout.FIT


def _labels(labels: Labels) -> Mapped:
    return Mapped(tuple(labels.items()))


def _pod(pod: Pod | CompletedPod, placement: Placement) -> Mapped:
    entries: list[tuple[str, Node]] = []
    entries += unless_empty("labels", _labels(pod.labels))
    if isinstance(pod, CompletedPod):
        entries.append(("completes", True))
    else:
        entries += [("hostNetwork", True)] if pod.host_network else []
        entries += unless_empty("ports", Listed(tuple(map(_container_port, pod.ports))))
        entries += [("readiness", str(pod.readiness))] if pod.readiness else []
    entries += placement.of(pod)
    return Mapped(tuple(entries))


def _service(service: Service) -> Mapped:
    entries: list[tuple[str, Node]] = []
    if service.type is not ServiceType.CLUSTER_IP:
        entries.append(("type", str(service.type)))
    if service.external_traffic_policy is not ExternalTrafficPolicy.CLUSTER:
        entries.append(("externalTrafficPolicy", str(service.external_traffic_policy)))
    entries.append(("selector", _labels(service.selector)))
    entries += unless_empty("ports", Listed(tuple(map(_service_port, service.ports))))
    return Mapped(tuple(entries))


def _container_port(port: ContainerPort) -> Node:
    if port.name is None:
        return _number(port.number, port.protocol)
    return Mapped((("name", port.name), ("port", port.number), *_protocol(port.protocol)))


def _service_port(port: ServicePort) -> Node:
    if port.name is None and port.target == port.number:
        return _number(port.number, port.protocol)
    entries: list[tuple[str, Node]] = [] if port.name is None else [("name", port.name)]
    entries.append(("port", port.number))
    if port.target != port.number:
        entries.append(("targetPort", port.target))
    return Mapped((*entries, *_protocol(port.protocol)))


def _number(number: int, protocol: Protocol) -> Node:
    return number if protocol is Protocol.TCP else f"{number}/{protocol}"


def _protocol(protocol: Protocol) -> Entries:
    if protocol is not Protocol.TCP:
        yield "protocol", str(protocol)


def outside_hosts(externals: Iterable[External]) -> Mapped:
    """Return outside hosts with their addresses, ports and names."""
    found = []
    for external in externals:
        entries = [
            ("ip", _one_or_list(external.addresses)),
            *unless_empty("ports", Listed(tuple(map(_container_port, external.ports)))),
            *unless_empty("names", Listed(external.dns_names)),
        ]
        found.append((external.name, Mapped(tuple(entries))))
    return Mapped(tuple(found), Layout.OPEN)


def ranges(networks: Networks) -> Mapped:
    """Return the address ranges that the scenario sets."""
    kinds = (
        ("pods", networks.pods),
        ("services", networks.services),
        ("nodes", networks.nodes),
    )
    return Mapped(tuple((key, _one_or_list(found)) for key, found in kinds if found))


def _one_or_list(words: tuple[str, ...]) -> Node:
    return words[0] if len(words) == 1 else Listed(words)


def unless_empty(key: str, value: Mapped | Listed) -> Entries:
    """Yield a key with its value, unless that is empty."""
    if value.entries if isinstance(value, Mapped) else value.items:
        yield key, value
