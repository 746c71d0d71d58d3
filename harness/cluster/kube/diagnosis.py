"""Describe the cluster at wrong cells: network plugin, both ends, their policies, events.

Best effort: a part that cannot be read is replaced by the reason. Never a verdict.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from harness.cluster.kube import live
from harness.cluster.kube.agents import Agents
from harness.cluster.kube.api import Api
from harness.cluster.kube.inventory import Inventory
from harness.cluster.kube.live import View
from harness.errors import HarnessError
from harness.model import PodRef, Probe

_LIMIT = 12_000  # characters: a report, not a dump
_EVENTS = 10


def describe(
    api: Api,
    inventory: Inventory,
    view: View,
    agents: Agents,
    probes: Sequence[Probe],
) -> str:
    """Describe the ends of the probes, the live policies and the pods of kube-system.

    First about ``agents``: if they are not there, nothing else matters. Where none are known,
    about any DaemonSet.
    """
    refs = dict.fromkeys(ref for probe in probes for ref in _ends(view, probe))
    names = dict.fromkeys(view.names[ref.namespace] for ref in refs if ref.namespace in view.names)
    parts = [
        _part("the network plugin's workloads that are not ready", agents.faults)
        if agents.names
        else _part("DaemonSets that are not ready", lambda: _daemon_sets(api)),
        _part("pods", lambda: _pods(inventory, view, refs)),
        *([_part("services", lambda: _services(inventory))] if view.state.services else []),
        *(_part(f"policies in {name}", partial(_policies, api, name)) for name in names),
        _part("policies of the whole cluster", lambda: _confined(api, view)),
        *(_part(f"events in {name}", partial(_events, api, name)) for name in names),
        _part("kube-system pods that are not ready", lambda: _unready(api)),
    ]
    text = "\n".join(part for part in parts if part)
    return text if len(text) <= _LIMIT else f"{text[:_LIMIT]}\n... (cut)"


def _ends(view: View, probe: Probe) -> Iterable[PodRef]:
    if isinstance(probe.source, PodRef):
        yield probe.source
    yield from view.backends(probe)


def _part(title: str, lines: Callable[[], Iterable[str]]) -> str:
    try:
        found = [f"  {line}" for line in lines()]
    except (HarnessError, KeyError, TypeError, ValueError) as error:
        found = [f"  cannot be read: {error}"]
    return "\n".join([f"{title}:", *found]) if found else ""


def _daemon_sets(api: Api) -> Iterable[str]:
    for item in api.find("apps/v1", "DaemonSet"):
        metadata, status = item["metadata"], item["status"]
        ready, wanted = status["numberReady"], status["desiredNumberScheduled"]
        if ready < wanted:
            name = f"{metadata['namespace']}/{metadata['name']}"
            yield f"DaemonSet {name}: ready on {ready} of {wanted} nodes"


def _pods(inventory: Inventory, view: View, refs: Iterable[PodRef]) -> Iterable[str]:
    found = inventory.pods()
    for ref in refs:
        pod = found.get((view.names.get(ref.namespace, ""), ref.name))
        if pod is None:
            yield f"{ref}: does not exist"
            continue
        state = "ready" if live.is_ready(pod) else live.why_not_ready(pod)
        addresses = ",".join(live.addresses(pod)) or "no address"
        labels = pod["metadata"].get("labels") or {}
        shown = ",".join(f"{key}={value}" for key, value in labels.items() if _is_authors(key))
        yield (
            f"{ref}: {addresses} on {pod['spec'].get('nodeName', 'no node')}, {state}, "
            f"labels {shown or '<none>'}, as {pod['metadata']['namespace']}/{ref.name}"
        )


def _is_authors(key: str) -> bool:
    return not key.startswith(("netpol.harness/", "app.kubernetes.io/managed-by"))


def _services(inventory: Inventory) -> Iterable[str]:
    for (namespace, name), addresses in sorted(inventory.endpoints().items()):
        yield f"{namespace}/{name}: endpoints {', '.join(sorted(addresses)) or 'none'}"


def _policies(api: Api, namespace: str) -> Iterable[str]:
    for item in api.find("networking.k8s.io/v1", "NetworkPolicy", namespace=namespace):
        yield f"{item['metadata']['name']}: {json.dumps(item.get('spec'), sort_keys=True)}"


def _confined(api: Api, view: View) -> Iterable[str]:
    for real, item in view.confined.items():
        found = api.get(item.api_version, item.kind, real)
        called = item.written_as or str(item)
        if found is None:
            yield f"{called}: does not exist, as {item.kind} {real}"
            continue
        spec = json.dumps(found.get("spec"), sort_keys=True)
        yield f"{called}: {spec}, as {item.kind} {real}"


def _events(api: Api, namespace: str) -> Iterable[str]:
    found = api.find("v1", "Event", namespace=namespace)
    found = [item for item in found if item.get("type") == "Warning"]
    found.sort(key=lambda item: str(item.get("lastTimestamp") or ""))
    for item in found[-_EVENTS:]:
        about = item.get("involvedObject", {}).get("name", "")
        yield f"{about}: {item.get('reason', '')}: {item.get('message', '')}"


def _unready(api: Api) -> Iterable[str]:
    for pod in api.find("v1", "Pod", namespace="kube-system"):
        if not live.is_ready(pod):
            node = pod["spec"].get("nodeName", "no node")
            yield f"{pod['metadata']['name']} on {node}: {live.why_not_ready(pod)}"
