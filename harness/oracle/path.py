"""The path of one probe: names, Services and node ports, then policies, then the listener."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.model import (
    AbsoluteName,
    Address,
    External,
    ExternalRef,
    ExternalTrafficPolicy,
    Family,
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
    Verdict,
)
from harness.oracle.layers import Policies
from harness.oracle.rulings import (
    Judgement,
    Prediction,
    Ruling,
    agree,
    both,
    indented,
    listed,
    undefined,
    without_policy,
)
from harness.oracle.topology import AskedPort, Flow, Host, HostPods, Party, Topology
from harness.policy import Direction


class Path:
    """The path of one probe through a State."""

    def __init__(
        self, topology: Topology, policies: Policies, to_itself: Policies, probe: Probe
    ) -> None:
        """``to_itself`` judges a pod to itself through a Service if NetworkPolicies exempt it."""
        self.topology = topology
        self.policies = policies
        self.to_itself = to_itself
        self.probe = probe
        self.port = probe.destination.port
        self.protocol = probe.destination.protocol

    # -- destinations

    def predict(self) -> Prediction:
        """Return the verdicts that the probe may give."""
        source = self.source()
        if isinstance(source, str):
            return undefined(source)
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

    def source(self) -> Host | str:
        """Return the source, or why there is none."""
        end = self.end(self.probe.source)
        if isinstance(end, External) and not self.addresses_of(end):
            return f"{self.probe.source} has no IPv{self.probe.family.value} address"
        return end

    def end(self, ref: PodRef | NodeRef | ExternalRef) -> Host | str:
        """Return the host of an end, or why there is none."""
        match ref:
            case PodRef():
                return self.topology.pod(ref) or f"there is no pod {ref}"
            case NodeRef():
                return ref
            case ExternalRef(name):
                return self.topology.external(name) or f"there is no outside host {name}"

    def to_end(
        self, source: Host, ref: PodRef | NodeRef | ExternalRef, name: str | None = None
    ) -> Prediction:
        """Predict a probe to an end by its address, which a lookup of ``name`` gave, if any."""
        host = self.end(ref)
        if isinstance(host, str):
            return undefined(host)
        if isinstance(host, External) and not self.addresses_of(host):
            return undefined(f"{ref} has no IPv{self.probe.family.value} address")
        return self.directly(source, host, self.port, name)

    def to_address(self, source: Host, ip: str) -> Prediction:
        """Predict a probe to a literal address."""
        if ipaddress.ip_address(ip).version != self.probe.family:
            return undefined(f"{ip} is not an IPv{self.probe.family.value} address")
        match self.topology.at(ip):
            case External() as external:
                return self.directly(source, external, self.port)
            case (PodRef() | NodeRef()) as ref:
                return self.to_end(source, ref)
            case None:
                judgement = self.rule(source, Address(ip), self.asked(self.port))
                reason = f"no host of this scenario has the address {ip}"
                judgement = replace(judgement, reasons=(*judgement.reasons, reason))
                return Prediction(frozenset({Verdict.TIMEOUT, Verdict.OTHER}), judgement)

    def to_cluster_ip(self, source: Host, namespace: str, name: str) -> Prediction:
        """Predict a probe to the ClusterIP of a Service."""
        service = self.topology.service(namespace, name)
        if service is None:
            return undefined(f"there is no Service {namespace}/{name}")
        if service.type is ServiceType.HEADLESS:
            return undefined(f"Service {namespace}/{name} is headless: it has no ClusterIP")
        if isinstance(source, External):
            return undefined("a ClusterIP is defined only inside the cluster")
        targets = self.targets(service)
        if not targets:
            return self.no_endpoint(service)
        return self.merged(
            [(pod, self.through_service(source, pod, port)) for pod, port in targets]
        )

    def to_service_name(self, source: Host, namespace: str, name: str) -> Prediction:
        """Predict a probe to the DNS name of a Service."""
        lookup = self.lookup(source)
        if not isinstance(lookup, Judgement):
            return lookup
        service = self.topology.service(namespace, name)
        if service is None:
            reason = f"the name {name}.{namespace} does not exist"
            return without_policy({Verdict.DNS}, reason)
        if service.type is not ServiceType.HEADLESS:
            return self.named(lookup, self.to_cluster_ip(source, namespace, name))
        pods = self.topology.endpoints(service)
        if not pods:
            reason = (
                f"the headless Service {namespace}/{name} has no pods, so its name has no address"
            )
            return without_policy({Verdict.DNS}, reason)
        full = f"{name}.{namespace}.svc.cluster.local"
        found = [(pod, self.directly(source, pod, self.port, full)) for pod in pods]
        return self.named(lookup, self.merged(found))

    def to_absolute_name(self, source: Host, name: str) -> Prediction:
        """Predict a probe to the DNS name of a Service or of an outside host."""
        labels = name.removesuffix(".").split(".")
        if labels[2:] == ["svc", "cluster", "local"]:
            return self.to_service_name(source, labels[1], labels[0])
        lookup = self.lookup(source)
        if not isinstance(lookup, Judgement):
            return lookup
        for external in self.topology.state.externals:
            if name.removesuffix(".") in external.dns_names:
                return self.named(lookup, self.to_end(source, ExternalRef(external.name), name))
        return without_policy({Verdict.DNS}, f"the name {name} does not exist")

    def to_node_port(self, source: Host, ref: NodePortRef) -> Prediction:
        """Predict a probe to a Service through the port of a node."""
        service = self.topology.service(ref.namespace, ref.name)
        if service is None or service.type is not ServiceType.NODE_PORT:
            return undefined(f"there is no NodePort Service {ref.namespace}/{ref.name}")
        targets = self.targets(service)
        local = service.external_traffic_policy is ExternalTrafficPolicy.LOCAL
        if local and isinstance(source, External):
            targets = [(pod, port) for pod, port in targets if pod.node == ref.node]
            if not targets:
                reason = (
                    f"externalTrafficPolicy is Local, and node {ref.node} has no endpoint of "
                    f"Service {ref.namespace}/{ref.name}, so nobody answers"
                )
                return without_policy({Verdict.TIMEOUT}, reason)
            return self.merged([(pod, self.directly(source, pod, port)) for pod, port in targets])
        if not targets:
            return self.no_endpoint(service)
        if local and not any(pod.node == ref.node for pod, _ in targets):
            return undefined(
                f"externalTrafficPolicy is Local, and node {ref.node} has no endpoint: "
                "clusters differ for sources inside the cluster"
            )
        return self.merged(
            [(pod, self.through_node(source, NodeRef(ref.node), pod, p)) for pod, p in targets]
        )

    # -- names

    def lookup(self, source: Host) -> Judgement | Prediction:
        """Return the judgement that allows the DNS query, or the prediction if it fails."""
        if not isinstance(source, Pod):
            return undefined(f"{self.probe.source} does not use the cluster's DNS")
        # A pod may query an IPv6 address over IPv4.
        found = [
            (
                f"query to {pod.ref} over IPv{family}",
                self.rule(source, pod, AskedPort(53, Protocol.UDP, family)),
            )
            for pod in self.topology.dns_servers
            for family in sorted({Family.V4, self.probe.family})
        ]
        judgement = agree(found, "the IP family and the DNS pod of the query are not known")
        head = f"DNS query for {self.probe.destination.host}: {judgement.ruling.value}"
        judgement = replace(judgement, reasons=(head, *indented(judgement.reasons)))
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
        """Return the endpoints of the probed port, each with the port behind it."""
        targets = []
        for forward in service.ports:
            if (forward.number, forward.protocol) != (self.port, self.protocol):
                continue
            for pod in self.topology.endpoints(service):
                number = _target_port(forward, pod)
                if number is not None:
                    targets.append((pod, number))
        return targets

    def no_endpoint(self, service: Service) -> Prediction:
        """Return the prediction for a Service port without endpoints."""
        verdicts = {Verdict.REFUSED, Verdict.TIMEOUT, Verdict.OTHER}
        where = f"Service {service.namespace}/{service.name}"
        return without_policy(verdicts, f"{where} has no endpoint for {self.protocol} {self.port}")

    def through_service(self, source: Host, pod: Pod, port: int) -> Prediction:
        """Predict a probe to an endpoint of a Service; policies see the pod's address (R66)."""
        if source != pod:
            return self.directly(source, pod, port)
        party = self.topology.party(pod)
        flow = Flow(party, party, self.asked(port))
        seen_as_node = replace(flow, source=self.topology.party(NodeRef(pod.node)))
        itself = self.policies.judge_connection(flow)
        readings = [
            (
                "if it counts as a connection of the pod to itself",
                self.both_ends(self.to_itself, flow, flow, itself),
            ),
            (
                "if it counts as a connection of the pod to itself, and comes from its node",
                self.both_ends(self.to_itself, flow, seen_as_node, itself),
            ),
            (
                "if it counts as any other connection",
                self.both_ends(self.policies, flow, flow, itself),
            ),
        ]
        cause = (
            f"the API does not define {pod.ref} to itself through its own Service (R46, R66, T25)"
        )
        return self.answered(agree(readings, cause), pod, port)

    def both_ends(
        self, policies: Policies, leaving: Flow, entering: Flow, otherwise: Judgement
    ) -> Judgement:
        """Judge both ends as each sees the connection; ``otherwise`` if no policy applies."""
        ends = both(
            policies.judge_direction(Direction.EGRESS, leaving),
            policies.judge_direction(Direction.INGRESS, entering),
        )
        return ends if ends.reasons else otherwise

    def through_node(self, source: Host, node: NodeRef, pod: Pod, port: int) -> Prediction:
        """Predict a probe through a node port, which may rewrite either address (R66)."""
        readings = []
        if source == pod:
            line = f"{pod.ref} to itself is always allowed (R46)"
            itself = Judgement(Ruling.ALLOWED, (line,))
            readings.append(("if it counts as a connection of the pod to itself", itself))
        readings += self.rewritten(source, node, pod, port)
        cause = "the API does not define which addresses policies see behind a node port (R66)"
        return self.answered(agree(readings, cause), pod, port)

    def rewritten(
        self, source: Host, node: NodeRef, pod: Pod, port: int
    ) -> Iterator[tuple[str, Judgement]]:
        """Return the eight readings of a connection through a node.

        A hostNetwork pod is a pod or its node; egress sees the pod or the node as the
        destination; ingress sees the source or the node as the source.
        """
        via = self.topology.party(node)
        for host_pods in HostPods:
            origin = self.topology.party(source, host_pods)
            target = self.topology.party(pod, host_pods)
            for seen_by_source, name_out in ((target, "the pod"), (via, "the node")):
                port_out = port if seen_by_source is target else None
                leave = self.policies.judge_direction(
                    Direction.EGRESS, Flow(origin, seen_by_source, self.asked(port_out))
                )
                for seen_by_pod in (origin, via):
                    enter = self.policies.judge_direction(
                        Direction.INGRESS, Flow(seen_by_pod, target, self.asked(port))
                    )
                    reading = f"if the source sees {name_out} and the pod sees {seen_by_pod.name}"
                    yield reading, both(leave, enter)

    def merged(self, found: Sequence[tuple[Pod, Prediction]]) -> Prediction:
        """Return one prediction for endpoints of which any may answer.

        The verdict is undefined if they would answer differently, even if policies treat them
        alike.
        """
        first = found[0][1]
        if all(prediction.verdicts == first.verdicts for _, prediction in found):
            return first
        cause = "the endpoints of the Service differ, and any of them may answer"
        readings = [(f"endpoint {pod.ref}", prediction.judgement) for pod, prediction in found]
        judgement = agree(readings, cause)
        if judgement.ruling is not Ruling.UNDEFINED:
            judgement = replace(judgement, reasons=listed(readings), undefined=cause)
        return Prediction(frozenset(), judgement)

    # -- policies and listeners

    def directly(
        self, source: Host, target: Host, port: int, name: str | None = None
    ) -> Prediction:
        """Predict a connection whose addresses are not rewritten."""
        judgement = self.rule(source, target, self.asked(port), name)
        return self.answered(judgement, target, port)

    def rule(
        self, source: Host, target: Host, port: AskedPort, name: str | None = None
    ) -> Judgement:
        """Judge a connection under both readings of hostNetwork pods (R83).

        Each cell is judged alone. A check that a cluster follows one of the two readings in
        all cells of a step would collect these readings before ``agree`` combines them.
        """
        readings = []
        for host_pods in HostPods:
            ends = self.seen(source, host_pods), self.seen(target, host_pods)
            readings.append(
                (host_pods.value, self.policies.judge_connection(Flow(*ends, port, name)))
            )
            if not any(isinstance(end, Pod) and end.host_network for end in (source, target)):
                break
        cause = "the API does not define whether a hostNetwork pod is treated like its node (R83)"
        return agree(readings, cause)

    def seen(self, host: Host, host_pods: HostPods) -> Party:
        return self.topology.party(host, host_pods)

    def answered(self, judgement: Judgement, target: Host, port: int) -> Prediction:
        """Return the verdicts of a connection with that judgement."""
        match judgement.ruling:
            case Ruling.UNDEFINED:
                return Prediction(frozenset(), judgement)
            case Ruling.DENIED:
                return Prediction(frozenset({Verdict.TIMEOUT}), judgement)
            case Ruling.ALLOWED if self.topology.listens(target, port, self.protocol):
                return Prediction(frozenset({Verdict.ALLOWED}), judgement)
            case Ruling.ALLOWED:
                verdict = Verdict.OTHER if self.protocol is Protocol.SCTP else Verdict.REFUSED
                name = self.topology.party(target).name
                reason = f"{name} does not listen on {self.protocol} {port}"
                reasons = (*judgement.reasons, reason)
                return Prediction(frozenset({verdict}), replace(judgement, reasons=reasons))

    def asked(self, port: int | None) -> AskedPort:
        return AskedPort(port, self.protocol, self.probe.family)

    def addresses_of(self, external: External) -> list[str]:
        """Return the outside host's addresses of the probed family."""
        family = self.probe.family
        return [a for a in external.addresses if ipaddress.ip_address(a).version == family]


def _target_port(forward: ServicePort, pod: Pod) -> int | None:
    """Return the target port on one endpoint, or None if it has no port of that name."""
    if isinstance(forward.target, int):
        return forward.target
    for port in pod.ports:
        if port.name == forward.target and port.protocol is forward.protocol:
            return port.number
    return None
