"""Make a cluster equal to a State, and remove what was made.

``owned`` creates, changes and deletes, and knows what is ours; this module decides what there
should be. A value is recorded here once the cluster has it.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.cluster.kube import live, objects
from harness.cluster.kube.api import ApiError
from harness.cluster.kube.heartbeat import Heartbeat
from harness.cluster.kube.live import LiveNode, LivePod, LiveService, View
from harness.cluster.kube.objects import AGNHOST, Image, Naming, Object, Scope
from harness.cluster.kube.owned import Exists, Owned, Ref, ref_of
from harness.cluster.waiting import TimedOut, Wait
from harness.errors import ClusterError, NotRefused
from harness.model import Manifest, Namespace, NodeRef, Pod, PodRef, Service, State

_READ_S = 30.0  # for one answer that a sync cannot go on without
_T = TypeVar("_T")

Key = tuple[str, str, str, str]
"""API version, kind, logical namespace and name of an author's object."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the cluster may take, in seconds."""

    ready_s: float = 120.0  # for pods, image pull included, and for Services' endpoints
    gone_s: float = 60.0  # for what must be gone before its name is used again
    close_s: float = 120.0  # for all that we made, at the end


class Reconciler:
    """Owns every object that one run and worker makes on a cluster.

    ``serves`` is asked of each new pod: it returns None once the pod listens on its ports,
    else what is wrong. ``heartbeat`` begins before anything else is made and is removed last.
    """

    def __init__(
        self,
        owned: Owned,
        naming: Naming,
        image: Image,
        limits: Limits,
        serves: Callable[[LivePod, Pod], str | None],
        heartbeat: Heartbeat,
    ) -> None:
        self._api = owned.api
        self._heartbeat = heartbeat
        self._owned = owned
        self._naming = naming
        self._image = image
        self._limits = limits
        self._serves = serves
        self._namespaces: dict[str, Namespace] = {}
        self._pods: dict[PodRef, Pod] = {}
        self._services: dict[tuple[str, str], Service] = {}
        self._manifests: dict[Key, Manifest] = {}
        self._refs: dict[Key, Ref] = {}
        self._node_pods: dict[NodeRef, LivePod] = {}
        self._node_lock = threading.Lock()
        self._workers = ThreadPoolExecutor(12, thread_name_prefix="kube-sync")
        self.view = View(nodes=self._nodes())

    @property
    def naming(self) -> Naming:
        """How the State that was synced last is named on the cluster."""
        return self._naming

    # ------------------------------------------------------------------ the steps of a sync

    def sync(self, state: State) -> None:
        """Make the cluster equal to ``state``; see ``Cluster.sync``."""
        naming = self._naming.of(state)
        self._check_names(state)
        wanted = self._objects(state.policies, naming)
        refused = self._objects(state.refused, naming)
        if naming != self._naming:
            self._leave()
            self._naming = naming
        manifests = {_key(item): item for item in state.policies}
        self._forget_vanished()
        self._remove(state, manifests)
        self.view = replace(
            self.view,
            state=state,
            pods=self._remaining_pods(state),
            names={item.name: naming.namespace(item.name) for item in state.namespaces},
        )
        self._heartbeat.start()
        self._make_namespaces(state)
        self._apply_manifests(manifests, wanted)
        self._try_refused(state.refused, refused)
        self._make_services(state.services)
        self._make_pods(state.pods)
        self._await_endpoints(state)

    def _check_names(self, state: State) -> None:
        known = {item.name for item in state.namespaces}
        for item in (*state.policies, *state.refused):
            if item.namespace and item.namespace not in known:
                raise ClusterError(
                    f"{item} is in a namespace that the scenario does not make",
                    f"its namespaces are {', '.join(sorted(known))}",
                )

    def _objects(self, manifests: Iterable[Manifest], naming: Naming) -> dict[Key, Object]:
        """Return each author's object under real names; refuse what cannot be before any change.

        Whether a kind is cluster-scoped is asked of the API server.
        """
        found = {}
        for item in manifests:
            namespaced = self._read(
                functools.partial(self._api.is_namespaced, item.api_version, item.kind),
                f"the scope of {item.api_version} {item.kind}",
            )
            scope = Scope.NAMESPACED if namespaced else Scope.CLUSTER
            found[_key(item)] = objects.manifest(item, naming, scope)
        return found

    def _remaining_pods(self, state: State) -> dict[PodRef, LivePod]:
        wanted = {pod.ref: pod for pod in state.pods}
        return {
            ref: pod
            for ref, pod in self.view.pods.items()
            if ref in self._pods and ref in wanted and _same_pod(self._pods[ref], wanted[ref])
        }

    def _forget_vanished(self) -> None:
        """Drop from the record what somebody else deleted, so that it is made again."""
        for item in list(self._namespaces.values()):
            own = self._namespace_ref(item.name)
            if self._read(functools.partial(self._owned.is_gone, own), str(own)):
                self._forget_namespace(item.name)
        if not self._pods:
            return
        now = self._read(self.pods_now, "the pods")
        for ref in list(self._pods):
            found = self.view.pods.get(ref)
            if found is None or found.fault(now.get((found.namespace, found.name))):
                self._delete(Ref("v1", "Pod", self._naming.namespace(ref.namespace), ref.name))
                del self._pods[ref]

    def _remove(self, state: State, manifests: dict[Key, Manifest]) -> None:
        self._remove_manifests(manifests)
        wanted = {pod.ref: pod for pod in state.pods}
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
                self._label(wanted, old.labels.keys() - item.labels.keys())
            self._namespaces[item.name] = item

        self._each(make, state.namespaces)

    def _make_namespace(self, wanted: Object) -> None:
        """Create a namespace, when one of ours with that name is gone."""
        name = wanted["metadata"]["name"]
        try:
            self._owned.create(wanted, self._limits.gone_s)
        except Exists as error:
            hint = "delete it, or leave out 'exact names'"
            raise ClusterError(error.message, hint) from None
        except ApiError as error:
            raise ClusterError(f"namespace {name} cannot be created: {error}") from None
        for source in self._image.pull_secrets:
            self._copy_secret(source, name)

    def _copy_secret(self, source: str, namespace: str) -> None:
        origin, name = source.split("/", 1)
        found = self._api.get("v1", "Secret", name, origin)
        if found is None:
            raise ClusterError(f"there is no image pull secret {source}", "write NAMESPACE/NAME")
        metadata = {"name": name, "namespace": namespace, "labels": self._naming.labels}
        self._owned.create({
            **{key: found[key] for key in ("apiVersion", "kind", "type", "data")},
            "metadata": metadata,
        })  # fmt: skip

    def _apply_manifests(self, manifests: dict[Key, Manifest], wanted: dict[Key, Object]) -> None:
        for key, item in manifests.items():
            if self._manifests.get(key) == item:
                continue
            try:
                self._refs[key] = ref_of(self._put(wanted[key]))
            except ApiError as error:
                raise ClusterError(f"the API server refused {item}: {error}") from None
            self._manifests[key] = item

    def _put(self, wanted: Object) -> Object:
        """Create an object, or put it in the place of ours of the same name."""
        if self._owned.holds(ref_of(wanted)):
            return self._owned.replace(wanted)
        return self._owned.create(wanted, self._limits.gone_s)

    def _try_refused(self, manifests: Iterable[Manifest], wanted: dict[Key, Object]) -> None:
        for item in manifests:
            try:
                self._owned.try_out(wanted[_key(item)])
            except ApiError as error:
                # An admission plugin refuses with 403 as RBAC does, but only RBAC names the user.
                if error.status in {400, 403, 422} and 'User "' not in error.message:
                    continue
                raise ClusterError(f"{item} was not refused, but failed: {error}") from None
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

    def _make_pods(self, pods: Iterable[Pod]) -> None:
        old = dict(self._pods)
        fresh = [pod for pod in pods if pod.ref not in old]
        self._each(self._create_pod, fresh)
        for pod in pods:
            if pod.ref in old and old[pod.ref] != pod:
                self._relabel(old[pod.ref], pod)
        if fresh:
            self._await_pods(fresh)

    def _create_pod(self, item: Pod) -> None:
        node = self.view.node(item.node)
        real = self._naming.namespace(item.namespace)
        self._create(objects.pod(item, self._naming, real, node.hostname, self._image), item.ref)
        self._pods[item.ref] = item

    def _create(self, wanted: Object, ref: PodRef | NodeRef) -> None:
        def is_early(error: ApiError) -> bool:
            """Its namespace is younger than its service account."""
            return error.status == 403 and "serviceaccount" in error.message

        try:
            self._owned.create(wanted, self._limits.gone_s, is_early)
        except ApiError as error:
            raise ClusterError(f"pod {ref} cannot be created: {error}") from None

    def _relabel(self, old: Pod, new: Pod) -> None:
        real = self._naming.namespace(new.namespace)
        wanted = objects.pod(new, self._naming, real, "", self._image)
        self._label(wanted, old.labels.keys() - new.labels.keys())
        self._pods[new.ref] = new

    def _await_pods(self, pods: list[Pod]) -> None:
        """Wait until the pods run and have addresses, and then until they serve their ports."""
        waiting = {(self._naming.namespace(pod.namespace), pod.name): pod for pod in pods}
        ready: dict[PodRef, LivePod] = {}
        last: dict[tuple[str, str], Object] = {}

        def missing() -> str | None:
            now = self.pods_now()
            for name, pod in waiting.items():
                found = now.get(name)
                if found is None or pod.ref in ready:
                    continue
                last[name] = found
                if live.is_ready(found) and live.addresses(found):
                    ready[pod.ref] = live.live_pod(pod.ref, found, AGNHOST)
                elif live.is_hopeless(found):
                    raise ClusterError(f"pod {pod.ref} does not start: {self._words(found)}")
            late = len(waiting) - len(ready)
            return f"{late} of {len(waiting)} are not ready" if late else None

        try:
            self._until(missing, self._limits.ready_s, "pods to become ready")
        except TimedOut as error:
            late = {name: pod.ref for name, pod in waiting.items() if pod.ref not in ready}
            words = [
                f"{ref}: {self._words(last[name]) if name in last else 'it is gone'}"
                for name, ref in late.items()
            ]
            raise ClusterError("\n".join([error.message, *words])) from None
        self._each(lambda pod: self._await_ports(ready[pod.ref], pod), pods)
        self.view = replace(self.view, pods={**self.view.pods, **ready})

    def _await_ports(self, found: LivePod, pod: Pod) -> None:
        self._until(lambda: self._serves(found, pod), 15.0, f"pod {pod.ref} to serve its ports")

    def _words(self, pod: Object) -> str:
        """Why a pod is not ready: its status, and the last warning about it."""
        metadata = pod["metadata"]
        words = live.trouble(pod)
        with contextlib.suppress(ApiError):
            events = self._api.find("v1", "Event", namespace=metadata["namespace"])
            about = [
                item.get("message", "")
                for item in events
                if item.get("involvedObject", {}).get("uid") == metadata["uid"]
                and item.get("type") == "Warning"
            ]
            words += f" ({about[-1]})" if about and about[-1] not in words else ""
        return words

    def node_pod(self, ref: NodeRef) -> LivePod:
        """A pod on the network of that node, made when it is first asked for."""
        with self._node_lock:
            if ref not in self._node_pods:
                self._node_pods[ref] = self._make_node_pod(ref)
            return self._node_pods[ref]

    def _make_node_pod(self, ref: NodeRef) -> LivePod:
        naming, node = self._naming, self.view.node(ref.index)
        wanted = objects.node_namespace(naming)
        if not self._owned.holds(ref_of(wanted)):
            self._owned.create(wanted, self._limits.gone_s)
        name = f"node-{ref.index}"
        item = Pod(naming.nodes, name, node=ref.index, host_network=True)
        self._create(objects.pod(item, naming, naming.nodes, node.hostname, self._image), ref)
        made: list[Object] = []

        def missing() -> str | None:
            found = self.pods_now().get((naming.nodes, name))
            if found and live.is_hopeless(found):
                raise ClusterError(f"{ref} does not start: {self._words(found)}")
            made[:] = [found] if found and live.is_ready(found) else []
            return None if made else self._words(found) if found else "it is gone"

        self._until(missing, self._limits.ready_s, f"{ref} to become ready")
        return live.live_pod(ref, made[0], AGNHOST)

    def pods_now(self) -> dict[tuple[str, str], Object]:
        """The pods of this run and worker, by real namespace and name."""
        found = self._api.find("v1", "Pod", selector=self._naming.selector)
        return {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in found}

    def _nodes(self) -> tuple[LiveNode, ...]:
        found = live.nodes(self._read(lambda: self._api.find("v1", "Node"), "the nodes"))
        if not found:
            raise ClusterError("the cluster has no node that pods can be placed on")
        return found

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
            slices: dict[tuple[str, str], list[Object]] = {name: [] for name in wanted}
            selector = self._naming.selector
            for item in self._api.find("discovery.k8s.io/v1", "EndpointSlice", selector=selector):
                labels = item["metadata"]["labels"]
                name = (item["metadata"]["namespace"], labels["kubernetes.io/service-name"])
                slices.setdefault(name, []).append(item)
            wrong = [
                f"{name[1]} has {sorted(live.serving(slices[name]))}, not {sorted(ips)}"
                for name, ips in wanted.items()
                if not _matches(live.serving(slices[name]), ips)
            ]
            return "; ".join(wrong) or None

        self._until(missing, self._limits.ready_s, "the endpoints of the Services")

    # ------------------------------------------------------------------ leaving

    def _leave(self) -> None:
        """Ask for the deletion of everything of the present scope, and wait for none of it."""
        for key in reversed(self._manifests):
            if not self._refs[key].namespace:  # the others go with their namespace
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
        """Delete all that was ever made, wait until it is gone, and name what is left."""
        left: list[str] = []

        def missing() -> str | None:
            rest = self._owned.clear()
            left[:] = rest.left
            left.extend(self._heartbeat.remove() if rest.all_going else self._heartbeat.keep())
            return ", ".join(left) or None

        with self._node_lock:
            self._node_pods.clear()
        try:
            self._until(missing, self._limits.close_s, "everything of this run to be deleted")
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

    def _label(self, wanted: Object, removed: Iterable[str]) -> None:
        ref = ref_of(wanted)
        labels = {**dict.fromkeys(removed), **wanted["metadata"]["labels"]}
        try:
            self._owned.patch(ref, {"metadata": {"labels": labels}})
        except ApiError as error:
            raise ClusterError(f"{ref} cannot be labelled: {error}") from None

    def _read(self, ask: Callable[[], _T], what: str) -> _T:
        """Ask the API server something; ride out a moment in which it cannot answer."""
        return Wait(_READ_S, clock=self._owned.clock).value(ask, what)

    def _each(self, work: Callable[..., object], items: Iterable[object]) -> list:  # type: ignore[type-arg]
        """Do the work on all items at once; raise the first failure when all are through."""
        futures = [self._workers.submit(work, item) for item in items]
        for future in futures:
            future.exception()
        return [future.result() for future in futures]

    def _until(self, missing: Callable[[], str | None], limit_s: float, what: str) -> None:
        """Poll until nothing is missing. Raises TimedOut when something still is."""
        Wait(limit_s, clock=self._owned.clock).until(missing, what)


def _key(item: Manifest) -> Key:
    return item.api_version, item.kind, item.namespace, item.name


def _same_pod(old: Pod, new: Pod) -> bool:
    """Whether a pod can become the other by relabelling."""
    return replace(old, labels=new.labels) == new


def _matches(found: frozenset[str], wanted: set[str]) -> bool:
    """Whether the endpoints are the pods; the slices of a second family hold more."""
    return wanted <= found and (bool(found) == bool(wanted))
