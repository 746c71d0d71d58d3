"""What people see in a terminal while a run goes on."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.plugin.conftest import CONFTEST, PLUGINS, SCENARIO
from tests.screen import Screen

ROOT = Path(__file__).parents[2]
WIDTH = 64
NETPOL = ["run", "--no-tables", "scenarios"]
LINES = """\
[1/3] passed      ...p.yaml::nothing is restricted yet
[2/3] passed      ...::the database takes the frontend
[3/3] passed      scenarios/shop.yaml::nobody is left"""


def in_a_terminal(
    folder: Path,
    python: str,
    program: str,
    environment: Mapping[str, str],
    width: int = WIDTH,
    scenario: str = SCENARIO,
) -> str:
    """Run a program of Python in a terminal, and return everything that it writes."""
    (folder / "scenarios").mkdir()
    (folder / "scenarios" / "shop.yaml").write_text(scenario, encoding="utf-8")
    conftest = CONFTEST.replace("{answer}", "by_the_book")
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    kept = {key: os.environ[key] for key in os.environ if key not in {"COLUMNS", "NO_COLOR"}}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with subprocess.Popen(
        [python, "-u", "-c", program],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        written = b""
        while part := _read(ours):
            written += part
    os.close(ours)
    return written.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux: the other side is closed.
        return b""


def seen(written: str, width: int = WIDTH) -> str:
    screen = Screen(width)
    screen.write(written)
    return re.sub(r"\d\.\d\d ?s", "N s", screen.text())


def test_a_step_has_a_progress_line_and_then_a_line(tmp_path: Path, worker_python: str) -> None:
    program = f"from harness.cli import main; main({NETPOL})"
    written = in_a_terminal(tmp_path, worker_python, program, {"NO_COLOR": "1"}, 54)
    parts = written.split("\r")
    assert "settling, round 1, 0 of 2 cells right, 0 s left\x1b[K" in parts
    assert "confirming, round 2, 2 of 2 cells right, 0 s left\x1b[K" in parts
    assert "\x1b[3" not in written
    assert seen(written, 54) == (
        f"{LINES}\n\n"
        "=================== NetworkPolicy ====================\n"
        "6 of 6 cells proven, in 3 steps of 1 scenario on fake\n"
        "3 passed in N s"
    )


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {}], ids=["dumb", "quiet"])
def test_there_is_no_progress_line(
    tmp_path: Path, worker_python: str, environment: dict[str, str]
) -> None:
    words = NETPOL if environment else [*NETPOL, "-q"]
    program = f"from harness.cli import main; main({words})"
    written = in_a_terminal(tmp_path, worker_python, program, environment, 54)
    assert "\x1b[K" not in written
    assert seen(written, 54).startswith(f"{LINES}\n" if environment else "...")


def test_pytest_prints_as_if_there_were_no_progress_line(
    tmp_path: Path, worker_python: str
) -> None:
    program = f"import pytest; pytest.main({[*PLUGINS, '--no-header', 'scenarios']})"
    written = in_a_terminal(tmp_path, worker_python, program, {})
    assert "settling, round 1, 0 of 2 cells right, 0 s left" in written
    assert "\x1b[32m.\x1b[0m" in written
    assert seen(written).splitlines()[:-1] == [
        "===================== test session starts ======================",
        "collected 3 items",
        "",
        "scenarios/shop.yaml ...                                  [100%]",
        "======================== NetworkPolicy =========================",
        "6 of 6 cells proven, in 3 steps of 1 scenario on fake",
        "",
    ]


def test_with_workers_each_step_has_a_line_and_no_progress(
    tmp_path: Path, worker_python: str
) -> None:
    words = [*NETPOL, "-n", "1"]
    program = f"import sys; sys.executable = {worker_python!r}\n"
    program += f"from harness.cli import main; main({words})"
    written = in_a_terminal(tmp_path, worker_python, program, {}, 54)
    assert "\x1b[K" not in written
    assert f"\n{LINES}\n" in seen(written, 54)


def test_workers_spell_options_as_the_command_that_started_them(
    tmp_path: Path, worker_python: str
) -> None:
    words = [*NETPOL, "-n", "1"]
    program = f"import sys; sys.executable = {worker_python!r}\n"
    program += f"from harness.cli import main; main({words})"
    scenario = SCENARIO.replace("topology:", "needs: [scale]\ntopology:")
    written = in_a_terminal(tmp_path, worker_python, program, {}, 200, scenario)
    assert "runs only with --include=scale" in written
