"""The words of ``agnhost connect``: command lines, the batch script, and what came back.

A batch is one POSIX shell script for the stock agnhost image. It runs all probes of one
source, bounded in parallel and paced by the CPU, and prints one sentinel line for each:

    = INDEX STATUS STARTED ENDED WORDS

with times in seconds of the source's uptime clock, between ``= begin TIME`` and ``= end TIME``.
Only a sentinel is evidence: a probe without one has no verdict.

A loop is a script that runs the same probes again and again. It prints the same sentinels, and
``= tick TIME`` at each turn, which shows that its source is running.
"""

from __future__ import annotations

import enum
import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.model import Observation, Probe, ProbeError, Protocol, Verdict

LOOKUP_S = 12.0
"""How long a name may take to resolve, or to fail, beside ``--timeout``, which does not count
there; with a resolver that gives up after 1 s for each server and each family."""

STRETCH = 2.0
"""A probe that takes this many times its timeout shows that its source was hardly running."""

_WORDS = {verdict.value: verdict for verdict in Verdict if verdict is not Verdict.ALLOWED}
_SENTINEL = re.compile(r"^= (\d+) (\d+) (\d+\.?\d*) (\d+\.?\d*) ?(.*)$", re.MULTILINE)

TUNING = "export GOMAXPROCS=1 GOGC=off"
"""One thread and no garbage collection: a third less CPU for a process that lives so shortly."""

_PROBE = (
    f"{TUNING}\n"
    + """\
p() {
n=$1; shift
read -r s _ </proc/uptime
o=$(/agnhost connect "$@" 2>&1 </dev/null); c=$?
read -r e _ </proc/uptime
printf '= %s %s %s %s %s\\n' "$n" "$c" "$s" "$e" "${o%%
*}"
}
"""
)

# A start of agnhost costs 15 ms of CPU and a waiting one costs none. So probes start as fast as
# the CPU takes them and no faster: those that come back in time never wait for those that hang,
# and no probe waits so long for the CPU that it takes an answer for none. /proc/loadavg tells
# how many threads want to run on the whole node, whichever source they belong to.
_PACE = """\
read -r c </sys/devices/system/cpu/online
most=$((${c##*[,-]} + 3))
f=/tmp/probe.$$; mkfifo $f $f.n && exec 3<>$f 4<>$f.n && rm $f $f.n || exit 3
nap() { read -t 0.02 -r _ <&4; }
(nap) 2>/dev/null; [ $? -ne 2 ] || nap() { sleep 0.05; }
turn() {
read -r _ <&3
i=0
while read -r _ _ _ l _ </proc/loadavg && [ ${l%%/*} -gt $most ] && [ $i -lt LOOKS ]
do nap; i=$((i+1)); done
}
"""
_LOOKS = 10
"""How often a probe looks for a CPU that has time, before it starts without."""

# The loop ends by itself: at its limit, or when its input says so or ends. A foreground child in
# each turn lets the shell reap those that ended, the reader of the input among them. On a busy
# node it lets others run first, for two turns.
_LOOP = """\
read -r c </sys/devices/system/cpu/online
most=$((${c##*[,-]} + 3))
busy() { read -r _ _ _ l _ </proc/loadavg && [ ${l%%/*} -gt $most ]; }
f=/tmp/watch.$$; mkfifo $f && exec 3<>$f && rm $f || exit 3
i=0; while [ $i -lt SLOTS ]; do echo >&3; i=$((i+1)); done
go() { read -r _ <&3; { p "$@"; echo >&3; } & }
tick() { (sleep INTERVAL); read -r t _ </proc/uptime; echo = tick $t; }
t=$b; n=0; k=2; echo = tick $t
while [ ${t%.*} -lt $((${b%.*} + LIMIT)) ] && GOING
do
if [ $k -lt 2 ] && busy; then k=$((k+1)); else k=0; each; fi
[ $((n % CHECKED)) -ne 0 ] || own
n=$((n+1)); tick
done
i=0; while [ $i -lt LINGER ]; do tick; i=$((i+1)); done
own
"""
_READER = """\
exec 5<&0
{ read -r _ <&5; } >/dev/null 2>&1 &
r=$!
"""
_CHECKED = 5
"""An own port is connected to in one turn of so many."""


class Ending(enum.Enum):
    """When a loop ends."""

    ON_INPUT = "when it reads a line or its input ends, or at its limit"
    AT_LIMIT = "at its limit"


STOP = "stop\n"
"""What a loop that ends on input is sent."""

_AT_ONCE = 4
"""So few probes start without looking: the pace would cost more than it saves."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where one ``agnhost connect`` goes: a literal address or a name, and how."""

    host: str
    port: int
    protocol: Protocol = Protocol.TCP

    @property
    def address(self) -> str:
        """``host:port``, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_name(self) -> bool:
        return re.fullmatch(r"[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", self.host) is None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one probe of a batch gave; times are seconds of the source's uptime clock."""

    outcome: Verdict | ProbeError
    raw: str = ""
    started_s: float = math.nan
    ended_s: float = math.nan

    def observation(self, probe: Probe, offset_s: float, command: str) -> Observation:
        """The answer as an observation, ``offset_s`` added to its times.

        A probe that never ran is placed at the offset itself.
        """
        if math.isnan(self.started_s):
            return Observation(probe, offset_s, offset_s, self.outcome, self.raw, command)
        started, ended = self.started_s + offset_s, self.ended_s + offset_s
        return Observation(probe, started, ended, self.outcome, self.raw, command)

    def moved(self, offset_s: float) -> Answer:
        """The answer with ``offset_s`` added to its times."""
        return replace(self, started_s=self.started_s + offset_s, ended_s=self.ended_s + offset_s)


def arguments(target: Target, timeout_s: float) -> tuple[str, ...]:
    """The words after ``agnhost connect``. ``--timeout`` is never left out: 0 hangs UDP."""
    words = [target.address, f"--timeout={round(timeout_s * 1000)}ms"]
    if target.protocol is not Protocol.TCP:
        words.append(f"--protocol={target.protocol.lower()}")
    return tuple(words)


def command(target: Target, timeout_s: float) -> str:
    """The probe as a line that can be pasted into a shell in the source."""
    return shlex.join(("/agnhost", "connect", *arguments(target, timeout_s)))


def script(targets: Sequence[Target], timeout_s: float, parallel: int) -> str:
    """Write the batch script; probes start in the order given, at most ``parallel`` at a time.

    It stands in braces, so that a shell that got half of it over stdin runs none of it, and
    it exits by itself, because the end of stdin cannot be told to every API server.
    """
    lines = ["{", _PROBE + "read -r b _ </proc/uptime; echo = begin $b"]
    paced = len(targets) > min(parallel, _AT_ONCE)
    if paced:
        # A pipe that holds as many tokens as probes may run. A child gives its token back.
        lines.append(_PACE.replace("LOOKS", str(_LOOKS)))
        lines.append(f"i=0; while [ $i -lt {parallel} ]; do echo >&3; i=$((i+1)); done")
    for index, target in enumerate(targets):
        words = shlex.join(arguments(target, timeout_s))
        if paced:
            lines.append(f"turn; {{ p {index} {words}; echo >&3; }} &")
        else:
            lines.append(f"p {index} {words} &")
    lines += ["wait", "read -r b _ </proc/uptime; echo = end $b", "exit 0", "}", ""]
    return "\n".join(lines)


def kept(script: str) -> str:
    """The batch script for a shell that shall read the next one afterwards."""
    return f"(\n{script})\n"


@dataclass(frozen=True, slots=True)
class Loop:
    """What a source does again and again.

    It probes ``targets`` every ``interval_s``, and connects to ``own`` less often, for at most
    ``limit_s``; then it waits for the probes that run, and connects to ``own`` once more.
    """

    targets: tuple[Target, ...]
    own: tuple[Target, ...]
    timeout_s: float
    interval_s: float
    limit_s: float
    ending: Ending = Ending.ON_INPUT

    @property
    def linger_s(self) -> float:
        """How long the loop still shows that it is running, after its last turn."""
        return self._linger * self.interval_s

    @property
    def _linger(self) -> int:
        return math.ceil(self.timeout_s / self.interval_s) + 2

    def script(self) -> str:
        """Write the loop's script; a slow probe lets the next ones start later, not more of them.

        Its targets have the indices from 0 on, those of ``own`` the ones after them.
        """
        slots = len(self.targets) * (self._linger + 2) + 2 * len(self.own)
        stops = self.ending is Ending.ON_INPUT
        words = {
            "SLOTS": slots,
            "INTERVAL": f"{self.interval_s:g}",
            "LIMIT": math.ceil(self.limit_s),
            "CHECKED": _CHECKED,
            "LINGER": self._linger,
            "GOING": "kill -0 $r 2>/dev/null" if stops else ":",
        }
        body = re.sub("|".join(words), lambda found: str(words[found[0]]), _LOOP)
        lines = ["{", _PROBE + "read -r b _ </proc/uptime; echo = begin $b"]
        lines += [_READER] if stops else []
        lines += self._turn("each", 0, self.targets)
        lines += self._turn("own", len(self.targets), self.own)
        lines += [body, "kill $r 2>/dev/null" if stops else ""]
        lines += ["wait", "read -r b _ </proc/uptime; echo = end $b", "exit 0", "}", ""]
        return "\n".join(lines)

    def _turn(self, name: str, first: int, targets: Sequence[Target]) -> list[str]:
        calls = [
            f"go {first + index} {shlex.join(arguments(target, self.timeout_s))}"
            for index, target in enumerate(targets)
        ]
        return [f"{name}() {{", ":", *calls, "}"]

    def read(self, output: str) -> tuple[tuple[int, Answer], ...]:
        """Read what the loop printed so far: its answers with the indices of their targets."""
        targets = (*self.targets, *self.own)
        return tuple(
            (int(found[1]), _answer(found, targets[int(found[1])], self.timeout_s))
            for found in _SENTINEL.finditer(output[: output.rfind("\n") + 1])
            if int(found[1]) < len(targets)
        )


def ticks_s(output: str) -> tuple[float, ...]:
    """When a loop was seen running, on the source's uptime clock."""
    return tuple(map(float, re.findall(r"^= (?:tick|end) (\d+\.?\d*)$", output, re.MULTILINE)))


def longest_s(targets: Sequence[Target], timeout_s: float) -> float:
    """The time in which a probe gives a verdict, if its source gets to run."""
    lookup_s = LOOKUP_S if any(target.is_name for target in targets) else 0.0
    return timeout_s * STRETCH + lookup_s


def deadline_s(targets: Sequence[Target], timeout_s: float, parallel: int) -> float:
    """The time after which the batch of ``script`` is given up, on the slowest of machines."""
    rounds = math.ceil(len(targets) / parallel)
    return rounds * longest_s(targets, timeout_s) + len(targets) * 0.5


def shell(limit_s: float) -> tuple[str, ...]:
    """The command that reads a batch script on stdin, and is killed after ``limit_s``.

    The limit is inside the source: it holds when the harness itself is dead.
    """
    return ("timeout", "-s", "KILL", str(math.ceil(limit_s)), "/bin/sh")


def began_s(output: str) -> float | None:
    """When the batch began on the source's uptime clock, or None if it never did."""
    return _moment("begin", output)


def ended_s(output: str) -> float | None:
    """When the batch was through, or None if it broke off."""
    return _moment("end", output)


def _moment(word: str, output: str) -> float | None:
    found = re.search(rf"^= {word} (\d+\.?\d*)$", output, re.MULTILINE)
    return float(found[1]) if found else None


def read(output: str, targets: Sequence[Target], timeout_s: float) -> tuple[Answer, ...]:
    """Read what a batch printed: one answer for each target, in their order.

    A target without exactly one sentinel has no verdict.
    """
    answers: dict[int, Answer] = {}
    for found in _SENTINEL.finditer(output):
        index = int(found[1])
        if index >= len(targets) or index in answers:
            return tuple(
                Answer(ProbeError(f"the batch printed a sentinel twice or too many: {found[0]!r}"))
                for _ in targets
            )
        answers[index] = _answer(found, targets[index], timeout_s)
    missing = Answer(ProbeError("the batch ended before this probe did"))
    return tuple(answers.get(index, missing) for index in range(len(targets)))


def _answer(found: re.Match[str], target: Target, timeout_s: float) -> Answer:
    status, words = int(found[2]), found[5]
    started_s, ended_s = float(found[3]), float(found[4])
    outcome = verdict(status, words)
    if outcome is Verdict.TIMEOUT and ended_s - started_s > longest_s((target,), timeout_s):
        # A process that did not run did not hear an answer either.
        outcome = ProbeError(
            f"TIMEOUT came after {ended_s - started_s:.1f} s instead of {timeout_s:g} s: "
            "the source was frozen or starved of CPU"
        )
    return Answer(outcome, words, started_s, ended_s)


def verdict(status: int, words: str) -> Verdict | ProbeError:
    """Judge the exit status and the first line of one ``agnhost connect``."""
    said = words.strip()
    if status == 0 and not said:
        return Verdict.ALLOWED
    found = _WORDS.get(said.split(":", 1)[0])
    if status == 1 and found:
        return found
    if status in {126, 127}:
        return ProbeError(f"/agnhost cannot be run in the source: {said}")
    return ProbeError(f"agnhost connect exited with {status} and said {said!r}")
