"""A stateful double of the Kubernetes API server, and an ``Api`` that talks to it directly.

It keeps objects and does what the API's documentation says of names (409), uids and
resourceVersions as preconditions, label selectors, dry runs, namespaces that terminate, and
pods that take a moment to start. Time is virtual: it passes only when the adapter sleeps.

``Fault`` is what may happen to a call. Which call gets one is decided by a seed and the call
itself (method, path, how often), not by its order: the adapter works with many threads.
"""

from __future__ import annotations

import copy
import enum
import hashlib
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.cluster.kube.api import Api, ApiError, ExecError, Output, Resource
from harness.cluster.waiting import Clock

Object = dict[str, Any]
Key = tuple[str, str, str, str]

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
POD_READY_S = 1.0
POD_GONE_S = 0.5
NAMESPACE_GONE_S = 2.0
SERVICE_ACCOUNT_S = 0.5

KINDS: dict[tuple[str, str], Resource] = {
    (version, kind): Resource(
        f"/api/{version}" if "/" not in version else f"/apis/{version}", plural, namespaced
    )
    for version, kind, plural, namespaced in [
        ("v1", "Namespace", "namespaces", False),
        ("v1", "Node", "nodes", False),
        ("v1", "Pod", "pods", True),
        ("v1", "Service", "services", True),
        ("v1", "Secret", "secrets", True),
        ("v1", "Event", "events", True),
        ("v1", "ConfigMap", "configmaps", True),
        ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", True),
        ("networking.k8s.io/v1", "ServiceCIDR", "servicecidrs", False),
        ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", True),
        ("coordination.k8s.io/v1", "Lease", "leases", True),
        ("storage.k8s.io/v1", "StorageClass", "storageclasses", False),
        ("crd.projectcalico.org/v1", "FelixConfiguration", "felixconfigurations", False),
        ("cilium.io/v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies", True),
    ]
}


class Fault(enum.Enum):
    """What happens to one call; the last three happen after the server did it."""

    CONFLICT = 409
    FORBIDDEN = 403
    INTERNAL = 500
    UNAVAILABLE = 503
    TIMEOUT = "time-out"
    LOST_500 = "done, and 500"
    LOST_TIMEOUT = "done, and a time-out"
    LOST_BROKEN = "done, and a broken connection"


_AFTER = frozenset({Fault.LOST_500, Fault.LOST_TIMEOUT, Fault.LOST_BROKEN})


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class ApiServer:
    """The store. ``handle`` answers one request; safe to use from many threads."""

    objects: dict[Key, Object] = field(default_factory=dict)
    refusals: list[tuple[str, str, int, str]] = field(default_factory=list)
    """(method, part of the path, status, message): what an admission plugin would refuse."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    starts_pods: bool = True
    _now: float = 0.0
    _versions: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _since: dict[str, float] = field(default_factory=dict)
    """When each uid was created, and under its uid with a ``-`` when its deletion was asked."""

    @property
    def clock(self) -> Clock:
        """The clock that the adapter must wait with."""
        return Clock(lambda: self._now, self._sleep)

    def _sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds

    # ------------------------------------------------------------------ from the test

    def put(self, item: Object) -> Object:
        """Create an object as somebody else would; no rule is applied to it."""
        with self._lock:
            return self._store(copy.deepcopy(item))

    def drop(self, *key: str) -> None:
        """Delete an object as somebody else would, at once, with all in it."""
        with self._lock:
            version, kind, namespace, name = key
            self._vanish((version, kind, namespace, name))

    def found(self, version: str, kind: str, namespace: str, name: str) -> Object | None:
        """Return an object as it is now."""
        with self._lock:
            self._pass()
            return copy.deepcopy(self.objects.get((version, kind, namespace, name)))

    # ------------------------------------------------------------------ a request

    def handle(
        self, method: str, path: str, query: Sequence[tuple[str, str]], body: Object | None
    ) -> Object:
        """Answer one request. Raises Refused."""
        with self._lock:
            self._pass()
            self.calls.append((method, path))
            for verb, part, status, message in self.refusals:
                if verb == method and part in path:
                    raise Refused(status, message)
            if path.endswith("selfsubjectaccessreviews"):
                return {"status": {"allowed": True}}
            version, kind, namespace, name = self._parsed(path)
            asked = dict(query)
            match method:
                case "get" if name:
                    return copy.deepcopy(self._there((version, kind, namespace, name)))
                case "get":
                    items = self._listed(version, kind, namespace, asked.get("labelSelector", ""))
                    return {"items": items}
                case "post":
                    assert body is not None
                    return self._create(version, kind, body, dry="dryRun" in asked)
                case "put" | "patch":
                    assert body is not None
                    key = (version, kind, namespace, name)
                    return self._change(method, key, body, dry="dryRun" in asked)
                case "delete":
                    return self._delete((version, kind, namespace, name), body or {})
            raise Refused(405, f"no method {method}")

    def _parsed(self, path: str) -> Key:
        for (version, kind), resource in KINDS.items():
            if not path.startswith(resource.prefix + "/"):
                continue
            parts = path[len(resource.prefix) + 1 :].split("/")
            namespace = ""
            if parts[0] == "namespaces" and len(parts) > 2:
                namespace, parts = parts[1], parts[2:]
            if parts[0] == resource.plural:
                return version, kind, namespace, parts[1] if len(parts) > 1 else ""
        raise Refused(404, f"the server could not find the requested resource {path}")

    def _there(self, key: Key) -> Object:
        if key not in self.objects:
            raise Refused(404, f'{KINDS[key[:2]].plural} "{key[3]}" not found')
        return self.objects[key]

    def _listed(self, version: str, kind: str, namespace: str, selector: str) -> list[Object]:
        if kind == "EndpointSlice":
            return [item for item in self._slices() if _selected(item, selector)]
        return [
            copy.deepcopy(item)
            for key, item in self.objects.items()
            if key[:2] == (version, kind)
            and namespace in {"", key[2]}
            and _selected(item, selector)
        ]

    def _slices(self) -> Iterator[Object]:
        for (_, kind, namespace, name), item in self.objects.items():
            if kind != "Service":
                continue
            chosen = item["spec"].get("selector") or {}
            pods = [
                pod
                for key, pod in self.objects.items()
                if key[1] == "Pod"
                and key[2] == namespace
                and chosen.items() <= pod["metadata"].get("labels", {}).items()
                and not pod["metadata"].get("deletionTimestamp")
                and _is_ready(pod)
            ]
            labels = {**item["metadata"].get("labels", {}), "kubernetes.io/service-name": name}
            yield {
                "metadata": {"namespace": namespace, "name": f"{name}-x", "labels": labels},
                "endpoints": [
                    {
                        "addresses": [pod["status"]["podIPs"][0]["ip"]],
                        "conditions": {"ready": True},
                    }
                    for pod in pods
                ],
            }

    # ------------------------------------------------------------------ changes

    def _create(self, version: str, kind: str, body: Object, *, dry: bool) -> Object:
        metadata = body["metadata"]
        namespace = metadata.get("namespace", "") if KINDS[version, kind].namespaced else ""
        key = (version, kind, namespace, metadata["name"])
        if KINDS[version, kind].namespaced:
            home = self.objects.get(("v1", "Namespace", "", namespace))
            if home is None:
                raise Refused(404, f'namespaces "{namespace}" not found')
            if home["metadata"].get("deletionTimestamp"):
                raise Refused(
                    403, f"{kind} is forbidden: namespace {namespace} is being terminated"
                )
            if kind == "Pod" and self._age(home) < SERVICE_ACCOUNT_S:
                raise Refused(403, 'serviceaccount "default" not found')
        if key in self.objects:
            raise Refused(409, f'{KINDS[version, kind].plural} "{key[3]}" already exists')
        item = {"apiVersion": version, "kind": kind, **copy.deepcopy(body)}
        if dry:
            return item
        return copy.deepcopy(self._store(item))

    def _store(self, item: Object) -> Object:
        metadata = item["metadata"]
        number = next(self._numbers)
        metadata["uid"] = f"uid-{number}"
        metadata["resourceVersion"] = str(next(self._versions))
        metadata["creationTimestamp"] = self._stamp()
        self._since[metadata["uid"]] = self._now
        if item["kind"] == "Service":
            spec = item.setdefault("spec", {})
            spec.setdefault("clusterIPs", [f"10.96.{number // 250}.{number % 250}"])
            for port in spec.get("ports") or []:
                if spec.get("type") == "NodePort":
                    port.setdefault("nodePort", 30000 + number)
        key = (item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"])
        self.objects[key] = item
        return item

    def _change(self, method: str, key: Key, body: Object, *, dry: bool) -> Object:
        old = self._there(key)
        metadata, known = body.get("metadata", {}), old["metadata"]
        for name in ("uid", "resourceVersion"):
            if name in metadata and metadata[name] != known[name]:
                raise Refused(409, f"Operation cannot be fulfilled: {name} has changed")
        if method == "put":
            kept = {"uid", "creationTimestamp", "deletionTimestamp", "resourceVersion"}
            new = copy.deepcopy(body)
            new["metadata"] |= {name: known[name] for name in kept if name in known}
            new |= {name: old[name] for name in ("status",) if name in old}
        else:
            new = _merged(old, body)
        if dry:
            return new
        new["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[key] = new
        return copy.deepcopy(new)

    def _delete(self, key: Key, options: Object) -> Object:
        item = self._there(key)
        metadata = item["metadata"]
        for name, wanted in options.get("preconditions", {}).items():
            if metadata[name] != wanted:
                raise Refused(409, f"Precondition failed: {name} in object is {metadata[name]}")
        if key[1] not in {"Namespace", "Pod"}:
            self._vanish(key)
        elif not metadata.get("deletionTimestamp"):
            metadata["deletionTimestamp"] = self._stamp()
            metadata["resourceVersion"] = str(next(self._versions))
            self._since[metadata["uid"] + "-"] = self._now
        return copy.deepcopy(item)

    def _vanish(self, key: Key) -> None:
        self.objects.pop(key, None)
        if key[1] == "Namespace":
            for inner in [item for item in self.objects if item[2] == key[3]]:
                del self.objects[inner]

    # ------------------------------------------------------------------ time

    def _pass(self) -> None:
        """Do what was due since the last request."""
        for key, item in list(self.objects.items()):
            metadata = item["metadata"]
            asked = self._since.get(metadata["uid"] + "-")
            if asked is not None:
                limit = NAMESPACE_GONE_S if key[1] == "Namespace" else POD_GONE_S
                if self._now - asked >= limit:
                    self._vanish(key)
            elif (
                key[1] == "Pod"
                and self.starts_pods
                and not _is_ready(item)
                and self._age(item) >= POD_READY_S
            ):
                self._start(item)

    def _start(self, pod: Object) -> None:
        number = int(pod["metadata"]["uid"].removeprefix("uid-"))
        pod["spec"]["nodeName"] = "n1"
        pod["status"] = {
            "phase": "Running",
            "podIPs": [{"ip": f"10.244.{number // 250}.{number % 250}"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        pod["metadata"]["resourceVersion"] = str(next(self._versions))

    def _age(self, item: Object) -> float:
        return self._now - self._since[item["metadata"]["uid"]]

    def _stamp(self) -> str:
        return (_EPOCH + timedelta(seconds=self._now)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_ready(pod: Object) -> bool:
    return bool(pod.get("status", {}).get("conditions"))


def _selected(item: Object, selector: str) -> bool:
    labels = item["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        name, _, value = term.partition("=")
        if name not in labels or (value and labels[name] != value):
            return False
    return True


def _merged(old: Any, new: Any) -> Any:
    """JSON merge patch (RFC 7396)."""
    if not isinstance(new, dict):
        return copy.deepcopy(new)
    merged = dict(old) if isinstance(old, dict) else {}
    for name, value in new.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return copy.deepcopy(merged)


# ------------------------------------------------------------------ the adapter's side


@dataclass(slots=True)
class Faults:
    """Which calls fail, and how: about ``percent`` of them, chosen by ``seed``."""

    seed: int = 0
    percent: int = 0
    kinds: tuple[Fault, ...] = tuple(Fault)
    _seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, method: str, path: str) -> Fault | None:
        """Return what happens to this call."""
        with self._lock:
            self._seen[method, path] += 1
            count = self._seen[method, path]
        digest = hashlib.sha256(f"{self.seed} {method} {path} {count}".encode()).digest()
        if digest[0] * 100 // 256 >= self.percent or not self.kinds:
            return None
        return self.kinds[digest[1] % len(self.kinds)]


class DirectApi(Api):
    """An ``Api`` whose requests are calls of an ApiServer. Execs succeed and print nothing."""

    def __init__(self, server: ApiServer, faults: Faults | None = None) -> None:
        self.context = "double"
        self._server = server
        self.faults = faults or Faults()
        self.execute_answer: Callable[[str, str], str] = lambda *_: "= begin 1.0\n= end 1.0\n"

    def resource(self, api_version: str, kind: str) -> Resource:
        found = KINDS.get((api_version, kind))
        if found is None:
            raise ApiError(f"the cluster knows no {kind} of {api_version}", 404)
        return found

    def kinds(self) -> frozenset[str]:
        return frozenset(f"{version}/{kind}" for version, kind in KINDS)

    def request(
        self,
        method: str,
        url: str,
        *,
        body: Object | None = None,
        query: Sequence[tuple[str, str]] = (),
        content_type: str | None = None,
    ) -> Object:
        fault = self.faults.of(method, url)
        if fault is not None and fault not in _AFTER:
            raise _error(fault)
        # Through JSON, as on the wire: nothing is shared with the server.
        sent = json.loads(json.dumps(body)) if body is not None else None
        try:
            answer = self._server.handle(method, url, query, sent)
        except Refused as refused:
            raise ApiError(str(refused), refused.status) from None
        if fault is not None:
            raise _error(fault)
        return answer

    def execute(
        self, namespace: str, pod: str, command: Sequence[str], stdin: str, silence_s: float
    ) -> Output:
        if self._server.found("v1", "Pod", namespace, pod) is None:
            raise ExecError(f'pods "{pod}" not found', 404)
        return Output(self.execute_answer(namespace, pod), 1.0)


def _error(fault: Fault) -> ApiError:
    if isinstance(fault.value, int):
        return ApiError(f"injected {fault.value}", fault.value)
    if fault is Fault.LOST_500:
        return ApiError("injected 500", 500)
    return ApiError(f"injected: {fault.value}")
