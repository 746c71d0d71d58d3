"""What should happen to a probe, and why: a pure function of State and Probe.

The rulings follow the API text (ids R01-R86 in ``docs/semantics.md``) and are three-valued:
what the API leaves open is undefined, but only where it decides the result. Clusters must
not import this module: they are judged by it.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from harness.model import (
    AbsoluteName,
    Address,
    ContainerPort,
    External,
    ExternalRef,
    ExternalTrafficPolicy,
    Family,
    Labels,
    Manifest,
    Namespace,
    NodePortRef,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    Protocol,
    Service,
    ServiceName,
    ServicePort,
    ServiceRef,
    ServiceType,
    State,
    Verdict,
)
from harness.policy import (
    Direction,
    IPBlock,
    LabelSelector,
    NetworkPolicy,
    Operator,
    Peer,
    PolicyPort,
    Requirement,
    Rule,
    kind_of,
    parsed,
)


class Ruling(enum.Enum):
    """What the API says of a connection; the value is how it is printed."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A ruling and the path to it, line by line; deeper lines are indented.

    ``undefined`` says in one sentence what the API leaves open, if that decides.
    """

    ruling: Ruling
    reasons: tuple[str, ...] = ()
    undefined: str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """The words a right cluster may say; none of them at all means that any will do."""

    words: frozenset[Verdict]
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the cluster beyond the State.

    ``features`` are words out of ``model.FEATURES`` that it has (a scenario's needs);
    ``addresses`` are those of pods and nodes, where anybody knows them.
    """

    features: frozenset[str] = frozenset()
    addresses: Mapping[PodRef | NodeRef, tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )


NO_FACTS = Facts()


def judge(state: State, probe: Probe, facts: Facts = NO_FACTS) -> Judgement:
    """Rule on the probe by the policies alone: closed ports and missing names are allowed."""
    return predict(state, probe, facts).judgement


def predict(state: State, probe: Probe, facts: Facts = NO_FACTS) -> Prediction:
    """Say which words the probe may give: policy, then names, endpoints and closed ports."""
    return _Attempt(_with_dns(state), probe, facts).predict()


def explain(state: State, probe: Probe, facts: Facts = NO_FACTS) -> str:
    """Tell the verdict path for people, with the policies that nearly decided otherwise."""
    prediction = predict(state, probe, facts)
    judgement = prediction.judgement
    words = " or ".join(str(word) for word in Verdict if word in prediction.words)
    lines = [f"{probe}  {words or judgement.ruling.value}"]
    if judgement.undefined:
        lines.append(f"  undefined: {judgement.undefined}")
    lines += [f"  {line}" for line in judgement.reasons]
    lines += [f"  {line}" for line in near_misses(state, probe)]
    return "\n".join(lines)


def near_misses(state: State, probe: Probe) -> tuple[str, ...]:
    """Name the policies that nearly decided otherwise, one a line."""
    return tuple(f"near miss: {line}" for line in _near_misses(_with_dns(state), probe))


# ------------------------------------------------------------------ the implied objects

DNS_NAMESPACE = "kube-system"
DNS_LABELS = Labels({"k8s-app": "kube-dns"})
_NO_NODE = 0


def _with_dns(state: State) -> State:
    """Add what every cluster has: ``kube-system`` with its DNS pods, somewhere."""
    if state.namespace(DNS_NAMESPACE) is not None:
        return state
    ports = (ContainerPort(53, Protocol.UDP, "dns"), ContainerPort(53, Protocol.TCP, "dns-tcp"))
    pod = Pod(DNS_NAMESPACE, "kube-dns", DNS_LABELS, ports, node=_NO_NODE)
    forwards = tuple(ServicePort(port.number, port.number, port.protocol) for port in ports)
    return replace(
        state,
        namespaces=(*state.namespaces, Namespace(DNS_NAMESPACE)),
        pods=(*state.pods, pod),
        services=(*state.services, Service(DNS_NAMESPACE, "kube-dns", DNS_LABELS, forwards)),
    )


# ------------------------------------------------------------------ three values

_Tri = bool | None
"""True, False, or None for what the API does not say (Kleene's logic)."""


def _all(values: Iterable[_Tri]) -> _Tri:
    seen = set(values)
    return False if False in seen else None if None in seen else True


def _any(values: Iterable[_Tri]) -> _Tri:
    seen = set(values)
    return True if True in seen else None if None in seen else False


def _both(first: Judgement, second: Judgement) -> Judgement:
    """Both ends must allow a connection, and one denial decides (R61)."""
    rulings = (first.ruling, second.ruling)
    reasons = first.reasons + second.reasons
    if Ruling.DENIED in rulings:
        return Judgement(Ruling.DENIED, reasons)
    if Ruling.UNDEFINED in rulings:
        return Judgement(Ruling.UNDEFINED, reasons, first.undefined or second.undefined)
    return Judgement(Ruling.ALLOWED, reasons)


def _agree(readings: Sequence[tuple[str, Judgement]], undefined: str) -> Judgement:
    """The ruling on which all permitted readings agree, else undefined for that cause."""
    first = readings[0][1]
    if all(judgement.ruling is first.ruling for _, judgement in readings):
        return first
    lines = []
    for words, judgement in readings:
        lines += [f"{words}: {judgement.ruling.value}", *_indented(judgement.reasons)]
    own = [j.undefined for _, j in readings if j.undefined is not None]
    return Judgement(Ruling.UNDEFINED, tuple(lines), own[0] if own else undefined)


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


# ------------------------------------------------------------------ selectors


def _selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    return all(_holds(term, labels) for term in selector.requirements)


def _holds(term: Requirement, labels: Mapping[str, str]) -> bool:
    match term.operator:
        case Operator.IN:
            return labels.get(term.key) in term.values
        case Operator.NOT_IN:
            return labels.get(term.key) not in term.values
        case Operator.EXISTS:
            return term.key in labels
        case Operator.DOES_NOT_EXIST:
            return term.key not in labels


def _unlike(selector: LabelSelector, labels: Mapping[str, str]) -> str:
    """Say what the labels have instead of what the selector asks."""
    missed = [term for term in selector.requirements if not _holds(term, labels)]
    has = [
        f"{term.key}={labels[term.key]}" if term.key in labels else f"no label {term.key}"
        for term in missed
    ]
    return ", ".join(dict.fromkeys(has))


# ------------------------------------------------------------------ ends


@dataclass(frozen=True, slots=True)
class _Party:
    """One end as policy sees it.

    Without ``pod`` no selector matches it and no policy isolates it. ``node`` is the node
    whose own address it has, if any. ``addresses`` is None where nobody knows them;
    ``feature`` is what a cluster needs for ipBlock to say anything about them.
    """

    name: str
    pod: Pod | None = None
    node: int | None = None
    addresses: tuple[str, ...] | None = None
    feature: str | None = None


@dataclass(frozen=True, slots=True)
class _Wire:
    """What a connection is made of; ``port`` is None where the cluster allocates it."""

    port: int | None
    protocol: Protocol
    family: Family

    def __str__(self) -> str:
        return f"{self.protocol} {'(a node port)' if self.port is None else self.port}"


@dataclass(frozen=True, slots=True)
class _Flow:
    """A connection as policy sees it."""

    source: _Party
    destination: _Party
    wire: _Wire

    def __str__(self) -> str:
        return f"{self.source.name} -> {self.destination.name} on {self.wire}"


class _HostPods(enum.Enum):
    """The two ways in which R83 lets a cluster treat hostNetwork pods."""

    LIKE_PODS = "if hostNetwork pods are told apart and treated like pods"
    LIKE_NODES = "if hostNetwork pods count as their node"


NODE_PORTS = range(30000, 32768)
"""Where a cluster takes node ports from, unless it was told otherwise."""

_Host = Pod | NodeRef | External | Address


# ------------------------------------------------------------------ ipBlock

_DOCUMENTATION = tuple(
    ipaddress.ip_network(cidr)
    for cidr in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
_OUTSIDE_PREFIX = {4: 16, 6: 48}
"""A block this narrow that holds an outside host of the scenario holds no pod and no node."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _within(network: _Network, addresses: Iterable[str]) -> bool:
    return any(ipaddress.ip_address(address) in network for address in addresses)


def _outside(network: _Network, state: State) -> bool:
    """Whether the block holds outside hosts only, as the API advises (R65)."""
    for known in _DOCUMENTATION:
        if network.version == known.version and network.subnet_of(known):  # type: ignore[arg-type]
            return True
    hosts = [address for external in state.externals for address in external.addresses]
    return network.prefixlen >= _OUTSIDE_PREFIX[network.version] and _within(network, hosts)


# ------------------------------------------------------------------ policy


@dataclass(frozen=True, slots=True)
class _Match:
    """Whether something matches a flow, and why."""

    value: _Tri
    why: str


class _Policies:
    """The policies of a State, and what they say of a flow."""

    def __init__(self, state: State, facts: Facts) -> None:
        self.state = state
        self.facts = facts
        self.known = parsed(state.policies)
        self.foreign = [m for m in state.policies if _is_foreign(m)]

    def between(self, flow: _Flow) -> Judgement:
        """Rule on a connection, both ends."""
        source, destination = flow.source, flow.destination
        if source.pod is not None and source.pod == destination.pod:
            return Judgement(Ruling.ALLOWED, (f"{source.name} to itself is never denied (R46)",))
        if source.pod is None and destination.pod is None:
            line = f"no policy acts between {source.name} and {destination.name}: no pods (R45)"
            return Judgement(Ruling.ALLOWED, (line,))
        return _both(self.side(Direction.EGRESS, flow), self.side(Direction.INGRESS, flow))

    def side(self, direction: Direction, flow: _Flow) -> Judgement:
        """Rule on one end: egress of the source or ingress of the destination."""
        subject, peer = _ends(direction, flow)
        if subject.pod is None:
            return Judgement(Ruling.ALLOWED)
        head = f"{direction.lower()} of {subject.name}:"
        foreign = [m for m in self.foreign if m.namespace in {"", subject.pod.namespace}]
        if foreign:
            cause = f"{foreign[0]} may act on {subject.name}, and only NetworkPolicy is judged"
            return Judgement(Ruling.UNDEFINED, (f"{head} {cause}",), cause)
        isolating = self.isolating(direction, subject.pod)
        if not isolating:
            line = f"{head} not isolated (no policy selects it for {direction})"
            return Judgement(Ruling.ALLOWED, (line,))
        head += f" isolated by {', '.join(str(policy) for policy in isolating)};"
        if peer.node is not None and peer.node == subject.pod.node:
            line = f"{head} {peer.name} is on its own node, always admitted (R06, R47)"
            return Judgement(Ruling.ALLOWED, (line,))
        return self.admission(direction, flow, isolating, head)

    def isolating(self, direction: Direction, pod: Pod) -> list[NetworkPolicy]:
        """The policies that isolate a pod in a direction (R51, R56)."""
        return [
            policy
            for policy in self.known
            if policy.namespace == pod.namespace
            and direction in policy.policy_types
            and _selects(policy.pod_selector, pod.labels)
        ]

    def admission(
        self, direction: Direction, flow: _Flow, policies: Sequence[NetworkPolicy], head: str
    ) -> Judgement:
        """Whether any rule of any policy admits the flow (R03, R60)."""
        unsure: list[str] = []
        misses: list[str] = []
        for policy in policies:
            rules = policy.rules(direction)
            if not rules:
                misses.append(f"{policy} has no {direction.lower()} rule")
            for number, rule in enumerate(rules, 1):
                found = self.rule(direction, policy, rule, flow)
                line = f"{policy}, {direction.lower()} rule {number}: {found.why}"
                if found.value:
                    return Judgement(Ruling.ALLOWED, (f"{head} admitted by {line}",))
                (misses if found.value is False else unsure).append(line)
        if unsure:
            reasons = (f"{head} whether a rule admits {flow} is open", *_indented(unsure))
            return Judgement(Ruling.UNDEFINED, reasons, unsure[0])
        reasons = (f"{head} no rule admits {flow}", *_indented(misses))
        return Judgement(Ruling.DENIED, reasons)

    def rule(self, direction: Direction, policy: NetworkPolicy, rule: Rule, flow: _Flow) -> _Match:
        """A rule matches if one of its peers and one of its ports do (R15, R20)."""
        peer = _ends(direction, flow)[1]
        peers = [self.peer(policy, item, peer, flow.wire.family) for item in rule.peers]
        ports = [_port(item, flow) for item in rule.ports]
        by_peer = _one_of(peers, "every peer")
        by_port = _one_of(ports, "every port")
        value = _all((by_peer.value, by_port.value))
        sides = [side for side in (by_peer, by_port) if side.value is value]
        return _Match(value, "; ".join(side.why for side in sides))

    def peer(self, policy: NetworkPolicy, peer: Peer, party: _Party, family: Family) -> _Match:
        """Whether one entry of ``from`` or ``to`` is the other end (R34-R39)."""
        if peer.ip_block is not None:
            return self.block(peer.ip_block, party, family)
        pod = party.pod
        if pod is None:
            return _Match(False, f"{peer}, but {party.name} is no pod and selectors match pods")
        namespace = self.state.namespace(pod.namespace) or Namespace(pod.namespace)
        selector = peer.namespace_selector
        if selector is None and pod.namespace != policy.namespace:
            why = f"{peer} ({policy.namespace}), but {party.name} is in {pod.namespace}"
            return _Match(False, why)
        if selector is not None and not _selects(selector, namespace.all_labels):
            has = _unlike(selector, namespace.all_labels)
            return _Match(False, f"{peer}, but namespace {namespace.name} has {has}")
        if peer.pod_selector is not None and not _selects(peer.pod_selector, pod.labels):
            return _Match(False, f"{peer}, but {party.name} has {_unlike_pod(peer, pod)}")
        return _Match(True, str(peer))

    def block(self, block: IPBlock, party: _Party, family: Family) -> _Match:
        """Whether an ipBlock holds the other end's address (R31, R65)."""
        inside = self.holds(block.cidr, party, family)
        excepted = _any(self.holds(cidr, party, family) for cidr in block.excepts)
        value = _all((inside, None if excepted is None else not excepted))
        if value is False:
            shown = ", ".join(party.addresses or ()) or f"IPv{family.value}"
            fact = "is excepted" if excepted and inside is not False else "is not in it"
            return _Match(False, f"ipBlock {block}, but {party.name} ({shown}) {fact}")
        if party.feature is not None and party.feature not in self.facts.features:
            ids = "R65, R84" if party.node is not None else "R65"
            return _Match(
                None, f"whether ipBlock {block} applies to {party.name} is not defined ({ids})"
            )
        if value is None:
            why = f"whether ipBlock {block} holds {party.name} depends on its address (R65)"
            return _Match(None, why)
        return _Match(True, f"ipBlock {block}")

    def holds(self, cidr: str, party: _Party, family: Family) -> _Tri:
        """Whether a CIDR holds the address that the party has in that family."""
        network = ipaddress.ip_network(cidr, strict=False)
        if network.version != family:
            return False
        if party.addresses is not None:
            return _within(network, party.addresses)
        if network.prefixlen == 0:
            return True
        return False if _outside(network, self.state) else None


def _is_foreign(manifest: Manifest) -> bool:
    return manifest.kind.endswith("Policy") and kind_of(manifest) is None


def _ends(direction: Direction, flow: _Flow) -> tuple[_Party, _Party]:
    """The end that policy isolates, and the other one."""
    if direction is Direction.EGRESS:
        return flow.source, flow.destination
    return flow.destination, flow.source


def _one_of(matches: Sequence[_Match], unrestricted: str) -> _Match:
    """A list matches if one entry does, or if it is empty (R16-R19)."""
    if not matches:
        return _Match(True, unrestricted)
    value = _any(match.value for match in matches)
    return _Match(value, "; ".join(match.why for match in matches if match.value is value))


def _unlike_pod(peer: Peer, pod: Pod) -> str:
    return _unlike(peer.pod_selector or LabelSelector(), pod.labels)


def _port(port: PolicyPort, flow: _Flow) -> _Match:
    """Whether one entry of ``ports`` is the flow's (R25-R28); names are the destination's."""
    wire = flow.wire
    hit = _Match(True, f"port {port}")
    miss = _Match(False, f"port {port}, but the connection is to {wire}")
    if port.protocol is not wire.protocol:
        return miss
    if port.port is None:
        return hit
    if isinstance(port.port, str):
        return _named_port(port, flow)
    last = port.port if port.end_port is None else port.end_port
    if wire.port is None:
        if last < NODE_PORTS.start or port.port >= NODE_PORTS.stop:
            return miss
        return _Match(None, f"port {port}, and the node port is the cluster's choice (R66)")
    return hit if port.port <= wire.port <= last else miss


def _named_port(port: PolicyPort, flow: _Flow) -> _Match:
    pod = flow.destination.pod
    numbers = [
        item.number
        for item in (pod.ports if pod else ())
        if item.name == port.port and item.protocol is port.protocol
    ]
    meant = ", ".join(map(str, numbers)) or "nothing"
    why = f"port {port}, which is {meant} on {flow.destination.name}"
    if flow.wire.port in numbers:
        return _Match(True, why)
    return _Match(False, f"{why}, but the connection is to {flow.wire}")


# ------------------------------------------------------------------ one probe


def _open(undefined: str) -> Prediction:
    return Prediction(frozenset(), Judgement(Ruling.UNDEFINED, (), undefined))


def _nobody(words: Iterable[Verdict], reason: str) -> Prediction:
    """No policy denies, and still nothing can connect."""
    return Prediction(frozenset(words), Judgement(Ruling.ALLOWED, (reason,)))


class _Attempt:
    """One probe on its way: names, Services and node ports, then policy, then the listener."""

    def __init__(self, state: State, probe: Probe, facts: Facts) -> None:
        self.state = state
        self.probe = probe
        self.facts = facts
        self.policies = _Policies(state, facts)
        self.port = probe.destination.port
        self.protocol = probe.destination.protocol

    # -- destinations

    def predict(self) -> Prediction:
        source = self.source()
        if isinstance(source, str):
            return _open(source)
        host = self.probe.destination.host
        match host:
            case PodRef() | NodeRef() | ExternalRef():
                return self.to_end(source, host)
            case Address(ip):
                return self.to_address(source, ip)
            case ServiceRef(namespace, name):
                return self.to_cluster_ip(source, namespace, name)
            case ServiceName(namespace, name):
                return self.to_service_name(source, namespace, name)
            case AbsoluteName(name):
                return self.to_absolute_name(source, name)
            case NodePortRef():
                return self.to_node_port(source, host)

    def source(self) -> _Host | str:
        """The probing end, or why there is none."""
        end = self.end(self.probe.source)
        if isinstance(end, External) and not self.addresses_of(end):
            return f"{self.probe.source} has no IPv{self.probe.family.value} address"
        return end

    def end(self, ref: PodRef | NodeRef | ExternalRef) -> _Host | str:
        """What an end is, or why it is nothing."""
        match ref:
            case PodRef():
                return self.state.pod(ref) or f"there is no pod {ref}"
            case NodeRef():
                return ref
            case ExternalRef(name):
                return self.state.external(name) or f"there is no outside host {name}"

    def to_end(self, source: _Host, ref: PodRef | NodeRef | ExternalRef) -> Prediction:
        host = self.end(ref)
        if isinstance(host, str):
            return _open(host)
        if isinstance(host, External) and not self.addresses_of(host):
            return _open(f"{ref} has no IPv{self.probe.family.value} address")
        return self.arrive(source, host, self.port)

    def to_address(self, source: _Host, ip: str) -> Prediction:
        address = ipaddress.ip_address(ip)
        if address.version != self.probe.family:
            return _open(f"{ip} is not an IPv{self.probe.family.value} address")
        for external in self.state.externals:
            if address in map(ipaddress.ip_address, external.addresses):
                return self.arrive(source, external, self.port)
        for ref, addresses in self.facts.addresses.items():
            if address in map(ipaddress.ip_address, addresses):
                return self.to_end(source, ref)
        judgement = self.rule(source, Address(ip), self.wire(self.port))
        reason = f"nobody of this scenario has the address {ip}"
        judgement = replace(judgement, reasons=(*judgement.reasons, reason))
        return Prediction(frozenset({Verdict.TIMEOUT, Verdict.OTHER}), judgement)

    def to_cluster_ip(self, source: _Host, namespace: str, name: str) -> Prediction:
        service = self.state.service(namespace, name)
        if service is None:
            return _open(f"there is no Service {namespace}/{name}")
        if service.type is ServiceType.HEADLESS:
            return _open(f"Service {namespace}/{name} is headless: it has no ClusterIP")
        if isinstance(source, External):
            return _open("a ClusterIP means nothing outside the cluster")
        targets = self.targets(service)
        if not targets:
            return self.no_endpoint(service)
        return self.merged(
            [(pod, self.through_service(source, pod, port)) for pod, port in targets]
        )

    def to_service_name(self, source: _Host, namespace: str, name: str) -> Prediction:
        lookup = self.lookup(source)
        if not isinstance(lookup, Judgement):
            return lookup
        service = self.state.service(namespace, name)
        if service is None:
            return _nobody({Verdict.DNS}, f"the name {name}.{namespace} does not exist")
        if service.type is not ServiceType.HEADLESS:
            return self.named(lookup, self.to_cluster_ip(source, namespace, name))
        pods = self.state.endpoints(service)
        if not pods:
            reason = f"the headless Service {namespace}/{name} has no pods, its name no address"
            return _nobody({Verdict.DNS}, reason)
        found = [(pod, self.arrive(source, pod, self.port)) for pod in pods]
        return self.named(lookup, self.merged(found))

    def to_absolute_name(self, source: _Host, name: str) -> Prediction:
        labels = name.removesuffix(".").split(".")
        if labels[2:] == ["svc", "cluster", "local"]:
            return self.to_service_name(source, labels[1], labels[0])
        lookup = self.lookup(source)
        if not isinstance(lookup, Judgement):
            return lookup
        for external in self.state.externals:
            if name.removesuffix(".") in external.dns_names:
                return self.named(lookup, self.to_end(source, ExternalRef(external.name)))
        return _nobody({Verdict.DNS}, f"the name {name} does not exist")

    def to_node_port(self, source: _Host, ref: NodePortRef) -> Prediction:
        service = self.state.service(ref.namespace, ref.name)
        if service is None or service.type is not ServiceType.NODE_PORT:
            return _open(f"there is no NodePort Service {ref.namespace}/{ref.name}")
        targets = self.targets(service)
        local = service.external_traffic_policy is ExternalTrafficPolicy.LOCAL
        if local and isinstance(source, External):
            targets = [(pod, port) for pod, port in targets if pod.node == ref.node]
            if not targets:
                reason = (
                    f"externalTrafficPolicy Local, and node {ref.node} runs no endpoint of "
                    f"Service {ref.namespace}/{ref.name}: nobody answers there"
                )
                return _nobody({Verdict.TIMEOUT}, reason)
            return self.merged([(pod, self.arrive(source, pod, port)) for pod, port in targets])
        if not targets:
            return self.no_endpoint(service)
        if local and not any(pod.node == ref.node for pod, _ in targets):
            return _open(
                f"externalTrafficPolicy Local on node {ref.node}, which runs no endpoint, "
                "differs for sources inside the cluster"
            )
        return self.merged(
            [(pod, self.through_node(source, NodeRef(ref.node), pod, p)) for pod, p in targets]
        )

    # -- names

    def lookup(self, source: _Host) -> Judgement | Prediction:
        """The judgement that lets the source ask the cluster's DNS, or how the probe ends."""
        if not isinstance(source, Pod):
            return _open(f"{self.probe.source} does not ask the cluster's DNS")
        servers = [
            pod
            for pod in self.state.pods
            if pod.namespace == DNS_NAMESPACE and DNS_LABELS.items() <= pod.labels.items()
        ]
        # A pod may ask over IPv4 for an IPv6 address.
        found = [
            (
                f"asking {pod.ref} over IPv{family}",
                self.rule(source, pod, _Wire(53, Protocol.UDP, family)),
            )
            for pod in servers
            for family in sorted({Family.V4, self.probe.family})
        ]
        judgement = _agree(found, "over which family and which pod DNS is asked")
        head = f"asking DNS for {self.probe.destination.host}: {judgement.ruling.value}"
        judgement = replace(judgement, reasons=(head, *_indented(judgement.reasons)))
        match judgement.ruling:
            case Ruling.ALLOWED:
                return judgement
            case Ruling.DENIED:
                return Prediction(frozenset({Verdict.DNS}), judgement)
            case Ruling.UNDEFINED:
                return Prediction(frozenset(), judgement)

    def named(self, lookup: Judgement, prediction: Prediction) -> Prediction:
        """Put the lookup's reasons before those of the connection."""
        judgement = prediction.judgement
        reasons = (*lookup.reasons[:1], *judgement.reasons)
        return replace(prediction, judgement=replace(judgement, reasons=reasons))

    # -- Services

    def targets(self, service: Service) -> list[tuple[Pod, int]]:
        """The endpoints of the probed port, each with the port behind it."""
        targets = []
        for forward in service.ports:
            if (forward.number, forward.protocol) != (self.port, self.protocol):
                continue
            for pod in self.state.endpoints(service):
                number = _target_port(forward, pod)
                if number is not None:
                    targets.append((pod, number))
        return targets

    def no_endpoint(self, service: Service) -> Prediction:
        words = {Verdict.REFUSED, Verdict.TIMEOUT, Verdict.OTHER}
        where = f"Service {service.namespace}/{service.name}"
        reason = f"{where} has no endpoint for {self.protocol} {self.port}"
        return _nobody(words, reason)

    def through_service(self, source: _Host, pod: Pod, port: int) -> Prediction:
        """After the Service's address became the endpoint's: policy sees the pod (R66)."""
        if source != pod:
            return self.arrive(source, pod, port)
        flow = self.flow(self.party(pod), self.party(pod), port)
        policed = _both(
            self.policies.side(Direction.EGRESS, flow), self.policies.side(Direction.INGRESS, flow)
        )
        itself = self.policies.between(flow)
        readings = [
            ("if it counts as the pod to itself", itself),
            ("if it is judged like any connection", policed),
        ]
        cause = f"{pod.ref} to itself through its own Service is not defined (R46, R66)"
        return self.heard(_agree(readings, cause), pod, port)

    def through_node(self, source: _Host, node: NodeRef, pod: Pod, port: int) -> Prediction:
        """Through a node port, where either address may be rewritten before policy (R66)."""
        readings = []
        via = self.party(node)
        if source == pod:
            line = f"{pod.ref} to itself is never denied (R46)"
            itself = Judgement(Ruling.ALLOWED, (line,))
            readings.append(("if it counts as the pod to itself", itself))
        for host_pods in _HostPods:
            origin, target = self.party(source, host_pods), self.party(pod, host_pods)
            for seen_by_source, name_out in ((target, "the pod"), (via, "the node")):
                port_out = port if seen_by_source is target else None
                leave = self.policies.side(
                    Direction.EGRESS, self.flow(origin, seen_by_source, port_out)
                )
                for seen_by_pod in (origin, via):
                    enter = self.policies.side(
                        Direction.INGRESS, self.flow(seen_by_pod, target, port)
                    )
                    words = f"if the source sees {name_out} and the pod {seen_by_pod.name}"
                    readings.append((words, _both(leave, enter)))
        cause = "whose addresses policy sees behind a node port is not defined (R66)"
        return self.heard(_agree(readings, cause), pod, port)

    def merged(self, found: Sequence[tuple[Pod, Prediction]]) -> Prediction:
        """One prediction for endpoints of which any may answer."""
        first = found[0][1]
        if all(prediction.words == first.words for _, prediction in found):
            return first
        readings = [(f"endpoint {pod.ref}", prediction.judgement) for pod, prediction in found]
        judgement = _agree(readings, "the Service's endpoints differ, and any may answer")
        if judgement.ruling is Ruling.ALLOWED:
            words = frozenset[Verdict]().union(*(prediction.words for _, prediction in found))
            return Prediction(words, judgement)
        return Prediction(frozenset(), judgement)

    # -- policy and listeners

    def arrive(self, source: _Host, target: _Host, port: int) -> Prediction:
        """A connection that reaches its target without another address on the way."""
        return self.heard(self.rule(source, target, self.wire(port)), target, port)

    def rule(self, source: _Host, target: _Host, wire: _Wire) -> Judgement:
        """Rule on a connection under both readings of hostNetwork pods (R83)."""
        readings = []
        for host_pods in _HostPods:
            ends = self.party(source, host_pods), self.party(target, host_pods)
            judgement = self.policies.between(_Flow(*ends, wire))
            readings.append((host_pods.value, judgement))
            if not any(isinstance(end, Pod) and end.host_network for end in (source, target)):
                break
        cause = "whether a hostNetwork pod is a pod or its node to policy is not defined (R83)"
        return _agree(readings, cause)

    def heard(self, judgement: Judgement, target: _Host, port: int) -> Prediction:
        """The words of a connection that policy ruled on so."""
        match judgement.ruling:
            case Ruling.UNDEFINED:
                return Prediction(frozenset(), judgement)
            case Ruling.DENIED:
                return Prediction(frozenset({Verdict.TIMEOUT}), judgement)
            case Ruling.ALLOWED if self.listens(target, port):
                return Prediction(frozenset({Verdict.ALLOWED}), judgement)
            case Ruling.ALLOWED:
                word = Verdict.OTHER if self.protocol is Protocol.SCTP else Verdict.REFUSED
                reason = f"nobody listens on {self.protocol} {port} of {self.party(target).name}"
                reasons = (*judgement.reasons, reason)
                return Prediction(frozenset({word}), replace(judgement, reasons=reasons))

    def listens(self, target: _Host, port: int) -> bool:
        """Whether anybody serves that port; the pods of a node's network share its ports."""
        served = self.served(target)
        return any((p.number, p.protocol) == (port, self.protocol) for p in served)

    def served(self, target: _Host) -> tuple[ContainerPort, ...]:
        match target:
            case NodeRef(index) | Pod(host_network=True, node=index):
                return self.ports_of_node(index)
            case Pod() | External():
                return target.ports
            case Address():
                return ()

    def ports_of_node(self, index: int) -> tuple[ContainerPort, ...]:
        pods = (pod for pod in self.state.pods if pod.host_network and pod.node == index)
        return tuple(port for pod in pods for port in pod.ports)

    def flow(self, source: _Party, destination: _Party, port: int | None) -> _Flow:
        return _Flow(source, destination, self.wire(port))

    def wire(self, port: int | None) -> _Wire:
        return _Wire(port, self.protocol, self.probe.family)

    def party(self, host: _Host, host_pods: _HostPods = _HostPods.LIKE_PODS) -> _Party:
        """How policy sees an end."""
        match host:
            case External():
                return _Party(f"external/{host.name}", addresses=host.addresses)
            case Address(ip):
                return _Party(str(host), addresses=(ip,))
            case NodeRef(index):
                known = self.facts.addresses.get(host)
                return _Party(str(host), None, index, known, "ipblock-node-ip")
            case Pod(host_network=True):
                node = self.party(NodeRef(host.node))
                shown = None if host_pods is _HostPods.LIKE_NODES else host
                known = self.facts.addresses.get(host.ref, node.addresses)
                return replace(node, name=str(host.ref), pod=shown, addresses=known)
            case Pod():
                known = self.facts.addresses.get(host.ref)
                return _Party(str(host.ref), host, None, known, "ipblock-pod-ip")

    def addresses_of(self, external: External) -> list[str]:
        """The outside host's addresses of the probed family."""
        family = self.probe.family
        return [a for a in external.addresses if ipaddress.ip_address(a).version == family]


def _target_port(forward: ServicePort, pod: Pod) -> int | None:
    """The number behind a Service's port on one endpoint; a name may mean none there."""
    if isinstance(forward.target, int):
        return forward.target
    for port in pod.ports:
        if port.name == forward.target and port.protocol is forward.protocol:
            return port.number
    return None


# ------------------------------------------------------------------ near misses


def _near_misses(state: State, probe: Probe) -> Iterator[str]:
    """Policies that an author may think of, and that do not isolate an end of the probe."""
    policies = _Policies(state, NO_FACTS)
    source = state.pod(probe.source) if isinstance(probe.source, PodRef) else None
    targets = _probed_pods(state, probe)
    isolated = {policy for pod in targets for policy in policies.isolating(Direction.INGRESS, pod)}
    ends = [(Direction.EGRESS, source)] if source else []
    ends += [(Direction.INGRESS, pod) for pod in targets]
    lines: list[str] = []
    for direction, pod in ends:
        if not policies.isolating(direction, pod):
            for policy in policies.known:
                lines += _missed(state, policy, direction, pod)
    if source and not policies.isolating(Direction.EGRESS, source):
        for policy in policies.known:
            if policy not in isolated and _names(policies, policy, source):
                whom = _chosen(state, policy)
                lines.append(f"{policy} admits {source.ref}, which restricts {whom} alone")
    return iter(dict.fromkeys(lines))


def _probed_pods(state: State, probe: Probe) -> list[Pod]:
    host = probe.destination.host
    match host:
        case PodRef():
            pod = state.pod(host)
            return [pod] if pod else []
        case ServiceRef() | ServiceName() | NodePortRef():
            service = state.service(host.namespace, host.name)
            return list(state.endpoints(service)) if service else []
        case _:
            return []


def _missed(state: State, policy: NetworkPolicy, direction: Direction, pod: Pod) -> Iterator[str]:
    """Why a policy does not isolate a pod in that direction, if one might think so."""
    selects = _selects(policy.pod_selector, pod.labels)
    here = policy.namespace == pod.namespace
    if selects and here:
        types = ", ".join(sorted(policy.policy_types))
        yield f"{policy} selects {pod.ref}, but its policyTypes are [{types}]"
    elif selects and direction in policy.policy_types and policy.pod_selector.requirements:
        yield f"{policy} would select {pod.ref}, but acts in namespace {policy.namespace} alone"
    elif here and direction in policy.policy_types:
        whom = _chosen(state, policy)
        yield f"{policy} selects {policy.pod_selector}: {whom}, not {pod.ref}"


def _names(policies: _Policies, policy: NetworkPolicy, source: Pod) -> bool:
    """Whether an ingress rule names the source by a selector."""
    party = _Party(str(source.ref), source)
    return Direction.INGRESS in policy.policy_types and any(
        peer.ip_block is None and policies.peer(policy, peer, party, Family.V4).value
        for rule in policy.ingress
        for peer in rule.peers
    )


def _chosen(state: State, policy: NetworkPolicy) -> str:
    chosen = [
        str(pod.ref)
        for pod in state.pods
        if pod.namespace == policy.namespace and _selects(policy.pod_selector, pod.labels)
    ]
    return ", ".join(chosen) or "no pod"
