"""How long the scenarios take on the embedded cluster: ``python benchmarks/e2e_netns.py``.

Runs pytest as a user would, with several numbers of workers, and one scenario of three steps
alone; prints the wall time of each beside pytest's own last line.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
ALONE = "scenarios/examples/db-app1-app2.yaml"
LIMIT_S = 600.0


def measure(name: str, words: list[str], rounds: int) -> bool:
    """Print one line; whether every round passed."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--netpol-cluster=netns",
        "-p",
        "no:cacheprovider",
    ]
    seconds, said, passed = [], "", True
    for _ in range(rounds):
        began = time.monotonic()
        done = subprocess.run(
            [*command, *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        seconds.append(time.monotonic() - began)
        lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
        said = lines[-1].strip("= ") if lines else f"exit {done.returncode}"
        passed = passed and done.returncode == 0
    best, median = min(seconds), statistics.median(seconds)
    word = "" if passed else "FAILED: "
    print(f"{name:<32} best {best:6.2f} s, median {median:6.2f} s  {word}{said}", flush=True)
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="of each (1)")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[2, 4, 8], metavar="N", help="(2 4 8)"
    )
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores")
    passed = [measure("three steps alone", [ALONE], options.rounds)]
    for workers in options.workers:
        words = ["scenarios", "-n", str(workers)]
        passed.append(measure(f"all scenarios, {workers} workers", words, options.rounds))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
