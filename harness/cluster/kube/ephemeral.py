"""Add an ephemeral container to a pod: the one change that the harness makes to others' objects.

Only ``netpol audit`` asks for it. A container that was added stays in the spec of its pod until
the pod is deleted, so it is added with the same care as ``owned`` has: the request carries the
uid and the resourceVersion of the pod that was read. A pod of the same name that came later, or
one that somebody changed meanwhile, is never changed. The list of ephemeral containers is the one
that was read, with one more; nothing else is sent.

The container does nothing and has no rights. It ends when it is told to, when its pod is
deleted, and by itself after its limit, so that an audit that was killed leaves no process.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, replace

from harness.cluster.kube.api import Api, ApiError, Container
from harness.cluster.kube.live import LivePod
from harness.cluster.kube.objects import Object
from harness.cluster.waiting import REAL, Clock, Wait
from harness.errors import ClusterError

PREFIX = "netpol-audit-"
_MERGE = "application/merge-patch+json"
_PATIENCE_S = 20.0
_START_S = 90.0
_END_S = 5.0
_OVER = "/tmp/netpol-audit-over"  # noqa: S108 - in the container's own file system
_HOPELESS = frozenset({
    "CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull", "ErrImagePull",
    "ImagePullBackOff", "InvalidImageName", "RunContainerError", "StartError",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Guests:
    """Adds containers of one image, each of which lives at most ``limit_s``."""

    api: Api
    image: str
    limit_s: float
    clock: Clock = REAL

    def refusal(self, pod: LivePod) -> str | None:
        """Return why the API server would not let a container be added, or None.

        It is asked without a change (dry run). An admission webhook that knows no dry run leaves
        it open.
        """
        try:
            self._patch(pod, f"{PREFIX}{secrets.token_hex(4)}", dry_run=True)
        except ApiError as error:
            return None if error.transient or _is_about_dry_run(error) else error.message
        except ClusterError as error:
            return error.message
        return None

    def add(self, pod: LivePod) -> LivePod:
        """Add a container to a pod, and return the pod with the container running.

        Raises ClusterError if the pod is another one or gone, if the API server refuses, or if
        the container does not start.
        """
        name = f"{PREFIX}{secrets.token_hex(4)}"
        wait = Wait(_PATIENCE_S, clock=self.clock)
        wait.until(lambda: self._added(pod, name), f"{pod.ref} to get a container")
        wait = Wait(_START_S, clock=self.clock)
        wait.until(lambda: self._not_running(pod, name), f"container {name} of {pod.ref} to start")
        return replace(pod, container=name)

    def end(self, pod: LivePod) -> None:
        """Tell the container that was added to a pod to end. Raises ClusterError."""
        container = Container(pod.namespace, pod.name, pod.container)
        self.api.execute(container, ("touch", _OVER), "", _END_S)

    def _added(self, pod: LivePod, name: str) -> str | None:
        """Add the container unless it is there; return why it is worth another attempt."""
        try:
            self._patch(pod, name)
        except ApiError as error:
            if error.status == 409:  # the pod was changed after it was read
                return error.message
            raise
        return None

    def _patch(self, pod: LivePod, name: str, *, dry_run: bool = False) -> None:
        found = self._read(pod)
        there = (found["spec"].get("ephemeralContainers")) or []
        if any(item["name"] == name for item in there):
            return  # an earlier request did it, and its answer was lost
        metadata = {key: found["metadata"][key] for key in ("uid", "resourceVersion")}
        body = {
            "metadata": metadata,
            "spec": {"ephemeralContainers": [*there, self._container(name)]},
        }
        url = f"{self.api.resource('v1', 'Pod').path(pod.namespace, pod.name)}/ephemeralcontainers"
        query = [("fieldManager", "netpol-harness"), ("fieldValidation", "Strict")]
        query += [("dryRun", "All")] if dry_run else []
        self.api.request("patch", url, body=body, query=query, content_type=_MERGE)

    def _read(self, pod: LivePod) -> Object:
        """Return the pod as it is now. Raises ClusterError if it is gone or another one."""
        found = self.api.get("v1", "Pod", pod.name, pod.namespace)
        if found is None or found["metadata"]["uid"] != pod.uid:
            raise ClusterError(f"{pod.ref} was deleted meanwhile")
        if found["metadata"].get("deletionTimestamp"):
            raise ClusterError(f"{pod.ref} is being deleted")
        return found

    def _container(self, name: str) -> Object:
        script = (
            f"trap 'exit 0' TERM INT; i=0; while [ $i -lt {math.ceil(self.limit_s)} ] "
            f"&& [ ! -e {_OVER} ]; do sleep 1; i=$((i+1)); done"
        )
        return {
            "name": name,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/bin/sh", "-c", script],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }

    def _not_running(self, pod: LivePod, name: str) -> str | None:
        """Return why a container does not run yet. Raises ClusterError if it never will."""
        statuses = self._read(pod).get("status", {}).get("ephemeralContainerStatuses") or []
        state = next((item.get("state") or {} for item in statuses if item["name"] == name), {})
        if "running" in state:
            return None
        why = state.get("waiting") or state.get("terminated") or {}
        said = f"{why.get('reason', 'not started')}: {why.get('message', '')}".rstrip(": ")
        if "terminated" in state or why.get("reason") in _HOPELESS:
            raise ClusterError(f"the container that was added to {pod.ref} does not run: {said}")
        return said


def _is_about_dry_run(error: ApiError) -> bool:
    return "dry run" in error.message.lower() or "dryrun" in error.message.lower()
