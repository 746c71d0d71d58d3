"""The JSON Schemas and the files that are shipped: editors find nothing wrong in those."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness import policy, scenario
from harness.documents.problems import Problems
from harness.documents.source import documents

ROOT = Path(__file__).parents[3]
SCENARIOS = ROOT / "scenarios"
OURS = Path(__file__).parent / "data" / "valid"
SHIPPED = (
    *sorted(SCENARIOS.rglob("*.yaml")),
    *sorted(OURS.rglob("*.yaml")),
    *sorted((ROOT / "docs" / "claims").glob("*.yaml")),
    ROOT / "harness" / "data" / "first-scenario.yaml",
    ROOT / "harness" / "data" / "first-policy.yaml",
)
MANY = (SCENARIOS / "conformance", SCENARIOS / "examples", SCENARIOS / "tiers")
FOLDERS = sorted({path.parent for path in SHIPPED})

SCENARIO = """\
scenario: A title
why: A reason.
topology: {x: {pods: {a: {ports: [80]}, b: {}}}}
steps:
  - step: a sentence
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: p, namespace: x}
        spec:
          podSelector: {}
          ingress: [{from: [{podSelector: {matchLabels: {app: b}}}]}]
    refused: [{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {zebra: 1}}]
    settle: 10s
    expect: allowed
"""


def bodies(text: str) -> list[Any]:
    """Return the documents of a text, as the harness reads them."""
    problems = Problems()
    found = [document.value for document in documents("a.yaml", text, problems)]
    assert problems.found == []
    return found


@functools.cache
def validator(schema: Callable[[], str]) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema()))


def schema_of(body: dict[str, Any]) -> Draft202012Validator:
    if "scenario" in body:
        return validator(scenario.json_schema)
    return validator(scenario.fixture_json_schema if "fixture" in body else policy.json_schema)


def faults(body: dict[str, Any]) -> list[str]:
    """Return what an editor shows, each with its path."""
    found = schema_of(body).iter_errors(body)
    return [f"{'.'.join(map(str, one.absolute_path))}: {one.message}" for one in found]


def objects(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the objects that a file applies, those of other files not."""
    if "apiVersion" in body:
        yield body
    for step in body.get("steps", ()):
        yield from (one for one in step.get("apply", ()) if isinstance(one, dict))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_schemas_take_what_is_shipped(folder: Path) -> None:
    files = [path for path in SHIPPED if path.parent == folder]
    found = {path.name: faults(body) for path in files for body in bodies(path.read_text("utf-8"))}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_there_are_policies_of_several_kinds_in_what_is_shipped() -> None:
    """Otherwise the test before does not say what it seems to say."""
    texts = (path.read_text("utf-8") for path in SHIPPED if path.parent.parent in MANY)
    found = Counter(
        f"{one['kind']} {one['apiVersion']}"
        for text in texts
        for body in bodies(text)
        for one in objects(body)
    )
    assert found["NetworkPolicy networking.k8s.io/v1"] > 20
    assert found["ClusterNetworkPolicy policy.networking.k8s.io/v1alpha2"] > 100
    assert found["ClusterNetworkPolicy policy.networking.k8s.io/v1beta1"] > 0


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("written", "instead", "wrong"),
    [
        ("podSelector: {}", "podSelector: {}", []),
        (
            "podSelector: {}",
            "podselector: {}",
            [
                "steps.0.apply.0.spec: Additional properties are not allowed "
                "('podselector' was unexpected)"
            ],
        ),
        (
            "ingress: [{from:",
            "ingress: [{to:",
            [
                "steps.0.apply.0.spec.ingress.0: Additional properties are not allowed "
                "('to' was unexpected)"
            ],
        ),
        (", namespace: x}", "}", []),
        ("podSelector: {matchLabels: {app: b}}", "ipBlock: {cidr: $(ip:x/b)/32}", []),
        ("networking.k8s.io/v1\n", "cilium.io/v2\n", []),
        ("settle: 10s", "settle: 10", []),
        ("settle: 10s", "settle: 0.5", []),
        (
            "settle: 10s",
            "settle: -1",
            ["steps.0.settle: -1 is not valid under any of the given schemas"],
        ),
    ],
)
def test_what_an_editor_finds_in_a_scenario(written: str, instead: str, wrong: list[str]) -> None:
    """A manifest that the API server must refuse may be anything."""
    assert SCENARIO.count(written) == 1
    [body] = bodies(SCENARIO.replace(written, instead))
    assert faults(body) == wrong
