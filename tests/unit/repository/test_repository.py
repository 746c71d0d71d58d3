"""What the repository promises outside its code: targets, links, claims, imports."""

from __future__ import annotations

import itertools
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import harness
from harness import catalogue
from harness.choice import CLUSTER_OPTIONS, RUN_OPTIONS
from harness.cluster.kind import binary, manifest
from harness.cluster.kind.installation import installation
from harness.cluster.kube import AGNHOST_IMAGE
from harness.cluster.profiles import profile
from harness.model import Verdict
from harness.scenario import examine, find, load, read

ROOT = Path(__file__).parents[3]
CLAIMS = ROOT / "docs" / "claims"


def make(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *words],
        cwd=ROOT,
        env=inherited | environment,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


# ------------------------------------------------------------------ make


def test_make_alone_lists_the_targets() -> None:
    done = make()
    assert done.returncode == 0
    listed = set(re.findall(r"^  ([a-z0-9-]+) +\S", done.stdout, re.MULTILINE))
    assert {"help", "setup", "check", "test", "e2e", "bench", "clean", "lint-workflows"} <= listed
    assert done.stdout == make("help").stdout


def test_variables_of_the_help_are_those_of_the_makefile() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    settable = set(re.findall(r"^([A-Z]+) +\?=", text, re.MULTILINE))
    explained = set(re.findall(r'@echo "  ([A-Z][A-Z, ]*?)(?:=|  )', text))
    assert {word for group in explained for word in group.split(", ")} == settable


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (("ARGS=--netpol-canary=off",), {}),
        (("ARGS=-k x --netpol-canary off",), {}),
        ((), {"PYTEST_ADDOPTS": "--netpol-canary=off"}),
    ],
)
def test_make_e2e_does_not_run_without_the_canary(
    words: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    done = make("e2e", f"VENV={tmp_path}/not-made", *words, **environment)
    assert done.returncode == 2
    assert "make e2e does not run without the canary" in done.stdout
    assert not list(tmp_path.iterdir()), "refused before anything is installed"


def test_an_old_python_is_refused_with_a_hint(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2 || exit 1\n')
    old.chmod(0o755)
    done = make("setup", f"VENV={tmp_path}/not-made", f"PYTHON={old}")
    assert done.returncode == 2
    assert done.stdout.splitlines()[:2] == [
        f"Python 3.11 or newer is needed, {old} is Python 3.9.2",
        "hint: make PYTHON=python3.12 ...",
    ]


APT_GET = '#!/bin/sh\necho "apt-get $*" >> "${0%/*}/asked"\n'


@pytest.mark.parametrize(
    ("words", "user", "asked"),
    [((), 0, True), (("INSTALL=no",), 0, False), ((), 1000, False)],
    ids=["root", "INSTALL=no", "a user"],
)
def test_nft_is_installed_for_root_unless_told_otherwise(
    words: tuple[str, ...], user: int, asked: bool, tmp_path: Path
) -> None:
    for name, text in (("apt-get", APT_GET), ("id", f"#!/bin/sh\necho {user}\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    done = make("nft", f"PATH={tmp_path}", *words)
    log = tmp_path / "asked"
    if asked:
        assert (done.returncode, log.read_text()) == (0, "apt-get install -y -qq nftables\n")
        assert done.stdout == "the embedded cluster needs nft: apt-get install nftables\n"
    else:
        assert (done.returncode, log.exists()) == (2, False)
        assert done.stdout.splitlines()[:2] == [
            "the embedded cluster needs nft, which is not here",
            "hint: install the package nftables, then run this again",
        ]


def test_ci_runs_the_tests_first() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    commands = re.findall(r"^make .*$", text, re.MULTILINE)
    assert commands[0] == "make test"
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")
    # Without the image, the tests of the gate on the real cluster fail.
    image = commands.index("make image BASE=netpol-base:local")
    assert commands[image - 1] == "make base-image"
    assert image < commands.index("make test-kind")
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_the_document_of_the_command_line_has_every_option() -> None:
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (`--.*?`) \| ", text, re.MULTILINE)
    names = {name for cell in listed for name in re.findall(r"--([a-z-]+)", cell)}
    options = {option.name for option in (*CLUSTER_OPTIONS, *RUN_OPTIONS)}
    assert names == options | {"tables", "no-tables"}


# ------------------------------------------------------------------ versions


def test_every_dependency_is_locked_to_a_version_that_is_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = {k: v for k, v in project["dependency-groups"].items() if k != "lock"}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    locked = [Requirement(line) for line in lines if not line.startswith("#")]
    here = [item for item in locked if item.marker is None or item.marker.evaluate()]
    versions = {
        item.name.lower(): Version(str(item.specifier).removeprefix("==")) for item in here
    }
    assert len(versions) == len(here)
    for text in itertools.chain(project["project"]["dependencies"], *groups.values()):
        requirement = Requirement(text)
        assert versions[requirement.name.lower()] in requirement.specifier, requirement


def test_the_python_versions_are_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    label = "Programming Language :: Python :: 3."
    listed = [f"3.{item.removeprefix(label)}" for item in project["classifiers"] if label in item]
    assert project["requires-python"] == f">={listed[0]}"
    workflow = (ROOT / ".github" / "workflows" / "ci.yaml").read_text(encoding="utf-8")
    (matrix,) = re.findall(r"^ +python: \[(.*)\]$", workflow, re.MULTILINE)
    assert matrix.replace('"', "").split(", ") == listed


SCOREBOARD = ROOT / "docs" / "scoreboard.md"


def versioned_files() -> Iterator[tuple[str, str]]:
    """Every text file of the repository, by its path, except what names versions that were run."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("this is no Git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and not path.is_symlink() and path != SCOREBOARD:
            yield name, path.read_text(encoding="utf-8", errors="replace")


def installed(cni: str) -> str:
    return installation(profile(cni)).version


@pytest.mark.parametrize(
    ("mention", "version", "least"),
    [
        (r"(?:sigs\.k8s\.io/kind@|\bkind )(v\d+\.\d[\w.]*\w)", binary.VERSION, 3),
        # The image, and the archive that an offline folder holds.
        (r"agnhost[:-](\d+\.\d[\w.]*?)(?=\.tar|[^\w.]|$)", AGNHOST_IMAGE.split(":")[1], 5),
        (r"\b(v1\.[3-9]\d\.\d+)\b", manifest.KUBERNETES, 1),
        # Of what is installed, in the documents: archives and folders of an offline folder.
        (r"calico[-/:](v\d+\.\d+\.\d+)", installed("calico"), 3),
        (
            r"cilium[-/:@](v\d+\.\d+\.\d+)",
            f"{installed('cilium')} {installed('cilium-1.20')}",
            1,
        ),
        (r"kube-router(?:/v2)?[-/:@](v\d+\.\d+\.\d+)", installed("kube-router"), 2),
        (r"flannel[-/:@](v\d+\.\d+\.\d+)", installed("flannel"), 2),
    ],
    ids=["kind", "agnhost", "Kubernetes", "calico", "cilium", "kube-router", "flannel"],
)
def test_a_version_is_the_same_wherever_it_is_mentioned(
    mention: str, version: str, least: int
) -> None:
    found = [
        (name, match[1])
        for name, text in versioned_files()
        for match in re.finditer(mention, text)
    ]
    assert [(name, seen) for name, seen in found if seen not in version.split()] == []
    assert len(found) >= least


# ------------------------------------------------------------------ documents


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_scenario_of_the_readme_is_right(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    scenario, policy = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(scenario.splitlines()) <= 13
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "db-from-app1.yaml").write_text(policy, encoding="utf-8")
    file = tmp_path / "readme.yaml"
    file.write_text(scenario, encoding="utf-8")
    load(file)


def test_the_table_of_modules_has_the_order_of_the_import_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    height = {
        name: number
        for number, layer in enumerate(reversed(layers))
        for name in layer.split(" | ")
    }
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = text.split("\n## Modules\n")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", modules, re.MULTILINE)
    assert sorted(listed) == sorted(height)
    assert listed == sorted(listed, key=height.__getitem__)


def test_every_requirement_that_a_scenario_may_name_is_in_the_semantics() -> None:
    text = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
    named = {
        f"{letter}{number:02}"
        for letter, first, last in re.findall(r"\b([RT])(\d\d)(?:-[RT](\d\d))?", text)
        for number in range(int(first), int(last or first) + 1)
    }
    assert sorted(named) == list(catalogue.requirements())


def test_the_address_of_the_repository_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project["urls"]["Repository"]
    owner, name = address.removeprefix("https://github.com/").split("/")
    assert project["urls"]["Documentation"] == f"https://{owner}.github.io/{name}/"
    mentions = [
        (path, seen)
        for path, text in versioned_files()
        for seen in re.findall(rf"https://github\.com/[\w.-]+/{name}\b", text)
    ]
    assert [(path, seen) for path, seen in mentions if seen != address] == []
    assert {path for path, _ in mentions} >= {"pyproject.toml", "README.md"}


FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[0-9]*.yml"))


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_one_that_github_takes(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(form) == {"name", "description", "title", "labels", "body"}
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids))
    for field in form["body"]:
        assert field["type"] in {"input", "textarea", "dropdown"}
        assert field["attributes"]["label"]
        assert (field["type"] == "dropdown") == ("options" in field["attributes"])
    assert ("netpol version" in str(form)) == (path.stem != "4-feature")


# ------------------------------------------------------------------ claims


def test_each_claim_is_wrong_in_one_cell() -> None:
    wrong = {path.name: [problem.message for problem in examine(path)[1]] for path in find(CLAIMS)}
    assert sorted(wrong) == ["egress-to-external.yaml", "frontend-to-database.yaml"]
    assert all(len(messages) == 1 for messages in wrong.values()), wrong


def test_claims_claim_what_the_documents_do() -> None:
    (step,) = read(CLAIMS / "frontend-to-database.yaml").steps
    assert {str(cell.probe): cell.expected for cell in step.table.cells} == {
        "default/frontend -> default/backend:80": Verdict.ALLOWED,
        "default/frontend -> default/database:5432": Verdict.TIMEOUT,
    }
    (step,) = read(CLAIMS / "egress-to-external.yaml").steps
    assert {str(cell.probe): cell.expected for cell in step.table.cells} == {
        "default/frontend -> default/backend:80": Verdict.ALLOWED,
        "default/backend -> external/api:443": Verdict.ALLOWED,
        "default/backend -> external/elsewhere:443": Verdict.TIMEOUT,
    }


# ------------------------------------------------------------------ each module by itself


def modules() -> list[str]:
    """The modules and packages that others import; what is inside of a package is its own."""
    found = pkgutil.walk_packages(harness.__path__, "harness.")
    return [
        item.name
        for item in found
        if item.name.count(".") == 1 or (item.name.startswith("harness.cluster.") and item.ispkg)
    ]


# Other people's packages are imported once; each of our modules then in a fork of its own, so
# that an import which only works after another one is seen.
IMPORT_EACH = """
import importlib, os, sys, traceback
import dns.message, kubernetes.dynamic, kubernetes.stream, pydantic, pytest, tenacity
import xdist.plugin, yaml
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            importlib.import_module(name)
        except BaseException:
            print(name, file=sys.stderr)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_every_module_imports_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH, *modules()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(modules()) > 10
