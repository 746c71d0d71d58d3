"""What is on the cluster: values read from Kubernetes objects. Pure.

A ``View`` is frozen and replaced as a whole, so that probes may run during a sync.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from harness.cluster.networks import block_of_pods
from harness.errors import ClusterError
from harness.model import (
    ContainerPort,
    Destination,
    Family,
    Manifest,
    Networks,
    NodePortRef,
    NodeRef,
    Placement,
    Pod,
    PodRef,
    Probe,
    Protocol,
    Service,
    ServiceName,
    ServiceRef,
    State,
)
from harness.policy import Everybody, Placeholder

Object = dict[str, Any]

_HOPELESS = frozenset({
    "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError",
    "CreateContainerError", "RunContainerError", "CrashLoopBackOff", "StartError",
})  # fmt: skip
"""Reasons why a container waits, from which it does not recover without a change."""


def of_family(addresses: Sequence[str], family: Family) -> str | None:
    """Return the first address of a family, or None."""
    return next((item for item in addresses if ip_address(item).version == family), None)


@dataclass(frozen=True, slots=True)
class LiveNode:
    """A node that pods can be placed on."""

    name: str
    hostname: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LivePod:
    """A pod as it was when it became ready. Probes run in ``container``, and it serves there."""

    ref: PodRef | NodeRef
    namespace: str
    name: str
    uid: str
    addresses: tuple[str, ...]
    node: str
    container: str

    def fault(self, now: Object | None) -> str | None:
        """Return why this pod cannot answer any more, or None. ``now`` is its object, if any."""
        if now is None or now["metadata"]["uid"] != self.uid:
            return f"{self.ref} was deleted while probing"
        if now["metadata"].get("deletionTimestamp"):
            return f"{self.ref} is being deleted"
        if addresses(now) != self.addresses:
            return f"{self.ref} changed its address while probing"
        return None if is_ready(now) else f"{self.ref} is not ready: {why_not_ready(now)}"


@dataclass(frozen=True, slots=True)
class LiveService:
    """The addresses and node ports that a Service got."""

    addresses: tuple[str, ...]
    node_ports: Mapping[tuple[int, Protocol], int]


@dataclass(frozen=True, slots=True)
class View:
    """The cluster at one moment. Probes are resolved with it."""

    state: State = field(default_factory=lambda: State(scope=""))
    pods: Mapping[PodRef, LivePod] = field(default_factory=dict)
    services: Mapping[tuple[str, str], LiveService] = field(default_factory=dict)
    nodes: tuple[LiveNode, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)  # of namespaces, logical to real
    confined: Mapping[str, Manifest] = field(default_factory=dict)
    """The policies of the whole cluster, by their real names."""

    def node(self, index: int) -> LiveNode:
        """Return node ``index``, counted from 1; after the last node follows the first."""
        return self.nodes[(index - 1) % len(self.nodes)]

    def placements(self) -> tuple[Placement, ...]:
        """Return where the pods are, and the addresses of Services."""
        pods = [Placement(ref, pod.node, pod.addresses) for ref, pod in self.pods.items()]
        services = [
            Placement(ServiceRef(*key), "", live.addresses) for key, live in self.services.items()
        ]
        return (*pods, *services)

    def as_written(self, text: str) -> str:
        """Return a text in which policies of the whole cluster have their authors' names."""
        for real, item in self.confined.items():
            text = text.replace(real, item.name)
        return text

    def meant_by(self, placeholder: Placeholder, networks: Callable[[], Networks]) -> str:
        """Return the address, or the block of all pods, that a placeholder stands for.

        ``networks`` returns the ranges of the cluster. Raises ClusterError if there is none.
        """
        whose, family = placeholder.of, placeholder.family
        found = None
        match whose:
            case PodRef():
                pod = self.pods.get(whose)
                found = of_family(pod.addresses if pod else (), family)
            case NodeRef():
                found = of_family(self.node(whose.index).addresses, family)
            case Everybody.PODS:
                found = block_of_pods(networks(), family)
        if found is None:
            raise ClusterError(f"the cluster has no IPv{family.value} address for {placeholder}")
        return found

    def backends(self, probe: Probe) -> tuple[PodRef, ...]:
        """Return the pods that would answer a probe, as far as they are known."""
        match probe.destination.host:
            case PodRef() as ref:
                return (ref,)
            case ServiceRef(namespace, name) | ServiceName(namespace, name):
                return self._endpoints(self.state.service(namespace, name))
            case NodePortRef(namespace, name, _):
                return self._endpoints(self.state.service(namespace, name))
            case NodeRef(index):
                node = self.node(index)
                return tuple(pod.ref for pod in self.state.pods if self._is_on(pod, node))
            case _:
                return ()

    def answering(self, probe: Probe, backend: PodRef) -> tuple[ContainerPort, ...]:
        """Return the port of a backend that would answer a probe.

        If the backend does not serve it, its first port shows that the pod is running.
        """
        pod = self.state.pod(backend)
        ports = pod.ports if pod else ()
        meant, protocol = self._container_port(probe.destination), probe.destination.protocol
        found = [
            port
            for port in ports
            if port.protocol is protocol and meant in {port.number, port.name}
        ]
        return tuple(found or ports)[:1]

    def _container_port(self, destination: Destination) -> int | str:
        """Return the number or name of the port that a pod behind a destination gets."""
        match destination.host:
            case (
                ServiceRef(namespace, name)
                | ServiceName(namespace, name)
                | NodePortRef(namespace, name, _)
            ):
                service = self.state.service(namespace, name)
                return next(
                    (
                        port.target
                        for port in (service.ports if service else ())
                        if (port.number, port.protocol) == (destination.port, destination.protocol)
                    ),
                    destination.port,
                )
            case _:
                return destination.port

    def _endpoints(self, service: Service | None) -> tuple[PodRef, ...]:
        return tuple(pod.ref for pod in self.state.endpoints(service)) if service else ()

    def _is_on(self, pod: Pod, node: LiveNode) -> bool:
        live = self.pods.get(pod.ref)
        return pod.host_network and live is not None and live.node == node.name


# ------------------------------------------------------------------ reading objects


def nodes(items: Sequence[Object]) -> tuple[LiveNode, ...]:
    """Return the nodes that accept pods, by name: the workers, or all if there is no worker."""
    usable = [item for item in items if not item["spec"].get("unschedulable")]
    workers = [item for item in usable if not _repels(item)]
    return tuple(
        LiveNode(
            item["metadata"]["name"],
            item["metadata"]["labels"].get("kubernetes.io/hostname", item["metadata"]["name"]),
            tuple(
                found["address"]
                for found in item["status"].get("addresses", [])
                if found["type"] == "InternalIP"
            ),
        )
        for item in sorted(workers or usable, key=lambda item: str(item["metadata"]["name"]))
    )


def _repels(node: Object) -> bool:
    taints = node["spec"].get("taints") or []
    return any(taint["effect"] in {"NoSchedule", "NoExecute"} for taint in taints)


def addresses(pod: Object) -> tuple[str, ...]:
    """Return the addresses of a pod, of all families."""
    return tuple(item["ip"] for item in pod.get("status", {}).get("podIPs") or [])


def is_ready(pod: Object) -> bool:
    """Whether the kubelet reports the pod as ready."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def has_completed(pod: Object) -> bool:
    """Whether the pod has run to its end, and stays."""
    deleted = pod["metadata"].get("deletionTimestamp")
    return pod.get("status", {}).get("phase") == "Succeeded" and not deleted


def is_dead(pod: Object) -> bool:
    """Whether the pod will never run again."""
    return pod.get("status", {}).get("phase") in {"Failed", "Succeeded"}


def live_pod(ref: PodRef | NodeRef, pod: Object, container: str) -> LivePod:
    """Read a pod that is ready, to be probed from ``container``."""
    metadata = pod["metadata"]
    return LivePod(
        ref,
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        addresses(pod),
        pod["spec"].get("nodeName", ""),
        container,
    )


def live_service(service: Object) -> LiveService:
    """Read a Service as the API server returned it."""
    spec = service["spec"]
    return LiveService(
        tuple(ip for ip in spec.get("clusterIPs") or [] if ip != "None"),
        {
            (port["port"], Protocol(port.get("protocol", "TCP"))): port["nodePort"]
            for port in spec.get("ports") or []
            if port.get("nodePort")
        },
    )


def serving(slices: Sequence[Object]) -> frozenset[str]:
    """Return the ready addresses in the EndpointSlices of a Service."""
    return frozenset(
        address
        for item in slices
        for endpoint in item.get("endpoints") or []
        if endpoint.get("conditions", {}).get("ready", True)
        for address in endpoint["addresses"]
    )


def why_not_ready(pod: Object) -> str:
    """Return why a pod is not ready, as the kubelet reports it."""
    status = pod.get("status", {})
    for item in _waiting(pod):
        reason = f"{item.get('reason', 'waiting')}: {item.get('message', '')}"
        return f"its container is waiting: {reason.rstrip(': ')}"
    for item in status.get("conditions") or []:
        if item["status"] == "False" and item.get("message"):
            return f"{item.get('reason', item['type'])}: {item['message']}"
    phase = status.get("phase", "unknown")
    return f"phase {phase}" + (f": {status['message']}" if status.get("message") else "")


def is_hopeless(pod: Object) -> bool:
    """Whether the pod will not become ready, however long one waits."""
    return is_dead(pod) or any(item.get("reason") in _HOPELESS for item in _waiting(pod))


def _waiting(pod: Object) -> list[Object]:
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return [item["state"]["waiting"] for item in statuses if "waiting" in item.get("state", {})]
