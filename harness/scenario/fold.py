"""The verbs of the steps, folded into one desired State after another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.model import (
    ContainerPort,
    External,
    ExternalTrafficPolicy,
    Labels,
    Manifest,
    Namespace,
    Pod,
    PodRef,
    Protocol,
    Service,
    ServicePort,
    ServiceType,
    State,
)
from harness.scenario.manifests import Demand, Manifests
from harness.scenario.networks import networks, no_outside_host
from harness.scenario.source import Document, Place
from harness.scenario.wire import (
    NamedPort,
    NamedServicePort,
    NamespaceWire,
    PodWire,
    ScenarioWire,
    ServiceWire,
    StepWire,
)
from harness.suggest import nearest, nearest_or_all

_LONGEST_PREFIX = 20
"""Room for ``<run>-<worker>`` in the names that namespaces get on a cluster."""

_LONGEST_NAME = 63

_T = TypeVar("_T", bound=Namespace | Pod | Service | Manifest)
_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Folded:
    """One step: its state, and its verbs in words for people."""

    state: State
    actions: tuple[str, ...]


class Fold:
    """The State as the verbs change it, from the topology on."""

    def __init__(
        self, document: Document, wire: ScenarioWire, slug: str, manifests: Manifests
    ) -> None:
        self._document = document
        self._wire = wire
        self._slug = slug
        self._manifests = manifests
        self._problems = manifests.problems
        self._namespaces: dict[_Key, Namespace] = {}
        self._pods: dict[_Key, Pod] = {}
        self._services: dict[_Key, Service] = {}
        self._policies: dict[_Key, Manifest] = {}
        self._refused: list[Manifest] = []
        self._networks = networks(wire.networks, document, manifests.problems)
        self._externals = self._read_externals()
        self._nodes = itertools.cycle((1, 2))
        self._made: dict[_Key, int] = {}
        """How often a thing of that name was made; it never falls, so no incarnation returns."""
        self._gone: set[_Key] = set()
        """Services that the present step has deleted."""
        self._places: dict[_Key, Place] = {}
        self._actions: list[str] = []

    # -------------------------------------------------------------- from outside

    def topology(self) -> State:
        """The state before the first step."""
        self._create(self._wire.topology, ("topology",))
        self._check_ports()
        return self._state()

    def step(self, index: int) -> Folded:
        """Do what the verbs of a step say, in the order in which they are written."""
        step = self._wire.steps[index]
        self._actions, self._refused, self._gone = [], [], set()
        namespace = step.namespace
        if namespace and (namespace,) not in self._namespaces and namespace not in step.create:
            fact = f"there is no namespace {namespace!r} in this step"
            self._add(("steps", index, "namespace"), fact, self._namespace_hint(namespace))
        verbs: Mapping[str, Callable[[StepWire, Place], None]] = {
            "apply": self._apply,
            "delete": self._delete_all,
            "create": self._create_more,
            "label": self._label_all,
            "restart": self._restart_all,
            "refused": self._refuse,
        }
        for key in self._keys(index):
            if key in verbs:
                verbs[key](step, ("steps", index, key))
        self._check_ports()
        return Folded(self._state(), tuple(self._actions))

    def _keys(self, index: int) -> Iterator[str]:
        """The keys of a step in the order of the file."""
        node = self._document.node(("steps", index))
        return (key.value for key, _ in node.value)

    def _state(self) -> State:
        return State(
            scope=self._slug,
            namespaces=tuple(self._namespaces.values()),
            pods=tuple(self._pods.values()),
            services=tuple(self._services.values()),
            externals=self._externals,
            policies=tuple(self._policies.values()),
            refused=tuple(self._refused),
            exact_names=self._wire.exact_names,
            networks=self._networks,
        )

    def _add(self, place: Place, message: str, hint: str | None = None) -> None:
        self._problems.add(self._document.at(place), message, hint)

    def _add_at_key(self, place: Place, message: str, hint: str | None = None) -> None:
        self._problems.add(self._document.key_at(place), message, hint)

    def _incarnation(self, *key: str) -> int:
        self._made[key] = self._made.get(key, -1) + 1
        return self._made[key]

    # -------------------------------------------------------------- create

    def _create_more(self, step: StepWire, place: Place) -> None:
        self._create(step.create, place)

    def _create(self, wires: Mapping[str, NamespaceWire], place: Place) -> None:
        initial = place[0] == "topology"
        for name, wire in wires.items():
            here = (*place, name)
            if (name,) not in self._namespaces:
                self._check_length(name, here)
                labels = Labels(wire.labels)
                incarnation = self._incarnation("ns", name)
                self._namespaces[name,] = Namespace(name, labels, incarnation)
                self._say(not initial, f"create namespace {name}")
            elif wire.labels:
                hint = f"change its labels by label: {{ns/{name}: {{...}}}}"
                self._add_at_key((*here, "labels"), f"namespace {name!r} exists already", hint)
            for pod, pod_wire in wire.pods.items():
                if self._is_new(self._pods, (name, pod), (*here, "pods", pod), "pod"):
                    self._pods[name, pod] = self._pod(name, pod, pod_wire, (*here, "pods", pod))
                    self._say(not initial, f"create Pod {name}/{pod}")
            for service, service_wire in wire.services.items():
                there = (*here, "services", service)
                if self._is_new(self._services, (name, service), there, "Service"):
                    self._services[name, service] = self._service(
                        (name, service), service_wire, there
                    )
                    self._say(not initial, f"create Service {name}/{service}")

    def _say(self, told: bool, action: str) -> None:
        if told:
            self._actions.append(action)

    def _is_new(self, known: Mapping[_Key, object], key: _Key, place: Place, kind: str) -> bool:
        if key not in known:
            self._places[kind, *key] = place
            return True
        hint = "delete it first, or give the new one another name"
        self._add_at_key(place, f"{kind} {'/'.join(key)} exists already", hint)
        return False

    def _check_length(self, namespace: str, place: Place) -> None:
        longest = _LONGEST_NAME - _LONGEST_PREFIX - 1
        own = f"{self._slug}-{namespace}"
        if self._wire.exact_names or len(own) <= longest:
            return
        fact = f"{own!r} has {len(own)} characters"
        hint = (
            "a namespace's name on a cluster is made from the file's name and this one, which "
            f"may have {longest} together; shorten either"
        )
        self._add_at_key(place, fact, hint)

    def _pod(self, namespace: str, name: str, wire: PodWire, place: Place) -> Pod:
        return Pod(
            namespace,
            name,
            Labels(wire.labels),
            self._container_ports(wire.ports, (*place, "ports")),
            wire.node if wire.node is not None else next(self._nodes),
            wire.host_network,
            self._incarnation("pod", namespace, name),
        )

    def _container_ports(
        self, wires: Iterable[int | str | NamedPort], place: Place
    ) -> tuple[ContainerPort, ...]:
        ports = tuple(_container_port(wire) for wire in wires)
        self._check_unique(ports, place)
        return ports

    def _check_unique(self, ports: Sequence[ContainerPort | ServicePort], place: Place) -> None:
        seen: set[object] = set()
        for index, port in enumerate(ports):
            written = f"{port.number}/{port.protocol}"
            if (port.number, port.protocol) in seen:
                self._add((*place, index), f"port {written} stands twice", "remove one of them")
            elif port.name and port.name in seen:
                self._add((*place, index), f"two ports are called {port.name!r}", "rename one")
            seen |= {(port.number, port.protocol), port.name}

    def _service(self, key: tuple[str, str], wire: ServiceWire, place: Place) -> Service:
        called = f"Service {key[0]}/{key[1]}"
        kind = ServiceType(wire.type)
        ports = tuple(_service_port(port) for port in wire.ports)
        self._check_unique(ports, (*place, "ports"))
        if not ports and kind is not ServiceType.HEADLESS:
            self._add_at_key(place, f"{called} has no ports", "ports: [80]")
        if wire.external_traffic_policy and kind is not ServiceType.NODE_PORT:
            fact = f"externalTrafficPolicy means nothing for a {kind} Service"
            self._add_at_key((*place, "externalTrafficPolicy"), fact, "type: NodePort")
        if ("service", *key) in self._gone:
            fact = f"{called} is deleted and made again in one step"
            self._add_at_key(place, fact, "to be seen gone, it needs a step between the two")
        policy = ExternalTrafficPolicy(wire.external_traffic_policy or "Cluster")
        return Service(key[0], key[1], Labels(wire.selector), ports, kind, policy)

    def _read_externals(self) -> tuple[External, ...]:
        found: list[External] = []
        owners: dict[str, str] = {}
        for name, wire in self._wire.externals.items():
            place: Place = ("externals", name)
            addresses = (wire.ip,) if isinstance(wire.ip, str) else tuple(wire.ip)
            if len({":" in address for address in addresses}) < len(addresses):
                self._add((*place, "ip"), "two addresses of one family", "one for each family")
            for address in (*addresses, *wire.names):
                if owners.setdefault(address, name) != name:
                    key = "names" if address in wire.names else "ip"
                    fact = f"{address} belongs to external {owners[address]!r} already"
                    self._add((*place, key), fact, "one host for each address and name")
            for address in addresses:
                if fault := no_outside_host(address, self._networks):
                    self._add((*place, "ip"), *fault)
            ports = self._container_ports(wire.ports, (*place, "ports"))
            found.append(External(name, addresses, ports, tuple(wire.names)))
        return tuple(found)

    # -------------------------------------------------------------- apply, refused

    def _apply(self, step: StepWire, place: Place) -> None:
        for manifest in self._manifests.read(step.apply, place, self._demand("apply", step)):
            if not self._in_topology(manifest, step):
                continue
            key = _manifest_key(manifest)
            if key in self._policies:
                incarnation = self._policies[key].incarnation
                self._actions.append(f"update {manifest}")
            else:
                incarnation = self._incarnation("object", *key)
                self._actions.append(f"apply {manifest}")
            self._policies[key] = replace(manifest, incarnation=incarnation)

    def _refuse(self, step: StepWire, place: Place) -> None:
        for manifest in self._manifests.read(step.refused, place, self._demand("refused", step)):
            if self._in_topology(manifest, step):
                self._refused.append(manifest)
                self._actions.append(f"see {manifest} refused")

    def _demand(self, verb: str, step: StepWire) -> Demand:
        labels = {item.name: item.labels for item in self._namespaces.values()}
        return Demand(verb, step.namespace, self._wire.exact_names, labels)

    def _in_topology(self, manifest: Manifest, step: StepWire) -> bool:
        namespace = manifest.namespace
        if not namespace or (namespace,) in self._namespaces or manifest.location is None:
            return True
        if namespace == step.namespace:
            return False  # reported once, at the step
        fact = f"{manifest}: there is no namespace {namespace!r} in this step"
        self._problems.add(manifest.location, fact, self._namespace_hint(namespace))
        return False

    def _namespace_hint(self, name: str) -> str | None:
        if name == "kube-system":
            return "policies may name kube-system, but a scenario cannot change it"
        return nearest_or_all(name, (key[0] for key in self._namespaces), "namespaces")

    # -------------------------------------------------------------- delete

    def _delete_all(self, step: StepWire, place: Place) -> None:
        for index, text in enumerate(step.delete):
            self._delete(text, (*place, index))

    def _delete(self, text: str, place: Place) -> None:
        kind, *rest = text.split("/")
        key = tuple(rest)
        match kind, len(key):
            case "Namespace", 1:
                self._delete_namespace(key[0], place)
            case "Pod", 2:
                self._take(self._pods, key, "pod", place)
            case "Service", 2:
                if self._take(self._services, key, "Service", place):
                    self._gone.add(("service", *key))
            case _, 1 | 2 if kind and all(key):
                self._delete_object(kind, key, place)
            case _:
                hint = "write Kind/namespace/name, or Namespace/name"
                self._add(place, f"{text!r} names nothing that can be deleted", hint)

    def _take(self, known: dict[_Key, _T], key: _Key, kind: str, place: Place) -> bool:
        if key in known:
            del known[key]
            self._actions.append(f"delete {kind.capitalize()} {'/'.join(key)}")
            return True
        self._unknown(kind, "/".join(key), ("/".join(name) for name in known), place)
        return False

    def _unknown(self, kind: str, name: str, known: Iterable[str], place: Place) -> None:
        hint = nearest_or_all(name, known, f"{kind}s")
        self._add(place, f"there is no {kind} {name!r} in this step", hint)

    def _delete_namespace(self, name: str, place: Place) -> None:
        if not self._take(self._namespaces, (name,), "namespace", place):
            return
        for key in [key for key in self._pods if key[0] == name]:
            del self._pods[key]
        for key in [key for key in self._services if key[0] == name]:
            del self._services[key]
        for key in [key for key, item in self._policies.items() if item.namespace == name]:
            del self._policies[key]

    def _delete_object(self, kind: str, key: _Key, place: Place) -> None:
        namespace, name = key if len(key) == 2 else ("", key[0])
        found = [
            known
            for known, item in self._policies.items()
            if (item.kind, item.namespace, item.name) == (kind, namespace, name)
        ]
        if found:
            self._actions.append(f"delete {self._policies[found[0]]}")
            del self._policies[found[0]]
            return
        known = [_written(item) for item in self._policies.values()]
        known += [f"Pod/{ref}" for ref in self._refs()]
        known += [f"Service/{'/'.join(name)}" for name in self._services]
        known += [f"Namespace/{name[0]}" for name in self._namespaces]
        written = "/".join((kind, *key))
        hint = nearest_or_all(written, known, "objects in this step")
        self._add(place, f"there is no {written!r} in this step", hint)

    # -------------------------------------------------------------- label, restart

    def _label_all(self, step: StepWire, place: Place) -> None:
        for target, changes in step.label.items():
            self._label(target, changes, (*place, target))

    def _label(self, target: str, changes: Mapping[str, str | None], place: Place) -> None:
        head, _, name = target.partition("/")
        if head == "ns":
            namespace = self._namespaces.get((name,))
            if namespace is None:
                self._unknown_key("namespace", name, (key[0] for key in self._namespaces), place)
                return
            labels = self._changed(namespace.labels, changes, f"namespace {name}", place)
            self._namespaces[name,] = replace(namespace, labels=labels)
            return
        pod = self._pods.get((head, name))
        if pod is None:
            self._unknown_key("pod", target, map(str, self._refs()), place)
            return
        labels = self._changed(pod.labels, changes, target, place)
        self._pods[head, name] = replace(pod, labels=labels)

    def _unknown_key(self, kind: str, name: str, known: Iterable[str], place: Place) -> None:
        hint = nearest_or_all(name, known, f"{kind}s")
        if kind == "pod" and (name,) in self._namespaces:
            hint = f"a namespace is written ns/{name}, a pod {name}/pod"
        self._add_at_key(place, f"there is no {kind} {name!r} in this step", hint)

    def _changed(
        self, labels: Labels, changes: Mapping[str, str | None], target: str, place: Place
    ) -> Labels:
        new = dict(labels)
        for key, value in changes.items():
            if value is not None:
                self._actions.append(f"label {target} {key}={value}")
                new[key] = value
            elif key in new:
                self._actions.append(f"remove label {key} of {target}")
                del new[key]
            else:
                hint = nearest_or_all(key, new, "its labels")
                self._add_at_key((*place, key), f"{target} has no label {key!r} to remove", hint)
        return Labels(new)

    def _refs(self) -> Iterator[PodRef]:
        return (pod.ref for pod in self._pods.values())

    def _restart_all(self, step: StepWire, place: Place) -> None:
        for index, text in enumerate(step.restart):
            key = tuple(text.split("/"))
            pod = self._pods.get(key)
            if pod is None:
                self._unknown("pod", text, map(str, self._refs()), (*place, index))
            else:
                self._actions.append(f"restart Pod {text}")
                self._pods[key] = replace(pod, incarnation=self._incarnation("pod", *key))

    # -------------------------------------------------------------- what must fit together

    def _check_ports(self) -> None:
        """Check named target ports, and that no two pods want one port of one node."""
        state = self._state()
        for service in state.services:
            endpoints = state.endpoints(service)
            for index, port in enumerate(service.ports):
                names = {(p.name, p.protocol) for pod in endpoints for p in pod.ports}
                named = isinstance(port.target, str)
                if endpoints and named and (port.target, port.protocol) not in names:
                    self._no_target(service, index, endpoints)
        taken: dict[tuple[int, int, Protocol], Pod] = {}
        for pod in state.pods:
            for listening in pod.ports if pod.host_network else ():
                owner = taken.setdefault((pod.node, listening.number, listening.protocol), pod)
                if owner is not pod:
                    fact = f"port {listening.number} of node {pod.node} is {owner.ref}'s already"
                    place = self._places["pod", pod.namespace, pod.name]
                    self._add_at_key(place, fact, "pods with hostNetwork share the node's ports")

    def _no_target(self, service: Service, index: int, endpoints: tuple[Pod, ...]) -> None:
        port = service.ports[index]
        place = (*self._places["Service", service.namespace, service.name], "ports", index)
        known = [str(p.name) for pod in endpoints for p in pod.ports if p.name]
        pods = ", ".join(str(pod.ref) for pod in endpoints[:3])
        fact = f"no pod behind Service {service.namespace}/{service.name} has a "
        fact += f"{port.protocol} port called {port.target!r}"
        hint = nearest(str(port.target), known) or f"its pods are {pods}"
        self._add((*place, "targetPort"), fact, hint)


def _container_port(wire: int | str | NamedPort) -> ContainerPort:
    if isinstance(wire, NamedPort):
        return ContainerPort(wire.port, Protocol(wire.protocol), wire.name)
    number, protocol = _number_and_protocol(wire)
    return ContainerPort(number, protocol)


def _service_port(wire: int | str | NamedServicePort) -> ServicePort:
    if isinstance(wire, NamedServicePort):
        target = wire.port if wire.target_port is None else wire.target_port
        return ServicePort(wire.port, target, Protocol(wire.protocol), wire.name)
    number, protocol = _number_and_protocol(wire)
    return ServicePort(number, number, protocol)


def _number_and_protocol(written: int | str) -> tuple[int, Protocol]:
    number, _, protocol = str(written).partition("/")
    return int(number), Protocol(protocol or "TCP")


def _manifest_key(manifest: Manifest) -> _Key:
    group = manifest.api_version.rpartition("/")[0]
    return group, manifest.kind, manifest.namespace, manifest.name


def _written(manifest: Manifest) -> str:
    """A manifest as ``delete`` names it."""
    return "/".join(filter(None, (manifest.kind, manifest.namespace, manifest.name)))
