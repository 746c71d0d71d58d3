"""A policy in a tier as another kind that says the same.

The versions of ClusterNetworkPolicy have the same fields. An AdminNetworkPolicy is a
ClusterNetworkPolicy of the tier Admin with other words. A BaselineAdminNetworkPolicy is one of the
tier Baseline, but a cluster has only one, and it cannot pass or name domains.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.model import Manifest
from harness.policy import admin_network_policy, cluster_network_policy
from harness.policy.admin_network_policy import ADMIN_KIND, BASELINE_KIND, BASELINE_NAME
from harness.policy.tiers import RuleAction, Tier

Object = dict[str, Any]

_WORDS = {meant: word for word, meant in admin_network_policy.ACTIONS.items()}
_NAMED_PORT = "destinationNamedPort"


@dataclass(frozen=True, slots=True)
class Impossible:
    """Why no object of the other kind says the same."""

    why: str


def is_cluster_network_policy(manifest: Manifest) -> bool:
    """Return whether it is a ClusterNetworkPolicy, of any version."""
    versions = cluster_network_policy.API_VERSIONS
    return manifest.kind == cluster_network_policy.KIND and manifest.api_version in versions


def at_version(manifest: Manifest, api_version: str) -> Manifest:
    """Return a ClusterNetworkPolicy as one of another version."""
    document = json.loads(manifest.json) | {"apiVersion": api_version}
    return _like(manifest, document)


def forerunner(manifest: Manifest) -> Manifest | Impossible:
    """Return a ClusterNetworkPolicy, in which ``faults`` found nothing, as one of v1alpha1."""
    document = json.loads(manifest.json)
    spec = document["spec"]
    is_admin = spec["tier"] == Tier.ADMIN
    if not is_admin and (why := _not_in_baseline(spec)):
        return Impossible(why)
    translated = {
        **({"priority": spec["priority"]} if is_admin else {}),
        "subject": _peer(spec["subject"]),
        **{
            key: [_rule(rule) for rule in spec[key]]
            for key in ("ingress", "egress")
            if spec.get(key)
        },
    }
    name = document["metadata"]["name"] if is_admin else BASELINE_NAME
    return _like(
        manifest,
        {
            **document,
            "apiVersion": admin_network_policy.API_VERSION,
            "kind": ADMIN_KIND if is_admin else BASELINE_KIND,
            "metadata": {**document["metadata"], "name": name},
            "spec": translated,
        },
    )


def _like(manifest: Manifest, document: Object) -> Manifest:
    return replace(
        manifest,
        api_version=document["apiVersion"],
        kind=document["kind"],
        name=document["metadata"]["name"],
        json=json.dumps(document),
        written_as=str(manifest),
    )


def _not_in_baseline(spec: Mapping[str, Any]) -> str:
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        if rule["action"] == RuleAction.PASS:
            return f"a {BASELINE_KIND} has no action Pass"
        if any("domainNames" in peer for peer in rule.get("to", ())):
            return f"a {BASELINE_KIND} has no domainNames"
    return ""


def _rule(rule: Mapping[str, Any]) -> Object:
    kept = {key: value for key, value in rule.items() if key != "protocols"}
    kept["action"] = _WORDS[RuleAction(rule["action"])]
    for key in ("from", "to"):
        if key in rule:
            kept[key] = [_peer(item) for item in rule[key]]
    if rule.get("protocols"):
        kept["ports"] = [_port(item) for item in rule["protocols"]]
    return kept


def _peer(item: Mapping[str, Any]) -> Object:
    """Return a peer, or a subject; in v1alpha1 ``namespaceSelector`` must stand in ``pods``."""
    pods = item.get("pods")
    return {**item, "pods": {"namespaceSelector": {}, **pods}} if pods else dict(item)


def _port(item: Mapping[str, Any]) -> Object:
    [(key, value)] = item.items()
    if key == _NAMED_PORT:
        return {"namedPort": value}
    port, protocol = value["destinationPort"], key.upper()
    if "number" in port:
        return {"portNumber": {"protocol": protocol, "port": port["number"]}}
    span = {"start": port["range"]["start"], "end": port["range"]["end"]}
    return {"portRange": {"protocol": protocol, **span}}
