"""Conflicts that a step leaves behind, as problems with their places."""

from __future__ import annotations

from collections.abc import Iterable

from harness.documents.problems import Problems
from harness.scenario.places import Place, Places
from harness.scenario.topology import Conflict, Fact, TopologyBuilder
from harness.suggest import nearest


def report(
    conflicts: Iterable[Conflict], builder: TopologyBuilder, places: Places, problems: Problems
) -> None:
    """Report what cannot work in the state of a builder."""
    for conflict in conflicts:
        place = places[conflict.kind, conflict.name]
        called = f"{conflict.kind} {conflict.name}"
        match conflict.fact:
            case Fact.NO_PORTS:
                problems.add(place.key(), f"{called} has no ports", "ports: [80]")
            case Fact.REPLACED:
                fact = f"{called} is deleted and made again in one step"
                hint = "to be seen gone, it needs a step between the two"
                problems.add(place.key(), fact, hint)
            case Fact.FAMILY_TWICE:
                hint = "one for each family"
                problems.add(place.value("ip"), "two addresses of one family", hint)
            case Fact.ADDRESS_TAKEN:
                _address_taken(conflict, builder, place, problems)
            case Fact.HOST_PORT_TAKEN:
                problems.add(place.key(), *_host_port_taken(conflict, builder))
            case _:
                _report_port(conflict, builder, place, problems)


def _report_port(
    conflict: Conflict, builder: TopologyBuilder, place: Place, problems: Problems
) -> None:
    at = place.value("ports", conflict.port)
    match conflict.fact:
        case Fact.PORT_TWICE:
            fact = f"port {conflict.detail} stands twice"
            problems.add(at, fact, "remove one of them")
        case Fact.PORT_NAME_TWICE:
            fact = f"two ports are called {conflict.detail!r}"
            problems.add(at, fact, "rename one")
        case Fact.NO_TARGET:
            target = place.value("ports", conflict.port, "targetPort")
            problems.add(target, *_no_target(conflict, builder))
        case _:
            raise AssertionError(f"no state has this: {conflict}")


def _no_target(conflict: Conflict, builder: TopologyBuilder) -> tuple[str, str]:
    namespace, _, name = conflict.name.partition("/")
    service = builder.service(namespace, name)
    endpoints = builder.state().endpoints(service)
    known = [str(port.name) for pod in endpoints for port in pod.ports if port.name]
    pods = ", ".join(str(pod.ref) for pod in endpoints[:3])
    protocol = service.ports[conflict.port].protocol
    fact = f"no pod behind Service {conflict.name} has a {protocol} port called "
    return (
        f"{fact}{conflict.detail!r}",
        nearest(conflict.detail, known) or f"its pods are {pods}",
    )


def _host_port_taken(conflict: Conflict, builder: TopologyBuilder) -> tuple[str, str]:
    pods = builder.state().pods
    pod = next(item for item in pods if str(item.ref) == conflict.name)
    number = pod.ports[conflict.port].number
    fact = f"port {number} of node {pod.node} is {conflict.detail}'s already"
    return fact, "pods with hostNetwork share the node's ports"


def _address_taken(
    conflict: Conflict, builder: TopologyBuilder, place: Place, problems: Problems
) -> None:
    externals = builder.state().externals
    word = conflict.detail
    owner = next(item for item in externals if word in (*item.addresses, *item.dns_names))
    names = next(item for item in externals if item.name == conflict.name).dns_names
    key = "names" if word in names else "ip"
    fact = f"{word} belongs to external {owner.name!r} already"
    problems.add(place.value(key), fact, "one host for each address and name")
