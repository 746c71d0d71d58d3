"""Where a verb gets its application: one way at a time."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from harness.cli import Exit, main
from tests.applications import deny, service

NEEDED = "files or folders with manifests, or --context NAME for a cluster"


@pytest.mark.parametrize("verb", [["matrix"], ["lint"], ["import", "-o", "tests"]])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], f"no application was named\nhint: {NEEDED}\n"),
        (
            ["k8s/", "--context=prod"],
            "--context reads a cluster, so k8s/ cannot be read too\n"
            "hint: leave out the paths, or --context\n",
        ),
        (
            ["k8s/", "--kubeconfig=x"],
            "--kubeconfig needs --context\nhint: --context NAME reads a cluster\n",
        ),
    ],
)
def test_no_application_or_two(
    verb: list[str], words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb, *words]) == Exit.USAGE
    assert capsys.readouterr().err == said


def test_a_cluster_has_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--context=prod", "--format=sarif"]) == Exit.USAGE
    assert capsys.readouterr().err == (
        "--format=sarif names lines of files, and a cluster has none\n"
        "hint: --format=json, or lint the manifests\n"
    )


SNAPSHOT = """\
scenario: S
why: W.
snapshot: 2026-01-31
manifests: [k8s]
steps: [{step: one, expect: allowed}]
"""


@pytest.mark.parametrize(
    ("verb", "into"),
    [
        (["matrix", "k8s"], "| netpol matrix -"),
        (["lint", "k8s"], "| netpol lint -"),
        (["diff", "k8s", "other dir"], "| netpol diff - 'other dir'"),
        (["diff", "other dir", "k8s"], "| netpol diff 'other dir' -"),
        (["diff", "k8s", "-"], "> rendered.yaml"),
        (["diff", ".", ".", "--path=k8s"], "> rendered.yaml"),
        (["import", "k8s", "-o", "tests"], "> rendered.yaml"),
        (["snapshot", "s.yaml"], "> rendered.yaml"),
        (["check", "s.yaml"], "> rendered.yaml"),
    ],
)
def test_what_renders_manifests_leads_to_the_verb_that_runs(
    verb: list[str],
    into: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(deny("x").encode())))
    for folder, port in (("base", 80), ("prod", 81)):
        Path("k8s", folder).mkdir(parents=True)
        Path("k8s", folder, "web.yaml").write_text(service("web", port), "utf-8")
    Path("k8s/prod/kustomization.yaml").write_text("resources: [../base]\n", "utf-8")
    Path("other dir").mkdir()
    Path("other dir/x.yaml").write_text(deny("x"), "utf-8")
    Path("s.yaml").write_text(SNAPSHOT, "utf-8")
    assert main(verb) == Exit.INVALID
    assert f"render a kustomization: `kubectl kustomize k8s/prod {into}`;" in (
        capsys.readouterr().err
    )
