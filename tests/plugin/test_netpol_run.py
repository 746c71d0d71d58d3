"""`netpol run`: what its exit status means, and what a signal leaves.

It runs in a process of its own where that makes a difference, else in that of the test.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from harness.cli import Exit, main
from tests.plugin.conftest import CONFTEST, LACKING, SCENARIO, leaking, write

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]


RunHere = Callable[..., tuple[int, str]]


@pytest.fixture
def run_here(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> RunHere:
    """Run `netpol run` in this process, in the folder of ``pytester``.

    It gives the exit status, and what was printed.
    """
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    def run(
        conftest: str, scenario: str = SCENARIO, options: Sequence[str] = ()
    ) -> tuple[int, str]:
        write(pytester, "scenarios/shop.yaml", scenario)
        write(pytester, "conftest.py", conftest)
        try:
            status = main(["run", "scenarios", *options])
        except SystemExit as error:  # of argparse
            status = int(error.code or 0)
        out, err = capfd.readouterr()
        return status, out + err

    return run


def start(
    folder: Path,
    conftest: str,
    scenario: str = SCENARIO,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    file_size: int | None = None,
) -> subprocess.Popen[str]:
    """Start `netpol run`; no file of it may be larger than ``file_size`` bytes."""

    def prepare() -> None:
        # Whoever runs us in the background may have us ignore it, and a child inherits that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    inherited = dict(os.environ)
    if file_size is not None:  # coverage.py, which `make cover` starts, could write no file either
        inherited = {k: v for k, v in inherited.items() if not k.startswith("COVERAGE_")}
    (folder / "scenarios").mkdir()
    (folder / "scenarios" / "shop.yaml").write_text(scenario, encoding="utf-8")
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "run", "scenarios", *options],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=prepare,
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


def test_each_step_has_a_line_with_more_on_request(run_here: RunHere) -> None:
    conftest = CONFTEST.replace("{answer}", "allows_all")
    _, out = run_here(conftest, options=["--no-tables", "-v"])
    lines = re.sub(r"\d\.\d+ s", "N s", out).partition("[1/3]")[2].splitlines()
    assert [f"[1/3]{lines[0]}", *lines[1:6]] == [
        "[1/3] passed          2/2 cells     N s  scenarios/shop.yaml::nothing is restricted yet",
        "      2 of 2 cells proven, 2 full rounds, time-to-allow N s",
        "[2/3] wrong           1/2 cells     N s  "
        "scenarios/shop.yaml::the database takes the frontend",
        "      2 cells: 1 proven, 1 wrong, 1 full round, time-to-deny N s, time-to-allow N s",
        "[3/3] wrong           0/2 cells     N s  scenarios/shop.yaml::nobody is left",
        "      2 cells: 2 wrong, 1 full round, time-to-deny N s",
    ]
    assert "::nothing is restricted yet: passed" not in out  # not once more in the summary
    _, out = run_here(conftest, options=["--no-tables", "-q"])
    assert "[1/3]" not in out
    assert out.startswith(".FF\n")


def test_the_exit_status_of_wrong_cells_with_workers_that_stop_at_once(tmp_path: Path) -> None:
    conftest = CONFTEST.replace("{answer}", "allows_all")
    run = start(tmp_path, conftest, options=["-n", "2", "-x"])
    out, _ = run.communicate(timeout=120)
    assert run.returncode == Exit.WRONG, out


@pytest.mark.parametrize(
    ("options", "status"), [([], Exit.NO_VERDICT), (["--allow-empty"], Exit.OK)]
)
def test_the_exit_status_of_a_run_without_any_cell(
    run_here: RunHere, options: list[str], status: Exit
) -> None:
    code, out = run_here(LACKING.replace("{answer}", "by_the_book"), options=options)
    assert code == status, out
    assert ("no cell was measured, so this run proves nothing" in out) is (not options)


@pytest.mark.parametrize(
    ("answer", "status"), [("by_the_book", Exit.USAGE), ("allows_all", Exit.WRONG)]
)
def test_results_that_do_not_fit_on_the_disk(tmp_path: Path, answer: str, status: Exit) -> None:
    conftest = CONFTEST.replace("{answer}", answer)
    run = start(tmp_path, conftest, options=["--results=out.json"], file_size=100)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == status, out
    assert out.endswith("--results=out.json: File too large; no results were written\n")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["conftest.py"]


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["ascii", "C"],
)
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_locale_without_the_characters_of_a_scenario(
    tmp_path: Path, environment: dict[str, str], workers: str
) -> None:
    scenario = SCENARIO.replace("nobody is left", "niemand bleibt übrig, 誰も")
    conftest = CONFTEST.replace("{answer}", "allows_all")
    options = ["-n", workers, "--results=out.json"]
    run = start(tmp_path, conftest, scenario, options, environment)
    out, _ = run.communicate(timeout=120)
    assert run.returncode == Exit.WRONG, out
    assert "niemand bleibt" in out
    assert "Traceback" not in out
    assert "übrig, 誰も" in (tmp_path / "out.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(("word", "status"), [("ALLOWED", Exit.OK), ("TIMEOUT", Exit.WRONG)])
def test_the_exit_status_with_a_known_limitation(
    run_here: RunHere, word: str, status: Exit
) -> None:
    code, out = run_here(leaking(word))
    assert code == status, out


def test_the_exit_status_where_the_cluster_does_not_enforce(run_here: RunHere) -> None:
    conftest = CONFTEST.replace("{answer}", "enforces_nothing")
    code, out = run_here(conftest.replace('state.scope == "canary"', "False"))
    assert code == Exit.NO_VERDICT, out
    assert "ERROR: cluster fake does not enforce NetworkPolicy" in out


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--results=shop.yaml/out.json", "ERROR: --results=shop.yaml/out.json: File exists\n"),
        ("--results=scenarios", "ERROR: --results=scenarios: Is a directory\n"),
        ("--settle=soon", "argument --settle: soon is not a number of seconds, 0 or more\n"),
        ("--hold=-1", "argument --hold: -1 is not a number of seconds, 0 or more\n"),
    ],
)
def test_the_exit_status_of_an_option_that_cannot_be(
    pytester: pytest.Pytester, run_here: RunHere, option: str, told: str
) -> None:
    (pytester.path / "shop.yaml").touch()
    code, out = run_here(CONFTEST.replace("{answer}", "by_the_book"), options=[option])
    assert code == Exit.USAGE, out
    assert told in out


def test_results_may_go_to_what_is_no_file(pytester: pytest.Pytester, run_here: RunHere) -> None:
    (pytester.path / "nowhere").symlink_to("/dev/null")
    conftest = CONFTEST.replace("{answer}", "by_the_book")
    code, out = run_here(conftest, options=["--results=nowhere"])
    assert code == Exit.OK, out
    assert (pytester.path / "nowhere").is_symlink()


def test_the_exit_status_of_an_invalid_file(run_here: RunHere) -> None:
    conftest = CONFTEST.replace("{answer}", "by_the_book")
    code, out = run_here(conftest, SCENARIO.replace("why:", "wy:"))
    assert code == Exit.INVALID, out


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
