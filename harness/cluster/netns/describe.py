"""What a person needs to know about the ends of wrong cells. Pure text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from harness.cluster.netns.addresses import Addresses, node_index
from harness.model import (
    ExternalRef,
    NodePortRef,
    NodeRef,
    Placement,
    PodRef,
    Probe,
    ServiceName,
    ServiceRef,
    State,
)


def describe_ends(state: State, addresses: Addresses, probes: Sequence[Probe]) -> str:
    """List the ends of the probes, with labels, addresses and nodes, and their policies."""
    found = _distinct(probes)
    lines = [line for end in found for line in _end(state, addresses, end)]
    namespaces = dict.fromkeys(
        end.namespace for end in found if isinstance(end, PodRef | ServiceRef | NodePortRef)
    )
    for name in namespaces:
        lines += _namespace(state, name)
    return "\n".join(lines)


def placements(addresses: Addresses) -> tuple[Placement, ...]:
    """Return where the pods are, and the addresses of Services."""
    pods = [
        Placement(ref, f"node/{addresses.node_of[ref]}", ips)
        for ref, ips in addresses.pods.items()
    ]
    services = [Placement(ServiceRef(*key), "", ips) for key, ips in addresses.services.items()]
    return (*pods, *services)


def nodes_of(addresses: Addresses, probes: Sequence[Probe]) -> tuple[int, ...]:
    """Return the nodes on which the pods among the ends run."""
    refs = [end for end in _distinct(probes) if isinstance(end, PodRef)]
    return tuple(sorted({addresses.node_of[ref] for ref in refs if ref in addresses.node_of}))


def _distinct(probes: Iterable[Probe]) -> tuple[object, ...]:
    return tuple(
        dict.fromkeys(end for probe in probes for end in (probe.source, probe.destination.host))
    )


def _end(state: State, addresses: Addresses, end: object) -> Iterator[str]:
    match end:
        case PodRef():
            pod = state.pod(end)
            if pod is None:
                yield f"{end}: does not exist"
                return
            ips = ", ".join(addresses.pods[end])
            ports = ", ".join(f"{p.number}/{p.protocol}" for p in pod.ports) or "none"
            where = f"node/{addresses.node_of[end]}" + (" (hostNetwork)" * pod.host_network)
            yield f"{end}: {pod.labels}; {ips}; {where}; ports {ports}"
        case NodeRef(index=index):
            yield f"{end}: {', '.join(addresses.nodes[node_index(index)])}"
        case ExternalRef(name=name):
            yield f"{end}: {', '.join(addresses.externals.get(name, ('does not exist',)))}"
        case ServiceRef() | ServiceName() | NodePortRef():
            yield from _service(state, addresses, end)
        case _:
            return


def _service(
    state: State, addresses: Addresses, end: ServiceRef | ServiceName | NodePortRef
) -> Iterator[str]:
    service = state.service(end.namespace, end.name)
    if service is None:
        yield f"{end}: does not exist"
        return
    ips = ", ".join(addresses.services[end.namespace, end.name]) or "headless"
    pods = ", ".join(str(pod.ref) for pod in state.endpoints(service)) or "none"
    node_ports = [
        f"{key[2]}/{key[3]} -> {port}"
        for key, port in addresses.node_ports.items()
        if key[:2] == (end.namespace, end.name)
    ]
    also = f"; node ports {', '.join(node_ports)}" if node_ports else ""
    yield f"{end}: {service.type}; {ips}; selects {service.selector}; endpoints {pods}{also}"


def _namespace(state: State, name: str) -> Iterator[str]:
    namespace = state.namespace(name)
    if namespace is None:
        yield f"namespace {name}: does not exist"
        return
    policies = [policy for policy in state.policies if policy.namespace == name]
    count = f"{len(policies)} {'policy' if len(policies) == 1 else 'policies'}"
    yield f"namespace {name}: {namespace.all_labels}; {count}"
    for policy in policies:
        yield f"  {policy}: {policy.json}"
