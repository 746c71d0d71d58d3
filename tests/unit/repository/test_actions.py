"""The action for other repositories: its inputs, its script, and the workflow in the documents."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli.parser import parser

ROOT = Path(__file__).parents[3]
ACTION: dict[str, Any] = yaml.safe_load(
    (ROOT / ".github" / "actions" / "diff" / "action.yml").read_text(encoding="utf-8")
)
CI = (ROOT / ".github" / "workflows" / "ci.yaml").read_text(encoding="utf-8")
DOCUMENT = (ROOT / "docs" / "difference.md").read_text(encoding="utf-8")
OF_THE_RESULT = {"comment", "fail-on-change", "token"}
NOT_AN_INPUT = {"help", "format", "packets", "defect"}
"""It is always Markdown; packets need nft, and user namespaces that runners restrict."""


def options() -> set[str]:
    """The options of ``netpol diff`` by their long names, and its two versions."""
    (verbs,) = (item for item in parser()._actions if isinstance(item, argparse._SubParsersAction))
    found = set()
    for action in verbs.choices["diff"]._actions:
        long = [name.removeprefix("--") for name in action.option_strings if name[:2] == "--"]
        found |= {*(long or [action.dest])}
    return found


def test_an_input_for_each_option_of_the_verb() -> None:
    assert set(ACTION["inputs"]) - OF_THE_RESULT == options() - NOT_AN_INPUT


def test_the_document_has_every_input_and_output() -> None:
    for kind, column in (("inputs", "input"), ("outputs", "output")):
        table = DOCUMENT.split(f"\n| {column} | ")[1].split("\n\n")[0]
        listed = re.findall(
            r"`([\w-]+)`", " ".join(re.findall(r"^\|(.*?) \|", table, re.MULTILINE))
        )
        assert sorted(listed) == sorted(ACTION[kind])


def test_the_workflow_of_the_document_uses_the_action_and_its_inputs() -> None:
    (text,) = re.findall(r"```yaml\n(name: connections\n.*?)```", DOCUMENT, re.DOTALL)
    steps = yaml.safe_load(text)["jobs"]["diff"]["steps"]
    assert set(steps[1]["with"]) <= set(ACTION["inputs"])
    assert steps[1]["uses"].split("@")[0].endswith("/.github/actions/diff")
    assert f"uses: {steps[0]['uses']} #" in CI


def test_actions_are_pinned_to_the_versions_of_the_workflows() -> None:
    used = [step["uses"] for step in ACTION["runs"]["steps"] if "uses" in step]
    assert [re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name) is not None for name in used] == [
        True
    ]
    assert all(f"uses: {name} #" in CI for name in used)


def test_no_script_has_an_expression() -> None:
    """A value that somebody else chose would become a part of the script."""
    scripts = [step["run"] for step in ACTION["runs"]["steps"] if "run" in step]
    assert len(scripts) == 4
    assert [script for script in scripts if "${{" in script] == []


# ------------------------------------------------------------------ the script

POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}}
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: c, ports: [{containerPort: 80}]}]}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose last commit adds a policy."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "k8s").mkdir()
    for name, text in (("pod", POD), ("policy", POLICY)):
        (tmp_path / "k8s" / f"{name}.yaml").write_text(text)
        subprocess.run([*git, "add", "k8s"], cwd=tmp_path, check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", name], cwd=tmp_path, check=True)
    return tmp_path


def run(repository: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run the step that compares, as the runner does; return the folder of its files."""
    (step,) = (step for step in ACTION["runs"]["steps"] if step.get("id") == "diff")
    files = repository / "runner"
    files.mkdir()
    words = dict.fromkeys(step["env"], "") | {
        "NETPOL": f"{Path(sys.executable).parent}/netpol",
        "OLD": ACTION["inputs"]["old"]["default"],
        "NEW": ACTION["inputs"]["new"]["default"],
        "DEFAULT_NAMESPACE": ACTION["inputs"]["default-namespace"]["default"],
        "RUNNER_TEMP": str(files),
        "GITHUB_STEP_SUMMARY": str(files / "summary"),
        "GITHUB_OUTPUT": str(files / "output"),
    }
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
        cwd=repository,
        env=os.environ | words | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, files


def test_the_script_compares_the_base_of_a_pull_request(repository: Path) -> None:
    done, files = run(repository, PATHS="k8s\n", SOURCES="outside\n")
    assert (done.returncode, done.stderr) == (0, "")
    markdown = (files / "netpol-diff.md").read_text(encoding="utf-8")
    assert markdown.startswith("### Connections: HEAD^1 → HEAD\n\n**3 closed, ")
    assert (files / "summary").read_text(encoding="utf-8") == markdown
    output = (files / "output").read_text(encoding="utf-8")
    assert output == f"changed=true\nmarkdown={files}/netpol-diff.md\n"


def test_the_script_without_a_change(repository: Path) -> None:
    done, files = run(repository, OLD="HEAD", PATHS="k8s")
    assert (done.returncode, done.stderr) == (0, "")
    assert (files / "output").read_text(encoding="utf-8").startswith("changed=false\n")


def test_the_script_with_a_value_that_looks_like_an_option(repository: Path) -> None:
    done, files = run(repository, OLD="--help", PATHS="--version")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "'--help:--version' is no file, and has no git revision before the colon\n"
        "hint: files of a revision are written HEAD~1:k8s\n"
    )
    assert not (files / "output").exists()


# ------------------------------------------------------------------ the comment

GH = """\
#!/bin/sh
for word; do printf '%s ' "$word"; done >> asked
echo >> asked
case "$*" in *--paginate*) cat ids;; esac
for word; do case "$word" in body=@*) cat "${word#body=@}" > body;; esac; done
"""


@pytest.mark.parametrize(
    ("ids", "asked"),
    [
        ("", "api --silent --method POST repos/a/b/issues/7/comments -F "),
        ("11\n12\n", "api --silent --method PATCH repos/a/b/issues/comments/12 -F "),
    ],
    ids=["the first", "over the last"],
)
def test_the_comment_is_written_over_the_last_one(ids: str, asked: str, tmp_path: Path) -> None:
    (step,) = (step for step in ACTION["runs"]["steps"] if step.get("name") == "comment")
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "ids").write_text(ids)
    (tmp_path / "made.md").write_text("### Connections\n")
    words = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_REPOSITORY": "a/b",
        "NUMBER": "7",
        "MARKDOWN": str(tmp_path / "made.md"),
    }
    subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env=os.environ | words,
        check=True,
    )
    listed, written = (tmp_path / "asked").read_text().splitlines()
    assert listed.startswith("api repos/a/b/issues/7/comments --paginate --jq ")
    assert written.startswith(asked)
    assert (tmp_path / "body").read_text() == "<!-- netpol diff -->\n### Connections\n"
