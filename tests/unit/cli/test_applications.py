"""Where a verb gets its application: one way at a time."""

from __future__ import annotations

import pytest

from harness.cli import Exit, main

NEEDED = "files or folders with manifests, or --context NAME for a cluster"


@pytest.mark.parametrize("verb", ["matrix", "lint"])
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
    verb: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, *words]) == Exit.USAGE
    assert capsys.readouterr().err == said


def test_a_cluster_has_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--context=prod", "--format=sarif"]) == Exit.USAGE
    assert capsys.readouterr().err == (
        "--format=sarif names lines of files, and a cluster has none\n"
        "hint: --format=json, or lint the manifests\n"
    )
