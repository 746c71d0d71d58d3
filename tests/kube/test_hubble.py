"""What Hubble says about a probe, from flows as Cilium's agents print them."""

from __future__ import annotations

import json
from typing import Any

from harness.cluster.kube.hubble import is_about, is_listing, met
from harness.cluster.kube.listing import Met

A, B = "10.0.0.1", "10.0.0.2"


def flow(verdict: str, **more: Any) -> str:
    made = {
        "time": "2030-01-01T00:00:00.1Z",
        "verdict": verdict,
        "IP": {"source": A, "destination": B, "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 40000, "destination_port": 80, "flags": {"SYN": True}}},
        "source": {"namespace": "np-y", "pod_name": "a"},
        "destination": {"namespace": "np-x", "pod_name": "b"},
        "traffic_direction": "INGRESS",
    }
    return json.dumps({"flow": made | more, "node_name": "n1"}) + "\n"


DROPPED = flow("DROPPED", drop_reason_desc="POLICY_DENIED")
FORWARDED = flow(
    "FORWARDED",
    traffic_direction="EGRESS",
    egress_allowed_by=[{"name": "out", "namespace": "np-y"}, {"name": "all"}],
)


def test_a_dropped_flow_comes_first_with_its_reason_and_others_with_the_policies() -> None:
    assert met("", FORWARDED + DROPPED, {B}) == [
        Met("DROPPED (POLICY_DENIED), ingress: np-y/a -> np-x/b TCP 80", denies=True),
        Met("FORWARDED, egress: np-y/a -> np-x/b TCP 80; allowed by np-y/out, all"),
    ]


def test_only_new_flows_of_the_pods_count_and_no_replies() -> None:
    reply = flow("FORWARDED", is_reply=True)
    other = flow("DROPPED", IP={"source": "10.0.0.9", "destination": "10.0.0.8"})
    assert met(DROPPED, DROPPED + reply + other + "not JSON\n[1]\n", {A}) == []
    later = flow("DROPPED", time="2030-01-01T00:00:01Z", drop_reason_desc="POLICY_DENIED")
    assert [item.denies for item in met(DROPPED, DROPPED + later + later, {A})] == [True]


def test_an_end_that_is_no_pod_is_an_address_and_many_flows_are_cut() -> None:
    outside = flow("AUDIT", destination={"labels": ["reserved:world"]}, l4={})
    assert met("", outside, {A}) == [Met(f"AUDIT, ingress: np-y/a -> {B}")]
    many = "".join(flow("FORWARDED", l4={"UDP": {"destination_port": port}}) for port in range(11))
    assert met("", many, {A})[-2:] == [
        Met("FORWARDED, ingress: np-y/a -> np-x/b UDP 7"),
        Met("and 3 more flows"),
    ]


def test_what_is_no_listing_and_what_is_about_others() -> None:
    assert not is_listing("failed to connect\n{}\n")
    assert is_listing(DROPPED)
    assert is_about(DROPPED, {A})
    assert is_about(DROPPED, {B})
    assert not is_about(DROPPED, {"10.0.0.3"})
