"""Detect the address ranges of a real cluster, as far as its API server shows them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.cluster.kube.api import Api, ApiError
from harness.cluster.kube.live import Object
from harness.cluster.networks import summarized
from harness.model import Networks


@dataclass(frozen=True, slots=True)
class Pool:
    """Objects in which a network plugin keeps ranges of pod addresses.

    ``path`` leads through an object to a CIDR or a list of them, like ``spec.cidr``.
    """

    api_version: str
    kind: str
    path: str


def detect(api: Api, pools: Sequence[Pool] = ()) -> Networks:
    """Return the ranges of pods, Services and nodes.

    Pods: the nodes' podCIDRs, the plugin's pools, and the addresses of system pods outside
    both. Services: the ServiceCIDR objects; without them the addresses of Services that every
    cluster has. Nodes: their own addresses. Ranges that the user may not read are left out.
    """
    nodes = _found(api, "v1", "Node")
    return Networks(
        pods=_pods(api, nodes, pools),
        services=_services(api),
        nodes=summarized(
            item["address"]
            for node in nodes
            for item in node.get("status", {}).get("addresses", [])
            if item["type"] == "InternalIP"
        ),
    )


def _pods(api: Api, nodes: Iterable[Object], pools: Iterable[Pool]) -> tuple[str, ...]:
    ranges = [
        cidr
        for node in nodes
        for cidr in node["spec"].get("podCIDRs") or [node["spec"].get("podCIDR")]
        if cidr
    ]
    for pool in pools:
        for item in _found(api, pool.api_version, pool.kind):
            ranges += _at(item, pool.path.split("."))
    known = [ipaddress.ip_network(cidr, strict=False) for cidr in ranges]
    for pod in _found(api, "v1", "Pod", namespace="kube-system"):
        if not pod["spec"].get("hostNetwork"):
            held = [item["ip"] for item in pod.get("status", {}).get("podIPs") or []]
            ranges += [
                ip for ip in held if not any(ipaddress.ip_address(ip) in net for net in known)
            ]
    return summarized(ranges)


def _services(api: Api) -> tuple[str, ...]:
    found = _found(api, "networking.k8s.io/v1", "ServiceCIDR")
    if found:
        return summarized(cidr for item in found for cidr in item["spec"]["cidrs"])
    addresses = [
        ip
        for namespace, name in (("default", "kubernetes"), ("kube-system", "kube-dns"))
        for ip in _cluster_ips(api, namespace, name)
    ]
    return summarized(addresses)


def _cluster_ips(api: Api, namespace: str, name: str) -> list[str]:
    try:
        service = api.get("v1", "Service", name, namespace)
    except ApiError:
        return []
    found = service["spec"].get("clusterIPs") if service else None
    return [ip for ip in found or [] if ip != "None"]


def _found(api: Api, api_version: str, kind: str, namespace: str = "") -> list[Object]:
    """Return the objects of a kind; none if the kind does not exist or may not be listed."""
    try:
        return api.find(api_version, kind, namespace=namespace)
    except ApiError:
        return []


def _at(item: object, path: Sequence[str]) -> Iterator[str]:
    """Yield the text at a path of keys, or each text of a list there."""
    if path:
        if isinstance(item, dict) and path[0] in item:
            yield from _at(item[path[0]], path[1:])
    elif isinstance(item, str):
        yield item
    elif isinstance(item, list):
        yield from (entry for entry in item if isinstance(entry, str))
