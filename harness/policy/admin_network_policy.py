"""AdminNetworkPolicy and BaselineAdminNetworkPolicy, the forerunners of ClusterNetworkPolicy."""

from __future__ import annotations

import enum
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from harness.model import Manifest, Protocol
from harness.policy.document import Fault, Path
from harness.policy.selectors import Direction
from harness.policy.tier_document import (
    Shape,
    TierInspection,
    rules,
    rules_of,
    subject,
    unsupported_names,
)
from harness.policy.tiers import (
    GROUP,
    PortName,
    PortNumbers,
    RuleAction,
    Tier,
    TierPolicy,
    TierPort,
)

API_VERSION = f"{GROUP}/v1alpha1"
ADMIN_KIND = "AdminNetworkPolicy"
BASELINE_KIND = "BaselineAdminNetworkPolicy"
BASELINE_NAME = "default"
"""The name of the only BaselineAdminNetworkPolicy that a cluster can have."""


class AdminAction(enum.StrEnum):
    """The actions of an AdminNetworkPolicy: Accept is called Allow."""

    ALLOW = "Allow"
    DENY = "Deny"
    PASS = "Pass"  # noqa: S105  # an action


class BaselineAction(enum.StrEnum):
    """The actions of a BaselineAdminNetworkPolicy, which has no Pass."""

    ALLOW = "Allow"
    DENY = "Deny"


ACTIONS: Mapping[str, RuleAction] = {
    "Allow": RuleAction.ACCEPT,
    "Deny": RuleAction.DENY,
    "Pass": RuleAction.PASS,
}
"""The meaning of each word for an action."""

ADMIN = Shape(
    actions=AdminAction,
    meanings=ACTIONS,
    ports_key="ports",
    most_rules=100,
    most_entries=100,
    egress_peers=("namespaces", "pods", "networks", "nodes", "domainNames"),
    optional_namespaces=False,
)
BASELINE = replace(
    ADMIN, actions=BaselineAction, egress_peers=("namespaces", "pods", "networks", "nodes")
)
_PORT_KEYS = ("portNumber", "portRange", "namedPort")


# ------------------------------------------------------------------ parsing


@functools.lru_cache(maxsize=16_384)
def parse(manifest: Manifest) -> TierPolicy:
    """Return the policy of a manifest in which ``faults`` found nothing."""
    spec = json.loads(manifest.json)["spec"]
    return TierPolicy(
        manifest.kind,
        manifest.name,
        Tier.ADMIN if manifest.kind == ADMIN_KIND else Tier.BASELINE,
        spec.get("priority", 0),
        subject(spec["subject"]),
        rules(spec, Direction.INGRESS, ADMIN, _port),
        rules(spec, Direction.EGRESS, ADMIN, _port),
    )


def _port(item: Mapping[str, Any]) -> TierPort:
    [(key, value)] = item.items()
    if key == "namedPort":
        return PortName(value)
    protocol = Protocol(value.get("protocol") or Protocol.TCP)
    if key == "portNumber":
        return PortNumbers(protocol, value["port"], value["port"])
    return PortNumbers(protocol, value["start"], value["end"])


# ------------------------------------------------------------------ faults


def faults(document: object) -> tuple[Fault, ...]:
    """Return everything that the API server refuses in an AdminNetworkPolicy."""
    inspection = _Inspection(ADMIN_KIND, document, ADMIN)
    inspection.policy(document, API_VERSION, ("priority", "subject", "ingress", "egress"))
    return tuple(inspection.found)


def baseline_faults(document: object) -> tuple[Fault, ...]:
    """Return everything that the API server refuses in a BaselineAdminNetworkPolicy."""
    inspection = _Inspection(BASELINE_KIND, document, BASELINE)
    inspection.policy(document, API_VERSION, ("subject", "ingress", "egress"))
    inspection.only_one(document)
    return tuple(inspection.found)


class _Inspection(TierInspection):
    """The keys of both kinds."""

    def only_one(self, document: object) -> None:
        metadata = document.get("metadata") if isinstance(document, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if isinstance(name, str) and name != BASELINE_NAME:
            fact = f"a {BASELINE_KIND} called {name!r}"
            hint = f"a cluster has at most one, and its name is {BASELINE_NAME}"
            self.add(("metadata", "name"), fact, hint)

    def port(self, value: object, path: Path) -> None:
        body = self.one_of(value, path, _PORT_KEYS)
        if "namedPort" in body:
            self.typed(body["namedPort"], (*path, "namedPort"), str)
        if "portNumber" in body:
            self._numbers(body["portNumber"], (*path, "portNumber"), ("port",))
        if "portRange" in body:
            self._numbers(body["portRange"], (*path, "portRange"), ("start", "end"))

    def _numbers(self, value: object, path: Path, keys: tuple[str, ...]) -> None:
        body = self.mapping(value, path, ("protocol", *keys))
        if not isinstance(value, dict):
            return
        if body.get("protocol") is not None:
            self.word(body["protocol"], (*path, "protocol"), Protocol)
        for key in keys:
            if body.get(key) is None:
                self.missing(path, key, f"{key}: 8080")
            else:
                self.number(body[key], (*path, key))

    def names_a_port(self, value: Mapping[str, Any]) -> bool:
        return "namedPort" in value


# ------------------------------------------------------------------ warnings


def warnings(document: object) -> tuple[Fault, ...]:
    """Return what the API server accepts and the text of the API forbids.

    The document has no faults.
    """
    return (*unsupported_names(document, ADMIN), *_reversed_ranges(document))


def _reversed_ranges(document: object) -> Iterator[Fault]:
    for path, rule in rules_of(document):
        for index, item in enumerate(rule.get("ports") or ()):
            found = item.get("portRange")
            if found and found["start"] >= found["end"]:
                fact = f"the range from {found['start']} to {found['end']}"
                hint = "start must be less than end; plugins may ignore this entry (T18)"
                yield Fault((*path, "ports", index, "portRange"), fact, hint)
