"""How long from nothing to the first verdict: ``python benchmarks/first_verdict.py``.

Makes a kind cluster under a name of its own with ``netpol up``, runs the canary and one
scenario on it, prints how long each phase took, and deletes the cluster. Exit status: 1 for a
wrong cell, 3 for a cluster that is not one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import canary, scenario
from harness.choice import ClusterChoice
from harness.errors import ClusterError, HarnessError, UsageError
from harness.model import StepResult
from harness.runner import ScenarioRun

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "scenarios" / "examples" / "db-app1-app2.yaml"
GOAL_S = 100.0


class Phases:
    """Named stretches of time since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lines: list[tuple[str, float, float]] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        now = time.monotonic()
        self._lines.append((name, now - began, now - self._began))

    @property
    def total_s(self) -> float:
        return time.monotonic() - self._began

    def show(self) -> None:
        print(f"\n{'phase':<44} {'s':>7} {'since':>7}")
        for name, seconds, since in self._lines:
            print(f"{name[:44]:<44} {seconds:>7.1f} {since:>7.1f}")


def netpol(*words: str) -> None:
    """Run the command as a user would; it tells its own progress."""
    done = subprocess.run([sys.executable, "-m", "harness.cli", *words], cwd=ROOT, check=False)
    if done.returncode:
        raise ClusterError(f"exit {done.returncode}: netpol {' '.join(words)}")


def refuse_existing(name: str) -> None:
    """UsageError where a cluster of that name is there: it is another's, and not nothing."""
    try:
        done = subprocess.run(
            ["docker", "ps", "-aq", "--filter", f"label=io.x-k8s.kind.cluster={name}"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError("docker is not on the PATH", "kind makes its clusters with it") from None
    if done.returncode:
        raise UsageError(f"docker does not answer: {done.stderr.strip()}")
    if done.stdout.strip():
        raise UsageError(f"the kind cluster {name} is there already", "give another --name")


def amiss(result: StepResult) -> int:
    table = result.reachability
    for cell in (*table.mismatches, *table.unmeasured):
        print(f"WRONG: {cell.cell.probe}: {cell.outcome}, not {cell.cell.expected}")
    return len(table.mismatches) + len(table.unmeasured)


def measure(options: argparse.Namespace, phases: Phases) -> int:
    """Run until all steps have their verdicts; how many cells are wrong or without one."""
    with phases.phase("netpol up (cluster, CNI and DNS ready)"):
        netpol("up", f"--name={options.name}", f"--cni={options.cni}")
    choice = ClusterChoice(cluster="kind", kind_name=options.name, cni=options.cni)
    wrong, first_s = 0, 0.0
    with phases.phase("connect, read the scenario"):
        found = scenario.load(options.scenario)
        cluster = choice.make("main")
    with cluster:
        with phases.phase("canary"):
            canary.check(cluster)
        run = ScenarioRun(cluster, found)
        for index, step in enumerate(found.steps):
            with phases.phase(f"{'control and ' if index == 0 else ''}step: {step.name}"):
                wrong += amiss(run.run(index))
            if index == 0:
                first_s = phases.total_s
        last_s = phases.total_s
    phases.show()
    print(
        f"\nfirst verdict after {first_s:.1f} s, the scenario's last after {last_s:.1f} s"
        f" (goal {GOAL_S:g} s), cells amiss: {wrong}"
    )
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="netpol-first", help="of the cluster (netpol-first)")
    parser.add_argument("--cni", default="calico", help="(calico)")
    parser.add_argument("--scenario", type=Path, default=EXAMPLE, help=f"({EXAMPLE.name})")
    options = parser.parse_args()
    try:
        refuse_existing(options.name)
        try:
            return 1 if measure(options, Phases()) else 0
        finally:
            netpol("down", f"--name={options.name}")
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
