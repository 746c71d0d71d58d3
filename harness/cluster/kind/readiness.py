"""Whether a kind cluster is ready: its nodes, its network plugin and its DNS.

kind's own ``--wait`` ends without an error when its time is over, so readiness is judged here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from harness.cluster.kind import command
from harness.cluster.waiting import TimedOut, Wait
from harness.errors import ClusterError

READY_S = 300.0
POLL_S = 1.0
"""How often the cluster is asked: each time costs the control plane node a kubectl."""

KEEP_HINT = "NETPOL_KEEP=1 keeps a cluster whose creation failed, for inspection"


@dataclass(frozen=True, slots=True)
class Workload:
    """A DaemonSet or Deployment that must be ready."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


_DNS = Workload("Deployment", "kube-system", "coredns")


def waited_for(words: tuple[str, ...]) -> tuple[Workload, ...]:
    """Return the workloads that ``Kind/namespace/name`` name, and CoreDNS."""
    return (*(Workload(*word.split("/")) for word in words), _DNS)


def await_ready(name: str, waits: tuple[str, ...]) -> None:
    """Wait until nodes, CNI and DNS are ready. Raises ClusterError that names what is not."""
    wanted = waited_for(waits)

    def missing() -> str | None:
        return "; ".join(not_ready(name, wanted)) or None

    try:
        Wait(READY_S, POLL_S).until(missing, f"the cluster {name} to become ready")
    except TimedOut as error:
        raise ClusterError(
            f"{error.message}\n{_troubled_pods(name)}".rstrip(),
            KEEP_HINT,
        ) from None


def not_ready(name: str, wanted: tuple[Workload, ...]) -> tuple[str, ...]:
    """Return what is not ready, in words; nothing for a cluster that is."""
    done = command.kubectl(name, "get", "nodes,daemonsets,deployments", "-A", "-o", "json")
    if done.status:
        return (f"the API server does not answer: {done.output}",)
    items = json.loads(done.stdout)["items"]
    found = {
        Workload(
            item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]
        ): item
        for item in items
    }
    nodes = [(item.name, found[item]) for item in found if item.kind == "Node"]
    missing = [f"Node {name}" for name, item in nodes if _condition(item, "Ready") != "True"]
    missing += [
        f"{item}{_shortfall(found[item])}" if item in found else f"{item} is not there"
        for item in wanted
        if item not in found or _shortfall(found[item])
    ]
    return tuple(missing)


def _shortfall(item: dict[str, Any]) -> str:
    """Return ``: 1 of 3 ready``, or nothing for a workload that is ready and up to date."""
    status = item.get("status", {})
    if status.get("observedGeneration") != item["metadata"].get("generation"):
        return ": its controller has not seen it yet"
    if item["kind"] == "DaemonSet":
        want, have = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
    else:
        want, have = item["spec"].get("replicas", 1), status.get("readyReplicas", 0)
    return "" if want and have >= want else f": {have} of {want} ready"


def _condition(item: dict[str, Any], kind: str) -> str:
    conditions = item.get("status", {}).get("conditions", [])
    return next((c["status"] for c in conditions if c["type"] == kind), "Unknown")


def _troubled_pods(name: str) -> str:
    """Return a line for each pod that does not run, with the reason that the kubelet gives."""
    done = command.kubectl(name, "get", "pods", "-A", "-o", "json")
    if done.status:
        return ""
    lines = []
    for pod in json.loads(done.stdout)["items"]:
        states = [
            *pod["status"].get("initContainerStatuses", []),
            *pod["status"].get("containerStatuses", []),
        ]
        waiting = [state["state"]["waiting"] for state in states if "waiting" in state["state"]]
        where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        lines += [
            f"  {where}: {item.get('reason', '')} {item.get('message', '')}".rstrip()
            for item in waiting
            if item.get("reason") != "PodInitializing"
        ]
    return "\n".join(lines)
