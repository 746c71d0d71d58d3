"""The JSON Schema of NetworkPolicies: the structure of what ``network_policy`` reads."""

from __future__ import annotations

from collections.abc import Mapping

from harness.policy.definitions import (
    Schema,
    block,
    choice,
    hint_of,
    listed,
    mapping,
    name_of,
    namespaced_metadata,
    nullable,
    object_of,
    part,
    port,
    protocol,
    word,
)
from harness.policy.network_policy import API_VERSION, KIND
from harness.policy.selectors import LONGEST_PORT_NAME, PORT_NAME, Direction, port_name


def network_policy_parts() -> Mapping[str, Schema]:
    """Return the JSON Schema of NetworkPolicies, as named parts."""
    about = "A NetworkPolicy: which connections the pods of a namespace accept and open."
    spec = part("NetworkPolicySpec", "The pods, and the connections that they may have.")
    ports = nullable(
        listed(
            "Ports of the destination; one of them must match. Without it, every port.",
            part("NetworkPolicyPort", "A port, a range of ports, or all ports of a protocol."),
        )
    )
    return {
        name_of(API_VERSION, KIND): object_of(
            API_VERSION, KIND, about, spec, namespaced_metadata()
        ),
        "NetworkPolicySpec": _spec(),
        "NetworkPolicyIngress": _rule_of("from", "sources", ports),
        "NetworkPolicyEgress": _rule_of("to", "destinations", ports),
        "NetworkPolicyPeer": _peer_schema(),
        "NetworkPolicyPort": _port_schema(),
    }


def _spec() -> Schema:
    types = listed(
        "The directions in which the policy isolates its pods. By default Ingress, and Egress "
        "if there are rules of egress.",
        choice("A direction, as seen from the pods of the policy.", Direction),
        most=len(Direction),
    )
    keys = {
        "podSelector": part("LabelSelector", "Pods of its namespace by their labels; {}: all."),
        "policyTypes": nullable(types),
    }
    for key, about in (
        ("ingress", "Connections that the pods accept; without a rule, none."),
        ("egress", "Connections that the pods may open; without a rule, none."),
    ):
        rule = part(f"NetworkPolicy{key.capitalize()}", "{} allows every connection.")
        keys[key] = nullable(listed(about, rule))
    return nullable(mapping("The pods, and the connections that they may have.", keys))


def _rule_of(peers_key: str, peers: str, ports: Schema) -> Schema:
    about = f"The {peers}; one of them must match. Without it, everybody."
    item = part("NetworkPolicyPeer", "Pods by labels, or addresses.")
    keys = {peers_key: nullable(listed(about, item)), "ports": ports}
    return mapping("A rule: allows connections with one of the peers at one of the ports.", keys)


def _peer_schema() -> Schema:
    keys = {
        "podSelector": part(
            "LabelSelector", "Pods by their labels; without namespaceSelector, of its namespace."
        ),
        "namespaceSelector": part(
            "LabelSelector", "Namespaces by their labels; without podSelector, all their pods."
        ),
        "ipBlock": nullable(_block_schema()),
    }
    absent: Schema = {"type": "null"}
    return {
        **mapping("Pods by labels, or addresses: ipBlock stands alone.", keys),
        "minProperties": 1,
        "not": {"properties": dict.fromkeys(keys, absent)},
        "if": {"required": ["ipBlock"], "properties": {"ipBlock": {"type": "object"}}},
        "then": {"properties": {"podSelector": absent, "namespaceSelector": absent}},
    }


def _block_schema() -> Schema:
    outside = block("A smaller block inside cidr.")
    keys = {
        "cidr": block("Like 10.0.0.0/8 or fd00::/8; in a scenario also $(ip:NAMESPACE/POD)/32."),
        "except": nullable(listed("Blocks that the rule does not match.", outside)),
    }
    return mapping("Addresses, mainly of hosts outside the cluster.", keys, "cidr")


def _port_schema() -> Schema:
    about = "The number of a port, or the name of a port of a container; without it, all."
    pattern = f"(?=.*[a-z]){PORT_NAME.pattern}"
    name = word(about, pattern, hint_of(port_name), LONGEST_PORT_NAME)
    either = {**name, **port(about), "type": ["integer", "string", "null"]}
    last = nullable(port("The last port of a range that begins with port."))
    keys = {"protocol": protocol(), "port": either, "endPort": last}
    number = {"type": "integer"}
    return {
        **mapping("A port, a range of ports, or all ports of a protocol.", keys),
        "if": {"required": ["endPort"], "properties": {"endPort": number}},
        "then": {"required": ["port"], "properties": {"port": number}},
    }
