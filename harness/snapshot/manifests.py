"""An application that no files hold, as manifests: only what decides connections.

They are made from the values of the application, so nothing else of its objects can be in them:
no environment, no commands, no images, no annotations but netpol's own. Reading them gives the
same application again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.application import (
    Application,
    AppNamespace,
    AppService,
    Container,
    Reach,
    Role,
    Workload,
    WorkloadKind,
)
from harness.application.remarks import ANNOTATION
from harness.documents.objects import canonical
from harness.errors import Location
from harness.model import ExternalTrafficPolicy, Manifest, Protocol
from harness.scenario.write_manifest import as_yaml

_Body = dict[str, Any]
_VERSIONS = {
    WorkloadKind.POD: "v1",
    WorkloadKind.REPLICATION_CONTROLLER: "v1",
    WorkloadKind.JOB: "batch/v1",
    WorkloadKind.CRON_JOB: "batch/v1",
}
"""The API versions of workloads that are not in ``apps/v1``."""
_WORKLOADS = frozenset(map(str, WorkloadKind))
_REPLICATED = frozenset({
    WorkloadKind.DEPLOYMENT, WorkloadKind.STATEFUL_SET, WorkloadKind.REPLICA_SET,
    WorkloadKind.REPLICATION_CONTROLLER,
})  # fmt: skip
_OF_POLICIES = ("name", "namespace", "labels")
"""What is kept of the metadata of policies."""


def as_manifests(application: Application, head: Sequence[str]) -> str:
    """Return the application as YAML: one document for each object, below lines of comment.

    Namespaces go first, then what is in each. Equal applications give equal texts.
    """
    remarks = {item.item: item.text for item in application.remarks if item.item}
    objects = sorted(
        (
            _annotated(body, remarks.get(location) if location else None)
            for body, location in _objects(application)
        ),
        key=_order,
    )
    comment = "".join(f"# {line}\n" for line in head)
    return comment + "---\n".join(map(_text, objects))


def _objects(application: Application) -> Iterator[tuple[_Body, Location | None]]:
    for space in application.namespaces:
        yield _namespace(space), space.location
    for workload in application.workloads:
        yield _workload(workload), workload.location
    for service in application.services:
        yield _service(service), service.location
    for policy in (*application.policies, *application.not_judged):
        yield _policy(policy), policy.location


def _order(body: _Body) -> tuple[bool, str, int, str, str]:
    kind, metadata = body["kind"], body["metadata"]
    rank = 0 if kind in _WORKLOADS else 1 if kind == "Service" else 2
    return kind != "Namespace", metadata.get("namespace", ""), rank, kind, metadata["name"]


def _text(body: _Body) -> str:
    metadata = body["metadata"]
    home, name = metadata.get("namespace", ""), metadata["name"]
    return as_yaml(Manifest(body["apiVersion"], body["kind"], home, name, canonical(body, home)))


def _annotated(body: _Body, remark: str | None) -> _Body:
    if remark is None:
        return body
    return {**body, "metadata": {**body["metadata"], "annotations": {ANNOTATION: remark}}}


def _object(version: str, kind: str, namespace: str, name: str, **more: _Body) -> _Body:
    home = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **home}, **more}


def _namespace(item: AppNamespace) -> _Body:
    body = _object("v1", "Namespace", "", item.name)
    return {**body, "metadata": {**body["metadata"], **_labels(item.labels)}}


def _labels(labels: Mapping[str, str]) -> _Body:
    return {"labels": dict(labels)} if labels else {}


# ------------------------------------------------------------------ workloads


def _workload(item: Workload) -> _Body:
    body = _object(_VERSIONS.get(item.kind, "apps/v1"), item.kind, item.namespace, item.name)
    template: _Body = {"metadata": _labels(item.labels), "spec": _pod_spec(item)}
    if item.kind is WorkloadKind.POD:
        metadata = {**body["metadata"], **template["metadata"]}
        return {**body, "metadata": metadata, "spec": template["spec"]}
    for key in reversed(item.kind.template):
        template = {key: template}
    spec = template["spec"]
    if item.kind in _REPLICATED:
        spec = {"replicas": item.replicas, **spec}
    if item.first_ordinal:
        spec = {"ordinals": {"start": item.first_ordinal}, **spec}
    return {**body, "spec": spec}


def _pod_spec(item: Workload) -> _Body:
    spec: _Body = {"hostNetwork": True} if item.host_network else {}
    init = [_container(c) for c in item.containers if c.role is not Role.MAIN]
    if init:
        spec["initContainers"] = init
    spec["containers"] = [_container(c) for c in item.containers if c.role is Role.MAIN]
    return spec


def _container(item: Container) -> _Body:
    body: _Body = {"name": item.name} if item.name else {}
    if item.role is Role.SIDECAR:
        body["restartPolicy"] = "Always"
    if item.ports:
        body["ports"] = [
            {
                **({"name": port.name} if port.name is not None else {}),
                "containerPort": port.number,
                **_protocol(port.protocol),
            }
            for port in item.ports
        ]
    return body


def _protocol(protocol: Protocol) -> _Body:
    return {} if protocol is Protocol.TCP else {"protocol": str(protocol)}


# ------------------------------------------------------------------ Services and policies


def _service(item: AppService) -> _Body:
    spec: _Body = {}
    match item.reach:
        case Reach.HEADLESS:
            spec["clusterIP"] = "None"
        case Reach.CLUSTER_IP:
            pass
        case _:
            spec["type"] = str(item.reach)
    if item.external_traffic_policy is not ExternalTrafficPolicy.CLUSTER:
        spec["externalTrafficPolicy"] = str(item.external_traffic_policy)
    if item.external_name is not None:
        spec["externalName"] = item.external_name
    if item.selector is not None:
        spec["selector"] = dict(item.selector)
    if item.ports:
        spec["ports"] = [
            {
                **({"name": port.name} if port.name is not None else {}),
                "port": port.number,
                **_protocol(port.protocol),
                "targetPort": port.target,
            }
            for port in item.ports
        ]
    return _object("v1", "Service", item.namespace, item.name, spec=spec)


def _policy(item: Manifest) -> _Body:
    """Return a policy with its whole meaning, and of its metadata only what can have one."""
    body: _Body = json.loads(item.json)
    metadata = {key: body["metadata"][key] for key in _OF_POLICIES if key in body["metadata"]}
    return {**body, "metadata": metadata}
