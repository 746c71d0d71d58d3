"""From the values of a State to Kubernetes objects, and from logical to real names. Pure.

A scenario's namespace ``db`` is ``<run>-<worker>-<scope>-db`` on the cluster, so that runs,
workers and scenarios can share a cluster. Selectors of namespaces by name are translated too
(R78). What cannot be translated is refused: it would select nothing, or a namespace of someone
else.
"""

from __future__ import annotations

import enum
import hashlib
import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.cluster.kube import confinement, selection, servers
from harness.errors import ClusterError
from harness.model import (
    CompletedPod,
    ContainerPort,
    Manifest,
    Namespace,
    Pod,
    Protocol,
    Readiness,
    Service,
    ServiceType,
    State,
)

Object = dict[str, Any]

MARK_PREFIX = "netpol.harness/"
RUN_LABEL = "netpol.harness/run"
WORKER_LABEL = "netpol.harness/worker"
OWNER_LABEL = "app.kubernetes.io/managed-by"
OWNER = "netpol-harness"
PROCESS_ANNOTATION = "netpol.harness/process"
TOKEN_ANNOTATION = "netpol.harness/create"  # noqa: S105 - it names a create, and is no secret

AGNHOST = "agnhost"  # the name of the container that probes are run in
FIRST = "first"  # the container that probes from the first moment of its pod
FIRST_FOLDER = "/first"

_NAME_LIMIT = 63  # of a DNS label, and of a label's value
_OBJECT_NAME_LIMIT = 253  # of a DNS subdomain
_PSA_LABEL = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True, slots=True)
class Naming:
    """How the names of one State become names on the cluster."""

    run: str
    worker: str
    scope: str = ""
    exact: bool = False

    def of(self, state: State) -> Naming:
        return Naming(self.run, self.worker, state.scope, state.exact_names)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of every object that this run and worker creates."""
        return {OWNER_LABEL: OWNER, RUN_LABEL: self.run, WORKER_LABEL: self.worker}

    @property
    def marks(self) -> dict[str, str]:
        """The labels that nothing but the objects of this run and worker has."""
        return {RUN_LABEL: self.run, WORKER_LABEL: self.worker}

    @property
    def selector(self) -> str:
        """The label selector of the objects that this run and worker created."""
        return f"{RUN_LABEL}={self.run},{WORKER_LABEL}={self.worker}"

    def namespace(self, name: str) -> str:
        """Return the real name of a scenario's namespace. A long scope is shortened."""
        return self._prefixed("namespace", name, _NAME_LIMIT)

    def cluster_wide(self, kind: str, name: str) -> str:
        """Return the real name of an object that is in no namespace, as ``namespace`` does."""
        return self._prefixed(kind, name, _OBJECT_NAME_LIMIT)

    def _prefixed(self, kind: str, name: str, most: int) -> str:
        if self.exact:
            return name
        room = most - len(f"{self.run}-{self.worker}--{name}")
        scope = self.scope
        if len(scope) > room:
            digest = hashlib.sha256(scope.encode()).hexdigest()[:6]
            if room < len(digest):
                raise ClusterError(
                    f"{kind} {name!r} is too long: with the run's name it exceeds "
                    f"{most} characters",
                    f"shorten it by {len(digest) - room}, or write 'exact names: true'",
                )
            scope = f"{scope[: room - len(digest) - 1].rstrip('-')}-{digest}".lstrip("-")
        return f"{self.run}-{self.worker}-{scope}-{name}"

    def selected(self, name: str) -> str:
        """Return the real name for a name that a policy selects.

        System namespaces keep their names. A name that is not in this scenario becomes one that
        does not exist, so that it never selects a namespace of someone else.
        """
        if name == "default" or name.startswith("kube-") or name.endswith("-system"):
            return name
        return self.namespace(name)

    @property
    def nodes(self) -> str:
        """The namespace of the pods that represent processes on the nodes."""
        return f"{self.run}-{self.worker}-node-processes"

    @property
    def heartbeat(self) -> str:
        """The namespace of the Lease that shows that this run and worker is alive."""
        return f"{self.run}-{self.worker}-heartbeat"


# ------------------------------------------------------------------ namespaces


def namespace(item: Namespace, naming: Naming, pods: Iterable[Pod]) -> Object:
    """Return a Namespace; Pod Security is ``restricted`` unless a pod is on the node's network."""
    level = "privileged" if any(pod.host_network for pod in pods) else "restricted"
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": naming.namespace(item.name),
            "labels": {_PSA_LABEL: level, **naming.labels, **item.labels},
        },
    }


def node_namespace(naming: Naming) -> Object:
    """Return the privileged namespace of the pods on the nodes' network."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": naming.nodes,
            "labels": {_PSA_LABEL: "privileged", **naming.labels},
        },
    }


def heartbeat_namespace(naming: Naming) -> Object:
    """Return the namespace of the run's heartbeat."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": naming.heartbeat,
            "labels": {_PSA_LABEL: "restricted", **naming.labels},
        },
    }


def heartbeat(naming: Naming, renewed: str) -> Object:
    """Return the Lease that is the run's heartbeat; ``renewed`` is when it was last renewed."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": "heartbeat",
            "namespace": naming.heartbeat,
            "labels": naming.labels,
        },
        "spec": {"renewTime": renewed},
    }


# ------------------------------------------------------------------ pods


@dataclass(frozen=True, slots=True)
class Image:
    """The agnhost image, and its pull secrets as ``namespace/name``."""

    name: str
    pull_secrets: tuple[str, ...] = ()


def pod(item: Pod, naming: Naming, real_namespace: str, hostname: str, image: Image) -> Object:
    """Return a pod that serves its ports and meets Pod Security ``restricted``.

    A pod on the node's network cannot meet it. It runs as root to serve ports below 1024,
    because the sysctl that allows them to other users is refused there.
    """
    spec: Object = {
        "nodeSelector": {"kubernetes.io/hostname": hostname},
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # they become environment variables of agnhost
        # A denied lookup must fail within the probe, not after 40 s.
        "dnsConfig": {
            "options": [{"name": "timeout", "value": "1"}, {"name": "attempts", "value": "1"}]
        },
        "imagePullSecrets": [{"name": name} for name in image.pull_secrets],
        "securityContext": _pod_security(item),
        "containers": _containers(item, image.name),
    }
    if item.readiness is not None and item.first_tcp is not None:
        spec["containers"][0]["readinessProbe"] = _readiness(item.readiness, item.first_tcp)
    if item.host_network:
        spec |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": item.name,
            "namespace": real_namespace,
            "labels": {**naming.labels, **item.labels},
        },
        "spec": spec,
    }


@dataclass(frozen=True, slots=True)
class Counting:
    """What a pod does from its first moment: shell scripts of an init container and of FIRST."""

    init: str
    main: str


def counting(made: Object, item: Pod, image: Image, scripts: Counting) -> Object:
    """Return the pod with an init container and a container that run ``scripts``.

    Both come before the others, and write to a volume of the pod.
    """
    mount = {"volumeMounts": [{"name": FIRST, "mountPath": FIRST_FOLDER}]}
    init, main = (
        _container(name, item, image.name, [], [("pause",)])
        | mount
        | {"command": ["/bin/sh", "-c", script]}
        for name, script in ((f"{FIRST}-init", scripts.init), (FIRST, scripts.main))
    )
    spec = made["spec"]
    added = {
        "volumes": [{"name": FIRST, "emptyDir": {}}],
        "initContainers": [init],
        "containers": [main, *spec["containers"]],
    }
    return {**made, "spec": {**spec, **added}}


def completed_pod(
    item: CompletedPod, naming: Naming, real_namespace: str, hostname: str, image: Image
) -> Object:
    """Return a pod that completes after a second, in which the CNI sees it with an address."""
    running = Pod(item.namespace, item.name, item.labels)
    made = pod(running, naming, real_namespace, hostname, image)
    made["spec"]["restartPolicy"] = "Never"
    made["spec"]["containers"][0]["command"] = ["/bin/sh", "-c", "sleep 1"]
    return made


def _readiness(how: Readiness, port: int) -> Object:
    """Return a probe of the kubelet. A pod that stops answering is not ready after 8 s."""
    times = {"periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 2}
    match how:
        case Readiness.HTTP:
            return {"httpGet": {"path": "/", "port": port}, **times}
        case Readiness.TCP:
            return {"tcpSocket": {"port": port}, **times}
        case Readiness.EXEC:
            command = ["/agnhost", "connect", f"127.0.0.1:{port}", "--timeout=2s"]
            return {"exec": {"command": command}, **times}


def _pod_security(item: Pod) -> Object:
    seccomp = {"seccompProfile": {"type": "RuntimeDefault"}}
    if item.host_network:
        return {**seccomp, "runAsUser": 0}
    ports = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    return {**seccomp, "runAsNonRoot": True, "runAsUser": 1000, "sysctls": ports}


def _containers(item: Pod, image: str) -> list[Object]:
    plain = [port for port in item.ports if port.protocol is not Protocol.SCTP]
    sctp = [port for port in item.ports if port.protocol is Protocol.SCTP]
    containers = [
        _container(AGNHOST, item, image, plain, servers.commands(plain, item.host_network))
    ]
    if sctp:
        # In a separate container: the process exits if the kernel has no SCTP.
        containers.append(_container("sctp", item, image, sctp, [("porter",)]))
    return containers


def _container(
    name: str, item: Pod, image: str, ports: list[ContainerPort], commands: list[tuple[str, ...]]
) -> Object:
    capabilities: Object = {"drop": ["ALL"]}
    if item.host_network:
        capabilities["add"] = ["NET_BIND_SERVICE"]
    container: Object = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": capabilities,
        },
        "ports": [_port(port) for port in ports],
        "env": servers.variables(ports, commands, item.host_network),
    }
    if len(commands) == 1:
        return container | {"command": ["/agnhost", *commands[0]]}
    # One container, because each takes a second to start. If one server exits, all do.
    lines = ["trap 'exit 1' TERM"]
    lines += [f"(/agnhost {shlex.join(command)}; kill $$) &" for command in commands]
    return container | {"command": ["/bin/sh", "-c", "\n".join([*lines, "wait"])]}


def _port(port: ContainerPort) -> Object:
    item: Object = {"containerPort": port.number, "protocol": str(port.protocol)}
    return item | ({"name": port.name} if port.name else {})


# ------------------------------------------------------------------ services


def service(item: Service, naming: Naming) -> Object:
    """Return a Service with addresses of each family that the cluster has."""
    spec: Object = {
        "selector": dict(item.selector),
        "ipFamilyPolicy": "PreferDualStack",
        "ports": [
            {
                "name": port.name or f"{port.protocol.lower()}-{port.number}",
                "port": port.number,
                "targetPort": port.target,
                "protocol": str(port.protocol),
            }
            for port in item.ports
        ],
    }
    if item.type is ServiceType.HEADLESS:
        spec["clusterIP"] = "None"
    if item.type is ServiceType.NODE_PORT:
        policy = str(item.external_traffic_policy)
        spec |= {"type": "NodePort", "externalTrafficPolicy": policy}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": item.name,
            "namespace": naming.namespace(item.namespace),
            "labels": naming.labels,
        },
        "spec": spec,
    }


# ------------------------------------------------------------------ objects of the scenario


class Scope(enum.Enum):
    """Whether the objects of a kind are in a namespace."""

    NAMESPACED = "namespaced"
    CLUSTER = "cluster"


def manifest(item: Manifest, naming: Naming, scope: Scope) -> Object:
    """Return an object of the scenario under real names. Raises ClusterError if impossible.

    A policy of the whole cluster is confined to the pods of this run and worker.
    """
    found: Object = json.loads(item.json)
    metadata = found.setdefault("metadata", {})
    if scope is Scope.NAMESPACED:
        if not item.namespace:
            raise ClusterError(
                f"{item} has no namespace, and its kind is namespaced{_place(item)}",
                "set metadata.namespace",
            )
        metadata["namespace"] = naming.namespace(item.namespace)
    else:
        metadata.pop("namespace", None)
        metadata["name"] = _cluster_wide_name(item, naming)
    metadata["labels"] = {**naming.labels, **(metadata.get("labels") or {})}
    rest = {key: value for key, value in found.items() if key != "metadata"}
    if not naming.exact:
        rest = selection.translated(rest, naming.selected, str(item))
    if confinement.confines(item):
        rest = confinement.confined(rest, naming.marks)
    return {**rest, "metadata": metadata}


def _cluster_wide_name(item: Manifest, naming: Naming) -> str:
    if naming.exact:
        return item.name
    if not confinement.confines(item):
        raise ClusterError(
            f"{item} is cluster-scoped, and others may use the cluster{_place(item)}",
            "write 'exact names: true' in the scenario, "
            "and run it on a cluster that nobody else uses",
        )
    if not confinement.is_only_one(item):
        return naming.cluster_wide(item.kind, item.name)
    if item.written_as:
        return item.name
    raise ClusterError(
        f"a cluster has only one {item.kind}, and others may use the cluster{_place(item)}",
        "write 'exact names: true' in the scenario, or write a ClusterNetworkPolicy",
    )


def _place(item: Manifest) -> str:
    return f" ({item.location})" if item.location else ""
