"""The keys and verbs of a scenario file as changes of a topology, and conflicts as problems."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from harness.application import AppNamespace
from harness.documents.source import Document, KeyPath
from harness.errors import Location
from harness.model import (
    CompletedPod,
    External,
    ExternalTrafficPolicy,
    Labels,
    Manifest,
    NamespaceRef,
    Networks,
    Pod,
    PodRef,
    Readiness,
    Service,
    ServiceType,
    State,
)
from harness.scenario import fitting
from harness.scenario.manifests import ManifestContext, Manifests
from harness.scenario.networks import networks, no_outside_host
from harness.scenario.places import Places, Shipped, Written
from harness.scenario.schema import (
    ExternalWire,
    FixtureWire,
    NamespaceWire,
    PodWire,
    ScenarioWire,
    ServiceWire,
    StepWire,
    container_port,
    service_port,
)
from harness.scenario.shipped import FromManifests, chosen
from harness.scenario.topology import Conflict, Kind, StepState, TopologyBuilder
from harness.suggest import nearest_or_all

_LONGEST_PREFIX = 20
"""Room for ``<run>-<worker>`` in the names that namespaces get on a cluster."""

_LONGEST_NAME = 63

_AGENTS = "agents"
"""What `restart` calls the agents of the CNI."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a scenario has from its fixture: its state, and the place of each thing in it.

    ``policies`` are those of the fixture's manifests, which steps can apply.
    """

    state: State
    places: Places
    policies: tuple[Manifest, ...] = ()


class StateReader:
    """Reads the topology of a file, then one step after another, in the order of the file."""

    def __init__(
        self,
        document: Document,
        wire: ScenarioWire | FixtureWire,
        slug: str,
        manifests: Manifests,
        inherited: Inherited | None = None,
        shipped: FromManifests | None = None,
    ) -> None:
        """``slug`` is the scope of the states, which is the fixture's if there is one."""
        self._document = document
        self._wire = wire
        self._slug = slug
        self._manifests = manifests
        self._problems = manifests.problems
        self._places = dict(inherited.places) if inherited else {}
        """Where each namespace, pod, Service and external was last created."""
        self._shipped = shipped
        self._policies = (
            *(inherited.policies if inherited else ()),
            *(shipped.policies if shipped else ()),
        )
        self._steps = wire.steps if isinstance(wire, ScenarioWire) else []
        self._exact_names = isinstance(wire, ScenarioWire) and wire.exact_names
        ranges = networks(wire.networks, document, manifests.problems)
        start = State(scope=slug, networks=ranges)
        if inherited:
            start = inherited.state
            ranges = start.networks
            self._refuse_networks()
        self._fixed = start
        start = replace(start, exact_names=self._exact_names)
        self._builder = TopologyBuilder(start)
        for name, external in wire.externals.items():
            self._add_external(name, external, ranges)

    def _refuse_networks(self) -> None:
        if self._wire.networks is not None:
            fact = "the scenario has a fixture, and sets networks"
            hint = "set networks in the fixture, or write the topology in the scenario"
            self._add_at_key(("networks",), fact, hint)

    # -------------------------------------------------------------- from outside

    def inherited(self) -> Inherited:
        """Return what scenarios that name this fixture start from."""
        return Inherited(self._builder.state(), self._places, self._policies)

    def topology(self) -> State:
        """Return the state before the first step."""
        self._report(self._builder.external_conflicts())
        more = dict(self._wire.topology)
        if self._shipped:
            for space in self._shipped.namespaces:
                # The pods of a namespace stand together, as without manifests.
                self._add_shipped(self._shipped, space)
                if space.name in more:
                    self._create({space.name: more.pop(space.name)}, ("topology",))
        self._create(more, ("topology",))
        self._report(self._builder.conflicts())
        return self._builder.finish_step().state

    def step(self, index: int) -> StepState:
        """Do what the verbs of a step say, in the order in which they are written."""
        step = self._steps[index]
        namespace = step.namespace
        known = namespace is None or self._builder.has_namespace(namespace)
        if namespace and not known and namespace not in step.create:
            fact = f"there is no namespace {namespace!r} in this step"
            self._add(("steps", index, "namespace"), fact, self._namespace_hint(namespace))
        verbs: Mapping[str, Callable[[StepWire, KeyPath], None]] = {
            "apply": self._apply,
            "policies": self._apply_shipped,
            "delete": self._delete_all,
            "create": self._create_more,
            "label": self._label_all,
            "restart": self._restart_all,
            "refused": self._refuse,
        }
        for key in self._document.keys(("steps", index)):
            if key in verbs:
                verbs[key](step, ("steps", index, key))
        self._report(self._builder.conflicts())
        return self._builder.finish_step()

    def _add(self, place: KeyPath, message: str, hint: str | None = None) -> None:
        self._problems.add(self._document.at(place), message, hint)

    def _add_at_key(self, place: KeyPath, message: str, hint: str | None = None) -> None:
        self._problems.add(self._document.key_at(place), message, hint)

    # -------------------------------------------------------------- manifests

    def _add_shipped(self, found: FromManifests, space: AppNamespace) -> None:
        """Add a namespace of the manifests; pods are placed as those without ``node``."""
        here = space.location or found.location
        known = self._fixed.namespace(space.name)
        if known is None or known.labels != space.labels:
            self._check_length(space.name, here)
            with self._reporting(here):
                self._builder.add_namespace(space.name, space.labels)
                self._places[Kind.NAMESPACE, space.name] = Shipped(here)
        for pod, at in found.pods_in(space.name):
            placed = self._without_taken_ports(replace(pod, node=self._builder.next_node()), at)
            with self._reporting(at):
                self._builder.add_pod(placed)
                self._places[Kind.POD, str(pod.ref)] = Shipped(at)
        for service, at in found.services_in(space.name):
            with self._reporting(at):
                self._builder.add_service(service)
                name = f"{service.namespace}/{service.name}"
                self._places[Kind.SERVICE, name] = Shipped(at)

    def _without_taken_ports(self, pod: Pod, here: Location) -> Pod:
        """Return a pod without the ports of its node that another pod has."""
        if not pod.host_network:
            return pod
        taken = {
            (port.number, port.protocol)
            for other in self._builder.state().pods
            if other.host_network and other.node == pod.node
            for port in other.ports
        }
        kept = tuple(port for port in pod.ports if (port.number, port.protocol) not in taken)
        for port in pod.ports:
            if port not in kept:
                text = f"port {port.number} of {pod.ref} is left out: another pod has it"
                self._problems.note(here, f"{text} on node {pod.node}")
        return replace(pod, ports=kept)

    @contextlib.contextmanager
    def _reporting(self, here: Location) -> Iterator[None]:
        """Report what exists already."""
        try:
            yield
        except Conflict as conflict:
            where = self._where(conflict.kind, conflict.name)
            fact = f"{conflict.kind} {conflict.name} exists already{where}"
            self._problems.add(here, fact, "name it in one place only")

    def _apply_shipped(self, step: StepWire, place: KeyPath) -> None:
        wanted = step.policies or ()
        found = chosen(wanted, self._policies, (self._document, place), self._problems)
        for manifest in found:
            self._submit(self._builder.apply, manifest, step)

    # -------------------------------------------------------------- create

    def _create_more(self, step: StepWire, place: KeyPath) -> None:
        self._create(step.create, place)

    def _create(self, wires: Mapping[str, NamespaceWire], place: KeyPath) -> None:
        for name, wire in wires.items():
            here = (*place, name)
            self._add_namespace(name, wire, here)
            for pod, pod_wire in wire.pods.items():
                self._add_pod(PodRef(name, pod), pod_wire, (*here, "pods", pod))
            for service, service_wire in wire.services.items():
                self._add_service(name, service, service_wire, (*here, "services", service))

    def _add_namespace(self, name: str, wire: NamespaceWire, place: KeyPath) -> None:
        if not self._builder.has_namespace(name):
            self._check_length(name, self._document.key_at(place))
            self._builder.add_namespace(name, Labels(wire.labels))
            self._places[Kind.NAMESPACE, name] = Written(self._document, place)
        elif wire.labels and not self._repeats_fixture(name, wire, place):
            where = self._where(Kind.NAMESPACE, name)
            otherwise = "leave them out here, or " if where else ""
            hint = f"{otherwise}change its labels by label: {{ns/{name}: {{...}}}}"
            fact = f"namespace {name!r} exists already{where}"
            self._add_at_key((*place, "labels"), fact, hint)

    def _repeats_fixture(self, name: str, wire: NamespaceWire, place: KeyPath) -> bool:
        """Return whether the topology gives a namespace the labels that the fixture gives it."""
        known = self._fixed.namespace(name)
        return place[0] == "topology" and known is not None and known.labels == Labels(wire.labels)

    def _where(self, kind: Kind, name: str) -> str:
        """Return where the fixture has a thing; empty if it is of this file."""
        match self._places.get((kind, name)):
            case Shipped(location):
                return f" in the manifests, at {location}"
            case Written(document) as place if document is not self._document:
                return f" in the fixture, at {place.key()}"
            case _:
                return ""

    def _check_length(self, namespace: str, here: Location) -> None:
        longest = _LONGEST_NAME - _LONGEST_PREFIX - 1
        own = f"{self._slug}-{namespace}"
        if self._exact_names or len(own) <= longest:
            return
        fact = f"{own!r} has {len(own)} characters"
        hint = (
            "a namespace's name on a cluster is made from the file's name and this one, which "
            f"may have {longest} together; shorten either"
        )
        self._problems.add(here, fact, hint)

    def _add_pod(self, ref: PodRef, wire: PodWire, place: KeyPath) -> None:
        node = self._builder.next_node() if wire.node is None else wire.node
        try:
            self._builder.add_pod(self._pod(ref, wire, node, place))
        except Conflict as conflict:
            self._exists(conflict, place)
        else:
            self._places[Kind.POD, str(ref)] = Written(self._document, place)

    def _pod(self, ref: PodRef, wire: PodWire, node: int, place: KeyPath) -> Pod | CompletedPod:
        labels = Labels(wire.labels)
        if not wire.completes:
            ports = tuple(map(container_port, wire.ports))
            made = Pod(ref.namespace, ref.name, labels, ports, node, wire.host_network)
            if wire.readiness is None:
                return made
            if made.first_tcp is None:
                fact = f"pod {ref} has readiness, and no TCP port that the kubelet can probe"
                self._add_at_key((*place, "readiness"), fact, "give it a port: `ports: [80]`")
            return replace(made, readiness=Readiness(wire.readiness))
        useless = {"ports": wire.ports, "hostNetwork": wire.host_network}
        for key, value in {**useless, "readiness": wire.readiness}.items():
            if value:
                fact = f"pod {ref} completes, and has {key}"
                hint = f"remove {key} or completes; nothing connects to a completed pod"
                self._add_at_key((*place, key), fact, hint)
        return CompletedPod(ref.namespace, ref.name, labels, node)

    def _add_service(self, namespace: str, name: str, wire: ServiceWire, place: KeyPath) -> None:
        kind = ServiceType(wire.type)
        ports = tuple(map(service_port, wire.ports))
        policy = ExternalTrafficPolicy(wire.external_traffic_policy or "Cluster")
        service = Service(namespace, name, Labels(wire.selector), ports, kind, policy)
        try:
            self._builder.add_service(service)
        except Conflict as conflict:
            self._exists(conflict, place)
            return
        self._places[Kind.SERVICE, f"{namespace}/{name}"] = Written(self._document, place)
        if wire.external_traffic_policy and kind is not ServiceType.NODE_PORT:
            fact = f"externalTrafficPolicy means nothing for a {kind} Service"
            self._add_at_key((*place, "externalTrafficPolicy"), fact, "type: NodePort")

    def _exists(self, conflict: Conflict, place: KeyPath) -> None:
        hint = "delete it first, or give the new one another name"
        where = self._where(conflict.kind, conflict.name)
        self._add_at_key(place, f"{conflict.kind} {conflict.name} exists already{where}", hint)

    def _add_external(self, name: str, wire: ExternalWire, ranges: Networks) -> None:
        place: KeyPath = ("externals", name)
        addresses = (wire.ip,) if isinstance(wire.ip, str) else tuple(wire.ip)
        for address in addresses:
            if fault := no_outside_host(address, ranges):
                self._add((*place, "ip"), *fault)
        ports = tuple(map(container_port, wire.ports))
        try:
            self._builder.add_external(External(name, addresses, ports, tuple(wire.names)))
        except Conflict as conflict:
            where = self._where(Kind.EXTERNAL, name)
            hint = "give it another name"
            self._add_at_key(place, f"external {conflict.name} exists already{where}", hint)
        else:
            self._places[Kind.EXTERNAL, name] = Written(self._document, place)

    # -------------------------------------------------------------- apply, refused

    def _apply(self, step: StepWire, place: KeyPath) -> None:
        for manifest in self._manifests.read(step.apply, place, self._context("apply", step)):
            self._submit(self._builder.apply, manifest, step)

    def _refuse(self, step: StepWire, place: KeyPath) -> None:
        for manifest in self._manifests.read(step.refused, place, self._context("refused", step)):
            self._submit(self._builder.refuse, manifest, step)

    def _context(self, verb: str, step: StepWire) -> ManifestContext:
        labels = {item.name: item.labels for item in self._builder.state().namespaces}
        return ManifestContext(verb, step.namespace, self._exact_names, labels)

    def _submit(
        self, submit: Callable[[Manifest], None], manifest: Manifest, step: StepWire
    ) -> None:
        try:
            submit(manifest)
        except Conflict:
            namespace = manifest.namespace
            if namespace == step.namespace or manifest.location is None:
                return  # reported once, at the step
            fact = f"{manifest}: there is no namespace {namespace!r} in this step"
            self._problems.add(manifest.location, fact, self._namespace_hint(namespace))

    def _namespace_hint(self, name: str) -> str | None:
        if name == "kube-system":
            return "policies may name kube-system, but a scenario cannot change it"
        return nearest_or_all(name, self._named(Kind.NAMESPACE), "namespaces")

    # -------------------------------------------------------------- delete

    def _delete_all(self, step: StepWire, place: KeyPath) -> None:
        for index, text in enumerate(step.delete):
            try:
                self._delete(text, (*place, index))
            except Conflict as conflict:
                if conflict.kind is Kind.OBJECT:
                    hint = nearest_or_all(text, self._deletable(), "objects in this step")
                    self._add((*place, index), f"there is no {text!r} in this step", hint)
                else:
                    self._add((*place, index), *self._missing(conflict.kind, conflict.name))

    def _delete(self, text: str, place: KeyPath) -> None:
        kind, *key = text.split("/")
        match key:
            case [name] if kind and name:
                self._builder.delete(kind, "", name)
            case [namespace, name] if kind and namespace and name:
                self._builder.delete(kind, namespace, name)
            case _:
                hint = "write Kind/namespace/name, or Namespace/name"
                self._add(place, f"{text!r} names nothing that can be deleted", hint)

    def _deletable(self) -> Iterator[str]:
        """Yield everything there is, as ``delete`` names it."""
        for item in self._builder.state().policies:
            yield "/".join(filter(None, (item.kind, item.namespace, item.name)))
        yield from (f"Pod/{name}" for name in self._named(Kind.POD))
        yield from (f"Service/{name}" for name in self._named(Kind.SERVICE))
        yield from (f"Namespace/{name}" for name in self._named(Kind.NAMESPACE))

    def _named(self, kind: Kind) -> Iterator[str]:
        state = self._builder.state()
        match kind:
            case Kind.NAMESPACE:
                return (item.name for item in state.namespaces)
            case Kind.SERVICE:
                return (f"{item.namespace}/{item.name}" for item in state.services)
            case _:
                return (str(item.ref) for item in state.pod_objects)

    def _missing(self, kind: Kind, name: str) -> tuple[str, str | None]:
        hint = nearest_or_all(name, self._named(kind), f"{kind}s")
        return f"there is no {kind} {name!r} in this step", hint

    # -------------------------------------------------------------- label, restart

    def _label_all(self, step: StepWire, place: KeyPath) -> None:
        for target, changes in step.label.items():
            head, _, name = target.partition("/")
            ref = NamespaceRef(name) if head == "ns" else PodRef(head, name)
            try:
                self._builder.labels(ref)
            except Conflict as conflict:
                name = name if conflict.kind is Kind.NAMESPACE else target
                fact, hint = self._missing(conflict.kind, name)
                if conflict.kind is Kind.POD and self._builder.has_namespace(target):
                    hint = f"a namespace is written ns/{target}, a pod {target}/pod"
                self._add_at_key((*place, target), fact, hint)
                continue
            for key, value in changes.items():
                self._label(ref, key, value, (*place, target, key))

    def _label(
        self, target: NamespaceRef | PodRef, key: str, value: str | None, place: KeyPath
    ) -> None:
        try:
            self._builder.label(target, key, value)
        except Conflict:
            hint = nearest_or_all(key, self._builder.labels(target), "its labels")
            self._add_at_key(place, f"{target} has no label {key!r} to remove", hint)

    def _restart_all(self, step: StepWire, place: KeyPath) -> None:
        for index, text in enumerate(step.restart):
            if text == _AGENTS:
                self._builder.restart_agents()
                continue
            namespace, _, name = text.partition("/")
            try:
                self._builder.restart(PodRef(namespace, name))
            except Conflict as conflict:
                self._add((*place, index), *self._missing(conflict.kind, text))

    def _report(self, conflicts: Iterable[Conflict]) -> None:
        fitting.report(conflicts, self._builder, self._places, self._problems)
