"""Random policies in tiers, and such a policy with one part changed.

Each theme is one way to write the rules of a policy, or the policies of a case. It is about one
part of the API, and draws policies for which a wrong reading of that part gives another verdict.
So its rules select pods that exist, and rules that compete have the same peers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from harness.generate.draw import Draw, Rotation, network_policy, tier_policy
from harness.generate.policies import namespace_selector, pod_selector
from harness.model import Manifest, Pod, Protocol
from harness.oracle import subjects
from harness.policy import parsed

_Object = dict[str, Any]
_PEERS_OF = {"ingress": "from", "egress": "to"}
_OPPOSITE = {"ingress": "egress", "egress": "ingress"}
_ACTIONS = ("Accept", "Deny", "Pass")
_EVERY_POD: _Object = {"namespaces": {}}
_LAST_PRIORITY = 1000
_FEW = 3
"""Of the rules of a longer list, only the first ones and the last are changed."""
_FEW_ATTEMPTS = 20
_RULES_BEFORE = 24
_UNUSED_PORT = 9000


# ------------------------------------------------------------------ peers and ports


def _any(draw: Draw) -> _Object:
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


def _selected(draw: Draw) -> _Object:
    """Return a subject or a peer that selects at least two pods, if there is one."""
    for _ in range(_FEW_ATTEMPTS):
        found = _any(draw)
        if len(_pods(draw, found)) > 1:
            return found
    return _EVERY_POD


def _others(draw: Draw, subject: _Object) -> _Object:
    """Return a peer that selects other pods than the subject, if there is one."""
    found = _selected(draw)
    for _ in range(_FEW_ATTEMPTS):
        if _pods(draw, found) != _pods(draw, subject):
            break
        found = _selected(draw)
    return found


def _pods(draw: Draw, subject: _Object) -> tuple[Pod, ...]:
    """Return the pods of a subject or a peer."""
    spec = _spec("Admin", 0, subject, "ingress", [])
    return tuple(
        pod for one in parsed([tier_policy("t", spec)]) for pod in subjects(draw.state, one)
    )


def _peer(draw: Draw, direction: str) -> _Object:
    if direction == "egress" and draw.ip_blocks and draw.rng.random() < 0.25:
        several = [draw.block(), draw.block()]
        cidrs = draw.rng.choice((["0.0.0.0/0"], ["$(cidr:pods)"], several))
        return {"networks": list(dict.fromkeys(cidrs))}
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
    return _numbered(protocol, port)


def _numbered(protocol: Protocol, port: _Object) -> _Object:
    return {str(protocol).lower(): {"destinationPort": port}}


def _rule(draw: Draw, direction: str, action: str) -> _Object:
    rule = _for_all_ports(direction, action, _peer(draw, direction))
    return _at_a_port(draw, direction, rule) if draw.rng.random() < 0.4 else rule


def _for_all_ports(direction: str, action: str, peer: _Object) -> _Object:
    return {"action": action, _PEERS_OF[direction]: [peer]}


def _at_a_port(draw: Draw, direction: str, rule: _Object) -> _Object:
    """Return the rule for one port; a rule about addresses cannot have the name of a port."""
    has_names = all("networks" not in peer for peer in rule[_PEERS_OF[direction]])
    return {**rule, "protocols": [_port(draw, has_names)]}


# ------------------------------------------------------------------ themes

_Policies = tuple[Manifest, ...]
Theme = Callable[[Draw], _Policies]


def _spec(
    tier: str, priority: int, subject: _Object, direction: str, rules: Sequence[_Object]
) -> _Object:
    head = {"tier": tier, "priority": priority, "subject": subject}
    return {**head, direction: list(rules)}


def _in_tiers(*specs: _Object) -> _Policies:
    return tuple(tier_policy(f"t{number}", spec) for number, spec in enumerate(specs, 1))


def _of_a_subject(
    draw: Draw, subject: _Object, direction: str, rules: Sequence[_Object]
) -> Manifest:
    """Return a NetworkPolicy of all pods of a namespace, among them one of the subject."""
    home = draw.rng.choice(_pods(draw, subject) or draw.state.pods).namespace
    spec = {"podSelector": {}, "policyTypes": [direction.capitalize()], direction: list(rules)}
    return network_policy(home, "beside", spec)


def _direction(draw: Draw) -> str:
    return draw.rng.choice(("ingress", "egress"))


def _exception(draw: Draw) -> _Policies:
    """Return a policy that denies every pod, but for an earlier rule."""
    direction, subject = _direction(draw), _selected(draw)
    first = _rule(draw, direction, draw.rng.choice(("Accept", "Pass")))
    last = _for_all_ports(direction, "Deny", _EVERY_POD)
    tier, priority = draw.rng.choice(("Admin", "Baseline")), draw.rng.choice((0, 10, 1000))
    return _in_tiers(_spec(tier, priority, subject, direction, [first, last]))


def _priorities(draw: Draw) -> _Policies:
    """Return two policies of a tier that differ in priority and action; the first one decides."""
    direction, subject = _direction(draw), _selected(draw)
    tier = draw.rng.choice(("Admin", "Baseline"))
    rule = _rule(draw, direction, "Deny")
    rules = [rule, {**rule, "action": draw.rng.choice(("Accept", "Pass"))}]
    draw.rng.shuffle(rules)
    low = draw.rng.choice((0, 5, 99))
    high = draw.rng.choice((low + 1, 100, _LAST_PRIORITY))
    specs = [
        _spec(tier, priority, subject, direction, [one])
        for priority, one in zip((low, high), rules, strict=True)
    ]
    draw.rng.shuffle(specs)
    return _in_tiers(*specs)


def _pass_to_baseline(draw: Draw) -> _Policies:
    """Return a Pass before a Deny of the Admin tier; the Baseline tier denies a part of it."""
    direction, subject = _direction(draw), _selected(draw)
    peer = _peer(draw, direction)
    passed = _for_all_ports(direction, "Pass", peer)
    denied = _for_all_ports(direction, "Deny", _EVERY_POD)
    last = _at_a_port(draw, direction, _for_all_ports(direction, "Deny", peer))
    return _in_tiers(
        _spec("Admin", 10, subject, direction, [passed, denied]),
        _spec("Baseline", 10, _EVERY_POD, direction, [last]),
    )


def _accepts(draw: Draw) -> _Policies:
    """Return a policy that accepts, and one below that denies: a NetworkPolicy or a Baseline."""
    direction, subject = _direction(draw), _selected(draw)
    accepted = _spec("Admin", 7, subject, direction, [_rule(draw, direction, "Accept")])
    if draw.rng.random() < 0.5:
        return (*_in_tiers(accepted), _of_a_subject(draw, subject, direction, []))
    denied = _for_all_ports(direction, "Deny", _EVERY_POD)
    return _in_tiers(accepted, _spec("Baseline", 7, subject, direction, [denied]))


def _both_directions(draw: Draw) -> _Policies:
    """Return one policy that accepts in one direction what it denies in the other."""
    subject = _selected(draw)
    one, other = draw.rng.sample(("ingress", "egress"), 2)
    peer = _others(draw, subject)
    denied = _for_all_ports(other, "Deny", peer)
    denied = _at_a_port(draw, other, denied) if draw.rng.random() < 0.4 else denied
    spec = _spec("Admin", 20, subject, one, [_for_all_ports(one, "Accept", peer)])
    return _in_tiers({**spec, other: [denied, _rule(draw, other, "Accept")]})


def _below_isolation(draw: Draw) -> _Policies:
    """Return a NetworkPolicy, and a Baseline policy that says the opposite of its rules."""
    direction, subject = _direction(draw), _selected(draw)
    number = draw.rng.choice(draw.numbers(Protocol.TCP))
    beside = _of_a_subject(draw, subject, direction, [{"ports": [{"port": number}]}])
    denied = _for_all_ports(direction, "Deny", _peer(draw, direction))
    denied = {**denied, "protocols": [_numbered(Protocol.TCP, {"number": number})]}
    accepted = _for_all_ports(direction, "Accept", _EVERY_POD)
    spec = _spec("Baseline", 30, subject, direction, [denied, accepted])
    return (*_in_tiers(spec), beside)


def _beside_isolation(draw: Draw) -> _Policies:
    """Return a Baseline policy, and a NetworkPolicy that isolates in the other direction only."""
    direction, subject = _direction(draw), _selected(draw)
    beside = _of_a_subject(draw, subject, _OPPOSITE[direction], [{}])
    spec = _spec("Baseline", 40, subject, direction, [_rule(draw, direction, "Deny")])
    return (*_in_tiers(spec), beside)


def _many_rules(draw: Draw) -> _Policies:
    """Return a policy of nearly as many rules as the API takes, of which the last decides."""
    direction, subject = _direction(draw), _selected(draw)
    accepted = _for_all_ports(direction, "Accept", _EVERY_POD)
    unused = range(_UNUSED_PORT, _UNUSED_PORT + _RULES_BEFORE)
    before = [
        {**accepted, "protocols": [_numbered(Protocol.TCP, {"number": number})]}
        for number in unused
    ]
    rules = [*before, _rule(draw, direction, "Deny")]
    return _in_tiers(_spec("Admin", 50, subject, direction, rules))


THEMES: Sequence[Theme] = (
    _exception,
    _priorities,
    _pass_to_baseline,
    _accepts,
    _both_directions,
    _below_isolation,
    _beside_isolation,
    _many_rules,
)


def tier_policies(draw: Draw, themes: Rotation[Theme], turn: int) -> tuple[Manifest, ...]:
    """Return the policies in tiers of a case, and NetworkPolicies that they need beside them."""
    return themes.at(turn)(draw)


# ------------------------------------------------------------------ one part changed


def specs_changed(spec: _Object) -> Iterator[tuple[str, bool, _Object]]:
    """Yield the spec with each of its parts changed: in words, and whether it is smaller."""
    yield from _head(spec)
    for section, peers in _PEERS_OF.items():
        rules = spec.get(section) or []
        if rules and len(rules) > 1:
            turned = {**spec, section: rules[::-1]}
            yield f"{section} in the opposite order", False, turned
        for index in sorted({*range(min(len(rules), _FEW)), len(rules) - 1} if rules else ()):
            rule = rules[index]
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
