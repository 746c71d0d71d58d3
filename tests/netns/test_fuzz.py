"""Generated cases with real packets: right without a defect, and one that is on is found."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import scenario
from harness.cli import Exit, main


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
        first = run.stdout.readline()
        assert first.startswith("case 1: "), first
        run.send_signal(number)
        out = run.stdout.read()
    assert run.returncode == status, out
    assert "cells proven, in " in out
    assert "\n0 disagreements\n" in out
    assert "not removed" not in out
    assert "Traceback" not in out
