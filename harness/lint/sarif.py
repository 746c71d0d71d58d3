"""Findings as SARIF 2.1.0, the form that code scanning reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import harness
from harness.errors import Location
from harness.lint.kinds import Kind, kinds
from harness.lint.values import Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_PAGE = "https://netpol-harness.github.io/netpol-harness/docs/lint.html"
_MOST_RESULTS = 5_000
"""Code scanning refuses a file with more than 25,000, and shows the first 5,000."""


def sarif(found: Sequence[Finding]) -> Mapping[str, object]:
    """Return a log with one run: all kinds as rules, and the findings as results."""
    rules = list(kinds().values())
    numbers = {rule.id: index for index, rule in enumerate(rules)}
    driver = {
        "name": "netpol",
        "version": harness.VERSION,
        "informationUri": _PAGE,
        "rules": [_rule(item) for item in rules],
    }
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(item, numbers[item.id]) for item in found[:_MOST_RESULTS]],
            }
        ],
    }


def _rule(kind: Kind) -> Mapping[str, object]:
    return {
        "id": kind.id,
        "shortDescription": {"text": kind.title},
        "fullDescription": {"text": kind.why},
        "help": {"text": kind.mend},
        "helpUri": f"{_PAGE}#{kind.id}",
        "defaultConfiguration": {"level": kind.level},
        "properties": {"tags": ["security", *kind.requirements]},
    }


def _result(item: Finding, index: int) -> Mapping[str, object]:
    hint = f"\nhint: {item.said.hint}" if item.said.hint else ""
    result: dict[str, object] = {
        "ruleId": item.id,
        "ruleIndex": index,
        "level": item.level,
        "message": {"text": f"{item.said.message}{hint}"},
        "locations": [_physical(item.place.location)],
        "partialFingerprints": {"primaryLocationLineHash": f"{item.fingerprint}:1"},
    }
    if item.said.related:
        result["relatedLocations"] = [
            {"id": number, "message": {"text": related.text}, **_physical(related.location)}
            for number, related in enumerate(item.said.related, 1)
        ]
    return result


def _physical(location: Location) -> Mapping[str, object]:
    path = Path(location.path)
    uri = path.as_uri() if path.is_absolute() else quote(path.as_posix())
    region = {"startLine": location.line, "startColumn": location.column}
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}
