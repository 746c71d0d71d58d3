"""What must be true before a tag is published."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]

CHANGELOG = """# Changelog

## [Unreleased]

- not yet

## [1.2.0] - 2026-11-28

### Added

- a thing

## [1.1.0] - 2026-10-01

- the thing before

## [1.0.0] - 2026-09-01

"""


def notes(folder: Path, tag: str, version: str) -> subprocess.CompletedProcess[str]:
    (folder / "harness").mkdir()
    (folder / "harness" / "__init__.py").write_text(f'VERSION = "{version}"\n')
    (folder / "CHANGELOG.md").write_text(CHANGELOG)
    return subprocess.run(
        [sys.executable, ROOT / ".ci" / "release_notes.py", tag],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("version", "text"),
    [("1.2.0", "### Added\n\n- a thing\n"), ("1.1.0", "- the thing before\n")],
)
def test_the_notes_of_a_release_are_its_section(tmp_path: Path, version: str, text: str) -> None:
    done = notes(tmp_path, f"v{version}", version)
    assert (done.returncode, done.stdout, done.stderr) == (0, text, "")


@pytest.mark.parametrize(
    ("tag", "version", "message"),
    [
        (
            "v1.2.0",
            "1.1.0",
            "the tag is v1.2.0, and harness/__init__.py has 1.1.0\n"
            "hint: tag the commit that sets the version; the tag of 1.1.0 is v1.1.0\n",
        ),
        (
            "1.2.0",
            "1.2.0",
            "the tag is 1.2.0, and harness/__init__.py has 1.2.0\n"
            "hint: tag the commit that sets the version; the tag of 1.2.0 is v1.2.0\n",
        ),
        (
            "v1.3.0",
            "1.3.0",
            "CHANGELOG.md says nothing about 1.3.0\n"
            "hint: move what is under [Unreleased] to a section '## [1.3.0] - YYYY-MM-DD'\n",
        ),
        (
            "v1.0.0",
            "1.0.0",
            "CHANGELOG.md says nothing about 1.0.0\n"
            "hint: move what is under [Unreleased] to a section '## [1.0.0] - YYYY-MM-DD'\n",
        ),
    ],
    ids=["other version", "no v", "no section", "empty section"],
)
def test_a_tag_that_is_not_ready_is_refused(
    tmp_path: Path, tag: str, version: str, message: str
) -> None:
    done = notes(tmp_path, tag, version)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)


def test_netpol_prints_the_version_of_the_project() -> None:
    words = [sys.executable, "-m", "harness.cli", "version"]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert printed == f"netpol {metadata.version('netpol-harness')}\n"


@pytest.mark.parametrize("name", ["ci", "nightly", "release"])
def test_every_action_is_pinned_by_commit(name: str) -> None:
    text = (ROOT / ".github" / "workflows" / f"{name}.yaml").read_text(encoding="utf-8")
    used = re.findall(r"uses: (.*)", text)
    assert used
    assert [
        item for item in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", item)
    ] == []


def test_all_green_waits_for_every_job() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yaml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert sorted(jobs["all-green"]["needs"]) == sorted(set(jobs) - {"all-green"})
