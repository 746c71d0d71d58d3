"""The gate as a Job: its manifest, its image, and what they promise."""

from __future__ import annotations

import json
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
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def pod_of_the_job() -> dict[str, Any]:
    text = (ROOT / "docs" / "gate.yaml").read_text(encoding="utf-8")
    (job,) = [item for item in yaml.safe_load_all(text) if item["kind"] == "Job"]
    assert job["spec"]["backoffLimit"] == 0
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    return pod


def test_the_job_runs_as_nobody_on_a_file_system_that_is_read_only() -> None:
    pod = pod_of_the_job()
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"] is True
    (user,) = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user == (
        str(pod["securityContext"]["runAsUser"]),
        str(pod["securityContext"]["runAsGroup"]),
    )
    assert [item["mountPath"] for item in container["volumeMounts"]] == ["/tmp"]  # noqa: S108


def test_the_words_of_the_job_are_options_of_the_gate() -> None:
    pod = pod_of_the_job()
    parsed = parser().parse_args(pod["containers"][0]["args"])
    assert (parsed.verb, parsed.netpol_cluster, parsed.netpol_context) == (
        "gate",
        "current",
        "in-cluster",
    )


def test_the_base_image_is_pinned_by_digest() -> None:
    (base,) = re.findall(r"^ARG BASE=(.*)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"[a-z./]+/python:3\.\d+-slim@sha256:[0-9a-f]{64}", base)


def test_the_image_gets_what_the_build_reads_and_no_more() -> None:
    text = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    given = set(re.findall(r"^!(.*)$", text, re.MULTILINE))
    lines = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY ")]
    assert {word for line in lines for word in line if not word.startswith(("-", "/"))} == given


@pytest.mark.parametrize(("ci", "outcome"), [("true", "1 error"), ("", "1 skipped")])
def test_without_the_image_its_tests_on_a_real_cluster_fail_in_ci_and_skip_elsewhere(
    ci: str, outcome: str, tmp_path: Path
) -> None:
    mark = json.dumps({"data": {"cni": "calico", "version": "v3.31.0", "waits": ""}})
    stubs = {"kind": "echo netpol", "docker": f"[ $1 != image ] || exit 1; echo '{mark}'"}
    for name, script in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o700)
    environment = {"PATH": f"{tmp_path}:{os.defpath}", "CI": ci, "XDG_CACHE_HOME": str(tmp_path)}
    own = tmp_path / "netpol" / "clusters" / "netpol" / "kubeconfig"
    own.parent.mkdir(parents=True)
    own.touch()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"),
            "tests/real/test_gate.py",
            *("-k", "may_not_run_commands"),
        ],
        env={**os.environ, **environment, "NETPOL_KIND": "1", "NETPOL_KIND_NAME": "netpol"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "there is no image netpol:local: `make image` builds it" in done.stdout
    assert outcome in done.stdout.splitlines()[-1]


def test_make_image_tells_the_build_how_pip_finds_packages(tmp_path: Path) -> None:
    stubs = {
        "docker": 'for word; do echo "$word"; done',
        "python": "case $5 in *.trusted-host) echo mirror.invalid;; *.no-index) echo 1;; esac",
    }
    for name, script in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o700)
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PIP_"))
    }
    done = subprocess.run(
        ["make", "image", "BASE=base:local", f"PYTHON={tmp_path}/python"],
        env={
            **inherited,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PIP_INDEX_URL": "https://index.invalid/simple",
            "PIP_FIND_LINKS": "https://a.invalid https://b.invalid",
            "PIP_NO_INDEX": "",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        "build",
        "--tag",
        "netpol:local",
        "--build-arg=BASE=base:local",
        "--build-arg=PIP_INDEX_URL=https://index.invalid/simple",
        "--build-arg=PIP_FIND_LINKS=https://a.invalid https://b.invalid",
        "--build-arg=PIP_TRUSTED_HOST=mirror.invalid",
        ".",
    ]


def test_every_variable_of_pip_that_make_image_hands_on_is_an_argument_of_the_build() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (names,) = re.findall(r"^PIP_VARIABLES := (.*)$", makefile, re.MULTILINE)
    assert names.split() == re.findall(r"^ARG (PIP_\w+)$", DOCKERFILE, re.MULTILINE)
