"""Defects of state over time: what the CNI believes is not what is true."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.parts import PARTS, Observe, Snapshot
from harness.model import Manifest, Pod, State

_SECTIONS = (("ingress", "from"), ("egress", "to"))
"""The lists of rules of a policy, and the list of peers in each of their rules."""


def _by_key(state: State) -> dict[tuple[str, ...], Manifest]:
    return {manifest.key: manifest for manifest in state.policies}


def _with_spec(manifest: Manifest, change: Callable[[dict[str, Any]], None]) -> Manifest:
    document = json.loads(manifest.json)
    change(document["spec"])
    return replace(manifest, json=json.dumps(document))


def _policies(snapshot: Snapshot, policies: Iterable[Manifest]) -> Snapshot:
    return replace(snapshot, state=replace(snapshot.state, policies=tuple(policies)))


def _pods(snapshot: Snapshot, pods: Iterable[Pod]) -> Snapshot:
    return replace(snapshot, state=replace(snapshot.state, pods=tuple(pods)))


def pod_labels_frozen(believed: Snapshot | None, now: Snapshot) -> Snapshot:
    """A pod keeps the labels that it was created with."""
    if believed is None:
        return now
    before = {pod.ref: pod for pod in believed.state.pods}

    def seen(pod: Pod) -> Pod:
        old = before.get(pod.ref)
        same = old is not None and old.incarnation == pod.incarnation
        return replace(pod, labels=old.labels) if old and same else pod

    return _pods(now, map(seen, now.state.pods))


def namespace_labels_frozen(believed: Snapshot | None, now: Snapshot) -> Snapshot:
    """A namespace keeps the labels that it was created with."""
    if believed is None:
        return now
    before = {item.name: item for item in believed.state.namespaces}
    seen = tuple(
        replace(item, labels=before[item.name].labels) if item.name in before else item
        for item in now.state.namespaces
    )
    return replace(now, state=replace(now.state, namespaces=seen))


def update_ignored(believed: Snapshot | None, now: Snapshot) -> Snapshot:
    """A policy keeps the spec that it was created with."""
    before = _by_key(believed.state) if believed else {}
    return _policies(now, (before.get(item.key, item) for item in now.state.policies))


def isolation_sticks(believed: Snapshot | None, now: Snapshot) -> Snapshot:
    """After the last policy of a namespace is deleted, its pods stay isolated."""
    if believed is None:
        return now
    left = {manifest.namespace for manifest in now.state.policies}
    there = {namespace.name for namespace in now.state.namespaces}

    def close(spec: dict[str, Any]) -> None:
        spec.pop("ingress", None)
        spec.pop("egress", None)

    stuck = (
        _with_spec(item, close)
        for item in believed.state.policies
        if item.namespace in there - left
    )
    return _policies(now, (*now.state.policies, *stuck))


_NOTE = "netpol.harness/believed"
"""An annotation of believed policies: what the defect must remember about them."""


def _noted(manifest: Manifest, note: object) -> Manifest:
    document = json.loads(manifest.json)
    document.setdefault("metadata", {}).setdefault("annotations", {})[_NOTE] = note
    return replace(manifest, json=json.dumps(document))


def _note(manifest: Manifest | None) -> Any:
    document = json.loads(manifest.json) if manifest else {}
    return document.get("metadata", {}).get("annotations", {}).get(_NOTE)


def _peers(spec: dict[str, Any]) -> list[Any]:
    return [
        peer
        for section, peers in _SECTIONS
        for rule in spec.get(section) or []
        for peer in rule.get(peers) or []
    ]


def shared_set_freed(believed: Snapshot | None, now: Snapshot) -> Snapshot:
    """With a policy, its peers go from all other policies, until these are updated."""
    if believed is None:
        return now
    current, before = _by_key(now.state), _by_key(believed.state)
    gone = [json.loads(item.json)["spec"] for key, item in before.items() if key not in current]
    freed_now = [peer for spec in gone for peer in _peers(spec)]

    def seen(manifest: Manifest) -> Manifest:
        note = _note(before.get(manifest.key)) or {}
        freed = note.get("freed", []) if note.get("as") == manifest.json else []
        if manifest.key in before:
            freed = [*freed, *freed_now]
        if not freed:
            return manifest
        without = _with_spec(manifest, lambda spec: _free(spec, freed))
        return _noted(without, {"as": manifest.json, "freed": freed})

    return _policies(now, map(seen, now.state.policies))


def _free(spec: dict[str, Any], freed: list[Any]) -> None:
    for section, peers in _SECTIONS:
        rules = spec.get(section) or []
        for rule in rules:
            if rule.get(peers):
                rule[peers] = [peer for peer in rule[peers] if peer not in freed]
        spec[section] = [rule for rule in rules if rule.get(peers) != []]


def direction_leak(believed: Snapshot | None, now: Snapshot) -> Snapshot:
    """After a policy is deleted, the others of its namespace isolate in both directions."""
    if believed is None:
        return now
    current, before = _by_key(now.state), _by_key(believed.state)
    leaking = {item.namespace for key, item in before.items() if key not in current}

    def seen(manifest: Manifest) -> Manifest:
        if manifest.namespace not in leaking and _note(before.get(manifest.key)) is None:
            return manifest
        both = ["Ingress", "Egress"]
        leaked = _with_spec(manifest, lambda spec: spec.update(policyTypes=both))
        return _noted(leaked, "leaks")

    return _policies(now, map(seen, now.state.policies))


def blocks_append_only(believed: Snapshot | None, now: Snapshot) -> Snapshot:
    """An update of a policy adds its ipBlocks, and removes none."""
    if believed is None:
        return now
    before = _by_key(believed.state)

    def seen(manifest: Manifest) -> Manifest:
        old = before.get(manifest.key)
        if old is None or old.json == manifest.json:
            return manifest
        kept = json.loads(old.json)["spec"]

        def append(spec: dict[str, Any]) -> None:
            for section, peers in _SECTIONS:
                pairs = zip(spec.get(section) or [], kept.get(section) or [], strict=False)
                for rule, earlier in pairs:
                    blocks = [peer for peer in earlier.get(peers) or [] if "ipBlock" in peer]
                    if rule.get(peers):
                        rule[peers] = [*rule[peers], *(b for b in blocks if b not in rule[peers])]

        return _with_spec(manifest, append)

    return _policies(now, map(seen, now.state.policies))


def namespace_rules_kept(believed: Snapshot | None, now: Snapshot) -> Snapshot:
    """A namespace that is created again has the policies of the one before."""
    if believed is None:
        return now
    current = _by_key(now.state)
    there = {item.name: item.incarnation for item in now.state.namespaces}
    before = {item.name: item.incarnation for item in believed.state.namespaces}
    kept = [
        item
        for key, item in _by_key(believed.state).items()
        if key not in current
        and (item.namespace not in there or there[item.namespace] != before.get(item.namespace))
    ]
    return _policies(now, (*now.state.policies, *kept))


def pods_at_policy_events(believed: Snapshot | None, now: Snapshot) -> Snapshot:
    """New pods are noticed when a policy changes, and not before."""
    if believed is None or believed.state.policies != now.state.policies:
        return now
    known = {pod.ref for pod in believed.state.pods}
    return _pods(now, (pod for pod in now.state.pods if pod.ref in known))


def address_change_ignored(believed: Snapshot | None, now: Snapshot) -> Snapshot:
    """A pod that is created again keeps its first address in every set."""
    if believed is None:
        return now
    seen = dict(now.addresses.pods)
    seen.update((ref, ips) for ref, ips in believed.addresses.pods.items() if ref in seen)
    return replace(now, addresses=replace(now.addresses, pods=seen))


def events_reordered(believed: Snapshot | None, now: Snapshot) -> Snapshot:
    """A pod that is created again is forgotten: the deletion of the one before is seen last."""
    if believed is None:
        return now
    before = {pod.ref: pod.incarnation for pod in believed.state.pods}
    seen = dict(now.addresses.pods)
    for pod in now.state.pods:
        again = before.get(pod.ref, pod.incarnation) != pod.incarnation
        if again or believed.addresses.pods.get(pod.ref) == ():
            seen[pod.ref] = ()
    return replace(now, addresses=replace(now.addresses, pods=seen))


def every_node_accepted(believed: Snapshot | None, now: Snapshot) -> Snapshot:  # noqa: ARG001
    """All nodes, not the pod's own, are allowed into isolated pods."""
    nodes = [
        {"ipBlock": {"cidr": f"{ip}/{128 if ':' in ip else 32}"}}
        for ips in now.addresses.nodes.values()
        for ip in ips
    ]

    def accept(spec: dict[str, Any]) -> None:
        spec["ingress"] = [*(spec.get("ingress") or []), {"from": nodes}]

    return _policies(now, (_with_spec(item, accept) for item in now.state.policies))


def ip_owner_stale(believed: Snapshot | None, now: Snapshot) -> Snapshot:  # noqa: ARG001
    """A pod with the address of a completed pod is taken for that pod."""
    addresses = now.addresses
    owners = {addresses.completed[pod.ref]: pod for pod in now.state.completed}
    held = dict(addresses.pods)

    def seen(pod: Pod) -> Pod:
        owner = owners.get(addresses.pods[pod.ref])
        if owner is None:
            return pod
        held[owner.ref] = addresses.pods[pod.ref]
        return replace(pod, namespace=owner.namespace, name=owner.name, labels=owner.labels)

    mistaken = _pods(now, map(seen, now.state.pods))
    return replace(mistaken, addresses=replace(addresses, pods=held))


_PLAIN_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


def odd_names_skipped(believed: Snapshot | None, now: Snapshot) -> Snapshot:  # noqa: ARG001
    """A policy with a long name, with dots, or with a digit first, is passed over."""
    plain = (item for item in now.state.policies if _PLAIN_NAME.fullmatch(item.name))
    return _policies(now, plain)


def _defect(name: str, id_: str, observe: Observe) -> Defect:
    return Defect(name, id_, replace(PARTS, observe=observe))


DEFECTS = (
    _defect("pod-labels-frozen", "B67", pod_labels_frozen),
    _defect("namespace-labels-frozen", "B68", namespace_labels_frozen),
    _defect("update-ignored", "B69", update_ignored),
    _defect("isolation-sticks", "B07", isolation_sticks),
    _defect("shared-set-freed", "B08", shared_set_freed),
    _defect("direction-leak", "B04", direction_leak),
    _defect("blocks-append-only", "B48", blocks_append_only),
    _defect("namespace-rules-kept", "B75", namespace_rules_kept),
    _defect("pods-at-policy-events", "B80", pods_at_policy_events),
    _defect("address-change-ignored", "B73", address_change_ignored),
    _defect("ip-owner-stale", "B71", ip_owner_stale),
    _defect("events-reordered", "B74", events_reordered),
    _defect("node-address-exception", "B56", every_node_accepted),
    _defect("odd-names-skipped", "B83", odd_names_skipped),
)
