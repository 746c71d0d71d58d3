"""What a real cluster has of the features that scenarios need, found out by asking it.

A feature is missing only if something else than the network plugin shows it: the API server, the
nodes' kernel, or the profile with a source. What the plugin does wrong must be seen in a table.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.agnhost import Target
from harness.cluster import Question
from harness.cluster.kube import discovery
from harness.cluster.kube.api import Api, ApiError
from harness.cluster.kube.batch import BatchRunner
from harness.cluster.kube.live import LivePod, View
from harness.cluster.kube.pods import PodFactory
from harness.errors import ClusterError
from harness.model import NodeRef, Protocol, Verdict
from harness.policy.tiers import GROUP

MISSING = {
    "agents": "the CNI's profile names no agents",
    "external": "netpol makes outside hosts only for clusters of kind",
    "ipblock-node-ip": "the API leaves it open, and no profile says that the CNI does it",
    "ipblock-pod-ip": "the API leaves it open, and no profile says that the CNI does it",
    "ipv6": "no pod of kube-system has an IPv6 address",
}
"""Why a cluster lacks a feature, if its profile has no other reason."""

_ENDPORT = (1, 25)
_NOBODY = Target("127.0.0.1", 1, Protocol.SCTP)
_NO_SCTP = "protocol not supported"


@dataclass(slots=True)
class Gates:
    """Asks a cluster for features when a scenario needs them; keeps the answers."""

    api: Api
    view: Callable[[], View]
    factory: PodFactory
    batches: BatchRunner
    _known: dict[str, str | None] = field(default_factory=dict)

    def questions(self) -> tuple[Question, ...]:
        """Return what can be asked."""
        asks: dict[str, Callable[[], str | None]] = {
            "domain-names": functools.partial(self._peer, "domainNames"),
            "endport": self._endport,
            "node-peers": functools.partial(self._peer, "nodes"),
            "sctp": self._sctp,
        }
        return tuple(
            Question(feature, functools.partial(self._once, feature, ask))
            for feature, ask in asks.items()
        )

    def _once(self, feature: str, ask: Callable[[], str | None]) -> str | None:
        if feature not in self._known:
            self._known[feature] = ask()
        return self._known[feature]

    def _endport(self) -> str | None:
        """Return why the API server does not keep ``endPort``, or None."""
        found = self.api.version()
        if found >= _ENDPORT:
            return None
        stable, version = (".".join(map(str, numbers)) for numbers in (_ENDPORT, found))
        return f"endPort is stable since Kubernetes {stable}, and the API server is {version}"

    def _peer(self, key: str) -> str | None:
        """Return why no policy of the tiers can have that peer, or None.

        None also if the API server does not say which fields its kinds have, or has none of the
        kinds: the scenario then lacks the kind.
        """
        try:
            found = [
                peers
                for version in discovery.versions(self.api)
                if version.startswith(f"{GROUP}/")
                for peers in discovery.egress_peers(self.api, version)
            ]
        except ApiError:
            return None
        if not found or any(key in peers for peers in found):
            return None
        return f"the definition of the kind has no peer {key}; the experimental one has it"

    def _sctp(self) -> str | None:
        """Return why pods cannot open SCTP sockets, or None, also if that cannot be found out.

        It creates pods on the network of the first two nodes: no policy and no plugin has a part
        in what they say.
        """
        nodes = self.view().nodes[:2]
        try:
            for index, node in enumerate(nodes, 1):
                pod = self.factory.on_node(NodeRef(index), node)
                if self._is_without_sctp(pod):
                    return f"the kernel of node {node.name} says: {_NO_SCTP}"
        except ClusterError:
            return None
        return None

    def _is_without_sctp(self, pod: LivePod) -> bool:
        answer = self.batches.answer(pod, _NOBODY)
        return answer.outcome is Verdict.OTHER and _NO_SCTP in answer.raw.lower()
