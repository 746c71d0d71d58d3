"""What the API server shows of a cluster's address ranges."""

from __future__ import annotations

import kmock

from harness.cluster.kube.api import Api
from harness.cluster.kube.ranges import Pool, detect
from harness.model import Networks

from .conftest import refusal

POOL = Pool("crd.projectcalico.org/v1", "IPPool", "spec.cidr")
NODES = {
    "items": [
        {
            "metadata": {"name": f"n{index}"},
            "spec": {"podCIDRs": [f"10.244.{index}.0/24"]},
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": f"172.18.0.{index}"},
                    {"type": "Hostname", "address": f"n{index}"},
                ]
            },
        }
        for index in (1, 2)
    ]
}


def pod(ip: str, *, host_network: bool = False) -> dict[str, object]:
    return {"spec": {"hostNetwork": host_network}, "status": {"podIPs": [{"ip": ip}]}}


def test_ranges_come_from_nodes_pools_and_service_cidrs(
    server: kmock.RawHandler, kubeconfig: str
) -> None:
    server["get /c/api/v1/nodes"] << NODES
    pods = [pod("10.244.1.9"), pod("192.168.3.4"), pod("172.18.0.1", host_network=True)]
    server["get /c/api/v1/namespaces/kube-system/pods"] << {"items": pods}
    server["get /c/apis/networking.k8s.io/v1/servicecidrs"] << {
        "items": [{"spec": {"cidrs": ["10.96.0.0/16", "fd00:96::/112"]}}]
    }
    assert detect(Api(kubeconfig, "kind-netpol"), [POOL]) == Networks(
        pods=("10.244.1.0/24", "10.244.2.0/24", "192.168.3.4/32"),
        services=("10.96.0.0/16", "fd00:96::/112"),
        nodes=("172.18.0.1/32", "172.18.0.2/32"),
    )


def test_a_plugins_own_pools_count(server: kmock.RawHandler, kubeconfig: str) -> None:
    server["get /c/api/v1/nodes"] << {"items": []}
    server["get /c/api/v1/namespaces/kube-system/pods"] << {"items": [pod("192.168.3.4")]}
    server["get /c/apis/crd.projectcalico.org/v1/ippools"] << {
        "items": [{"spec": {"cidr": "192.168.0.0/16"}}, {"spec": {}}]
    }
    assert detect(Api(kubeconfig, "kind-netpol"), [POOL]).pods == ("192.168.0.0/16",)


def test_what_may_not_be_read_is_left_out(server: kmock.RawHandler, kubeconfig: str) -> None:
    server["get /c/api/v1/nodes"] << refusal(403, "nodes is forbidden")
    server["get /c/api/v1/namespaces/kube-system/pods"] << refusal(403, "pods is forbidden")
    server["get /c/api/v1/namespaces/default/services/kubernetes"] << {
        "spec": {"clusterIPs": ["10.96.0.1"]}
    }
    server["get /c/api/v1/namespaces/kube-system/services/kube-dns"] << refusal(404, "not found")
    assert detect(Api(kubeconfig, "kind-netpol")) == Networks(services=("10.96.0.1/32",))
