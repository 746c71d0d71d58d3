"""Redundant policies: without them, the oracle says the same about every connection."""

from __future__ import annotations

import functools
import io
import json
import random
from dataclasses import replace

import pytest

from harness.application import Application, read
from harness.application.state import deployed, state
from harness.lint import Choice, linted
from harness.model import Destination, Family, Probe
from harness.oracle import Judge

LABELS = [{}, {"a": "x"}, {"a": "y"}, {"b": "x"}, {"a": "x", "b": "x"}]
NAMESPACES = ("one", "two")


def pods() -> list[object]:
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"p{number}", "namespace": namespace, "labels": labels},
            "spec": {
                "containers": [
                    {"name": "c", "ports": [{"containerPort": 80}, {"containerPort": 81}]}
                ]
            },
        }
        for namespace in NAMESPACES
        for number, labels in enumerate(LABELS)
    ]


def selector(chance: random.Random) -> object:
    return chance.choice([
        {}, {"matchLabels": {"a": "x"}}, {"matchLabels": {"a": "x", "b": "x"}},
        {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["y"]}]},
    ])  # fmt: skip


def peer(chance: random.Random) -> object:
    found: dict[str, object] = {}
    if chance.random() < 0.7:
        found["podSelector"] = selector(chance)
    if not found or chance.random() < 0.3:
        names = chance.choice([{}, {"matchLabels": {"kubernetes.io/metadata.name": "one"}}])
        found["namespaceSelector"] = names
    return found


def rule(chance: random.Random, key: str) -> object:
    found: dict[str, object] = {}
    if chance.random() < 0.8:
        found[key] = [peer(chance) for _ in range(chance.randint(1, 2))]
    if chance.random() < 0.5:
        found["ports"] = [chance.choice([{"port": 80}, {"port": 80, "endPort": 81}, {}])]
    return found


def policy(chance: random.Random, number: int) -> object:
    spec: dict[str, object] = {
        "podSelector": selector(chance),
        "policyTypes": chance.choice([["Ingress"], ["Ingress", "Egress"], ["Egress"]]),
        "ingress": [rule(chance, "from") for _ in range(chance.randint(0, 2))],
        "egress": [rule(chance, "to") for _ in range(chance.randint(0, 2))],
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"n{number}", "namespace": chance.choice(NAMESPACES)},
        "spec": spec,
    }


@functools.cache
def application(seed: int) -> Application:
    chance = random.Random(seed)  # noqa: S311
    items = [*pods(), *(policy(chance, number) for number in range(6))]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    return read(["-"], stdin=io.BytesIO(text.encode()))


def verdicts(found: Application) -> list[object]:
    made = state(found, deployed(found))
    judge = Judge(made)
    return [
        judge.predict(Probe(one.ref, Destination(other.ref, port), Family.V4)).verdicts
        for one in made.pods
        for other in made.pods
        if one is not other and one.namespace in NAMESPACES and other.namespace in NAMESPACES
        for port in (80, 81)
    ]


@functools.cache
def redundant(seed: int) -> frozenset[str]:
    result = linted(application(seed), Choice(select=frozenset({"redundant-policy"})))
    return frozenset(item.place.subject for item in result.findings)


SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_redundant_policies_can_go_together(seed: int) -> None:
    found = application(seed)
    gone = redundant(seed)
    left = tuple(item for item in found.policies if str(item) not in gone)
    if gone:
        assert verdicts(replace(found, policies=left)) == verdicts(found)


def test_many_of_the_cases_have_some() -> None:
    assert sum(bool(redundant(seed)) for seed in SEEDS) >= 8


def text(*policies: str) -> Application:
    head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
    documents = (
        f"{head}metadata: {{name: p{number}, namespace: shop}}\nspec: {spec}\n"
        for number, spec in enumerate(policies, 1)
    )
    return read(["-"], stdin=io.BytesIO("---\n".join(documents).encode()))


def messages(found: Application) -> list[str]:
    select = frozenset({"redundant-policy", "redundant-rule"})
    return [item.said.message for item in linted(found, Choice(select=select)).findings]


def test_of_two_equal_policies_the_second_is_redundant() -> None:
    spec = "{podSelector: {}, policyTypes: [Ingress]}"
    assert messages(text(spec, spec)) == [
        "NetworkPolicy shop/p2 changes nothing beside NetworkPolicy shop/p1, in any cluster"
    ]


def test_several_policies_can_make_one_redundant() -> None:
    found = text(
        "{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]}",
        "{podSelector: {}, policyTypes: [Egress]}",
        "{podSelector: {matchLabels: {a: x}}, policyTypes: [Ingress, Egress],"
        " ingress: [{ports: [{port: 80}], from: [{podSelector: {}}]}]}",
    )
    assert messages(found) == [
        "NetworkPolicy shop/p3 changes nothing beside NetworkPolicy shop/p2, "
        "NetworkPolicy shop/p1, in any cluster"
    ]


def test_a_denial_of_all_is_not_redundant_beside_policies_of_single_pods() -> None:
    deny = "{podSelector: {}, policyTypes: [Ingress]}"
    allow = "{podSelector: {matchLabels: {a: x}}, policyTypes: [Ingress], ingress: [{}]}"
    assert messages(text(deny, allow)) == []


def test_of_two_equal_rules_the_second_is_redundant() -> None:
    rule = "{from: [{podSelector: {}}]}"
    spec = f"{{podSelector: {{}}, policyTypes: [Ingress], ingress: [{rule}, {rule}]}}"
    assert messages(text(spec)) == [
        "NetworkPolicy shop/p1, ingress rule 2: admits nothing that rule 1 does not"
    ]
