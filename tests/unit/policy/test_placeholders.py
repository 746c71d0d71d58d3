"""Addresses in manifests that only the cluster knows."""

from __future__ import annotations

import json

import pytest

from harness.model import Family, Manifest, NodeRef, PodRef
from harness.policy import Everybody, Placeholder, faults, filled, placeholder, placeholders

V4, V6 = Family.V4, Family.V6
POD, NODE, PODS = PodRef("y", "a"), NodeRef(2), Everybody.PODS


def policy(*blocks: object) -> Manifest:
    document = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "x"},
        "spec": {"ingress": [{"from": [{"ipBlock": block} for block in blocks]}]},
    }
    assert faults(document) == ()
    text = json.dumps(document)
    return Manifest("networking.k8s.io/v1", "NetworkPolicy", "x", "p", text)


@pytest.mark.parametrize(
    ("block", "meant"),
    [
        ("$(ip:y/a)/32", Placeholder(POD, V4)),
        ("$(ip6:y/a)/128", Placeholder(POD, V6)),
        ("$(ip:node/2)/32", Placeholder(NODE, V4)),
        ("$(ip:y/a.v2)/32", Placeholder(PodRef("y", "a.v2"), V4)),
        ("$(ip6:node/2)/128", Placeholder(NODE, V6)),
        ("$(cidr:pods)", Placeholder(PODS, V4)),
        ("$(cidr6:pods)", Placeholder(PODS, V6)),
        ("10.0.0.0/8", None),
    ],
)
def test_a_block_is_a_placeholder_or_written_out(block: str, meant: Placeholder | None) -> None:
    assert placeholder(block) == meant
    assert meant is None or meant.as_block == block
    assert list(placeholders(policy({"cidr": block}))) == ([] if meant is None else [meant])


@pytest.mark.parametrize(
    ("block", "excepted"),
    [
        ("0.0.0.0/0", "$(ip:y/a)/32"),
        ("0.0.0.0/0", "$(ip:node/2)/32"),
        ("0.0.0.0/0", "$(cidr:pods)"),
        ("$(cidr:pods)", "$(ip:y/a)/32"),
        ("::/0", "$(ip6:y/a)/128"),
        ("$(cidr6:pods)", "$(ip6:y/a)/128"),
    ],
)
def test_an_exception_is_surely_in_its_block(block: str, excepted: str) -> None:
    policy({"cidr": block, "except": [excepted]})


def test_each_placeholder_is_filled_in() -> None:
    written = policy(
        {"cidr": "0.0.0.0/0", "except": ["$(ip:y/a)/32", "$(ip:node/2)/32"]},
        {"cidr": "$(cidr6:pods)"},
        {"cidr": "10.1.0.0/16"},
    )
    known = {
        Placeholder(POD, V4): "10.244.1.7",
        Placeholder(NODE, V4): "172.18.0.3",
        Placeholder(PODS, V6): "fd00:244::/48",
    }
    assert filled(written, known.__getitem__) == policy(
        {"cidr": "0.0.0.0/0", "except": ["10.244.1.7/32", "172.18.0.3/32"]},
        {"cidr": "fd00:244::/48"},
        {"cidr": "10.1.0.0/16"},
    )


def test_without_placeholders_nothing_is_asked_for() -> None:
    written = policy({"cidr": "10.1.0.0/16"})
    known: dict[Placeholder, str] = {}
    assert filled(written, known.__getitem__) is written
