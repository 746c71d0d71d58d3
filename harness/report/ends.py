"""Which pods, Services and hosts of a topology the ends of a table are."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import UsageError
from harness.model import (
    AbsoluteName,
    Address,
    ExternalRef,
    NodePortRef,
    PodRef,
    ServiceName,
    ServiceRef,
)
from harness.report.topology import TopologyRecord


@dataclass(frozen=True, slots=True)
class End:
    """The places, in a topology, of what an end is; ``pods`` of a Service are its endpoints.

    An end that the topology does not have, like a node, has none.
    """

    pods: tuple[int, ...] = ()
    service: int | None = None
    external: int | None = None


class Ends:
    """Finds the ends of the tables over one topology."""

    def __init__(self, topology: TopologyRecord) -> None:
        self._pods = {pod.ref: End((at,)) for at, pod in enumerate(topology.pods)}
        self._services = {
            service.ref: End(
                tuple(at for ref in service.endpoints for at in self._pod(ref).pods),
                service=place,
            )
            for place, service in enumerate(topology.services)
        }
        self._externals: dict[str, End] = {}
        self._names: dict[str, End] = {}
        self._addresses: dict[str, End] = {}
        for place, host in enumerate(topology.externals):
            end = End(external=place)
            self._externals[str(ExternalRef(host.name))] = end
            self._names |= dict.fromkeys(host.dns_names, end)
            self._addresses |= dict.fromkeys(host.addresses, end)
        for service in topology.services:
            self._addresses |= dict.fromkeys(service.addresses, self._services[service.ref])
        for pod in topology.pods:
            self._addresses |= dict.fromkeys(pod.addresses, self._pod(pod.ref))

    def source(self, text: str) -> End:
        """Return what a source is, as it is written in tables."""
        return self._externals.get(text) or self._pod(text)

    def destination(self, text: str) -> End:
        """Return what a destination is, as it is written in tables; its port does not matter."""
        # Imported here because it brings pydantic, whose import takes longer than most verbs.
        from harness.scenario import parse_destination

        try:
            host = parse_destination(text).host
        except UsageError:  # Another version wrote it.
            return End()
        match host:
            case PodRef() | ExternalRef():
                return self.source(str(host))
            case ServiceRef(namespace, name) | NodePortRef(namespace, name, _):
                return self._services.get(f"{namespace}/{name}", End())
            case ServiceName(namespace, name):
                # A name outside the cluster may look like that of a Service.
                outside = self._names.get(f"{name}.{namespace}", End())
                return self._services.get(f"{namespace}/{name}", outside)
            case AbsoluteName(name):
                return self._names.get(name, End())
            case Address(ip):
                return self._addresses.get(ip, End())
            case _:
                return End()

    def _pod(self, ref: str) -> End:
        return self._pods.get(ref, End())
