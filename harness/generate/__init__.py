"""Scenarios that are generated: random policies over a fixture, with the oracle's tables.

``policies`` draws policies, ``changes`` the changes of later steps, and ``variants`` changes a
policy in one part. ``plan`` is a scenario before its tables. ``cases`` puts them together, and
``fixture`` writes them to a folder.
"""

from harness.generate.cases import Generator
from harness.generate.changes import Scope
from harness.generate.fixture import FixtureFile, fixture_file, write_cases

__all__ = ["FixtureFile", "Generator", "Scope", "fixture_file", "write_cases"]
