"""The kinds that Kubernetes itself has, read from ``harness/data/kinds.toml``."""

from __future__ import annotations

import functools
import importlib.resources
import itertools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from harness.suggest import nearest, nearest_or_all


@dataclass(frozen=True, slots=True)
class _Data:
    kinds: Mapping[str, tuple[str, ...]]
    groups: frozenset[str]
    harmless: frozenset[str]
    without_pods: frozenset[str]


@functools.cache
def _data() -> _Data:
    file = importlib.resources.files("harness") / "data" / "kinds.toml"
    read = tomllib.loads(file.read_text(encoding="utf-8"))
    kinds = {version: tuple(names) for version, names in read["builtin"].items()}
    return _Data(
        kinds,
        frozenset(map(group_of, kinds)),
        frozenset(read["harmless"]["groups"]),
        frozenset(read["without-pods"]["kinds"]),
    )


def is_builtin(group: str) -> bool:
    """Return whether Kubernetes itself has that API group."""
    return group in _data().groups


def group_of(api_version: str) -> str:
    """Return the API group of an apiVersion; the core group is empty."""
    return api_version.rpartition("/")[0]


def names() -> frozenset[str]:
    """Return all built-in kinds, as ``apiVersion/Kind``."""
    kinds = _data().kinds
    return frozenset(f"{version}/{kind}" for version in kinds for kind in kinds[version])


def kinds_of(group: str) -> frozenset[str]:
    """Return the kinds of a built-in group, in all its versions; none of another group."""
    kinds = _data().kinds
    return frozenset(
        kind for version in kinds if group_of(version) == group for kind in kinds[version]
    )


def changes_nothing(api_version: str) -> bool:
    """Return whether objects of that group, unless they are policies, change no connection."""
    data = _data()
    return group_of(api_version) in data.groups | data.harmless


def makes_no_pods(kind: str) -> bool:
    """Return whether no operator makes pods from objects of that custom kind."""
    return kind in _data().without_pods


# ------------------------------------------------------------------ names that do not exist


@dataclass(frozen=True, slots=True)
class NoSuchKind:
    """A kind that no API server has; ``key`` is what is wrong, ``apiVersion`` or ``kind``."""

    key: str
    fact: str
    hint: str


@functools.cache
def no_such_kind(api_version: str, kind: str) -> NoSuchKind | None:
    """Check the names of a kind. Custom kinds, which cannot be known, are taken as they are.

    A custom group has a dot in its name, so a group without one is built-in or does not exist.
    """
    data, group = _data(), group_of(api_version)
    if not API_VERSION.fullmatch(api_version):
        hint = "it is v1 or GROUP/VERSION, like networking.k8s.io/v1"
        return NoSuchKind("apiVersion", f"{api_version!r} is not an apiVersion", hint)
    if kind in _with_lists(data.kinds.get(api_version, ())) or (api_version, kind) == _LIST:
        return None
    if group not in data.groups and "." in group:
        return None
    fact = f"there is no kind {kind!r} in {api_version}"
    elsewhere = _versions_of(kind, group)
    if elsewhere:
        return NoSuchKind("apiVersion", fact, f"write apiVersion: {elsewhere[0]}")
    if group not in data.groups:
        hint = nearest(group, data.groups) or "the group of a custom kind is a DNS name with a dot"
        return NoSuchKind("apiVersion", f"there is no API group {group!r}", hint)
    versions = [version for version in data.kinds if group_of(version) == group]
    known = [name for version in versions for name in data.kinds[version]]
    return NoSuchKind("kind", fact, nearest_or_all(kind, known, f"kinds of {versions[0]}"))


API_VERSION = re.compile(r"v[0-9][a-z0-9]*|[^/]+/[^/]+")
_LIST = ("v1", "List")


def _with_lists(kinds: tuple[str, ...]) -> frozenset[str]:
    return frozenset(itertools.chain(kinds, (f"{kind}List" for kind in kinds)))


def _versions_of(kind: str, group: str) -> list[str]:
    """Return the built-in apiVersions of a kind, those of ``group`` first."""
    found = [version for version, kinds in _data().kinds.items() if kind in _with_lists(kinds)]
    return sorted(found, key=lambda version: group_of(version) != group)
