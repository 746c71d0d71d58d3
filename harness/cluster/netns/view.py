"""What probes need to know of the cluster: where they start, and which address they go to."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from harness.cluster.netns.addresses import Addresses, family_of, node_index, of_family
from harness.cluster.netns.names import Zone, service_name
from harness.model import (
    AbsoluteName,
    Address,
    Destination,
    ExternalRef,
    NodePortRef,
    NodeRef,
    PodRef,
    Probe,
    ServiceName,
    ServiceRef,
    Source,
    State,
)

_SOURCE_PORTS = range(33000, 65000)


class NoVerdict(Exception):
    """The probe cannot run, and why."""


class SourcePorts:
    """The source ports of one host, each used once before any is used again.

    A port that comes back soon could meet the conntrack entry of its last probe, and be let
    through as an established connection by a policy that denies it.
    """

    def __init__(self) -> None:
        self._next = 0

    def bind(self, sock: socket.socket) -> None:
        """Bind to the next port that nobody listens on. Raises OSError."""
        for _ in range(len(_SOURCE_PORTS)):
            port = _SOURCE_PORTS[self._next % len(_SOURCE_PORTS)]
            self._next += 1
            try:
                sock.bind(("", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


@dataclass(frozen=True, slots=True)
class SourceHost:
    """A network namespace in which probes start."""

    netns: int
    addresses: tuple[str, ...]
    source_ports: SourcePorts


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What probes need to know of the cluster at one moment."""

    state: State
    addresses: Addresses
    hosts: Mapping[Source, SourceHost]
    zone: Zone


def resolve(view: ClusterView, probe: Probe) -> tuple[str, int] | str:
    """Return where the probe goes: an address and port, or a name to look up first.

    Raises NoVerdict where the cluster has no such thing.
    """
    destination = probe.destination
    match destination.host:
        case ServiceName(namespace=namespace, name=name):
            return service_name(namespace, name)
        case AbsoluteName(name=name):
            return name.rstrip(".") + "."
        case Address(ip=ip):
            return ip, destination.port
        case NodePortRef():
            return _node_port(view.addresses, probe)
        case PodRef() | NodeRef() | ExternalRef() | ServiceRef():
            pass
    ip_ = of_family(_addresses(view.addresses, destination), probe.family)
    if ip_ is None:
        raise NoVerdict(f"{destination.host} has no IPv{probe.family} address")
    return ip_, destination.port


def _node_port(addresses: Addresses, probe: Probe) -> tuple[str, int]:
    destination = probe.destination
    host = destination.host
    assert isinstance(host, NodePortRef)  # noqa: S101 - narrowed by the caller
    key = (host.namespace, host.name, destination.port, destination.protocol)
    number = addresses.node_ports.get(key)
    if number is None:
        raise NoVerdict(f"{destination} has no node port")
    ip = of_family(addresses.nodes[node_index(host.node)], probe.family)
    if ip is None:
        raise NoVerdict(f"this cluster has no IPv{probe.family}")
    return ip, number


def _addresses(addresses: Addresses, destination: Destination) -> tuple[str, ...]:
    found: tuple[str, ...] | None
    match destination.host:
        case PodRef() as ref:
            found = addresses.pods.get(ref)
        case NodeRef(index=index):
            found = addresses.nodes[node_index(index)]
        case ExternalRef(name=name):
            found = addresses.externals.get(name)
        case ServiceRef(namespace=namespace, name=name):
            found = addresses.services.get((namespace, name))
        case _:
            found = None
    if found is None:
        raise NoVerdict(f"{destination.host} does not exist")
    return found


def source_host(view: ClusterView, probe: Probe) -> SourceHost:
    """Return where the probe starts. Raises NoVerdict where it cannot start there."""
    source = probe.source
    if isinstance(source, NodeRef):
        source = NodeRef(node_index(source.index))
    host = view.hosts.get(source)
    if host is None:
        raise NoVerdict(f"{source} does not exist")
    target = probe.destination.host
    family = family_of(target.ip) if isinstance(target, Address) else probe.family
    if of_family(host.addresses, family) is None:
        raise NoVerdict(f"{source} has no IPv{family} address")
    return host
