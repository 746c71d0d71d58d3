"""Make a cluster equal to a State, and remove it again.

This module decides which objects there should be. ``owned`` creates, changes and deletes them,
and knows which of them this run created. A value is recorded here once the cluster has it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from harness.cluster.kube import live, objects
from harness.cluster.kube.api import ApiError
from harness.cluster.kube.confinement import confines, is_only_one
from harness.cluster.kube.heartbeat import Heartbeat
from harness.cluster.kube.inventory import Inventory
from harness.cluster.kube.live import LivePod, LiveService, View
from harness.cluster.kube.objects import Counting, Naming, Object, Scope
from harness.cluster.kube.owned import Exists, Owned, Ref, ref_of
from harness.cluster.kube.pods import Limits, PodFactory
from harness.cluster.waiting import Wait
from harness.errors import ClusterError, NotRefused, Occupied
from harness.model import (
    CompletedPod,
    Manifest,
    Namespace,
    Networks,
    Pod,
    PodRef,
    Service,
    State,
)
from harness.policy import Placeholder, filled, placeholders

_READ_S = 30.0  # for an answer that a sync needs
_ONLY_ONE = "a cluster has only one: delete it yourself, or use a cluster that has none"
_T = TypeVar("_T")
_Pod = TypeVar("_Pod", Pod, CompletedPod)

Key = tuple[str, str, str, str]
"""API version, kind, logical namespace and name of an object of the scenario."""


Counted = Callable[[View, PodRef], Counting | None]


def _counts_nothing(_view: View, _ref: PodRef) -> None:
    return None


class Reconciler:
    """Makes the objects of one run and worker equal to a State.

    ``heartbeat`` starts before anything else is created and is removed last.
    """

    def __init__(
        self,
        owned: Owned,
        naming: Naming,
        inventory: Inventory,
        factory: PodFactory,
        limits: Limits,
        heartbeat: Heartbeat,
    ) -> None:
        self._api = owned.api
        self._heartbeat = heartbeat
        self._owned = owned
        self._naming = naming
        self._inventory = inventory
        self._factory = factory
        self._limits = limits
        self._namespaces: dict[str, Namespace] = {}
        self._pods: dict[PodRef, Pod | CompletedPod] = {}
        self._services: dict[tuple[str, str], Service] = {}
        self._manifests: dict[Key, Manifest] = {}
        self._refs: dict[Key, Ref] = {}
        self._workers = ThreadPoolExecutor(12, thread_name_prefix="kube-sync")
        self.view = View(nodes=self._read(inventory.nodes, "the nodes"))

    # ------------------------------------------------------------------ the steps of a sync

    def sync(
        self, state: State, networks: Callable[[], Networks], counting: Counted = _counts_nothing
    ) -> None:
        """Make the cluster equal to ``state``; see ``Cluster.sync``.

        ``networks`` returns the ranges of the cluster, for policies that name the block of all
        pods. ``counting`` returns what a pod does that is about to be created.
        """
        naming = self._naming.of(state)
        self._check_names(state)
        wanted = self._objects(state.policies, naming)
        refused = self._objects(state.refused, naming)
        if naming != self._naming:
            self._delete_scope()
            self._naming = naming
        manifests = {item.key: item for item in state.policies}
        self._forget_vanished()
        self._remove(state, manifests)
        self.view = replace(
            self.view,
            state=state,
            pods=self._remaining_pods(state),
            names={item.name: naming.namespace(item.name) for item in state.namespaces},
            confined={
                wanted[item.key]["metadata"]["name"]: item
                for item in state.policies
                if confines(item)
            },
        )
        self._heartbeat.start()
        self._make_namespaces(state)
        written_out = [item for item in state.policies if not any(placeholders(item))]
        self._apply_manifests(written_out, wanted)
        self._try_refused(state.refused, refused)
        self._make_services(state.services)
        self._make_pods(state, counting)
        self._apply_with_addresses(state.policies, networks)
        self._await_endpoints(state)

    def _check_names(self, state: State) -> None:
        known = {item.name for item in state.namespaces}
        for item in (*state.policies, *state.refused):
            if item.namespace and item.namespace not in known:
                raise ClusterError(
                    f"{item} is in a namespace that the scenario does not create",
                    f"its namespaces are {', '.join(sorted(known))}",
                )

    def _objects(self, manifests: Iterable[Manifest], naming: Naming) -> dict[Key, Object]:
        """Return the objects of the scenario under real names. Changes nothing.

        Raises ClusterError for objects that cannot be created. The API server decides whether a
        kind is cluster-scoped.
        """
        found = {}
        for item in manifests:
            namespaced = self._read(
                functools.partial(self._api.is_namespaced, item.api_version, item.kind),
                f"the scope of {item.api_version} {item.kind}",
            )
            scope = Scope.NAMESPACED if namespaced else Scope.CLUSTER
            found[item.key] = objects.manifest(item, naming, scope)
        return found

    def _remaining_pods(self, state: State) -> dict[PodRef, LivePod]:
        wanted = {pod.ref: pod for pod in state.pods}
        return {
            ref: pod
            for ref, pod in self.view.pods.items()
            if ref in self._pods and ref in wanted and _same_pod(self._pods[ref], wanted[ref])
        }

    def _forget_vanished(self) -> None:
        """Remove from the record what someone else deleted, so that it is created again."""
        for item in list(self._namespaces.values()):
            namespace = self._namespace_ref(item.name)
            gone = functools.partial(self._owned.is_gone, namespace)
            if self._read(gone, str(namespace)):
                self._forget_namespace(item.name)
        if not self._pods:
            return
        now = self._read(self._inventory.pods, "the pods")
        for ref, pod in list(self._pods.items()):
            found = now.get((self._naming.namespace(ref.namespace), ref.name))
            if self._is_lost(pod, found):
                self._delete(Ref("v1", "Pod", self._naming.namespace(ref.namespace), ref.name))
                del self._pods[ref]

    def _is_lost(self, item: Pod | CompletedPod, now: Object | None) -> bool:
        """Whether a pod is not what it was after the last sync. ``now`` is its object, if any."""
        if isinstance(item, CompletedPod):
            return now is None or not live.has_completed(now)
        made = self.view.pods.get(item.ref)
        return made is None or made.fault(now) is not None

    def _remove(self, state: State, manifests: dict[Key, Manifest]) -> None:
        self._remove_manifests(manifests)
        wanted = {pod.ref: pod for pod in state.pod_objects}
        for ref, pod in list(self._pods.items()):
            if ref not in wanted or not _same_pod(pod, wanted[ref]):
                self._delete(Ref("v1", "Pod", self._naming.namespace(ref.namespace), ref.name))
                del self._pods[ref]
        services = {(item.namespace, item.name): item for item in state.services}
        for name, service in list(self._services.items()):
            if name not in services or services[name].type is not service.type:
                self._delete(Ref("v1", "Service", self._naming.namespace(name[0]), name[1]))
                del self._services[name]
        for item in list(self._namespaces.values()):
            now = state.namespace(item.name)
            if now is None or now.incarnation != item.incarnation:
                self._remove_namespace(item.name)

    def _remove_manifests(self, manifests: dict[Key, Manifest]) -> None:
        for key, item in list(self._manifests.items()):
            now = manifests.get(key)
            if now is None or now.incarnation != item.incarnation:
                ref = self._refs[key]
                self._delete(ref)
                del self._manifests[key], self._refs[key]
                if now is not None:
                    self._await_gone(ref, str(item))

    def _remove_namespace(self, name: str) -> None:
        self._delete(self._namespace_ref(name))
        self._forget_namespace(name)

    def _forget_namespace(self, name: str) -> None:
        del self._namespaces[name]
        self._pods = {k: v for k, v in self._pods.items() if k.namespace != name}
        self._services = {k: v for k, v in self._services.items() if k[0] != name}
        real = self._naming.namespace(name)
        for key in [key for key, ref in self._refs.items() if ref.namespace == real]:
            del self._manifests[key], self._refs[key]

    def _make_namespaces(self, state: State) -> None:
        def make(item: Namespace) -> None:
            pods = [pod for pod in state.pods if pod.namespace == item.name]
            wanted = objects.namespace(item, self._naming, pods)
            old = self._namespaces.get(item.name)
            if old is None:
                self._make_namespace(wanted)
            else:
                self._owned.relabel(wanted, old.labels.keys() - item.labels.keys())
            self._namespaces[item.name] = item

        self._each(make, state.namespaces)

    def _make_namespace(self, wanted: Object) -> None:
        """Create a namespace; first wait until an earlier one of that name is gone."""
        name = wanted["metadata"]["name"]
        try:
            self._owned.create(wanted, self._limits.gone_s)
        except Exists as error:
            hint = "delete it, or leave out 'exact names'"
            raise ClusterError(error.message, hint) from None
        except ApiError as error:
            raise ClusterError(f"namespace {name} cannot be created: {error}") from None
        self._factory.copy_pull_secrets(name)

    def _apply_with_addresses(
        self, manifests: Iterable[Manifest], networks: Callable[[], Networks]
    ) -> None:
        """Apply the objects that name addresses of the cluster: those that hold as of now."""

        def address(meant: Placeholder) -> str:
            return self.view.meant_by(meant, networks)

        found = [filled(item, address) for item in manifests if any(placeholders(item))]
        self._apply_manifests(found, self._objects(found, self._naming))

    def _apply_manifests(self, manifests: Iterable[Manifest], wanted: dict[Key, Object]) -> None:
        for item in manifests:
            key = item.key
            if self._manifests.get(key) == item:
                continue
            try:
                self._refs[key] = ref_of(self._put(wanted[key]))
            except Exists as error:
                if not is_only_one(item):
                    raise
                raise Occupied(error.message, _ONLY_ONE) from None
            except ApiError as error:
                raise ClusterError(f"the API server refused {item}: {error}") from None
            self._manifests[key] = item

    def _put(self, wanted: Object) -> Object:
        """Create an object, or replace the one of that name that this run created."""
        if self._owned.holds(ref_of(wanted)):
            return self._owned.replace(wanted)
        return self._owned.create(wanted, self._limits.gone_s)

    def _try_refused(self, manifests: Iterable[Manifest], wanted: dict[Key, Object]) -> None:
        for item in manifests:
            try:
                self._owned.dry_run(wanted[item.key])
            except ApiError as error:
                # An admission plugin refuses with 403 as RBAC does, but only RBAC names the user.
                if error.status in {400, 403, 422} and 'User "' not in error.message:
                    continue
                raise ClusterError(
                    f"the API server failed instead of refusing {item}: {error}"
                ) from None
            raise NotRefused(
                f"the API server accepted {item}, which the step expects it to refuse"
            )

    def _make_services(self, services: Iterable[Service]) -> None:
        def make(item: Service) -> tuple[tuple[str, str], LiveService]:
            name = (item.namespace, item.name)
            known = self.view.services.get(name)
            if known and self._services.get(name) == item:
                return name, known
            try:
                made = self._put(objects.service(item, self._naming))
            except ApiError as error:
                raise ClusterError(f"service {'/'.join(name)} was refused: {error}") from None
            self._services[name] = item
            return name, live.live_service(made)

        self.view = replace(self.view, services=dict(self._each(make, services)))

    # ------------------------------------------------------------------ pods

    def _make_pods(self, state: State, counting: Counted) -> None:
        old = dict(self._pods)
        fresh = [pod for pod in state.pods if pod.ref not in old]
        ending = [pod for pod in state.completed if pod.ref not in old]
        self._each(functools.partial(self._create_pod, counting), (*fresh, *ending))
        for pod in state.pod_objects:
            if pod.ref in old and old[pod.ref] != pod:
                self._relabel(old[pod.ref], pod)
        if fresh:
            self._await_pods(fresh)
        if ending:
            self._factory.await_completed(self._by_real_name(ending))

    def _by_real_name(self, pods: Iterable[_Pod]) -> dict[tuple[str, str], _Pod]:
        return {(self._naming.namespace(pod.namespace), pod.name): pod for pod in pods}

    def _create_pod(self, counting: Counted, item: Pod | CompletedPod) -> None:
        real = self._naming.namespace(item.namespace)
        scripts = counting(self.view, item.ref)
        self._factory.create(item, real, self.view.node(item.node), scripts)
        self._pods[item.ref] = item

    def _relabel(self, old: Pod | CompletedPod, new: Pod | CompletedPod) -> None:
        real = self._naming.namespace(new.namespace)
        self._factory.relabel(new, real, old.labels.keys() - new.labels.keys())
        self._pods[new.ref] = new

    def _await_pods(self, pods: list[Pod]) -> None:
        """Wait until the pods are ready, and then until they serve their ports."""
        ready = self._factory.await_ready(self._by_real_name(pods))
        self._each(lambda pod: self._factory.await_ports(ready[pod.ref], pod), pods)
        self.view = replace(self.view, pods={**self.view.pods, **ready})

    def _await_endpoints(self, state: State) -> None:
        """Wait until every Service's endpoints are the pods that the State puts behind it."""
        if not state.services:
            return
        wanted = {
            (self._naming.namespace(item.namespace), item.name): {
                self.view.pods[pod.ref].addresses[0] for pod in state.endpoints(item)
            }
            for item in state.services
        }

        def missing() -> str | None:
            found = self._inventory.endpoints()
            wrong = [
                f"{name[1]} has {sorted(there)}, not {sorted(ips)}"
                for name, ips in wanted.items()
                if not _matches(there := found.get(name, frozenset()), ips)
            ]
            return "; ".join(wrong) or None

        self._until(missing, self._limits.ready_s, "the endpoints of the Services")

    # ------------------------------------------------------------------ removal

    def _delete_scope(self) -> None:
        """Start to delete all objects of the current scope; does not wait."""
        for key in reversed(self._manifests):
            if not self._refs[key].namespace:  # the others are deleted with their namespace
                self._delete(self._refs[key])
        for name in list(self._namespaces):
            self._delete(self._namespace_ref(name))
        self._manifests.clear()
        self._refs.clear()
        self._services.clear()
        self._pods.clear()
        self._namespaces.clear()
        self.view = replace(self.view, state=State(scope=""), pods={}, services={})

    def close(self) -> tuple[str, ...]:
        """Delete all objects of this run, wait until they are gone, and name what is left."""
        left: list[str] = []

        def missing() -> str | None:
            rest = self._owned.clear()
            left[:] = rest.left
            left.extend(self._heartbeat.remove() if rest.all_deleting else self._heartbeat.keep())
            return ", ".join(left) or None

        self._factory.forget_nodes()
        try:
            self._until(missing, self._limits.close_s, "all objects of this run to be deleted")
        except ClusterError:
            return tuple(left)
        finally:
            self._heartbeat.stop()
            self._workers.shutdown(wait=False, cancel_futures=True)
        return ()

    # ------------------------------------------------------------------ small things

    def _namespace_ref(self, name: str) -> Ref:
        return Ref("v1", "Namespace", "", self._naming.namespace(name))

    def _delete(self, ref: Ref) -> None:
        self._owned.delete(ref)

    def _await_gone(self, ref: Ref, called: str) -> None:
        self._until(
            lambda: None if self._owned.is_gone(ref) else "it is being deleted",
            self._limits.gone_s,
            f"{called} to be deleted",
        )

    def _read(self, ask: Callable[[], _T], what: str) -> _T:
        """Return an answer of the API server; ask again while it cannot answer."""
        return Wait(_READ_S, clock=self._owned.clock).value(ask, what)

    def _each(self, work: Callable[..., object], items: Iterable[object]) -> list:  # type: ignore[type-arg]
        """Work on all items in parallel; raise the first failure when all are done."""
        futures = [self._workers.submit(work, item) for item in items]
        for future in futures:
            future.exception()
        return [future.result() for future in futures]

    def _until(self, missing: Callable[[], str | None], limit_s: float, what: str) -> None:
        """Poll until nothing is missing. Raises TimedOut."""
        Wait(limit_s, clock=self._owned.clock).until(missing, what)


def _same_pod(old: Pod | CompletedPod, new: Pod | CompletedPod) -> bool:
    """Whether the two pods differ in labels only."""
    return replace(old, labels=new.labels) == new


def _matches(found: frozenset[str], wanted: set[str]) -> bool:
    """Whether the endpoints are the pods; with a second family there are more of them."""
    return wanted <= found and (bool(found) == bool(wanted))
