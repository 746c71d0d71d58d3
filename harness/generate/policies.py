"""Random NetworkPolicies over the labels, ports and pods of a topology.

Each theme is one way to write a selector, a list of peers, a list of ports, or the policies of a
case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.generate.draw import NOBODY, Draw, Selectable, network_policy
from harness.model import Manifest, Protocol

_Object = dict[str, Any]
_NAME = "kubernetes.io/metadata.name"
_LONG_LIST = 26
_MANY_POLICIES = 20


# ------------------------------------------------------------------ selectors


def _pair(draw: Draw, labels: Selectable) -> tuple[str, str]:
    key = draw.rng.choice(list(labels)) if labels else "app"
    return key, draw.rng.choice(labels.get(key, ["none"]))


def _one_label(draw: Draw, labels: Selectable) -> _Object:
    return {"matchLabels": dict([_pair(draw, labels)])}


def _two_labels(draw: Draw, labels: Selectable) -> _Object:
    return {"matchLabels": dict(sorted((_pair(draw, labels), _pair(draw, labels))))}


def _values(draw: Draw, labels: Selectable, operator: str, most: int) -> _Object:
    key, value = _pair(draw, labels)
    others = [other for other in [*labels.get(key, []), "other"] if other != value]
    values = [value, *draw.rng.sample(others, min(most - 1, len(others)))]
    return {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}


def _in_two(draw: Draw, labels: Selectable) -> _Object:
    return _values(draw, labels, "In", 2)


def _not_in_one(draw: Draw, labels: Selectable) -> _Object:
    return _values(draw, labels, "NotIn", 1)


def _not_in_two(draw: Draw, labels: Selectable) -> _Object:
    return _values(draw, labels, "NotIn", 2)


def _exists(draw: Draw, labels: Selectable) -> _Object:
    return {"matchExpressions": [{"key": _pair(draw, labels)[0], "operator": "Exists"}]}


def _does_not_exist(draw: Draw, labels: Selectable) -> _Object:
    return {"matchExpressions": [{"key": _pair(draw, labels)[0], "operator": "DoesNotExist"}]}


def _label_and_expression(draw: Draw, labels: Selectable) -> _Object:
    expression = draw.rng.choice((_in_two, _not_in_one, _exists, _does_not_exist))
    return {**_one_label(draw, labels), **expression(draw, labels)}


_SELECTORS = (
    _one_label,
    _two_labels,
    _in_two,
    _not_in_one,
    _not_in_two,
    _exists,
    _does_not_exist,
    _label_and_expression,
)


def pod_selector(draw: Draw) -> _Object:
    """Return a selector of pods by their labels."""
    return draw.rng.choice(_SELECTORS)(draw, draw.pod_labels())


def namespace_selector(draw: Draw) -> _Object:
    """Return a selector of namespaces by their labels."""
    if draw.rng.random() < 0.2:
        return {"matchLabels": {_NAME: draw.rng.choice(draw.namespaces)}}
    return draw.rng.choice(_SELECTORS)(draw, draw.namespace_labels())


def _subject(draw: Draw) -> _Object:
    """Return a podSelector for the pods of a policy; a third are empty."""
    return {} if draw.rng.random() < 0.34 else pod_selector(draw)


# ------------------------------------------------------------------ peers

_Peers = list[_Object] | None
"""None leaves the list out."""


def _pods_here(draw: Draw) -> _Peers:
    return [{"podSelector": pod_selector(draw)}]


def _namespaces(draw: Draw) -> _Peers:
    return [{"namespaceSelector": namespace_selector(draw)}]


def _every_namespace(draw: Draw) -> _Peers:  # noqa: ARG001 - as the others
    return [{"namespaceSelector": {}}]


def _pods_of_namespaces(draw: Draw) -> _Peers:
    return [
        {"namespaceSelector": namespace_selector(draw), "podSelector": pod_selector(draw)},
    ]


def _pods_of_every_namespace(draw: Draw) -> _Peers:
    return [{"namespaceSelector": {}, "podSelector": pod_selector(draw)}]


def _pods_or_namespaces(draw: Draw) -> _Peers:
    peers = [*(_pods_here(draw) or []), *(_namespaces(draw) or [])]
    draw.rng.shuffle(peers)
    return peers


def _two_entries(draw: Draw) -> _Peers:
    return [*(_pods_here(draw) or []), *(_pods_of_namespaces(draw) or [])]


def _nobody(draw: Draw) -> _Peers:
    kind = draw.rng.choice(("podSelector", "namespaceSelector"))
    return [{kind: {"matchLabels": {"app": NOBODY}}}]


def _left_out(draw: Draw) -> _Peers:  # noqa: ARG001 - as the others
    return None


def _empty_list(draw: Draw) -> _Peers:  # noqa: ARG001 - as the others
    return []


def _addresses(draw: Draw) -> _Peers:
    count = draw.rng.choice((1, 2, 3))
    refs = draw.rng.sample(draw.pods, min(count, len(draw.pods)))
    return [{"ipBlock": {"cidr": f"$(ip:{ref})/32"}} for ref in refs]


def _all_but(draw: Draw) -> _Peers:
    cidr = draw.rng.choice(("$(cidr:pods)", "0.0.0.0/0"))
    refs = draw.rng.sample(draw.pods, min(draw.rng.choice((1, 2)), len(draw.pods)))
    return [{"ipBlock": {"cidr": cidr, "except": [f"$(ip:{ref})/32" for ref in refs]}}]


def _block_and_selector(draw: Draw) -> _Peers:
    blocks = draw.rng.choice((_addresses, _all_but))(draw) or []
    peers = [*blocks[:1], *(draw.rng.choice((_pods_here, _namespaces))(draw) or [])]
    draw.rng.shuffle(peers)
    return peers


PeerTheme = Callable[[Draw], _Peers]
_PEERS_OF_SELECTORS: Sequence[PeerTheme] = (
    _pods_here,
    _namespaces,
    _every_namespace,
    _pods_of_namespaces,
    _pods_of_every_namespace,
    _pods_or_namespaces,
    _two_entries,
    _nobody,
    _left_out,
    _empty_list,
)
_PEERS_OF_BLOCKS: Sequence[PeerTheme] = (_addresses, _all_but, _block_and_selector)


# ------------------------------------------------------------------ ports

_Ports = list[_Object] | None
_TCP, _UDP, _SCTP = Protocol.TCP, Protocol.UDP, Protocol.SCTP


def _number(draw: Draw) -> _Ports:
    return [{"protocol": "TCP", "port": draw.rng.choice(draw.numbers(_TCP))}]


def _no_protocol(draw: Draw) -> _Ports:
    return [{"port": draw.rng.choice(draw.numbers(_TCP))}]


def _udp_number(draw: Draw) -> _Ports:
    return [{"protocol": "UDP", "port": draw.rng.choice(draw.numbers(_UDP))}]


def _two_ports(draw: Draw) -> _Ports:
    return [*(_no_protocol(draw) or []), *(_udp_number(draw) or [])]


def _name(draw: Draw) -> _Ports:
    return [{"port": draw.rng.choice(draw.names(_TCP))}]


def _udp_name(draw: Draw) -> _Ports:
    return [{"protocol": "UDP", "port": draw.rng.choice(draw.names(_UDP))}]


def _unknown_name(draw: Draw) -> _Ports:
    return [{"port": NOBODY}, *(_udp_number(draw) or [])]


def _range(draw: Draw) -> _Ports:
    numbers = draw.numbers(_TCP)
    first, last = draw.rng.choice(
        ((numbers[0], numbers[-1]), (numbers[0] - 1, numbers[0]), (numbers[0], numbers[-1] + 9))
    )
    return [{"protocol": draw.rng.choice(("TCP", "UDP")), "port": max(first, 1), "endPort": last}]


def _protocol_only(draw: Draw) -> _Ports:
    return [{"protocol": draw.rng.choice(("TCP", "UDP"))}]


def _other_protocol(draw: Draw) -> _Ports:
    sctp = {"protocol": "SCTP", "port": draw.rng.choice(draw.numbers(_TCP))}
    return [sctp, *(_udp_number(draw) or [])]


def _long(draw: Draw) -> _Ports:
    others = [{"port": 8000 + 2 * index} for index in range(_LONG_LIST)]
    return [*others, *(_no_protocol(draw) or [])]


def _no_ports(draw: Draw) -> _Ports:  # noqa: ARG001 - as the others
    return None


def _empty_ports(draw: Draw) -> _Ports:  # noqa: ARG001 - as the others
    return []


PortTheme = Callable[[Draw], _Ports]
PORTS: Sequence[PortTheme] = (
    _number,
    _no_protocol,
    _udp_number,
    _two_ports,
    _name,
    _udp_name,
    _unknown_name,
    _range,
    _protocol_only,
    _other_protocol,
    _long,
    _no_ports,
    _no_ports,
    _empty_ports,
)


# ------------------------------------------------------------------ policies

_Policy = tuple[str, _Object]
"""A namespace and a spec."""


@dataclass(frozen=True, slots=True)
class Themes:
    """The themes of one case, and how its policies are drawn from them."""

    draw: Draw
    peers: Sequence[PeerTheme]
    ports: Sequence[PortTheme]

    def rule(self, direction: str, index: int) -> _Object:
        """Return the rule that the themes of that index give."""
        draw = self.draw
        peers = self.peers[index % len(self.peers)](draw)
        ports = self.ports[index % len(self.ports)](draw)
        rule: _Object = {} if peers is None else {_PEERS_OF[direction]: peers}
        return rule if ports is None else {**rule, "ports": ports}

    def home(self) -> str:
        return self.draw.rng.choice(self.draw.namespaces)


_PEERS_OF = {"ingress": "from", "egress": "to"}
_TYPE = {"ingress": "Ingress", "egress": "Egress"}


def _spec(subject: _Object, types: list[str] | None, **rules: list[_Object]) -> _Object:
    typed = {} if types is None else {"policyTypes": types}
    return {"podSelector": subject, **typed, **rules}


def _ingress(themes: Themes) -> list[_Policy]:
    subject, rules = _subject(themes.draw), [themes.rule("ingress", 0)]
    types = themes.draw.rng.choice((None, ["Ingress"]))
    return [(themes.home(), _spec(subject, types, ingress=rules))]


def _egress(themes: Themes) -> list[_Policy]:
    rules = [themes.rule("egress", 0)]
    return [(themes.home(), _spec(_subject(themes.draw), ["Egress"], egress=rules))]


def _both_directions(themes: Themes) -> list[_Policy]:
    ingress, egress = [themes.rule("ingress", 0)], [themes.rule("egress", 1)]
    types = themes.draw.rng.choice((None, ["Ingress", "Egress"]))
    spec = _spec(_subject(themes.draw), types, ingress=ingress, egress=egress)
    return [(themes.home(), spec)]


def _two_rules(themes: Themes) -> list[_Policy]:
    direction = themes.draw.rng.choice(("ingress", "egress"))
    rules = [themes.rule(direction, 0), themes.rule(direction, 1)]
    types = [_TYPE[direction]]
    return [(themes.home(), _spec(_subject(themes.draw), types, **{direction: rules}))]


def _two_policies(themes: Themes) -> list[_Policy]:
    home, subject = themes.home(), _subject(themes.draw)
    direction = themes.draw.rng.choice(("ingress", "egress"))
    second = subject if themes.draw.rng.random() < 0.7 else _subject(themes.draw)
    return [
        (home, _spec(subject, [_TYPE[direction]], **{direction: [themes.rule(direction, 0)]})),
        (home, _spec(second, [_TYPE[direction]], **{direction: [themes.rule(direction, 1)]})),
    ]


def _same_peers(themes: Themes) -> list[_Policy]:
    """Return two policies for different pods with the same rule."""
    home, rule = themes.home(), themes.rule("ingress", 0)
    return [
        (home, _spec(pod_selector(themes.draw), ["Ingress"], ingress=[rule])),
        (home, _spec(pod_selector(themes.draw), ["Ingress"], ingress=[rule])),
    ]


def _both_ends(themes: Themes) -> list[_Policy]:
    """Return policies for egress of the pods of a namespace and ingress of another."""
    source, target = themes.home(), themes.home()
    draw = themes.draw
    return [
        (source, _spec(_subject(draw), ["Egress"], egress=[themes.rule("egress", 0)])),
        (target, _spec(_subject(draw), ["Ingress"], ingress=[themes.rule("ingress", 1)])),
    ]


def _deny_and_allow(themes: Themes) -> list[_Policy]:
    """Return a policy without rules for all pods of a namespace, and one that allows some."""
    home, draw = themes.home(), themes.draw
    direction = draw.rng.choice(("ingress", "egress"))
    nothing: _Object = {} if draw.rng.random() < 0.5 else {direction: []}
    return [
        (home, _spec({}, [_TYPE[direction]], **nothing)),
        (
            home,
            _spec(_subject(draw), [_TYPE[direction]], **{direction: [themes.rule(direction, 0)]}),
        ),
    ]


def _deny_all(themes: Themes) -> list[_Policy]:
    types = themes.draw.rng.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"], None))
    return [(themes.home(), _spec(_subject(themes.draw), types))]


def _types_not_of_sections(themes: Themes) -> list[_Policy]:
    """Return a policy with rules for a direction that policyTypes does not name."""
    draw = themes.draw
    counts, ignored = draw.rng.sample(("ingress", "egress"), 2)
    rules = {counts: [themes.rule(counts, 0)], ignored: [themes.rule(ignored, 1)]}
    return [(themes.home(), _spec(_subject(draw), [_TYPE[counts]], **rules))]


def _default_types(themes: Themes) -> list[_Policy]:
    """Return a policy with egress rules, no ingress section and no policyTypes."""
    return [(themes.home(), _spec(_subject(themes.draw), None, egress=[themes.rule("egress", 0)]))]


def _excepted_and_allowed(themes: Themes) -> list[_Policy]:
    """Return a policy that excepts pods from a block, and one that allows one of them."""
    home, draw = themes.home(), themes.draw
    peers = _all_but(draw) if draw.ip_blocks else _pods_here(draw)
    subject = _subject(draw)
    return [
        (home, _spec(subject, ["Ingress"], ingress=[{"from": peers}])),
        (home, _spec(subject, ["Ingress"], ingress=[themes.rule("ingress", 0)])),
    ]


def _many(themes: Themes) -> list[_Policy]:
    """Return many policies for the same pods, each with another port or peer."""
    home, subject = themes.home(), _subject(themes.draw)
    first = themes.rule("ingress", 0)
    others = [{"ports": [{"port": 8000 + index}]} for index in range(_MANY_POLICIES)]
    return [(home, _spec(subject, ["Ingress"], ingress=[rule])) for rule in (first, *others)]


Shape = Callable[[Themes], list[_Policy]]
SHAPES: Sequence[Shape] = (
    _ingress,
    _ingress,
    _egress,
    _egress,
    _both_directions,
    _two_rules,
    _two_rules,
    _two_policies,
    _two_policies,
    _same_peers,
    _both_ends,
    _both_ends,
    _deny_and_allow,
    _deny_all,
    _types_not_of_sections,
    _default_types,
    _excepted_and_allowed,
)
RARE_SHAPES: Sequence[Shape] = (*SHAPES, *SHAPES, _many)


def peer_themes(ip_blocks: bool) -> Sequence[PeerTheme]:
    """Return the themes of peers, without blocks where a cluster cannot judge pods by them."""
    blocks = (*_PEERS_OF_BLOCKS, *_PEERS_OF_BLOCKS) if ip_blocks else ()
    return (*_PEERS_OF_SELECTORS, *blocks)


_ODD_NAMES = ("0.first", "policy.with.dots", "a-name-" + "long-" * 12 + "z")


def policies(shape: Shape, themes: Themes) -> tuple[Manifest, ...]:
    """Return the policies of a case."""
    rng = themes.draw.rng
    odd = rng.random() < 0.15
    found = []
    for number, (namespace, spec) in enumerate(shape(themes), 1):
        name = f"{rng.choice(_ODD_NAMES)}-{number}" if odd else f"p{number}"
        found.append(network_policy(namespace, name, spec))
    return tuple(found)
