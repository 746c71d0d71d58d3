"""How fast a table is probed on a real cluster: ``python benchmarks/kube_table.py``.

Nine pods in three namespaces, each to each, TCP and UDP, ports 80 and 81: 324 probes, of which
96 time out. The same table on the same cluster in one run: by the harness, by one exec for each
probe, and by ``cyclonus probe`` where it is on the PATH; and the floor that no way can pass.

The cluster is a kind cluster that ``netpol up`` made; what this makes in it is removed. Exit
status: 1 for a wrong verdict of the harness, 3 for one that is missing or for no cluster.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import kubernetes.client
import kubernetes.config
import kubernetes.stream

from harness import agnhost
from harness.agnhost import Target
from harness.choice import KIND_NAME, ClusterChoice, offline_folder
from harness.cluster import Cluster, kind
from harness.errors import ClusterError, HarnessError
from harness.model import (
    ContainerPort,
    Destination,
    Labels,
    Manifest,
    Namespace,
    Observation,
    Pod,
    Probe,
    ProbeError,
    Protocol,
    State,
    Verdict,
)

NAMESPACES, PODS, PORTS, PROTOCOLS = "xyz", "abc", (80, 81), (Protocol.TCP, Protocol.UDP)
GUARDED = "z"
POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny-all-ingress", "namespace": GUARDED},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}
SETTLE_S = 60.0
CYCLONUS_LIMIT_S = 300.0
WAYS = ("exec-3", "exec-15", "cyclonus", "floor")
SHOWN = 5


def table_state() -> State:
    ports = tuple(ContainerPort(number, protocol) for protocol in PROTOCOLS for number in PORTS)
    named = [(namespace, pod) for namespace in NAMESPACES for pod in PODS]
    pods = tuple(
        Pod(namespace, pod, Labels({"pod": pod}), ports, node=1 + index % 2)
        for index, (namespace, pod) in enumerate(named)
    )
    policy = Manifest(
        "networking.k8s.io/v1", "NetworkPolicy", GUARDED, "deny-all-ingress", json.dumps(POLICY)
    )
    return State("bench", tuple(Namespace(name) for name in NAMESPACES), pods, policies=(policy,))


def table_probes(state: State) -> list[Probe]:
    return [
        Probe(source.ref, Destination(target.ref, port.number, port.protocol))
        for source in state.pods
        for target in state.pods
        for port in target.ports
    ]


def expected(probe: Probe) -> Verdict:
    """A pod reaches itself whatever the policy says."""
    host = probe.destination.host
    guarded = getattr(host, "namespace", "") == GUARDED and probe.source != host
    return Verdict.TIMEOUT if guarded else Verdict.ALLOWED


# ------------------------------------------------------------------ what was measured


@dataclass(frozen=True, slots=True)
class Row:
    """One way to probe the table: the seconds of each round, and what went wrong in all.

    ``silent`` counts the probes that gave no verdict, ``wrong`` the verdicts that are not as
    the policy says; None is unknown. A round with either measures no table.
    """

    name: str
    seconds: tuple[float, ...]
    wrong: int | None = None
    silent: int | None = None

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class Floor:
    """What the table costs at least: all its starts on all cores at once, or one timeout.

    ``plain_s`` is for starts as the other ways do them, without ``agnhost.TUNING``.
    """

    starts_s: float
    plain_s: float
    cores: int
    timeout_s: float

    @property
    def seconds(self) -> float:
        return max(self.starts_s, self.timeout_s)


def print_rows(rows: Sequence[Row], floor: Floor | None) -> None:
    ours = rows[0].best
    # The floor is for one round, so that the best of each is what is compared.
    header = ("way", "rounds", "best s", "median s", "x ours", "x floor", "wrong", "silent")
    lines = [header] + [
        (
            row.name,
            str(len(row.seconds)),
            f"{row.best:.2f}",
            f"{row.median:.2f}",
            f"{row.best / ours:.2f}",
            f"{row.best / floor.seconds:.2f}" if floor else "-",
            *("-" if count is None else str(count) for count in (row.wrong, row.silent)),
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    print()
    for name, *cells in lines:
        numbers = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        print("  ".join((name.ljust(widths[0]), *numbers)))
    if floor:
        print(
            f"\nfloor: {floor.seconds:.2f} s, the larger of one timeout ({floor.timeout_s:g} s)"
            f" and {floor.starts_s:.2f} s for the starts alone, on {floor.cores} cores"
            f" ({floor.plain_s:.2f} s as the other ways start them)"
        )


# ------------------------------------------------------------------ ours


def settle(cluster: Cluster, probes: Sequence[Probe]) -> list[Observation]:
    """Probe until the table is right; ClusterError tells what stays wrong."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        observed = list(cluster.probe(probes))
        wrong = wrong_ones(observed)
        if not wrong:
            return observed
        if time.monotonic() > deadline:
            shown = "\n".join(f"  {item.probe}: {item.outcome}" for item in wrong[:10])
            raise ClusterError(
                f"{len(wrong)} of {len(probes)} verdicts stay wrong for {SETTLE_S:g} s:\n{shown}",
                "does the CNI enforce NetworkPolicy, and is the machine idle?",
            )


def wrong_ones(observed: Sequence[Observation]) -> list[Observation]:
    return [item for item in observed if item.outcome is not expected(item.probe)]


def count(outcomes: Sequence[tuple[Probe, Verdict | ProbeError]]) -> tuple[int, int]:
    """How many verdicts are wrong, and how many are missing; the first of each are printed."""
    silent = [f"{probe}: {what}" for probe, what in outcomes if isinstance(what, ProbeError)]
    wrong = [
        f"{probe}: {what}, not {expected(probe)}"
        for probe, what in outcomes
        if isinstance(what, Verdict) and what is not expected(probe)
    ]
    for word, lines in (("WRONG VERDICT", wrong), ("NO VERDICT", silent)):
        for line in lines[:SHOWN]:
            print(f"{word}: {line}")
        if len(lines) > SHOWN:
            print(f"{word}: and {len(lines) - SHOWN} more")
    return len(wrong), len(silent)


def measure_ours(cluster: Cluster, probes: Sequence[Probe], rounds: int) -> Row:
    seconds, wrong, silent = [], 0, 0
    for _ in range(rounds):
        began = time.monotonic()
        observed = {item.probe: item.outcome for item in cluster.probe(probes)}
        seconds.append(time.monotonic() - began)
        nothing = ProbeError("the cluster gave no observation")
        amiss = count([(probe, observed.get(probe, nothing)) for probe in probes])
        wrong, silent = wrong + amiss[0], silent + amiss[1]
    return Row("harness, one exec per source", tuple(seconds), wrong, silent)


# ------------------------------------------------------------------ one exec for each probe


@dataclass(frozen=True, slots=True)
class Exec:
    """A command in a pod's container ``agnhost``."""

    namespace: str
    pod: str
    argv: tuple[str, ...]

    @classmethod
    def of(cls, line: str) -> Exec:
        """Read the line with which an Observation says how to repeat it by hand."""
        words = shlex.split(line)
        after = {word: index + 1 for index, word in enumerate(words)}
        return cls(words[after["-n"]], words[after["exec"]], tuple(words[after["--"] :]))


Executor = Callable[[Exec], tuple[int, str]]
"""Runs a command in a pod; gives its exit status and all that it wrote."""


def _client(kubeconfig: Path, context: str) -> kubernetes.client.CoreV1Api:
    client = kubernetes.config.new_client_from_config(str(kubeconfig), context)  # type: ignore[no-untyped-call]
    return kubernetes.client.CoreV1Api(client)


def stream_executor(kubeconfig: Path, context: str) -> Executor:
    """Python's client: ``stream`` patches its client, so that each thread has one of its own."""
    own = threading.local()

    def run(what: Exec) -> tuple[int, str]:
        if not hasattr(own, "api"):
            own.api = _client(kubeconfig, context)
        link = kubernetes.stream.stream(
            own.api.connect_get_namespaced_pod_exec,
            what.pod,
            what.namespace,
            container="agnhost",
            command=list(what.argv),
            stdout=True,
            stderr=True,
            stdin=False,
            tty=False,
            _preload_content=False,
        )
        link.run_forever(timeout=120)
        status = link.returncode
        return (-1 if status is None else status), link.read_all()

    return run


def kubectl_executor(kubeconfig: Path, context: str) -> Executor:
    def run(what: Exec) -> tuple[int, str]:
        where = ["--kubeconfig", str(kubeconfig), "--context", context, "-n", what.namespace]
        argv = ["kubectl", *where, "exec", what.pod, "-c", "agnhost", "--", *what.argv]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def measure_execs(
    execute: Executor, observed: Sequence[Observation], workers: int, rounds: int
) -> Row:
    """The probes of a round of ours, repeated one by one, in the order of the table."""
    ordered = sorted(observed, key=lambda item: str(item.probe))
    commands = [Exec.of(item.command) for item in ordered]

    def verdict(command: Exec) -> Verdict | ProbeError:
        try:
            status, text = execute(command)
        except (kubernetes.client.ApiException, OSError, subprocess.SubprocessError) as error:
            return ProbeError(f"{type(error).__name__}: {error}")
        return agnhost.verdict(status, text.strip().partition("\n")[0])

    seconds, wrong, silent = [], 0, 0
    for _ in range(rounds):
        with ThreadPoolExecutor(workers) as pool:
            began = time.monotonic()
            verdicts = list(pool.map(verdict, commands))
            seconds.append(time.monotonic() - began)
        probes = [item.probe for item in ordered]
        amiss = count(list(zip(probes, verdicts, strict=True)))
        wrong, silent = wrong + amiss[0], silent + amiss[1]
    return Row(f"one exec per probe, {workers} workers", tuple(seconds), wrong, silent)


# ------------------------------------------------------------------ the floor


def measure_floor(execute: Executor, some: Exec, starts: int, timeout_s: float) -> Floor:
    """Start as many probes as the table has, one after the other on each core, in one pod."""
    cores = os.cpu_count() or 1
    own = [Target("127.0.0.1", port, protocol) for protocol in PROTOCOLS for port in PORTS]
    probes = "\n".join(agnhost.command(target, timeout_s) for target in own)

    def seconds(tuning: str) -> float:
        repeats = math.ceil(starts / len(own) / cores)
        text = f"""{tuning}
            go() {{ i=0; while [ $i -lt {repeats} ]; do {probes}\n i=$((i+1)); done; }}
            read -r began _ </proc/uptime
            j=0; while [ $j -lt {cores} ]; do go >/dev/null 2>&1 & j=$((j+1)); done; wait
            read -r ended _ </proc/uptime; echo $began $ended"""
        try:
            status, said = execute(Exec(some.namespace, some.pod, ("/bin/sh", "-c", text)))
        except (kubernetes.client.ApiException, OSError, subprocess.SubprocessError) as error:
            raise ClusterError(f"the floor could not be measured: {error}") from None
        try:
            began, ended = (float(word) for word in said.split())
        except ValueError:
            raise ClusterError(f"the floor could not be measured: {said!r}") from None
        if status:
            raise ClusterError(f"the floor could not be measured: exit {status}")
        return (ended - began) * starts / (repeats * len(own) * cores)

    return Floor(seconds(agnhost.TUNING), seconds(""), cores, timeout_s)


# ------------------------------------------------------------------ cyclonus


def measure_cyclonus(name: str, kubeconfig: Path, timeout_s: float) -> list[Row]:
    """``cyclonus probe`` from its start to its end, and its probing alone.

    It makes the namespaces x, y and z, under these very names; they are deleted afterwards,
    and where one of them is there already, nothing is done.
    """
    if shutil.which("cyclonus") is None:
        print("cyclonus: not on the PATH, left out")
        return []
    context = f"kind-{name}"
    api = _client(kubeconfig, context)
    there = _names(api) & set(NAMESPACES)
    if there:
        print(f"cyclonus: namespaces {', '.join(sorted(there))} exist already, left out")
        return []
    _load_cyclonus_image(name)
    try:
        with tempfile.TemporaryDirectory() as folder:
            policy = Path(folder) / "policy.yaml"
            policy.write_text(json.dumps(POLICY), encoding="utf-8")
            return _run_cyclonus(context, kubeconfig, policy, timeout_s)
    finally:
        _delete_namespaces(api)


def _load_cyclonus_image(name: str) -> None:
    folder = offline_folder()
    archive = folder / "images" / "cyclonus-agnhost.tar" if folder else None
    if archive is None or not archive.exists():
        return  # The nodes pull it from its registry.
    subprocess.run(
        ["kind", "load", "image-archive", str(archive), "--name", name],
        check=True,
        capture_output=True,
        timeout=180,
    )


def _run_cyclonus(context: str, kubeconfig: Path, policy: Path, timeout_s: float) -> list[Row]:
    argv = ["cyclonus", "probe", f"--context={context}", f"--policy-path={policy}"]
    argv += [f"--server-namespace={','.join(NAMESPACES)}", f"--server-pod={','.join(PODS)}"]
    argv += [f"--server-port={','.join(map(str, PORTS))}", "--server-protocol=TCP,UDP"]
    # --all-available is its default: each pod, each port, each protocol. A pod reaches itself.
    argv += ["--probe-mode=pod-ip", "--ignore-loopback", f"--job-timeout-seconds={timeout_s:.0f}"]
    began, probing, ended, said = time.monotonic(), None, None, []
    for moment, line in _lines(argv, os.environ | {"KUBECONFIG": str(kubeconfig)}):
        said.append(line)
        if "running kube probe" in line:
            probing, ended = moment, None
        elif probing and ended is None:
            ended = moment
    took_s = time.monotonic() - began
    found = re.search(r"^(\d+) wrong, \d+ ignored, \d+ correct$", "".join(said), re.MULTILINE)
    wrong = int(found[1]) if found else None
    rows = [Row("cyclonus probe, in all", (took_s,), wrong)]
    if probing and ended:
        rows.append(Row("cyclonus probe, its probing", (ended - probing,), wrong))
    return rows


def _lines(argv: Sequence[str], environment: dict[str, str]) -> Iterator[tuple[float, str]]:
    """What a process says, each line with its moment; ClusterError if it fails or hangs."""
    process = subprocess.Popen(
        argv, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    killer = threading.Timer(CYCLONUS_LIMIT_S, process.kill)
    killer.start()
    last = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            last = line
            yield time.monotonic(), line
        if process.wait():
            raise ClusterError(f"exit {process.returncode}: {argv[0]} said last: {last.strip()}")
    finally:
        killer.cancel()
        process.kill()
        process.wait()


def _names(api: kubernetes.client.CoreV1Api) -> set[str]:
    return {str(item.metadata.name) for item in api.list_namespace().items if item.metadata}


def _delete_namespaces(api: kubernetes.client.CoreV1Api) -> None:
    for name in NAMESPACES:
        with contextlib.suppress(kubernetes.client.ApiException):
            api.delete_namespace(name, grace_period_seconds=0)
    deadline = time.monotonic() + 120.0
    left = set(NAMESPACES)
    while left and time.monotonic() < deadline:
        time.sleep(0.5)
        left &= _names(api)
    if left:
        print(f"NOT REMOVED: the namespaces {', '.join(sorted(left))} of cyclonus")


# ------------------------------------------------------------------ in one run


def run(options: argparse.Namespace) -> int:
    name, context = options.kind_name, f"kind-{options.kind_name}"
    choice = ClusterChoice(
        cluster="kind", kind_name=name, probe_timeout=options.timeout, cni=options.cni
    )
    state = table_state()
    # As the runner does it: those that only wait begin first.
    probes = sorted(table_probes(state), key=lambda probe: expected(probe) is Verdict.ALLOWED)
    denied = sum(expected(probe) is Verdict.TIMEOUT for probe in probes)
    print(
        f"{len(probes)} probes, {denied} of them denied, timeout {options.timeout:g} s, {context}"
    )
    cluster = choice.make("main")
    kubeconfig = kind.kubeconfig(name)
    executor = {"stream": stream_executor, "kubectl": kubectl_executor}[options.exec]
    execute = executor(kubeconfig, context)
    floor = None
    try:
        began = time.monotonic()
        cluster.sync(state)
        synced = time.monotonic()
        observed = settle(cluster, probes)
        settled = time.monotonic()
        print(f"synced in {synced - began:.1f} s, right after {settled - synced:.1f} s")
        rows = [measure_ours(cluster, probes, options.rounds)]
        for workers in (15, 3):
            if f"exec-{workers}" not in options.skip:
                print(f"one exec per probe, {workers} workers, by {options.exec} ...")
                rows.append(measure_execs(execute, observed, workers, options.baseline_rounds))
        if "floor" not in options.skip:
            some = Exec.of(observed[0].command)
            floor = measure_floor(execute, some, len(probes), options.timeout)
    finally:
        for thing in cluster.close():
            print(f"NOT REMOVED: {thing}")
    # Afterwards, for its nine pods and ours would share the nodes.
    if "cyclonus" not in options.skip:
        rows += measure_cyclonus(name, kubeconfig, options.timeout)
    print_rows(rows, floor)
    if rows[0].wrong or rows[0].silent:
        print("\nNOT A MEASUREMENT: the harness did not give the whole table, see above")
    return 1 if rows[0].wrong else 3 if rows[0].silent else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind-name", default=KIND_NAME, help=f"({KIND_NAME})")
    parser.add_argument("--cni", help="the profile it must have")
    parser.add_argument("--rounds", type=int, default=5, help="of ours (5)")
    parser.add_argument("--baseline-rounds", type=int, default=1, help="of execs per probe (1)")
    parser.add_argument("--timeout", type=float, default=1.0, metavar="SECONDS", help="(1)")
    parser.add_argument(
        "--exec",
        choices=("stream", "kubectl"),
        default="stream",
        help="how one exec per probe is done: Python's client, which costs less CPU and so is"
        " the harder one to beat (stream), or a kubectl process each",
    )
    parser.add_argument("--skip", action="append", default=[], choices=WAYS, help="repeatable")
    try:
        return run(parser.parse_args())
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
