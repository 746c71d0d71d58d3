"""The JSON Schema of files with policies, for editors.

It chooses the schema of a kind by ``apiVersion`` and ``kind``. Objects of other groups are not
checked. In a group with policies, an unknown kind is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from harness.policy import builtin
from harness.policy.definitions import Schema, shared, word
from harness.policy.kinds import KINDS

_API_VERSION = builtin.API_VERSION.pattern
OBJECT_PART = "Object"
"""The name of the part that describes any object, and policies of known kinds in detail."""


def json_schema() -> str:
    """Return the JSON Schema of files with policies, as text."""
    parts = dict(schema_parts())
    document = {
        **parts.pop(OBJECT_PART),
        "$defs": parts,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A policy, as the NetworkPolicy harness reads it",
    }
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def schema_parts() -> Mapping[str, Schema]:
    """Return the parts of the JSON Schema by their names, for the ``$defs`` of a document."""
    parts = dict(shared())
    for kind in KINDS:
        parts |= kind.schema_parts()
    return MappingProxyType({**parts, OBJECT_PART: _object()})


def _object() -> Schema:
    return {
        "type": "object",
        "description": "A policy, or an object of another kind.",
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": {
                **word(
                    "The group and the version, like networking.k8s.io/v1.",
                    _API_VERSION,
                    "v1 or GROUP/VERSION",
                ),
                **_proposed(entry.api_version for entry in KINDS),
            },
            "kind": {
                **word("The kind of the object, like NetworkPolicy.", ".+", "the name of a kind"),
                **_proposed(entry.kind for entry in KINDS),
            },
        },
        "allOf": [*_kinds_of_groups(), *_versions_of_kinds(), *_kinds()],
    }


def _proposed(words: Iterable[str]) -> Schema:
    """Return a schema that any text matches, with words that editors propose."""
    return {"anyOf": [{"enum": list(dict.fromkeys(words))}, {}]}


def _kinds_of_groups() -> Iterator[Schema]:
    """Yield a rule for each group with policies: it has no other kinds, so a typo is found."""
    for group in dict.fromkeys(entry.group for entry in KINDS):
        known = {entry.kind for entry in KINDS if entry.group == group}
        known |= builtin.kinds_of(group)
        lists = {f"{name}List" for name in known}
        yield _rule(
            {"apiVersion": _in(group)}, {"properties": {"kind": {"enum": sorted(known | lists)}}}
        )


def _versions_of_kinds() -> Iterator[Schema]:
    """Yield a rule for each kind of policy: its group has it in no other version."""
    for group, kind in dict.fromkeys((entry.group, entry.kind) for entry in KINDS):
        known = [e.api_version for e in KINDS if (e.group, e.kind) == (group, kind)]
        versions = {"properties": {"apiVersion": {"enum": known}}}
        yield _rule({"apiVersion": _in(group), "kind": {"const": kind}}, versions)


def _kinds() -> Iterator[Schema]:
    for entry in KINDS:
        names = {"apiVersion": {"const": entry.api_version}, "kind": {"const": entry.kind}}
        yield _rule(names, {"$ref": f"#/$defs/{entry.schema_name}"})


def _rule(these: Mapping[str, Schema], then: Schema) -> Schema:
    return {"if": {"required": list(these), "properties": these}, "then": then}


def _in(group: str) -> Schema:
    return {"pattern": f"^{group.replace('.', '[.]')}/"}
