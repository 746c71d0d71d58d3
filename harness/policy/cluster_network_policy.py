"""ClusterNetworkPolicy: reading it, and everything that the API server would refuse in one."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from harness.model import Manifest, Protocol
from harness.policy.document import Fault, Path
from harness.policy.selectors import Direction
from harness.policy.tier_document import Shape, TierInspection, rules, subject, unsupported_names
from harness.policy.tiers import (
    GROUP,
    PortName,
    PortNumbers,
    RuleAction,
    Tier,
    TierPolicy,
    TierPort,
)

API_VERSIONS = (f"{GROUP}/v1alpha2", f"{GROUP}/v1beta1")
"""The versions; all have the same fields."""
KIND = "ClusterNetworkPolicy"

SHAPE = Shape(
    actions=RuleAction,
    meanings={str(action): action for action in RuleAction},
    ports_key="protocols",
    most_rules=25,
    most_entries=25,
    egress_peers=("namespaces", "pods", "networks", "nodes", "domainNames"),
    optional_namespaces=True,
)
PROTOCOLS = {protocol.lower(): protocol for protocol in Protocol}
NAMED = "destinationNamedPort"


# ------------------------------------------------------------------ parsing


@functools.lru_cache(maxsize=16_384)
def parse(manifest: Manifest) -> TierPolicy:
    """Return the policy of a manifest in which ``faults`` found nothing."""
    spec = json.loads(manifest.json)["spec"]
    return TierPolicy(
        KIND,
        manifest.name,
        Tier(spec["tier"]),
        spec["priority"],
        subject(spec["subject"]),
        rules(spec, Direction.INGRESS, SHAPE, _port),
        rules(spec, Direction.EGRESS, SHAPE, _port),
    )


def _port(item: Mapping[str, Any]) -> TierPort:
    [(key, value)] = item.items()
    if key == NAMED:
        return PortName(value)
    port = value["destinationPort"]
    if "number" in port:
        return PortNumbers(PROTOCOLS[key], port["number"], port["number"])
    return PortNumbers(PROTOCOLS[key], port["range"]["start"], port["range"]["end"])


# ------------------------------------------------------------------ faults


def faults(api_version: str, document: object) -> tuple[Fault, ...]:
    """Return everything that the API server (with kubectl's strict fields) refuses.

    The experimental definition is asked, which has all peers and is the stricter one.
    """
    inspection = _Inspection(KIND, document, SHAPE)
    keys = ("tier", "priority", "subject", "ingress", "egress")
    inspection.policy(document, api_version, keys)
    inspection.tier(document)
    return tuple(inspection.found)


class _Inspection(TierInspection):
    """The keys of a ClusterNetworkPolicy."""

    def tier(self, document: object) -> None:
        spec = document.get("spec") if isinstance(document, dict) else None
        if not isinstance(spec, dict):
            return
        if spec.get("tier") is None:
            self.missing(("spec",), "tier", f"one of {', '.join(Tier)} (T01)")
        else:
            self.word(spec["tier"], ("spec", "tier"), Tier)

    def port(self, value: object, path: Path) -> None:
        body = self.one_of(value, path, (*PROTOCOLS, NAMED))
        for key, entry in body.items():
            here = (*path, key)
            if key != NAMED:
                self._protocol(entry, here)
            elif self.typed(entry, here, str) and not entry:
                self.add(here, f"{NAMED} is empty", "the name of a container's port")

    def _protocol(self, value: object, path: Path) -> None:
        body = self.mapping(value, path, ("destinationPort",))
        if not isinstance(value, dict):
            return
        if body.get("destinationPort") is None:
            every = "{range: {start: 1, end: 65535}} is every port (T18)"
            self.missing(path, "destinationPort", f"destinationPort: {every}")
            return
        here = (*path, "destinationPort")
        port = self.one_of(body["destinationPort"], here, ("number", "range"))
        if "number" in port:
            self.number(port["number"], (*here, "number"))
        if "range" in port:
            self._range(port["range"], (*here, "range"))

    def _range(self, value: object, path: Path) -> None:
        body = self.mapping(value, path, ("start", "end"))
        if not isinstance(value, dict):
            return
        for key in ("start", "end"):
            if body.get(key) is None:
                self.missing(path, key, "range: {start: 8000, end: 8999}")
        if len(body) < 2 or None in body.values():
            return
        numbers = [self.number(body[key], (*path, key)) for key in ("start", "end")]
        if all(numbers) and body["start"] >= body["end"]:
            fact = f"the range from {body['start']} to {body['end']}"
            hint = "start is less than end; write number: for a single port (T18)"
            self.add(path, fact, hint)

    def names_a_port(self, value: Mapping[str, Any]) -> bool:
        return NAMED in value


# ------------------------------------------------------------------ warnings


def warnings(document: object) -> tuple[Fault, ...]:
    """Return what the API server accepts and the text of the API forbids.

    The document has no faults.
    """
    return tuple(unsupported_names(document, SHAPE))
