"""What is on the cluster now, as the API server shows it. Only reads.

``live`` turns single objects into values; this module knows which objects to ask for.
"""

from __future__ import annotations

import contextlib

from harness.cluster.kube import live
from harness.cluster.kube.api import Api, ApiError
from harness.cluster.kube.live import LiveNode
from harness.cluster.kube.objects import Naming, Object
from harness.errors import ClusterError


class Inventory:
    """The objects of one run and worker, and those of the cluster that probes depend on.

    Every method raises ApiError if the API server does not answer.
    """

    def __init__(self, api: Api, naming: Naming) -> None:
        self._api = api
        self._selector = naming.selector

    def pods(self) -> dict[tuple[str, str], Object]:
        """Return the pods of this run and worker by real namespace and name."""
        found = self._api.find("v1", "Pod", selector=self._selector)
        return {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in found}

    def endpoints(self) -> dict[tuple[str, str], frozenset[str]]:
        """Return the ready addresses behind each Service by real namespace and name."""
        slices: dict[tuple[str, str], list[Object]] = {}
        found = self._api.find("discovery.k8s.io/v1", "EndpointSlice", selector=self._selector)
        for item in found:
            metadata = item["metadata"]
            service = metadata["labels"].get("kubernetes.io/service-name", "")
            slices.setdefault((metadata["namespace"], service), []).append(item)
        return {service: live.serving(items) for service, items in slices.items()}

    def nodes(self) -> tuple[LiveNode, ...]:
        """Return the nodes that pods can be placed on. Raises ClusterError if there is none."""
        found = live.nodes(self._api.find("v1", "Node"))
        if not found:
            raise ClusterError("the cluster has no node that pods can be placed on")
        return found

    def has_ipv6(self) -> bool:
        """Whether pods get IPv6 addresses, judged by those of kube-system."""
        return any(
            ":" in address
            for pod in self._api.find("v1", "Pod", namespace="kube-system")
            if not pod["spec"].get("hostNetwork")
            for address in live.addresses(pod)
        )

    def dns_fault(self) -> str | None:
        """Return why no DNS server of the cluster can answer, or None.

        None also if the user may not list them, or if the cluster has others than kube-dns.
        """
        try:
            servers = self._api.find(
                "v1", "Pod", selector="k8s-app=kube-dns", namespace="kube-system"
            )
        except ApiError as error:
            if error.status == 403:
                return None
            raise
        if not servers or any(live.is_ready(item) for item in servers):
            return None
        return "no DNS server of the cluster is ready"

    def why_not_ready(self, pod: Object) -> str:
        """Describe why a pod is not ready: its status, and the last warning about it."""
        metadata = pod["metadata"]
        status = live.why_not_ready(pod)
        with contextlib.suppress(ApiError):
            warnings = [
                item.get("message", "")
                for item in self._api.find("v1", "Event", namespace=metadata["namespace"])
                if item.get("involvedObject", {}).get("uid") == metadata["uid"]
                and item.get("type") == "Warning"
            ]
            if warnings and warnings[-1] not in status:
                return f"{status} ({warnings[-1]})"
        return status
