"""Defects of ports: numbers, ranges and names."""

from __future__ import annotations

from dataclasses import replace

from harness.cluster.netns.compiler.stages import STAGES, Pods, port_ranges
from harness.cluster.netns.compiler.values import PortRange
from harness.cluster.netns.defects.registry import Defect
from harness.policy import PolicyPort


def named_any_port(port: PolicyPort, destinations: Pods) -> tuple[PortRange, ...]:
    """A port's name opens all ports of its protocol."""
    any_port = replace(port, port=None) if isinstance(port.port, str) else port
    return port_ranges(any_port, destinations)


def named_last_pod(port: PolicyPort, destinations: Pods) -> tuple[PortRange, ...]:
    """A port's name is one number for all destinations."""
    found = port_ranges(port, destinations)
    return (replace(found[-1], at=None),) if isinstance(port.port, str) and found else found


def no_endport(port: PolicyPort, destinations: Pods) -> tuple[PortRange, ...]:
    """The range is its first port."""
    return port_ranges(replace(port, end_port=None), destinations)


DEFECTS = (
    Defect.in_stages("named-any-port", "B30", replace(STAGES, port_ranges=named_any_port)),
    Defect.in_stages("named-last-pod", "B31", replace(STAGES, port_ranges=named_last_pod)),
    Defect.in_stages("no-endport", "B37", replace(STAGES, port_ranges=no_endport)),
)
