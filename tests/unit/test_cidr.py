from __future__ import annotations

import ipaddress

import pytest

from harness.cidr import contains, overlap, spanning


@pytest.mark.parametrize(
    ("one", "other", "has_common", "is_within"),
    [
        ("10.0.0.0/8", "10.1.0.0/16", True, True),
        ("10.0.0.0/8", "10.0.0.0/8", True, True),
        ("10.1.0.0/16", "10.0.0.0/8", True, False),
        ("10.1.0.0/16", "10.2.0.0/16", False, False),
        ("fd00::/8", "fd64::/48", True, True),
        ("fd64::/48", "fd65::/48", False, False),
        # Here ipaddress.IPv6Network.subnet_of raises TypeError.
        ("0.0.0.0/0", "::/0", False, False),
        ("::/0", "0.0.0.0/0", False, False),
    ],
)
def test_ranges_are_compared_within_one_family(
    one: str, other: str, has_common: bool, is_within: bool
) -> None:
    outer, inner = ipaddress.ip_network(one), ipaddress.ip_network(other)
    assert overlap(outer, inner) is has_common
    assert overlap(inner, outer) is has_common
    assert contains(outer, inner) is is_within


@pytest.mark.parametrize(
    ("ranges", "whole"),
    [
        ("", "None"),
        ("10.244.1.0/24", "10.244.1.0/24"),
        ("10.244.0.0/24 10.244.1.0/24 10.244.2.0/24", "10.244.0.0/22"),
        ("10.244.0.0/16 10.244.1.0/24", "10.244.0.0/16"),
        ("10.0.0.0/24 192.168.0.0/24", "0.0.0.0/0"),
        ("fd64::/64 fd64:0:0:1::/64", "fd64::/63"),
    ],
)
def test_the_smallest_range_that_holds_them_all(ranges: str, whole: str) -> None:
    assert str(spanning(map(ipaddress.ip_network, ranges.split()))) == whole
