"""Ordered layers of clauses, with tiers as the API's authors have them: no policies, no State."""

from __future__ import annotations

import pytest

from harness.model import Family, Protocol
from harness.oracle.layers import Action, Clause, Layer, Match, Rank, decide
from harness.oracle.rulings import Judgement, Ruling
from harness.oracle.topology import AskedPort, Flow, Party

FLOW = Flow(Party("x/a"), Party("y/b"), AskedPort(80, Protocol.TCP, Family.V4))
YES, NO, OPEN = Match(True, "it matches"), Match(False, "it differs"), Match(None, "who knows")


def rule(action: Action, match: Match, label: str = "rule") -> Clause:
    return Clause(action, lambda _: match, label)


def layer(*clauses: Clause, name: str = "tier") -> Layer:
    return Layer(f"{name}:", (Rank((clauses,)),), "nothing decides")


ALLOW, DENY, PASS = Action.ALLOW, Action.DENY, Action.PASS
ISOLATED = Clause(DENY, lambda flow: Match(True, f"no rule allows {flow}"))


def test_no_layer_allows() -> None:
    assert decide([], FLOW) == Judgement(Ruling.ALLOWED)


def test_the_first_match_of_a_layer_decides() -> None:
    first = layer(rule(DENY, NO), rule(ALLOW, YES, "second"), rule(DENY, YES), ISOLATED)
    assert decide([first], FLOW) == Judgement(
        Ruling.ALLOWED, ("tier: allowed by second: it matches",)
    )


def test_a_written_denial_stands_before_an_allowance_below() -> None:
    admin = layer(rule(DENY, YES, "admin"))
    below = layer(rule(ALLOW, YES), ISOLATED)
    assert decide([admin, below], FLOW) == Judgement(
        Ruling.DENIED, ("tier: denied by admin: it matches",)
    )


def test_the_last_clause_says_why_those_before_do_not_match() -> None:
    isolated = layer(rule(ALLOW, NO, "one"), rule(ALLOW, NO, "two"), ISOLATED)
    assert decide([isolated], FLOW) == Judgement(
        Ruling.DENIED,
        (
            "tier: no rule allows x/a -> y/b on TCP 80",
            "  one: it differs",
            "  two: it differs",
        ),
    )


@pytest.mark.parametrize(
    ("clauses", "reason"),
    [
        ([rule(PASS, YES, "admin"), rule(DENY, YES)], "tier: passed on by admin: it matches"),
        ([rule(DENY, NO)], "tier: nothing decides"),
        ([], "tier: nothing decides"),
    ],
    ids=["pass", "no match", "no clause"],
)
def test_what_a_layer_passes_on_the_next_one_decides(clauses: list[Clause], reason: str) -> None:
    below = layer(rule(ALLOW, NO), ISOLATED, name="below")
    found = decide([layer(*clauses), below], FLOW)
    assert found.ruling is Ruling.DENIED
    assert found.reasons[:2] == (reason, "below: no rule allows x/a -> y/b on TCP 80")


def test_what_no_layer_decides_is_allowed() -> None:
    found = decide([layer(rule(DENY, NO)), layer(name="below")], FLOW)
    assert found == Judgement(Ruling.ALLOWED, ("tier: nothing decides", "below: nothing decides"))


@pytest.mark.parametrize(
    ("clauses", "below", "ruling"),
    [
        ([rule(ALLOW, OPEN), rule(ALLOW, YES)], [], Ruling.ALLOWED),
        ([rule(ALLOW, OPEN), ISOLATED], [], Ruling.UNDEFINED),
        ([rule(DENY, OPEN), ISOLATED], [], Ruling.DENIED),
        ([rule(DENY, OPEN), rule(ALLOW, YES)], [], Ruling.UNDEFINED),
        ([rule(ALLOW, OPEN)], [], Ruling.ALLOWED),
        ([rule(DENY, OPEN)], [], Ruling.UNDEFINED),
        ([rule(DENY, OPEN)], [ISOLATED], Ruling.DENIED),
        ([rule(PASS, OPEN), rule(DENY, YES)], [ISOLATED], Ruling.DENIED),
        ([rule(PASS, OPEN), rule(DENY, YES)], [rule(ALLOW, YES)], Ruling.UNDEFINED),
        ([rule(PASS, YES)], [rule(ALLOW, OPEN), ISOLATED], Ruling.UNDEFINED),
    ],
)
def test_both_readings_of_an_open_match_must_agree(
    clauses: list[Clause], below: list[Clause], ruling: Ruling
) -> None:
    assert decide([layer(*clauses), layer(*below, name="below")], FLOW).ruling is ruling


def test_an_open_match_that_decides_is_named() -> None:
    found = decide([layer(rule(ALLOW, OPEN, "one"), rule(ALLOW, NO, "two"), ISOLATED)], FLOW)
    assert found == Judgement(
        Ruling.UNDEFINED,
        (
            "tier: it cannot be decided whether a rule allows x/a -> y/b on TCP 80",
            "  one: who knows",
        ),
        "one: who knows",
    )
