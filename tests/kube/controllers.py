"""What controllers and kubelets do to objects some time after the API server took them.

A namespace gets its service account, a pod gets a node and addresses, a Service its
EndpointSlice; and what is deleted ends later: a pod after its grace, a namespace after its
content. Time is virtual: it passes only when somebody sleeps.
"""

from __future__ import annotations

import functools
import heapq
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cluster_state import ClusterState, Key

Object = dict[str, Any]


class VirtualClock:
    """A clock that only sleeping moves. Safe to use from many threads."""

    def __init__(self) -> None:
        self._now = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds


@dataclass(slots=True)
class Delays:
    """How long things take, in virtual seconds."""

    account: float = 0.3  # until a namespace has its default service account
    scheduled: float = 0.1  # until a pod has a node
    ready: float = 1.0  # until it is ready; ``inf`` for never
    completed: float = 1.0  # until a pod that is never restarted has ended
    stopped: float = 0.5  # until the kubelet has stopped a pod, beside its grace
    emptied: float = 1.0  # until the content of a deleted namespace is gone
    removed: float = 2.0  # until the namespace is
    counted: float = 0.0  # until the status of a DaemonSet shows that a pod came or went


class Controllers:
    """Acts on the objects of one ClusterState, which holds the lock."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def catch_up(self) -> None:
        """Do what is due."""
        while self._due and self._due[0][0] <= self._state.clock.now():
            heapq.heappop(self._due)[2]()

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        at = self._state.clock.now() + seconds
        heapq.heappush(self._due, (at, self._state.serial(), work))

    def _live(self, key: Key, uid: str) -> Object | None:
        """Return the object if it is the same as when the work began."""
        found = self._state.objects.get(key)
        return found if found and found["metadata"]["uid"] == uid else None

    # ------------------------------------------------------------------ the beginning

    def begin(self, key: Key, item: Object) -> None:
        """Fill in what the API server adds to a new object, and start what comes later."""
        uid, delays = item["metadata"]["uid"], self._state.delays
        match key.kind:
            case "Namespace":
                labels = item["metadata"].setdefault("labels", {})
                labels["kubernetes.io/metadata.name"] = key.name
                item["spec"] = {"finalizers": ["kubernetes"]}
                item["status"] = {"phase": "Active"}
                self._later(delays.account, lambda: self._make_account(key, uid))
            case "Pod":
                item["status"] = {"phase": "Pending"}
                self._later(delays.scheduled, lambda: self._schedule(key, uid))
                self._later(delays.ready, lambda: self._start(key, uid))
            case "Service":
                self._allocate(item["spec"])

    def _make_account(self, key: Key, uid: str) -> None:
        home = self._live(key, uid)
        if home is not None and home["status"]["phase"] == "Active":
            metadata = {"name": "default", "namespace": key.name}
            self._state.put({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})

    def _schedule(self, key: Key, uid: str) -> None:
        pod = self._live(key, uid)
        if pod is None:
            return
        wanted = (pod["spec"].get("nodeSelector") or {}).items()
        for at, node in self._state.objects.items():
            if at.kind == "Node" and wanted <= node["metadata"]["labels"].items():
                pod["spec"]["nodeName"] = at.name
                self._state.store(key, pod)
                return

    def _start(self, key: Key, uid: str) -> None:
        pod = self._live(key, uid)
        if pod is None or not pod["spec"].get("nodeName"):
            return
        number = self._state.serial()
        address = f"10.244.{number // 250 % 250}.{number % 250 + 1}"
        pod["status"] = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        self._state.store(key, pod)
        if pod["spec"].get("restartPolicy") == "Never":
            self._later(self._state.delays.completed, lambda: self._complete(key, uid))

    def start_containers(self, key: Key) -> None:
        """Start the ephemeral containers of a pod, some time later."""
        uid = self._state.objects[key]["metadata"]["uid"]
        self._later(self._state.delays.ready, lambda: self._run_containers(key, uid))

    def _run_containers(self, key: Key, uid: str) -> None:
        pod = self._live(key, uid)
        if pod is not None:
            pod["status"]["ephemeralContainerStatuses"] = [
                {"name": item["name"], "state": self._state.containers}
                for item in pod["spec"]["ephemeralContainers"]
            ]
            self._state.store(key, pod)

    def _complete(self, key: Key, uid: str) -> None:
        pod = self._live(key, uid)
        if pod is not None:
            done = {"type": "Ready", "status": "False", "reason": "PodCompleted"}
            pod["status"] |= {"phase": self._state.ends_as, "conditions": [done]}
            self._state.store(key, pod)

    def _allocate(self, spec: Object) -> None:
        number = self._state.serial()
        if spec.get("clusterIP") != "None":
            spec["clusterIP"] = f"10.96.{number // 250 % 250}.{number % 250 + 1}"
        spec["clusterIPs"] = [spec["clusterIP"]]
        if spec.get("type") == "NodePort":
            for port in spec["ports"]:
                port.setdefault("nodePort", 30000 + self._state.serial() % 2768)

    # ------------------------------------------------------------------ EndpointSlices

    def slices(self) -> Iterator[Object]:
        """Derive the EndpointSlices from the Services and the pods that are ready."""
        for key, service in self._state.objects.items():
            chosen = (service.get("spec") or {}).get("selector")
            if key.kind == "Service" and chosen:
                yield self._slice(key, service["metadata"], chosen)

    def _slice(self, key: Key, metadata: Object, chosen: dict[str, str]) -> Object:
        addresses = [
            pod["status"]["podIP"]
            for at, pod in self._state.objects.items()
            if (at.kind, at.namespace) == ("Pod", key.namespace)
            and chosen.items() <= (pod["metadata"].get("labels") or {}).items()
            and "podIP" in (pod.get("status") or {})
            and "deletionTimestamp" not in pod["metadata"]
            and pod["status"].get("phase") not in {"Succeeded", "Failed"}
        ]
        labels = {**(metadata.get("labels") or {}), "kubernetes.io/service-name": key.name}
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{key.name}-x", "namespace": key.namespace, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ip], "conditions": {"ready": True}} for ip in addresses],
        }

    # ------------------------------------------------------------------ the end

    def takes_time(self, key: Key, item: Object) -> bool:
        """Whether an object stays for a while after its deletion was asked."""
        on_node = key.kind == "Pod" and item["spec"].get("nodeName")
        return bool(key.kind == "Namespace" or on_node or item["metadata"].get("finalizers"))

    def end(self, key: Key, item: Object) -> None:
        """Start the end of an object."""
        metadata, delays = item["metadata"], self._state.delays
        uid = metadata["uid"]
        match key.kind:
            case "Namespace":
                item["status"]["phase"] = "Terminating"
                self._later(delays.emptied, lambda: self._empty(key, uid))
                self._later(delays.removed, lambda: self._remove(key, uid))
            case "Pod":
                grace = item["spec"].get("terminationGracePeriodSeconds", 30)
                metadata["deletionGracePeriodSeconds"] = grace
                self._later(grace + delays.stopped, lambda: self._remove(key, uid))
                self._replace_agent(item, grace + delays.stopped + delays.ready)

    def _replace_agent(self, pod: Object, seconds: float) -> None:
        """Let the DaemonSet of a pod, if it has one, make it again; until then it is not ready."""
        owners = pod["metadata"].get("ownerReferences") or []
        for key, item in self._state.objects.items():
            if item["metadata"]["uid"] in [owner["uid"] for owner in owners]:
                self._later(self._state.delays.counted, functools.partial(self._count, key, -1))
                self._later(seconds, functools.partial(self._make_agent, key, pod))

    def _make_agent(self, key: Key, old: Object) -> None:
        metadata = {**old["metadata"]}
        metadata.pop("deletionTimestamp", None)
        self._state.put(old | {"metadata": metadata})
        self._later(self._state.delays.counted, functools.partial(self._count, key, 1))

    def _count(self, key: Key, change: int) -> None:
        self._state.objects[key]["status"]["numberReady"] += change

    def changed(self, key: Key, item: Object) -> None:
        """Remove an object that only waited for its finalizers."""
        metadata = item["metadata"]
        if "deletionTimestamp" in metadata and key.kind not in {"Namespace", "Pod"}:
            self._remove(key, metadata["uid"])

    def _empty(self, key: Key, uid: str) -> None:
        if self._live(key, uid) is not None:
            for inner in [item for item in self._state.objects if item.namespace == key.name]:
                del self._state.objects[inner]

    def _remove(self, key: Key, uid: str) -> None:
        found = self._live(key, uid)
        if found is not None and not found["metadata"].get("finalizers"):
            del self._state.objects[key]
