"""From one State to the next: what is removed, what is added, which rules are loaded."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from socket import socket

from harness.cluster.netns import names, tables, trace
from harness.cluster.netns.addresses import (
    DNS_SERVICE,
    Addresses,
    allocate,
    meant_by,
    pod_identity,
    with_implied,
)
from harness.cluster.netns.counter import Counter
from harness.cluster.netns.describe import describe_ends, nodes_of, placements
from harness.cluster.netns.kernel import list_nft, list_nft_counters, refusal
from harness.cluster.netns.listeners import Server, listen, stop_listening
from harness.cluster.netns.loop import Loop
from harness.cluster.netns.network import HostNetns, Network, RouterNetns
from harness.cluster.netns.parts import PARTS, Parts, PodStart, Snapshot
from harness.cluster.netns.ranges import ranges
from harness.cluster.netns.tables import Slot, Table
from harness.cluster.netns.trace import RuleCount
from harness.cluster.netns.view import ClusterView, SourceHost, SourcePorts
from harness.errors import ClusterError
from harness.model import (
    External,
    ExternalRef,
    Family,
    Networks,
    NodeRef,
    Placement,
    Pod,
    PodRef,
    Probe,
    Source,
    State,
)
from harness.policy import builtin, filled, kind_of

_INCOMPLETE = object()
"""The identity of a pod that does not serve its ports: the next sync creates it again."""


@dataclass(slots=True)
class _Running:
    """A pod or outside host that exists; ``host`` is None for a hostNetwork pod."""

    identity: Hashable
    """Compared with the desired one; ``_INCOMPLETE`` equals none."""
    netns: int
    addresses: tuple[str, ...]
    host: HostNetns | None
    sockets: tuple[socket, ...] = ()


@dataclass(frozen=True, slots=True)
class _Desired:
    """A pod or outside host that must exist, behind the node of that number; 0 is the router."""

    source: PodRef | ExternalRef
    identity: Hashable
    addresses: tuple[str, ...]
    thing: Pod | External
    node_number: int


@dataclass(slots=True)
class Reconciler:
    """What exists. ``sync`` is for one thread; the loop reads ``view``."""

    loop: Loop
    families: tuple[Family, ...]
    parts: Parts = PARTS
    view: ClusterView | None = None
    _network: Network = field(init=False)
    _running: dict[PodRef | ExternalRef, _Running] = field(default_factory=dict)
    _addresses: Addresses | None = None
    _believed: Snapshot | None = None
    _loaded: dict[tuple[int, str], tuple[Table, Slot]] = field(default_factory=dict)
    """The table in force and its slot, by node and name."""
    _reload: bool = False
    """Whether the agents have restarted and load every table again, also those in force."""
    _ports: dict[Hashable, SourcePorts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._network = Network(self.families, ranges(Networks()))

    def sync(self, state: State, counter: Counter | None = None) -> None:
        """Make the cluster equal to ``state``; moves the calling thread. Raises ClusterError.

        ``counter`` is for the pairs that new pods probe from their first moment.
        """
        _refuse(state)
        state = with_implied(state)
        try:
            self._reconcile(state, counter)
        except OSError as error:
            raise refusal("change the network", error) from error

    def _reconcile(self, state: State, counter: Counter | None) -> None:
        addresses = allocate(state, self._addresses, self.families)
        if addresses.ranges != self._network.ranges:
            self._replace_network(addresses)
        self._addresses = addresses
        desired = _desired(state, addresses)
        self._remove(desired)
        self._restart_agents(state)
        rules = partial(self._load_rules, Snapshot(with_addresses(state, addresses), addresses))
        added = [item for source, item in desired.items() if source not in self._running]
        if added:
            self._start(added, rules, state, counter)
        else:
            rules()
        self._publish(self._view_of(state, addresses))

    def _start(
        self,
        added: list[_Desired],
        rules: Callable[[], None],
        state: State,
        counter: Counter | None,
    ) -> None:
        """Bring new pods and outside hosts up; new pods of the ``counter`` begin to probe."""

        def link() -> None:
            self._link(added)
            if counter and self._addresses:
                counter.begin(self._view_of(state, self._addresses), {i.source for i in added})

        def main() -> None:
            if counter:
                counter.begin_main()
            for item in added:
                self._serve(item, self._running[item.source])

        init = counter.await_init if counter else lambda: None
        self.parts.start(PodStart(rules, link, init, main))

    def _view_of(self, state: State, addresses: Addresses) -> ClusterView:
        zone = names.zone(state, addresses)
        return ClusterView(state, addresses, self._hosts(addresses), zone)

    def _restart_agents(self, state: State) -> None:
        """Forget what the agents believe, and load all rules again, if they are restarted."""
        if state.restarts_agents(self.view.state if self.view else None):
            self._believed, self._reload = None, True

    def _replace_network(self, addresses: Addresses) -> None:
        """Create the nodes again, with addresses in other ranges; nothing else stays."""
        self._remove({})
        self._publish(None)
        self._believed = None
        self._loaded.clear()
        self._ports.clear()
        old, self._network = self._network, Network(self.families, addresses.ranges)
        old.close()

    def _publish(self, view: ClusterView | None) -> None:
        def swap() -> None:
            self.view = view

        self.loop.call_and_wait(swap)

    def _hosts(self, addresses: Addresses) -> dict[Source, SourceHost]:
        hosts: dict[Source, SourceHost] = {
            NodeRef(number): self._host(node.netns, addresses.nodes[number])
            for number, node in self._network.nodes.items()
        }
        for source, running in self._running.items():
            hosts[source] = self._host(running.netns, running.addresses)
        return hosts

    def _host(self, netns: int, addresses: tuple[str, ...]) -> SourceHost:
        return SourceHost(netns, addresses, self._ports.setdefault(addresses, SourcePorts()))

    # ------------------------------------------------------------------ removing

    def _remove(self, desired: Mapping[PodRef | ExternalRef, _Desired]) -> None:
        gone = {
            source: running
            for source, running in self._running.items()
            if source not in desired or desired[source].identity != running.identity
        }
        if not gone:
            return
        for source in gone:
            del self._running[source]
        # No probe may start from a namespace whose descriptor is about to be closed.
        if self.view:
            old = self.view
            self._publish(
                ClusterView(old.state, old.addresses, self._hosts(old.addresses), old.zone)
            )
        stop_listening(self.loop, [sock for running in gone.values() for sock in running.sockets])
        self._network.detach(p.host for p in gone.values() if p.host)

    # ------------------------------------------------------------------ rules and adding

    def _load_rules(self, now: Snapshot) -> None:
        """Load Services as they are, and policies as the CNI believes the cluster to be."""
        believed = self.parts.observe(self._believed, now)
        policies = self.parts.policy_tables(believed)
        services = {n: self.parts.services(now.state, now.addresses, n) for n in policies}
        self._load((node, (services[node], policies[node])) for node in policies)
        self._believed = believed

    def _load(self, wanted: Iterable[tuple[int, Sequence[Table]]]) -> None:
        """Build the tables that changed, then let packets enter all of them in one step.

        After a failed step of that kind it is not known which tables are in force: the next load
        removes them before it builds the new ones.
        """
        builds: dict[int, list[str]] = {}
        switches: dict[int, str] = {}
        loaded: dict[tuple[int, str], tuple[Table, Slot]] = {}
        for node, all_tables in wanted:
            netns = self._network.nodes[node].netns
            for table in all_tables:
                old, used = self._loaded.get((node, table.name), (None, 1))
                if old == table and not self._reload:
                    continue
                slot: Slot = 0 if used else 1
                build = builds.setdefault(netns, [])
                if old is None:
                    build.append(tables.removed(table, 1))
                build += tables.built(table, slot)
                switches[netns] = switches.get(netns, "") + tables.switched(old, table, slot)
                loaded[node, table.name] = (table, slot)
        for step in _steps(builds):
            self.parts.load(step)
        for key in loaded:
            self._loaded.pop(key, None)
        self.parts.load(switches)
        self._loaded.update(loaded)
        self._reload = False

    def _link(self, desired: list[_Desired]) -> None:
        def number(item: _Desired) -> int:
            return item.node_number

        for node_number, group in groupby(sorted(desired, key=number), key=number):
            items = list(group)
            router = self._router(node_number)
            hosts = self._network.attach(
                router,
                {str(i.source): i.addresses for i in items if not _on_node(i.thing)},
            )
            for item in items:
                host = hosts.get(str(item.source))
                netns = host.netns if host else router.netns
                self._running[item.source] = _Running(item.identity, netns, item.addresses, host)

    def _router(self, number: int) -> RouterNetns:
        return self._network.nodes[number] if number else self._network.router

    def _serve(self, item: _Desired, running: _Running) -> None:
        server = Server(running.netns, running.addresses, item.thing.ports)
        if isinstance(item.source, PodRef) and item.source.namespace == DNS_SERVICE[0]:
            server = Server(
                running.netns, running.addresses, item.thing.ports, self._answer, dns_over_tcp=True
            )
        try:
            running.sockets = listen(self.loop, server, str(item.source))
        except ClusterError:
            running.identity = _INCOMPLETE
            raise

    def _answer(self, query: bytes) -> bytes:
        return names.answer(self.view.zone if self.view else names.Zone({}), query)

    # ------------------------------------------------------------------ describing

    def placements(self) -> tuple[Placement, ...]:
        """Return where the pods are, and the addresses of Services."""
        return placements(self.view.addresses) if self.view else ()

    def describe(self, probes: Sequence[Probe]) -> str:
        """Describe the ends of some probes, with the live rules; moves the calling thread."""
        view = self.view
        if view is None:
            return "the embedded cluster holds nothing yet"
        parts = [describe_ends(view.state, view.addresses, probes)]
        for number in nodes_of(view.addresses, probes):
            found = self._loaded.get((number, "netpol"))
            if found is None:
                continue
            rules = list_nft(self._network.nodes[number].netns, tables.name_in(*found))
            parts.append(f"policy rules on node/{number}:\n{rules.rstrip()}")
        return "\n".join(parts)

    def counts(self) -> tuple[RuleCount, ...]:
        """Return the counters of the live rules of policies; moves the calling thread."""
        return tuple(
            count
            for (number, name), found in self._loaded.items()
            if name == "netpol"
            for count in trace.counts(
                number,
                list_nft_counters(self._network.nodes[number].netns, tables.name_in(*found)),
            )
        )


def _steps(builds: Mapping[int, Iterable[str]]) -> Iterator[dict[int, str]]:
    """Yield the scripts of all nodes that are loaded at the same time."""
    scripts = {netns: tables.joined(build) for netns, build in builds.items()}
    for step in range(max(map(len, scripts.values()), default=0)):
        yield {netns: each[step] for netns, each in scripts.items() if step < len(each)}


def with_addresses(state: State, addresses: Addresses) -> State:
    """Return the state with the addresses that its policies leave to the cluster."""
    address = partial(meant_by, addresses=addresses)
    policies = tuple(filled(manifest, address) for manifest in state.policies)
    return replace(state, policies=policies)


def _on_node(thing: Pod | External) -> bool:
    return isinstance(thing, Pod) and thing.host_network


def _desired(state: State, addresses: Addresses) -> dict[PodRef | ExternalRef, _Desired]:
    desired: dict[PodRef | ExternalRef, _Desired] = {}
    for pod in state.pods:
        identity = pod_identity(state, pod)
        node = addresses.node_of[pod.ref]
        desired[pod.ref] = _Desired(pod.ref, identity, addresses.pods[pod.ref], pod, node)
    for host in state.externals:
        source = ExternalRef(host.name)
        ips = addresses.externals[host.name]
        desired[source] = _Desired(source, (state.scope, host), ips, host, 0)
    return desired


def _refuse(state: State) -> None:
    """Raise ClusterError for what this cluster cannot hold."""
    if state.refused:
        raise ClusterError(
            f"{state.refused[0]} must be rejected by an API server; the embedded cluster has none",
            hint="such a step `needs: [admission]`",
        )
    for manifest in state.policies:
        known = builtin.is_builtin(builtin.group_of(manifest.api_version))
        if not known and kind_of(manifest) is None:
            raise ClusterError(
                f"the embedded cluster does not know {manifest.api_version} {manifest.kind} "
                f"({manifest})",
                hint="it enforces networking.k8s.io/v1 NetworkPolicy; use a cluster with that CRD",
            )
