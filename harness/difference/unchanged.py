"""Ends that are the same in both versions, with the same policies.

What the oracle says about a pair depends on its two ends: their labels, ports and namespaces, and
the policies that isolate them. It also depends on the hosts outside, and on the policies that are
no NetworkPolicies: as long as those are the same, a pair of unchanged ends is judged once.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.difference.aligned import ColumnPair, RowPair
from harness.difference.saying import Version
from harness.model import Manifest, NodePortRef, Pod, PodRef, ServiceRef
from harness.policy import Direction


class UnchangedEnds:
    """The ends of two versions between which no connection can have changed."""

    def __init__(self, old: Version, new: Version) -> None:
        self._versions = (old, new)
        self._pods = tuple({pod.ref: pod for pod in v.state.pods} for v in (old, new))
        self._namespaces = tuple({n.name: n for n in v.state.namespaces} for v in (old, new))
        self._known: dict[object, bool] = {}
        before, after = old.state, new.state
        self._has_same_rest = (
            before.externals == after.externals
            and before.networks == after.networks
            and _others(before.policies) == _others(after.policies)
        )

    def has_row(self, pair: RowPair) -> bool:
        """Return whether a source is unchanged."""
        old, new = pair.old, pair.new
        if old is None or new is None or (old.title, old.refs) != (new.title, new.refs):
            return False
        return self._has_same_rest and all(map(self._is_unchanged, old.refs))

    def has_column(self, pair: ColumnPair) -> bool:
        """Return whether a destination is unchanged."""
        old, new = pair.old, pair.new
        if old is None or new is None:
            return False
        if (old.title, old.inside, old.outside) != (new.title, new.inside, new.outside):
            return False
        ends = (*old.inside, *old.outside)
        return self._has_same_rest and all(self._is_unchanged(end.host) for end in ends)

    def _is_unchanged(self, host: object) -> bool:
        if host not in self._known:
            self._known[host] = self._compared(host)
        return self._known[host]

    def _compared(self, host: object) -> bool:
        match host:
            case PodRef():
                old, new = (pods.get(host) for pods in self._pods)
                return old is not None and old == new and self._has_same_policies(old)
            case ServiceRef(namespace, name) | NodePortRef(namespace, name):
                return self._leads_to_the_same(namespace, name)
            case _:
                return True  # It is a host outside.

    def _has_same_policies(self, pod: Pod) -> bool:
        """Return whether the same policies isolate a pod, in namespaces with the same labels.

        What answers on the network of a node also depends on the node's other pods.
        """
        namespace, other = (found.get(pod.namespace) for found in self._namespaces)
        old, new = (version.judge for version in self._versions)
        return (
            not pod.host_network
            and namespace == other
            and all(old.isolating(way, pod) == new.isolating(way, pod) for way in Direction)
        )

    def _leads_to_the_same(self, namespace: str, name: str) -> bool:
        """Return whether a Service and its endpoints are unchanged; that of DNS counts as not."""
        old, new = (version.state for version in self._versions)
        service = old.service(namespace, name)
        if service is None or service != new.service(namespace, name):
            return False
        pods = old.endpoints(service)
        same = [pod.ref for pod in pods] == [pod.ref for pod in new.endpoints(service)]
        return same and all(self._is_unchanged(pod.ref) for pod in pods)


def _others(policies: Iterable[Manifest]) -> list[Manifest]:
    return [policy for policy in policies if policy.kind != "NetworkPolicy"]
