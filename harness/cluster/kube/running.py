"""The pods that run on a cluster, as values: their labels, ports and places. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.cluster.kube import live
from harness.cluster.kube.live import LivePod
from harness.model import ContainerPort, Family, Labels, Pod, PodRef, Protocol

Object = dict[str, Any]

_PROXIES = frozenset({"istio-proxy", "linkerd-proxy"})
"""Sidecars that take over the connections of their pod: they accept whatever it connects to."""


@dataclass(frozen=True, slots=True)
class RunningPod:
    """A pod that runs, and ``workload``, which owns it or is it: ``Deployment shop/web``.

    ``live.container`` is empty: no probe can run there yet. ``obstacle`` is why none ever can, or
    None; ``fault`` why it does not answer, or None.
    """

    pod: Pod
    live: LivePod
    workload: str
    obstacle: str | None = None
    fault: str | None = None

    @property
    def ref(self) -> PodRef:
        return self.pod.ref

    @property
    def address(self) -> str | None:
        """Its first IPv4 address."""
        return live.of_family(self.live.addresses, Family.V4)


def running_pod(item: Object, workload: str, node: int) -> RunningPod:
    """Read a pod; ``node`` is the number of its node in a State."""
    metadata, spec = item["metadata"], item["spec"]
    ref = PodRef(metadata["namespace"], metadata["name"])
    host_network = bool(spec.get("hostNetwork"))
    labels = Labels(metadata.get("labels") or {})
    pod = Pod(ref.namespace, ref.name, labels, tuple(_ports(spec)), node, host_network)
    return RunningPod(pod, live.live_pod(ref, item, ""), workload, _obstacle(item), _fault(item))


def _ports(spec: Object) -> Iterator[ContainerPort]:
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    seen: set[tuple[int, Protocol]] = set()
    for container in (*sidecars, *(spec.get("containers") or ())):
        for port in container.get("ports") or ():
            number, protocol = port["containerPort"], Protocol(port.get("protocol", "TCP"))
            if (number, protocol) not in seen:
                seen.add((number, protocol))
                yield ContainerPort(number, protocol, port.get("name"))


def _fault(item: Object) -> str | None:
    if item["metadata"].get("deletionTimestamp"):
        return "it is being deleted"
    if not live.is_ready(item):
        return f"it is not ready: {live.why_not_ready(item)}"
    if live.of_family(live.addresses(item), Family.V4) is None:
        return "it has no IPv4 address"
    return None


def _obstacle(item: Object) -> str | None:
    spec = item["spec"]
    if spec.get("hostNetwork"):
        return "it is on the network of its node, so no policy applies to it as to a pod"
    if (spec.get("os") or {}).get("name") == "windows":
        return "it runs on Windows, and agnhost needs Linux"
    names = {c["name"] for key in ("initContainers", "containers") for c in spec.get(key) or ()}
    for name in sorted(names & _PROXIES):
        return f"its sidecar {name} answers its connections itself, so a probe would show nothing"
    return None
