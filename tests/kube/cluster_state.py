"""The objects of a Kubernetes cluster and how they change, without HTTP and without waiting.

``ClusterState`` does what is documented of the API server: names are unique, each change gives
a new resourceVersion, deletes and updates keep their preconditions, and an object whose end
takes time is marked with a deletionTimestamp first. What controllers do is in ``controllers``.

What is simplified: server-side apply merges and knows no field ownership; admission looks at the
namespace of an object, at ``policyTypes``, and at the provisioner of a StorageClass.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from .controllers import Controllers, Delays, VirtualClock

Object = dict[str, Any]

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_SET_BY_SERVER = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


class Key(NamedTuple):
    """API version, kind, namespace (empty for an object of the cluster) and name."""

    api_version: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object, and what its URL calls it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def qualified(self) -> str:
        """The plural as the API server's messages write it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _kinds() -> Iterator[Kind]:
    for api_version, namespaced, kinds in (
        ("v1", False, "Namespace Node"),
        ("v1", True, "Pod Service Event Secret ConfigMap ServiceAccount ReplicationController"),
        ("apps/v1", True, "DaemonSet Deployment ReplicaSet StatefulSet"),
        ("batch/v1", True, "CronJob Job"),
        ("coordination.k8s.io/v1", True, "Lease"),
        ("discovery.k8s.io/v1", True, "EndpointSlice"),
        ("networking.k8s.io/v1", True, "NetworkPolicy"),
        ("networking.k8s.io/v1", False, "ServiceCIDR"),
        ("storage.k8s.io/v1", False, "StorageClass"),
        (
            "crd.projectcalico.org/v1",
            False,
            "FelixConfiguration GlobalNetworkPolicy StagedGlobalNetworkPolicy",
        ),
        ("cilium.io/v2", True, "CiliumNetworkPolicy"),
        ("policy.networking.k8s.io/v1alpha2", False, "ClusterNetworkPolicy"),
        (
            "policy.networking.k8s.io/v1alpha1",
            False,
            "AdminNetworkPolicy BaselineAdminNetworkPolicy",
        ),
    ):
        for kind in kinds.split():
            yield Kind(api_version, kind, _plural(kind), namespaced)


def _plural(kind: str) -> str:
    word = kind.lower()
    if word.endswith("y"):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith("s") else f"{word}s"


KINDS: Mapping[tuple[str, str], Kind] = {(item.api_version, item.kind): item for item in _kinds()}


class Refused(Exception):
    """What the API server does not do; ``status`` is its answer."""

    def __init__(self, code: int, reason: str, message: str, cause: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.cause = cause

    @property
    def status(self) -> Object:
        details = {"causes": [{"reason": self.cause}]} if self.cause else {}
        return {
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "reason": self.reason, "message": self.message, "code": self.code, "details": details,
        }  # fmt: skip


@dataclass(slots=True)
class ClusterState:
    """All objects of one cluster. Safe to use from many threads."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    delays: Delays = field(default_factory=Delays)
    ends_as: str = "Succeeded"
    """The phase of a pod that has ended, and is never restarted."""
    containers: Object = field(default_factory=lambda: {"running": {}})
    """The state that ephemeral containers come to."""
    objects: dict[Key, Object] = field(default_factory=dict)
    _version: int = 100
    _serial: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _controllers: Controllers = field(init=False)

    def __post_init__(self) -> None:
        self._controllers = Controllers(self)

    # ------------------------------------------------------------------ from the test

    def put(self, item: Object) -> Object:
        """Store an object as somebody else's, finished: no rule and no controller acts on it."""
        with self._lock:
            self.catch_up()
            item = copied(item)
            key = key_of(item)
            self._name(item)
            if key.kind == "Namespace":
                item["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = key.name
                item["status"] = {"phase": "Active"}
            self.store(key, item)
            return copied(item)

    def drop(self, *names: str) -> None:
        """Remove an object at once as somebody else would, a namespace with its content."""
        with self._lock:
            self.catch_up()
            key = Key(*names)
            self.objects.pop(key, None)
            if key.kind == "Namespace":
                for inner in [item for item in self.objects if item.namespace == key.name]:
                    del self.objects[inner]

    def found(self, *names: str) -> Object | None:
        """Return an object as it is now."""
        with self._lock:
            self.catch_up()
            item = self.objects.get(Key(*names))
            return item and copied(item)

    def catch_up(self) -> None:
        """Let the controllers do what is due."""
        with self._lock:
            self._controllers.catch_up()

    # ------------------------------------------------------------------ reading

    def get(self, key: Key) -> Object:
        """Read an object. Raises Refused with 404."""
        with self._lock:
            self.catch_up()
            return copied(self._existing(key))

    def find(self, kind: Kind, namespace: str = "", selector: str = "") -> list[Object]:
        """List objects of a namespace, or of all, by label selector."""
        with self._lock:
            self.catch_up()
            derived = self._controllers.slices() if kind.kind == "EndpointSlice" else []
            stored = [
                item
                for key, item in self.objects.items()
                if key[:2] == (kind.api_version, kind.kind)
            ]
            return [
                copied(item)
                for item in (*stored, *derived)
                if namespace in {"", item["metadata"].get("namespace", "")}
                and selects(selector, item["metadata"].get("labels") or {})
            ]

    @property
    def now(self) -> datetime:
        """The time on the server's own clock, to the second."""
        return _EPOCH + timedelta(seconds=int(self.clock.now()))

    @property
    def version(self) -> str:
        """The resourceVersion of the last change."""
        return str(self._version)

    # ------------------------------------------------------------------ writing

    def create(self, item: Object, *, dry_run: bool = False) -> Object:
        """Create an object. Raises Refused."""
        with self._lock:
            self.catch_up()
            item = copied(item)
            key = key_of(item)
            if item["metadata"].get("resourceVersion"):
                words = "resourceVersion should not be set on objects to be created"
                raise Refused(400, "BadRequest", words)
            self._admit(key, item)
            if key in self.objects:
                words = f'{_qualified(key)} "{key.name}" already exists'
                raise Refused(409, "AlreadyExists", words)
            if not dry_run:
                self._name(item)
                self._controllers.begin(key, item)
                self.store(key, item)
            return copied(item)

    def update(self, key: Key, wanted: Object, *, dry_run: bool = False) -> Object:
        """Put an object in the place of the one that is there. Raises Refused."""
        with self._lock:
            self.catch_up()
            found = self._existing(key)
            if uid := wanted["metadata"].get("uid"):
                _check_uid(key, uid, found)
            return self._change(key, wanted, dry_run=dry_run)

    def merge(self, key: Key, changes: Object, *, dry_run: bool = False) -> Object:
        """Apply a JSON merge patch (RFC 7386). Raises Refused."""
        with self._lock:
            self.catch_up()
            return self._change(key, _merged(self._existing(key), changes), dry_run=dry_run)

    def add_containers(self, key: Key, changes: Object, *, dry_run: bool = False) -> Object:
        """Add ephemeral containers with a merge patch; nothing else may change. Raises Refused."""
        with self._lock:
            self.catch_up()
            found = self._existing(key)
            wanted = _merged(found, changes)
            _check_uid(key, wanted["metadata"]["uid"], found)
            if wanted["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
                raise _conflict(key, "the object has been modified")
            there = found["spec"].get("ephemeralContainers") or []
            if wanted["spec"]["ephemeralContainers"][: len(there)] != there:
                words = "spec.ephemeralContainers: Forbidden: existing ones may not be removed"
                raise _invalid(key, words)
            if {**wanted["spec"], "ephemeralContainers": there} != {
                **found["spec"], "ephemeralContainers": there
            }:  # fmt: skip
                raise _invalid(key, "spec: Forbidden: only ephemeralContainers may be changed")
            changed = self._change(key, wanted, dry_run=dry_run)
            if not dry_run:
                self._controllers.start_containers(key)
            return changed

    def apply(self, wanted: Object, *, dry_run: bool = False) -> Object:
        """Server-side apply: create the object, or merge into what is there. Raises Refused."""
        with self._lock:
            self.catch_up()
            key = key_of(wanted)
            if key not in self.objects:
                return self.create(wanted, dry_run=dry_run)
            return self._change(key, _merged(self.objects[key], wanted), dry_run=dry_run)

    def delete(self, key: Key, uid: str = "", version: str = "") -> Object:
        """Delete an object, or begin to; ``uid`` and ``version`` are preconditions."""
        with self._lock:
            self.catch_up()
            found = self._existing(key)
            if uid:
                _check_uid(key, uid, found)
            there = found["metadata"]["resourceVersion"]
            if version and version != there:
                raise _conflict(
                    key,
                    f"Precondition failed: ResourceVersion in precondition: {version}, "
                    f"ResourceVersion in object meta: {there}",
                )
            going = "deletionTimestamp" in found["metadata"]
            if going and key.kind == "Namespace":
                raise _conflict(
                    key,
                    "The system is ensuring all content is removed from this namespace.  "
                    "Upon completion, this namespace will automatically be purged by the system.",
                )
            if not going and self._controllers.takes_time(key, found):
                found["metadata"]["deletionTimestamp"] = self._time()
                self._controllers.end(key, found)
                self.store(key, found)
            elif not going:
                del self.objects[key]
            return copied(found)

    # ------------------------------------------------------------------ rules

    def store(self, key: Key, item: Object) -> None:
        """Keep an object in its new form, under a new resourceVersion."""
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        self.objects[key] = item

    def serial(self) -> int:
        """Return a number that was not given before."""
        return next(self._serial)

    def _name(self, item: Object) -> None:
        item["metadata"]["uid"] = str(uuid.UUID(int=self.serial(), version=4))
        item["metadata"]["creationTimestamp"] = self._time()

    def _time(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _existing(self, key: Key) -> Object:
        if key not in self.objects:
            raise Refused(404, "NotFound", f'{_qualified(key)} "{key.name}" not found')
        return self.objects[key]

    def _admit(self, key: Key, item: Object) -> None:
        if key.namespace:
            self._admit_into(key)
        if key.kind == "NetworkPolicy":
            for word in (item.get("spec") or {}).get("policyTypes") or []:
                if word not in {"Ingress", "Egress"}:
                    raise _invalid(key, f'spec.policyTypes: Unsupported value: "{word}"')

    def _admit_into(self, key: Key) -> None:
        """Refuse content for a namespace that is not there, or going, or too young for pods."""
        home = self.objects.get(Key("v1", "Namespace", "", key.namespace))
        if home is None:
            raise Refused(404, "NotFound", f'namespaces "{key.namespace}" not found')
        what = f'{_qualified(key)} "{key.name}" is forbidden'
        if home["status"]["phase"] == "Terminating":
            raise Refused(
                403,
                "Forbidden",
                f"{what}: unable to create new content in namespace {key.namespace} because it "
                "is being terminated",
                "NamespaceTerminating",
            )
        account = Key("v1", "ServiceAccount", key.namespace, "default")
        if key.kind == "Pod" and account not in self.objects:
            raise Refused(
                403,
                "Forbidden",
                f"{what}: error looking up service account {key.namespace}/default: "
                'serviceaccount "default" not found',
            )

    def _change(self, key: Key, wanted: Object, *, dry_run: bool) -> Object:
        found, wanted = self.objects[key], copied(wanted)
        old, new = found["metadata"], wanted["metadata"]
        version = new.get("resourceVersion")
        if version and version != old["resourceVersion"]:
            raise _conflict(
                key,
                "the object has been modified; please apply your changes to the latest version "
                "and try again",
            )
        if new.get("uid", old["uid"]) != old["uid"]:
            raise _invalid(key, f'metadata.uid: Invalid value: "{new["uid"]}": field is immutable')
        new |= {word: old[word] for word in (*_SET_BY_SERVER, "resourceVersion") if word in old}
        if key.kind == "Namespace":
            new.setdefault("labels", {})["kubernetes.io/metadata.name"] = key.name
        if "status" in found:
            wanted["status"] = found["status"]
        if key.kind == "StorageClass" and found.get("provisioner") != wanted.get("provisioner"):
            raise _invalid(key, "provisioner: Forbidden: updates to provisioner are forbidden.")
        if "deletionTimestamp" not in old:
            self._admit(key, wanted)
        if wanted != found and not dry_run:  # to write what is there changes nothing
            self.store(key, wanted)
            self._controllers.changed(key, wanted)
        return copied(wanted)


def copied(item: Object) -> Object:
    """Return a copy of an object; faster than ``deepcopy``, since JSON has no cycles."""
    return {key: _copied(value) for key, value in item.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return copied(value)
    return [_copied(entry) for entry in value] if isinstance(value, list) else value


def key_of(item: Object) -> Key:
    """Return the key of an object."""
    kind, metadata = KINDS[item["apiVersion"], item["kind"]], item["metadata"]
    namespace = metadata["namespace"] if kind.namespaced else ""
    return Key(kind.api_version, kind.kind, namespace, metadata["name"])


def _qualified(key: Key) -> str:
    return KINDS[key[:2]].qualified


def _conflict(key: Key, words: str) -> Refused:
    message = f'Operation cannot be fulfilled on {_qualified(key)} "{key.name}": {words}'
    return Refused(409, "Conflict", message)


def _invalid(key: Key, words: str) -> Refused:
    kind = ".".join(filter(None, (key.kind, KINDS[key[:2]].group)))
    return Refused(422, "Invalid", f'{kind} "{key.name}" is invalid: {words}')


def _check_uid(key: Key, uid: str, found: Object) -> None:
    there = found["metadata"]["uid"]
    if uid != there:
        raise _conflict(
            key,
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {there}",
        )


def _merged(value: Any, changes: Any) -> Any:
    if not isinstance(changes, dict):
        return _copied(changes)
    merged = dict(value) if isinstance(value, dict) else {}
    for key, entry in changes.items():
        if entry is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), entry)
    return merged


def selects(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether a label selector, as a query writes it, matches labels."""
    terms = re.findall(r"(?:[^,(]|\([^)]*\))+", selector)
    return all(_holds(term.strip(), labels) for term in terms)


def _holds(term: str, labels: Mapping[str, str]) -> bool:
    if found := re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", term):
        key, word, values = found.groups()
        chosen = labels.get(key) in {item.strip() for item in values.split(",")}
        return chosen if word == "in" else not chosen
    if found := re.fullmatch(r"([^!=\s]+)\s*(==|=|!=)\s*(\S*)", term):
        key, word, text = found.groups()
        return (labels.get(key) == text) is (word != "!=")
    return term[1:] not in labels if term.startswith("!") else term in labels


def as_text(item: Object | None) -> str:
    """Return an object in the one form in which equal objects are equal texts."""
    return json.dumps(item, sort_keys=True)
