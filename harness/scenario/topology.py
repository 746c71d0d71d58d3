"""Namespaces, pods, Services and objects as steps create, change and delete them.

The builder takes and gives values of ``model``. It knows no file and no key of the scenario
language. A change that is not possible raises Conflict and changes nothing. A change that is
possible, and leaves something that cannot work, is made; ``conflicts`` returns what it left.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from harness.model import (
    AgentsRestarted,
    Applied,
    Change,
    CompletedPod,
    ContainerPort,
    Created,
    Deleted,
    External,
    Labelled,
    Labels,
    Manifest,
    Namespace,
    NamespaceRef,
    Pod,
    PodRef,
    Protocol,
    Refused,
    Restarted,
    Service,
    ServicePort,
    ServiceType,
    State,
)

_Key = tuple[str, ...]


class Kind(enum.StrEnum):
    """What a conflict is about."""

    NAMESPACE = "namespace"
    POD = "pod"
    SERVICE = "Service"
    OBJECT = "object"
    EXTERNAL = "external"


class Fact(enum.Enum):
    """What is wrong. ``detail`` of the Conflict fills the braces."""

    EXISTS = "exists already"
    MISSING = "does not exist"
    NO_LABEL = "has no label {!r}"
    REPLACED = "is deleted and created again in one step"
    NO_PORTS = "has no ports"
    PORT_TWICE = "has the port {} twice"
    PORT_NAME_TWICE = "has two ports named {!r}"
    NO_TARGET = "has no pod with the port {!r}"
    HOST_PORT_TAKEN = "needs a port of its node that {} has"
    FAMILY_TWICE = "has two addresses of one family"
    ADDRESS_TAKEN = "has {}, which another external has"


class Conflict(Exception):
    """A change that does not fit what is there.

    ``name`` is the name of the thing, with its namespace where it has one. ``port`` is the
    index of the port in question. ``detail`` is the other thing in question: a label, a port,
    another pod, an address.
    """

    def __init__(self, kind: Kind, name: str, fact: Fact, detail: str = "", port: int = 0) -> None:
        super().__init__(f"{kind} {name} {fact.value.format(detail)}")
        self.kind = kind
        self.name = name
        self.fact = fact
        self.detail = detail
        self.port = port


@dataclass(frozen=True, slots=True)
class StepState:
    """What one step leads to, and the changes that it makes."""

    state: State
    changes: tuple[Change, ...]


class TopologyBuilder:
    """Builds one state after another, from ``start`` on."""

    def __init__(self, start: State) -> None:
        self._start = start
        self._namespaces = {item.name: item for item in start.namespaces}
        self._pods: dict[PodRef, Pod | CompletedPod] = {
            item.ref: item for item in start.pod_objects
        }
        self._services = {(item.namespace, item.name): item for item in start.services}
        self._externals = {item.name: item for item in start.externals}
        self._policies = {_object_key(item): item for item in start.policies}
        self._agent_restarts = start.agent_restarts
        self._refused: list[Manifest] = []
        self._changes: list[Change] = []
        self._nodes = itertools.cycle((1, 2))
        self._made: dict[_Key, int] = self._incarnations()
        """How often a thing of that name was made; it never falls, so no incarnation returns."""

    def _incarnations(self) -> dict[_Key, int]:
        return {
            **{("ns", name): item.incarnation for name, item in self._namespaces.items()},
            **{("pod", *_key(ref)): item.incarnation for ref, item in self._pods.items()},
            **{("object", *key): item.incarnation for key, item in self._policies.items()},
        }

    # -------------------------------------------------------------- what there is

    def state(self) -> State:
        """Return the state as it is now."""
        return replace(
            self._start,
            namespaces=tuple(self._namespaces.values()),
            pods=tuple(item for item in self._pods.values() if isinstance(item, Pod)),
            completed=tuple(i for i in self._pods.values() if isinstance(i, CompletedPod)),
            services=tuple(self._services.values()),
            externals=tuple(self._externals.values()),
            policies=tuple(self._policies.values()),
            refused=tuple(self._refused),
            agent_restarts=self._agent_restarts,
        )

    def finish_step(self) -> StepState:
        """Return the state and the changes since the last call, and begin the next step."""
        made = StepState(self.state(), tuple(self._changes))
        self._changes, self._refused = [], []
        return made

    def has_namespace(self, name: str) -> bool:
        return name in self._namespaces

    def pod(self, ref: PodRef) -> Pod | CompletedPod:
        """Return a pod. Raises Conflict."""
        pod = self._pods.get(ref)
        if pod is None:
            raise Conflict(Kind.POD, str(ref), Fact.MISSING)
        return pod

    def service(self, namespace: str, name: str) -> Service:
        """Return a Service. Raises Conflict."""
        service = self._services.get((namespace, name))
        if service is None:
            raise Conflict(Kind.SERVICE, f"{namespace}/{name}", Fact.MISSING)
        return service

    def labels(self, target: NamespaceRef | PodRef) -> Labels:
        """Return the labels of a namespace or a pod. Raises Conflict."""
        return self._labelled(target).labels

    def next_node(self) -> int:
        """Return the node of a pod that may run anywhere: nodes 1 and 2 in turn."""
        return next(self._nodes)

    # -------------------------------------------------------------- any change

    def make(self, change: Change) -> None:
        """Make a change that another builder made. Raises Conflict."""
        match change:
            case Created(item):
                self._add(item)
            case Applied(manifest):
                self.apply(manifest)
            case Refused(manifest):
                self.refuse(manifest)
            case Deleted(kind, namespace, name):
                self.delete(kind, namespace, name)
            case Labelled(target, key, value):
                self.label(target, key, value)
            case Restarted(ref):
                self.restart(ref)
            case AgentsRestarted():
                self.restart_agents()

    def _add(self, item: Namespace | Pod | CompletedPod | Service) -> None:
        match item:
            case Namespace(name, labels):
                self.add_namespace(name, labels)
            case Pod() | CompletedPod():
                self.add_pod(item)
            case Service():
                self.add_service(item)

    # -------------------------------------------------------------- creating

    def add_namespace(self, name: str, labels: Labels) -> None:
        """Create a namespace. Raises Conflict."""
        if name in self._namespaces:
            raise Conflict(Kind.NAMESPACE, name, Fact.EXISTS)
        made = Namespace(name, labels, self._incarnation("ns", name))
        self._namespaces[name] = made
        self._changes.append(Created(made))

    def add_pod(self, pod: Pod | CompletedPod) -> None:
        """Create a pod; the builder sets its incarnation. Raises Conflict."""
        if pod.ref in self._pods:
            raise Conflict(Kind.POD, str(pod.ref), Fact.EXISTS)
        self._require_namespace(pod.namespace)
        made = replace(pod, incarnation=self._incarnation("pod", *_key(pod.ref)))
        self._pods[pod.ref] = made
        self._changes.append(Created(made))

    def add_service(self, service: Service) -> None:
        """Create a Service. Raises Conflict."""
        key = (service.namespace, service.name)
        if key in self._services:
            raise Conflict(Kind.SERVICE, "/".join(key), Fact.EXISTS)
        self._require_namespace(service.namespace)
        self._services[key] = service
        self._changes.append(Created(service))

    def add_external(self, external: External) -> None:
        """Add a host outside the cluster. Raises Conflict."""
        if external.name in self._externals:
            raise Conflict(Kind.EXTERNAL, external.name, Fact.EXISTS)
        self._externals[external.name] = external

    def _require_namespace(self, name: str) -> None:
        if name and name not in self._namespaces:
            raise Conflict(Kind.NAMESPACE, name, Fact.MISSING)

    def _incarnation(self, *key: str) -> int:
        self._made[key] = self._made.get(key, -1) + 1
        return self._made[key]

    # -------------------------------------------------------------- objects

    def apply(self, manifest: Manifest) -> None:
        """Create an object, or update the one of the same kind and name. Raises Conflict."""
        self._require_namespace(manifest.namespace)
        key = _object_key(manifest)
        known = self._policies.get(key)
        incarnation = known.incarnation if known else self._incarnation("object", *key)
        made = manifest
        if incarnation != manifest.incarnation:
            made = replace(manifest, incarnation=incarnation)
        self._policies[key] = made
        self._changes.append(Applied(made, updates=known is not None))

    def refuse(self, manifest: Manifest) -> None:
        """Add an object that the API server must refuse in this step. Raises Conflict."""
        self._require_namespace(manifest.namespace)
        self._refused.append(manifest)
        self._changes.append(Refused(manifest))

    # -------------------------------------------------------------- deleting

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete a namespace, a pod, a Service or an object that was applied. Raises Conflict."""
        match kind, namespace:
            case "Namespace", "":
                self.delete_namespace(name)
            case "Pod", _ if namespace:
                self.delete_pod(PodRef(namespace, name))
            case "Service", _ if namespace:
                self.delete_service(namespace, name)
            case _:
                self.delete_object(kind, namespace, name)

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace and everything in it. Raises Conflict."""
        if name not in self._namespaces:
            raise Conflict(Kind.NAMESPACE, name, Fact.MISSING)
        del self._namespaces[name]
        for ref in [ref for ref in self._pods if ref.namespace == name]:
            del self._pods[ref]
        for service in [key for key in self._services if key[0] == name]:
            del self._services[service]
        for key in [key for key, item in self._policies.items() if item.namespace == name]:
            del self._policies[key]
        self._changes.append(Deleted("Namespace", "", name))

    def delete_pod(self, ref: PodRef) -> None:
        """Delete a pod. Raises Conflict."""
        if self._pods.pop(ref, None) is None:
            raise Conflict(Kind.POD, str(ref), Fact.MISSING)
        self._changes.append(Deleted("Pod", ref.namespace, ref.name))

    def delete_service(self, namespace: str, name: str) -> None:
        """Delete a Service. Raises Conflict."""
        if self._services.pop((namespace, name), None) is None:
            raise Conflict(Kind.SERVICE, f"{namespace}/{name}", Fact.MISSING)
        self._changes.append(Deleted("Service", namespace, name))

    def delete_object(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object that was applied. Raises Conflict."""
        wanted = (kind, namespace, name)
        for key, item in self._policies.items():
            if (item.kind, item.namespace, item.name) == wanted:
                del self._policies[key]
                self._changes.append(Deleted(*wanted))
                return
        raise Conflict(Kind.OBJECT, "/".join(filter(None, wanted)), Fact.MISSING)

    # -------------------------------------------------------------- changing

    def label(self, target: NamespaceRef | PodRef, key: str, value: str | None) -> None:
        """Set a label, or remove it if ``value`` is None. Raises Conflict."""
        item = self._labelled(target)
        labels = dict(item.labels)
        if value is not None:
            labels[key] = value
        elif labels.pop(key, None) is None:
            kind = Kind.POD if isinstance(target, PodRef) else Kind.NAMESPACE
            raise Conflict(kind, _name(item), Fact.NO_LABEL, key)
        match item:
            case Namespace():
                self._namespaces[item.name] = replace(item, labels=Labels(labels))
            case Pod() | CompletedPod():
                self._pods[item.ref] = replace(item, labels=Labels(labels))
        self._changes.append(Labelled(target, key, value))

    def _labelled(self, target: NamespaceRef | PodRef) -> Namespace | Pod | CompletedPod:
        match target:
            case NamespaceRef(name):
                namespace = self._namespaces.get(name)
                if namespace is None:
                    raise Conflict(Kind.NAMESPACE, name, Fact.MISSING)
                return namespace
            case PodRef():
                return self.pod(target)

    def restart(self, ref: PodRef) -> None:
        """Delete a pod and create it again as it is. Raises Conflict."""
        pod = self.pod(ref)
        self._pods[ref] = replace(pod, incarnation=self._incarnation("pod", *_key(ref)))
        self._changes.append(Restarted(ref))

    def restart_agents(self) -> None:
        """Restart the agents of the CNI."""
        self._agent_restarts += 1
        self._changes.append(AgentsRestarted())

    # -------------------------------------------------------------- what must fit together

    def conflicts(self) -> Iterator[Conflict]:
        """Yield what cannot work, in what this step created and in the state as it is now."""
        gone: set[_Key] = set()
        for change in self._changes:
            match change:
                case Created(item):
                    yield from _port_conflicts(item)
                    if isinstance(item, Service) and (item.namespace, item.name) in gone:
                        yield Conflict(Kind.SERVICE, _name(item), Fact.REPLACED)
                case Deleted("Service", namespace, name):
                    gone.add((namespace, name))
                case _:
                    pass
        state = self.state()
        yield from _missing_targets(state)
        yield from _taken_host_ports(state.pods)

    def external_conflicts(self) -> Iterator[Conflict]:
        """Yield what cannot work in the hosts outside the cluster."""
        owners: dict[str, str] = {}
        for external in self._externals.values():
            name, addresses = external.name, external.addresses
            yield from _port_conflicts(external)
            if len({":" in address for address in addresses}) < len(addresses):
                yield Conflict(Kind.EXTERNAL, name, Fact.FAMILY_TWICE)
            for word in (*addresses, *external.dns_names):
                owner = owners.setdefault(word, name)
                if owner != name:
                    yield Conflict(Kind.EXTERNAL, name, Fact.ADDRESS_TAKEN, word)


def _port_conflicts(
    item: Namespace | Pod | CompletedPod | Service | External,
) -> Iterator[Conflict]:
    if isinstance(item, Namespace | CompletedPod):
        return
    kind = _KINDS[type(item)]
    if isinstance(item, Service) and not item.ports and item.type is not ServiceType.HEADLESS:
        yield Conflict(kind, _name(item), Fact.NO_PORTS)
    numbers: set[tuple[int, Protocol]] = set()
    names: set[str] = set()
    ports: tuple[ContainerPort | ServicePort, ...] = item.ports
    for index, port in enumerate(ports):
        if (port.number, port.protocol) in numbers:
            written = f"{port.number}/{port.protocol}"
            yield Conflict(kind, _name(item), Fact.PORT_TWICE, written, index)
        elif port.name and port.name in names:
            yield Conflict(kind, _name(item), Fact.PORT_NAME_TWICE, port.name, index)
        numbers.add((port.number, port.protocol))
        names |= {port.name} if port.name else set()


def _missing_targets(state: State) -> Iterator[Conflict]:
    """Yield the named target ports that no pod behind a Service has."""
    for service in state.services:
        endpoints = state.endpoints(service)
        names = {(port.name, port.protocol) for pod in endpoints for port in pod.ports}
        for index, port in enumerate(service.ports):
            named = isinstance(port.target, str)
            if endpoints and named and (port.target, port.protocol) not in names:
                target = str(port.target)
                yield Conflict(Kind.SERVICE, _name(service), Fact.NO_TARGET, target, index)


def _taken_host_ports(pods: Iterable[Pod]) -> Iterator[Conflict]:
    """Yield the ports of a node that two pods in the node's network listen on."""
    taken: dict[tuple[int, int, Protocol], Pod] = {}
    for pod in pods:
        for index, port in enumerate(pod.ports if pod.host_network else ()):
            owner = taken.setdefault((pod.node, port.number, port.protocol), pod)
            if owner is not pod:
                name, other = str(pod.ref), str(owner.ref)
                yield Conflict(Kind.POD, name, Fact.HOST_PORT_TAKEN, other, index)


_KINDS = {Pod: Kind.POD, Service: Kind.SERVICE, External: Kind.EXTERNAL}


def _name(item: Namespace | Pod | CompletedPod | Service | External) -> str:
    if isinstance(item, Namespace | External):
        return item.name
    return f"{item.namespace}/{item.name}"


def _key(ref: PodRef) -> tuple[str, str]:
    return ref.namespace, ref.name


def _object_key(manifest: Manifest) -> _Key:
    group = manifest.api_version.rpartition("/")[0]
    return group, manifest.kind, manifest.namespace, manifest.name
