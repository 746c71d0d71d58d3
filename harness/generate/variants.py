"""A policy with one part changed: what a small error in reading it would make of it."""

from __future__ import annotations

import copy
import enum
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.generate.tiers import specs_changed
from harness.model import Manifest
from harness.policy import Scope, kind_of

_Object = dict[str, Any]
_Path = tuple[str | int, ...]
_SECTIONS = (("ingress", "from"), ("egress", "to"))
_OPPOSITE = {"In": "NotIn", "NotIn": "In", "Exists": "DoesNotExist", "DoesNotExist": "Exists"}
_FEW = 3
"""The entries of a longer list are not changed one by one."""


class Size(enum.Enum):
    """Whether a variant has less text than the policy."""

    SMALLER = "smaller"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Variant:
    """A policy with one part changed, and what was changed in words."""

    words: str
    policy: Manifest
    size: Size


def variants(policy: Manifest) -> Iterator[Variant]:
    """Yield the policy with each of its parts changed, one at a time."""
    document = json.loads(policy.json)
    kind = kind_of(policy)
    if kind is None:
        return
    found = _specs if kind.scope is Scope.NAMESPACED else _of_tier
    for words, size, spec in found(document["spec"]):
        body = {**document, "spec": spec}
        if not kind.faults(body):
            yield Variant(words, replace(policy, json=json.dumps(body), location=None), size)


_Changed = Iterator[tuple[str, Size, _Object]]


def _of_tier(spec: _Object) -> _Changed:
    for words, is_smaller, changed in specs_changed(spec):
        yield words, Size.SMALLER if is_smaller else Size.OTHER, changed


def _specs(spec: _Object) -> _Changed:
    yield from _selector(spec, ("podSelector",))
    yield from _types(spec)
    for section, peers in _SECTIONS:
        rules = spec.get(section)
        for index, rule in enumerate(rules or []):
            place = (section, index)
            yield f"without {_shown(place)}", Size.SMALLER, _without(spec, place)
            yield from _peers(spec, (*place, peers), rule.get(peers))
            yield from _ports(spec, (*place, "ports"), rule.get("ports"))
        for one, other in itertools.permutations(range(len(rules or [])), 2):
            yield from _ports_of_another(spec, section, one, other)


def _ports_of_another(spec: _Object, section: str, one: int, other: int) -> _Changed:
    ports = spec[section][other].get("ports")
    if ports and ports != spec[section][one].get("ports"):
        words = f"{section}[{one}] with the ports of {section}[{other}]"
        yield words, Size.OTHER, _with(spec, (section, one, "ports"), ports)


def _types(spec: _Object) -> _Changed:
    types = spec.get("policyTypes")
    if types is not None:
        yield "without policyTypes", Size.SMALLER, _without(spec, ("policyTypes",))
    for words in (["Ingress"], ["Egress"], ["Ingress", "Egress"]):
        if words != types:
            changed = _with(spec, ("policyTypes",), words)
            yield f"policyTypes {', '.join(words)}", Size.OTHER, changed


# ------------------------------------------------------------------ peers


def _peers(spec: _Object, place: _Path, peers: list[_Object] | None) -> _Changed:
    if peers is None:
        return
    yield f"without {_shown(place)}", Size.SMALLER, _without(spec, place)
    for index, peer in enumerate(peers):
        here = (*place, index)
        if len(peers) > 1:
            yield f"without {_shown(here)}", Size.SMALLER, _without(spec, here)
        if "ipBlock" in peer:
            yield from _block(spec, (*here, "ipBlock"))
        else:
            yield from _selectors(spec, here, peer)


def _block(spec: _Object, place: _Path) -> _Changed:
    excepts = _at(spec, place).get("except") or []
    for index in range(len(excepts)):
        here = (*place, "except", index)
        yield f"without {_shown(here)}", Size.SMALLER, _without(spec, here)
    if excepts:
        only = [{"ipBlock": {"cidr": cidr}} for cidr in excepts]
        yield f"{_shown(place)} inverted", Size.OTHER, _spread(spec, place[:-1], only)
        yield (
            f"without {_shown((*place, 'except'))}",
            Size.SMALLER,
            _without(spec, (*place, "except")),
        )


def _selectors(spec: _Object, place: _Path, peer: _Object) -> _Changed:
    for key in ("podSelector", "namespaceSelector"):
        if key in peer:
            yield from _selector(spec, (*place, key))
    if len(peer) == 2:
        halves = [{key: selector} for key, selector in peer.items()]
        yield f"{_shown(place)} as two entries", Size.OTHER, _spread(spec, place, halves)
        for key in peer:
            here = (*place, key)
            yield f"without {_shown(here)}", Size.SMALLER, _without(spec, here)
    elif "podSelector" in peer:
        everywhere = {**peer, "namespaceSelector": {}}
        yield f"{_shown(place)} in every namespace", Size.OTHER, _with(spec, place, everywhere)
    elif peer == {"namespaceSelector": {}}:
        here_only: _Object = {"podSelector": {}}
        yield f"{_shown(place)} as its own namespace", Size.OTHER, _with(spec, place, here_only)


def _selector(spec: _Object, place: _Path) -> _Changed:
    selector = _at(spec, place)
    labels, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if labels or expressions:
        yield f"empty {_shown(place)}", Size.SMALLER, _with(spec, place, {})
    several = len(labels) + len(expressions) > 1
    for key in labels if several else ():
        here = (*place, "matchLabels", key)
        yield f"without {_shown(here)}", Size.SMALLER, _without(spec, here)
    for index, expression in enumerate(expressions):
        here = (*place, "matchExpressions", index)
        if several:
            yield f"without {_shown(here)}", Size.SMALLER, _without(spec, here)
        opposite = {**expression, "operator": _OPPOSITE[expression["operator"]]}
        yield f"opposite {_shown(here)}", Size.OTHER, _with(spec, here, opposite)
        yield from _missing_key(spec, place, expression)
        values = expression.get("values") or []
        for number in range(len(values) if len(values) > 1 else 0):
            value = (*here, "values", number)
            yield f"without {_shown(value)}", Size.SMALLER, _without(spec, value)


def _missing_key(spec: _Object, place: _Path, expression: _Object) -> _Changed:
    """Yield the selector that also asks for a key whose absence is enough."""
    if expression["operator"] == "NotIn":
        asked = {"key": expression["key"], "operator": "Exists"}
        there = [*_at(spec, place)["matchExpressions"], asked]
        words = f"{_shown(place)} with the key {expression['key']}"
        yield words, Size.OTHER, _with(spec, (*place, "matchExpressions"), there)


# ------------------------------------------------------------------ ports


def _ports(spec: _Object, place: _Path, ports: list[_Object] | None) -> _Changed:
    if ports is None:
        return
    yield f"without {_shown(place)}", Size.SMALLER, _without(spec, place)
    if len(ports) > _FEW:
        half = len(ports) // 2
        yield f"the end of {_shown(place)}", Size.SMALLER, _with(spec, place, ports[half:])
        yield f"the start of {_shown(place)}", Size.SMALLER, _with(spec, place, ports[:half])
        return
    for index, port in enumerate(ports):
        here = (*place, index)
        if len(ports) > 1:
            yield f"without {_shown(here)}", Size.SMALLER, _without(spec, here)
        yield from _port(spec, here, port)


def _port(spec: _Object, place: _Path, port: _Object) -> _Changed:
    other = "TCP" if port.get("protocol") == "UDP" else "UDP"
    yield f"{_shown(place)} for {other}", Size.OTHER, _with(spec, (*place, "protocol"), other)
    if "port" not in port:
        yield f"{_shown(place)} with port 1", Size.OTHER, _with(spec, (*place, "port"), 1)
        return
    any_port = {key: port[key] for key in ("protocol",) if key in port} or {"protocol": "TCP"}
    yield f"{_shown(place)} for all ports", Size.OTHER, _with(spec, place, any_port)
    if "endPort" in port:
        yield (
            f"without {_shown((*place, 'endPort'))}",
            Size.SMALLER,
            _without(spec, (*place, "endPort")),
        )
    elif isinstance(port["port"], int):
        for number in (port["port"] - 1, port["port"] + 1):
            changed = _with(spec, (*place, "port"), number)
            yield f"{_shown(place)} with port {number}", Size.OTHER, changed


# ------------------------------------------------------------------ places


def _shown(place: _Path) -> str:
    """Return a place as people write it: ``ingress[0].from[1]``."""
    text = ""
    for word in place:
        text += f"[{word}]" if isinstance(word, int) else f".{word}" if text else word
    return text


def _at(spec: _Object, place: Sequence[str | int]) -> Any:
    found: Any = spec
    for word in place:
        found = found[word]
    return found


def _with(spec: _Object, place: _Path, value: object) -> _Object:
    changed = copy.deepcopy(spec)
    _at(changed, place[:-1])[place[-1]] = copy.deepcopy(value)
    return changed


def _without(spec: _Object, place: _Path) -> _Object:
    changed = copy.deepcopy(spec)
    del _at(changed, place[:-1])[place[-1]]
    return changed


def _spread(spec: _Object, place: _Path, entries: list[_Object]) -> _Object:
    """Return the spec with several entries in the place of one."""
    changed = copy.deepcopy(spec)
    index = place[-1]
    listed = _at(changed, place[:-1])
    listed[index : index + 1] = copy.deepcopy(entries)  # type: ignore[operator]
    return changed
