"""Ordered layers of clauses: what a second and a third kind of policy would do to a pod."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from harness.cluster.netns.addresses import allocate, with_implied
from harness.cluster.netns.compiler.layers import LayersOf, network_policy, pod_rules
from harness.cluster.netns.compiler.stages import Stages
from harness.cluster.netns.compiler.tier_stages import Ends
from harness.cluster.netns.compiler.values import Action, AddressSet, Clause, Layer
from harness.cluster.netns.parts import PARTS, Snapshot
from harness.model import Labels, Manifest, Namespace, Pod, PodRef, Protocol, State
from harness.policy import Direction, Policy
from tests import worlds

SERVER, FRIEND, STRANGER = PodRef("x", "server"), PodRef("x", "friend"), PodRef("x", "stranger")


def state(*policies: Manifest) -> State:
    pods = tuple(
        Pod("x", ref.name, Labels({"pod": ref.name})) for ref in (SERVER, FRIEND, STRANGER)
    )
    return with_implied(State("layers", (Namespace("x"),), pods, policies=policies))


FRIENDS_ONLY = worlds.network_policy(
    {
        "podSelector": {"matchLabels": {"pod": "server"}},
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"pod": "friend"}}}]}],
    },
    "x",
    "friends-only",
)
FREE = state()
ISOLATED = state(FRIENDS_ONLY)
ADDRESSES = allocate(FREE)
FRIENDS = AddressSet.of(ADDRESSES.pods[FRIEND])


def tier(*clauses: Clause) -> LayersOf:
    """A kind of policy with the same clauses in every State, for ingress of the server."""

    def layers_of(
        stages: Stages, policies: Sequence[Policy], direction: Direction, ends: Ends
    ) -> Mapping[PodRef, Layer]:
        return {SERVER: clauses} if direction is Direction.INGRESS else {}

    return layers_of


def clause(
    action: Action, peers: AddressSet | None = None, protocol: Protocol | None = None
) -> Clause:
    return Clause(action, f"{action.name.lower()}", peers, protocol)


ALLOW_ALL, DENY_ALL, PASS_ALL = (clause(action) for action in Action)
DENY_FRIENDS = clause(Action.DENY, FRIENDS)
PASS_FRIENDS = clause(Action.PASS, FRIENDS)
ALLOW_FRIENDS = clause(Action.ALLOW, FRIENDS)

CASES: dict[str, tuple[tuple[LayersOf, ...], State, set[PodRef]]] = {
    "NetworkPolicy alone": ((network_policy,), ISOLATED, {FRIEND}),
    "a denial before it wins": ((tier(DENY_FRIENDS), network_policy), ISOLATED, set()),
    "a denial of one peer denies no other": (
        (tier(DENY_FRIENDS), network_policy),
        FREE,
        {STRANGER},
    ),
    "an allowance before it wins": (
        (tier(ALLOW_ALL), network_policy),
        ISOLATED,
        {FRIEND, STRANGER},
    ),
    "passed on to it before a denial": (
        (tier(PASS_FRIENDS, DENY_ALL), network_policy),
        ISOLATED,
        {FRIEND},
    ),
    "passed on, and it denies": ((tier(PASS_ALL, ALLOW_ALL), network_policy), ISOLATED, {FRIEND}),
    "the first clause of a layer decides": ((tier(DENY_FRIENDS, ALLOW_ALL),), FREE, {STRANGER}),
    "the first clause, in the other order": (
        (tier(ALLOW_ALL, DENY_FRIENDS),),
        FREE,
        {FRIEND, STRANGER},
    ),
    "an isolated pod never reaches the layer after": (
        (network_policy, tier(DENY_FRIENDS)),
        ISOLATED,
        {FRIEND},
    ),
    "a pod that is not isolated reaches the layer after": (
        (network_policy, tier(DENY_FRIENDS)),
        FREE,
        {STRANGER},
    ),
    "what no layer decides is allowed": (
        (tier(PASS_ALL), network_policy, tier(PASS_FRIENDS)),
        FREE,
        {FRIEND, STRANGER},
    ),
    "passed over the layer in between, to the last": (
        (tier(PASS_FRIENDS, DENY_ALL), network_policy, tier(DENY_FRIENDS)),
        FREE,
        set(),
    ),
    "an empty layer decides nothing": ((tier(), network_policy), ISOLATED, {FRIEND}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_clause_that_matches_decides(name: str) -> None:
    layers, there, expected = CASES[name]
    rules = pod_rules(there, ADDRESSES, layers=layers)
    server = ADDRESSES.pods[SERVER][0]
    passed = {
        source
        for source in (FRIEND, STRANGER)
        if worlds.passes(rules, ADDRESSES.pods[source][0], server, "80/TCP")
    }
    assert passed == expected


CHAINS = """\
chain ingress_46a8246b16cc {
  ip saddr @peers4_d654d8ffac19 return comment "x/friends-only ingress[0]"
  ip6 saddr @peers6_76dbdc40beab return comment "x/friends-only ingress[0]"
  counter drop comment "isolated by x/friends-only"
}
chain ingress_413686cd4e66 {
  ip saddr @peers4_d654d8ffac19 udp dport 0-65535 counter drop comment "deny"
  ip6 saddr @peers6_76dbdc40beab udp dport 0-65535 counter drop comment "deny"
  ip saddr @peers4_d654d8ffac19 goto ingress_46a8246b16cc comment "pass"
  ip6 saddr @peers6_76dbdc40beab goto ingress_46a8246b16cc comment "pass"
  goto ingress_46a8246b16cc
}
map ingress4 {
  type ipv4_addr : verdict
  elements = { 100.64.0.16 : jump ingress_413686cd4e66 }
}
map ingress6 {
  type ipv6_addr : verdict
  elements = { fd64::10 : jump ingress_413686cd4e66 }
}
"""


def test_a_layer_is_a_chain_that_goes_to_the_next() -> None:
    """It is made after that one, and the maps that lead to it are made last."""
    denied = clause(Action.DENY, FRIENDS, Protocol.UDP)
    layers = (tier(denied, PASS_FRIENDS), network_policy)
    table = replace(PARTS, layers=layers).policy_tables(Snapshot(ISOLATED, ADDRESSES))[1]
    order = [block.word for block in table.used]
    used = [block for block in table.used[order.index("chain") :] if block.items]
    assert "".join(f"{block.text}\n" for block in used) == CHAINS
