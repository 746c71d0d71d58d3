"""Values to Kubernetes objects, logical to real names."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from harness.cluster.kube import objects
from harness.cluster.kube.objects import Image, Naming, Scope
from harness.errors import ClusterError
from harness.model import (
    ContainerPort,
    ExternalTrafficPolicy,
    Labels,
    Manifest,
    Namespace,
    Pod,
    Protocol,
    Readiness,
    Service,
    ServicePort,
    ServiceType,
)

NAMING = Naming("r1", "gw0", "demo")
IMAGE = Image("agnhost:1")
TCP, UDP, SCTP = Protocol.TCP, Protocol.UDP, Protocol.SCTP


def policy(spec: dict[str, Any], kind: str = "NetworkPolicy", namespace: str = "db") -> Manifest:
    document = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "p"}, "spec": spec}
    return Manifest("v1", kind, namespace, "p", json.dumps(document))


def pod(*ports: ContainerPort, **changes: Any) -> dict[str, Any]:
    item = Pod("db", "postgres", Labels({"app": "postgres"}), ports, **changes)
    return objects.pod(item, NAMING, "real-db", "worker-1", IMAGE)


def commands(made: dict[str, Any]) -> list[list[str]]:
    return [container["command"] for container in made["spec"]["containers"]]


def test_namespaces_are_unique_to_run_worker_and_scenario() -> None:
    assert NAMING.namespace("db") == "r1-gw0-demo-db"
    assert replace(NAMING, exact=True).namespace("db") == "db"


@pytest.mark.parametrize("scope", ["s" * 70, "a-b-" * 20, "s" * 49])
@pytest.mark.parametrize("name", ["db", "n" * 45])
def test_a_long_scope_is_cut_and_stays_unique(scope: str, name: str) -> None:
    real = replace(NAMING, scope=scope).namespace(name)
    other = replace(NAMING, scope=f"{scope}2").namespace(name)
    assert len(real) <= 63
    assert real.endswith(f"-{name}")
    assert real.startswith("r1-gw0-")
    assert "--" not in real
    assert real != other


def test_a_namespace_that_cannot_fit_is_refused() -> None:
    with pytest.raises(ClusterError) as caught:
        NAMING.namespace("n" * 60)
    assert "shorten it by 11" in (caught.value.hint or "")


def test_selectors_by_name_are_translated_wherever_they_stand() -> None:
    key = "kubernetes.io/metadata.name"
    made = objects.manifest(
        policy({
            "ingress": [
                {"from": [{"namespaceSelector": {"matchLabels": {key: "app1", "team": "app1"}}}]},
                {"from": [{"namespaceSelector": {"matchExpressions": [
                    {"key": key, "operator": "In", "values": ["app1", "kube-system", "other"]},
                    {"key": "team", "operator": "In", "values": ["app1"]},
                ]}}]},
            ]
        }),
        NAMING,
        Scope.NAMESPACED,
    )  # fmt: skip
    first, second = (rule["from"][0]["namespaceSelector"] for rule in made["spec"]["ingress"])
    assert first == {"matchLabels": {key: "r1-gw0-demo-app1", "team": "app1"}}
    by_name, by_team = second["matchExpressions"]
    assert by_name["values"] == ["r1-gw0-demo-app1", "kube-system", "r1-gw0-demo-other"]
    assert by_team["values"] == ["app1"]
    assert made["metadata"]["namespace"] == "r1-gw0-demo-db"
    assert made["metadata"]["labels"]["netpol.harness/run"] == "r1"


@pytest.mark.parametrize(
    "key",
    [
        "k8s:io.kubernetes.pod.namespace",
        "io.kubernetes.pod.namespace",
        "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name",
    ],
)
def test_cilium_selects_by_name_in_its_own_keys(key: str) -> None:
    spec = {"ingress": [{"fromEndpoints": [{"matchLabels": {key: "app1"}}]}]}
    made = objects.manifest(policy(spec, "CiliumNetworkPolicy"), NAMING, Scope.NAMESPACED)
    (rule,) = made["spec"]["ingress"]
    assert rule["fromEndpoints"][0]["matchLabels"] == {key: "r1-gw0-demo-app1"}


def test_cilium_services_are_translated() -> None:
    service = {"k8sService": {"serviceName": "web", "namespace": "app1"}}
    made = objects.manifest(
        policy({"egress": [{"toServices": [service]}]}), NAMING, Scope.NAMESPACED
    )
    found = made["spec"]["egress"][0]["toServices"][0]["k8sService"]
    assert found == {"serviceName": "web", "namespace": "r1-gw0-demo-app1"}


@pytest.mark.parametrize(
    ("name", "real"),
    [
        ("default", "default"),
        ("kube-system", "kube-system"),
        ("kube-public", "kube-public"),
        ("calico-system", "calico-system"),
        ("gatekeeper-system", "gatekeeper-system"),
        ("system", "r1-gw0-demo-system"),
        ("production", "r1-gw0-demo-production"),
    ],
)
def test_the_clusters_own_namespaces_are_selected_by_their_own_names(name: str, real: str) -> None:
    assert NAMING.selected(name) == real


def test_what_cannot_be_translated_is_refused() -> None:
    spec = {"namespaceSelector": "projectcalico.org/name == 'app1'"}
    with pytest.raises(ClusterError) as caught:
        objects.manifest(policy(spec, "NetworkPolicy"), NAMING, Scope.NAMESPACED)
    assert str(caught.value) == (
        "NetworkPolicy db/p selects namespaces by name in a way that cannot be translated: "
        "\"projectcalico.org/name == 'app1'\"\n"
        "hint: select them by your own labels, or write 'exact names: true'"
    )
    exact = objects.manifest(policy(spec), replace(NAMING, exact=True), Scope.NAMESPACED)
    assert exact["spec"] == spec


def test_an_object_of_the_whole_cluster_needs_exact_names() -> None:
    with pytest.raises(ClusterError) as caught:
        objects.manifest(policy({}, "AdminNetworkPolicy", ""), NAMING, Scope.CLUSTER)
    assert str(caught.value) == (
        "AdminNetworkPolicy p is cluster-scoped, and others may use the cluster\n"
        "hint: write 'exact names: true' in the scenario, "
        "and run it on a cluster that nobody else uses"
    )


def test_an_object_of_the_whole_cluster_loses_the_namespace_of_its_step() -> None:
    exact = replace(NAMING, exact=True)
    made = objects.manifest(policy({}, "FelixConfiguration", "db"), exact, Scope.CLUSTER)
    assert "namespace" not in made["metadata"]


def test_an_object_that_lives_in_a_namespace_names_one() -> None:
    with pytest.raises(ClusterError) as caught:
        objects.manifest(policy({}, "StorageThing", ""), NAMING, Scope.NAMESPACED)
    assert str(caught.value) == (
        "StorageThing p has no namespace, and its kind is namespaced\nhint: set metadata.namespace"
    )


def test_pods_pass_pod_security_restricted() -> None:
    made = pod(ContainerPort(80))
    spec = made["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["imagePullPolicy"] == "IfNotPresent"
    assert spec["terminationGracePeriodSeconds"] == 0
    assert spec["automountServiceAccountToken"] is False
    assert {"name": "attempts", "value": "1"} in spec["dnsConfig"]["options"]
    assert made["metadata"]["labels"]["app"] == "postgres"


def test_a_namespace_is_restricted_unless_it_holds_a_pod_of_the_nodes_network() -> None:
    level = "pod-security.kubernetes.io/enforce"
    item = Namespace("db", Labels({"team": "data"}))
    plain = objects.namespace(item, NAMING, [Pod("db", "a")])
    assert plain["metadata"]["labels"][level] == "restricted"
    assert plain["metadata"]["labels"]["team"] == "data"
    host = objects.namespace(item, NAMING, [Pod("db", "a", host_network=True)])
    assert host["metadata"]["labels"][level] == "privileged"
    chosen = objects.namespace(Namespace("db", Labels({level: "baseline"})), NAMING, [])
    assert chosen["metadata"]["labels"][level] == "baseline"


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([], [["/agnhost", "pause"]]),
        ([ContainerPort(80), ContainerPort(81)], [["/agnhost", "porter"]]),
        (
            [ContainerPort(80), ContainerPort(53, UDP)],
            [["/agnhost", "netexec", "--http-port=80", "--udp-port=53"]],
        ),
        ([ContainerPort(53, UDP)], [["/agnhost", "netexec", "--http-port=0", "--udp-port=53"]]),
        ([ContainerPort(80), ContainerPort(7, SCTP)], [["/agnhost", "porter"]] * 2),
    ],
)
def test_ports_are_served_by_few_processes(
    ports: list[ContainerPort], expected: list[list[str]]
) -> None:
    assert commands(pod(*ports)) == expected


def test_udp_servers_on_a_node_answer_from_the_address_that_was_asked() -> None:
    made = pod(ContainerPort(80), ContainerPort(53, UDP), host_network=True)
    (container,) = made["spec"]["containers"]
    assert container["command"][-1] == "--udp-listen-addresses=127.0.0.1,$(NETPOL_ADDRESSES)"
    (variable,) = container["env"]
    assert variable["name"] == "NETPOL_ADDRESSES"
    assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIPs"}}


def test_porter_is_told_its_ports_and_no_other() -> None:
    made = pod(ContainerPort(80), ContainerPort(7, SCTP))
    tcp, sctp = (container["env"] for container in made["spec"]["containers"])
    assert tcp == [{"name": "SERVE_PORT_80", "value": "80"}]
    assert sctp == [{"name": "SERVE_SCTP_PORT_7", "value": "7"}]


@pytest.mark.parametrize(
    ("how", "action"),
    [
        (Readiness.HTTP, {"httpGet": {"path": "/", "port": 81}}),
        (Readiness.TCP, {"tcpSocket": {"port": 81}}),
        (
            Readiness.EXEC,
            {"exec": {"command": ["/agnhost", "connect", "127.0.0.1:81", "--timeout=2s"]}},
        ),
    ],
)
def test_the_kubelet_probes_the_first_tcp_port(how: Readiness, action: dict[str, Any]) -> None:
    ports = (ContainerPort(53, UDP), ContainerPort(81), ContainerPort(80), ContainerPort(7, SCTP))
    first, sctp = pod(*ports, readiness=how)["spec"]["containers"]
    times = {"periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 2}
    assert first["readinessProbe"] == {**action, **times}
    assert "readinessProbe" not in sctp


def test_a_pod_without_readiness_is_not_probed() -> None:
    (container,) = pod(ContainerPort(80))["spec"]["containers"]
    assert "readinessProbe" not in container


def test_pairs_of_tcp_and_udp_share_a_container() -> None:
    ports = [ContainerPort(n, p) for n in (80, 81) for p in (TCP, UDP)]
    ((shell, _, script),) = commands(pod(*ports, ContainerPort(82)))
    assert shell == "/bin/sh"
    assert "netexec --http-port=80 --udp-port=80;" in script
    assert "netexec --http-port=81 --udp-port=81;" in script
    assert "netexec --http-port=82 --udp-port=-1;" in script


def test_named_ports_are_declared() -> None:
    (container,) = pod(ContainerPort(80, TCP, "web"))["spec"]["containers"]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP", "name": "web"}]


def test_services() -> None:
    port = ServicePort(80, "web")
    plain = Service("db", "web", Labels({"app": "a"}), (port,))
    made = objects.service(plain, NAMING)
    assert made["metadata"]["namespace"] == "r1-gw0-demo-db"
    assert made["spec"]["ports"] == [
        {"name": "tcp-80", "port": 80, "targetPort": "web", "protocol": "TCP"}
    ]
    assert "clusterIP" not in made["spec"]
    headless = objects.service(replace(plain, type=ServiceType.HEADLESS), NAMING)
    assert headless["spec"]["clusterIP"] == "None"
    local = replace(
        plain,
        type=ServiceType.NODE_PORT,
        external_traffic_policy=ExternalTrafficPolicy.LOCAL,
    )
    spec = objects.service(local, NAMING)["spec"]
    assert (spec["type"], spec["externalTrafficPolicy"]) == ("NodePort", "Local")
