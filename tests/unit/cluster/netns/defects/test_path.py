"""The rules of Services that the defect of the path of packets adds."""

from __future__ import annotations

from collections.abc import Mapping

from harness import catalogue
from harness.catalogue import Effect
from harness.cluster.netns.addresses import Addresses, allocate, with_implied
from harness.cluster.netns.defects import DEFECTS
from harness.cluster.netns.parts import PARTS, ServicesTable
from harness.model import Namespace, Pod, State

X = Namespace("x")
APART = with_implied(
    State("defects", (X,), (Pod("x", "a", node=1), Pod("x", "b", node=2), Pod("x", "c", node=1)))
)


def chains(services: ServicesTable, state: State) -> Mapping[str, list[str]]:
    table = services(state, addresses(state), 2)
    return {
        name: [line.strip() for line in text.splitlines()]
        for name, text in table.base_chains.items()
    }


def addresses(state: State) -> Addresses:
    return allocate(state)


def test_a_pod_of_another_node_sees_the_address_of_the_node() -> None:
    """So a selector that allows the pod does not match: the defect closes."""
    right = chains(PARTS.services, APART)
    wrong = chains(DEFECTS["cross-node-masquerade"].parts.services, APART)
    there = addresses(APART)
    assert [name for name in right if right[name] != wrong[name]] == ["postrouting"]
    assert wrong["postrouting"][:-3] == right["postrouting"][:-1]
    node4, node6 = there.nodes[2]
    b4, b6 = next(ips for ref, ips in there.pods.items() if ref.name == "b")
    others = [ips for ref, ips in there.pods.items() if ref.name != "b"]
    to4, to6 = (", ".join(sorted(ips[family] for ips in others)) for family in (0, 1))
    assert wrong["postrouting"][-3:] == [
        f"ip saddr {{ {b4} }} ip daddr {{ {to4} }} snat ip to {node4}",
        f"ip6 saddr {{ {b6} }} ip6 daddr {{ {to6} }} snat ip6 to {node6}",
        "}",
    ]
    assert catalogue.defects()["B57"].effect is Effect.CLOSES


def test_pods_of_one_node_keep_their_addresses() -> None:
    """No rule is added where all pods are on the same node: those of the other have no sources."""
    together = with_implied(State("defects", (X,), (Pod("x", "a", node=1), Pod("x", "b", node=1))))
    wrong = chains(DEFECTS["cross-node-masquerade"].parts.services, together)
    assert wrong == chains(PARTS.services, together)
