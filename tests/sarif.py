"""What SARIF 2.1.0 asks of the parts that lint writes, in words of our own.

A part is described by its keys: which are required, and what their values are. Other keys are
faults, except in ``properties``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Check = Callable[[object, str], Iterator[str]]
"""Yields what is wrong with a value; the text says where it is."""


@dataclass(frozen=True)
class Part:
    """An object of a log: the checks of its keys."""

    required: Mapping[str, Check]
    optional: Mapping[str, Check] = field(default_factory=dict)

    def __call__(self, value: object, place: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{place} is no object"
            return
        known = {**self.required, **self.optional}
        yield from (f"{place}.{key} is missing" for key in self.required if key not in value)
        for key, item in value.items():
            if key in known:
                yield from known[key](item, f"{place}.{key}")
            else:
                yield f"{place}.{key} is not known"


def _matching(pattern: str, what: str) -> Check:
    def check(value: object, place: str) -> Iterator[str]:
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.DOTALL):
            yield f"{place} is not {what}: {value!r}"

    return check


def _number(least: int) -> Check:
    def check(value: object, place: str) -> Iterator[str]:
        if type(value) is not int or value < least:
            yield f"{place} is no number of at least {least}: {value!r}"

    return check


def _list(of: Check, is_set: bool = False) -> Check:
    def check(value: object, place: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{place} is no list"
            return
        for number, item in enumerate(value):
            yield from of(item, f"{place}[{number}]")
        if is_set and len(set(map(str, value))) < len(value):
            yield f"{place} has something twice"

    return check


def _texts(value: object, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place} is no object"
        return
    for key, item in value.items():
        yield from _TEXT(item, f"{place}.{key}")


_TEXT = _matching(r".+", "text")
_ABSOLUTE = _matching(r"https://[^\s]+", "an absolute URI")
_RELATIVE = _matching(
    r"(?!/)(?![A-Za-z][A-Za-z0-9+.-]*:)(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2})+",
    "a relative URI",
)
_LEVEL = _matching("none|note|warning|error", "a level")
_MESSAGE = Part({"text": _TEXT})
_REGION = Part({"startLine": _number(1)}, {"startColumn": _number(1)})
_PHYSICAL = Part({"artifactLocation": Part({"uri": _RELATIVE})}, {"region": _REGION})
_LOCATION = Part({"physicalLocation": _PHYSICAL}, {"id": _number(0), "message": _MESSAGE})
_RESULT = Part(
    {"message": _MESSAGE, "ruleId": _TEXT, "ruleIndex": _number(0), "locations": _list(_LOCATION)},
    {
        "level": _LEVEL,
        "partialFingerprints": _texts,
        "relatedLocations": _list(_LOCATION, is_set=True),
    },
)
_RULE = Part(
    {"id": _TEXT},
    {
        "shortDescription": _MESSAGE,
        "fullDescription": _MESSAGE,
        "help": _MESSAGE,
        "helpUri": _ABSOLUTE,
        "defaultConfiguration": Part({}, {"level": _LEVEL}),
        "properties": Part({}, {"tags": _list(_TEXT, is_set=True)}),
    },
)
_DRIVER = Part(
    {"name": _TEXT},
    {"version": _TEXT, "informationUri": _ABSOLUTE, "rules": _list(_RULE, is_set=True)},
)
_RUN = Part(
    {"tool": Part({"driver": _DRIVER}), "results": _list(_RESULT)},
    {"columnKind": _matching("utf16CodeUnits|unicodeCodePoints", "a kind of column")},
)
_LOG = Part(
    {"version": _matching(r"2\.1\.0", "the version"), "runs": _list(_RUN)},
    {"$schema": _ABSOLUTE},
)


def faults(log: Any) -> list[str]:
    """Return what is wrong with a log; of a well-formed one also rules that do not agree."""
    found = list(_LOG(log, "log"))
    return found or [fault for run in log["runs"] for fault in _rules(run)]


def _rules(run: Mapping[str, Any]) -> Iterator[str]:
    ids = [rule["id"] for rule in run["tool"]["driver"].get("rules", ())]
    yield from (f"rule {name} stands twice" for name in sorted(set(ids)) if ids.count(name) > 1)
    for result in run["results"]:
        name, index = result["ruleId"], result["ruleIndex"]
        if index >= len(ids):
            yield f"ruleIndex {index} of {name} is beyond the {len(ids)} rules"
        elif ids[index] != name:
            yield f"ruleIndex {index} of {name} is that of {ids[index]}"
