"""Create, change and delete the objects of one run. No other module changes a cluster for a run.

An object belongs to the run only if a create of this run made it. Each create has a unique
token in an annotation. So if the answer of a create is lost, reading the object shows whether
it was done: then the object has the labels, the process and the token of that create. Deletes
carry the uid as a precondition; updates carry uid and resourceVersion. So whatever fails, an
object that someone else created is never touched, not even one of the same name.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.cluster.kube.api import Api, ApiError
from harness.cluster.kube.objects import MARK_PREFIX, PROCESS_ANNOTATION, TOKEN_ANNOTATION, Object
from harness.cluster.waiting import REAL, Clock, Wait
from harness.errors import ClusterError

_PATIENCE_S = 30.0
"""How long one request is repeated while the API server cannot answer it."""
_TERMINATED = "because it is being terminated"


@dataclass(frozen=True, slots=True)
class Ref:
    """An object by kind and real names; ``namespace`` is empty for a cluster-scoped one."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}".replace(" /", " ")


def ref_of(item: Object) -> Ref:
    """Return the names of an object."""
    metadata = item["metadata"]
    return Ref(item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"])


@dataclass(frozen=True, slots=True)
class Remaining:
    """The objects of this run that still exist, and whether all of them are being deleted."""

    left: tuple[str, ...]
    all_deleting: bool


class Exists(ClusterError):
    """An object of that name exists, and was not created by this run."""

    def __init__(self, ref: Ref) -> None:
        super().__init__(
            f"{ref} already exists and was not created by this run",
            "netpol never changes objects that it did not create: delete it yourself, "
            "or choose another name",
        )


@dataclass(slots=True)
class Owned:
    """The objects that this run and worker created, by uid. Safe to use from many threads.

    ``labels`` and ``process`` mark each object as created by this run.
    """

    api: Api
    labels: Mapping[str, str]
    process: str
    clock: Clock = REAL
    _uids: dict[Ref, str] = field(default_factory=dict)
    _tokens: dict[Ref, set[str]] = field(default_factory=dict)
    """Tokens of creates without an answer: the API server may have done them."""
    _deleting: set[str] = field(default_factory=set)
    """The uids of objects whose deletion was requested."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def holds(self, ref: Ref) -> bool:
        """Whether this run created an object of these names and did not delete it."""
        uid = self._uids.get(ref)
        return uid is not None and uid not in self._deleting

    # ------------------------------------------------------------------ create

    def create(
        self,
        wanted: Object,
        limit_s: float = _PATIENCE_S,
        may_retry: Callable[[ApiError], bool] = lambda _: False,
    ) -> Object:
        """Create an object and record it; first wait until an earlier one of that name is gone.

        ``may_retry`` is True for refusals that end by themselves. Raises Exists if there is an
        object that this run did not create, ApiError if the API server refuses, TimedOut after
        ``limit_s``. If an error leaves open whether the object exists, ``resolve`` finds out.
        """
        ref, token = ref_of(wanted), secrets.token_hex(8)
        marked = self._marked(wanted, token)
        with self._lock:
            self._tokens.setdefault(ref, set()).add(token)
        made: list[Object] = []
        lost = False

        def missing() -> str | None:
            nonlocal lost
            try:
                made.append(self.api.create(marked))
            except ApiError as error:
                lost = lost or error.transient
                if may_retry(error) or self._is_about_namespace_before(error, ref):
                    return error.message
                if error.status != 409:
                    raise
                found = self._read(ref)
                if found is None or self._is_being_deleted(found, ref, token):
                    return f"{ref} is being deleted"
                made.append(found)
            return None

        try:
            Wait(limit_s, clock=self.clock).until(missing, f"{ref} to be created")
        except ClusterError as error:
            if isinstance(error, Exists) or not lost:
                self._resolved(ref, token)
            raise
        self.forget(ref)  # an earlier one of that name, with all objects in it
        with self._lock:
            self._uids[ref] = made[0]["metadata"]["uid"]
        self._resolved(ref, token)
        return made[0]

    def _is_about_namespace_before(self, error: ApiError, ref: Ref) -> bool:
        """Whether a refusal is about an earlier namespace of the name that the object is in.

        The API server admits objects by a cache of namespaces. For a moment after a namespace
        was created again, the cache has the one before, which is being deleted.
        """
        home = Ref("v1", "Namespace", "", ref.namespace)
        if error.status != 403 or _TERMINATED not in error.message or not self.holds(home):
            return False
        found = self._read(home)
        return (
            found is not None
            and found["metadata"]["uid"] == self._uids.get(home)
            and not found["metadata"].get("deletionTimestamp")
        )

    def _marked(self, wanted: Object, token: str) -> Object:
        metadata = wanted["metadata"]
        annotations = {
            **(metadata.get("annotations") or {}),
            PROCESS_ANNOTATION: self.process,
            TOKEN_ANNOTATION: token,
        }
        return {**wanted, "metadata": {**metadata, "annotations": annotations}}

    def _is_being_deleted(self, found: Object, ref: Ref, token: str) -> bool:
        """Whether an object of the wanted name is being deleted; False if ``token`` created it.

        One that an earlier create of this run made, whose answer was lost, is deleted now.
        Raises Exists for an object that this run did not create.
        """
        if self._is(found, {token}):
            return False
        uid = found["metadata"]["uid"]
        with self._lock:
            if self._is(found, self._tokens.get(ref, set())):
                self._uids[ref] = uid
            created_here = self._uids.get(ref) == uid
        if not created_here:
            raise Exists(ref)
        if not found["metadata"].get("deletionTimestamp"):
            self.delete(ref)
        return True

    def _resolved(self, ref: Ref, token: str) -> None:
        with self._lock:
            tokens = self._tokens.get(ref, set())
            tokens.discard(token)
            if not tokens:
                self._tokens.pop(ref, None)

    def _is(self, found: Object, tokens: set[str]) -> bool:
        metadata = found["metadata"]
        annotations = metadata.get("annotations") or {}
        return (
            _marks(self.labels).items() <= (metadata.get("labels") or {}).items()
            and annotations.get(PROCESS_ANNOTATION) == self.process
            and annotations.get(TOKEN_ANNOTATION) in tokens
        )

    # ------------------------------------------------------------------ change

    def patch(self, ref: Ref, changes: Object) -> Object:
        """Merge changes into an object. Raises ApiError, also if it was deleted or replaced."""
        return self._change(ref, lambda found: self._merged(ref, found, changes))

    def relabel(self, wanted: Object, removed: Iterable[str]) -> None:
        """Set the labels of ``wanted`` on an object, and remove others. Raises ClusterError.

        Nothing is sent if it has these labels: every namespace is asked for at every step.
        """
        ref = ref_of(wanted)
        labels = {**dict.fromkeys(removed), **wanted["metadata"]["labels"]}

        def change(found: Object) -> Object:
            now = found["metadata"].get("labels") or {}
            if all(now.get(key) == value for key, value in labels.items()):
                return found
            return self._merged(ref, found, {"metadata": {"labels": labels}})

        try:
            self._change(ref, change)
        except ApiError as error:
            raise ClusterError(f"{ref} cannot be labelled: {error}") from None

    def _merged(self, ref: Ref, found: Object, changes: Object) -> Object:
        uid, version = _identity(found)
        metadata = {**changes.get("metadata", {}), "uid": uid, "resourceVersion": version}
        named = {"apiVersion": ref.api_version, "kind": ref.kind}
        names = {"name": ref.name, "namespace": ref.namespace}
        return self.api.merge({**named, "metadata": names}, {**changes, "metadata": metadata})

    def replace(self, wanted: Object) -> Object:
        """Replace the object of the same names; raises as ``patch`` does."""

        def change(found: Object) -> Object:
            uid, version = _identity(found)
            kept = found["metadata"]
            metadata = {**wanted["metadata"], "uid": uid, "resourceVersion": version}
            marks = (PROCESS_ANNOTATION, TOKEN_ANNOTATION)
            metadata["annotations"] = {
                **(metadata.get("annotations") or {}),
                **{key: kept["annotations"][key] for key in marks if key in kept["annotations"]},
            }
            if finalizers := kept.get("finalizers"):
                metadata["finalizers"] = finalizers
            return self.api.replace({**wanted, "metadata": metadata})

        return self._change(ref_of(wanted), change)

    def dry_run(self, wanted: Object) -> None:
        """Create or replace an object as a dry run, which changes nothing.

        Raises ApiError if the API server refuses it, Exists if an object of that name exists
        that this run did not create.
        """
        try:
            self.api.create(wanted, dry_run=True)
        except ApiError as error:
            if error.status != 409:
                raise
        else:
            return
        ref = ref_of(wanted)
        found = self._read(ref)
        if found is None or found["metadata"]["uid"] != self._uids.get(ref):
            raise Exists(ref)
        uid, version = _identity(found)
        metadata = {**wanted["metadata"], "uid": uid, "resourceVersion": version}
        self.api.replace({**wanted, "metadata": metadata}, dry_run=True)

    def _change(self, ref: Ref, change: Callable[[Object], Object]) -> Object:
        done: list[Object] = []

        def missing() -> str | None:
            found = self._read(ref)
            if found is None or found["metadata"]["uid"] != self._uids.get(ref):
                raise ApiError(f"{ref} was deleted by someone else", 404)
            try:
                done.append(change(found))
            except ApiError as error:
                if error.status != 409:
                    raise
                return f"{ref} keeps changing: {error.message}"
            return None

        Wait(_PATIENCE_S, clock=self.clock).until(missing, f"{ref} to be changed")
        return done[0]

    # ------------------------------------------------------------------ delete

    def delete(self, ref: Ref) -> None:
        """Request the deletion of an object. Does nothing if it was deleted or replaced.

        The object stays on record until ``is_gone`` returns True.
        """
        uid = self._uids.get(ref)
        if uid is None:
            return
        with self._lock:
            self._deleting.add(uid)

        def missing() -> str | None:
            try:
                self.api.delete(ref.api_version, ref.kind, ref.namespace, ref.name, uid)
            except ApiError as error:
                # 404: it is gone. 409: it is being deleted, or another object has its name.
                if error.status not in {404, 409}:
                    raise
            return None

        Wait(_PATIENCE_S, clock=self.clock).until(missing, f"the deletion of {ref} to be accepted")

    def is_gone(self, ref: Ref) -> bool:
        """Whether the object of these names that this run created is gone. Raises ApiError.

        The objects in a namespace are gone with it. But if someone else has created a namespace
        of that name since, objects of this run may be in it.
        """
        uid = self._uids.get(ref)
        if uid is None:
            return True
        found = self._read(ref)
        if found is not None and found["metadata"]["uid"] == uid:
            return False
        if found is None:
            self.forget(ref)
        else:
            with self._lock:
                self._deleting.discard(self._uids.pop(ref, ""))
        return True

    def forget(self, ref: Ref) -> None:
        """Remove an object from the record, and with a namespace all objects in it."""
        with self._lock:
            self._deleting.discard(self._uids.pop(ref, ""))
            if _is_namespace(ref):
                for inner in [item for item in self._uids if item.namespace == ref.name]:
                    self._deleting.discard(self._uids.pop(inner))
                for inner in [item for item in self._tokens if item.namespace == ref.name]:
                    del self._tokens[inner]

    def outermost(self) -> tuple[Ref, ...]:
        """Return the objects to delete one by one: those not in a namespace of this run."""
        with self._lock:
            namespaces = {ref.name for ref in self._uids if _is_namespace(ref)}
            return tuple(ref for ref in reversed(self._uids) if ref.namespace not in namespaces)

    def resolve(self) -> tuple[Ref, ...]:
        """Find out which creates without an answer were done, and record their objects.

        Returns those where this could not be found out.
        """
        with self._lock:
            unanswered = {ref: set(tokens) for ref, tokens in self._tokens.items()}
        unknown = []
        for ref, tokens in unanswered.items():
            try:
                found = self._read(ref)
            except ClusterError:
                unknown.append(ref)
                continue
            with self._lock:
                if found is not None and self._is(found, tokens):
                    self._uids[ref] = found["metadata"]["uid"]
                self._tokens.pop(ref, None)
        return tuple(unknown)

    def remaining(self) -> tuple[str, ...]:
        """Return the names of the objects of this run. Deletes nothing."""
        unknown = self.resolve()
        return (*map(_uncertain, unknown), *map(str, self.outermost()))

    def clear(self) -> Remaining:
        """Request the deletion of all objects of this run. Call it until nothing is left."""
        unknown = self.resolve()
        left = [_uncertain(ref) for ref in unknown]
        all_deleting = not unknown
        seen: set[Ref] = set()
        # If someone else replaced a namespace, objects of this run may be in theirs.
        while rest := [ref for ref in self.outermost() if ref not in seen]:
            seen.update(rest)
            for ref in rest:
                try:
                    if not self.is_gone(ref):
                        self.delete(ref)
                        left.append(str(ref))
                except ClusterError as error:
                    left.append(f"{ref}: {error.message}")
                    all_deleting = False
        return Remaining(tuple(left), all_deleting)

    # ------------------------------------------------------------------ small things

    def _read(self, ref: Ref) -> Object | None:
        return self.api.get(ref.api_version, ref.kind, ref.name, ref.namespace)


def _uncertain(ref: Ref) -> str:
    return f"{ref}: whether it exists is unknown"


def _is_namespace(ref: Ref) -> bool:
    return ref.kind == "Namespace" and ref.api_version == "v1"


def _marks(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that a scenario may not set: those with the prefix of netpol."""
    return {key: value for key, value in labels.items() if key.startswith(MARK_PREFIX)}


def _identity(found: Object) -> tuple[str, str]:
    metadata: dict[str, Any] = found["metadata"]
    return metadata["uid"], metadata["resourceVersion"]
