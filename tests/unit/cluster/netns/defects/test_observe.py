"""What the CNI believes with each defect of the part observe, against what is true.

The rules are compiled for what is believed; sources and destinations have their true addresses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from harness import catalogue
from harness.catalogue import Effect, Stage
from harness.cluster.netns.addresses import Addresses, allocate, with_implied
from harness.cluster.netns.compiler.layers import pod_rules
from harness.cluster.netns.defects import DEFECTS
from harness.cluster.netns.parts import PARTS, Observe, Snapshot
from harness.model import CompletedPod, External, Labels, Manifest, Namespace, Pod, PodRef, State
from tests.worlds import network_policy, passes

OFFICE, BRANCH = "10.10.0.5", "10.10.1.5"
NODE_2 = allocate(State("defects")).nodes[2][0]
X, Y = Namespace("x", Labels({"ns": "x"})), Namespace("y", Labels({"ns": "y"}))


def pod(ref: str, incarnation: int = 0, **labels: str) -> Pod:
    namespace, name = ref.split("/")
    return Pod(namespace, name, Labels({"pod": name, **labels}), incarnation=incarnation)


PODS = (pod("x/a"), pod("x/b"), pod("y/a"))


def state(
    *policies: Manifest,
    pods: Iterable[Pod] = PODS,
    namespaces: Iterable[Namespace] = (X, Y),
    completed: Iterable[CompletedPod] = (),
) -> State:
    externals = (External("office", (OFFICE,)), External("branch", (BRANCH,)))
    return with_implied(
        State(
            "defects",
            tuple(namespaces),
            tuple(pods),
            externals=externals,
            policies=policies,
            completed=tuple(completed),
        )
    )


def policy(name: str, subject: dict[str, str], *peers: dict[str, Any]) -> Manifest:
    """A policy of namespace x for ingress from these peers."""
    rules = [{"from": [*peers]}] if peers else []
    spec = {"podSelector": {"matchLabels": subject}, "policyTypes": ["Ingress"], "ingress": rules}
    return network_policy(spec, "x", name)


def role(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {}, "podSelector": {"matchLabels": {"role": name}}}


def block(address: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": f"{address}/32"}}


A = {"pod": "a"}
FROM_Y = {"namespaceSelector": {"matchLabels": {"ns": "y"}}}
FROM_BLUE = {"namespaceSelector": {"matchLabels": {"team": "blue"}}}
BLUE, RED = (Namespace("y", Labels({"ns": "y", "team": team})) for team in ("blue", "red"))
DENY_A = policy("p", A)
ALLOW_A = policy("p", A, FROM_Y)


@dataclass(frozen=True, slots=True)
class Row:
    """What a defect does, after these States one after the other, to one connection to port 80."""

    defect: str
    effect: Effect
    states: tuple[State, ...]
    source: str
    destination: str = "x/a"


OPENS, CLOSES = Effect.OPENS, Effect.CLOSES
CLIENT, PLAIN = pod("y/a", role="client"), pod("y/a")
SUBJECT = (pod("x/a", kept="yes"), pod("y/a"))
ROWS = (
    Row(
        "pod-labels-frozen",
        CLOSES,
        tuple(
            state(policy("p", A, role("client")), pods=(pod("x/a"), client))
            for client in (PLAIN, CLIENT)
        ),
        "y/a",
    ),
    Row(
        "pod-labels-frozen",
        OPENS,
        (state(policy("p", {"kept": "yes"})), state(policy("p", {"kept": "yes"}), pods=SUBJECT)),
        "y/a",
    ),
    Row(
        "namespace-labels-frozen",
        CLOSES,
        tuple(state(policy("p", A, FROM_BLUE), namespaces=(X, y)) for y in (RED, BLUE)),
        "y/a",
    ),
    Row(
        "namespace-labels-frozen",
        OPENS,
        tuple(state(policy("p", A, FROM_BLUE), namespaces=(X, y)) for y in (BLUE, RED)),
        "y/a",
    ),
    Row("update-ignored", CLOSES, (state(DENY_A), state(ALLOW_A)), "y/a"),
    Row("update-ignored", OPENS, (state(ALLOW_A), state(DENY_A)), "y/a"),
    Row("isolation-sticks", CLOSES, (state(ALLOW_A), state()), "y/a"),
    Row(
        "shared-set-freed",
        CLOSES,
        (
            state(ALLOW_A, policy("q", {"pod": "b"}, FROM_Y)),
            state(policy("q", {"pod": "b"}, FROM_Y)),
        ),
        "y/a",
        "x/b",
    ),
    Row(
        "direction-leak",
        CLOSES,
        (state(ALLOW_A, policy("q", A)), state(policy("q", A))),
        "x/a",
        "y/a",
    ),
    Row(
        "blocks-append-only",
        OPENS,
        tuple(state(policy("p", A, block(address))) for address in (OFFICE, BRANCH)),
        OFFICE,
    ),
    Row(
        "namespace-rules-kept",
        CLOSES,
        (state(DENY_A), state(namespaces=(Namespace("x", X.labels, 1), Y))),
        "y/a",
    ),
    Row(
        "namespace-rules-kept",
        OPENS,
        (state(ALLOW_A), state(policy("q", A), namespaces=(Namespace("x", X.labels, 1), Y))),
        "y/a",
    ),
    Row(
        "pods-at-policy-events",
        CLOSES,
        (state(ALLOW_A), state(ALLOW_A, pods=(*PODS, pod("y/late")))),
        "y/late",
    ),
    Row(
        "address-change-ignored",
        CLOSES,
        (state(ALLOW_A), state(ALLOW_A, pods=(pod("x/a"), pod("y/a", 1)))),
        "y/a",
    ),
    Row(
        "address-change-ignored",
        OPENS,
        (state(DENY_A), state(DENY_A, pods=(pod("x/a", 1), pod("y/a")))),
        "y/a",
    ),
    *(
        Row(
            "ip-owner-stale",
            effect,
            tuple(
                state(
                    policy("p", A, role("client")),
                    pods=(*PODS, *late),
                    completed=(CompletedPod("y", "job", Labels({"role": before})),),
                )
                for late in ((), (pod("y/late", role=now),))
            ),
            "y/late",
        )
        for effect, before, now in ((OPENS, "client", "other"), (CLOSES, "other", "client"))
    ),
    Row(
        "events-reordered",
        CLOSES,
        (state(ALLOW_A), state(ALLOW_A, pods=(pod("x/a"), pod("y/a", 1)))),
        "y/a",
    ),
    Row(
        "events-reordered",
        OPENS,
        (state(DENY_A), *[state(DENY_A, pods=(pod("x/a", 1), pod("y/a")))] * 2),
        "y/a",
    ),
    Row("node-address-exception", OPENS, (state(DENY_A),), NODE_2),
    Row("odd-names-skipped", OPENS, (state(policy("1.deny", A)),), "y/a"),
)


def connects(observe: Observe, row: Row) -> bool:
    """Whether the rules for the last State let the connection pass."""
    addresses: Addresses | None = None
    believed: Snapshot | None = None
    for there in row.states:
        addresses = allocate(there, addresses)
        believed = observe(believed, Snapshot(there, addresses))
    assert addresses
    assert believed
    source, destination = (
        addresses.pods[PodRef(*end.split("/"))][0] if "/" in end else end
        for end in (row.source, row.destination)
    )
    rules = pod_rules(believed.state, believed.addresses)
    return passes(rules, source, destination, "80/TCP")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.defect}-{row.effect}")
def test_a_defect_opens_or_closes_what_the_right_code_does_not(row: Row) -> None:
    opened = row.effect is Effect.OPENS
    assert connects(DEFECTS[row.defect].parts.observe, row) is opened
    assert connects(PARTS.observe, row) is not opened


def test_every_defect_of_belief_has_rows_for_its_effect() -> None:
    shown = {name: {row.effect for row in ROWS if row.defect == name} for name in DEFECTS}
    for entry in catalogue.defects().values():
        if entry.name and entry.stage is Stage.OBSERVE:
            both = entry.effect is Effect.BOTH
            assert shown[entry.name] == ({OPENS, CLOSES} if both else {entry.effect}), entry.name
