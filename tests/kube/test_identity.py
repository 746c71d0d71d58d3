"""Whether the process that made something is still running, as far as this machine can tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cluster.kube.identity import Life, Machine, Owner

HERE = Machine()
ME = HERE.this_process()
BOOT, OTHER_BOOT = "0b6b-1", "0b6b-2"
NAMESPACE, OTHER_NAMESPACE = "pid:[4026531836]", "pid:[4026532500]"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A process that ends when its stdin does."""
    process = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def owner_of(process: subprocess.Popen[str]) -> Owner:
    started = HERE._started(process.pid)
    assert started
    return replace(ME, pid=process.pid, started=started)


def test_this_process_is_running() -> None:
    assert ME.pid == os.getpid()
    assert ME.place
    assert ME.started
    assert HERE.life(ME) is Life.RUNNING


def test_an_owner_is_written_and_read() -> None:
    assert Owner.parse(str(ME)) == ME
    assert json.loads(str(ME)).keys() == {"place", "pid", "started", "host"}


@pytest.mark.parametrize(
    "text",
    ["", "nobody", "[]", "{}", '{"host": "h", "pid": 1, "started": "2"}',
     '{"host": "h", "pid": "1", "place": "p", "started": "2"}',
     '{"host": "h", "pid": 1, "place": null, "started": "2"}'],
)  # fmt: skip
def test_what_names_no_owner(text: str) -> None:
    assert Owner.parse(text) is None


def test_a_process_is_running_until_it_ends(child: subprocess.Popen[str]) -> None:
    owner = owner_of(child)
    assert HERE.life(owner) is Life.RUNNING
    child.communicate("\n")
    assert HERE.life(owner) is Life.OVER


def test_a_process_that_nobody_has_waited_for_is_over(child: subprocess.Popen[str]) -> None:
    owner = owner_of(child)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert (Path("/proc") / str(child.pid)).exists()
    assert HERE.life(owner) is Life.OVER


def test_a_process_id_that_was_given_out_again_is_another_process() -> None:
    assert HERE.life(replace(ME, started="1")) is Life.OVER


@pytest.mark.parametrize("place", ["", "elsewhere"])
def test_of_another_place_nothing_is_known(place: str) -> None:
    assert HERE.life(replace(ME, place=place)) is Life.UNKNOWN


def test_the_host_decides_nothing() -> None:
    assert HERE.life(replace(ME, host="renamed")) is Life.RUNNING


# ------------------------------------------------------------------ other machines


def linux(root: Path, boot: str = BOOT, namespace: str = NAMESPACE) -> Path:
    """A /proc with this process in it, started at tick 100."""
    proc = root / "proc"
    own = proc / str(os.getpid())
    (own / "ns").mkdir(parents=True)
    (own / "ns" / "pid").symlink_to(namespace)
    (own / "stat").write_text(stat("S", 100))
    (proc / "self").symlink_to(str(os.getpid()))
    (proc / "sys/kernel/random").mkdir(parents=True)
    (proc / "sys/kernel/random/boot_id").write_text(f"{boot}\n")
    return proc


def stat(state: str, ticks: int) -> str:
    fields = " ".join(["0"] * 18)
    return f"7 (a) b) {state} {fields} {ticks} 0 0\n"


def silent(*argv: str) -> str:
    return ""


@pytest.mark.parametrize(
    ("boot", "namespace", "life"),
    [
        (BOOT, NAMESPACE, Life.RUNNING),
        (OTHER_BOOT, NAMESPACE, Life.UNKNOWN),
        (BOOT, OTHER_NAMESPACE, Life.UNKNOWN),
    ],
)
def test_a_place_is_a_boot_and_a_pid_namespace(
    tmp_path: Path, boot: str, namespace: str, life: Life
) -> None:
    owner = Machine(linux(tmp_path / "a"), silent).this_process()
    assert (owner.place, owner.started) == (f"{BOOT} {NAMESPACE}", "100")
    assert Machine(linux(tmp_path / "b", boot, namespace), silent).life(owner) is life


@pytest.mark.parametrize(("exists", "life"), [(True, Life.UNKNOWN), (False, Life.OVER)])
def test_a_process_that_proc_hides_may_be_running(
    tmp_path: Path, exists: bool, life: Life
) -> None:
    machine = Machine(linux(tmp_path), silent, lambda pid: exists)
    assert machine.life(replace(machine.this_process(), pid=7)) is life


def test_a_proc_of_another_pid_namespace_is_no_place(tmp_path: Path) -> None:
    proc = linux(tmp_path)
    (proc / "self").unlink()
    (proc / "self").symlink_to("1")
    owner = Machine(proc, silent).this_process()
    assert owner.place == ""
    assert Machine(proc, silent).life(owner) is Life.UNKNOWN


def macos(processes: Callable[[], str], boot: str = "8A6E-1") -> Callable[..., str]:
    """The programs of a macOS that was booted once, and what ps says of a process."""

    def output(*argv: str) -> str:
        match argv:
            case ("sysctl", "-n", "kern.bootsessionuuid"):
                return boot
            case ("ps", "-o", "state=", "-o", "lstart=", "-p", pid):
                assert pid == str(os.getpid())
                return processes()
            case _:
                return ""

    return output


@pytest.mark.parametrize(
    ("now", "exists", "life"),
    [
        ("S+   Fri Nov 27 21:56:14 2026", True, Life.RUNNING),
        ("R    Fri Nov 27 21:56:14 2026", True, Life.RUNNING),
        ("S+   Fri Nov 27 22:10:00 2026", True, Life.OVER),
        ("Z+   Fri Nov 27 21:56:14 2026", True, Life.OVER),
        ("", False, Life.OVER),
        ("", True, Life.UNKNOWN),
    ],
)
def test_macos_has_no_proc(tmp_path: Path, now: str, exists: bool, life: Life) -> None:
    says = ["S+   Fri Nov 27 21:56:14 2026"]
    machine = Machine(tmp_path / "none", macos(lambda: says[0]), lambda pid: exists)
    owner = machine.this_process()
    assert (owner.place, owner.started) == ("8A6E-1", "Fri Nov 27 21:56:14 2026")
    says[0] = now
    assert machine.life(owner) is life
    other = Machine(tmp_path / "none", macos(lambda: says[0], "8A6E-2"), lambda pid: exists)
    assert other.life(owner) is Life.UNKNOWN


def test_a_machine_that_answers_nothing_has_no_place(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "none", silent)
    owner = machine.this_process()
    assert (owner.place, owner.started, owner.pid) == ("", "", os.getpid())
    assert machine.life(owner) is Life.UNKNOWN


def test_programs_answer_in_english_and_utc() -> None:
    machine = Machine()
    assert machine.output("sh", "-c", "echo $LC_ALL $TZ") == "C UTC"
    assert machine.output("sh", "-c", "echo no; exit 1") == ""
    assert machine.output("netpol-has-no-such-program") == ""


def test_a_process_exists_until_it_ends(child: subprocess.Popen[str]) -> None:
    assert HERE.exists(child.pid)
    assert HERE.exists(1)  # of another user, where this one is not root
    child.communicate("\n")
    assert not HERE.exists(child.pid)
    assert HERE.exists(2**70)  # no id that can be asked for: nothing is known
