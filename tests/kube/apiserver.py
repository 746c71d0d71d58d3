"""A stateful double of the Kubernetes API server, and an ``Api`` that calls it directly.

``ApiServer`` reads requests, keeps an account of them, and answers from a ``ClusterState``.
``DirectApi`` is for tests that send very many; ``serving`` has the same server on HTTP.

A ``Fault`` is what may happen to a call. Which call gets one is decided by a seed and the call
itself (what, of which object, how often), not by its order: the adapter has many threads.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from harness.cluster.kube.api import (
    Api,
    ApiError,
    Container,
    Exec,
    ExecError,
    Heard,
    Output,
    Resource,
    say_nothing,
)
from harness.cluster.waiting import Clock

from .cluster_state import KINDS, ClusterState, Key, Kind, Object, Refused

_VERBS = ["create", "delete", "get", "list", "patch", "update"]
_PATIENCE_S = 30.0  # how long a client waits for an answer that does not come
_REVIEWS = Kind(
    "authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", False
)
_SERVED = (*KINDS.values(), _REVIEWS)
_BY_URL = {(item.api_version, item.plural): item for item in _SERVED}


class Fault(enum.Enum):
    """How a call goes wrong: refused, not answered, or done and the answer lost."""

    CONFLICT = "409"
    FORBIDDEN = "403"
    GONE = "410"
    INTERNAL = "500"
    UNAVAILABLE = "503"
    TIMEOUT = "time-out"
    BROKEN = "broken connection"
    LOST_500 = "done, then 500"
    LOST_TIMEOUT = "done, then a time-out"
    LOST_BROKEN = "done, then a broken connection"

    @property
    def is_done(self) -> bool:
        """Whether the server does what it was asked for."""
        return self.value.startswith("done")


class Broken(Exception):
    """The connection ends without an answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request: what is asked of which object, and how often that was asked before."""

    verb: str
    kind: str
    namespace: str = ""
    name: str = ""
    nth: int = 0

    @property
    def is_change(self) -> bool:
        return self.verb in {"create", "update", "patch", "apply", "delete"}


@dataclass(frozen=True, slots=True)
class Chance:
    """Calls chosen by a seed: about ``percent`` of all."""

    seed: int = 0
    percent: int = 0

    def draw(self, call: Call) -> int | None:
        """Return a number if this call is chosen; it is the same each time."""
        digest = hashlib.sha256(f"{self.seed} {call}".encode()).digest()
        return digest[1] if digest[0] * 100 // 256 < self.percent else None


@dataclass(frozen=True, slots=True)
class Faults:
    """Which calls go wrong, once or as often as they are made, and in which of these ways."""

    chance: Chance = field(default_factory=Chance)
    kinds: tuple[Fault, ...] = tuple(item for item in Fault if item is not Fault.GONE)
    lasting: Chance = field(default_factory=Chance)

    def of(self, call: Call) -> Fault | None:
        """Return what happens to a call."""
        number = self.lasting.draw(replace(call, nth=0))
        if number is None:
            number = self.chance.draw(call)
        return None if number is None else self.kinds[number % len(self.kinds)]

    @property
    def never(self) -> bool:
        return not self.chance.percent and not self.lasting.percent


@dataclass(slots=True)
class ApiServer:
    """Answers requests from a ClusterState. ``state`` is as safe as it is; one call at a time."""

    state: ClusterState = field(default_factory=ClusterState)
    calls: list[Call] = field(default_factory=list)
    made: dict[str, Key] = field(default_factory=dict)
    """What clients created, by uid."""
    refusals: list[tuple[str, str, int, str]] = field(default_factory=list)
    """Verb, kind, status and message: what an admission plugin would refuse."""
    denied: set[tuple[str, ...]] = field(default_factory=set)
    """Verbs and resources that access reviews deny."""
    faults: Callable[[Call], Fault | None] = lambda _: None
    before: Callable[[Call], None] = lambda _: None
    """Called before each call is served: somebody else may act here."""
    _counts: dict[Call, int] = field(default_factory=dict)

    @property
    def clock(self) -> Clock:
        """The clock that the adapter must wait with."""
        return Clock(self.state.clock.now, self.state.clock.sleep)

    def handle(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: Object,
        content_type: str = "",
    ) -> Object:
        """Answer one request. Raises Refused and Broken."""
        asked = _read(method, path, params, body, content_type)
        call = self._counted(asked.call)
        self.before(call)
        fault = self.faults(call)
        if fault is not None and not fault.is_done:
            self._fail(fault, call)
        try:
            answer = self._admitted(asked)
        except Refused:
            if fault is None:
                raise
            answer = {}
        if fault is not None:
            self._fail(fault, call)
        return answer

    def _admitted(self, asked: _Asked) -> Object:
        for verb, kind, status, message in self.refusals:
            if (verb, kind) == (asked.call.verb, asked.call.kind):
                raise Refused(status, "Refused", message)
        return self._serve(asked)

    def _counted(self, call: Call) -> Call:
        nth = self._counts[call] = self._counts.get(call, -1) + 1
        self.calls.append(replace(call, nth=nth))
        return self.calls[-1]

    def _fail(self, fault: Fault, call: Call) -> None:
        what = f'{call.kind} "{call.name}"'
        match fault:
            case Fault.CONFLICT:
                words = f"Operation cannot be fulfilled on {what}: try again"
                raise Refused(409, "Conflict", words)
            case Fault.FORBIDDEN:
                raise Refused(403, "Forbidden", f"{what} is forbidden: exceeded quota: all")
            case Fault.GONE:
                raise Refused(410, "Expired", "the continue token is too old")
            case Fault.INTERNAL | Fault.LOST_500:
                raise Refused(500, "InternalError", "Internal error occurred: no leader")
            case Fault.UNAVAILABLE:
                raise Refused(503, "ServiceUnavailable", "the server is shutting down")
            case Fault.TIMEOUT | Fault.LOST_TIMEOUT:
                self.state.clock.sleep(_PATIENCE_S)
                raise Refused(504, "Timeout", "the request did not complete within 30 s")
            case Fault.BROKEN | Fault.LOST_BROKEN:
                raise Broken

    # ------------------------------------------------------------------ one request

    def _serve(self, asked: _Asked) -> Object:
        if asked.kind is None:
            return _discovery(asked.path)
        if asked.kind is _REVIEWS:
            wanted = asked.body["spec"]["resourceAttributes"]
            right = (wanted["verb"], wanted["resource"])
            allowed = not {right, (*right, wanted["namespace"])} & self.denied
            return {**asked.body, "status": {"allowed": allowed}}
        kind, call = asked.kind, asked.call
        key = Key(kind.api_version, kind.kind, call.namespace, call.name)
        match call.verb:
            case "get":
                return self.state.get(key)
            case "list":
                selector = asked.params.get("labelSelector", "")
                items = self.state.find(kind, call.namespace, selector)
                first = int(asked.params.get("continue", 0))
                behind = first + int(asked.params.get("limit", len(items)))
                more = {"continue": str(behind)} if behind < len(items) else {}
                return {
                    "apiVersion": kind.api_version,
                    "kind": f"{kind.kind}List",
                    "metadata": {"resourceVersion": self.state.version, **more},
                    "items": items[first:behind],
                }
            case "delete":
                wanted = asked.body.get("preconditions") or {}
                version = wanted.get("resourceVersion") or ""
                return self.state.delete(key, wanted.get("uid") or "", version)
        return self._write(key, asked)

    def _write(self, key: Key, asked: _Asked) -> Object:
        dry_run, body = asked.params.get("dryRun") == "All", asked.body
        if asked.call.kind == "Pod/ephemeralcontainers":
            return self.state.add_containers(key, body, dry_run=dry_run)
        if asked.call.verb == "patch":
            return self.state.merge(key, body, dry_run=dry_run)
        _agree(key, body)
        if asked.call.verb == "update":
            return self.state.update(key, body, dry_run=dry_run)
        new = asked.call.verb == "create" or self.state.found(*key) is None
        act = self.state.create if asked.call.verb == "create" else self.state.apply
        made = act(body, dry_run=dry_run)
        if new and not dry_run:
            self.made[made["metadata"]["uid"]] = key
        return made


# ------------------------------------------------------------------ reading a request


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as the API server reads it; ``kind`` is None for discovery."""

    path: str
    call: Call
    kind: Kind | None
    params: Mapping[str, str]
    body: Object


def _read(
    method: str, path: str, params: Mapping[str, str], body: Object, content_type: str
) -> _Asked:
    """Read a request. Raises Refused where the URL or the method does not exist."""
    root, *parts = path.strip("/").split("/")
    if root == "apis" and len(parts) > 1:
        parts[:2] = ["/".join(parts[:2])]
    if len(parts) < 2 or root not in {"api", "apis"}:
        return _Asked(path, Call("discover", path), None, params, body)
    api_version, *parts = parts
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    name = parts[1] if len(parts) > 1 else ""
    kind = _BY_URL.get((api_version, parts[0]))
    part = parts.pop() if parts[::2] == ["pods", "ephemeralcontainers"] else ""
    if kind is None or len(parts) > 2 or (namespace and not kind.namespaced):
        raise _no_such_page()
    verb = _verb(method, name, content_type)
    if kind.namespaced and not namespace and verb != "list":
        raise _no_such_page()
    if verb == "create":
        name = body.get("metadata", {}).get("name", "")
    called = f"{kind.kind}/{part}" if part else kind.kind
    return _Asked(path, Call(verb, called, namespace, name), kind, params, body)


def _verb(method: str, name: str, content_type: str) -> str:
    match method.upper(), bool(name):
        case "GET", True:
            return "get"
        case "GET", False:
            return "list"
        case "POST", False:
            return "create"
        case "PUT", True:
            return "update"
        case "PATCH", True:
            return "apply" if "apply-patch" in content_type else "patch"
        case "DELETE", True:
            return "delete"
    raise Refused(405, "MethodNotAllowed", "the server does not allow this method")


def _agree(key: Key, item: Object) -> None:
    """Refuse a body that names another namespace or name than the URL."""
    metadata = item["metadata"]
    named = (metadata.get("namespace") or key.namespace, metadata["name"])
    if named != (key.namespace, key.name):
        words = "the name and namespace of the object do not match those of the URL"
        raise Refused(400, "BadRequest", words)
    if key.namespace:
        metadata["namespace"] = key.namespace


def _no_such_page() -> Refused:
    return Refused(404, "NotFound", "the server could not find the requested resource")


# ------------------------------------------------------------------ discovery


def _discovery(path: str) -> Object:
    match path.strip("/").split("/"):
        case ["version"]:
            return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            versions = sorted({item.api_version for item in _SERVED if item.group})
            return {"kind": "APIGroupList", "groups": [_group(item) for item in versions]}
        case ["api", version]:
            return _resource_list(version)
        case ["apis", group, version]:
            return _resource_list(f"{group}/{version}")
    raise _no_such_page()


def _group(api_version: str) -> Object:
    name, version = api_version.split("/")
    found = {"groupVersion": api_version, "version": version}
    return {"name": name, "versions": [found], "preferredVersion": found}


def _resource_list(api_version: str) -> Object:
    found = [
        {"name": item.plural, "singularName": item.kind.lower(), "namespaced": item.namespaced,
         "kind": item.kind, "verbs": ["create"] if item is _REVIEWS else _VERBS}
        for item in _SERVED
        if item.api_version == api_version
    ]  # fmt: skip
    if not found:
        raise _no_such_page()
    return {"kind": "APIResourceList", "groupVersion": api_version, "resources": found}


# ------------------------------------------------------------------ the adapter's side


class DirectApi(Api):
    """An ``Api`` whose requests are calls of an ApiServer. Execs succeed and print nothing."""

    def __init__(self, server: ApiServer) -> None:
        self.context = "double"
        self._server = server
        self._known: dict[str, list[Object]] = {}

    def resource(self, api_version: str, kind: str) -> Resource:
        prefix = f"/{'apis' if '/' in api_version else 'api'}/{api_version}"
        if api_version not in self._known:
            try:
                self._known[api_version] = self.request("get", prefix)["resources"]
            except ApiError as error:
                if error.status != 404:
                    raise
                self._known[api_version] = []
        for item in self._known[api_version]:
            if item["kind"] == kind:
                return Resource(prefix, item["name"], item["namespaced"])
        raise ApiError(f"the cluster has no kind {kind} in {api_version}", 404)

    def now(self) -> datetime:
        self.request("get", "/version")
        return self._server.state.now

    def request(
        self,
        method: str,
        url: str,
        *,
        body: Object | None = None,
        query: Sequence[tuple[str, str]] = (),
        content_type: str | None = None,
    ) -> Object:
        # Through JSON, as on the wire: nothing is shared with the server.
        sent = json.loads(json.dumps(body or {}))
        try:
            return self._server.handle(method, url, dict(query), sent, content_type or "")
        except Refused as refused:
            raise ApiError(refused.message, refused.code) from None
        except Broken:
            raise ApiError(f"{method.upper()} {url}: no answer") from None

    def execute(
        self,
        container: Container,
        command: Sequence[str],
        stdin: str,
        idle_s: float,
        heard: Heard = say_nothing,
    ) -> Output:
        if self._server.state.found("v1", "Pod", container.namespace, container.pod) is None:
            raise ExecError(f'pods "{container.pod}" not found', 404)
        return Output("= begin 1.0\n= end 1.0\n", 1.0)

    def start(self, container: Container, _command: Sequence[str], _timeout_s: float) -> Exec:
        return DirectExec(self, container)


class DirectExec(Exec):
    """A shell that stays open."""

    def __init__(self, api: DirectApi, container: Container) -> None:
        self._api = api
        self._container = container

    def ask(
        self, words: str, idle_s: float, heard: Heard = say_nothing, end: object = None
    ) -> Output:
        return self._api.execute(self._container, (), words, idle_s, heard)

    def close(self) -> None:
        """Nothing is open."""
