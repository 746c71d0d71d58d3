"""NetworkPolicies to nftables: what the small CNI of the embedded cluster decides.

Pure functions from a State to the text of one table for each node, in stages with the names
under which real CNIs go wrong: select, isolate, rules, ports, ipblock, combine (``stages``),
emit (``nft``). ``defects`` puts known mistakes in their place. Shares parsed policies with
the oracle and no decision: it may not import it.

Where a packet is judged: in the forward hook, after DNAT and before source NAT, the egress of
a pod on its own node and the ingress of a pod on its own node. Traffic between a pod and its
own node passes the input and output hooks, where nothing is filtered (R06, R47); another node
is a source like any other. A pod that reaches itself, through its Service as well, is let
through: the destination is already its own address when the packet is judged (R46; through a
Service the API leaves it open). hostNetwork pods are not seen at all: no selector yields them,
and their traffic is their node's (the second possibility of R83). ipBlock matches whatever
carries an address, pods and nodes included. A denial is a drop.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.cluster.netns.addresses import Addresses
from harness.cluster.netns.compiler.defects import DEFECTS, stages_of
from harness.cluster.netns.compiler.stages import Stages, guards
from harness.model import State

__all__ = ["DEFECTS", "compile", "compile_with", "stages_of"]


def compile_with(stages: Stages, state: State, addresses: Addresses) -> Mapping[int, str]:
    """As ``compile``, with stages of the caller's choosing."""
    found = guards(stages, state, addresses)
    return {node: stages.emit(node, found) for node in sorted(addresses.nodes)}


def compile(  # noqa: A001 - read as compiler.compile
    state: State, addresses: Addresses, defect: str | None = None
) -> Mapping[int, str]:
    """The nft script of every node, by the node's number from 1.

    ``state`` holds what is implied too (``addresses.with_implied``), and only policies that
    the API server would admit. A script replaces the whole table in one transaction, whether
    or not it exists, and equal input gives equal text. ``defect`` is one of ``DEFECTS``.
    """
    return compile_with(stages_of(defect), state, addresses)
