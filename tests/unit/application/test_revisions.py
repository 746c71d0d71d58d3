"""Manifests of a git revision, without a checkout."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from harness.application import Application, read, revisions
from harness.cli import Exit, main
from harness.errors import HarnessError

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec: {containers: [{name: c}]}
"""
FILES = {
    "k8s/web.yaml": "web",
    "k8s/sub/db.yml": "db",
    "k8s/.hidden/a.yaml": "hidden",
    "k8s/chart/Chart.yaml": "chart",
    "k8s/chart/templates/b.yaml": "templated",
    "other/cache.yaml": "cache",
}


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=a")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit; in the folder, all files are gone or changed since."""
    git(tmp_path, "init", "--quiet")
    for name, pod in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(POD.replace("NAME", pod))
    (tmp_path / "k8s" / "linked.yaml").symlink_to("../other/cache.yaml")
    commit(tmp_path)
    git(tmp_path, "rm", "-r", "--quiet", "k8s")
    (tmp_path / "other" / "cache.yaml").write_text(POD.replace("NAME", "changed"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    return tmp_path


def pods(application: Application) -> list[str]:
    return [f"{item.name} {item.location}" for item in application.workloads]


def test_a_folder_of_a_revision_is_read_like_one_on_the_disk(repository: Path) -> None:
    found = read(["HEAD:k8s"])
    assert pods(found) == ["web HEAD:k8s/web.yaml:1:1", "db HEAD:k8s/sub/db.yml:1:1"]
    chart = "a Helm chart is left out; `helm template k8s/chart > rendered.yaml` renders it"
    assert [str(note) for note in found.notes[:2]] == [
        f"HEAD:k8s/chart/Chart.yaml:1:1: {chart}",
        "HEAD:k8s/linked.yaml:1:1: a link is not followed in a revision",
    ]


def test_a_file_and_the_top_of_a_revision(repository: Path) -> None:
    assert pods(read(["main:other/cache.yaml"])) == ["cache main:other/cache.yaml:1:1"]
    assert pods(read(["main:"])) == [
        "web main:k8s/web.yaml:1:1",
        "db main:k8s/sub/db.yml:1:1",
        "cache main:other/cache.yaml:1:1",
    ]
    assert pods(read(["main:other", "main:other/cache.yaml"])) == [
        "cache main:other/cache.yaml:1:1"
    ]


def test_a_path_from_the_current_folder(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository / "here")
    assert pods(read(["main:../other"])) == ["cache main:other/cache.yaml:1:1"]
    monkeypatch.chdir(repository / "other")
    assert pods(read(["main:."])) == ["cache main:other/cache.yaml:1:1"]
    assert pods(read(["main:other"])) == ["cache main:other/cache.yaml:1:1"]


def test_a_commit_is_shown_in_short(repository: Path) -> None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    commit = done.stdout.strip()
    (only,) = read([f"{commit}:other"]).workloads
    assert str(only.location) == f"{commit[:12]}:other/cache.yaml:1:1"


def test_a_file_on_the_disk_goes_before_a_revision(repository: Path) -> None:
    (repository / "main:other").write_text(POD.replace("NAME", "odd"))
    assert pods(read(["main:other"])) == ["odd main:other:1:1"]


def test_what_is_wrong_in_a_file_of_a_revision(repository: Path) -> None:
    (repository / "other" / "cache.yaml").write_bytes(b"kind: \xff\n")
    (repository / "other" / "pod.yaml").write_text(POD.replace("{name: NAME}", "{name: A_B}"))
    (repository / "other" / "large.yaml").write_text("#" * (8 * 1024 * 1024 + 1))
    commit(repository)
    with pytest.raises(HarnessError) as error:
        read(["HEAD:other"])
    assert str(error.value) == (
        "HEAD:other/cache.yaml:1:7: byte 0xff is not UTF-8\n"
        "    1 | kind: \N{REPLACEMENT CHARACTER}\n"
        "hint: save the file in the encoding UTF-8\n"
        "HEAD:other/large.yaml:1:1: HEAD:other/large.yaml has more than 8 MiB\n"
        "hint: split it, or name a smaller file\n"
        "HEAD:other/pod.yaml:3:12: 'A_B' is not a valid name in a Pod\n"
        "    3 | metadata: {name: A_B}\n"
        "hint: at most 253 lower-case letters, digits, '-' and '.'; "
        "the first and last a letter or digit"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("maim:k8s", "there is no git revision 'maim'\nhint: did you mean 'main'?"),
        (
            "0123abc:k8s",
            "there is no git revision '0123abc'\nhint: `git log` and `git tag` show revisions",
        ),
        ("main:k8", "there is no k8 in main\nhint: did you mean 'k8s'?"),
        (
            "main::(top)k8s",
            "there is no :(top)k8s in main\n"
            "hint: paths start at the top of the repository; ./ at this folder",
        ),
        (
            "main:here/it.yaml",
            "there is no here/it.yaml in main\n"
            "hint: paths start at the top of the repository; ./ at this folder",
        ),
        (
            "main:../x",
            "'main:../x' leads out of the repository\n"
            "hint: paths start at the top of the repository; ./ at this folder",
        ),
        (
            "--all:k8s",
            "'--all:k8s' is no file, and has no git revision before the colon\n"
            "hint: files of a revision are written HEAD~1:k8s",
        ),
    ],
)
def test_what_is_not_there(repository: Path, name: str, message: str) -> None:
    with pytest.raises(HarnessError) as error:
        read([name])
    assert str(error.value) == message


def test_a_shallow_clone(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(repository)
    git(repository, "clone", "--quiet", "--depth=1", repository.as_uri(), "clone")
    monkeypatch.chdir(repository / "clone")
    with pytest.raises(HarnessError) as error:
        read(["HEAD~1:k8s"])
    assert str(error.value) == (
        "there is no git revision 'HEAD~1'\n"
        "hint: this clone is shallow: `git fetch --unshallow`, or fetch-depth: 0 of checkout"
    )


def test_without_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(HarnessError) as error:
        read(["HEAD:k8s"])
    assert str(error.value) == (
        "'HEAD:k8s' is no file, and the current folder is in no git repository\n"
        "hint: name a file or a folder, or change to the repository"
    )


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HarnessError) as error:
        read(["HEAD:k8s"])
    assert str(error.value) == (
        "git, which reads revisions, is not installed\n"
        "hint: install git, or name files and folders"
    )


SLOW = """\
#!/bin/sh
case "$*" in
  *ls-tree*) sleep 30; echo done;;
  *) exec "GIT" "$@";;
esac
"""


def test_a_git_that_does_not_answer_is_stopped(
    repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also what it started itself, which holds the pipe open."""
    place = tmp_path_factory.mktemp("bin") / "git"
    found = next(path for folder in os.get_exec_path() if (path := Path(folder, "git")).exists())
    place.write_text(SLOW.replace("GIT", str(found)))
    place.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(revisions, "_TIMEOUT_S", 0.5)
    began = time.monotonic()
    assert main(["diff", "HEAD:k8s", "other"]) == Exit.USAGE
    assert time.monotonic() - began < 15
    assert capsys.readouterr() == (
        "",
        "git ls-tree takes over 0.5 s\nhint: name a path with fewer files\n",
    )


def test_a_git_that_prints_too_much_is_stopped(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(revisions, "_MOST_LISTED_BYTES", 100)
    assert main(["diff", "HEAD:k8s", "other"]) == Exit.USAGE
    assert capsys.readouterr() == (
        "",
        "git ls-tree prints more than 100 bytes\nhint: name a path with fewer files\n",
    )
    monkeypatch.setattr(revisions, "_MOST_LISTED_BYTES", 2**20)
    assert main(["diff", "HEAD:k8s", "other"]) == Exit.WRONG


def test_a_revision_with_too_many_files_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.application.files._MOST_FILES", 2)
    assert main(["diff", "HEAD:", "other"]) == Exit.USAGE
    assert capsys.readouterr() == ("", "the paths name over 2 files\nhint: name fewer\n")


def test_content_is_read_in_parts(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "_MOST_READ_BYTES", 1)
    assert pods(read(["HEAD:k8s"])) == ["web HEAD:k8s/web.yaml:1:1", "db HEAD:k8s/sub/db.yml:1:1"]
