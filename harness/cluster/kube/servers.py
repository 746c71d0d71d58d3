"""What the containers of a pod run so that its ports are served: the servers of agnhost. Pure."""

from __future__ import annotations

from typing import Any

from harness.model import ContainerPort, Protocol

ADDRESSES = "NETPOL_ADDRESSES"
"""The variable with the addresses of a pod on the network of its node."""


def commands(ports: list[ContainerPort], on_node: bool) -> list[tuple[str, ...]]:
    """Return the agnhost commands that serve these TCP and UDP ports, as few as possible.

    A netexec serves one TCP and one UDP port, a porter any number of TCP ports. A netexec
    without a TCP port gets an ephemeral one.
    A UDP server that listens on all addresses of a node may answer from another one than it
    was asked at, and the answer is lost (seen on Cilium): it listens on those of the pod.
    """
    tcp = [port.number for port in ports if port.protocol is Protocol.TCP]
    udp = [port.number for port in ports if port.protocol is Protocol.UDP]
    if not udp:
        return [("porter",)] if tcp else [("pause",)]
    width = max(len(tcp), len(udp))
    tcp += [0] * (width - len(tcp))
    udp += [-1] * (width - len(udp))
    where = (f"--udp-listen-addresses=127.0.0.1,$({ADDRESSES})",) if on_node else ()
    return [
        ("netexec", f"--http-port={http}", f"--udp-port={port}", *where)
        for http, port in zip(tcp, udp, strict=True)
    ]


def variables(
    ports: list[ContainerPort], servers: list[tuple[str, ...]], on_node: bool
) -> list[dict[str, Any]]:
    """Return the environment of a container that runs these servers."""
    addresses = {"name": ADDRESSES, "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}}
    served = [_served(port) for port in ports if ("porter",) in servers]
    return [addresses, *served] if on_node else served


def _served(port: ContainerPort) -> dict[str, Any]:
    prefix = "SERVE_SCTP_PORT" if port.protocol is Protocol.SCTP else "SERVE_PORT"
    return {"name": f"{prefix}_{port.number}", "value": str(port.number)}
