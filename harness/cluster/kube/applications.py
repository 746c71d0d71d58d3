"""The application that runs on a cluster: an Application as ``harness.application`` reads one.

It is read with ``get`` and ``list`` alone, and nothing is created. Lists are read in pages, so
that a large cluster costs bounded answers. A list that the user may not read is an error where
the answer would be wrong without it, and a note where the answer would only lack something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from harness.application import Application, Note, read_objects
from harness.application.standing import Standing, unlike_template, workloads_of
from harness.cluster.kube import discovery, live
from harness.cluster.kube.api import Api, ApiError
from harness.cluster.kube.objects import Object
from harness.cluster.kube.running import RunningPod, running_pod
from harness.cluster.waiting import REAL, Clock, Wait
from harness.documents.source import Document
from harness.errors import ClusterError, UsageError
from harness.model import Family, Labels, ServiceRef
from harness.policy import KINDS, builtin
from harness.suggest import nearest_or_all

_T = TypeVar("_T")

SYSTEM = "kube-system"
_POD = ("v1", "Pod")
_WORKLOADS = (
    ("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"), ("v1", "ReplicationController"),
    ("batch/v1", "CronJob"), ("batch/v1", "Job"), _POD,
)  # fmt: skip
_SERVICE = ("v1", "Service")
_NAMESPACE = ("v1", "Namespace")
_POLICY = ("networking.k8s.io/v1", "NetworkPolicy")
_ESSENTIAL = frozenset({_POLICY, _NAMESPACE, _POD, ("apps/v1", "ReplicaSet"),
                        ("batch/v1", "Job")})  # fmt: skip
"""Without the others an answer lacks something; without these it would be wrong."""
_OTHER_POLICY = "NetworkPolicy"
_NOT_ENFORCED = "Staged"
_KNOWN = frozenset((known.api_version, known.kind) for known in KINDS)
_OF_EVERY_CLUSTER = ("default", "kubernetes")
"""The Service of the API server, which is no part of an application."""
_SAME_AS_CRD = "projectcalico.org"
"""An aggregated API whose objects are those of the group ``crd.projectcalico.org``, and more."""
_PAGE = 500
_MOST_OBJECTS = 200_000
_MOST_RESTARTS = 3
_PATIENCE_S = 20.0
_RIGHTS = "docs/rbac-read.yaml has a ClusterRole, and a Role for one namespace, that grant it"


@dataclass(slots=True)
class _Read:
    """What was read so far, and what could not be."""

    objects: dict[tuple[str, str], list[Object]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    count: int = 0


@dataclass(frozen=True, slots=True)
class Survey:
    """What runs in some namespaces: the application, its pods, and addresses of Services.

    ``unread`` says what may not be listed, and is not in the application.
    """

    context: str
    namespaces: tuple[str, ...]
    application: Application
    pods: tuple[RunningPod, ...]
    addresses: Mapping[ServiceRef, str]
    unread: tuple[str, ...] = ()


def application(api: Api, namespaces: Sequence[str] = (), clock: Clock = REAL) -> Application:
    """Return what runs in some namespaces, or in all.

    Of all namespaces, kube-system is left out unless it has policies. Raises UsageError if there
    is no such namespace, or nothing in it; ClusterError for lists that may not be read.
    """
    reader = _Reader(api, tuple(dict.fromkeys(namespaces)), clock)
    reader.read()
    return reader.result()


def survey(api: Api, namespaces: Sequence[str], clock: Clock = REAL) -> Survey:
    """Return what runs in some namespaces, with its pods. Raises as ``application`` does."""
    reader = _Reader(api, tuple(dict.fromkeys(namespaces)), clock)
    reader.read()
    unread = reader.unread()
    found, pods, addresses = reader.result(), reader.pods(), reader.addresses()
    return Survey(api.context, tuple(namespaces), found, pods, addresses, unread)


class _Reader:
    def __init__(self, api: Api, namespaces: tuple[str, ...], clock: Clock) -> None:
        self._api = api
        self._namespaces = namespaces
        self._wait = Wait(_PATIENCE_S, clock=clock)
        self._found = _Read()

    # ---------------------------------------------------------------- requests

    def read(self) -> None:
        """Read all kinds. Raises ClusterError with every list that is needed and refused."""
        self._read_namespaces()
        for kind in (*_WORKLOADS, _SERVICE, _POLICY):
            self._read_kind(*kind, is_needed=kind in _ESSENTIAL)
        for version, name, is_namespaced in self._other_policies():
            self._read_kind(version, name, is_needed=is_namespaced)
        if self._found.refused:
            raise ClusterError(
                f"context {self._api.context!r} may not read what the answer depends on:\n"
                + "\n".join(f"  {line}" for line in self._found.refused),
                _RIGHTS,
            )

    def _read_namespaces(self) -> None:
        if not self._namespaces:
            self._read_kind(*_NAMESPACE, is_needed=True)
            return
        found = self._found.objects.setdefault(_NAMESPACE, [])
        for name in dict.fromkeys((*self._namespaces, SYSTEM)):
            try:
                item = self._ask(partial(self._api.get, *_NAMESPACE, name))
            except ApiError as error:
                if error.status != 403:
                    raise
                if name in self._namespaces:
                    self._found.refused.append(f"Namespace {name}: {error.message}")
                continue
            if item is None and name in self._namespaces:
                raise self._no_namespace(name)
            found += [item] if item else []

    def _no_namespace(self, name: str) -> UsageError:
        try:
            known = [item["metadata"]["name"] for item in self._pages(*_NAMESPACE, "")]
        except ApiError:
            known = []
        hint = nearest_or_all(name, known, "namespaces") if known else None
        return UsageError(f"context {self._api.context!r} has no namespace {name!r}", hint)

    def _read_kind(self, version: str, kind: str, *, is_needed: bool) -> None:
        into = self._found.objects.setdefault((version, kind), [])
        try:
            is_namespaced = self._api.is_namespaced(version, kind)
        except ApiError as error:
            if error.status != 404:
                raise
            return  # this cluster has no such kind
        for namespace in self._namespaces if self._namespaces and is_namespaced else ("",):
            try:
                into.extend(_reduced(item, kind) for item in self._pages(version, kind, namespace))
            except ApiError as error:
                if error.status != 403:
                    raise
                where = f"{kind}{f' in namespace {namespace}' if namespace else ''}"
                if is_needed:
                    self._found.refused.append(f"{where}: {error.message}")
                else:
                    text = f"{where} may not be listed, so none is in the answer: {error.message}"
                    self._found.notes.append(Note(text))

    def _pages(self, version: str, kind: str, namespace: str) -> Iterator[Object]:
        """Yield all objects of a kind. Raises ApiError."""
        items: list[Object] | None = None
        for attempt in range(_MOST_RESTARTS, 0, -1):
            try:
                items = list(self._once_through(version, kind, namespace))
                break
            except ApiError as error:
                # The server forgets where a list was, if its pages are read too slowly.
                if error.status != 410 or attempt == 1:
                    raise
        yield from ({**item, "apiVersion": version, "kind": kind} for item in items or ())

    def _once_through(self, version: str, kind: str, namespace: str) -> Iterator[Object]:
        """Yield the objects page by page. Raises ApiError, and ClusterError for too many."""
        url = self._api.resource(version, kind).path(namespace)
        more = ""
        while True:
            query = [("limit", str(_PAGE)), *([("continue", more)] if more else [])]
            answer = self._ask(partial(self._api.request, "get", url, query=query))
            items = answer.get("items") or []
            self._found.count += len(items)
            if self._found.count > _MOST_OBJECTS:
                fact = f"context {self._api.context!r} has over {_MOST_OBJECTS:,} objects to read"
                raise ClusterError(fact, "name a namespace: -n NAME")
            yield from items
            more = (answer.get("metadata") or {}).get("continue") or ""
            if not more:
                return

    def _ask(self, ask: Callable[[], _T]) -> _T:
        return self._wait.value(ask, "an answer of the API server")

    def _other_policies(self) -> Iterator[tuple[str, str, bool]]:
        """Yield version, kind and scope of the policies that Kubernetes itself does not have."""
        groups = self._api.request("get", "/apis").get("groups", [])
        names = {item["name"] for item in groups}
        for item in groups:
            group = item["name"]
            if builtin.is_builtin(group) or "." not in group:
                continue
            if group == _SAME_AS_CRD and f"crd.{group}" in names:
                continue
            yield from self._policies_of([version["groupVersion"] for version in item["versions"]])

    def _policies_of(self, versions: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
        """Yield the kinds of policy of one API group.

        Each is in its first version, or in the first of those whose meaning is known.
        """
        found: dict[str, tuple[str, bool]] = {}
        for version in versions:
            try:
                kinds = discovery.kinds_of(self._api, version)
            except ApiError as error:
                text = f"the API {version} does not answer, so its policies are not in the answer"
                self._found.notes.append(Note(f"{text}: {error.message}"))
                continue
            for kind, is_namespaced in kinds:
                is_policy = kind.endswith(_OTHER_POLICY) and not kind.startswith(_NOT_ENFORCED)
                before = found.setdefault(kind, (version, is_namespaced)) if is_policy else None
                if before and (before[0], kind) not in _KNOWN and (version, kind) in _KNOWN:
                    found[kind] = version, is_namespaced
        yield from ((version, kind, scope) for kind, (version, scope) in found.items())

    # ---------------------------------------------------------------- the result

    def result(self) -> Application:
        """Return the application. Raises UsageError if there is nothing."""
        known = self._without_system()
        standing = _all_standing(known)
        tops = workloads_of(standing)
        alone = [item for item in standing if tops[item.uid] is item]
        ended = Counter(item.kind for item in alone if item.has_ended)
        chosen = {item.uid for item in alone if not item.has_ended}
        objects = [
            item
            for kind, items in known.items()
            for item in items
            if (kind not in _WORKLOADS or item["metadata"]["uid"] in chosen)
            and (kind != _SERVICE or _name(item) != _OF_EVERY_CLUSTER)
        ]
        if all(self._is_of_cluster(item) for item in objects):
            where = ", ".join(self._namespaces) or "all namespaces"
            raise UsageError(
                f"there is no workload, no Service and no policy in {where} of context "
                f"{self._api.context!r}"
            )
        if ended:
            listed = ", ".join(f"{count} {kind}" for kind, count in sorted(ended.items()))
            self._found.notes.append(Note(f"left out, since they have ended: {listed}"))
        if self._namespaces:
            text = f"only {', '.join(self._namespaces)} was read: other pods are no ends"
            self._found.notes.append(Note(text))
        documents = [self._document(item) for item in sorted(objects, key=_order)]
        found = read_objects(documents, self._found.notes)
        return replace(found, notes=(*found.notes, *unlike_template(found, standing)))

    def _is_of_cluster(self, item: Object) -> bool:
        """Return whether an object shows nothing of the namespaces that are asked for."""
        return item["kind"] == "Namespace" or bool(self._namespaces and not _namespace(item))

    def unread(self) -> tuple[str, ...]:
        """Return what may not be read, although the answer does not depend on it."""
        return tuple(map(str, self._found.notes))

    def pods(self) -> tuple[RunningPod, ...]:
        """Return the pods that have not ended, with their workloads."""
        standing = _all_standing(self._found.objects)
        tops = workloads_of(standing)
        items = [item for item in self._found.objects[_POD] if not live.is_dead(item)]
        nodes = sorted({item["spec"].get("nodeName", "") for item in items})
        return tuple(
            running_pod(
                item,
                str(tops[item["metadata"]["uid"]]),
                nodes.index(item["spec"].get("nodeName", "")) + 1,
            )
            for item in items
        )

    def addresses(self) -> dict[ServiceRef, str]:
        """Return the IPv4 addresses of Services that have one."""
        found: dict[ServiceRef, str] = {}
        for item in self._found.objects[_SERVICE]:
            address = live.of_family(live.live_service(item).addresses, Family.V4)
            if address is not None:
                found[ServiceRef(_namespace(item), item["metadata"]["name"])] = address
        return found

    def _without_system(self) -> Mapping[tuple[str, str], list[Object]]:
        """Return what was read, without kube-system unless it was named or has policies."""
        found = self._found.objects
        policies = [item for (_, kind), items in found.items() for item in items
                    if kind.endswith(_OTHER_POLICY)]  # fmt: skip
        if self._namespaces or any(_namespace(item) == SYSTEM for item in policies):
            return found
        text = f"{SYSTEM} is left out, since it has no policies; -n {SYSTEM} reads it"
        self._found.notes.append(Note(text))
        return {
            kind: [item for item in items if _namespace(item) != SYSTEM]
            for kind, items in found.items()
        }

    def _document(self, item: Object) -> Document:
        namespace, name = _name(item)
        called = f"{namespace}/{name}" if namespace else name
        place = f"{item['kind']} {called} in context {self._api.context}"
        return Document.without_text(place, item)


def _namespace(item: Object) -> str:
    return str(item["metadata"].get("namespace", ""))


def _name(item: Object) -> tuple[str, str]:
    return _namespace(item), str(item["metadata"]["name"])


def _order(item: Object) -> tuple[str, str, str]:
    return *_name(item), item["kind"]


def _reduced(item: Object, kind: str) -> Object:
    """Return an object without what is large and never read."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    kept = {**item, "metadata": metadata}
    if kind == "Pod":
        spec = item["spec"]
        kept["spec"] = {key: spec[key] for key in _OF_PODS if key in spec} | {
            key: [
                {name: value for name, value in container.items() if name in _OF_CONTAINERS}
                for container in spec.get(key) or ()
            ]
            for key in ("initContainers", "containers")
        }
    return kept


_OF_PODS = ("hostNetwork", "nodeName", "os")
_OF_CONTAINERS = frozenset({"name", "ports", "restartPolicy"})


def _owner(item: Object) -> str | None:
    owners: Iterable[Object] = item["metadata"].get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), None)


def _all_standing(found: Mapping[tuple[str, str], Sequence[Object]]) -> list[Standing]:
    return [_standing(item) for kind in _WORKLOADS for item in found.get(kind, ())]


def _standing(item: Object) -> Standing:
    metadata = item["metadata"]
    return Standing(
        item["kind"],
        _namespace(item),
        metadata["name"],
        metadata["uid"],
        _owner(item),
        Labels(metadata.get("labels") or {}),
        _has_ended(item),
    )


def _has_ended(item: Object) -> bool:
    match item["kind"]:
        case "Pod":
            return live.is_dead(item)
        case "Job":
            conditions = (item.get("status") or {}).get("conditions") or []
            over = {"Complete", "Failed"}
            return any(c["type"] in over and c["status"] == "True" for c in conditions)
        case "ReplicaSet":
            return item["spec"].get("replicas") == 0 and _owner(item) is not None
        case _:
            return False
