"""The changed connections of two versions with real packets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import Exit, main

OLD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, ports: [{containerPort: 5432}, {containerPort: 53, protocol: UDP}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""
POLICY = """\
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]
"""


@pytest.fixture
def versions(available: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.yaml").write_text(OLD)
    new = OLD.replace("{selector", "{type: NodePort, selector")
    Path("new.yaml").write_text(new + POLICY)


def packets(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if ": packets: " in line or "disagrees: " in line]


def test_packets_agree_in_both_versions(
    versions: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", "old.yaml", "new.yaml", "--packets"]) == Exit.WRONG
    assert packets(capsys) == [
        "old.yaml: packets: 7 agree",
        "new.yaml: packets: 8 agree",
    ]


def test_packets_show_a_defect(versions: None, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--packets", "--defect=tcp-only", "--from=shop/web", "--to=shop/db:53/UDP"]
    assert main(["diff", "old.yaml", "new.yaml", *words]) == Exit.WRONG
    assert packets(capsys) == [
        "old.yaml: packets: 1 agree",
        "new.yaml: packets: 1 DISAGREE",
        "  disagrees: shop/web -> shop/db:53/UDP: denied",
    ]
    assert main(["diff", "old.yaml", "new.yaml", *words, "--format=json"]) == Exit.WRONG
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert change["before"]["packets"] == {"seen": "agrees", "why": []}
    assert change["after"]["packets"] == {
        "seen": "disagrees",
        "why": ["shop/web -> shop/db:53/UDP gives allowed, not TIMEOUT"],
    }


def test_nothing_is_probed_if_nothing_differs(
    versions: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", "old.yaml", "old.yaml", "--packets"]) == Exit.OK
    assert packets(capsys) == []
