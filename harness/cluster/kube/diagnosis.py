"""What a person needs at wrong cells: both ends, the policies that may select them, events.

Best effort: a part that cannot be read says so in its place. Never a verdict.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from harness.cluster.kube import live
from harness.cluster.kube.api import Api
from harness.cluster.kube.live import View
from harness.cluster.kube.objects import Naming, Object
from harness.errors import HarnessError
from harness.model import PodRef, Probe

_LIMIT = 12_000  # characters: a report, not a dump
_EVENTS = 10


def describe(api: Api, naming: Naming, view: View, probes: Sequence[Probe]) -> str:
    """Tell about the ends of the probes, the live policies and the cluster's own pods."""
    refs = dict.fromkeys(ref for probe in probes for ref in _ends(view, probe))
    names = dict.fromkeys(view.names[ref.namespace] for ref in refs if ref.namespace in view.names)
    parts = [
        _part("pods", lambda: _pods(api, naming, view, refs)),
        _part("services", lambda: _services(api, naming)),
        *(_part(f"policies in {name}", partial(_policies, api, name)) for name in names),
        *(_part(f"events in {name}", partial(_events, api, name)) for name in names),
        _part("kube-system pods that are not ready", lambda: _unready(api)),
    ]
    text = "\n".join(part for part in parts if part)
    return text if len(text) <= _LIMIT else f"{text[:_LIMIT]}\n... (cut)"


def _ends(view: View, probe: Probe) -> Iterable[PodRef]:
    if isinstance(probe.source, PodRef):
        yield probe.source
    yield from view.behind(probe)


def _part(title: str, lines: Callable[[], Iterable[str]]) -> str:
    try:
        found = [f"  {line}" for line in lines()]
    except (HarnessError, KeyError, TypeError, ValueError) as error:
        found = [f"  cannot be read: {error}"]
    return "\n".join([f"{title}:", *found]) if found else ""


def _pods(api: Api, naming: Naming, view: View, refs: Iterable[PodRef]) -> Iterable[str]:
    found = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item
        for item in api.find("v1", "Pod", selector=naming.selector)
    }
    for ref in refs:
        pod = found.get((view.names.get(ref.namespace, ""), ref.name))
        if pod is None:
            yield f"{ref}: not there"
            continue
        state = "ready" if live.is_ready(pod) else live.trouble(pod)
        addresses = ",".join(live.addresses(pod)) or "no address"
        labels = pod["metadata"].get("labels") or {}
        shown = ",".join(f"{key}={value}" for key, value in labels.items() if _is_authors(key))
        yield (
            f"{ref}: {addresses} on {pod['spec'].get('nodeName', 'no node')}, {state}, "
            f"labels {shown or '<none>'}, as {pod['metadata']['namespace']}/{ref.name}"
        )


def _is_authors(key: str) -> bool:
    return not key.startswith(("netpol.harness/", "app.kubernetes.io/managed-by"))


def _services(api: Api, naming: Naming) -> Iterable[str]:
    slices: dict[tuple[str, str], list[Object]] = {}
    for item in api.find("discovery.k8s.io/v1", "EndpointSlice", selector=naming.selector):
        metadata = item["metadata"]
        owner = metadata["labels"].get("kubernetes.io/service-name", "")
        slices.setdefault((metadata["namespace"], owner), []).append(item)
    for (namespace, name), items in sorted(slices.items()):
        yield f"{namespace}/{name}: endpoints {', '.join(sorted(live.serving(items))) or 'none'}"


def _policies(api: Api, namespace: str) -> Iterable[str]:
    for item in api.find("networking.k8s.io/v1", "NetworkPolicy", namespace=namespace):
        yield f"{item['metadata']['name']}: {json.dumps(item.get('spec'), sort_keys=True)}"


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
            yield f"{pod['metadata']['name']} on {node}: {live.trouble(pod)}"
