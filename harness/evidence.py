"""Evidence for denials: the pods, nodes and hosts behind the names of a probe in one State.

``app1/a`` is another pod after it was deleted and created again, and ``nodeport/app1/a@1``
gives another verdict, even without policies, when the pod behind it moves to another node. So a
connection is evidence for a pair only while the same pods, nodes and outside hosts are behind
its names. Labels matter only if a Service selects by them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace

from harness.model import (
    AbsoluteName,
    Address,
    External,
    ExternalRef,
    Labels,
    NodePortRef,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    Service,
    ServiceName,
    ServiceRef,
    State,
)

_SERVICE_DOMAIN = ["svc", "cluster", "local"]
_DNS_NAMESPACE = "kube-system"
_DNS_LABEL = ("k8s-app", "kube-dns")


@dataclass(frozen=True, slots=True)
class Backing:
    """The objects behind one end of a probe. Ends with equal backing answer alike.

    ``pods`` are without labels, each with the incarnation of its namespace; ``service`` is
    without its selector, and has only the probed port.
    """

    pods: frozenset[tuple[int, Pod]] = frozenset()
    external: External | None = None
    service: Service | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A probe with the objects behind its ends.

    An observation of one is evidence for an equal one.
    """

    probe: Probe
    source: Backing
    destination: Backing


class Topology:
    """Finds the objects behind the names of probes in one State; ignores policies."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._incarnations = {item.name: item.incarnation for item in state.namespaces}
        self._pods = {pod.ref: pod for pod in state.pods}
        self._services = {(s.namespace, s.name): s for s in state.services}
        self._externals = {item.name: item for item in state.externals}
        self._by_ip = {
            ipaddress.ip_address(ip): item
            for item in reversed(state.externals)
            for ip in item.addresses
        }
        self._endpoints: dict[tuple[str, str], frozenset[tuple[int, Pod]]] = {}
        self._found: dict[Probe, Evidence] = {}

    def evidence(self, probe: Probe) -> Evidence:
        """Return the probe with the objects behind its ends."""
        found = self._found.get(probe)
        if found is None:
            source = self._end(probe.source)
            found = Evidence(probe, source, self._destination(probe))
            self._found[probe] = found
        return found

    def _destination(self, probe: Probe) -> Backing:
        host = probe.destination.host
        match host:
            case PodRef() | NodeRef():
                return self._listening(host)
            case ExternalRef() | Address():
                return self._end(host)
            case ServiceRef() | NodePortRef():
                return self._service(probe, host.namespace, host.name)
            case ServiceName(namespace, name):
                return self._named(self._service(probe, namespace, name))
            case AbsoluteName(name):
                return self._named(self._absolute(probe, name.removesuffix(".")))

    def _end(self, host: PodRef | NodeRef | ExternalRef | Address) -> Backing:
        match host:
            case PodRef():
                return Backing(self._identities(pod for pod in [self._pods.get(host)] if pod))
            case ExternalRef(name):
                return Backing(external=self._externals.get(name))
            case Address(ip):
                return Backing(external=self._by_ip.get(ipaddress.ip_address(ip)))
            case NodeRef():
                return Backing()

    def _listening(self, host: PodRef | NodeRef) -> Backing:
        """Return the end with all pods that share its ports: the hostNetwork pods of its node."""
        pod = self._pods.get(host) if isinstance(host, PodRef) else None
        if isinstance(host, PodRef) and not (pod and pod.host_network):
            return self._end(host)
        node = host.index if isinstance(host, NodeRef) else pod.node if pod else 0
        sharing = [p for p in self._state.pods if p.host_network and p.node == node]
        return Backing(self._identities(sharing))

    def _service(self, probe: Probe, namespace: str, name: str) -> Backing:
        service = self._services.get((namespace, name))
        if service is None:
            return Backing()
        asked = (probe.destination.port, probe.destination.protocol)
        ports = tuple(port for port in service.ports if (port.number, port.protocol) == asked)
        shown = replace(service, selector=Labels(), ports=ports)
        return Backing(self._behind(service), service=shown)

    def _behind(self, service: Service) -> frozenset[tuple[int, Pod]]:
        key = (service.namespace, service.name)
        if key not in self._endpoints:
            self._endpoints[key] = self._identities(self._state.endpoints(service))
        return self._endpoints[key]

    def _absolute(self, probe: Probe, name: str) -> Backing:
        labels = name.split(".")
        if labels[2:] == _SERVICE_DOMAIN:
            return self._service(probe, labels[1], labels[0])
        having = (item for item in self._state.externals if name in item.dns_names)
        return Backing(external=next(having, None))

    def _named(self, backing: Backing) -> Backing:
        """Add the DNS servers that the scenario declares; every cluster has the others."""
        servers = [
            pod
            for pod in self._state.pods
            if pod.namespace == _DNS_NAMESPACE and _DNS_LABEL in pod.labels.items()
        ]
        return replace(backing, pods=backing.pods | self._identities(servers))

    def _identities(self, pods: Iterable[Pod]) -> frozenset[tuple[int, Pod]]:
        return frozenset(
            (self._incarnations.get(pod.namespace, 0), replace(pod, labels=Labels()))
            for pod in pods
        )
