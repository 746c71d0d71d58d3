"""Which ranges the embedded cluster uses."""

from __future__ import annotations

import ipaddress

import pytest

from harness.cluster.netns.ranges import ranges
from harness.errors import ClusterError
from harness.model import Networks


def test_the_first_candidates_lie_where_people_rarely_are() -> None:
    found = ranges(Networks())
    assert found.pods == {
        1: ("100.64.0.0/17", "fd64::/64"),
        2: ("100.64.128.0/17", "fd64:0:0:1::/64"),
    }
    assert found.services == ("100.65.0.0/16", "fd64:0:1::/112")
    assert found.nodes == {1: ("100.66.0.2", "fd64:0:2::2"), 2: ("100.66.0.3", "fd64:0:2::3")}
    assert found.dns == ("100.65.0.10", "fd64:0:1::a")


def test_only_the_range_that_overlaps_moves() -> None:
    found = ranges(Networks(), ["100.65.3.0/24", "fd64:0:2::/64", "192.168.0.0/16"])
    usual = ranges(Networks())
    assert found.pods == usual.pods
    assert found.services == ("100.97.0.0/16", "fd64:0:1::/112")
    assert found.nodes == {1: ("100.66.0.2", "fd65:0:2::2"), 2: ("100.66.0.3", "fd65:0:2::3")}


def test_a_scenario_sets_its_ranges() -> None:
    found = ranges(Networks(pods=("10.244.0.0/16",), services=("100.64.0.0/16",)))
    assert found.pods[1] == ("10.244.0.0/17", "fd64::/64")
    assert found.pods[2] == ("10.244.128.0/17", "fd64:0:0:1::/64")
    assert found.services == ("100.64.0.0/16", "fd64:0:1::/112")
    assert found.dns == ("100.64.0.10", "fd64:0:1::a")


def test_a_range_that_is_set_moves_those_that_are_not() -> None:
    found = ranges(Networks(services=("100.64.0.0/15",)))
    assert found.pods[1][0] == "100.96.0.0/17"


def test_a_narrow_ipv6_range_is_halved() -> None:
    found = ranges(Networks(pods=("fd12::/112",)))
    assert (found.pods[1][1], found.pods[2][1]) == ("fd12::/113", "fd12::8000/113")


def test_no_free_range_is_said() -> None:
    everything = [str(net) for net in ipaddress.ip_network("0.0.0.0/0").subnets(new_prefix=9)]
    with pytest.raises(ClusterError) as caught:
        ranges(Networks(), everything)
    assert caught.value.message == (
        "no IPv4 range is free for pods: each one that the embedded cluster could use overlaps "
        "an ipBlock or an external of the scenario"
    )
    assert caught.value.hint == "choose one: `networks: {pods: CIDR}`"
