"""The JSON Schemas of policies in tiers: the structure of what ``tier_document`` reads."""

from __future__ import annotations

from collections.abc import Mapping

from harness.policy import admin_network_policy, cluster_network_policy
from harness.policy.definitions import (
    Schema,
    block,
    choice,
    cluster_metadata,
    listed,
    mapping,
    name_of,
    nullable,
    object_of,
    one_of,
    part,
    port,
    protocol,
    word,
)
from harness.policy.tier_document import (
    DOMAIN_NAME,
    DOMAIN_NAME_HINT,
    LONGEST_CIDR,
    LONGEST_NAME,
    MOST_NETWORKS,
    Shape,
)
from harness.policy.tiers import LAST_PRIORITY, RuleAction, Tier

_PRIORITY: Schema = {
    "type": "integer",
    "description": f"The order in a tier: 0 is evaluated first, {LAST_PRIORITY} last.",
    "minimum": 0,
    "maximum": LAST_PRIORITY,
}


def cluster_network_policy_parts(api_version: str) -> Mapping[str, Schema]:
    """Return the JSON Schema of ClusterNetworkPolicies of a version, as named parts."""
    kind = cluster_network_policy.KIND
    about = "A policy of the whole cluster, evaluated before or after all NetworkPolicies."
    tier = choice("Admin: before all NetworkPolicies. Baseline: after them.", Tier)
    keys = {"tier": tier, "priority": _PRIORITY}
    return {
        name_of(api_version, kind): _object(api_version, kind, about, cluster_metadata()),
        **_parts(kind, cluster_network_policy.SHAPE, keys, _protocols()),
        _DESTINATION_PORT: _destination_port(),
    }


def admin_network_policy_parts() -> Mapping[str, Schema]:
    """Return the JSON Schema of AdminNetworkPolicies, as named parts."""
    version, kind = admin_network_policy.API_VERSION, admin_network_policy.ADMIN_KIND
    about = "A policy of the whole cluster, evaluated before all NetworkPolicies."
    return {
        name_of(version, kind): _object(version, kind, about, cluster_metadata()),
        **_parts(kind, admin_network_policy.ADMIN, {"priority": _PRIORITY}, _ports()),
    }


def baseline_admin_network_policy_parts() -> Mapping[str, Schema]:
    """Return the JSON Schema of BaselineAdminNetworkPolicies, as named parts."""
    version, kind = admin_network_policy.API_VERSION, admin_network_policy.BASELINE_KIND
    about = "The one policy of a cluster that is evaluated after all NetworkPolicies."
    metadata = cluster_metadata(admin_network_policy.BASELINE_NAME)
    return {
        name_of(version, kind): _object(version, kind, about, metadata),
        **_parts(kind, admin_network_policy.BASELINE, {}, _ports()),
    }


def _object(api_version: str, kind: str, about: str, metadata: Schema) -> Schema:
    spec = part(f"{kind}Spec", "The pods, and what may happen to their connections.")
    return object_of(api_version, kind, about, spec, metadata, "spec")


def _parts(
    kind: str, shape: Shape, keys: Mapping[str, Schema], port_entry: Schema
) -> Mapping[str, Schema]:
    """Return the parts of a kind below ``spec``, whose own keys are ``keys``."""
    both = {
        key: nullable(
            listed(about, part(f"{kind}{key.capitalize()}", "A rule."), most=shape.most_rules)
        )
        for key, about in (
            ("ingress", "Rules for connections to the pods; the first that matches decides."),
            ("egress", "Rules for connections from the pods; the first that matches decides."),
        )
    }
    subject = part(f"{kind}Pods", "The pods that the policy is for.")
    about = "The pods, and what may happen to their connections."
    return {
        f"{kind}Spec": mapping(about, {**keys, "subject": subject, **both}, *keys, "subject"),
        f"{kind}Pods": one_of("Pods, by one of the two keys.", _pods(shape)),
        f"{kind}Ingress": _rule(kind, shape, "from"),
        f"{kind}Egress": _rule(kind, shape, "to"),
        f"{kind}Destination": one_of("A peer of egress: exactly one key.", _peers(shape)),
        f"{kind}Port": port_entry,
    }


def _rule(kind: str, shape: Shape, peers_key: str) -> Schema:
    peer = f"{kind}Pods" if peers_key == "from" else f"{kind}Destination"
    peers = "Sources" if peers_key == "from" else "Destinations"
    ports = listed(
        "Ports of the destination; one of them must match. Without it, every connection, also "
        "without ports.",
        part(f"{kind}Port", "A port, a range of ports, or a name: exactly one key."),
        1,
        shape.most_entries,
    )
    skips = RuleAction.PASS in {shape.meanings[action] for action in shape.actions}
    passing = " Pass: the other rules of the tier are skipped." if skips else ""
    keys = {
        "name": {
            "type": ["string", "null"],
            "description": "A name for people; it need not be unique.",
            "maxLength": LONGEST_NAME,
        },
        "action": choice(f"What happens to a connection that matches.{passing}", shape.actions),
        peers_key: listed(
            f"{peers}; one of them must match.",
            part(peer, "A peer: exactly one key."),
            1,
            shape.most_entries,
        ),
        shape.ports_key: nullable(ports),
    }
    return mapping("A rule: an action for some connections.", keys, "action", peers_key)


# ------------------------------------------------------------------ peers


def _pods(shape: Shape) -> Mapping[str, Schema]:
    keys = {
        "namespaceSelector": _selector("Namespaces by their labels; {} is every namespace."),
        "podSelector": _selector("Pods of these namespaces by their labels; {} is every pod."),
    }
    needed = ["podSelector"] if shape.optional_namespaces else list(keys)
    about = "Pods by their labels and those of their namespaces."
    return {
        "namespaces": _selector("All pods of namespaces with these labels; {}: every pod."),
        "pods": mapping(about, keys, *needed),
    }


def _peers(shape: Shape) -> Mapping[str, Schema]:
    network = block(
        "Like 10.0.0.0/8 or fd00::/8; in a scenario also $(ip:NAMESPACE/POD)/32.", LONGEST_CIDR
    )
    name = word("A full name, or *.NAME.", DOMAIN_NAME.pattern, DOMAIN_NAME_HINT)
    keys = {
        **_pods(shape),
        "networks": _set("Addresses, of whoever has them.", network),
        "nodes": _selector("The addresses of nodes with these labels; {}: every node."),
        "domainNames": _set("The addresses behind names; only in rules that allow.", name),
    }
    return {key: keys[key] for key in shape.egress_peers}


def _selector(about: str) -> Schema:
    """Return the schema of a selector that must be there, if its key is."""
    return part("LabelSelector", about, type="object")


def _set(about: str, item: Schema) -> Schema:
    return {**listed(about, item, 1, MOST_NETWORKS), "uniqueItems": True}


# ------------------------------------------------------------------ ports


def _protocols() -> Schema:
    """Return the schema of an entry of ``protocols``."""
    destination = part(_DESTINATION_PORT, "A single port, or a range.")
    keys = {
        key: mapping(
            f"{name} ports of the destination.",
            {"destinationPort": destination},
            "destinationPort",
        )
        for key, name in cluster_network_policy.PROTOCOLS.items()
    }
    named: Schema = {
        "type": "string",
        "description": "The name of a port of a container of the destination.",
        "minLength": 1,
    }
    return one_of("Ports: exactly one key.", {**keys, cluster_network_policy.NAMED: named})


_DESTINATION_PORT = "ClusterNetworkPolicyDestinationPort"


def _destination_port() -> Schema:
    ends = {"start": port("The first port."), "end": port("The last port, above start.")}
    numbers = {
        "number": port("A single port."),
        "range": mapping("Ports from start to end.", ends, *ends),
    }
    return one_of("A single port, or a range.", numbers)


def _ports() -> Schema:
    """Return the schema of an entry of ``ports``."""
    number = {"protocol": protocol(), "port": port("A single port.")}
    ends = {"start": port("The first port."), "end": port("The last port, above start.")}
    named: Schema = {
        "type": "string",
        "description": "The name of a port of a container of the destination.",
    }
    keys = {
        "portNumber": mapping("A single port.", number, "port"),
        "portRange": mapping("Ports from start to end.", {"protocol": protocol(), **ends}, *ends),
        "namedPort": named,
    }
    return one_of("Ports: exactly one key.", keys)
