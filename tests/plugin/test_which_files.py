"""`netpol check`, `netpol run` and pytest see the same scenario files in a folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import scenario
from harness.cli import Exit, main
from harness.plugin import collection
from tests.plugin.conftest import SCENARIO, RunScenarios, section, write

pytest_plugins = ["pytester"]

SCENARIOS = (
    "scenarios/CVS/cvs.yaml",
    "scenarios/_darcs/darcs.yaml",
    "scenarios/a.yaml",
    "scenarios/b.yml",
    "scenarios/build/build.yaml",
    "scenarios/c.YAML",
    "scenarios/d.Yml",
    "scenarios/dist/deep/dist.yaml",
    "scenarios/folder.yaml/inside.yaml",
    "scenarios/lib.egg/egg.yaml",
    "scenarios/node_modules/node.yaml",
    "scenarios/shared/linked.yaml",
    "scenarios/venv/venv.yaml",
)
OTHERS = (
    ".hidden/e.yaml",
    ".hidden.yaml",
    "__pycache__/f.yaml",
    "build/policies/g.yaml",
    "fixtures/h.yml",
    "manifests/k.yaml",
    "environment/i.yaml",
    "notes.txt",
    "policies/deep/j.yaml",
)


@pytest.fixture
def tree(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a scenario of each shape, and with files that are none."""
    for name in SCENARIOS:
        write(pytester, name.replace("scenarios/shared", "elsewhere"), SCENARIO)
    for name in OTHERS:
        write(pytester, f"scenarios/{name}", "this: is no scenario\n")
    write(pytester, "scenarios/environment/pyvenv.cfg", "")
    (pytester.path / "scenarios" / "shared").symlink_to("../elsewhere")
    (pytester.path / "scenarios" / "build" / "loop").symlink_to("..")
    monkeypatch.chdir(pytester.path)
    return pytester.path


def collected(text: str) -> list[str]:
    return sorted(set(re.findall(r"^(scenarios/\S+?)(?:::|: valid)", text, re.MULTILINE)))


def test_every_way_to_read_a_folder_sees_the_same_files(
    tree: Path, run_scenarios: RunScenarios, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [str(path) for path in scenario.find(Path("scenarios"))] == list(SCENARIOS)
    capsys.readouterr()
    assert main(["check", "scenarios"]) == Exit.OK
    assert collected(capsys.readouterr().out) == list(SCENARIOS)
    run = [sys.executable, "-m", "harness.cli", "run", "scenarios", "--collect-only"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == Exit.OK
    assert collected(done.stdout) == list(SCENARIOS)
    for words in (["scenarios"], ["."], []):
        result = run_scenarios(*words, "--collect-only", "-q")
        assert collected(result.stdout.str()) == list(SCENARIOS), words


def test_workers_see_them_too(tree: Path, run_scenarios: RunScenarios) -> None:
    run_scenarios("scenarios", "-n", "1").assert_outcomes(passed=3 * len(SCENARIOS))


@pytest.mark.parametrize(
    ("words", "conftest"),
    [
        (["--ignore=scenarios/build"], ""),
        (["--ignore-glob=*/build"], ""),
        (["-o", "norecursedirs=build"], ""),
        ([], "collect_ignore = ['build']\n"),
        ([], "collect_ignore_glob = ['b*d']\n"),
    ],
)
def test_what_the_user_ignores_stays_ignored(
    pytester: pytest.Pytester, run_scenarios: RunScenarios, words: list[str], conftest: str
) -> None:
    write(pytester, "scenarios/build/a.yaml", SCENARIO)
    write(pytester, "scenarios/dist/b.yaml", SCENARIO)
    write(pytester, "scenarios/conftest.py", conftest)
    result = run_scenarios("scenarios", "--collect-only", "-q", *words)
    assert collected(result.stdout.str()) == ["scenarios/dist/b.yaml"]


def test_a_hidden_file_that_is_named_is_an_error(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    write(pytester, "scenarios/.draft.yaml", SCENARIO)
    result = run_scenarios("scenarios/.draft.yaml")
    result.assert_outcomes(errors=1)
    assert section(result, "ERRORS") == (
        "[ERROR collecting scenarios/.draft.yaml]\n"
        "scenarios/.draft.yaml:1:1: the file's name '.draft.yaml' cannot be a part of "
        "a namespace's name\n"
        "hint: rename it to draft.yaml"
    )


def test_a_link_that_leads_nowhere_is_named(
    pytester: pytest.Pytester,
    run_scenarios: RunScenarios,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(pytester, "scenarios/a.yaml", SCENARIO)
    (pytester.path / "scenarios" / "lost.yaml").symlink_to("nowhere.yaml")
    os.mkfifo(pytester.path / "scenarios" / "pipe.yaml")
    monkeypatch.chdir(pytester.path)
    assert main(["check", "scenarios"]) == Exit.INVALID
    told = capsys.readouterr().err
    assert "scenarios/lost.yaml" in told
    assert "scenarios/pipe.yaml" in told
    result = run_scenarios("scenarios")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines[:2] == [
        "ERROR: scenarios/lost.yaml: not a regular file, so it cannot be a scenario",
        "hint: remove it or rename it",
    ]


def test_the_folders_that_pytest_passes_over_are_known(pytester: pytest.Pytester) -> None:
    config = pytester.parseconfig("-c", os.devnull)
    assert set(config.getini("norecursedirs")) == collection.IGNORED_BY_PYTEST
