"""Selectors of namespaces by name, as authors write them, under the real names. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.errors import ClusterError

_NAME_KEYS = ("kubernetes.io/metadata.name", "io.kubernetes.pod.namespace")
_NAME_WORDS = (*_NAME_KEYS, "projectcalico.org/name", "projectcalico.org/namespace")


def translated(value: Any, real: Callable[[str], str], called: str) -> Any:
    """Return a part of an object in which ``real`` has replaced the names of namespaces (R78).

    Raises ClusterError, which names the object as ``called``, where that is impossible.
    """
    match value:
        case {"key": str(key), "values": [*names]} if _selects_names(key):
            return {**value, "values": [real(str(name)) for name in names]}
        case {"serviceName": str(), "namespace": str(name)}:  # Cilium's toServices
            return {**value, "namespace": real(name)}
        case dict():
            return {key: _entry(key, entry, real, called) for key, entry in value.items()}
        case list():
            return [translated(entry, real, called) for entry in value]
        case str() if any(word in value for word in _NAME_WORDS):
            raise ClusterError(
                f"{called} selects namespaces by name in a way that cannot be translated: "
                f"{value!r}",
                "select them by your own labels, or write 'exact names: true'",
            )
    return value


def _entry(key: str, value: Any, real: Callable[[str], str], called: str) -> Any:
    if isinstance(value, str) and _selects_names(key):
        return real(value)
    return translated(value, real, called)


def _selects_names(key: str) -> bool:
    """Whether a label key stands for a namespace's name, with or without Cilium's prefixes."""
    return any(
        key == name or key.endswith((f":{name}", f".{name}", f"labels.{name}"))
        for name in _NAME_KEYS
    )
