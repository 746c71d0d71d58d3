"""The second reading, with policies in tiers: from the JSON of the manifests, and no shared code.

Where the API leaves open which of two policies decides, each is tried (T23).
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from harness.model import NodeRef, Pod, PodRef, Probe, ServiceRef, State
from tests.unit.oracle import naive
from tests.unit.oracle.naive import Someone

Object = Mapping[str, Any]


class TierReading(naive.Reading):
    def __init__(self, state: State, book: naive.AddressBook) -> None:
        super().__init__(state, book)
        every = [(m, json.loads(m.json)["spec"]) for m in state.policies]
        self.documents = [(m.namespace, spec) for m, spec in every if m.kind == "NetworkPolicy"]
        self.tiers = [spec for m, spec in every if m.kind == "ClusterNetworkPolicy"]
        self.script: tuple[int, ...] = ()
        self.taken: list[int] = []
        self.open: list[tuple[int, ...]] = []
        self.answers: dict[Hashable, str] = {}
        self.exempt = False

    # ---------------------------------------------------------- what may happen

    def outcomes(self, probe: Probe) -> frozenset[bool]:
        """All that may happen, whichever of equal policies decides."""
        found: set[bool] = set()
        self.open = [()]
        while self.open:
            self.script, self.taken, self.answers = self.open.pop(), [], {}
            found |= super().outcomes(probe)
        return frozenset(found)

    def choose(self, options: Sequence[str], about: Hashable) -> str:
        """One of the options; the others are tried later, from the beginning.

        A second question about the same thing gets the same answer.
        """
        options = list(dict.fromkeys(options))
        key = (about, *options)
        if len(options) > 1 and key not in self.answers:
            self.answers[key] = self.chosen(options)
        return self.answers.get(key, options[0])

    def chosen(self, options: Sequence[str]) -> str:
        place = len(self.taken)
        if place < len(self.script):
            index = self.script[place]
        else:
            index = 0
            self.open += [(*self.taken, other) for other in range(1, len(options))]
        self.taken.append(index)
        return options[index]

    def attempts(self, probe: Probe, host_pods_are_pods: bool) -> Iterator[bool]:
        """T25: tiers see a pod to itself through a Service, perhaps with its node as source."""
        host = probe.destination.host
        if not isinstance(host, ServiceRef) or not isinstance(probe.source, PodRef):
            yield from super().attempts(probe, host_pods_are_pods)
            return
        source = self.someone(probe.source, host_pods_are_pods)
        for pod, port in self.endpoints(host, probe):
            target = self.someone(pod.ref, host_pods_are_pods)
            yield self.connects(source, target, port, probe)
            if pod.ref == probe.source:
                for seen in (source, self.someone(NodeRef(pod.node), host_pods_are_pods)):
                    self.exempt = True
                    yield self.leaves(source, target, port, probe) and self.enters(
                        seen, target, port, probe
                    )
                    self.exempt = False

    # ---------------------------------------------------------- the sentences

    def leaves(self, source: Someone, target: Someone, port: int, probe: Probe) -> bool:
        if source.pod is None:
            return True
        return self.walk(source.pod, "egress", target, target, port, probe)

    def enters(self, source: Someone, target: Someone, port: int, probe: Probe) -> bool:
        if target.pod is None:
            return True
        return self.walk(target.pod, "ingress", source, target, port, probe)

    def walk(
        self, pod: Pod, way: str, other: Someone, target: Someone, port: int, probe: Probe
    ) -> bool:
        """T01, T08, T21, T22."""
        said = self.tier("Admin", pod, way, other, target, port, probe)
        if said != "Pass":
            return said == "Accept"
        if self.rules(pod, way.capitalize()) is not None:
            if self.exempt:
                return True
            if way == "egress":
                me = Someone(pod, (), pod.node if pod.host_network else None)
                return super().leaves(me, target, port, probe)
            return super().enters(other, target, port, probe)
        return self.tier("Baseline", pod, way, other, target, port, probe) != "Deny"

    def tier(
        self,
        tier: str,
        pod: Pod,
        way: str,
        other: Someone,
        target: Someone,
        port: int,
        probe: Probe,
    ) -> str:
        """T02 to T04, T11, T23: what a tier says; Pass if it says nothing."""
        if pod.host_network:
            return "Pass"
        own = [
            spec
            for spec in self.tiers
            if spec["tier"] == tier and self.pods_are(spec["subject"], pod)
        ]
        for priority in sorted({spec["priority"] for spec in own}):
            actions = []
            for spec in own:
                if spec["priority"] == priority:
                    for rule in spec.get(way) or []:
                        if self.matches(rule, way, other, target, port, probe):
                            actions.append(rule["action"])
                            break
            if actions:
                return self.choose(actions, (pod.ref, way, tier))
        return "Pass"

    def matches(
        self, rule: Object, way: str, other: Someone, target: Someone, port: int, probe: Probe
    ) -> bool:
        """T17, T29."""
        peers = rule["from" if way == "ingress" else "to"]
        if not any(self.tier_peer(peer, other, probe) for peer in peers):
            return False
        protocols = rule.get("protocols")
        return not protocols or any(
            self.tier_port(item, target, port, probe) for item in protocols
        )

    def tier_peer(self, peer: Object, other: Someone, probe: Probe) -> bool:
        """T09 to T13, T15, T28."""
        if "networks" in peer:
            return any(self.in_block({"cidr": cidr}, other, probe) for cidr in peer["networks"])
        if "nodes" in peer:
            return other.node is not None
        if other.pod is None or other.pod.host_network:
            return False
        return self.pods_are(peer, other.pod)

    def pods_are(self, peer: Object, pod: Pod) -> bool:
        """T09, T10."""
        labels = self.labels_of(pod.namespace)
        if "namespaces" in peer:
            return self.selected(peer["namespaces"], labels)
        pods = peer["pods"]
        return self.selected(pods.get("namespaceSelector") or {}, labels) and self.selected(
            pods["podSelector"], dict(pod.labels)
        )

    def tier_port(self, item: Object, target: Someone, port: int, probe: Probe) -> bool:
        """T18, T19."""
        protocol = probe.destination.protocol.value
        if "destinationNamedPort" in item:
            listed = target.pod.ports if target.pod is not None else ()
            return any(
                c.name == item["destinationNamedPort"]
                and c.protocol.value == protocol
                and c.number == port
                for c in listed
            )
        [(word, body)] = item.items()
        wanted = body["destinationPort"]
        if word != protocol.lower():
            return False
        if "number" in wanted:
            return bool(wanted["number"] == port)
        return bool(wanted["range"]["start"] <= port <= wanted["range"]["end"])
