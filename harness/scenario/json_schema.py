"""The JSON Schemas of scenario and fixture files, for editors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from harness import policy
from harness.scenario.schema import FixtureWire, ScenarioWire

TOPOLOGIES: Mapping[type[BaseModel], tuple[str, ...]] = MappingProxyType(
    {ScenarioWire: ("topology", "fixture", "manifests"), FixtureWire: ("topology", "manifests")}
)
"""The keys of a file of which it must have one, so that there are pods."""


def fixture_json_schema() -> str:
    """Return the JSON Schema of fixture files, as text."""
    return _text(_document(FixtureWire, "A fixture of the NetworkPolicy harness"))


def json_schema() -> str:
    """Return the JSON Schema of scenario files, as text."""
    document = _document(ScenarioWire, "A scenario of the NetworkPolicy harness")
    document["$defs"] |= policy.schema_parts()
    # Not those of ``refused``: the API server must find something wrong with them.
    applied = document["$defs"]["StepWire"]["properties"]["apply"]
    applied["items"] = {
        "type": ["string", "object"],
        "if": {"type": "object"},
        "then": {"$ref": f"#/$defs/{policy.OBJECT_PART}"},
    }
    return _text(document)


def _document(model: type[BaseModel], title: str) -> dict[str, Any]:
    document = model.model_json_schema(by_alias=True)
    document["anyOf"] = [{"required": [key]} for key in TOPOLOGIES[model]]
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = title
    return document


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
