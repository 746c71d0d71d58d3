"""Make a cluster equal to a State, and keep a record of all that was made.

The record says what we asked for; whether it exists is asked of the API server. A thing is
recorded before it is asked for, so that a failure half-way leaves nothing unowned.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import tenacity

from harness.cluster.kube import live, objects
from harness.cluster.kube.api import Api, ApiError
from harness.cluster.kube.live import LiveNode, LivePod, LiveService, View
from harness.cluster.kube.objects import Image, Naming, Object
from harness.errors import ClusterError, NotRefused
from harness.model import Manifest, Namespace, NodeRef, Pod, PodRef, Service, State

_POLL_S = 0.2

Key = tuple[str, str, str, str]
"""API version, kind, logical namespace and name of an author's object."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the cluster may take, in seconds."""

    ready_s: float = 120.0  # for pods, image pull included, and for Services' endpoints
    gone_s: float = 60.0  # for what must be gone before its name is used again
    close_s: float = 120.0  # for all that we made, at the end


class _Late(ClusterError):
    """Something did not come true in its time."""


class Reconciler:
    """Owns every object that one run and worker makes on a cluster.

    ``serves`` is asked of each new pod: it returns None once the pod listens on its ports,
    else what is wrong.
    """

    def __init__(
        self,
        api: Api,
        naming: Naming,
        image: Image,
        process: str,
        limits: Limits,
        serves: Callable[[LivePod, Pod], str | None],
    ) -> None:
        self._api = api
        self._naming = naming
        self._image = image
        self._process = process
        self._limits = limits
        self._serves = serves
        self._namespaces: dict[str, Namespace] = {}
        self._pods: dict[PodRef, Pod] = {}
        self._services: dict[tuple[str, str], Service] = {}
        self._manifests: dict[Key, Manifest] = {}
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
        if naming != self._naming:
            self._leave()
            self._naming = naming
        manifests = {_key(item): item for item in state.policies}
        self._check_names(state)
        self._forget_vanished()
        self._remove(state, manifests)
        self.view = replace(
            self.view,
            state=state,
            pods=self._remaining_pods(state),
            names={item.name: naming.namespace(item.name) for item in state.namespaces},
        )
        self._make_namespaces(state)
        self._apply_manifests(manifests)
        self._try_refused(state.refused)
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

    def _remaining_pods(self, state: State) -> dict[PodRef, LivePod]:
        wanted = {pod.ref: pod for pod in state.pods}
        return {
            ref: pod
            for ref, pod in self.view.pods.items()
            if ref in self._pods and ref in wanted and _same_pod(self._pods[ref], wanted[ref])
        }

    def _forget_vanished(self) -> None:
        """Drop from the record what somebody else deleted, so that it is made again."""
        if not self._pods:
            return
        now = self.pods_now()
        for ref in list(self._pods):
            found = self.view.pods.get(ref)
            if found is None or found.fault(now.get((found.namespace, found.name))):
                self._delete("v1", "Pod", ref.namespace, ref.name)
                del self._pods[ref]

    def _remove(self, state: State, manifests: dict[Key, Manifest]) -> None:
        self._remove_manifests(manifests)
        wanted = {pod.ref: pod for pod in state.pods}
        for ref, pod in list(self._pods.items()):
            if ref not in wanted or not _same_pod(pod, wanted[ref]):
                self._delete("v1", "Pod", ref.namespace, ref.name)
                del self._pods[ref]
        services = {(item.namespace, item.name): item for item in state.services}
        for name, service in list(self._services.items()):
            if name not in services or services[name].type is not service.type:
                self._delete("v1", "Service", *name)
                del self._services[name]
        for item in list(self._namespaces.values()):
            now = state.namespace(item.name)
            if now is None or now.incarnation != item.incarnation:
                self._remove_namespace(item.name)

    def _remove_manifests(self, manifests: dict[Key, Manifest]) -> None:
        for key, item in list(self._manifests.items()):
            now = manifests.get(key)
            if now is None or now.incarnation != item.incarnation:
                self._delete(*key)
                del self._manifests[key]
                if now is not None:
                    self._await_gone(*key)

    def _remove_namespace(self, name: str) -> None:
        self._api.delete("v1", "Namespace", self._naming.namespace(name))
        del self._namespaces[name]
        self._pods = {k: v for k, v in self._pods.items() if k.namespace != name}
        self._services = {k: v for k, v in self._services.items() if k[0] != name}
        self._manifests = {k: v for k, v in self._manifests.items() if k[2] != name}

    def _make_namespaces(self, state: State) -> None:
        def make(item: Namespace) -> None:
            pods = [pod for pod in state.pods if pod.namespace == item.name]
            wanted = objects.namespace(item, self._naming, pods, self._process)
            old = self._namespaces.get(item.name)
            self._namespaces[item.name] = item
            if old is None:
                self._make_namespace(wanted)
            else:
                self._label(wanted, old.labels.keys() - item.labels.keys())

        self._each(make, state.namespaces)

    def _make_namespace(self, wanted: Object) -> None:
        """Create a namespace, when one of ours with that name is gone; take no stranger's."""
        name = wanted["metadata"]["name"]

        def attempt() -> bool:
            try:
                self._api.create(wanted)
            except ApiError as error:
                found = self._api.get("v1", "Namespace", name) if error.status == 409 else None
                if error.status != 409:
                    raise ClusterError(f"namespace {name} cannot be created: {error}") from None
                if found and not _is_ours(found, self._naming):
                    raise ClusterError(
                        f"namespace {name} exists already and is not of this run",
                        "delete it, or leave out 'exact names'",
                    ) from None
                return False
            return True

        self._until(attempt, self._limits.gone_s, f"namespace {name} of an earlier scenario to go")
        for source in self._image.pull_secrets:
            self._copy_secret(source, name)

    def _copy_secret(self, source: str, namespace: str) -> None:
        origin, name = source.split("/", 1)
        found = self._api.get("v1", "Secret", name, origin)
        if found is None:
            raise ClusterError(f"there is no image pull secret {source}", "write NAMESPACE/NAME")
        metadata = {"name": name, "namespace": namespace, "labels": self._naming.labels}
        self._api.apply({
            **{key: found[key] for key in ("apiVersion", "kind", "type", "data")},
            "metadata": metadata,
        })  # fmt: skip

    def _apply_manifests(self, manifests: dict[Key, Manifest]) -> None:
        for key, item in manifests.items():
            if self._manifests.get(key) == item:
                continue
            wanted = objects.manifest(item, self._naming)
            self._manifests[key] = item
            try:
                self._api.apply(wanted)
            except ApiError as error:
                raise ClusterError(f"the API server refused {item}: {error}") from None

    def _try_refused(self, manifests: Iterable[Manifest]) -> None:
        for item in manifests:
            wanted = objects.manifest(item, self._naming)
            try:
                self._dry_run(wanted)
            except ApiError as error:
                if error.status in {400, 403, 422} and 'User "' not in error.message:
                    continue
                raise ClusterError(f"{item} was not refused, but failed: {error}") from None
            raise NotRefused(
                f"the API server accepted {item}, which the step expects it to refuse"
            )

    def _dry_run(self, wanted: Object) -> None:
        try:
            self._api.create(wanted, dry_run=True)
        except ApiError as error:
            if error.status != 409:
                raise
            self._api.apply(wanted, dry_run=True)

    def _make_services(self, services: Iterable[Service]) -> None:
        def make(item: Service) -> tuple[tuple[str, str], LiveService]:
            name = (item.namespace, item.name)
            known = self.view.services.get(name)
            if known and self._services.get(name) == item:
                return name, known
            self._services[name] = item
            try:
                made = self._api.apply(objects.service(item, self._naming))
            except ApiError as error:
                raise ClusterError(f"service {'/'.join(name)} was refused: {error}") from None
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
        self._pods[item.ref] = item
        self._create(objects.pod(item, self._naming, real, node.hostname, self._image), item.ref)

    def _create(self, wanted: Object, ref: PodRef | NodeRef) -> None:
        refusals: list[ApiError] = []

        def attempt() -> bool:
            try:
                self._api.create(wanted)
            except ApiError as error:
                refusals.append(error)
                # Its namespace is younger than its service account, or a pod of that name
                # is still going.
                if error.status == 409 or "serviceaccount" in error.message:
                    return False
                raise ClusterError(f"pod {ref} cannot be created: {error}") from None
            return True

        try:
            self._until(attempt, self._limits.gone_s, f"pod {ref} to be created")
        except _Late as error:
            raise ClusterError(f"{error}: {refusals[-1]}") from None

    def _relabel(self, old: Pod, new: Pod) -> None:
        real = self._naming.namespace(new.namespace)
        wanted = objects.pod(new, self._naming, real, "", self._image)
        self._pods[new.ref] = new
        self._label(wanted, old.labels.keys() - new.labels.keys())

    def _await_pods(self, pods: list[Pod]) -> None:
        """Wait until the pods run and have addresses, and then until they serve their ports."""
        waiting = {(self._naming.namespace(pod.namespace), pod.name): pod for pod in pods}
        ready: dict[PodRef, LivePod] = {}
        last: dict[tuple[str, str], Object] = {}

        def check() -> bool:
            now = self.pods_now()
            for name, pod in waiting.items():
                found = now.get(name)
                if found is None or pod.ref in ready:
                    continue
                last[name] = found
                if live.is_ready(found) and live.addresses(found):
                    ready[pod.ref] = live.live_pod(pod.ref, found)
                elif live.is_hopeless(found):
                    raise ClusterError(f"pod {pod.ref} does not start: {self._words(found)}")
            return len(ready) == len(waiting)

        try:
            self._until(check, self._limits.ready_s, "pods to be ready")
        except _Late as error:
            late = {name: pod.ref for name, pod in waiting.items() if pod.ref not in ready}
            words = [
                f"{ref}: {self._words(last[name]) if name in last else 'it is gone'}"
                for name, ref in late.items()
            ]
            raise ClusterError("\n".join([error.message, *words])) from None
        self._each(lambda pod: self._await_ports(ready[pod.ref], pod), pods)
        self.view = replace(self.view, pods={**self.view.pods, **ready})

    def _await_ports(self, found: LivePod, pod: Pod) -> None:
        wrong: list[str] = []

        def check() -> bool:
            wrong[:] = [words for words in [self._serves(found, pod)] if words]
            return not wrong

        try:
            self._until(check, 15.0, f"pod {pod.ref} to serve its ports")
        except _Late as error:
            raise ClusterError(f"{error}: {', '.join(wrong)}") from None

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
        if not self._node_pods:
            wanted = objects.node_namespace(naming, self._process)
            with contextlib.suppress(ClusterError):
                if self._api.get("v1", "Namespace", naming.nodes) is None:
                    self._api.create(wanted)
        name = f"node-{ref.index}"
        item = Pod(naming.nodes, name, node=ref.index, host_network=True)
        self._create(objects.pod(item, naming, naming.nodes, node.hostname, self._image), ref)
        made: list[Object] = []

        def check() -> bool:
            found = self.pods_now().get((naming.nodes, name))
            if found and live.is_hopeless(found):
                raise ClusterError(f"{ref} does not start: {self._words(found)}")
            made[:] = [found] if found and live.is_ready(found) else []
            return bool(made)

        self._until(check, self._limits.ready_s, f"{ref} to be ready")
        return live.live_pod(ref, made[0])

    def pods_now(self) -> dict[tuple[str, str], Object]:
        """The pods of this run and worker, by real namespace and name."""
        found = self._api.find("v1", "Pod", selector=self._naming.selector)
        return {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in found}

    def _nodes(self) -> tuple[LiveNode, ...]:
        found = live.nodes(self._api.find("v1", "Node"))
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
        wrong: list[str] = []

        def check() -> bool:
            slices: dict[tuple[str, str], list[Object]] = {name: [] for name in wanted}
            selector = self._naming.selector
            for item in self._api.find("discovery.k8s.io/v1", "EndpointSlice", selector=selector):
                labels = item["metadata"]["labels"]
                name = (item["metadata"]["namespace"], labels["kubernetes.io/service-name"])
                slices.setdefault(name, []).append(item)
            wrong[:] = [
                f"{name[1]} has {sorted(live.serving(slices[name]))}, not {sorted(ips)}"
                for name, ips in wanted.items()
                if not _matches(live.serving(slices[name]), ips)
            ]
            return not wrong

        try:
            self._until(check, self._limits.ready_s, "the endpoints of the Services")
        except _Late as error:
            raise ClusterError(f"{error}: {'; '.join(wrong)}") from None

    # ------------------------------------------------------------------ leaving

    def _leave(self) -> None:
        """Ask for the deletion of everything of the present scope, and wait for none of it."""
        for key in reversed(self._manifests):
            if not key[2]:  # the others go with their namespace
                self._delete(*key)
        for name in list(self._namespaces):
            self._api.delete("v1", "Namespace", self._naming.namespace(name))
        self._manifests.clear()
        self._services.clear()
        self._pods.clear()
        self._namespaces.clear()
        self.view = replace(self.view, state=State(scope=""), pods={}, services={})

    def close(self) -> tuple[str, ...]:
        """Delete all that was ever made, wait until it is gone, and name what is left."""
        left: list[str] = []
        try:
            self._leave()
            with self._node_lock:
                self._node_pods.clear()
                self._api.delete("v1", "Namespace", self._naming.nodes)

            def check() -> bool:
                found = self._api.find("v1", "Namespace", selector=self._naming.selector)
                for item in found:
                    if not item["metadata"].get("deletionTimestamp"):
                        self._api.delete("v1", "Namespace", item["metadata"]["name"])
                left[:] = [f"namespace {item['metadata']['name']}" for item in found]
                return not left

            self._until(check, self._limits.close_s, "namespaces to go")
        except ClusterError as error:
            return tuple(left) or (f"everything labelled {self._naming.selector}: {error}",)
        finally:
            self._workers.shutdown(wait=False, cancel_futures=True)
        return ()

    # ------------------------------------------------------------------ small things

    def _delete(self, api_version: str, kind: str, namespace: str, name: str = "") -> None:
        real = self._naming.namespace(namespace) if namespace else ""
        self._api.delete(api_version, kind, name, real)

    def _await_gone(self, api_version: str, kind: str, namespace: str, name: str) -> None:
        real = self._naming.namespace(namespace) if namespace else ""
        self._until(
            lambda: self._api.get(api_version, kind, name, real) is None,
            self._limits.gone_s,
            f"{kind} {namespace}/{name} to be deleted",
        )

    def _label(self, wanted: Object, removed: Iterable[str]) -> None:
        labels = {**dict.fromkeys(removed), **wanted["metadata"]["labels"]}
        try:
            self._api.merge(wanted, {"metadata": {"labels": labels}})
        except ApiError as error:
            name = wanted["metadata"]["name"]
            raise ClusterError(f"{wanted['kind']} {name} cannot be labelled: {error}") from None

    def _each(self, work: Callable[..., object], items: Iterable[object]) -> list:  # type: ignore[type-arg]
        """Do the work on all items at once; raise the first failure when all are through."""
        futures = [self._workers.submit(work, item) for item in items]
        for future in futures:
            future.exception()
        return [future.result() for future in futures]

    def _until(self, check: Callable[[], bool], limit_s: float, what: str) -> None:
        """Poll until the check holds. Raises ClusterError when it still does not."""
        waiting = tenacity.Retrying(
            stop=tenacity.stop_after_delay(limit_s),
            wait=tenacity.wait_fixed(_POLL_S),
            retry=tenacity.retry_if_result(lambda held: not held),
        )
        try:
            waiting(check)
        except tenacity.RetryError:
            raise _Late(f"waited {limit_s:.0f} s in vain for {what}") from None


def _key(item: Manifest) -> Key:
    return item.api_version, item.kind, item.namespace, item.name


def _same_pod(old: Pod, new: Pod) -> bool:
    """Whether a pod can become the other by relabelling."""
    return replace(old, labels=new.labels) == new


def _is_ours(namespace: Object, naming: Naming) -> bool:
    labels = namespace["metadata"].get("labels") or {}
    return naming.labels.items() <= labels.items()


def _matches(found: frozenset[str], wanted: set[str]) -> bool:
    """Whether the endpoints are the pods; the slices of a second family hold more."""
    return wanted <= found and (bool(found) == bool(wanted))
