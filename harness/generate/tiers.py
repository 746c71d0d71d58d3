"""Random policies in tiers, and such a policy with one part changed.

Each theme is one way to write the rules of a policy, or the policies of a case.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from harness.generate.draw import Draw, Rotation, tier_policy
from harness.generate.policies import namespace_selector, pod_selector
from harness.model import Manifest, Protocol

_Object = dict[str, Any]
_PEERS_OF = {"ingress": "from", "egress": "to"}
_ACTIONS = ("Accept", "Deny", "Pass")
_EVERY_POD: _Object = {"namespaces": {}}
_LAST_PRIORITY = 1000


# ------------------------------------------------------------------ peers and ports


def _selected(draw: Draw) -> _Object:
    """Return a subject or a peer: pods by labels, those of their namespaces, or both."""
    match draw.rng.randrange(4):
        case 0:
            return {"namespaces": namespace_selector(draw)}
        case 1:
            return {"pods": {"podSelector": pod_selector(draw)}}
        case 2:
            pods = {"namespaceSelector": namespace_selector(draw), "podSelector": {}}
            return {"pods": {**pods, "podSelector": pod_selector(draw)}}
        case _:
            return _EVERY_POD


def _peer(draw: Draw, direction: str) -> _Object:
    if direction == "egress" and draw.ip_blocks and draw.rng.random() < 0.25:
        cidrs = draw.rng.choice((["0.0.0.0/0"], ["$(cidr:pods)"], [draw.block()]))
        return {"networks": cidrs}
    return _selected(draw)


def _port(draw: Draw, has_names: bool) -> _Object:
    protocol = draw.rng.choice((Protocol.TCP, Protocol.TCP, Protocol.UDP))
    numbers = draw.numbers(protocol)
    match draw.rng.randrange(3):
        case 0 if has_names:
            return {"destinationNamedPort": draw.rng.choice(draw.names(protocol))}
        case 1 if len(numbers) > 1:
            port: _Object = {"range": {"start": numbers[0], "end": numbers[-1]}}
        case _:
            port = {"number": draw.rng.choice(numbers)}
    return {str(protocol).lower(): {"destinationPort": port}}


def _rule(draw: Draw, direction: str, action: str, peer: _Object | None = None) -> _Object:
    chosen = _peer(draw, direction) if peer is None else peer
    rule: _Object = {"action": action, _PEERS_OF[direction]: [chosen]}
    if draw.rng.random() < 0.4:
        rule["protocols"] = [_port(draw, "networks" not in chosen)]
    return rule


# ------------------------------------------------------------------ themes

_Specs = list[_Object]
Theme = Callable[[Draw], _Specs]


def _spec(
    tier: str, priority: int, subject: _Object, direction: str, rules: Sequence[_Object]
) -> _Object:
    head = {"tier": tier, "priority": priority, "subject": subject}
    return {**head, direction: list(rules)}


def _direction(draw: Draw) -> str:
    return draw.rng.choice(("ingress", "egress"))


def _exception(draw: Draw) -> _Specs:
    """Return a policy that denies every pod, but for an earlier rule."""
    direction, subject = _direction(draw), _selected(draw)
    first = _rule(draw, direction, draw.rng.choice(("Accept", "Pass")))
    last = _rule(draw, direction, "Deny", _EVERY_POD)
    tier = draw.rng.choice(("Admin", "Baseline"))
    return [_spec(tier, draw.rng.choice((0, 10, 1000)), subject, direction, [first, last])]


def _priorities(draw: Draw) -> _Specs:
    """Return two policies of a tier for the same pods, of which the first decides."""
    direction, subject = _direction(draw), _selected(draw)
    tier = draw.rng.choice(("Admin", "Baseline"))
    actions = draw.rng.sample(_ACTIONS, 2)
    low = draw.rng.choice((0, 5, 99))
    priorities = [low, draw.rng.choice((low + 1, 100, 1000))]
    pairs = list(zip(priorities, actions, strict=True))
    draw.rng.shuffle(pairs)
    return [
        _spec(tier, priority, subject, direction, [_rule(draw, direction, action)])
        for priority, action in pairs
    ]


def _pass_to_baseline(draw: Draw) -> _Specs:
    """Return a Pass before a Deny of the Admin tier, and a policy of the Baseline tier."""
    direction, subject = _direction(draw), _selected(draw)
    passed = _rule(draw, direction, "Pass")
    denied = _rule(draw, direction, "Deny")
    last = _rule(draw, direction, "Deny")
    return [
        _spec("Admin", 10, subject, direction, [passed, denied]),
        _spec("Baseline", 10, _EVERY_POD, direction, [last]),
    ]


def _accepts(draw: Draw) -> _Specs:
    """Return a policy that accepts, whatever NetworkPolicies say, and one that denies the rest."""
    direction = _direction(draw)
    accepted = _rule(draw, direction, "Accept")
    denied = _rule(draw, direction, "Deny")
    return [
        _spec("Admin", 7, _selected(draw), direction, [accepted]),
        _spec("Baseline", 7, _selected(draw), direction, [denied]),
    ]


def _both_directions(draw: Draw) -> _Specs:
    """Return one policy with rules for both directions, of which only one accepts."""
    one, other = draw.rng.sample(("ingress", "egress"), 2)
    spec = _spec("Admin", 20, _selected(draw), one, [_rule(draw, one, "Accept")])
    return [{**spec, other: [_rule(draw, other, "Deny"), _rule(draw, other, "Accept")]}]


THEMES: Sequence[Theme] = (_exception, _priorities, _pass_to_baseline, _accepts, _both_directions)


def tier_policies(draw: Draw, themes: Rotation[Theme], turn: int) -> tuple[Manifest, ...]:
    """Return the policies in tiers of a case."""
    specs = themes.at(turn)(draw)
    return tuple(tier_policy(f"t{number}", spec) for number, spec in enumerate(specs, 1))


# ------------------------------------------------------------------ one part changed


def specs_changed(spec: _Object) -> Iterator[tuple[str, bool, _Object]]:
    """Yield the spec with each of its parts changed: in words, and whether it is smaller."""
    yield from _head(spec)
    for section, peers in _PEERS_OF.items():
        rules = spec.get(section) or []
        if rules and len(rules) > 1:
            turned = {**spec, section: rules[::-1]}
            yield f"{section} in the opposite order", False, turned
        for index, rule in enumerate(rules):
            place = f"{section}[{index}]"
            fewer = [*rules[:index], *rules[index + 1 :]]
            rest = {key: value for key, value in spec.items() if key != section}
            yield f"without {place}", True, {**rest, section: fewer} if fewer else rest
            for action in _ACTIONS:
                if action != rule["action"]:
                    changed = {**rule, "action": action}
                    yield f"{place} with {action}", False, _with(spec, section, index, changed)
            if "protocols" in rule:
                changed = {key: value for key, value in rule.items() if key != "protocols"}
                yield f"{place} for all ports", True, _with(spec, section, index, changed)
            if rule[peers] != [_EVERY_POD]:
                changed = {**rule, peers: [_EVERY_POD]}
                yield f"{place} for every pod", False, _with(spec, section, index, changed)


def _head(spec: _Object) -> Iterator[tuple[str, bool, _Object]]:
    for priority in (0, _LAST_PRIORITY):
        if priority != spec["priority"]:
            yield f"priority {priority}", False, {**spec, "priority": priority}
    other = "Baseline" if spec["tier"] == "Admin" else "Admin"
    yield f"tier {other}", False, {**spec, "tier": other}
    if spec["subject"] != _EVERY_POD:
        yield "subject every pod", False, {**spec, "subject": _EVERY_POD}


def _with(spec: _Object, section: str, index: int, rule: _Object) -> _Object:
    changed = copy.deepcopy(spec)
    changed[section][index] = copy.deepcopy(rule)
    return changed
