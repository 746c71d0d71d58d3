"""The CNI's own workloads: which of them are not ready, and the restart of its agents.

The pods of its DaemonSets are the only objects that the harness deletes without having made them,
and only in a run that includes disruptive scenarios. The DaemonSet makes them again.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from harness.cluster.kube.api import Api, ApiError
from harness.cluster.kube.live import is_ready
from harness.cluster.kube.objects import Object
from harness.cluster.waiting import Clock, Wait
from harness.errors import ClusterError

_READY_S = 180.0  # for all agents to run again, image start and sync included


@dataclass(frozen=True, slots=True)
class Agents:
    """The workloads named by ``Kind/namespace/name``; the namespace ``*`` means any."""

    api: Api
    names: Sequence[str]
    clock: Clock

    def faults(self) -> Iterator[str]:
        """Yield which workloads are not ready, and why. Raises ApiError."""
        nodes = len(self.api.find("v1", "Node"))
        for name in self.names:
            kind, namespace, own = name.split("/")
            if fault := _fault(kind, self._item(name), nodes):
                yield f"{kind} {own if namespace == '*' else f'{namespace}/{own}'}: {fault}"

    def on_node(self, name: str, node: str) -> Object:
        """Return the pod of a DaemonSet on a node. Raises ClusterError if there is none."""
        item = self._item(name)
        pods = self._pods(item) if item else []
        found = next((pod for pod in pods if pod["spec"].get("nodeName") == node), None)
        if found is None:
            raise ClusterError(f"{name} has no pod on {node}")
        return found

    def restart(self) -> frozenset[str]:
        """Delete the pods of the DaemonSets, and return their uids. Raises ClusterError."""
        pods = [pod for item in self._daemon_sets() for pod in self._pods(item)]
        if not pods:
            raise ClusterError(
                "the agents of the CNI cannot be restarted: no DaemonSet of them has a pod",
                "name the CNI's profile, or write one with `agents`",
            )
        for pod in pods:
            self._delete(pod)
        return frozenset(pod["metadata"]["uid"] for pod in pods)

    def await_restarted(self, deleted: Set[str]) -> None:
        """Wait until other pods stand for the deleted ones, and all workloads are ready.

        The pods themselves are asked: the status of a DaemonSet may be older than the restart.
        Raises TimedOut.
        """
        missing = functools.partial(self._missing, deleted)
        Wait(_READY_S, clock=self.clock).until(missing, "the agents of the CNI to be ready again")

    def _missing(self, deleted: Set[str]) -> str | None:
        pods = [pod for item in self._daemon_sets() for pod in self._pods(item)]
        old = [pod["metadata"]["name"] for pod in pods if pod["metadata"]["uid"] in deleted]
        if old:
            return "; ".join(f"{name} is being deleted" for name in old)
        if faults := "; ".join(self.faults()):
            return faults
        ready = sum(map(is_ready, pods))
        return f"{ready} of {len(deleted)} agents are ready" if ready < len(deleted) else None

    def _daemon_sets(self) -> list[Object]:
        found = (self._item(name) for name in self.names if name.startswith("DaemonSet/"))
        return [item for item in found if item is not None]

    def _item(self, name: str) -> Object | None:
        kind, namespace, own = name.split("/")
        found = self.api.find("apps/v1", kind, namespace="" if namespace == "*" else namespace)
        return next((item for item in found if item["metadata"]["name"] == own), None)

    def _pods(self, daemon_set: Object) -> list[Object]:
        """Return the pods that belong to a DaemonSet; labels alone do not show whose they are."""
        metadata = daemon_set["metadata"]
        return [
            pod
            for pod in self.api.find("v1", "Pod", namespace=metadata["namespace"])
            for owner in pod["metadata"].get("ownerReferences") or []
            if owner.get("uid") == metadata["uid"]
        ]

    def _delete(self, pod: Object) -> None:
        namespace, name, uid = (pod["metadata"][key] for key in ("namespace", "name", "uid"))
        try:
            self.api.delete("v1", "Pod", namespace, name, uid)
        except ApiError as error:
            if error.status not in {404, 409}:  # It is gone, or another has its name.
                fact = f"the agent {namespace}/{name} cannot be restarted: {error}"
                raise ClusterError(fact) from None


def _fault(kind: str, item: Object | None, nodes: int) -> str | None:
    """Return what an agent lacks, or None.

    A DaemonSet is compared with the number of nodes, because its desired number is 0 if its
    nodeSelector matches no node.
    """
    if item is None:
        return "does not exist"
    if kind == "DaemonSet":
        ready = item["status"].get("numberReady", 0)
        return None if ready >= nodes else f"ready on {ready} of {nodes} nodes"
    ready, wanted = item["status"].get("readyReplicas", 0), item["spec"]["replicas"]
    return None if 0 < wanted <= ready else f"{ready} of {wanted} replicas ready"
