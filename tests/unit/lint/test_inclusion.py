"""Whether a selector, a peer, a port or a rule includes another."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.lint.inclusion import implies, is_impossible, peer_in, port_in, rule_in
from harness.model import Protocol
from harness.oracle import selects
from harness.policy import IPBlock, LabelSelector, Operator, Peer, PolicyPort, Requirement, Rule

KEYS = ("a", "b")
VALUES = ("x", "y", "z")
LABELLINGS = [
    {key: value for key, value in zip(KEYS, values, strict=True) if value}
    for values in itertools.product(("", *VALUES, "other"), repeat=len(KEYS))
]


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    operator = draw(st.sampled_from(Operator))
    has_values = operator in {Operator.IN, Operator.NOT_IN}
    values = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=2)) if has_values else ()
    return Requirement(draw(st.sampled_from(KEYS)), operator, tuple(values))


selectors = st.lists(requirements(), max_size=3).map(lambda terms: LabelSelector(tuple(terms)))


@settings(max_examples=60, deadline=None)
@given(selectors, selectors)
def test_implication_is_inclusion_of_all_labels(one: LabelSelector, other: LabelSelector) -> None:
    mine = [labels for labels in LABELLINGS if selects(one, labels)]
    assert implies(one, other) == all(selects(other, labels) for labels in mine)


@settings(max_examples=60, deadline=None)
@given(selectors)
def test_an_impossible_selector_meets_no_labels(selector: LabelSelector) -> None:
    assert is_impossible(selector) != any(selects(selector, labels) for labels in LABELLINGS)


def test_a_selector_of_very_many_values_takes_little_time() -> None:
    many = Requirement("a", Operator.IN, tuple(map(str, range(100_000))))
    before = time.process_time()
    assert not implies(LabelSelector((many,)), LabelSelector((Requirement("a", Operator.EXISTS),)))
    assert not is_impossible(LabelSelector((many,)))
    assert time.process_time() - before < 1


def named(**labels: str) -> LabelSelector:
    return LabelSelector(tuple(Requirement(k, Operator.IN, (v,)) for k, v in labels.items()))


ALL = LabelSelector()
HOME = LabelSelector((Requirement("kubernetes.io/metadata.name", Operator.IN, ("shop",)),))


@pytest.mark.parametrize(
    ("one", "other", "is_in"),
    [
        (Peer(named(a="x")), Peer(ALL), True),
        (Peer(ALL), Peer(named(a="x")), False),
        (Peer(named(a="x")), Peer(None, ALL), True),
        (Peer(named(a="x")), Peer(None, HOME), True),
        (Peer(None, HOME), Peer(ALL), True),
        (Peer(None, ALL), Peer(ALL), False),
        (Peer(ALL), Peer(None, named(team="a")), False),
        (Peer(None, named(a="x")), Peer(None, ALL), True),
        (Peer(ip_block=IPBlock("10.0.0.0/24")), Peer(ip_block=IPBlock("10.0.0.0/8")), True),
        (Peer(ip_block=IPBlock("10.0.0.0/8")), Peer(ip_block=IPBlock("10.0.0.0/24")), False),
        (
            Peer(ip_block=IPBlock("10.0.0.0/24")),
            Peer(ip_block=IPBlock("10.0.0.0/8", ("10.0.0.0/25",))),
            False,
        ),
        (
            Peer(ip_block=IPBlock("10.0.0.0/24", ("10.0.0.0/25",))),
            Peer(ip_block=IPBlock("10.0.0.0/8", ("10.0.0.0/26", "10.9.0.0/16"))),
            True,
        ),
        (Peer(ip_block=IPBlock("10.0.0.0/24")), Peer(None, ALL), False),
        (Peer(ip_block=IPBlock("$(cidr:pods)")), Peer(ip_block=IPBlock("0.0.0.0/0")), False),
        (Peer(ip_block=IPBlock("10.0.0.0/24")), Peer(ip_block=IPBlock("::/0")), False),
    ],
    ids=str,
)
def test_a_peer_in_another(one: Peer, other: Peer, is_in: bool) -> None:
    assert peer_in(one, other, "shop") is is_in


@pytest.mark.parametrize(
    ("one", "other", "is_in"),
    [
        (PolicyPort(port=80), PolicyPort(), True),
        (PolicyPort(), PolicyPort(port=80), False),
        (PolicyPort(port=80), PolicyPort(port=79, end_port=80), True),
        (PolicyPort(port=79, end_port=80), PolicyPort(port=80), False),
        (PolicyPort(port="http"), PolicyPort(port="http"), True),
        (PolicyPort(port="http"), PolicyPort(port=80), False),
        (PolicyPort(Protocol.UDP, 80), PolicyPort(port=80), False),
    ],
    ids=str,
)
def test_a_port_in_another(one: PolicyPort, other: PolicyPort, is_in: bool) -> None:
    assert port_in(one, other) is is_in


PEER = Peer(named(a="x"))
PORT = PolicyPort(port=80)


@pytest.mark.parametrize(
    ("one", "other", "is_in"),
    [
        (Rule((PEER,), (PORT,)), Rule(), True),
        (Rule(), Rule((PEER,)), False),
        (Rule((PEER,)), Rule((PEER,), (PORT,)), False),
        (Rule((PEER,), (PORT,)), Rule((Peer(ALL),), (PolicyPort(),)), True),
        (Rule((PEER, Peer(None, ALL))), Rule((PEER,)), False),
        (Rule((PEER,), (PORT, PolicyPort(port=81))), Rule((PEER,), (PORT,)), False),
    ],
    ids=["all", "less peers", "less ports", "wider", "one peer more", "one port more"],
)
def test_a_rule_in_another(one: Rule, other: Rule, is_in: bool) -> None:
    assert rule_in(one, other, "shop") is is_in
