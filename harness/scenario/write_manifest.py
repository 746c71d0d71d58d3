"""A Kubernetes object as YAML, with the keys in the order in which people write them."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from harness.model import Manifest
from harness.scenario.yaml_text import Layout, Listed, Mapped, Node, document, prose

_ORDER = (
    "apiVersion", "kind", "metadata", "name", "namespace", "labels", "annotations", "spec",
    "key", "operator", "values", "matchLabels", "matchExpressions", "cidr", "except",
    "namespaceSelector", "podSelector", "ipBlock", "policyTypes", "ingress", "egress",
    "from", "to", "protocol", "port", "endPort", "ports",
)  # fmt: skip
_RANK = {key: rank for rank, key in enumerate(_ORDER)}
_OPEN = frozenset({"spec", "ingress", "egress"})
"""Keys whose values start on a new line."""
_PEERS = frozenset({"from", "to"})


def manifest(written: Manifest) -> Mapped:
    """Return the object, without a namespace where its author wrote none."""
    body = json.loads(written.json)
    if written.namespace_from_step:
        metadata = {key: item for key, item in body["metadata"].items() if key != "namespace"}
        body = {**body, "metadata": metadata}
    return _mapping(body, Layout.OPEN)


@functools.lru_cache(maxsize=1024)  # An object stays for many steps.
def as_yaml(written: Manifest) -> str:
    """Return the object as a YAML document, with its namespace."""
    return document(_mapping(json.loads(written.json), Layout.OPEN))


def _mapping(body: Mapping[str, Any], layout: Layout) -> Mapped:
    keys = sorted(body, key=lambda key: (_RANK.get(key, len(_RANK)), key))
    return Mapped(tuple((key, _value(key, body[key])) for key in keys), layout, strict=True)


def _value(key: str, value: object) -> Node:
    """Return the value of a key."""
    match value:
        case dict():
            return _mapping(value, Layout.OPEN if key in _OPEN else Layout.FIT)
        case list() if key in _OPEN or (key in _PEERS and len(value) > 1):
            return Listed(tuple(_item(item, Layout.OPEN) for item in value), Layout.OPEN)
        case list():
            return Listed(tuple(_item(item, Layout.FIT) for item in value))
        case str():
            return prose(value)
        case None | bool() | int() | float():
            return value
        case _:
            raise AssertionError(f"JSON has no value {value!r}")


def _item(value: object, layout: Layout) -> Node:
    return _mapping(value, layout) if isinstance(value, dict) else _value("", value)
