"""When an outcome is the verdict that a cell expects, above all a REFUSED."""

from __future__ import annotations

import itertools

import pytest

from harness.errors import Location
from harness.model import (
    Cell,
    DeniesBy,
    Destination,
    Limitation,
    PodRef,
    Probe,
    ProbeError,
    Verdict,
    denials,
    is_rejected,
    satisfies,
)

ALLOWED, TIMEOUT, REFUSED = Verdict.ALLOWED, Verdict.TIMEOUT, Verdict.REFUSED
PROBE = Probe(PodRef("a", "x"), Destination(PodRef("a", "y"), 80))


def cell(expected: Verdict, stated: Verdict | None = None) -> Cell:
    limitation = None if stated is None else Limitation(stated, "it leaks")
    return Cell(PROBE, expected, Location("s.yaml", 1, 1), limitation=limitation)


def test_the_verdicts_that_a_policy_can_cause() -> None:
    assert denials("drop") == {TIMEOUT, Verdict.DNS}
    assert denials("reject") == {TIMEOUT, Verdict.DNS, REFUSED}


@pytest.mark.parametrize(
    ("asked", "denies_by", "connected", "counts"),
    [
        (cell(TIMEOUT), "reject", True, True),
        (cell(TIMEOUT), "reject", False, False),  # nothing may be listening
        (cell(TIMEOUT), "drop", True, False),
        (cell(REFUSED), "reject", True, True),  # nothing listens, as the author says
        (cell(REFUSED), "drop", False, True),
        (cell(ALLOWED), "reject", True, False),
        (cell(Verdict.DNS), "reject", True, False),
        # A known leak that is gone: the cluster denies as the author says.
        (cell(ALLOWED, stated=TIMEOUT), "reject", True, False),
        (cell(REFUSED, stated=TIMEOUT), "reject", True, False),
        (cell(REFUSED, stated=TIMEOUT), "drop", True, True),
        (cell(TIMEOUT, stated=ALLOWED), "reject", True, True),
    ],
)
def test_a_refusal_is_a_denial_where_the_cni_rejects_and_the_pair_was_seen_connecting(
    asked: Cell, denies_by: DeniesBy, connected: bool, counts: bool
) -> None:
    assert satisfies(asked, REFUSED, denies_by, connected) is counts
    says_timeout = TIMEOUT in {asked.expected, asked.stated}
    rejects = denies_by == "reject" and connected
    assert is_rejected(asked, REFUSED, denies_by, connected) is (says_timeout and rejects)


def test_every_other_outcome_must_be_the_expected_one() -> None:
    outcomes = [*[word for word in Verdict if word is not REFUSED], ProbeError("gone"), None]
    for outcome, expected in itertools.product(outcomes, Verdict):
        assert not is_rejected(cell(expected), outcome, "reject", True)
        assert satisfies(cell(expected), outcome, "reject", True) is (outcome is expected)
