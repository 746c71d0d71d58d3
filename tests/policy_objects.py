"""A policy of each kind, with most of the keys of its kind, and copies with another value."""

from __future__ import annotations

import copy
from typing import Any

from harness.policy import Path

GROUP = "policy.networking.k8s.io"
Object = dict[str, Any]
TEAM_A = {"matchLabels": {"team": "a"}}

CLUSTER: Object = {
    "apiVersion": f"{GROUP}/v1alpha2",
    "kind": "ClusterNetworkPolicy",
    "metadata": {"name": "p"},
    "spec": {
        "tier": "Admin",
        "priority": 7,
        "subject": {"namespaces": {}},
        "ingress": [
            {
                "name": "one",
                "action": "Accept",
                "from": [{"namespaces": TEAM_A}, {"pods": {"podSelector": TEAM_A}}],
                "protocols": [
                    {"tcp": {"destinationPort": {"number": 80}}},
                    {"udp": {"destinationPort": {"range": {"start": 1, "end": 9}}}},
                    {"destinationNamedPort": "web"},
                ],
            }
        ],
        "egress": [
            {"action": "Deny", "to": [{"networks": ["10.0.0.0/8", "fd00::/8"]}]},
            {"action": "Pass", "to": [{"nodes": {}}]},
            {"action": "Accept", "to": [{"domainNames": ["*.example.org"]}]},
        ],
    },
}
ADMIN: Object = {
    "apiVersion": f"{GROUP}/v1alpha1",
    "kind": "AdminNetworkPolicy",
    "metadata": {"name": "p"},
    "spec": {
        "priority": 7,
        "subject": {"pods": {"namespaceSelector": {}, "podSelector": TEAM_A}},
        "ingress": [
            {
                "action": "Allow",
                "from": [{"namespaces": TEAM_A}],
                "ports": [
                    {"portNumber": {"port": 80}},
                    {"portRange": {"protocol": "UDP", "start": 1, "end": 9}},
                    {"namedPort": "web"},
                ],
            }
        ],
        "egress": [{"action": "Pass", "to": [{"networks": ["10.0.0.0/8"]}]}],
    },
}
BASELINE: Object = {
    "apiVersion": f"{GROUP}/v1alpha1",
    "kind": "BaselineAdminNetworkPolicy",
    "metadata": {"name": "default"},
    "spec": {
        "subject": {"namespaces": {}},
        "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}],
    },
}
NETWORK: Object = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "p", "namespace": "db", "labels": {"a": "b"}, "annotations": {"a": "b"}},
    "spec": {
        "podSelector": {
            "matchLabels": {"role": "db"},
            "matchExpressions": [
                {"key": "a", "operator": "In", "values": ["b"]},
                {"key": "a", "operator": "Exists"},
            ],
        },
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [
                    {"ipBlock": {"cidr": "10.0.0.0/7", "except": ["10.0.0.0/24"]}},
                    {"namespaceSelector": {}, "podSelector": TEAM_A},
                ],
                "ports": [{"port": 80, "endPort": 90, "protocol": "TCP"}, {"port": "web"}],
            }
        ],
        "egress": [{"to": [{"podSelector": {}}], "ports": [{}]}],
    },
}

GONE = object()
"""The value of a place that a copy does not have."""


def put(document: Object, path: Path, value: object) -> Object:
    """Return a copy with that value at that place; without the place, if it is GONE."""
    *steps, last = path
    changed = copy.deepcopy(document)
    holder: Any = changed
    for step in steps:
        holder = holder[step]
    if value is GONE:
        del holder[last]
    else:
        holder[last] = value
    return changed
