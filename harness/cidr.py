"""Comparison of address ranges, which may be of different families. Pure."""

from __future__ import annotations

import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def overlap(one: Network, other: Network) -> bool:
    """Return whether the ranges have an address in common; ranges of two families have none."""
    return one.version == other.version and one.overlaps(other)


def contains(outer: Network, inner: Network) -> bool:
    """Return whether all addresses of ``inner`` are in ``outer``."""
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]
