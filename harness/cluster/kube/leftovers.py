"""Decide which runs are over, and remove what they left behind.

That is namespaces with all that is in them, and objects of the whole cluster: policies in tiers,
and what runs with exact names create. Each names the process that created it (``identity``). On
the same machine a run is over when that process has ended. Seen from another machine, container
or boot, it is over only when its heartbeat stopped ten minutes ago. Without a heartbeat nothing
is known, and what the run created is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from harness.cluster.kube import discovery, heartbeat
from harness.cluster.kube.api import Api, ApiError
from harness.cluster.kube.heartbeat import STOPPED_S, Heartbeats
from harness.cluster.kube.identity import Life, Machine, Owner
from harness.cluster.kube.objects import PROCESS_ANNOTATION, RUN_LABEL, Object
from harness.cluster.waiting import REAL, Clock, TimedOut, Wait
from harness.errors import ClusterError

_T = TypeVar("_T")
_K = TypeVar("_K", bound=Hashable)

_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Leftover:
    """An object that a run created, and why it was removed or not."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What was removed, kept, could not be removed, and what could not be looked at."""

    removed: tuple[Leftover, ...] = ()
    kept: tuple[Leftover, ...] = ()
    failed: tuple[Leftover, ...] = ()
    unseen: tuple[Leftover, ...] = ()

    def __add__(self, other: Cleaning) -> Cleaning:
        return Cleaning(
            self.removed + other.removed,
            self.kept + other.kept,
            self.failed + other.failed,
            self.unseen + other.unseen,
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an object of a run is to be removed, and why or why not."""

    remove: bool
    why: str


@dataclass(frozen=True, slots=True)
class Runs:
    """What is known about the runs on a cluster.

    ``named`` is the only run to remove, unless it is known to be alive. None means all runs
    that are known to be over.
    """

    heartbeats: Heartbeats
    named: str | None = None
    machine: Machine = field(default_factory=Machine)

    def decide(self, run: str, process: str) -> Decision:
        """Decide about an object of ``run``. ``process`` is the text of its Owner."""
        if self.named not in {None, run}:
            return Decision(False, f"it belongs to run {run}")
        owner = Owner.parse(process)
        if owner is None:
            return Decision(False, "it does not name the process that made it")
        if self.named and owner == self.machine.this_process():
            return Decision(True, "this process made it")
        life, why = self._life(owner, process)
        if self.named:
            return Decision(life is not Life.RUNNING, why)
        if life is Life.UNKNOWN:
            why += f"; `netpol clean --run={run}` removes it"
        return Decision(life is Life.OVER, why)

    def _life(self, owner: Owner, process: str) -> tuple[Life, str]:
        match self.machine.life(owner):
            case Life.RUNNING:
                return Life.RUNNING, f"process {owner.pid} on this machine is running"
            case Life.OVER:
                return Life.OVER, f"process {owner.pid} on this machine has ended"
            case Life.UNKNOWN:
                return self._by_heartbeat(owner, process)

    def _by_heartbeat(self, owner: Owner, process: str) -> tuple[Life, str]:
        who = f"process {owner.pid} on {owner.host} cannot be seen from here"
        if self.heartbeats.fault is not None:
            fault = self.heartbeats.fault
            return Life.UNKNOWN, f"{who}, and heartbeats cannot be read: {fault}"
        age_s = self.heartbeats.ages_s.get(process)
        if age_s is None:
            return Life.UNKNOWN, f"{who}, and has no heartbeat"
        if age_s < STOPPED_S:
            return Life.RUNNING, f"{who}, and had a heartbeat {max(age_s, 0.0):.0f} s ago"
        return Life.OVER, f"{who}, and its heartbeat stopped {age_s / 60:.0f} minutes ago"


def runs(api: Api, named: str | None, clock: Clock = REAL) -> Runs:
    """Return what is known about the runs on a cluster. Raises ClusterError."""
    wait = Wait(_PATIENCE_S, clock=clock)
    return Runs(wait.value(lambda: heartbeat.read(api), "the heartbeats to be read"), named)


def clean(api: Api, known: Runs, clock: Clock = REAL) -> Cleaning:
    """Delete what runs that are over left: objects without a namespace, then namespaces.

    Namespaces with heartbeats are deleted last: after an interrupted clean, the next one needs
    them. Raises ClusterError if the namespaces cannot be listed.
    """
    selector = f"{RUN_LABEL}={known.named}" if known.named else RUN_LABEL
    wait = Wait(_PATIENCE_S, clock=clock)
    namespaces = wait.value(
        lambda: api.find("v1", "Namespace", selector=selector), "the namespaces to be listed"
    )
    namespaces.sort(key=lambda item: item["metadata"]["name"] in known.heartbeats.namespaces)
    others, cleaning = _of_the_whole_cluster(api, selector, wait)
    for version, kind, item in (*others, *(("v1", "Namespace", item) for item in namespaces)):
        cleaning += _clean(api, version, kind, item, known, wait)
    return cleaning


def _of_the_whole_cluster(
    api: Api, selector: str, wait: Wait
) -> tuple[list[tuple[str, str, Object]], Cleaning]:
    """Return the other objects that belong to no namespace, and what could not be listed.

    A run may have created policies in tiers, with exact names objects of any kind.
    """
    versions = wait.value(partial(discovery.versions, api), "the APIs to be listed")
    kinds, unread = _answers(
        {version: partial(discovery.cluster_kinds, api, version) for version in versions}, wait
    )
    listed, unlisted = _answers(
        {
            (version, kind): partial(api.find, version, kind, selector=selector)
            for version, own in kinds.items()
            for kind in own
            if (version, kind) != ("v1", "Namespace")
        },
        wait,
    )
    unread |= {kind: why for (_, kind), why in unlisted.items()}
    found = {
        item["metadata"]["uid"]: (version, kind, item)
        for (version, kind), items in listed.items()
        for item in items
    }
    if not unread:
        return [*found.values()], Cleaning()
    why = f"the run may have left objects of these kinds: {next(iter(unread.values()))}"
    return [*found.values()], Cleaning(unseen=(Leftover(", ".join(sorted(unread)), why),))


def _answers(
    asks: Mapping[_K, Callable[[], _T]], wait: Wait
) -> tuple[dict[_K, _T], dict[_K, str]]:
    """Ask each question, those with transient errors again, all of them until one deadline.

    Return the answers, and for each question without one its last error.
    """
    answers: dict[_K, _T] = {}
    errors: dict[_K, str] = {}
    left = dict(asks)

    def missing() -> str | None:
        for key, ask in [*left.items()]:
            try:
                answers[key] = ask()
            except ClusterError as error:
                errors[key] = error.message
                if error.transient:
                    continue
            else:
                errors.pop(key, None)
            del left[key]
        return next((errors[key] for key in left), None)

    with suppress(TimedOut):
        wait.until(missing, "the objects of a run to be listed")
    return answers, errors


def _clean(api: Api, version: str, kind: str, item: Object, known: Runs, wait: Wait) -> Cleaning:
    metadata = item["metadata"]
    name = f"{'namespace' if kind == 'Namespace' else kind} {metadata['name']}"
    if metadata.get("deletionTimestamp"):
        return Cleaning(kept=(Leftover(name, "it is being deleted already"),))
    process = (metadata.get("annotations") or {}).get(PROCESS_ANNOTATION, "")
    decision = known.decide(metadata["labels"][RUN_LABEL], process)
    if not decision.remove:
        return Cleaning(kept=(Leftover(name, decision.why),))

    def delete() -> None:
        try:
            api.delete(version, kind, "", metadata["name"], metadata["uid"])
        except ApiError as error:
            # 404: it is gone. 409: it is being deleted, or gone and another has its name.
            if error.status not in {404, 409}:
                raise

    try:
        wait.value(delete, f"the deletion of {name} to be accepted")
    except ClusterError as error:
        return Cleaning(failed=(Leftover(name, error.message),))
    return Cleaning(removed=(Leftover(name, decision.why),))
