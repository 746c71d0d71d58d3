"""Comparison of address ranges, which may be of different families. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def overlap(one: Network, other: Network) -> bool:
    """Return whether the ranges have an address in common; ranges of two families have none."""
    return one.version == other.version and one.overlaps(other)


def spanning(networks: Iterable[Network]) -> Network | None:
    """Return the smallest range that holds all the ranges of one family; None if there is none."""
    found = list(networks)
    if not found:
        return None
    whole = found[0]
    while not all(contains(whole, network) for network in found):
        whole = whole.supernet()
    return whole


def contains(outer: Network, inner: Network) -> bool:
    """Return whether all addresses of ``inner`` are in ``outer``."""
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]
