"""Create the pods of one run, and wait until they serve: those of the State and of nodes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from harness.cluster.kube import live, objects
from harness.cluster.kube.api import ApiError
from harness.cluster.kube.batch import BatchRunner
from harness.cluster.kube.inventory import Inventory
from harness.cluster.kube.live import LiveNode, LivePod
from harness.cluster.kube.objects import AGNHOST, Counting, Image, Naming, Object
from harness.cluster.kube.owned import Owned, ref_of
from harness.cluster.waiting import TimedOut, Wait
from harness.errors import ClusterError
from harness.model import CompletedPod, NodeRef, Pod, PodRef

_SERVE_S = 15.0  # for a ready pod to serve its ports


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the cluster may take, in seconds."""

    ready_s: float = 120.0  # for pods, image pull included, and for Services' endpoints
    gone_s: float = 60.0  # for what must be gone before its name is used again
    close_s: float = 120.0  # for all objects of the run, at the end


@dataclass(frozen=True, slots=True)
class PodSettings:
    """The image of pods, and how long they may take."""

    image: Image
    limits: Limits


class PodFactory:
    """Creates the pods of one run and worker. Every method may be called from many threads."""

    def __init__(
        self,
        owned: Owned,
        naming: Naming,
        settings: PodSettings,
        inventory: Inventory,
        batches: BatchRunner,
    ) -> None:
        self._owned = owned
        self._naming = naming
        self._image = settings.image
        self._limits = settings.limits
        self._inventory = inventory
        self._batches = batches
        self._on_nodes: dict[NodeRef, LivePod] = {}
        self._lock = threading.Lock()

    def create(
        self,
        item: Pod | CompletedPod,
        namespace: str,
        node: LiveNode,
        counting: Counting | None = None,
    ) -> None:
        """Create a pod of the State in a real namespace; does not wait."""
        wanted = self._object(item, namespace, node.hostname)
        if counting is not None and isinstance(item, Pod):
            wanted = objects.counting(wanted, item, self._image, counting)
        self._create(wanted, item.ref)

    def relabel(self, item: Pod | CompletedPod, namespace: str, removed: Iterable[str]) -> None:
        """Set the labels of a pod that exists, and remove others. Raises ClusterError."""
        self._owned.relabel(self._object(item, namespace, ""), removed)

    def _object(self, item: Pod | CompletedPod, namespace: str, hostname: str) -> Object:
        if isinstance(item, CompletedPod):
            return objects.completed_pod(item, self._naming, namespace, hostname, self._image)
        return objects.pod(item, self._naming, namespace, hostname, self._image)

    def _create(self, wanted: Object, ref: PodRef | NodeRef) -> None:
        def is_early(error: ApiError) -> bool:
            """Whether the namespace is younger than its service account."""
            return error.status == 403 and "serviceaccount" in error.message

        try:
            self._owned.create(wanted, self._limits.gone_s, is_early)
        except ApiError as error:
            raise ClusterError(f"pod {ref} cannot be created: {error}") from None

    def copy_pull_secrets(self, namespace: str) -> None:
        """Copy the image pull secrets into a real namespace, where its pods find them."""
        for source in self._image.pull_secrets:
            origin, name = source.split("/", 1)
            found = self._owned.api.get("v1", "Secret", name, origin)
            if found is None:
                raise ClusterError(
                    f"the image pull secret {source} does not exist", "name it as NAMESPACE/NAME"
                )
            metadata = {"name": name, "namespace": namespace, "labels": self._naming.labels}
            self._owned.create({
                **{key: found[key] for key in ("apiVersion", "kind", "type", "data")},
                "metadata": metadata,
            })  # fmt: skip

    def await_ready(self, waiting: Mapping[tuple[str, str], Pod]) -> dict[PodRef, LivePod]:
        """Wait until the pods, by real namespace and name, are ready and have addresses.

        Raises ClusterError that describes each pod which is not.
        """
        ready: dict[PodRef, LivePod] = {}
        last: dict[tuple[str, str], Object] = {}

        def missing() -> str | None:
            now = self._inventory.pods()
            for name, pod in waiting.items():
                found = now.get(name)
                if found is None or pod.ref in ready:
                    continue
                last[name] = found
                if live.is_ready(found) and live.addresses(found):
                    ready[pod.ref] = live.live_pod(pod.ref, found, AGNHOST)
                elif live.is_hopeless(found):
                    why = self._why_not_ready(found)
                    raise ClusterError(f"pod {pod.ref} does not start: {why}")
            late = len(waiting) - len(ready)
            return f"{late} of {len(waiting)} are not ready" if late else None

        try:
            self._until(missing, self._limits.ready_s, "pods to become ready")
        except TimedOut as error:
            late = {
                pod.ref: last.get(name) for name, pod in waiting.items() if pod.ref not in ready
            }
            raise self._with_reasons(error, late) from None
        return ready

    def _with_reasons(self, error: TimedOut, late: Mapping[PodRef, Object | None]) -> ClusterError:
        lines = [f"{ref}: {self._why_not_ready(found)}" for ref, found in late.items()]
        return ClusterError("\n".join([error.message, *lines]))

    def await_completed(self, waiting: Mapping[tuple[str, str], CompletedPod]) -> None:
        """Wait until the pods, by real namespace and name, have run to their end.

        Raises ClusterError that describes each pod which has not.
        """
        late: dict[PodRef, Object | None] = {}

        def missing() -> str | None:
            now = self._inventory.pods()
            late.clear()
            for name, pod in waiting.items():
                found = now.get(name)
                if found is not None and live.has_completed(found):
                    continue
                if found is not None and live.is_hopeless(found):
                    why = self._why_not_ready(found)
                    raise ClusterError(f"pod {pod.ref} does not complete: {why}")
                late[pod.ref] = found
            return f"{len(late)} of {len(waiting)} have not completed" if late else None

        try:
            self._until(missing, self._limits.ready_s, "pods to complete")
        except TimedOut as error:
            raise self._with_reasons(error, late) from None

    def await_ports(self, found: LivePod, pod: Pod) -> None:
        """Wait until a ready pod serves its ports."""
        self._until(
            lambda: self._batches.ports_fault(found, pod.ports),
            _SERVE_S,
            f"pod {pod.ref} to serve its ports",
        )

    def on_node(self, ref: NodeRef, node: LiveNode) -> LivePod:
        """Return a pod on the network of a node; the first call creates it."""
        with self._lock:
            if ref not in self._on_nodes:
                self._on_nodes[ref] = self._make_on_node(ref, node)
            return self._on_nodes[ref]

    def _make_on_node(self, ref: NodeRef, node: LiveNode) -> LivePod:
        naming = self._naming
        wanted = objects.node_namespace(naming)
        if not self._owned.holds(ref_of(wanted)):
            self._owned.create(wanted, self._limits.gone_s)
        name = f"node-{ref.index}"
        item = Pod(naming.nodes, name, node=ref.index, host_network=True)
        self._create(objects.pod(item, naming, naming.nodes, node.hostname, self._image), ref)
        made: list[Object] = []

        def missing() -> str | None:
            found = self._inventory.pods().get((naming.nodes, name))
            if found and live.is_hopeless(found):
                raise ClusterError(f"{ref} does not start: {self._why_not_ready(found)}")
            made[:] = [found] if found and live.is_ready(found) else []
            if made:
                return None
            return self._why_not_ready(found)

        self._until(missing, self._limits.ready_s, f"{ref} to become ready")
        return live.live_pod(ref, made[0], AGNHOST)

    def forget_nodes(self) -> None:
        """Forget the pods on nodes. Waits for a thread that creates one."""
        with self._lock:
            self._on_nodes.clear()

    def _why_not_ready(self, found: Object | None) -> str:
        return self._inventory.why_not_ready(found) if found else "it does not exist"

    def _until(self, missing: Callable[[], str | None], limit_s: float, what: str) -> None:
        Wait(limit_s, clock=self._owned.clock).until(missing, what)
