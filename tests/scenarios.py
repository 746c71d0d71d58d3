"""Random scenarios, as reading a file gives them, over the worlds of ``tests.worlds``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from harness.errors import Location
from harness.model import (
    FEATURES,
    AbsoluteName,
    Address,
    Cell,
    CompletedPod,
    ContainerPort,
    Destination,
    External,
    ExternalRef,
    ExternalTrafficPolicy,
    Family,
    Labels,
    Manifest,
    NamespaceRef,
    Networks,
    NodePortRef,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    Protocol,
    Readiness,
    Scenario,
    Service,
    ServiceName,
    ServicePort,
    ServiceType,
    Source,
    State,
    Step,
    TruthTable,
    Verdict,
)
from harness.scenario.candidates import Budget, Candidates, candidates
from harness.scenario.needs import needed, with_needs
from harness.scenario.networks import with_outside
from harness.scenario.topology import Conflict, StepState, TopologyBuilder
from tests.worlds import worlds

HERE = Location("", 1, 1)
SLUG = "generated"
_NAMES = st.sampled_from(("a", "b", "c", "y", "on", "null", "1", "x-1"))
_VALUES = st.sampled_from(("a", "b", "", "yes", "1", "0x1f", "1e3", "null", "v1.2", "2024-01-01"))
_KEYS = st.sampled_from(("app", "tier", "y", "example.com/on", "1", "null"))
_LABELS = st.dictionaries(_KEYS, _VALUES, max_size=3).map(Labels)
_PRINTABLE = st.characters(exclude_categories=("Cs", "Cc", "Cf", "Co", "Cn", "Zl", "Zp", "Zs"))
_LINES = st.text(st.one_of(_PRINTABLE, st.sampled_from(" :#-'\"[]{},&*!|>%@`")), max_size=12)
_TITLES = _LINES.map(lambda text: text.replace("::", ":").strip()).filter(
    lambda text: text != "" and text.isprintable()
)
_TEXTS = st.one_of(_TITLES, st.text(max_size=20), st.lists(_LINES).map("\n".join)).filter(
    lambda text: text.strip() != ""
)
_SECONDS = st.none() | st.floats(0, 1e300) | st.integers(0, 10**20).map(float)

# Whole numbers that are written as fractions are refused: Kubernetes reads them as integers.
_FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda number: not number.is_integer() or abs(number) >= 1e21
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _FLOATS | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def canonical(body: dict[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def objects(namespaces: tuple[str, ...]) -> st.SearchStrategy[Manifest]:
    """Objects of a custom kind, with anything in them."""
    return st.builds(
        lambda namespace, name, spec: Manifest(
            "example.com/v1",
            "Anything",
            namespace,
            name,
            canonical(
                {
                    "apiVersion": "example.com/v1",
                    "kind": "Anything",
                    "metadata": {"name": name, "namespace": namespace},
                    "spec": spec,
                }
            ),
        ),
        st.sampled_from(namespaces),
        st.sampled_from(("o1", "o2")),
        _JSON,
    )


# ------------------------------------------------------------------ topologies and changes


@dataclass(slots=True)
class _World:
    """What the changes of a scenario are drawn from."""

    draw: st.DrawFn
    builder: TopologyBuilder
    namespaces: tuple[str, ...]
    policies: tuple[Manifest, ...]
    alternate: bool
    nodes: list[int] = field(default_factory=list)
    """The nodes that the file says."""

    def pod(self, namespace: str, name: str, ports: tuple[ContainerPort, ...]) -> None:
        known = self.builder.state().pod_objects
        if PodRef(namespace, name) in {pod.ref for pod in known}:
            return
        node = self.builder.next_node() if self.alternate else self.draw(st.integers(1, 3))
        # Two on one node would want the same ports.
        alone = not any(pod.host_network for pod in self.builder.state().pods)
        on_host = alone and self.draw(st.booleans())
        labels = self.draw(_LABELS)
        if len(self.builder.state().pods) > 1 and self.draw(st.integers(0, 2)) == 2:
            self.builder.add_pod(CompletedPod(namespace, name, labels, node))
        else:
            made = Pod(namespace, name, labels, ports, node, on_host)
            ways = st.none() | st.sampled_from(Readiness)
            readiness = None if made.first_tcp is None else self.draw(ways)
            self.builder.add_pod(replace(made, readiness=readiness))
        if not self.alternate:
            self.nodes.append(node)

    def service(self, namespace: str) -> None:
        kind = self.draw(st.sampled_from(ServiceType))
        port = st.builds(
            ServicePort,
            st.sampled_from((80, 81)),
            st.sampled_from((80, 8080, 81, 8081, 9090, "web")),
            st.sampled_from(Protocol),
            st.sampled_from((None, "web", "alt")),
        )
        unique = st.lists(port, min_size=1, max_size=2, unique_by=(_wire, lambda p: p.name or p))
        policy = ExternalTrafficPolicy.CLUSTER
        if kind is ServiceType.NODE_PORT:
            policy = self.draw(st.sampled_from(ExternalTrafficPolicy))
        name = self.draw(_NAMES.filter(lambda text: not text[0].isdigit()))
        selector = self.draw(_LABELS.filter(len))
        ports = tuple(self.draw(unique))
        self.builder.add_service(Service(namespace, name, selector, ports, kind, policy))

    # -------------------------------------------------------------- verbs

    def create(self) -> None:
        for namespace in self.draw(st.sets(st.sampled_from((*self.namespaces, "late", "yes")))):
            if not self.builder.has_namespace(namespace):
                self.builder.add_namespace(namespace, self.draw(_LABELS))
            for name in self.draw(st.lists(_NAMES, max_size=2)):
                _try(lambda: self.pod(namespace, name, (ContainerPort(80),)))  # noqa: B023
            for _ in range(self.draw(st.integers(0, 1))):
                _try(lambda: self.service(namespace))  # noqa: B023

    def apply(self) -> None:
        for manifest in self._some_manifests():
            _try(lambda: self.builder.apply(manifest))  # noqa: B023

    def refuse(self) -> None:
        for manifest in self._some_manifests():
            _try(lambda: self.builder.refuse(manifest))  # noqa: B023

    def _some_manifests(self) -> list[Manifest]:
        known = st.one_of(st.sampled_from(self.policies), objects(self.namespaces))
        found = self.draw(st.lists(known, min_size=1, max_size=3))
        # One step has one namespace for the manifests that name none.
        own = self.namespaces[0]
        return [
            replace(item, namespace_from_step=item.namespace == own and self.draw(st.booleans()))
            for item in found
        ]

    def delete(self) -> None:
        state = self.builder.state()
        known: list[tuple[str, str, str]] = []
        known += [("Pod", pod.namespace, pod.name) for pod in state.pod_objects[2:]]
        known += [("Service", item.namespace, item.name) for item in state.services]
        known += [(item.kind, item.namespace, item.name) for item in state.policies]
        known += [("Namespace", "", item.name) for item in state.namespaces[2:]]
        if known:
            for reference in self.draw(st.lists(st.sampled_from(known), max_size=3)):
                _try(lambda: self.builder.delete(*reference))  # noqa: B023

    def label(self) -> None:
        state = self.builder.state()
        targets: list[PodRef | NamespaceRef] = [pod.ref for pod in state.pod_objects]
        targets += [NamespaceRef(item.name) for item in state.namespaces]
        for target in self.draw(st.lists(st.sampled_from(targets), max_size=2, unique=True)):
            wanted = st.dictionaries(_KEYS, st.none() | _VALUES, max_size=2)
            for key, value in self.draw(wanted).items():
                _try(lambda: self.builder.label(target, key, value))  # noqa: B023

    def restart(self) -> None:
        refs = [pod.ref for pod in self.builder.state().pod_objects]
        for ref in self.draw(st.lists(st.sampled_from(refs), max_size=2)):
            self.builder.restart(ref)


def _wire(port: ServicePort) -> tuple[int, Protocol]:
    return port.number, port.protocol


def _try(change: Callable[[], None]) -> None:
    """Make a change if it is possible."""
    with contextlib.suppress(Conflict):
        change()


# ------------------------------------------------------------------ tables


def _sources(state: State) -> list[Source]:
    outside = [ExternalRef(item.name) for item in state.externals]
    return [*(pod.ref for pod in state.pods), *outside, NodeRef(1), NodeRef(2)]


def _destinations(ends: Candidates) -> Iterator[Destination]:
    yield from ends.everything()
    for service in ends.state.services:
        for port in service.ports:
            name = ServiceName(service.namespace, service.name)
            yield Destination(name, port.number, port.protocol)
            if service.type is ServiceType.NODE_PORT:
                through = NodePortRef(service.namespace, service.name, 1)
                yield Destination(through, port.number, port.protocol)
    for gone in ends.services.values():
        yield Destination(ServiceName(gone.namespace, gone.name), gone.ports[0].number, gone.ports[0].protocol)  # fmt: skip  # noqa: E501
    yield Destination(ExternalRef("office"), 443)
    yield Destination(ExternalRef("office"), 53, Protocol.UDP)
    yield Destination(AbsoluteName("api.example.com"), 443)
    yield Destination(Address("203.0.113.7"), 80)
    yield Destination(Address("2001:db8::7"), 80, Protocol.SCTP)
    yield Destination(NodeRef(2), 9100)


@st.composite
def _tables(draw: st.DrawFn, ends: Candidates) -> TruthTable:
    """A table as it is read: one word, one row for all pods, or a grid."""
    words = st.sampled_from(Verdict)
    known = list(dict.fromkeys(_destinations(ends)))
    columns = draw(st.lists(st.sampled_from(known), min_size=1, max_size=4, unique=True))
    columns = [end for end in columns if str(end) in {str(end) for end in known}]
    match draw(st.sampled_from(("word", "every pod", "grid"))):
        case "word":
            columns = list(dict.fromkeys(ends.everything()))
            word = draw(words)
            pairs = {
                (source, end): word
                for source in ends.pods()
                for end in columns
                if not ends.is_itself(source, end.host)
            }
        case "every pod":
            row = draw(st.fixed_dictionaries({end: st.none() | words for end in columns}))
            pairs = {
                (source, end): word
                for source in ends.pods()
                for end in columns
                if (word := row[end]) and not ends.is_itself(source, end.host)
            }
        case _:
            rows = draw(st.permutations(_sources(ends.state)))
            pairs = {}
            for source in rows[: draw(st.integers(1, len(rows)))]:
                for end in columns:
                    if word := draw(st.none() | words):
                        pairs[source, end] = word
    cells = [
        Cell(Probe(source, end, family), word, HERE)
        for (source, end), word in pairs.items()
        for family in sorted(ends.families_of(source, end.host))
    ]
    assume(cells)
    return TruthTable(tuple(cells), tuple(columns))


@st.composite
def _exempted(draw: st.DrawFn, tables: list[TruthTable]) -> list[TruthTable]:
    """The tables, with reasons why some of their pairs never connect."""
    found = [cell for table in tables for cell in table.cells]
    pairs = list(dict.fromkeys((cell.probe.source, cell.probe.destination) for cell in found))
    allowed = {
        (cell.probe.source, cell.probe.destination)
        for cell in found
        if cell.expected is Verdict.ALLOWED
    }
    denied = [pair for pair in pairs if pair not in allowed]
    everywhere = draw(st.dictionaries(st.sampled_from(denied), _TEXTS)) if denied else {}
    if draw(st.booleans()) and denied:
        everywhere |= dict.fromkeys((p for p in denied if p[1] == denied[0][1]), draw(_TEXTS))
    exempted = []
    for table in tables:
        reasons = dict(everywhere)
        if denied:
            reasons |= draw(st.dictionaries(st.sampled_from(denied), _TEXTS, max_size=1))
        cells = tuple(
            replace(cell, never_allowed=reasons.get((cell.probe.source, cell.probe.destination)))
            for cell in table.cells
        )
        exempted.append(replace(table, cells=cells))
    return exempted


# ------------------------------------------------------------------ scenarios


@st.composite
def _states(draw: st.DrawFn) -> tuple[State, list[StepState], list[int]]:
    """A topology, what one to three steps make of it, and the nodes that the file says."""
    drawn = draw(worlds(most_pods=4, most_policies=3))
    networks = draw(
        st.sampled_from(
            (Networks(), Networks(pods=("10.244.0.0/16", "fd00:10::/48"), nodes=("10.0.0.0/24",)))
        )
    )
    start = State(SLUG, exact_names=draw(st.booleans()), networks=networks)
    builder = TopologyBuilder(start)
    policies = tuple(
        replace(policy, json=canonical(json.loads(policy.json))) for policy in drawn.policies
    )
    namespaces = tuple(item.name for item in drawn.namespaces)
    world = _World(draw, builder, namespaces, policies, draw(st.booleans()))
    for namespace in drawn.namespaces:
        builder.add_namespace(namespace.name, draw(_LABELS))
    for pod in sorted(drawn.pods, key=lambda item: item.namespace):
        world.pod(pod.namespace, pod.name, pod.ports)
    for name in namespaces:
        if draw(st.booleans()):
            world.service(name)
    ports = (ContainerPort(443), ContainerPort(53, Protocol.UDP, "dns"))
    builder.add_external(External("office", ("10.10.0.5", "fd99::5"), ports, ("api.example.com",)))
    if draw(st.booleans()):
        builder.add_external(External("branch", ("10.20.0.5",)))
    assume(not list(builder.conflicts()))
    topology = builder.finish_step().state
    steps = []
    verbs = (world.create, world.apply, world.refuse, world.delete, world.label, world.restart)
    for _ in range(draw(st.integers(1, 3))):
        for verb in draw(st.lists(st.sampled_from(verbs), unique=True, max_size=4)):
            verb()
        assume(not list(builder.conflicts()))
        steps.append(builder.finish_step())
    return topology, steps, world.nodes


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """A scenario that a file can describe."""
    topology, states, nodes = draw(_states())
    families = draw(st.sampled_from(((4,), (6,), (4, 6), (6, 4))))
    of_families = tuple(map(Family, families))
    ends = candidates((made.state for made in states), of_families, Budget())
    tables = draw(_exempted([draw(_tables(of_step)) for of_step in ends]))
    names = draw(st.lists(_TITLES, min_size=len(states), max_size=len(states), unique=True))
    steps = with_outside(
        Step(name, HERE, made.changes, made.state, table, draw(_SECONDS), draw(_SECONDS))
        for name, made, table in zip(names, states, tables, strict=True)
    )
    words = draw(st.sets(st.sampled_from(sorted(FEATURES)), max_size=2))
    others = st.sets(st.sampled_from(sorted(FEATURES.keys() - words)), max_size=1)
    steps = with_needs(steps, of_families, [draw(others) for _ in steps])
    asked = draw(st.lists(st.integers(1, 4), max_size=1))
    return Scenario(
        path="",
        name=draw(_TITLES),
        slug=SLUG,
        why=draw(_TEXTS),
        steps=steps,
        covers=tuple(draw(st.lists(st.sampled_from(("R01", "R38", "R86")), unique=True))),
        catches=tuple(draw(st.lists(st.sampled_from(("B01", "B91")), unique=True))),
        needs=needed(steps, of_families, words, (*nodes, *asked)),
        families=of_families,
        exact_names=topology.exact_names,
        oracle_off=draw(st.none() | _TEXTS),
        weak=draw(st.booleans()),
        topology=replace(topology, outside=steps[0].state.outside),
    )
