"""The script that makes a base image without a registry; the programs that it runs are stubs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "tools" / "base_image.sh"
REAL = (
    *("awk", "bash", "cat", "cp", "cut", "env", "mkdir", "mktemp", "rm", "sh", "sha256sum"),
    *("sleep", "tail", "tar", "timeout"),
)
STUBS = {
    "id": "echo 0",
    "dpkg": "echo amd64",
    "apt-get": (
        "echo http://other.invalid/x tested-security main\n"
        "echo cdrom://x tested main\n"
        "echo http://mirror.invalid/y tested main\n"
        "echo http://mirror.invalid/y tested universe\n"
        "echo http://late.invalid/z tested main"
    ),
    "unshare": 'shift; exec "$@"',
    # The last two words are the folder and the mirror.
    "debootstrap": (
        'echo "$@" > $HOME/debootstrap\n'
        'while [ $# -gt 2 ]; do shift; done\n'
        'mkdir -p $1/usr/local/share/ca-certificates $1/usr/share/doc/x'
    ),
    "chroot": "case $* in *--version) echo Python 3.10.12;; esac",
    "docker": (
        "case $1 in\n"
        "image) [ ! -e $HOME/label ] || cat $HOME/label;;\n"
        'import) tar -tf $6 > $HOME/files; echo "$3" | cut -d= -f2 > $HOME/label; echo "$7";;\n'
        "esac"
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """A PATH with stubs, a home for what they write, and a folder for the script's own files."""

    programs: Path
    home: Path
    scratch: Path

    def has(self, name: str, script: str) -> None:
        (self.programs / name).write_text(f"#!{shutil.which('sh')}\n{script}\n", encoding="utf-8")
        (self.programs / name).chmod(0o700)

    def lacks(self, *names: str) -> None:
        for name in names:
            (self.programs / name).unlink()

    def start(self, *words: str, limit_s: int = 30) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [SCRIPT, *(words or ("base:local", "tested"))],
            env={
                "PATH": str(self.programs),
                "HOME": str(self.home),
                "TMPDIR": str(self.scratch),
                "LIMIT_S": str(limit_s),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, limit_s: int = 30) -> tuple[int, str, str]:
        with self.start(*words, limit_s=limit_s) as process:
            out, err = process.communicate(timeout=30)
        assert not list(self.scratch.iterdir()), "it removes what it made"
        return process.returncode, out, err

    def wrote(self, name: str) -> list[str]:
        path = self.home / name
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "programs", tmp_path / "home", tmp_path / "scratch")
    for folder in (made.programs, made.home, made.scratch):
        folder.mkdir()
    for name in REAL:
        found = shutil.which(name)
        assert found, name
        (made.programs / name).symlink_to(found)
    for name, script in STUBS.items():
        made.has(name, script)
    return made


def test_the_base_is_made_from_the_mirror_of_the_apt_sources(machine: Machine) -> None:
    status, out, err = machine.run()
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == (
        "base image: base:local, of the packages of tested (one or two minutes, at most 30 s)"
    )
    ((*options, release, _, mirror),) = (line.split() for line in machine.wrote("debootstrap"))
    assert (release, mirror) == ("tested", "http://mirror.invalid/y")
    assert options == [
        "--force-check-gpg",
        "--variant=minbase",
        "--components=main,universe",
        "--include=ca-certificates,python3,python3-venv",
    ]
    assert "./usr/share/doc/" in machine.wrote("files")
    assert "./usr/share/doc/x/" not in machine.wrote("files")


def test_a_base_that_was_made_in_the_same_way_is_kept(machine: Machine) -> None:
    assert machine.run()[0] == 0
    (machine.home / "debootstrap").unlink()
    assert machine.run() == (0, "base image: base:local is there\n", "")
    assert not machine.wrote("debootstrap")
    machine.has("dpkg", "echo arm64")
    assert machine.run()[0] == 0
    assert machine.wrote("debootstrap")


def test_everything_that_is_missing_is_named(machine: Machine) -> None:
    machine.lacks("apt-get", "debootstrap", "docker", "unshare")
    machine.has("id", "echo 1000")
    assert machine.run() == (
        2,
        "",
        "the base image cannot be made here:\n"
        "it runs as root\n"
        "the program apt-get is not on the PATH\n"
        "the program debootstrap is not on the PATH\n"
        "the program docker is not on the PATH\n"
        "the program unshare is not on the PATH\n"
        "hint: on Debian and Ubuntu, apt-get install debootstrap docker.io\n",
    )


def test_a_docker_daemon_that_does_not_answer_is_named(machine: Machine) -> None:
    machine.has("docker", "exit 1")
    assert "the Docker daemon does not answer\n" in machine.run()[2]


def test_a_release_that_the_apt_sources_lack_is_named(machine: Machine) -> None:
    assert machine.run("base:local", "sid") == (
        2,
        "",
        "the apt sources of this machine have no release 'sid' over http, https or file\n"
        "hint: apt-get indextargets prints what they have\n",
    )


def test_the_end_of_the_log_is_shown_if_debootstrap_fails(machine: Machine) -> None:
    machine.has("debootstrap", "echo E: no such mirror; exit 1")
    status, _, err = machine.run()
    assert status == 2
    assert err == ("E: no such mirror\ndebootstrap could not install tested: exit status 1\n")
    assert not machine.wrote("label")


def test_a_python_that_is_too_old_makes_no_image(machine: Machine) -> None:
    machine.has("chroot", f"{STUBS['chroot']}\ncase $* in *version_info*) exit 1;; esac")
    status, _, err = machine.run()
    assert status == 2
    assert err == "the Python of tested cannot be used: Python 3.10.12, and 3.11 is needed\n"
    assert not machine.wrote("label")


def test_certificate_authorities_that_cannot_be_added_make_no_image(machine: Machine) -> None:
    machine.has("chroot", "echo no openssl; exit 1")
    status, _, err = machine.run()
    assert status == 2
    assert err == "no openssl\nthe certificate authorities of this machine cannot be added\n"


SLOW = "echo $$ > $HOME/debootstrap; exec sleep 60"


def test_it_ends_at_its_time_limit(machine: Machine) -> None:
    machine.has("debootstrap", SLOW)
    status, _, err = machine.run(limit_s=1)
    assert (status, err) == (2, "debootstrap did not end within 1 s\n")


def test_it_cleans_up_when_it_is_terminated(machine: Machine) -> None:
    machine.has("debootstrap", SLOW)
    deadline = time.monotonic() + 20
    with machine.start() as process:
        while not machine.wrote("debootstrap"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 143
    assert not list(machine.scratch.iterdir())
    (pid,) = machine.wrote("debootstrap")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
