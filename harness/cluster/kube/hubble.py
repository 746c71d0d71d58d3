"""What Hubble, the flow log of Cilium's agents, says about a probe. Pure.

A listing has a flow a line, as JSON (``hubble observe -o json``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from itertools import starmap
from typing import Any

from harness.cluster.kube.listing import Met

_LINES = 8
"""The maximum number of flows that are named for a node."""
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_POLICIES = (
    ("denied by", ("ingress_denied_by", "egress_denied_by")),
    ("allowed by", ("ingress_allowed_by", "egress_allowed_by")),
)


def is_listing(listing: str) -> bool:
    """Return whether a listing has flows."""
    return any(_flows(listing))


def is_about(listing: str, addresses: Collection[str]) -> bool:
    """Return whether a flow is from or to one of the addresses."""
    return any(_touches(flow, addresses) for flow in _flows(listing))


def met(before: str, after: str, addresses: Collection[str]) -> list[Met]:
    """Return the new flows from or to the addresses, each once, without replies.

    Those that were dropped come first.
    """
    old = set(before.splitlines())
    new = "\n".join(line for line in after.splitlines() if line not in old)
    found: dict[str, bool] = {}
    for flow in _flows(new):
        if _touches(flow, addresses) and not flow.get("is_reply"):
            found[_line(flow)] = flow.get("verdict") == "DROPPED"
    ordered = sorted(starmap(Met, found.items()), key=lambda item: not item.denies)
    rest = len(ordered) - _LINES
    return [*ordered[:_LINES], Met(f"and {rest} more flows")] if rest > 0 else ordered


def _touches(flow: Mapping[str, Any], addresses: Collection[str]) -> bool:
    ends = flow.get("IP") or {}
    return ends.get("source") in addresses or ends.get("destination") in addresses


def _flows(listing: str) -> Iterator[Mapping[str, Any]]:
    """Yield the flows of a listing; lines that are none are left out."""
    for line in listing.splitlines():
        try:
            written = json.loads(line)
        except ValueError:
            continue
        flow = written.get("flow") if isinstance(written, dict) else None
        if isinstance(flow, dict):
            yield flow


def _line(flow: Mapping[str, Any]) -> str:
    words = [str(flow.get("verdict", "")), *_reason(flow)]
    direction = str(flow.get("traffic_direction", "")).lower()
    port = next(
        (
            f" {name} {part['destination_port']}"
            for name, part in (flow.get("l4") or {}).items()
            if name in _PROTOCOLS and "destination_port" in part
        ),
        "",
    )
    ends = f"{_end(flow, 'source')} -> {_end(flow, 'destination')}{port}"
    named = [
        f"{word} {', '.join(map(_policy, flow[key]))}"
        for word, keys in _POLICIES
        for key in keys
        if flow.get(key)
    ]
    head = f"{' '.join(words)}, {direction}" if direction else " ".join(words)
    return "; ".join([f"{head}: {ends}", *named])


def _reason(flow: Mapping[str, Any]) -> Iterator[str]:
    if reason := flow.get("drop_reason_desc"):
        yield f"({reason})"


def _end(flow: Mapping[str, Any], which: str) -> str:
    end = flow.get(which) or {}
    if name := end.get("pod_name"):
        return f"{end.get('namespace', '')}/{name}"
    return str((flow.get("IP") or {}).get(which, "?"))


def _policy(written: Mapping[str, Any]) -> str:
    namespace = f"{written['namespace']}/" if written.get("namespace") else ""
    return f"{namespace}{written.get('name', '?')}"
