"""Blocks of addresses that hold no hosts outside of the cluster."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from harness import cidr
from harness.lint.kinds import finding
from harness.lint.knowledge import Knowledge
from harness.lint.values import Finding, Ranges, Said
from harness.policy import placeholder

PODS = "block-holds-pods"
SERVICES = "block-holds-services"


def blocks(known: Knowledge, ranges: Ranges) -> Iterator[Finding]:
    """Find blocks that can only hold pods, or addresses of Services."""
    kinds = (
        (PODS, ranges.pods, "pods", "whether a block matches pods is left to the network plugin"),
        (
            SERVICES, ranges.services, "Services",
            "a rule may see the address of the pod behind a Service, and not its own",
        ),
    )  # fmt: skip
    for part, peer in known.peers():
        block = peer.ip_block
        if block is None or placeholder(block.cidr) is not None:
            continue
        network = ipaddress.ip_network(block.cidr, strict=False)
        for name, among, what, why in kinds:
            around = next((item for item in among if cidr.contains(item, network)), None)
            if around is not None:
                fact = f"{part.where} ipBlock {block} is in {around}, the addresses of {what}"
                hint = f"{why}; name the pods by podSelector or namespaceSelector"
                place = known.place(part.item, (*part.path, "ipBlock", "cidr"))
                yield finding(name, place, Said(fact, hint))
