"""What `netpol import` writes runs on the embedded cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness import application
from harness.snapshot import imported_from
from tests.applications import POLICY, deny, service, workload

OBJECTS = (workload("web", 80, replicas=2), service("web", 80), workload("db", 5432), POLICY)


def netpol(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", *words], cwd=folder, capture_output=True, text=True
    )
    return done.returncode, done.stdout


def test_what_is_imported_passes_and_refuses_a_change(tmp_path: Path) -> None:
    manifests = tmp_path / "k8s.yaml"
    manifests.write_text("---\n".join(OBJECTS), "utf-8")
    assert netpol(tmp_path, "import", "k8s.yaml", "-o", "tests")[0] == 0
    status, out = netpol(tmp_path, "run", "tests", "--no-tables")
    assert (status, "18 of 18 cells proven, in 4 steps of 2 scenarios on netns" in out) == (
        0,
        True,
    )
    manifests.write_text("---\n".join([*OBJECTS, deny("web")]), "utf-8")
    assert netpol(tmp_path, "run", "tests", "--no-tables")[0] == 4


def test_what_is_imported_from_a_cluster_passes(tmp_path: Path) -> None:
    (tmp_path / "k8s.yaml").write_text("---\n".join(OBJECTS), "utf-8")
    found = application.read([str(tmp_path / "k8s.yaml")])
    for item in imported_from("prod", found, tmp_path / "tests", "2026-01-31"):
        item.path.parent.mkdir(parents=True, exist_ok=True)
        item.path.write_text(item.text, "utf-8")
    (tmp_path / "k8s.yaml").unlink()
    status, out = netpol(tmp_path, "run", "tests", "--no-tables")
    assert (status, "18 of 18 cells proven, in 4 steps of 2 scenarios on netns" in out) == (
        0,
        True,
    )
