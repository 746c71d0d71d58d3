"""Ports of rules that no pod has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.application import AppService
from harness.lint.kinds import finding
from harness.lint.knowledge import Knowledge, PartOfRule, listed, places
from harness.lint.values import Finding, Level, Related, Said
from harness.model import ContainerPort, Pod, Protocol
from harness.policy import Direction, PolicyPort
from harness.suggest import nearest_or_all

NAME = "unknown-port-name"
NUMBER = "port-matches-nothing"


def ports(known: Knowledge) -> Iterator[Finding]:
    """Find ports that no pod has for which the rule is."""
    for part in known.rules():
        pods = _destinations(known, part)
        for index, port in enumerate(part.rule.ports if pods else ()):
            here = replace(part, path=(*part.path, "ports", index, "port"))
            if isinstance(port.port, str):
                yield from _of_name(known, here, port, pods)
            elif port.port is not None:
                yield from _of_number(known, here, port, pods)


def _destinations(known: Knowledge, part: PartOfRule) -> tuple[Pod, ...]:
    """Return the pods whose ports a rule names; none if there may be others."""
    policy = part.item.policy
    if part.direction is Direction.INGRESS:
        return known.selected(policy)
    peers = part.rule.peers
    if not all(
        peer.ip_block is None and known.is_complete(policy.namespace, peer) for peer in peers
    ):
        return ()
    found = (pod for peer in peers for pod in known.matched(policy.namespace, peer))
    return tuple(dict.fromkeys(found))


def _of_name(
    known: Knowledge, part: PartOfRule, port: PolicyPort, pods: Sequence[Pod]
) -> Iterator[Finding]:
    """Find a name that none of the pods gives to a port of that protocol."""
    if _having(known, port, pods):
        return
    named = _under_another_protocol(known, port, pods)
    found = known.workloads(pods)
    fact = f"{part.where} no pod of {listed(found)} has a {port.protocol} port named {port.port!r}"
    if named is not None:
        hint = f"{port.port} is {_shown(named)}; write protocol: {named.protocol}"
    else:
        names = [item.name for pod in pods for item in pod.ports if item.name]
        hint = nearest_or_all(str(port.port), names, "names of their ports")
    place = known.place(part.item, part.path)
    yield finding(NAME, place, Said(fact, hint, places(found)))


def _of_number(
    known: Knowledge, part: PartOfRule, port: PolicyPort, pods: Sequence[Pod]
) -> Iterator[Finding]:
    """Find numbers that none of the pods declares, if all of them declare ports."""
    if _having(known, port, pods) or not all(pod.ports for pod in pods):
        return
    found = known.workloads(pods)
    fact = f"{part.where} no pod of {listed(found)} declares the port {_asked(port)}"
    place = known.place(part.item, part.path)
    service = _forwarding(known, port, pods)
    other = _under_another_protocol(known, port, pods)
    if other is not None:
        hint = f"they have {_shown(other)}; write protocol: {other.protocol}"
        yield finding(NUMBER, place, Said(fact, hint, places(found)))
    elif service is not None:
        yield finding(NUMBER, place, _of_service(known, fact, port, service))
    else:
        declared = ", ".join(dict.fromkeys(_shown(item) for pod in pods for item in pod.ports))
        hint = f"they declare {declared}; if they serve it all the same, add it to their ports"
        yield finding(NUMBER, place, Said(fact, hint, places(found)), Level.NOTE)


def _forwarding(known: Knowledge, port: PolicyPort, pods: Sequence[Pod]) -> AppService | None:
    """Return a Service of the pods that has the port itself, and leads to another one."""
    for service in known.services_of(pods):
        for item in service.ports:
            if item.protocol is port.protocol and item.number == port.port:
                return service
    return None


def _of_service(known: Knowledge, fact: str, port: PolicyPort, service: AppService) -> Said:
    index, forward = next(
        (index, item) for index, item in enumerate(service.ports) if item.number == port.port
    )
    path = ("spec", "ports", index, "port")
    location = known.application.written.at(service.location, path)
    hint = (
        f"{forward.number} is the port of {service}, which leads to the port {forward.target} of "
        f"its pods; a rule names the port of the pods: {forward.target}"
    )
    return Said(fact, hint, (Related(str(service), location),))


def _having(known: Knowledge, port: PolicyPort, pods: Sequence[Pod]) -> list[ContainerPort]:
    """Return the ports of the pods that an entry of ``ports`` matches."""
    return [item for pod in pods for item in known.judge.matching_ports(port, pod)]


def _under_another_protocol(
    known: Knowledge, port: PolicyPort, pods: Sequence[Pod]
) -> ContainerPort | None:
    others = (replace(port, protocol=item) for item in Protocol if item is not port.protocol)
    return next((item for other in others for item in _having(known, other, pods)), None)


def _asked(port: PolicyPort) -> str:
    last = "" if port.end_port is None else f"-{port.end_port}"
    return f"{port.port}{last}/{port.protocol}"


def _shown(item: ContainerPort) -> str:
    return f"{item.number}/{item.protocol}"
