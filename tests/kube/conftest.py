"""An API server without a cluster: kmock's mock server, in a thread, and a kubeconfig to it.

Each test says what the API server answers. The server stands under a path of its own
(``/c``), because kmock reads ``/api/v1/namespaces`` as a namespace without a resource.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kmock
import pytest

from harness.cluster.kube.api import Api

GROUPS = {
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy", "servicecidrs": "ServiceCIDR"},
    "discovery.k8s.io/v1": {"endpointslices": "EndpointSlice"},
    "coordination.k8s.io/v1": {"leases": "Lease"},
    "apps/v1": {"daemonsets": "DaemonSet", "deployments": "Deployment"},
    "crd.projectcalico.org/v1": {"ippools": "IPPool"},
    "cilium.io/v2": {"ciliumnetworkpolicies": "CiliumNetworkPolicy"},
}
CORE = {"namespaces": "Namespace", "nodes": "Node", "pods": "Pod", "services": "Service",
        "events": "Event", "secrets": "Secret"}  # fmt: skip


def resources(kinds: dict[str, str]) -> dict[str, Any]:
    free = {"namespaces", "nodes", "servicecidrs", "ippools"}
    return {
        "kind": "APIResourceList",
        "resources": [
            {"name": name, "kind": kind, "namespaced": name not in free, "singularName": "",
             "verbs": ["get", "list", "create", "patch", "delete"]}
            for name, kind in kinds.items()
        ],
    }  # fmt: skip


def refusal(code: int, message: str) -> kmock.Response:
    """An answer that refuses, as the API server words it."""
    body = {"kind": "Status", "status": "Failure", "message": message, "code": code}
    return kmock.Response(payload=body, status=code)


@pytest.fixture
def server() -> Iterator[kmock.RawHandler]:
    """The API server; its answers may be set from the test's own thread."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()
    found: list[kmock.RawHandler] = []

    async def serve() -> None:
        async with kmock.RawHandler() as handler, kmock.Server(handler):
            found.append(handler)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    handler = found[0]
    handler["get /c/version"] << {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
    handler["get /c/api/v1"] << resources(CORE)
    versions = [{"groupVersion": name, "version": name.split("/")[1]} for name in GROUPS]
    handler["get /c/apis"] << {
        "kind": "APIGroupList",
        "groups": [
            {"name": v["groupVersion"].split("/")[0], "versions": [v], "preferredVersion": v}
            for v in versions
        ],
    }
    for name, kinds in GROUPS.items():
        handler[f"get /c/apis/{name}"] << resources(kinds)
    yield handler
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


@pytest.fixture
def kubeconfig(server: kmock.RawHandler, tmp_path: Path) -> str:
    cluster = {"server": f"{str(server.url).rstrip('/')}/c"}
    path = tmp_path / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "production",
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "contexts": [
                    {"name": name, "context": {"cluster": "c", "user": "u"}}
                    for name in ("production", "kind-netpol", "kind-netpolitics")
                ],
            }
        )
    )
    return str(path)


@pytest.fixture
def api(kubeconfig: str) -> Api:
    return Api(kubeconfig, "kind-netpol")
