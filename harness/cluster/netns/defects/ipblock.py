"""Defects of ipBlock: CIDRs and their exceptions."""

from __future__ import annotations

from dataclasses import replace

from harness.cluster.netns.compiler.stages import STAGES
from harness.cluster.netns.compiler.values import AddressSet
from harness.cluster.netns.defects.registry import Defect
from harness.policy import IPBlock


def no_except(ip_block: IPBlock) -> AddressSet:
    """What is excepted is allowed."""
    return AddressSet.block(ip_block.cidr)


def zero_cidr_any(ip_block: IPBlock) -> AddressSet:
    """0.0.0.0/0 is IPv6 as well."""
    if ip_block == IPBlock("0.0.0.0/0"):
        return AddressSet.union(map(AddressSet.block, ("0.0.0.0/0", "::/0")))
    return STAGES.block(ip_block)


DEFECTS = (
    Defect.in_stages("no-except", "B40", replace(STAGES, block=no_except)),
    Defect.in_stages("zero-cidr-any", "B47", replace(STAGES, block=zero_cidr_any)),
)
