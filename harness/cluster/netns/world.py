"""From one State to the next: what goes, what comes, which rules hold. The reconcile loop."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from socket import socket

from harness.cluster.netns import names
from harness.cluster.netns.addresses import (
    DNS_SERVICE,
    Addresses,
    allocate,
    pod_identity,
    with_implied,
)
from harness.cluster.netns.describe import ends, nodes_of
from harness.cluster.netns.kernel import list_nft
from harness.cluster.netns.listeners import Server, listen, silence
from harness.cluster.netns.loop import Loop
from harness.cluster.netns.network import Gateway, Network, Station
from harness.cluster.netns.parts import PARTS, Parts, Snapshot
from harness.cluster.netns.prober import Host, SourcePorts, View
from harness.cluster.netns.ranges import ranges
from harness.errors import ClusterError
from harness.model import (
    External,
    ExternalRef,
    Family,
    Networks,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    Source,
    State,
)
from harness.policy import builtin, kind_of


@dataclass(slots=True)
class _Place:
    """A pod or outside host that exists. A hostNetwork pod has no station of its own."""

    identity: Hashable
    netns: int
    addresses: tuple[str, ...]
    station: Station | None
    sockets: tuple[socket, ...] = ()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A pod or outside host that shall exist; ``gateway`` None means the node itself."""

    source: PodRef | ExternalRef
    identity: Hashable
    addresses: tuple[str, ...]
    thing: Pod | External
    gateway_number: int


@dataclass(slots=True)
class World:
    """What exists. ``sync`` is for one thread; the loop's thread only reads ``view``."""

    loop: Loop
    families: tuple[Family, ...]
    parts: Parts = PARTS
    view: View | None = None
    _network: Network = field(init=False)
    _places: dict[PodRef | ExternalRef, _Place] = field(default_factory=dict)
    _addresses: Addresses | None = None
    _believed: Snapshot | None = None
    _scripts: dict[int, str] = field(default_factory=dict)
    _ports: dict[Hashable, SourcePorts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._network = Network(self.families, ranges(Networks()))

    def sync(self, state: State) -> None:
        """Make the cluster equal to ``state``; moves the calling thread. Raises ClusterError."""
        _refuse(state)
        state = with_implied(state)
        try:
            self._reconcile(state)
        except OSError as error:
            raise ClusterError(f"the kernel refused a change of the network: {error}") from error

    def _reconcile(self, state: State) -> None:
        addresses = allocate(state, self._addresses, self.families)
        if addresses.ranges != self._network.ranges:
            self._replace_network(addresses)
        self._addresses = addresses
        wanted = _wanted(state, addresses)
        self._remove(wanted)
        # Rules before pods: a new pod must not be open for a moment.
        self._load_rules(Snapshot(state, addresses))
        self._add([item for source, item in wanted.items() if source not in self._places])
        view = View(state, addresses, self._hosts(addresses), names.zone(state, addresses))
        self._publish(view)

    def _replace_network(self, addresses: Addresses) -> None:
        """Make the nodes again, with addresses in other ranges; nothing of before stays."""
        self._remove({})
        self._publish(None)
        self._believed = None
        self._scripts.clear()
        self._ports.clear()
        old, self._network = self._network, Network(self.families, addresses.ranges)
        old.close()

    def _publish(self, view: View | None) -> None:
        def swap() -> None:
            self.view = view

        self.loop.settle(swap)

    def _hosts(self, addresses: Addresses) -> dict[Source, Host]:
        hosts: dict[Source, Host] = {
            NodeRef(number): self._host(node.netns, addresses.nodes[number])
            for number, node in self._network.nodes.items()
        }
        for source, place in self._places.items():
            hosts[source] = self._host(place.netns, place.addresses)
        return hosts

    def _host(self, netns: int, addresses: tuple[str, ...]) -> Host:
        return Host(netns, addresses, self._ports.setdefault(addresses, SourcePorts()))

    # ------------------------------------------------------------------ what goes

    def _remove(self, wanted: Mapping[PodRef | ExternalRef, _Wanted]) -> None:
        gone = {
            source: place
            for source, place in self._places.items()
            if source not in wanted or wanted[source].identity != place.identity
        }
        if not gone:
            return
        for source in gone:
            del self._places[source]
        # No probe may start from a namespace whose descriptor is about to be closed.
        if self.view:
            old = self.view
            self._publish(View(old.state, old.addresses, self._hosts(old.addresses), old.zone))
        silence(self.loop, [sock for place in gone.values() for sock in place.sockets])
        self._network.detach(p.station for p in gone.values() if p.station)

    # ------------------------------------------------------------------ what comes

    def _load_rules(self, now: Snapshot) -> None:
        """Load Services as they are, and policies as the CNI believes the cluster to be."""
        believed = self.parts.observe(self._believed, now)
        policies = self.parts.policy_scripts(believed)
        scripts = {
            number: self.parts.services(now.state, now.addresses, number) + policies[number]
            for number in now.addresses.nodes
        }
        changed = {n: text for n, text in scripts.items() if self._scripts.get(n) != text}
        for number in changed:
            self._scripts.pop(number, None)
        self.parts.load({self._network.nodes[n].netns: text for n, text in changed.items()})
        self._scripts.update(changed)
        self._believed = believed

    def _add(self, wanted: list[_Wanted]) -> None:
        def number(item: _Wanted) -> int:
            return item.gateway_number

        for gateway_number, group in groupby(sorted(wanted, key=number), key=number):
            items = list(group)
            gateway = self._gateway(gateway_number)
            stations = self._network.attach(
                gateway,
                {str(i.source): i.addresses for i in items if not _on_node(i.thing)},
            )
            for item in items:
                station = stations.get(str(item.source))
                netns = station.netns if station else gateway.netns
                self._places[item.source] = _Place(item.identity, netns, item.addresses, station)
        for item in wanted:
            self._serve(item, self._places[item.source])

    def _gateway(self, number: int) -> Gateway:
        return self._network.nodes[number] if number else self._network.router

    def _serve(self, item: _Wanted, place: _Place) -> None:
        server = Server(place.netns, place.addresses, item.thing.ports)
        if isinstance(item.source, PodRef) and item.source.namespace == DNS_SERVICE[0]:
            server = Server(
                place.netns, place.addresses, item.thing.ports, self._answer, dns_over_tcp=True
            )
        try:
            place.sockets = listen(self.loop, server, str(item.source))
        except ClusterError:
            place.identity = None  # the next sync makes it anew
            raise

    def _answer(self, query: bytes) -> bytes:
        return names.answer(self.view.zone if self.view else names.Zone({}), query)

    # ------------------------------------------------------------------ what people want to see

    def describe(self, probes: Sequence[Probe]) -> str:
        """Tell what is behind some probes, live rules included; moves the calling thread."""
        view = self.view
        if view is None:
            return "the embedded cluster holds nothing yet"
        told = [ends(view.state, view.addresses, probes)]
        for number in nodes_of(view.addresses, probes):
            rules = list_nft(self._network.nodes[number].netns, "netpol")
            told.append(f"policy rules on node/{number}:\n{rules.rstrip()}")
        return "\n".join(told)


def _on_node(thing: Pod | External) -> bool:
    return isinstance(thing, Pod) and thing.host_network


def _wanted(state: State, addresses: Addresses) -> dict[PodRef | ExternalRef, _Wanted]:
    wanted: dict[PodRef | ExternalRef, _Wanted] = {}
    for pod in state.pods:
        identity = pod_identity(state, pod)
        node = addresses.node_of[pod.ref]
        wanted[pod.ref] = _Wanted(pod.ref, identity, addresses.pods[pod.ref], pod, node)
    for host in state.externals:
        source = ExternalRef(host.name)
        ips = addresses.externals[host.name]
        wanted[source] = _Wanted(source, (state.scope, host), ips, host, 0)
    return wanted


def _refuse(state: State) -> None:
    """Raise ClusterError for what this cluster cannot hold."""
    if state.refused:
        raise ClusterError(
            f"{state.refused[0]} shall be refused, and the embedded cluster admits nothing",
            hint="it has no API server; such a step `needs: [admission]`",
        )
    for manifest in state.policies:
        known = builtin.is_builtin(builtin.group_of(manifest.api_version))
        if not known and kind_of(manifest) is None:
            raise ClusterError(
                f"the embedded cluster does not know {manifest.api_version} {manifest.kind} "
                f"({manifest})",
                hint="it enforces networking.k8s.io/v1 NetworkPolicy; use a cluster with that CRD",
            )
