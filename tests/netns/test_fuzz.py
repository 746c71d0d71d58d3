"""Generated cases with real packets: right without a defect, and one that is on is found."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from harness import scenario
from harness.cli import Exit, main
from harness.cluster import Capabilities
from harness.cluster.netns import NetnsCluster
from harness.generate import Bench, Generator, fixture_file
from harness.predecessor import Predecessor
from harness.settle import Timing
from harness.variants import TierKinds


def test_no_disagreement_without_a_defect(
    available: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["fuzz", "--seed=7", "--minutes=0.05", f"--out={out}"]) == Exit.OK
    assert capsys.readouterr().out.endswith("\n0 disagreements\n")
    assert not out.exists()


def test_a_defect_is_found_and_its_scenario_is_small(
    available: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--seed=7",
        "--minutes=0.01",
        "--settle=0.5",
        "--defect=tcp-only",
        f"--out={tmp_path}",
    ]
    assert main(["fuzz", *words]) == Exit.WRONG
    out = capsys.readouterr().out
    (path,) = tmp_path.glob("*.yaml")
    assert f"reproduce: netpol run {path} --defect=tcp-only\n" in out
    scenario.load(path)
    assert len(path.read_text("utf-8").splitlines()) <= 30
    assert main(["run", str(path), "--defect=tcp-only", "--no-tables"]) == Exit.WRONG
    assert main(["run", str(path), "--no-tables"]) == Exit.OK


GROUP = "policy.networking.k8s.io"


class Limited(NetnsCluster):
    """An embedded cluster of which only some kinds of policies in tiers are known."""

    tier_kinds: ClassVar[frozenset[str]]

    @property
    def capabilities(self) -> Capabilities:
        found = super().capabilities
        others = {kind for kind in found.kinds if kind.startswith(GROUP)}
        return replace(found, kinds=(found.kinds - others) | self.tier_kinds)


class Older(Limited):
    tier_kinds = frozenset(
        f"{GROUP}/v1alpha1/{kind}" for kind in ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy")
    )


class Newer(Limited):
    tier_kinds = frozenset({f"{GROUP}/v1beta1/ClusterNetworkPolicy"})


@pytest.mark.parametrize("kind", [Older, Newer])
def test_policies_in_tiers_are_of_the_kinds_of_the_cluster(
    available: None, kind: type[Limited]
) -> None:
    found = TierKinds.among(kind.tier_kinds)
    case = Generator(fixture_file(None).fixture, 7, tiers=1, tier_kinds=found).case(1)
    with kind() as cluster:
        trial = Bench(cluster, Timing(), Predecessor()).tried(case)
        assert trial.wrong == ()
        assert trial.proven > 50
    with kind(defect="tiers-isolate") as cluster:
        assert Bench(cluster, Timing(settle_s=0.4), Predecessor()).tried(case).wrong


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, 143)]
)
def test_an_interrupted_run_says_what_it_tried(
    available: None, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    command = [sys.executable, "-m", "harness.cli", "fuzz", "--minutes=9", f"--out={tmp_path}"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs us in the background may have us ignore it, and a child inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "policies in tiers: ClusterNetworkPolicy\n"
        first = run.stdout.readline()
        assert first.startswith("case 1: "), first
        run.send_signal(number)
        out = run.stdout.read()
    assert run.returncode == status, out
    assert "cells proven, in " in out
    assert "\n0 disagreements\n" in out
    assert "not removed" not in out
    assert "Traceback" not in out
