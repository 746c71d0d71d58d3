"""Results in the form of the ConformanceReport of policy.networking.k8s.io, under an own kind.

Its tests are scenarios. It says what they gave, and nothing about being conformant: only the
suite of the API's own project can say that. Such a report can be read, to show it beside ours.
"""

from __future__ import annotations

import enum
import functools
import importlib.resources
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from harness.errors import UsageError
from harness.report.record import Outcome, StepRecord
from harness.report.results import Results

API_VERSION = "netpol.harness/v1"
KIND = "ScenarioReport"
UPSTREAM_KIND = "ConformanceReport"

_EXPERIMENTAL = {
    "T15": "ClusterNetworkPolicyEgressNodePeers",
    "T16": "ClusterNetworkPolicyDomainNames",
    "T19": "ClusterNetworkPolicyNamedPorts",
}
"""The requirements that are about experimental features, which have the API project's names."""


class Result(enum.StrEnum):
    """What a scenario gave, in the order in which one of its steps decides."""

    FAILED = "failed"
    SKIPPED = "skipped"
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A ConformanceReport: the tests that failed or were skipped, and how many passed."""

    project: str
    version: str
    date: str
    failed: frozenset[str]
    skipped: frozenset[str]
    passed: int

    def said(self, test: str) -> str:
        """Return what it says of a test. It has no list of those that passed."""
        if test in self.failed:
            return "failed"
        return "skipped" if test in self.skipped else "neither failed nor skipped"


# ------------------------------------------------------------------ reading


def upstream(text: str, file: str) -> Upstream:
    """Read a ConformanceReport, also of the older form with ``core``. Raises UsageError."""
    try:
        body = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(f"{file}: not YAML", _HINT) from None
    if not isinstance(body, dict) or body.get("kind") != UPSTREAM_KIND:
        raise UsageError(f"{file}: not a {UPSTREAM_KIND}", _HINT)
    failed, skipped, passed = set[str](), set[str](), 0
    for status in _statuses(body):
        failed |= _names(status.get("failedTests"))
        skipped |= _names(status.get("skippedTests"))
        statistics = status.get("statistics")
        count = statistics.get("Passed") if isinstance(statistics, dict) else None
        passed += count if isinstance(count, int) else 0
    by = body.get("implementation")
    by = by if isinstance(by, dict) else {}
    return Upstream(
        str(by.get("project", "")),
        str(by.get("version", "")),
        str(body.get("date", "")),
        frozenset(failed),
        frozenset(skipped),
        passed,
    )


_HINT = "name a file of kubernetes-sigs/network-policy-api, conformance/reports"


def _statuses(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    profiles = body.get("profiles")
    for profile in profiles if isinstance(profiles, list) else ():
        if isinstance(profile, dict) and "statistics" in profile:  # The published one is so.
            yield profile
        for level in ("standard", "core", "experimental", "extended"):
            status = profile.get(level) if isinstance(profile, dict) else None
            if isinstance(status, dict):
                yield status


def _names(value: object) -> set[str]:
    return {item for item in value if isinstance(item, str)} if isinstance(value, list) else set()


# ------------------------------------------------------------------ writing


def shape(results: Results, beside: Upstream | None = None) -> str:
    """Return the results as YAML, and the tests of another report beside the scenarios."""
    scenarios = tuple(_scenarios(results.steps))
    run = results.run
    document: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "date": run.started,
        "implementation": {
            "project": run.cni or run.cluster,
            "version": run.cni_version,
            "additionalInformation": f"netpol-harness {run.harness}, Kubernetes {run.kubernetes}",
        },
        "profiles": [
            profile
            for name, prefix in (("ClusterNetworkPolicy", "T"), ("NetworkPolicy", "R"))
            if (profile := _profile(name, prefix, scenarios))
        ],
    }
    if beside is not None:
        document["beside"] = _beside(scenarios, beside)
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000))


@dataclass(frozen=True, slots=True)
class _Scenario:
    """A scenario that ran, or whose steps were skipped."""

    file: str
    covers: frozenset[str]
    result: Result


def _scenarios(steps: Iterable[StepRecord]) -> Iterator[_Scenario]:
    by_file: dict[str, list[StepRecord]] = {}
    for step in steps:
        by_file.setdefault(step.file, []).append(step)
    for file, own in sorted(by_file.items()):
        covers = frozenset(id_ for step in own for id_ in step.covers)
        yield _Scenario(file, covers, _result(own))


def _result(steps: Sequence[StepRecord]) -> Result:
    """Return the result of one; a limitation differs from the API, so it is a failure here."""
    if any(step.has_failed or step.outcome is Outcome.LIMITED for step in steps):
        return Result.FAILED
    if any(step.outcome is Outcome.SKIPPED for step in steps):
        return Result.SKIPPED
    return Result.PASSED


def _profile(name: str, prefix: str, every: Iterable[_Scenario]) -> dict[str, Any] | None:
    own = [s for s in every if any(id_.startswith(prefix) for id_ in s.covers)]
    if not own:
        return None
    extra = [scenario for scenario in own if scenario.covers & _EXPERIMENTAL.keys()]
    standard = [scenario for scenario in own if scenario not in extra]
    found: dict[str, Any] = {"name": name, "standard": _status(standard)}
    if extra:
        features = {id_: [s for s in extra if id_ in s.covers] for id_ in _EXPERIMENTAL}
        tried = {id_ for id_, ran in features.items() if any(_has_run(s) for s in ran)}
        asked = {id_ for id_, ran in features.items() if ran}
        found["experimental"] = _status(extra) | {
            "supportedFeatures": sorted(_EXPERIMENTAL[id_] for id_ in tried),
            "unsupportedFeatures": sorted(_EXPERIMENTAL[id_] for id_ in asked - tried),
        }
    return found


def _has_run(scenario: _Scenario) -> bool:
    return scenario.result is not Result.SKIPPED


def _status(scenarios: Sequence[_Scenario]) -> dict[str, Any]:
    files = {one: [s.file for s in scenarios if s.result is one] for one in Result}
    failed, skipped = files[Result.FAILED], files[Result.SKIPPED]
    found: dict[str, Any] = {
        "result": "failure" if failed else "partial" if skipped else "success",
        "summary": "",
        "statistics": {
            "Failed": len(failed),
            "Passed": len(files[Result.PASSED]),
            "Skipped": len(skipped),
        },
    }
    if skipped:
        found["skippedTests"] = skipped
    if failed:
        found["failedTests"] = failed
    return found


# ------------------------------------------------------------------ beside another report


@functools.cache
def suite() -> Mapping[str, tuple[str, ...]]:
    """Return the tests of the API project's suite, each with the scenarios that ask the same."""
    file = importlib.resources.files("harness") / "data" / "upstream.toml"
    read = tomllib.loads(file.read_text(encoding="utf-8"))
    return {name: tuple(scenarios) for name, scenarios in read["tests"].items()}


def _beside(scenarios: Sequence[_Scenario], other: Upstream) -> dict[str, Any]:
    mapped = suite()
    unknown = sorted((other.failed | other.skipped) - mapped.keys())
    return {
        "project": other.project,
        "version": other.version,
        "date": other.date,
        "passed": other.passed,
        "tests": [
            {
                "name": name,
                "there": other.said(name),
                "here": {file: _found(scenarios, file) for file in files},
            }
            for name, files in mapped.items()
        ],
        **({"unknownTests": unknown} if unknown else {}),
    }


def _found(scenarios: Sequence[_Scenario], file: str) -> str:
    """Return what a scenario gave; the files of a run may stand below any folder."""
    ends = [s for s in scenarios if f"/{s.file}".endswith(f"/{file}")]
    return str(ends[0].result) if ends else "did not run"
