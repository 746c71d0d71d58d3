"""Whether a cluster's address ranges are those that a scenario is about."""

from __future__ import annotations

import pytest

from harness.cluster import Capabilities
from harness.cluster.networks import summarized
from harness.model import Needs, Networks

FOUND = Networks(
    pods=("10.244.1.0/24", "10.244.2.0/24", "fd00:10:244::/56"),
    services=("10.96.0.0/16",),
    nodes=("172.18.0.2/32", "172.18.0.3/32"),
)


def lacks(networks: Networks, *outside: str) -> str | None:
    needs = Needs(networks=networks, outside=outside)
    return Capabilities("mine", networks=FOUND).lacks(needs)


@pytest.mark.parametrize(
    ("networks", "outside", "reason"),
    [
        (Networks(), (), None),
        (Networks(), ("192.168.0.0/16", "10.10.0.5/32", "2001:db8::/32"), None),
        (
            Networks(),
            ("10.10.0.5/32", "10.244.0.0/16"),
            "cluster mine has pods in 10.244.1.0/24, which overlaps 10.244.0.0/16 of the scenario",
        ),
        (
            Networks(),
            ("10.96.0.128/25",),
            "cluster mine has Services in 10.96.0.0/16, which overlaps 10.96.0.128/25 of the "
            "scenario",
        ),
        (
            Networks(),
            ("172.18.0.0/24",),
            "cluster mine has nodes in 172.18.0.2/32, which overlaps 172.18.0.0/24 of the "
            "scenario",
        ),
        (Networks(pods=("10.244.0.0/16",)), ("10.244.1.0/24",), None),
        (
            Networks(pods=("10.244.1.0/24",)),
            (),
            "cluster mine has pods in 10.244.2.0/24; the scenario sets 10.244.1.0/24",
        ),
        (Networks(pods=("10.244.0.0/16", "fd00:10::/32")), (), None),
        (
            Networks(services=("10.96.0.0/12", "fd00:96::/108")),
            (),
            "cluster mine does not tell its IPv6 range of Services; the scenario sets "
            "10.96.0.0/12, fd00:96::/108",
        ),
        (Networks(nodes=("172.18.0.0/16",)), ("172.18.0.0/24",), None),
        (
            Networks(nodes=("10.0.0.0/16",)),
            (),
            "cluster mine has nodes in 172.18.0.2/32; the scenario sets 10.0.0.0/16",
        ),
    ],
)
def test_a_scenario_runs_only_where_its_ranges_mean_the_same(
    networks: Networks, outside: tuple[str, ...], reason: str | None
) -> None:
    assert lacks(networks, *outside) == reason


def test_a_cluster_that_chooses_its_ranges_takes_any() -> None:
    needs = Needs(networks=Networks(pods=("10.0.0.0/8",)), outside=("192.168.0.0/16",))
    assert Capabilities("netns").lacks(needs) is None


def test_what_is_missing_is_said_before_the_ranges() -> None:
    needs = Needs(frozenset({"sctp"}), outside=("10.244.0.0/16",))
    assert Capabilities("mine", networks=FOUND).lacks(needs) == "cluster mine lacks feature sctp"


def test_ranges_are_summarized_by_family() -> None:
    found = summarized(["fd00::1", "10.244.1.0/24", "10.244.0.0/24", "10.244.0.7", "10.0.0.9"])
    assert found == ("10.0.0.9/32", "10.244.0.0/23", "fd00::1/128")
