"""The matrix of an application with real packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import Exit, main

SHOP = """\
apiVersion: v1
kind: Namespace
metadata: {name: kube-system, labels: {system: "yes"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, ports: [{containerPort: 8080, name: http}]}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - {name: c, ports: [{containerPort: 5432}, {containerPort: 53, protocol: UDP}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: ops}
spec:
  template:
    metadata: {labels: {app: agent}}
    spec: {hostNetwork: true, containers: [{name: c, ports: [{containerPort: 9100}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
  - from: [{podSelector: {}}]
    ports: [{port: 53, protocol: UDP}]
  egress:
  - to: [{ipBlock: {cidr: 198.51.100.0/24}}]
    ports: [{port: 8443}]
  - to: [{namespaceSelector: {matchLabels: {system: "yes"}}}]
    ports: [{port: 53, protocol: UDP}]
"""


@pytest.fixture
def shop(available: None, tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP, "utf-8")
    return path


def test_packets_agree_with_the_policies(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", "--packets", str(shop)]) == Exit.OK
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("packets: "))
    assert line == "packets: 43 agree"


def test_packets_show_a_defect(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--packets", "--defect=tcp-only", "--from=outside", "--to=shop/db:53/UDP"]
    assert main(["matrix", str(shop), *words]) == Exit.WRONG
    out = capsys.readouterr().out
    assert "  disagrees: outside -> shop/db:53/UDP: denied\n" in out


APART = """\
apiVersion: v1
kind: Namespace
metadata: {name: ops, labels: {team: ops}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, ports: [{containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, ports: [{containerPort: 5432}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: watch, namespace: ops}
spec:
  template:
    metadata: {labels: {app: watch}}
    spec: {containers: [{name: c, ports: [{containerPort: 9090}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
"""
CLUSTER = """\
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: watched}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Accept, from: [{namespaces: {matchLabels: {team: ops}}}]}]
  egress: [{action: Deny, to: [networks: [198.51.100.0/24]]}]
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: apart}
spec:
  tier: Baseline
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
"""
ADMIN = """\
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: watched}
spec:
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Allow, from: [{namespaces: {matchLabels: {team: ops}}}]}]
  egress: [{action: Deny, to: [networks: [198.51.100.0/24]]}]
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
"""


@pytest.mark.parametrize("tiers", [CLUSTER, ADMIN], ids=["cluster", "admin"])
def test_packets_agree_with_policies_in_tiers(
    available: None, tiers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(APART + tiers, "utf-8")
    assert main(["matrix", "--packets", str(path)]) == Exit.OK
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("packets: "))
    assert line == "packets: 24 agree"
