"""What the documents print is what netpol prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.documents import CELL

ROOT = Path(__file__).parents[2]


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the scenario of the README and its policy."""
    scenario, policy = blocks("README.md", "yaml")
    (tmp_path / "scenarios" / "policies").mkdir(parents=True)
    (tmp_path / "scenarios" / "only-app1.yaml").write_text(scenario, encoding="utf-8")
    path = tmp_path / "scenarios" / "policies" / "db-from-app1.yaml"
    path.write_text(policy, encoding="utf-8")
    return tmp_path


def printed(block: str, cwd: Path) -> tuple[str, str]:
    """Return what a block says that a command prints, and what it does print."""
    command, said = block.split("\n", 1)
    words = command.removeprefix("$ netpol ").split()
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return without_times(said), without_times(done.stdout)


def without_times(text: str) -> str:
    """Return a text without times, and without the addresses that a kernel may not have."""
    text = re.sub(r", fd64::\w+", "", text)
    return re.sub(r"\d+\.\d+ s\b|\d+ full rounds?", "TIME", text)


@pytest.mark.usefixtures("available")
def test_the_readme_prints_what_a_run_prints(folder: Path) -> None:
    run, _ = blocks("README.md", "console")
    said, done = printed(run, folder)
    assert said in done


def test_the_readme_explains_what_netpol_explains(folder: Path) -> None:
    _, explain = blocks("README.md", "console")
    policy = folder / "scenarios" / "policies" / "db-from-app1.yaml"
    text = policy.read_text(encoding="utf-8")
    policy.write_text(text.replace("app: postgres", "app: postgresql"), encoding="utf-8")
    said, done = printed(explain, folder)
    assert said == done


@pytest.mark.usefixtures("available")
def test_the_failure_in_the_documents_is_what_a_defect_gives(folder: Path) -> None:
    (failure,) = blocks(CELL, "console")
    said, done = printed(failure, folder)
    assert said in done
