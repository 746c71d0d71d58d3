"""The words of agnhost connect; the batch script runs in a real shell with a stand-in agnhost."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import agnhost
from harness.agnhost import Ending, Loop, Target
from harness.model import ProbeError, Protocol, Verdict

TCP = Target("10.0.0.1", 80)


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (0, "", Verdict.ALLOWED),
        (1, "TIMEOUT", Verdict.TIMEOUT),
        (1, "TIMEOUT: read udp 10.0.0.2:1->10.0.0.1:80: i/o timeout", Verdict.TIMEOUT),
        (1, "REFUSED", Verdict.REFUSED),
        (1, "DNS: lookup postgres.db: no such host", Verdict.DNS),
        (1, "OTHER: dial tcp 10.0.0.1:80: connect: no route to host", Verdict.OTHER),
    ],
)
def test_words_are_verdicts(status: int, words: str, expected: Verdict) -> None:
    assert agnhost.verdict(status, words) is expected


@pytest.mark.parametrize(
    ("status", "words", "message"),
    [
        (0, "TIMEOUT", "agnhost connect exited with 0 and said 'TIMEOUT'"),
        (1, "", "agnhost connect exited with 1 and said ''"),
        (1, "UNKNOWN: read", "agnhost connect exited with 1 and said 'UNKNOWN: read'"),
        (1, "TIMEOUTS", "agnhost connect exited with 1 and said 'TIMEOUTS'"),
        (1, "allowed", "agnhost connect exited with 1 and said 'allowed'"),
        (2, "TIMEOUT", "agnhost connect exited with 2 and said 'TIMEOUT'"),
        (137, "", "agnhost connect exited with 137 and said ''"),
        (127, "/bin/sh: /agnhost: not found",
         "/agnhost cannot be run in the source: /bin/sh: /agnhost: not found"),
    ],
)  # fmt: skip
def test_everything_else_is_no_verdict(status: int, words: str, message: str) -> None:
    assert agnhost.verdict(status, words) == ProbeError(message)


def test_a_timeout_is_always_given() -> None:
    assert agnhost.arguments(TCP, 1.0) == ("10.0.0.1:80", "--timeout=1000ms")
    udp = Target("fd00::1", 53, Protocol.UDP)
    assert agnhost.arguments(udp, 0.3) == ("[fd00::1]:53", "--timeout=300ms", "--protocol=udp")


@pytest.mark.parametrize(
    ("host", "is_name"),
    [("10.0.0.1", False), ("fd00::1", False), ("::", False), ("a.b.", True), ("face.be", True)],
)
def test_names_are_told_from_addresses(host: str, is_name: bool) -> None:
    assert Target(host, 80).is_name is is_name


def test_a_missing_sentinel_is_no_verdict() -> None:
    output = "= begin 5.00\n= 1 1 5.00 6.01 TIMEOUT\n"
    first, second = agnhost.read(output, (TCP, TCP), 1.0)
    assert first.outcome == ProbeError("the batch ended before this probe did")
    assert second.outcome is Verdict.TIMEOUT
    assert second.ended_s - second.started_s == pytest.approx(1.01)
    assert agnhost.began_s(output) == 5.0
    assert agnhost.ended_s(output) is None


@pytest.mark.parametrize("line", ["= 0 0 5.0 5.1 \n= 0 1 5.0 6.0 TIMEOUT", "= 7 0 5.0 5.1 "])
def test_sentinels_that_cannot_be_ours_spoil_the_batch(line: str) -> None:
    (answer,) = agnhost.read(line + "\n", (TCP,), 1.0)
    assert isinstance(answer.outcome, ProbeError)


def test_a_timeout_of_a_frozen_source_is_no_verdict() -> None:
    (late,) = agnhost.read("= 0 1 5.00 26.40 TIMEOUT\n", (TCP,), 1.0)
    assert late.outcome == ProbeError(
        "TIMEOUT came after 21.4 s instead of 1 s: the source was frozen or starved of CPU"
    )
    named = Target("api.example.com.", 443)
    (healthy,) = agnhost.read("= 0 1 5.00 6.90 TIMEOUT\n", (TCP,), 1.0)
    assert healthy.outcome is Verdict.TIMEOUT
    (slow,) = agnhost.read("= 0 1 5.00 16.40 TIMEOUT\n", (named,), 1.0)
    assert slow.outcome is Verdict.TIMEOUT


def test_half_a_line_is_no_sentinel() -> None:
    (answer,) = agnhost.read("= 0 1 5.00", (TCP,), 1.0)
    assert isinstance(answer.outcome, ProbeError)


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A program that answers by port.

    1 in time; 2 refuses; 3 is slow and notes how many run; 4 waits until two have come; 5 is
    as 3, and waits until five have come.
    """
    program = tmp_path / "agnhost"
    program.write_text(
        "#!/bin/sh\n"
        f"cd {tmp_path}\n"
        'echo "$2" >>order\n'
        'case "$2" in\n'
        "*:1) exit 0;;\n"
        "*:2) echo 'REFUSED: by hand' >&2; echo second line >&2; exit 1;;\n"
        "*:3) touch run.$$; ls run.* | wc -l >>running; sleep 0.3; rm run.$$; "
        "echo TIMEOUT >&2; exit 1;;\n"
        "*:5) touch run.$$ came.$$; ls run.* | wc -l >>running; "
        "until [ $(ls came.* | wc -l) -ge 5 ]; do sleep 0.01; done; sleep 0.1; rm run.$$; "
        "echo TIMEOUT >&2; exit 1;;\n"
        "*:4) touch here.$$; until [ $(ls here.* | wc -l) -ge 2 ]; do sleep 0.01; done; exit 0;;\n"
        "esac\n"
    )
    program.chmod(0o755)
    return program


@pytest.fixture(params=["sh", "busybox"])
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The shell of this machine, and the one of the agnhost image."""
    *limit, sh = agnhost.shell(120)
    if request.param == "sh":
        return (*limit, sh)
    if shutil.which("busybox") is None:
        pytest.skip("busybox is not on the PATH")
    return (*limit, "busybox", "sh")


def run(text: str, program: Path, shell: tuple[str, ...]) -> str:
    """Run a batch; unless the test says what the load of its node is, the node is idle."""
    idle = program.parent / "idle"
    idle.write_text("0.00 0.00 0.00 1/100 1\n")
    text = text.replace("/proc/loadavg", str(idle)).replace("/agnhost", str(program))
    return subprocess.run(shell, input=text, capture_output=True, text=True, check=True).stdout


def test_a_batch_in_a_real_shell(stand_in: Path, shell: tuple[str, ...]) -> None:
    targets = tuple(Target("h", port) for port in (1, 2, 3))
    output = run(agnhost.script(targets, 1.0, 8), stand_in, shell)
    answers = agnhost.read(output, targets, 1.0)
    assert [a.outcome for a in answers] == [Verdict.ALLOWED, Verdict.REFUSED, Verdict.TIMEOUT]
    assert answers[1].raw == "REFUSED: by hand"
    assert 0.25 < answers[2].ended_s - answers[2].started_s < 2
    began_s, ended_s = agnhost.began_s(output), agnhost.ended_s(output)
    assert began_s is not None
    assert ended_s is not None
    assert began_s <= answers[2].started_s < answers[2].ended_s <= ended_s


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_batch_is_bounded(stand_in: Path, shell: tuple[str, ...], parallel: int) -> None:
    targets = tuple(Target(f"h{index}", 3) for index in range(6))
    output = run(agnhost.script(targets, 1.0, parallel), stand_in, shell)
    assert len(agnhost.read(output, targets, 1.0)) == 6
    assert agnhost.ended_s(output) is not None
    assert max(running(stand_in)) <= parallel


def test_a_batch_keeps_its_order(stand_in: Path, shell: tuple[str, ...]) -> None:
    targets = tuple(Target(f"h{index}", 1) for index in range(6))
    run(agnhost.script(targets, 1.0, 1), stand_in, shell)
    order = (stand_in.parent / "order").read_text().split()
    assert order == [f"h{index}:1" for index in range(6)]


@pytest.mark.parametrize("count", [2, 6])
def test_probes_of_a_batch_run_at_once(stand_in: Path, shell: tuple[str, ...], count: int) -> None:
    targets = tuple(Target(f"h{index}", 4) for index in range(count))
    output = run(agnhost.script(targets, 1.0, 2), stand_in, shell)
    answers = agnhost.read(output, targets, 1.0)
    assert [answer.outcome for answer in answers] == [Verdict.ALLOWED] * count


def running(program: Path) -> list[int]:
    """How many ran when each of the slow ones began."""
    return [int(line) for line in (program.parent / "running").read_text().split()]


def with_load(text: str, load: Path, looks: int) -> str:
    """The batch of a node whose load is in a file, with the patience to look so often."""
    text = text.replace("/proc/loadavg", str(load))
    return re.sub(r"-lt \d+ \]\ndo nap", f"-lt {looks} ]\ndo nap", text)


def test_a_batch_starts_nothing_while_the_node_is_busy(
    stand_in: Path, shell: tuple[str, ...]
) -> None:
    load = stand_in.parent / "loadavg"
    os.mkfifo(load)
    targets = tuple(Target(f"h{index}", 1) for index in range(6))
    text = with_load(agnhost.script(targets, 1.0, 6), load, 10_000)
    text = text.replace("/agnhost", str(stand_in))
    with subprocess.Popen(
        shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as batch:
        assert batch.stdin
        batch.stdin.write(text)
        batch.stdin.close()
        for _ in range(8 * len(targets)):  # more looks than there are probes
            assert answer_a_look(batch, load, "0.00 0.00 0.00 9999/9999 1\n")
        assert not (stand_in.parent / "order").exists()
        while answer_a_look(batch, load, "0.00 0.00 0.00 1/9999 1\n"):
            pass
    assert len((stand_in.parent / "order").read_text().split()) == 6


def answer_a_look(batch: subprocess.Popen[str], load: Path, line: str) -> bool:
    """Wait until the batch reads the load, and say what it is; False when the batch is over."""
    while batch.poll() is None:
        with contextlib.suppress(OSError):  # nobody reads now
            file = os.open(load, os.O_WRONLY | os.O_NONBLOCK)
            os.write(file, line.encode())
            os.close(file)
            return True
        time.sleep(0.001)
    return False


@pytest.mark.parametrize("load", ["0.00 0.00 0.00 9999/9999 1\n", "nothing of the kind\n", None])
def test_a_batch_ends_on_a_node_that_is_always_busy_or_does_not_say(
    stand_in: Path, shell: tuple[str, ...], load: str | None
) -> None:
    place = stand_in.parent / "loadavg"
    if load is not None:
        place.write_text(load)
    targets = tuple(Target(f"h{index}", 1) for index in range(6))
    output = run(with_load(agnhost.script(targets, 1.0, 6), place, 2), stand_in, shell)
    answers = agnhost.read(output, targets, 1.0)
    assert [answer.outcome for answer in answers] == [Verdict.ALLOWED] * 6


def test_half_a_script_runs_nothing(stand_in: Path) -> None:
    text = agnhost.script((Target("h", 1), Target("h", 2)), 1.0, 8)
    text = text[: text.index("wait")].replace("/agnhost", str(stand_in))
    done = subprocess.run(["/bin/sh"], input=text, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert not (stand_in.parent / "order").exists()


def test_a_shell_that_is_kept_runs_one_batch_after_another(
    stand_in: Path, shell: tuple[str, ...]
) -> None:
    targets = tuple(Target(f"h{index}", 1) for index in range(6))
    script = agnhost.kept(agnhost.script(targets, 1.0, 6)).replace("/agnhost", str(stand_in))
    done = subprocess.run(
        shell, input=script + script, capture_output=True, text=True, check=False
    )
    first, second = done.stdout.split("= begin")[1:]
    for output in (f"= begin{first}", f"= begin{second}"):
        answers = agnhost.read(output, targets, 1.0)
        assert [answer.outcome for answer in answers] == [Verdict.ALLOWED] * 6
        assert agnhost.ended_s(output) is not None


def test_a_batch_dies_at_its_limit(stand_in: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(
        agnhost.shell(1), input="{ sleep 30; }\n", text=True, capture_output=True, check=False
    )
    assert done.returncode != 0
    assert time.monotonic() - began < 5


# ------------------------------------------------------------------ loops


def loop(*ports: int, own: tuple[int, ...] = (), **changes: Any) -> Loop:
    targets, mine = (
        tuple(Target("10.0.0.1", port) for port in numbers) for numbers in (ports, own)
    )
    made = Loop(targets, mine, timeout_s=0.1, interval_s=0.05, limit_s=60)
    return replace(made, **changes)


@contextlib.contextmanager
def looping(made: Loop, program: Path, shell: tuple[str, ...]) -> Iterator[subprocess.Popen[str]]:
    """Run a loop whose input stays open."""
    with subprocess.Popen(
        shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(made.script().replace("/agnhost", str(program)))
        process.stdin.flush()
        yield process


def until(process: subprocess.Popen[str], enough: Callable[[str], bool]) -> str:
    """Read the output of a loop until it is enough."""
    assert process.stdout is not None
    output = ""
    while not enough(output):
        line = process.stdout.readline()
        assert line, f"it ended after {output}"
        output += line
    return output


def rest(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.read()


@pytest.mark.parametrize("words", [agnhost.STOP, ""])
def test_a_loop_probes_until_its_input_says_so_or_ends(
    stand_in: Path, shell: tuple[str, ...], words: str
) -> None:
    made = loop(1, 2, own=(1,))
    with looping(made, stand_in, shell) as process:
        assert process.stdin is not None
        output = until(process, lambda text: [i for i, _ in made.read(text)].count(1) >= 5)
        process.stdin.write(words)
        process.stdin.flush() if words else process.stdin.close()
        output += rest(process)
    answers = made.read(output)
    assert {index for index, _ in answers} == {0, 1, 2}
    assert {a.outcome for i, a in answers if i == 0} == {Verdict.ALLOWED}
    assert {a.outcome for i, a in answers if i == 1} == {Verdict.REFUSED}
    own = [answer for index, answer in answers if index == 2]
    assert len(own) < len([i for i, _ in answers if i == 0])
    assert max(answer.started_s for _, answer in answers) == own[-1].started_s
    ticks = agnhost.ticks_s(output)
    assert list(ticks) == sorted(ticks)
    assert agnhost.began_s(output) == ticks[0]
    assert agnhost.ended_s(output) == ticks[-1]


@pytest.mark.parametrize("ending", Ending)
def test_a_loop_ends_at_its_limit(stand_in: Path, shell: tuple[str, ...], ending: Ending) -> None:
    made = loop(1, limit_s=2, ending=ending)  # whole seconds: more than one
    with looping(made, stand_in, shell) as process:
        assert process.stdin is not None
        if ending is Ending.AT_LIMIT:
            process.stdin.close()
        output = rest(process)
    ended, began = agnhost.ended_s(output), agnhost.began_s(output)
    assert ended is not None
    assert began is not None
    assert ended - began > made.linger_s
    assert made.read(output)


def test_a_loop_does_not_start_more_probes_while_all_are_slow(
    stand_in: Path, shell: tuple[str, ...]
) -> None:
    made = loop(5, interval_s=0.01, timeout_s=0.01)
    with looping(made, stand_in, shell) as process:
        until(process, lambda text: len(made.read(text)) >= 6)
        assert process.stdin is not None
        process.stdin.close()
        rest(process)
    running_at_once = [int(line) for line in (stand_in.parent / "running").read_text().split()]
    assert max(running_at_once) == 5  # (0.01 s of timeout / 0.01 s of interval + 2) + 2


def test_a_loop_reaps_its_children(stand_in: Path, shell: tuple[str, ...]) -> None:
    made = loop(1, interval_s=0.01)
    with looping(made, stand_in, shell) as process:
        until(process, lambda text: len(made.read(text)) >= 30)
        states = [
            status.split("State:")[1].split()[0]
            for entry in Path("/proc").glob("[0-9]*/status")
            if f"PPid:\t{child_of(process)}\n" in (status := text_of(entry))
        ]
        assert process.stdin is not None
        process.stdin.close()
        rest(process)
    assert states.count("Z") < 10


def child_of(process: subprocess.Popen[str]) -> int:
    """The shell under ``timeout``."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return int(children.read_text().split()[0])


def text_of(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


def test_a_busy_node_gets_two_turns_without_probes(
    stand_in: Path, shell: tuple[str, ...], tmp_path: Path
) -> None:
    load = tmp_path / "load"
    load.write_text("9.00 9.00 9.00 999/1000 7\n")
    text = loop(1).script().replace("/proc/loadavg", str(load)).replace("/agnhost", str(stand_in))
    with subprocess.Popen(
        shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.flush()
        turns = until(process, lambda output: output.count("= tick") >= 10).count("= tick")
        process.stdin.close()
        rest(process)
    asked = (stand_in.parent / "order").read_text().split()
    assert turns / 3 - 1 <= len(asked) <= turns / 3 + 2


def test_an_answer_that_cannot_be_of_the_loop_is_not_read() -> None:
    made = loop(1)
    assert made.read("= 0 0 5.0 5.1 \n= 1 0 5.0 5.1 \n= 0 0 6.0 6") == (
        (0, agnhost.Answer(Verdict.ALLOWED, "", 5.0, 5.1)),
    )
