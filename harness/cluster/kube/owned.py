"""What one run owns on a cluster. Nothing else in the harness creates, changes or deletes.

An object is ours only if a create of ours made it. Each create carries a token of its own in
an annotation, so a create whose answer was lost is settled by reading the object: ours has our
labels, our owner and that token. Deletes carry the uid as a precondition; updates carry uid and
resourceVersion. So whatever fails, an object that somebody else made is never touched, not
even one of the same name.
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
"""How long a single request is repeated while the API server is not able to answer it."""


@dataclass(frozen=True, slots=True)
class Ref:
    """An object by kind and real names; ``namespace`` is empty for one of the cluster."""

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
    """What of ours is still there, and whether all of it is being deleted."""

    left: tuple[str, ...]
    all_deleting: bool


class Exists(ClusterError):
    """An object of that name is there, and no create of ours made it."""

    def __init__(self, ref: Ref) -> None:
        super().__init__(
            f"{ref} exists already and is not of this run",
            "the harness changes nothing that it did not create: delete it yourself, "
            "or choose another name",
        )


@dataclass(slots=True)
class Owned:
    """The objects that this run and worker created, by uid. Safe to use from many threads.

    ``labels`` and ``process`` mark each object as ours.
    """

    api: Api
    labels: Mapping[str, str]
    process: str
    clock: Clock = REAL
    _uids: dict[Ref, str] = field(default_factory=dict)
    _tokens: dict[Ref, set[str]] = field(default_factory=dict)
    """Tokens of creates that the API server may have done without our hearing of it."""
    _deleting: set[str] = field(default_factory=set)
    """The uids of ours that we asked to be deleted."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def holds(self, ref: Ref) -> bool:
        """Whether we created an object of these names and did not ask for its deletion."""
        uid = self._uids.get(ref)
        return uid is not None and uid not in self._deleting

    # ------------------------------------------------------------------ create

    def create(
        self,
        wanted: Object,
        limit_s: float = _PATIENCE_S,
        may_retry: Callable[[ApiError], bool] = lambda _: False,
    ) -> Object:
        """Create an object and record it, when one of ours with that name is gone.

        ``may_retry`` names refusals that pass by themselves. Raises Exists if there is an object
        that we did not create, ApiError if the API server refuses, TimedOut after ``limit_s``.
        An error that leaves open whether the object exists keeps it on record for ``resolve``.
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
                if may_retry(error):
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
        self.forget(ref)  # an earlier one of that name, with what was in it
        with self._lock:
            self._uids[ref] = made[0]["metadata"]["uid"]
        self._resolved(ref, token)
        return made[0]

    def _marked(self, wanted: Object, token: str) -> Object:
        metadata = wanted["metadata"]
        annotations = {
            **(metadata.get("annotations") or {}),
            PROCESS_ANNOTATION: self.process,
            TOKEN_ANNOTATION: token,
        }
        return {**wanted, "metadata": {**metadata, "annotations": annotations}}

    def _is_being_deleted(self, found: Object, ref: Ref, token: str) -> bool:
        """Whether an object in our way is ours and on its way out; False if ``token`` made it.

        One of ours that an earlier create made, without our hearing of it, is deleted first.
        Raises Exists for an object that is not ours.
        """
        if self._is(found, {token}):
            return False
        uid = found["metadata"]["uid"]
        with self._lock:
            if self._is(found, self._tokens.get(ref, set())):
                self._uids[ref] = uid
            ours = self._uids.get(ref) == uid
        if not ours:
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
        """Merge changes into our object. Raises ApiError, also if ours is gone or replaced."""

        def change(uid: str, version: str) -> Object:
            metadata = {**changes.get("metadata", {}), "uid": uid, "resourceVersion": version}
            named = {"apiVersion": ref.api_version, "kind": ref.kind}
            names = {"name": ref.name, "namespace": ref.namespace}
            return self.api.merge({**named, "metadata": names}, {**changes, "metadata": metadata})

        return self._change(ref, lambda found: change(*_identity(found)))

    def relabel(self, wanted: Object, removed: Iterable[str]) -> None:
        """Set the labels of ``wanted`` on our object, and remove others. Raises ClusterError."""
        ref = ref_of(wanted)
        labels = {**dict.fromkeys(removed), **wanted["metadata"]["labels"]}
        try:
            self.patch(ref, {"metadata": {"labels": labels}})
        except ApiError as error:
            raise ClusterError(f"{ref} cannot be labelled: {error}") from None

    def replace(self, wanted: Object) -> Object:
        """Put an object in the place of ours of the same names; raises as ``patch`` does."""

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
        """Ask the API server what it says of an object, without a change (dry run).

        Raises ApiError if it refuses, Exists if an object of that name is not ours.
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
                raise ApiError(f"{ref} was deleted by somebody else", 404)
            try:
                done.append(change(found))
            except ApiError as error:
                if error.status != 409:
                    raise
                return f"{ref} changes all the time: {error.message}"
            return None

        Wait(_PATIENCE_S, clock=self.clock).until(missing, f"{ref} to be changed")
        return done[0]

    # ------------------------------------------------------------------ delete

    def delete(self, ref: Ref) -> None:
        """Ask for the deletion of our object; what is gone or replaced stays as it is.

        It stays on record until ``is_gone`` has seen it go.
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
                # 404: it is gone. 409: it is going already, or another has its name.
                if error.status not in {404, 409}:
                    raise
            return None

        Wait(_PATIENCE_S, clock=self.clock).until(missing, f"the deletion of {ref} to be accepted")

    def is_gone(self, ref: Ref) -> bool:
        """Whether our object of these names is gone. Raises ApiError.

        With a namespace goes what was in it, unless somebody else has made one of that name in
        between: then something of ours may be in there.
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
        """Drop an object from the record, with all in it if it is a namespace."""
        with self._lock:
            self._deleting.discard(self._uids.pop(ref, ""))
            if _is_namespace(ref):
                for inner in [item for item in self._uids if item.namespace == ref.name]:
                    self._deleting.discard(self._uids.pop(inner))
                for inner in [item for item in self._tokens if item.namespace == ref.name]:
                    del self._tokens[inner]

    def outermost(self) -> tuple[Ref, ...]:
        """Return what must be deleted one by one: all that is in no namespace of ours."""
        with self._lock:
            homes = {ref.name for ref in self._uids if _is_namespace(ref)}
            return tuple(ref for ref in reversed(self._uids) if ref.namespace not in homes)

    def resolve(self) -> tuple[Ref, ...]:
        """Find out which creates without an answer were done, and record those.

        Returns those that could not be found out.
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
        """Name what is ours, and delete nothing."""
        unknown = self.resolve()
        return (*map(_uncertain, unknown), *map(str, self.outermost()))

    def clear(self) -> Remaining:
        """Ask for the deletion of all that is ours; to be called until nothing is left."""
        unknown = self.resolve()
        left = [_uncertain(ref) for ref in unknown]
        all_deleting = not unknown
        seen: set[Ref] = set()
        # A namespace that others have replaced leaves what we made in theirs.
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
    return f"{ref}, perhaps: whether it exists is not known"


def _is_namespace(ref: Ref) -> bool:
    return ref.kind == "Namespace" and ref.api_version == "v1"


def _marks(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that no author may set: those under our own prefix."""
    return {key: value for key, value in labels.items() if key.startswith(MARK_PREFIX)}


def _identity(found: Object) -> tuple[str, str]:
    metadata: dict[str, Any] = found["metadata"]
    return metadata["uid"], metadata["resourceVersion"]
