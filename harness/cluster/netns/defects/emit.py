"""Defects of the rules in the kernel: the compiler decides right, and the nft text is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.cluster.netns.compiler.nft import emit, policy_table
from harness.cluster.netns.compiler.values import PodRules
from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.parts import PARTS
from harness.cluster.netns.tables import Table
from harness.policy import Direction


def no_enforcement(node: int, rules: Sequence[PodRules]) -> Table:  # noqa: ARG001 - as Emit
    """Policies are accepted, and no rule exists."""
    return policy_table()


def ingress_only(node: int, rules: Sequence[PodRules]) -> Table:
    """Egress is not implemented."""
    return emit(node, [one for one in rules if one.direction is Direction.INGRESS])


def first_accept_wins(node: int, rules: Sequence[PodRules]) -> Table:
    """Allowed by egress ends the evaluation, before ingress on the same node is asked."""
    return emit(node, rules, allow="accept")


DEFECTS = (
    Defect("no-enforcement", "B01", replace(PARTS, emit=no_enforcement)),
    Defect("ingress-only-compiler", "B06", replace(PARTS, emit=ingress_only)),
    Defect("first-accept-wins", "B49", replace(PARTS, emit=first_accept_wins)),
)
