"""Defects of the path of packets: what Services and nodes do to their addresses."""

from __future__ import annotations

from dataclasses import replace

from harness.cluster.netns import services
from harness.cluster.netns.addresses import Addresses, family_of
from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.parts import PARTS
from harness.cluster.netns.tables import Table
from harness.model import Family, State


def cross_node_masquerade(state: State, addresses: Addresses, node: int) -> Table:
    """A connection to a pod of another node comes from the address of the node."""
    table = services.table(state, addresses, node)
    rules = []
    for family, own in ((family_of(ip), ip) for ip in addresses.nodes[node]):
        word = "ip6" if family is Family.V6 else "ip"
        here, elsewhere = (
            ", ".join(
                sorted(
                    ip
                    for pod in state.pods
                    for ip in addresses.pods[pod.ref]
                    if (addresses.node_of[pod.ref] == node) is on_node
                    and family_of(ip) is family
                    and not pod.host_network
                )
            )
            for on_node in (True, False)
        )
        if here and elsewhere:
            sources, targets = f"{word} saddr {{ {here} }}", f"{word} daddr {{ {elsewhere} }}"
            rules.append(f"  {sources} {targets} snat {word} to {own}\n")
    text = table.base_chains["postrouting"].removesuffix("}") + "".join(rules) + "}"
    return replace(table, base_chains={**table.base_chains, "postrouting": text})


DEFECTS = (Defect("cross-node-masquerade", "B57", replace(PARTS, services=cross_node_masquerade)),)
