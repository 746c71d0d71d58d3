"""Who reaches whom in an application, and how it is printed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from harness.application import read
from harness.cli import main
from harness.errors import UsageError
from harness.matrix import Cell, Cut, Matrix, judged
from harness.matrix.formats import csv_text, dot, json_text, markdown
from harness.matrix.text import text

SHOP = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
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
    spec: {containers: [{name: c, ports: [{containerPort: 5432}]}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: backup, namespace: shop}
spec:
  jobTemplate:
    spec: {template: {metadata: {labels: {app: backup}}, spec: {containers: [{name: c}]}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: ops}
spec:
  template:
    metadata: {labels: {app: agent}}
    spec: {hostNetwork: true, containers: [{name: c}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: lost, namespace: shop}
spec: {selector: {app: lost}, ports: [{port: 9}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
  egress:
  - to: [{ipBlock: {cidr: 198.51.100.0/24}}]
    ports: [{port: 8443}]
"""


def matrix(manifests: str = SHOP, cut: Cut | None = None) -> Matrix:
    return judged(read(["-"], stdin=io.BytesIO(manifests.encode())), cut or Cut())


def reaches(found: Matrix) -> dict[tuple[str, str], str]:
    return {(cell.source, cell.destination): str(cell.word) for cell in found.cells}


def test_what_the_policies_of_the_shop_say() -> None:
    words = reaches(matrix())
    to_db = {source: word for (source, end), word in words.items() if end == "shop/db:5432"}
    assert to_db == {
        "shop/web": "allowed",
        "shop/db": "denied",  # one replica to the other
        "shop/backup": "denied",
        "ops/agent": "denied",
        "outside": "denied",
        "outside in 198.51.100.0/24": "denied",
    }
    from_db = {end: word for (source, end), word in words.items() if source == "shop/db"}
    assert from_db == {
        "shop/web:8080": "denied",
        "shop/db:5432": "denied",
        "svc/shop/web:80": "denied",
        "svc/shop/lost:9": "no endpoint",
        "DNS:53/UDP": "denied",
        "DNS:53": "denied",
        "outside:443": "denied",
        "outside:8443": "denied",
        "outside in 198.51.100.0/24:443": "denied",
        "outside in 198.51.100.0/24:8443": "allowed",
    }


def test_a_host_outside_reaches_a_load_balancer_and_no_cluster_ip() -> None:
    words = reaches(matrix())
    assert words["outside", "svc/shop/web:80"] == "allowed"
    assert ("outside", "svc/shop/lost:9") not in words
    assert ("outside", "outside:443") not in words


def test_replicas_that_a_policy_tells_apart() -> None:
    one = "podSelector: {matchLabels: {apps.kubernetes.io/pod-index: '1'}}"
    words = reaches(matrix(SHOP.replace("podSelector: {matchLabels: {app: db}}", one)))
    assert words["shop/backup", "shop/db:5432"] == "differs"


def test_a_policy_that_is_not_judged() -> None:
    other = (
        "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
        "metadata: {name: l7, namespace: shop}\n"
    )
    assert reaches(matrix(SHOP + other))["shop/web", "shop/db:5432"] == "not judged"


def test_workloads_of_one_name() -> None:
    job = SHOP.replace("name: backup", "name: web")
    titles = matrix(job).sources
    assert {"shop/web (Deployment)", "shop/web (CronJob)"} <= {*titles}


def test_a_service_may_lead_to_a_port_that_is_not_declared() -> None:
    words = reaches(matrix(SHOP.replace("{app: lost}", "{app: web}")))
    assert words["shop/backup", "svc/shop/lost:9"] == "allowed"


def test_the_cluster_has_dns_where_the_manifests_have_its_namespace() -> None:
    own = SHOP.replace("namespace: ops", "namespace: kube-system")
    assert reaches(matrix(own))["shop/web", "DNS:53/UDP"] == "allowed"


def test_the_block_of_all_addresses_has_no_host_of_its_own() -> None:
    found = matrix(SHOP.replace("198.51.100.0/24", "0.0.0.0/0"))
    assert [name for name in found.sources if name.startswith("outside")] == ["outside"]
    assert reaches(found)["shop/db", "outside:8443"] == "allowed"


# ------------------------------------------------------------------ cuts


def test_cuts() -> None:
    found = matrix(SHOP, Cut(("shop/*",), ("shop/db", "DNS:53")))
    assert found.sources == ("shop/web", "shop/db", "shop/backup")
    assert found.destinations == ("shop/db:5432", "DNS:53")
    found = matrix(SHOP, Cut(namespaces=("ops",)))
    assert found.sources == ("ops/agent",)


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (Cut(("shop/wbe",)), "no source is called 'shop/wbe'\nhint: did you mean 'shop/web'?"),
        (
            Cut((), ("shop/dbs",)),
            "no destination is called 'shop/dbs'\nhint: did you mean 'shop/db'?",
        ),
        (
            Cut(namespaces=("sop",)),
            "there is no namespace 'sop' in the manifests\nhint: did you mean 'shop'?",
        ),
    ],
)
def test_a_cut_that_names_nothing(cut: Cut, message: str) -> None:
    with pytest.raises(UsageError) as error:
        matrix(SHOP, cut)
    assert str(error.value) == message


# ------------------------------------------------------------------ formats

DATA = Path(__file__).parent / "data"
GRID, LIST = ((DATA / name).read_text() for name in ("shop-grid.txt", "shop-list.txt"))


def test_the_grid() -> None:
    assert text(matrix()) == GRID


def test_the_list_where_the_grid_does_not_fit() -> None:
    assert text(matrix(), 60) == LIST


def test_many_workloads_are_listed() -> None:
    assert text(matrix(SHOP + _pods(20)), 1000).startswith(
        "shop/web:8080\nsvc/shop/web:80\n  from  "
    )


def test_other_formats() -> None:
    found = matrix(SHOP, Cut(("shop/web", "outside"), ("shop/db", "svc/shop/lost")))
    assert markdown(found).splitlines()[:4] == [
        "| from \\ to | shop/db:5432 | svc/shop/lost:9 |",
        "|---|---|---|",
        "| shop/web | allowed | no endpoint |",
        "| outside | denied | - |",
    ]
    assert list(csv.reader(io.StringIO(csv_text(found)))) == [
        ["from", "to", "word"],
        ["shop/web", "shop/db:5432", "allowed"],
        ["shop/web", "svc/shop/lost:9", "no endpoint"],
        ["outside", "shop/db:5432", "denied"],
    ]
    assert dot(found) == ('digraph reaches {\n  rankdir=LR\n  "shop/web" -> "shop/db:5432"\n}\n')
    read_again = json.loads(json_text(found))
    assert [Cell(*cell.values()).word for cell in read_again["cells"]] == [
        "allowed",
        "no endpoint",
        "denied",
    ]
    assert read_again["destinations"] == ["shop/db:5432", "svc/shop/lost:9"]


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP)
    arguments = ["matrix", str(file), "--from=shop/web", "--to=shop/db", "--format=csv"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == "from,to,word\nshop/web,shop/db:5432,allowed\n"


def test_too_many_pairs() -> None:
    many = _pods(520)
    with pytest.raises(UsageError) as error:
        matrix(many)
    assert str(error.value) == (
        "there are 272,483 pairs, and at most 250,000 can be judged at once\n"
        "hint: keep fewer: --from NAME, --to NAME"
    )
    assert len(matrix(many, Cut(("default/p1",), ("default/p2",))).cells) == 1


def _pods(count: int) -> str:
    return "".join(
        f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}}}\n"
        "spec: {containers: [{name: c, ports: [{containerPort: 1}]}]}\n"
        for number in range(count)
    )


def test_policies_in_tiers_are_judged() -> None:
    """Admin goes before the NetworkPolicy of the database, Baseline after it."""
    manifests = (
        SHOP
        + """\
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: backups}
spec:
  priority: 3
  subject: {namespaces: {matchLabels: {team: shop}}}
  ingress:
  - action: Allow
    from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: backup}}}}]
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: apart}
spec:
  tier: Baseline
  priority: 3
  subject: {namespaces: {matchLabels: {team: shop}}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
"""
    )
    cells = {(c.source, c.destination): c for c in matrix(manifests).cells}
    assert cells["shop/backup", "shop/db:5432"].reasons[-1] == (
        "ingress of shop/db-0: Admin tier: allowed by AdminNetworkPolicy backups (priority 3), "
        "ingress rule 1: pods app=backup in namespaces <all>; every port"
    )
    closed = cells["shop/db", "shop/web:8080"]
    assert (closed.word, closed.reasons[-1]) == (
        "denied",
        "ingress of shop/web-2: Baseline tier: denied by ClusterNetworkPolicy apart (priority 3), "
        "ingress rule 1: namespaces <all>; every port",
    )
