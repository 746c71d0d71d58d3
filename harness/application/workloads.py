"""The objects that make pods."""

from __future__ import annotations

from collections.abc import Iterator

from harness.application.part import Part
from harness.application.values import Container, DeclaredPort, Role, Workload, WorkloadKind
from harness.model import Labels
from harness.policy import selectors


def workload(kind: WorkloadKind, namespace: str, name: str, body: Part) -> Workload:
    """Return the workload that an object describes."""
    spec = body.part("spec")
    template = body
    for key in kind.template:
        template = template.part(key)
    labels = template.part("metadata").labels("labels")
    _check_selector(kind, spec, labels)
    pod = template.part("spec")
    containers = (*_init(pod), *_main(pod))
    if not any(container.role is Role.MAIN for container in containers):
        pod.add("containers", "no containers", "spec.containers of a pod has at least one")
    return Workload(
        kind=kind,
        namespace=namespace,
        name=name,
        labels=Labels({**labels, **_added(kind, name)}),
        containers=containers,
        location=body.location,
        host_network=pod.flag("hostNetwork"),
        replicas=spec.number("replicas", 1) if kind in _REPLICATED else 1,
        first_ordinal=spec.part("ordinals").number("start", 0),
    )


_REPLICATED = frozenset({
    WorkloadKind.DEPLOYMENT, WorkloadKind.STATEFUL_SET, WorkloadKind.REPLICA_SET,
    WorkloadKind.REPLICATION_CONTROLLER,
})  # fmt: skip
_SELECTING = (_REPLICATED - {WorkloadKind.REPLICATION_CONTROLLER}) | {WorkloadKind.DAEMON_SET}


def _added(kind: WorkloadKind, name: str) -> dict[str, str]:
    """Return the labels that the control plane gives to all pods of the workload."""
    if kind is WorkloadKind.JOB:
        return {"batch.kubernetes.io/job-name": name, "job-name": name}
    return {}


def _check_selector(kind: WorkloadKind, spec: Part, labels: Labels) -> None:
    """Report a selector that does not select the pods: the API server refuses it."""
    if kind not in _SELECTING:
        return
    selector = spec.part("selector")
    for key, value in selector.labels("matchLabels").items():
        if labels.get(key) != value:
            fact = f"the selector asks for {key}={value}, which the pods do not have,"
            selector.part("matchLabels").add(key, fact, "write it in template.metadata.labels")


def _init(pod: Part) -> Iterator[Container]:
    for part in pod.parts("initContainers"):
        role = Role.SIDECAR if part.text("restartPolicy") == "Always" else Role.INIT
        yield _container(part, role)


def _main(pod: Part) -> Iterator[Container]:
    for part in pod.parts("containers"):
        yield _container(part, Role.MAIN)


def _container(part: Part, role: Role) -> Container:
    part.check_scalars("ports")
    ports = tuple(_ports(part))
    return Container(part.text("name") or "", role, ports, part.location)


def _ports(container: Part) -> Iterator[DeclaredPort]:
    for part in container.parts("ports"):
        number, name = part.port("containerPort"), part.text("name")
        if name is not None:
            part.bad("name", selectors.port_name(name))
        protocol = part.protocol()
        if number is not None:
            yield DeclaredPort(number, protocol, name, part.location)
