"""Parts of the JSON Schemas of policies: what all kinds share, and how parts are written.

A schema describes what is plain structure in what the reader (``document``) checks: keys, types,
words, patterns, sizes, ranges. It refuses nothing that the reader of files accepts. A rule between
two values is left to the reader. Each kind of policy adds the parts of its own keys.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from harness.model import Protocol
from harness.policy import placeholders, selectors
from harness.policy.document import CIDR_HINT, METADATA
from harness.policy.selectors import LAST_PORT, BadWord, Operator

Schema: TypeAlias = Mapping[str, Any]
"""A JSON Schema or a part of one, as JSON has it."""

# ------------------------------------------------------------------ how parts are written


def name_of(api_version: str, kind: str) -> str:
    """Return the name of the part that describes whole objects of a kind."""
    return f"{kind}.{api_version.rpartition('/')[2]}"


def part(name: str, about: str, **narrower: object) -> Schema:
    """Return a reference to a part; ``narrower`` are keywords that replace some of its own."""
    return {"$ref": f"#/$defs/{name}", "description": about, **narrower}


def word(about: str, pattern: str, syntax: str, longest: int | None = None) -> Schema:
    """Return the schema of a text that matches ``pattern`` from its first to its last character.

    Editors show ``syntax`` where it does not; validators ignore that keyword.
    """
    length = {} if longest is None else {"maxLength": longest}
    return {
        "type": "string",
        "description": about,
        "pattern": f"^({pattern})$",
        "patternErrorMessage": syntax,
        **length,
    }


def choice(about: str, words: Iterable[str]) -> Schema:
    """Return the schema of a word of a closed set."""
    return {"type": "string", "description": about, "enum": [str(one) for one in words]}


def mapping(about: str, properties: Mapping[str, Schema], *required: str) -> Schema:
    """Return the schema of an object without other keys; ``required`` ones must be there."""
    return {
        "type": "object",
        "description": about,
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def one_of(about: str, properties: Mapping[str, Schema]) -> Schema:
    """Return the schema of an object with exactly one of the keys."""
    return {**mapping(about, properties), "minProperties": 1, "maxProperties": 1}


def listed(about: str, item: Schema, least: int = 0, most: int | None = None) -> Schema:
    """Return the schema of a list of ``least`` to ``most`` items."""
    sizes = {"minItems": least, "maxItems": most}
    told = {key: size for key, size in sizes.items() if size}
    return {"type": "array", "description": about, "items": item, **told}


def nullable(schema: Schema) -> Schema:
    """Return the schema of a key that counts as missing if its value is null."""
    words = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **words}


def port(about: str) -> Schema:
    """Return the schema of the number of a port."""
    return {"type": "integer", "description": about, "minimum": 1, "maximum": LAST_PORT}


def protocol() -> Schema:
    """Return the schema of ``protocol`` beside a port."""
    return nullable(choice("The protocol; TCP if it is left out.", Protocol))


def block(about: str, longest: int | None = None) -> Schema:
    """Return the schema of a CIDR of at most ``longest`` characters, or a placeholder for one."""
    fits = "" if longest is None else f"(?=.{{0,{longest}}}$)"
    return word(about, f"{fits}({_CIDR})|{placeholders.PATTERN}", CIDR_HINT)


def hint_of(check: Callable[[str], BadWord | None]) -> str:
    """Return what the reader says of the syntax of words that are bad for ``check``."""
    found = check("-")
    return found.hint if found else ""


# ------------------------------------------------------------------ objects


def object_of(
    api_version: str, kind: str, about: str, spec: Schema, metadata: Schema, *required: str
) -> Schema:
    """Return the schema of whole objects of a kind; ``required`` are more keys than all have."""
    keys = {
        "apiVersion": {"const": api_version, "description": "The group and the version."},
        "kind": {"const": kind, "description": "The kind of the object."},
        "metadata": metadata,
        "spec": spec,
        "status": {"description": "Only in objects read from a cluster; it is left out."},
    }
    return mapping(about, keys, "apiVersion", "kind", "metadata", *required)


def namespaced_metadata() -> Schema:
    """Return the schema of ``metadata`` of an object in a namespace."""
    about = "The namespace; a step of a scenario can name it for all its objects."
    pattern = f"({selectors.DNS_LABEL.pattern})?"
    return _metadata(_OBJECT_NAME, nullable(word(about, pattern, hint_of(selectors.dns_label))))


def cluster_metadata(name: str | None = None) -> Schema:
    """Return the schema of ``metadata`` of an object in no namespace.

    If only one name is possible, it is ``name``.
    """
    no_namespace = {
        "type": ["string", "null"],
        "description": "The object is in no namespace: leave it out.",
        "maxLength": 0,
    }
    called = _OBJECT_NAME if name is None else choice(f"The only possible name: {name}.", [name])
    return _metadata(called, no_namespace)


def _metadata(name: Schema, namespace: Schema) -> Schema:
    keys = {
        **{key: {"description": "Not used by the harness."} for key in METADATA},
        "name": name,
        "namespace": namespace,
        "labels": part("Labels", "Labels of the policy itself; no rule looks at them."),
        "annotations": {
            "type": ["object", "null"],
            "description": "Texts for people and tools.",
            "additionalProperties": {"type": "string"},
        },
    }
    return mapping("The identity of the object.", keys, "name")


_OBJECT_NAME = word(
    "The name of the policy.",
    selectors.DNS_SUBDOMAIN.pattern,
    hint_of(selectors.dns_subdomain),
    selectors.LONGEST_SUBDOMAIN,
)


# ------------------------------------------------------------------ what rules are made of


_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_CIDR = (
    rf"({_OCTET}\.){{3}}{_OCTET}/(0{{0,2}}[0-9]|0?[12][0-9]|0?3[0-2])"
    "|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*/(0{0,2}[0-9]|0?[1-9][0-9]|1[01][0-9]|12[0-8])"
)


def _one(operators: Iterable[enum.StrEnum], values: Schema, *required: str) -> Schema:
    """Return what ``values`` must be beside some of the operators."""
    named = {
        "required": ["operator"],
        "properties": {"operator": {"enum": list(map(str, operators))}},
    }
    return {"if": named, "then": {"required": list(required), "properties": {"values": values}}}


def _label_key() -> Schema:
    pattern = f"(({selectors.DNS_SUBDOMAIN.pattern})/)?{selectors.LABEL_WORD.pattern}"
    about = "The key of a label, like app or example.com/role."
    return word(about, pattern, hint_of(selectors.label_key))


def _label_value() -> Schema:
    pattern = f"({selectors.LABEL_WORD.pattern})?"
    return word("The value of a label.", pattern, hint_of(selectors.label_value))


def shared() -> Mapping[str, Schema]:
    """Return the parts that all kinds refer to, each with its name."""
    requirement = mapping(
        "A term: the label of this key is compared with the values.",
        {
            "key": _label_key(),
            "operator": choice(
                "In, NotIn: the value is, or is not, one of these. "
                "Exists, DoesNotExist: there is, or is not, such a label.",
                Operator,
            ),
            "values": nullable(listed("Values for In and NotIn.", _label_value())),
        },
        "key",
        "operator",
    )
    conditions = [
        _one((Operator.IN, Operator.NOT_IN), {"type": "array", "minItems": 1}, "values"),
        _one((Operator.EXISTS, Operator.DOES_NOT_EXIST), {"maxItems": 0}),
    ]
    selector = mapping(
        "Labels; all must match. {} matches everything.",
        {
            "matchLabels": part("Labels", "Labels that must be there with these values."),
            "matchExpressions": nullable(
                listed("More terms; each must hold.", {"$ref": "#/$defs/LabelRequirement"})
            ),
        },
    )
    labels = {
        "type": ["object", "null"],
        "description": "Keys of labels and their values.",
        "propertyNames": _label_key(),
        "additionalProperties": _label_value(),
    }
    return {
        "LabelRequirement": {**requirement, "allOf": conditions},
        "LabelSelector": nullable(selector),
        "Labels": labels,
    }
