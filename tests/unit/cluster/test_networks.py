"""Whether a cluster's address ranges are those that a scenario is about."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from harness.cluster import Capabilities
from harness.cluster.networks import block_of_pods, summarized
from harness.model import (
    ContainerPort,
    Destination,
    Family,
    Manifest,
    Namespace,
    Needs,
    Networks,
    NodeRef,
    Pod,
    PodRef,
    Probe,
    State,
)
from harness.oracle import Facts, Judge
from harness.oracle.rulings import Ruling

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


OWN = Networks(pods=("10.244.0.0/16",), nodes=("172.18.0.0/24",))


def said(block: str, to: PodRef | NodeRef, networks: Networks, *features: str) -> object:
    """Return the ruling on egress of x/a to a pod or a node under one ipBlock."""
    rule = {"to": [{"ipBlock": yaml.safe_load(block)}]}
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}
    item = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": spec}
    policy = Manifest(
        "networking.k8s.io/v1", "NetworkPolicy", "x", "p",
        json.dumps(item | {"metadata": {"name": "p", "namespace": "x"}}),
    )  # fmt: skip
    pods = (Pod("x", "a", node=1), Pod("x", "b", ports=(ContainerPort(80),), node=2))
    state = State("s", (Namespace("x"),), pods, policies=(policy,), networks=networks)
    judge = Judge(state, Facts(frozenset(features)))
    return judge.predict(Probe(PodRef("x", "a"), Destination(to, 80))).judgement.ruling


@pytest.mark.parametrize(
    ("block", "pod", "pod_with_feature", "node"),
    [
        ("{cidr: 10.0.0.0/8}", Ruling.UNDEFINED, Ruling.ALLOWED, Ruling.DENIED),
        ("{cidr: 10.244.0.0/16}", Ruling.UNDEFINED, Ruling.ALLOWED, Ruling.DENIED),
        ("{cidr: 10.244.3.0/24}", Ruling.UNDEFINED, Ruling.UNDEFINED, Ruling.DENIED),
        ("{cidr: 192.168.0.0/16}", Ruling.DENIED, Ruling.DENIED, Ruling.DENIED),
        (
            "{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}",
            Ruling.DENIED,
            Ruling.DENIED,
            Ruling.UNDEFINED,
        ),
        (
            "{cidr: 0.0.0.0/0, except: [10.244.9.0/24]}",
            Ruling.UNDEFINED,
            Ruling.UNDEFINED,
            Ruling.UNDEFINED,
        ),
        ("{cidr: 172.16.0.0/12}", Ruling.DENIED, Ruling.DENIED, Ruling.UNDEFINED),
        ("{cidr: 'fd00::/8'}", Ruling.DENIED, Ruling.DENIED, Ruling.DENIED),
    ],
)
def test_blocks_are_compared_with_the_ranges_that_a_scenario_sets(
    block: str, pod: Ruling, pod_with_feature: Ruling, node: Ruling
) -> None:
    """R65: matching a pod or a node needs the feature; not matching it does not."""
    assert said(block, PodRef("x", "b"), OWN) is pod
    assert said(block, PodRef("x", "b"), OWN, "ipblock-pod-ip") is pod_with_feature
    assert said(block, NodeRef(2), OWN) is node


def test_without_ranges_of_the_scenario_nothing_is_known_of_a_block() -> None:
    assert said("{cidr: 10.0.0.0/8}", PodRef("x", "b"), Networks()) is Ruling.UNDEFINED
    feature = "ipblock-pod-ip"
    assert said("{cidr: 10.0.0.0/8}", PodRef("x", "b"), Networks(), feature) is Ruling.UNDEFINED


# ------------------------------------------------------------------ the block of all pods


def test_the_block_of_pods_is_the_smallest_that_holds_their_ranges() -> None:
    assert block_of_pods(FOUND, Family.V4) == "10.244.0.0/22"
    assert block_of_pods(FOUND, Family.V6) == "fd00:10:244::/56"
    assert block_of_pods(Networks(), Family.V4) is None


@pytest.mark.parametrize(
    ("found", "family", "reason"),
    [
        (FOUND, Family.V4, None),
        (FOUND, Family.V6, None),
        (
            Networks(pods=("10.244.1.0/24",)),
            Family.V6,
            "cluster mine does not tell its IPv6 range of pods, which a policy names",
        ),
        (
            Networks(pods=("10.10.0.0/24", "10.10.2.0/24"), nodes=("10.10.1.4/32",)),
            Family.V4,
            "cluster mine has pods in 10.10.0.0/22, where also nodes are (10.10.1.4/32); a "
            "policy names all pods",
        ),
        (
            Networks(pods=("10.10.0.0/24", "10.80.0.0/24"), services=("10.96.0.0/16",)),
            Family.V4,
            "cluster mine has pods in 10.0.0.0/9, where also Services are (10.96.0.0/16); a "
            "policy names all pods",
        ),
        (
            Networks(pods=("10.30.0.0/24", "10.31.0.0/24")),
            Family.V4,
            "cluster mine has pods in 10.30.0.0/15, where also hosts are (10.30.1.10/32); a "
            "policy names all pods",
        ),
    ],
)
def test_a_block_of_all_pods_must_hold_pods_only(
    found: Networks, family: Family, reason: str | None
) -> None:
    needs = Needs(outside=("10.30.1.10/32",), pod_blocks=frozenset({family}))
    assert Capabilities("mine", networks=found).lacks(needs) == reason
    assert (
        Capabilities("mine", networks=found).lacks(replace(needs, pod_blocks=frozenset())) is None
    )
