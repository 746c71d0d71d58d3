"""Scenarios that are generated: random policies over a fixture, with the oracle's tables.

``policies`` draws NetworkPolicies, ``tiers`` policies in tiers, ``changes`` the changes of later
steps, and ``variants`` changes a policy in one part. ``plan`` is a scenario before its tables.
``cases`` puts them together, and ``fixture`` writes them to a folder. ``fuzz`` tries cases on a
cluster (``trial``), and makes those that fail small (``shrink``).
"""

from harness.generate.cases import Generator
from harness.generate.changes import Scope
from harness.generate.draw import TIER_KIND
from harness.generate.fixture import FixtureFile, fixture_file, write_cases
from harness.generate.fuzz import Finding, Fuzz, Tally
from harness.generate.shrink import shrunk
from harness.generate.trial import Bench, Trial, Wrong

__all__ = [
    "TIER_KIND",
    "Bench",
    "Finding",
    "FixtureFile",
    "Fuzz",
    "Generator",
    "Scope",
    "Tally",
    "Trial",
    "Wrong",
    "fixture_file",
    "shrunk",
    "write_cases",
]
