"""Which objects on a cluster are workloads, and which only belong to one.

A Deployment owns ReplicaSets, which own pods. An object whose owner is among the others belongs
to it; all others are workloads themselves: bare pods, and pods of kinds that are not known here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.application.values import Application, Note, Workload
from harness.model import Labels

_OF_CONTROLLERS = frozenset({
    "apps.kubernetes.io/pod-index", "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index", "batch.kubernetes.io/job-name", "controller-uid",
    "controller-revision-hash", "job-name", "pod-template-generation", "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
})  # fmt: skip
"""Labels that controllers give to pods, beside those of the template."""
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """An object of a cluster; ``owner`` is the uid of its controller.

    ``has_ended`` says that it makes no connection any more: a pod that ran to its end, a Job that
    is over, a ReplicaSet of an earlier version.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    owner: str | None
    labels: Labels
    has_ended: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def workloads_of(items: Sequence[Standing]) -> Mapping[str, Standing]:
    """Return, for the uid of each object, the object at the end of its chain of owners."""
    by_uid = {item.uid: item for item in items}
    found: dict[str, Standing] = {}
    for item in items:
        top, seen = item, {item.uid}
        while top.owner in by_uid and top.owner not in seen:
            seen.add(top.owner)
            top = by_uid[top.owner]
        found[item.uid] = top
    return found


def unlike_template(application: Application, items: Sequence[Standing]) -> Iterator[Note]:
    """Yield a note for each workload with pods whose labels are not those of its template."""
    templates = {str(workload): workload for workload in application.workloads}
    tops = workloads_of(items)
    found: dict[str, list[Standing]] = defaultdict(list)
    for item in items:
        workload = templates.get(str(tops[item.uid]))
        if item.kind == "Pod" and workload and not item.has_ended and _differ(item, workload):
            found[str(workload)].append(item)
    for name, pods in found.items():
        workload = templates[name]
        named = ", ".join(_described(pod, workload) for pod in pods[:_MOST_NAMED])
        more = f", and {len(pods) - _MOST_NAMED} more" if len(pods) > _MOST_NAMED else ""
        text = f"pods with other labels than the template, by which they are judged: {named}{more}"
        yield Note(text, workload.location)


def _differ(pod: Standing, workload: Workload) -> bool:
    return _own(pod.labels) != _own(workload.labels)


def _own(labels: Labels) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key not in _OF_CONTROLLERS}


def _described(pod: Standing, workload: Workload) -> str:
    has, wanted = _own(pod.labels), _own(workload.labels)
    words = [f"{key}={value}" for key, value in has.items() if wanted.get(key) != value]
    words += [f"no {key}" for key in wanted if key not in has]
    return f"{pod.name} ({', '.join(words)})"
