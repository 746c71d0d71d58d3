"""Random small worlds with policies in tiers beside NetworkPolicies."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from harness.model import Manifest, State
from harness.policy import kinds
from tests.worlds import namespace_selectors, network_policy, pod_selectors, worlds

Object = dict[str, Any]
GROUP = "policy.networking.k8s.io"


def tier_policy(spec: Object, name: str) -> Manifest:
    """A ClusterNetworkPolicy that the API server would take; asserts that it would."""
    version = f"{GROUP}/v1alpha2"
    document = {
        "apiVersion": version,
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }
    kind = kinds.meant(version, "ClusterNetworkPolicy")
    assert kind is not None
    assert kind.faults(document) == (), (spec, kind.faults(document))
    return Manifest(version, "ClusterNetworkPolicy", "", name, json.dumps(document))


def _one(key: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    return st.fixed_dictionaries({key: value})


_pods = st.fixed_dictionaries(
    {"podSelector": pod_selectors}, optional={"namespaceSelector": namespace_selectors}
)
_names = st.sampled_from(({}, {"matchLabels": {"team": "a"}}, {"matchLabels": {"app": "a"}}))
_selected = st.one_of(
    _one("namespaces", _names), _one("namespaces", namespace_selectors), _one("pods", _pods)
)
_networks = st.lists(
    st.sampled_from((
        "0.0.0.0/0",
        "::/0",
        "10.10.0.0/16",
        "fd99::/16",
        "100.64.0.0/17",
        "100.64.128.0/17",
        "100.66.0.0/24",
        "100.66.0.2/32",
    )),
    min_size=1,
    max_size=2,
    unique=True,
)  # fmt: skip
_destinations = st.one_of(
    _selected,
    _selected,
    _one("networks", _networks),
    _one("nodes", st.just({})),
)
_port = st.one_of(
    _one("number", st.sampled_from((80, 81, 82))),
    _one("range", st.sampled_from(({"start": 79, "end": 80}, {"start": 81, "end": 9000}))),
)
_numbered = st.sampled_from(("tcp", "udp", "sctp")).flatmap(
    lambda word: _one(word, _one("destinationPort", _port))
)
_named = _one("destinationNamedPort", st.sampled_from(("web", "alt", "nobody")))


def _rules(key: str, peers: st.SearchStrategy[Object]) -> st.SearchStrategy[list[Object]]:
    action = st.sampled_from(("Accept", "Deny", "Pass"))
    listed = st.lists(peers, min_size=1, max_size=2)
    rule = st.tuples(
        action,
        listed,
        st.one_of(st.none(), st.lists(st.one_of(_numbered, _named), min_size=1, max_size=3)),
    ).map(lambda drawn: _rule(key, *drawn))
    return st.lists(rule, min_size=1, max_size=3)


def _rule(key: str, action: str, peers: list[Object], protocols: list[Object] | None) -> Object:
    """A rule; named ports stand only beside pods."""
    of_pods = all("networks" not in peer and "nodes" not in peer for peer in peers)
    kept = [item for item in protocols or () if of_pods or "destinationNamedPort" not in item]
    return {"action": action, key: peers} | ({"protocols": kept} if kept else {})


_ingress, _egress = {"ingress": _rules("from", _selected)}, {"egress": _rules("to", _destinations)}
_everybody: st.SearchStrategy[Object] = st.just({"namespaces": {}})
_specs = st.sampled_from((_ingress, _ingress, _egress, {**_ingress, **_egress}, {})).flatmap(
    lambda sections: st.fixed_dictionaries(
        {
            "tier": st.sampled_from(("Admin", "Admin", "Baseline")),
            "priority": st.sampled_from((0, 1, 1, 5)),
            "subject": st.one_of(_everybody, _everybody, _selected),
            **sections,
        }
    )
)


@st.composite
def tier_worlds(draw: st.DrawFn, most_pods: int = 4, most_policies: int = 2) -> State:
    """A world with two to four policies in tiers, whose priorities may be equal.

    In a third of them a NetworkPolicy denies everything: what Pass and Accept do shows there.
    """
    world = draw(worlds(most_pods, most_policies))
    specs = draw(st.lists(_specs, min_size=2, max_size=4))
    policies = tuple(tier_policy(spec, f"t{index}") for index, spec in enumerate(specs))
    home = world.namespaces[0].name
    deny_all = network_policy({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, home, "d")
    kept = draw(st.sampled_from((world.policies, world.policies[:1], (deny_all,))))
    return replace(world, policies=(*kept, *policies))
