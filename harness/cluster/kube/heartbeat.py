"""The heartbeat of a run: a Lease that it renews while its process is alive.

`netpol clean` on another machine cannot look for a run's process (``identity``), and reads the
age of its heartbeat instead. Both the time in the Lease and the time that it is compared with
come from the API server, by the ``Date`` header of an answer. So the clocks of the two machines
do not matter.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from harness.cluster.kube import objects
from harness.cluster.kube.api import Api, ApiError
from harness.cluster.kube.objects import PROCESS_ANNOTATION, RUN_LABEL, Naming, Object
from harness.cluster.kube.owned import Owned, ref_of
from harness.cluster.waiting import Wait
from harness.errors import ClusterError, HarnessWarning

STOPPED_S = 600.0
"""A run whose heartbeat is older than this is over."""

_PATIENCE_S = 30.0
_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
_LEASE = ("coordination.k8s.io/v1", "Lease")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a heartbeat is renewed, in seconds: after a success and after a failure."""

    renew_s: float = 60.0
    retry_s: float = 10.0


class Heartbeat:
    """The heartbeat of one run and worker. ``owned`` must hold nothing else."""

    def __init__(self, owned: Owned, naming: Naming, pace: Pace | None = None) -> None:
        self._owned = owned
        self._naming = naming
        self._pace = pace or Pace()
        self._namespace = objects.heartbeat_namespace(naming)
        self._stopped = threading.Event()
        self._begun = False

    def start(self) -> None:
        """Create the Lease and start to renew it. Further calls do nothing.

        Warns once if that is forbidden. Raises ClusterError for every other failure.
        """
        if self._begun:
            return
        try:
            if not self._owned.holds(ref_of(self._namespace)):
                self._owned.create(self._namespace)
            wait = Wait(_PATIENCE_S, clock=self._owned.clock)
            now = wait.value(self._now, "the time of the API server")
            self._owned.create(objects.heartbeat(self._naming, now))
        except ApiError as error:
            if error.status not in {403, 404}:
                raise
            self._begun = True
            warnings.warn(
                f"run {self._naming.run} has no heartbeat: {error.message}; if it is killed, "
                "`netpol clean` on another machine cannot tell that it is over "
                "(docs/rbac.yaml grants what is needed)",
                HarnessWarning,
                stacklevel=2,
            )
        else:
            self._begun = True
            name = f"heartbeat-{self._naming.run}-{self._naming.worker}"
            threading.Thread(target=self._beat, name=name, daemon=True).start()

    def stop(self) -> None:
        """Stop renewing the Lease."""
        self._stopped.set()

    def remove(self) -> tuple[str, ...]:
        """Delete what ``start`` created; return the names of what still exists."""
        return self._owned.clear().left

    def keep(self) -> tuple[str, ...]:
        """Return the names of what ``start`` created and what stays until the run is removed."""
        return tuple(
            f"{name}: it is kept until the rest is gone" for name in self._owned.remaining()
        )

    def _beat(self) -> None:
        pause_s = self._pace.renew_s
        while not self._stopped.wait(pause_s):
            try:
                ref = ref_of(objects.heartbeat(self._naming, ""))
                self._owned.patch(ref, {"spec": {"renewTime": self._now()}})
            except ClusterError:
                pause_s = self._pace.retry_s
            else:
                pause_s = self._pace.renew_s

    def _now(self) -> str:
        return self._owned.api.now().astimezone(UTC).strftime(_FORMAT)


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """The heartbeats on a cluster.

    ``ages_s`` is the age of the last renewal by the text of an Owner, ``namespaces`` are the
    namespaces of the Leases. ``fault`` is why they cannot be read, or None.
    """

    ages_s: Mapping[str, float] = field(default_factory=dict)
    namespaces: frozenset[str] = frozenset()
    fault: str | None = None


def read(api: Api) -> Heartbeats:
    """Read the heartbeats of all runs. Raises ApiError, but not for a missing right."""
    try:
        leases = api.find(*_LEASE, selector=RUN_LABEL)
    except ApiError as error:
        if error.status != 403:
            raise
        return Heartbeats(fault=error.message)
    now = api.now()
    ages_s: dict[str, float] = {}
    for lease in leases:
        owner = (lease["metadata"].get("annotations") or {}).get(PROCESS_ANNOTATION)
        renewed = _renewed(lease)
        if owner is not None and renewed is not None:
            age_s = (now - renewed).total_seconds()
            ages_s[owner] = min(age_s, ages_s.get(owner, age_s))
    return Heartbeats(ages_s, frozenset(lease["metadata"]["namespace"] for lease in leases))


def _renewed(lease: Object) -> datetime | None:
    try:
        return datetime.fromisoformat(lease["spec"]["renewTime"])
    except (KeyError, TypeError, ValueError):
        return None
