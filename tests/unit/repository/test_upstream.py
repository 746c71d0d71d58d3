"""docs/upstream.md: Kubernetes' own cases, and the scenarios that ask the same."""

from __future__ import annotations

import re
from pathlib import Path

from harness.report.shape import suite

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "upstream.md").read_text(encoding="utf-8")
PARTS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
CASES = {
    title: re.findall(r"^\| (should .*?) \| (.*?) \|", part, re.MULTILINE)
    for title, part in PARTS.items()
}


def test_every_case_is_there() -> None:
    # 45 without SCTP, which `[sig-network] Netpol` runs everywhere.
    assert {title: len(rows) for title, rows in CASES.items()} == {"TCP": 42, "UDP": 3, "SCTP": 3}
    assert all(len({case for case, _ in rows}) == len(rows) for rows in CASES.values())


def test_every_case_has_scenarios_of_conformance() -> None:
    paths = {
        f"{title}: {case}": re.findall(r"\]\(\.\./scenarios/(conformance/.*?\.yaml)\)", scenarios)
        for title, rows in CASES.items()
        for case, scenarios in rows
    }
    assert [case for case, found in paths.items() if not found] == []
    named = {path for found in paths.values() for path in found}
    assert sorted(path for path in named if not (ROOT / "scenarios" / path).is_file()) == []


# ------------------------------------------------------------------ policies in tiers

TIERS = TEXT.partition("## Policies in tiers")[2]
TESTS = re.findall(r"^\| (CNP\w+) \| (.*?) \|", TIERS, re.MULTILINE)


def test_every_conformance_test_of_the_tiers_is_there() -> None:
    of_rules = [f"{way}{protocol}" for way in ("Egress", "Ingress") for protocol in CASES]
    in_both = ["EgressInlineCIDRPeers", "EgressNamedPort", "EgressNodePeers", "Gress"]
    in_both += ["IngressNamedPort", *of_rules]
    names = {f"CNP{tier}Tier{name}" for tier in ("Admin", "Baseline") for name in in_both}
    names |= {"CNPAdminTierIntegration", "CNPAdminTierPriorityField"}
    assert [name for name, _ in TESTS] == sorted(names)
    assert len(TESTS) == 24


def test_every_conformance_test_of_the_tiers_has_scenarios() -> None:
    found = {name: re.findall(r"\(\.\./scenarios/(.*?)\)", row) for name, row in TESTS}
    assert [name for name, paths in found.items() if not paths] == []
    named = re.findall(r"\(\.\./scenarios/(.*?)\)", TIERS)
    assert [path for path in named if not path.startswith("tiers/")] == []
    assert sorted(path for path in named if not (ROOT / "scenarios" / path).is_file()) == []


def test_reports_name_the_scenarios_of_the_page() -> None:
    """``netpol report --conformance-shape --beside``."""
    page = {name: tuple(re.findall(r"\(\.\./(.*?)\)", row)) for name, row in TESTS}
    assert dict(suite()) == page
