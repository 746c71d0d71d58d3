"""The JSON Schema of policies: as strict as the reader, as far as a schema can be."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness import policy
from harness.policy import KINDS, PolicyKind, kinds
from tests.policy_objects import ADMIN, BASELINE, CLUSTER, GONE, GROUP, NETWORK, Object, put
from tests.policy_schema import only_the_reader_sees, takes

ROOT = Path(__file__).parents[3]
WHOLE = (NETWORK, CLUSTER, ADMIN, BASELINE)

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.schema_name)


def whole(kind: PolicyKind) -> Object:
    """Return a policy of that kind and version."""
    found = next(one for one in WHOLE if one["kind"] == kind.kind)
    return copy.deepcopy({**found, "apiVersion": kind.api_version})


def definitions() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(policy.json_schema())
    parts: dict[str, Any] = document["$defs"]
    return parts


def within(value: object, path: policy.Path = ()) -> Iterator[tuple[policy.Path, Any]]:
    """Yield everything in a document, each with its path."""
    yield path, value
    found: Any = ()
    if isinstance(value, dict):
        found = value.items()
    elif isinstance(value, list):
        found = enumerate(value)
    for key, item in found:
        yield from within(item, (*path, key))


# ------------------------------------------------------------------ the schema itself


def test_the_schema_of_policies_is_the_generated_one() -> None:
    shipped = ROOT / "harness" / "policy.schema.json"
    assert shipped.read_text("utf-8") == policy.json_schema(), (
        "regenerate it: netpol schema policy > harness/policy.schema.json"
    )


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(json.loads(policy.json_schema()))


def test_every_part_is_used_and_there() -> None:
    document = json.loads(policy.json_schema())
    used = {item for path, item in within(document) if path and path[-1] == "$ref"}
    assert used == {f"#/$defs/{name}" for name in document["$defs"]}


def test_every_key_has_a_description() -> None:
    lists = [(path, item) for path, item in within(definitions()) if path[-1:] == ("properties",)]
    conditions = {"if", "then", "not"}  # they narrow keys that are described elsewhere
    silent = [
        (*path, key)
        for path, keys in lists
        if not conditions & set(path)
        for key, schema in keys.items()
        if not schema.get("description")
    ]
    assert len(lists) > 50
    assert silent == []


# ------------------------------------------------------------------ beside the reader

VALUES: tuple[object, ...] = (
    GONE, None, True, 0, 1, 1001, 65536, "", "a", "-a", "a" * 64, "8", "10.0.0.0/8",
    [], {}, [None], ["a"], [{}], {"a": "b"}, {"podSelector": {}}, {"networks": None},
)  # fmt: skip
"""What is put at every place of an object, one after the other."""
KEYS = ("zebra", "from", "podSelector", "namespaces", "networks", "number", "port", "tcp")
"""The keys that every mapping of an object gets, one after the other."""


def variants(document: Object) -> Iterator[tuple[str, Object]]:
    """Yield the object with each value at each place, and with each key in each mapping.

    Its identity stays as it is.
    """
    for path, before in within(document):
        name = ".".join(map(str, path))
        if path and path[-1] not in {"apiVersion", "kind"}:
            for value in VALUES:
                yield f"{name}: {value}", put(document, path, value)
        if isinstance(before, dict):
            for key in KEYS:
                if key not in before:
                    yield f"{name}.{key} is new", put(document, (*path, key), {})


@pytest.mark.parametrize("document", WHOLE, ids=lambda document: document["kind"])
def test_the_schema_refuses_what_the_reader_does(document: Object) -> None:
    kind = kinds.meant(document["apiVersion"], document["kind"])
    assert kind
    too_strict, too_lax, refused = [], [], 0
    for name, changed in variants(document):
        messages = [fault.message for fault in kind.faults(changed)]
        if takes(changed):
            if not all(map(only_the_reader_sees, messages)):
                too_lax.append((name, messages))
        elif messages:
            refused += 1
        elif not (kind.scope is kinds.Scope.CLUSTER and changed["metadata"].get("namespace")):
            too_strict.append(name)
    assert (too_strict, too_lax) == ([], [])
    assert refused > 100


@pytest.mark.parametrize(
    "block",
    [
        "0.0.0.0/0", "10.0.0.5/24", "255.255.255.255/32", "10.0.0.0/08", "::/0", "2001:DB8::1/128",
        "::ffff:10.0.0.0/104", "$(ip:y/a.b)/32", "$(ip:node/2)/32", "$(ip6:y/a)/128",
        "$(ip6:node/12)/128", "$(cidr:pods)", "$(cidr6:pods)",
        "", "10.0.0.0", "10.0.0/8", "10.0.0.256/8", "010.0.0.0/8", "10.0.0.0/33", "10.0.0.0/-1",
        "10.0.0.0/255.0.0.0", "fd00::/129", "fd00/8", "fe80::%eth0/64", " 10.0.0.0/8",
        "$(ip:y/a)", "$(ip:y/a)/24", "$(ip6:y/a)/32", "$(ip:node/x)/32", "$(ip:node/0)/32",
        "$(ip:y)/32", "$(ip:Y/a)/32", "$(cidr:all)", "$(cidr:pods)/16", "$(pod:y/a)/32",
    ],
)  # fmt: skip
def test_a_block_is_one_for_the_schema_and_the_reader(block: str) -> None:
    document = copy.deepcopy(NETWORK)
    document["spec"]["ingress"][0]["from"] = [{"ipBlock": {"cidr": block}}]
    assert takes(document) is not bool(policy.faults(document))


def test_the_versions_of_a_kind_differ_in_nothing_else() -> None:
    _, first, second, *_ = KINDS
    parts, others = dict(first.schema_parts()), dict(second.schema_parts())
    whole, other = parts.pop(first.schema_name), others.pop(second.schema_name)
    assert parts == others
    assert whole["properties"] | {"apiVersion": 0} == other["properties"] | {"apiVersion": 0}


@each_kind
def test_an_object_as_a_cluster_prints_it(kind: PolicyKind) -> None:
    """The reader of files leaves out what the API server sets."""
    document = whole(kind)
    document["status"] = {"conditions": []}
    document["metadata"] |= {"namespace": "", "uid": "1", "generation": 2, "managedFields": []}
    assert takes(document)


@each_kind
def test_a_policy_of_each_kind(kind: PolicyKind) -> None:
    assert takes(whole(kind))
    assert not takes({**whole(kind), "spec": {"zebra": 1}})


@each_kind
def test_only_an_object_of_a_namespace_may_name_one(kind: PolicyKind) -> None:
    document = whole(kind)
    document["metadata"]["namespace"] = "db"
    assert takes(document) is (kind.scope is kinds.Scope.NAMESPACED)


@pytest.mark.parametrize(
    ("api_version", "kind", "taken"),
    [
        ("networking.k8s.io/v1", "NetworkPolicy", False),
        ("networking.k8s.io/v1beta1", "NetworkPolicy", False),
        ("networking.k8s.io/v1", "NetworkPolicie", False),
        ("networking.k8s.io/v1", "Ingress", True),
        (f"{GROUP}/v1alpha1", "ClusterNetworkPolicy", False),
        (f"{GROUP}/v1beta1", "AdminNetworkPolicy", False),
        (f"{GROUP}/v1alpha2", "ClusterNetworkPolcy", False),
        (f"{GROUP}/v1alpha2", "ClusterNetworkPolicyList", True),
        ("projectcalico.org/v3", "NetworkPolicy", True),
        ("cilium.io/v2", "CiliumNetworkPolicy", True),
        ("v1", "ConfigMap", True),
        ("networking.k8s.io", "NetworkPolicy", False),
        (None, "NetworkPolicy", False),
        ("v1", None, False),
        ("v1", "", False),
    ],
)
def test_the_kind_chooses_what_is_checked(api_version: str, kind: str, taken: bool) -> None:
    """The spec is one of no kind."""
    document = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "a"},
        "spec": {"zebra": 1},
    }
    assert takes(document) is taken
