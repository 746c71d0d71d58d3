"""Kubernetes objects in documents: where each is, the items of lists, one text for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.documents.problems import Problems
from harness.documents.source import Document, KeyPath
from harness.errors import Location

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SET_BY_SERVER = frozenset({
    "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation",
    "managedFields", "resourceVersion", "selfLink", "uid",
})  # fmt: skip


ENDINGS = frozenset({".yaml", ".yml", ".json"})
"""How the names of files with manifests end; of a folder, kubectl reads no others."""


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """An object and where it is: a document, or a place in one."""

    document: Document
    base: KeyPath
    value: object

    def at(self, path: KeyPath) -> Location:
        """Return where the key stands that ``path`` ends in."""
        return self.document.key_at((*self.base, *path))

    def items(self) -> tuple[ObjectSource, ...] | None:
        """Return the objects of a list (``List``, ``PodList``), or None if this is none."""
        body = self.value
        if not isinstance(body, dict) or not isinstance(body.get("items"), list):
            return None
        kind = body.get("kind")
        if not isinstance(kind, str) or not kind.endswith("List"):
            return None
        of_items = {"apiVersion": body.get("apiVersion"), "kind": kind.removesuffix("List")}
        return tuple(
            replace(
                self,
                base=(*self.base, "items", index),
                value={**of_items, **item} if kind != "List" and isinstance(item, dict) else item,
            )
            for index, item in enumerate(body["items"])
        )

    def add(self, problems: Problems, path: KeyPath, message: str, hint: str | None) -> None:
        """Record what is wrong at a path in the object."""
        problems.add(self.at(path), message, hint)


def cleaned(body: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return an object without what the API server sets itself, and the names of that."""
    metadata = body.get("metadata")
    dropped = ["status"] if "status" in body else []
    kept = {key: value for key, value in body.items() if key != "status"}
    if isinstance(metadata, dict):
        dropped += [f"metadata.{key}" for key in metadata if key in _SET_BY_SERVER]
        mine = {key: value for key, value in metadata.items() if key not in _SET_BY_SERVER}
        if mine.get("namespace") == "":
            del mine["namespace"]
        annotations = mine.get("annotations")
        if isinstance(annotations, dict) and _LAST_APPLIED in annotations:
            dropped.append(f"the annotation {_LAST_APPLIED}")
            mine["annotations"] = {k: v for k, v in annotations.items() if k != _LAST_APPLIED}
        kept["metadata"] = mine
    return kept, tuple(dropped)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(body: Mapping[str, Any], namespace: str) -> str:
    """Return the object as JSON text that depends on nothing but its contents."""
    filled = dict(body)
    if namespace:
        filled["metadata"] = {**body["metadata"], "namespace": namespace}
    return _CANONICAL.encode(filled)
