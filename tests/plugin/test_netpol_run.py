"""`netpol run` in a process of its own: what its exit status means, and what a signal leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.cli import Exit
from tests.plugin.conftest import CONFTEST, SCENARIO, leaking

ROOT = Path(__file__).parents[2]


def start(
    folder: Path, conftest: str, scenario: str = SCENARIO, options: Sequence[str] = ()
) -> subprocess.Popen[str]:
    (folder / "scenarios").mkdir()
    (folder / "scenarios" / "shop.yaml").write_text(scenario, encoding="utf-8")
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "run", "scenarios", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs us in the background may have us ignore it, and a child inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("by_the_book", Exit.OK),
        ("allows_all", Exit.WRONG),
        ("answers_nothing", Exit.NO_VERDICT),
    ],
)
def test_the_exit_status_of_a_run(tmp_path: Path, answer: str, status: Exit) -> None:
    run = start(tmp_path, CONFTEST.replace("{answer}", answer))
    out, _ = run.communicate(timeout=60)
    assert run.returncode == status, out
    assert "Warning" not in out


@pytest.mark.parametrize(("word", "status"), [("ALLOWED", Exit.OK), ("TIMEOUT", Exit.WRONG)])
def test_the_exit_status_with_a_known_limitation(tmp_path: Path, word: str, status: Exit) -> None:
    run = start(tmp_path, leaking(word))
    out, _ = run.communicate(timeout=60)
    assert run.returncode == status, out


def test_the_exit_status_where_the_cluster_does_not_enforce(tmp_path: Path) -> None:
    conftest = CONFTEST.replace("{answer}", "enforces_nothing")
    run = start(tmp_path, conftest.replace('state.scope == "canary"', "False"))
    out, _ = run.communicate(timeout=60)
    assert run.returncode == Exit.NO_VERDICT, out
    assert "ERROR: cluster fake does not enforce NetworkPolicy" in out


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--results=shop.yaml/out.json", "ERROR: --results=shop.yaml/out.json: File exists\n"),
        ("--results=scenarios", "ERROR: --results=scenarios: Is a directory\n"),
        ("--settle=soon", "argument --settle: soon is no number of seconds, 0 or more\n"),
        ("--hold=-1", "argument --hold: -1 is no number of seconds, 0 or more\n"),
    ],
)
def test_the_exit_status_of_an_option_that_cannot_be(
    tmp_path: Path, option: str, told: str
) -> None:
    (tmp_path / "shop.yaml").touch()
    run = start(tmp_path, CONFTEST.replace("{answer}", "by_the_book"), options=[option])
    out, _ = run.communicate(timeout=60)
    assert run.returncode == Exit.USAGE, out
    assert told in out


def test_results_may_go_to_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to("/dev/null")
    conftest = CONFTEST.replace("{answer}", "by_the_book")
    run = start(tmp_path, conftest, options=["--results=nowhere"])
    out, _ = run.communicate(timeout=60)
    assert run.returncode == Exit.OK, out
    assert (tmp_path / "nowhere").is_symlink()


def test_the_exit_status_of_an_invalid_file(tmp_path: Path) -> None:
    conftest = CONFTEST.replace("{answer}", "by_the_book")
    run = start(tmp_path, conftest, SCENARIO.replace("why:", "wy:"))
    out, _ = run.communicate(timeout=60)
    assert run.returncode == Exit.INVALID, out


SLOW = """\
import pathlib, time
from tests import fakes

class Slow(fakes.FakeCluster):
    def sync(self, state):
        pathlib.Path("began").touch()
        time.sleep(30)
    def close(self):
        pathlib.Path("closed").touch()
        return ()

def pytest_netpol_make_cluster(config, worker):
    return Slow()
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, 143)]
)
def test_a_signal_closes_the_cluster(tmp_path: Path, number: signal.Signals, status: int) -> None:
    run = start(tmp_path, SLOW)
    deadline = time.monotonic() + 30
    while not (tmp_path / "began").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(number)
    out, _ = run.communicate(timeout=30)
    assert run.returncode == status, out
    assert (tmp_path / "closed").exists()
