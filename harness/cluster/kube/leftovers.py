"""Whose namespaces are whose, and the removal of what dead runs left behind.

Every namespace that we make carries the identity of the process that made it: a host, a
process id there, and when that process started. Nothing but the labels and that annotation
is needed to tell a dead run from one at work.
"""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.cluster.kube.api import Api
from harness.cluster.kube.objects import PROCESS_ANNOTATION, RUN_LABEL, Object

_FOREIGN_AGE = timedelta(hours=12)
"""A run on another host is taken for dead after this: nobody here can ask for its process."""


def process_identity() -> str:
    """Identify this process to every other: host, process id and start time, as JSON."""
    pid = os.getpid()
    return json.dumps({"host": _host(), "pid": pid, "started": _started(pid)}, sort_keys=True)


def clean(kubeconfig: str | None, context: str, run: str | None = None) -> tuple[str, ...]:
    """Delete the namespaces of dead runs, or of the run named, alive or not; name them.

    A run is dead if its process was on this host and is gone, or if it was on another host
    and began half a day ago.
    """
    api = Api(kubeconfig, context)
    selector = f"{RUN_LABEL}={run}" if run else RUN_LABEL
    found = api.find("v1", "Namespace", selector=selector)
    dead = [item for item in found if run or is_dead(item, datetime.now(UTC))]
    for item in dead:
        api.delete("v1", "Namespace", "", item["metadata"]["name"], item["metadata"]["uid"])
    return tuple(str(item["metadata"]["name"]) for item in dead)


def is_dead(namespace: Object, now: datetime) -> bool:
    """Whether the run that made this namespace is surely over."""
    metadata = namespace["metadata"]
    try:
        owner = json.loads((metadata.get("annotations") or {})[PROCESS_ANNOTATION])
        host, pid, started = owner["host"], int(owner["pid"]), owner["started"]
    except (KeyError, ValueError, TypeError):
        host, pid, started = "", 0, ""
    if host == _host():
        return bool(_started(pid) != started)
    created = datetime.fromisoformat(metadata["creationTimestamp"])
    return now - created > _FOREIGN_AGE


def _host() -> str:
    """This host and its process ids: containers may share a host's name, not these."""
    return f"{socket.gethostname()}/{Path('/proc/self/ns/pid').readlink()}"


def _started(pid: int) -> str:
    """When that process started, in the kernel's ticks; empty if it is gone."""
    try:
        # The name of the process stands in brackets and may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
