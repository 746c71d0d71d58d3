"""How long hostile files of 1 MB take to be read or refused, and in how much memory.

Each file is read by ``netpol check`` in its own process. The aim is 2 s of processor time, user
and system, and 300 MB. The time includes the start of Python and all imports. With
PYTHONDONTWRITEBYTECODE set, the start also compiles the modules; ``make bench`` unsets it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

SIZE = 1_000_000
HEAD = "scenario: S\nwhy: W.\ntopology: {app: {pods: {a: {}, b: {ports: [80]}}}}\nsteps:\n"
STEP = "  - step: s\n    expect: |2\n            app/b:80\n"


def filled(piece: Callable[[int], str], head: str = "", tail: str = "") -> str:
    """Repeat pieces until the file has its size."""
    parts, size, number = [head], len(head) + len(tail), 0
    while size < SIZE:
        parts.append(piece(number))
        size += len(parts[-1])
        number += 1
    return "".join([*parts, tail])


FILES: dict[str, Callable[[], str]] = {
    "numbers in a list": lambda: filled(lambda _: "1,", "a: [", "]"),
    "open brackets": lambda: "[" * SIZE,
    "one long word": lambda: "a: " + "x" * SIZE,
    "digits": lambda: "a: " + "1" * SIZE,
    "unknown keys": lambda: filled(lambda n: f"k{n}: 1\n", HEAD + STEP + "      app/a allowed\n"),
    "aliases": lambda: filled(lambda n: f"a{n}: *x\n", "x: &x [1, 2, 3]\n"),
    "rows of nobody": lambda: filled(lambda n: f"      app/p{n} allowed\n", HEAD + STEP),
    "rows of stars": lambda: filled(lambda n: f"      app/*a*{n}*b allowed\n", HEAD + STEP),
    "one row of stars": lambda: HEAD + STEP + "      app/" + "a*" * (SIZE // 2) + "b allowed\n",
    "steps": lambda: filled(lambda n: f"  - {{step: s{n}, expect: allowed}}\n", HEAD),
    "tables": lambda: filled(lambda n: f"  - step: s{n}\n    expect: |\n      x\n", HEAD),
    "pods": lambda: filled(
        lambda n: f"p{n}: {{ports: [80]}}, ",
        "scenario: S\nwhy: W.\ntopology: {app: {pods: {",
        "}}}\nsteps:\n  - {step: s, expect: allowed}\n",
    ),
    "never-allowed": lambda: filled(
        lambda n: f'  "app/a -> app/b:{n % 60000 + 1}": r\n',
        HEAD + STEP + "      app/a TIMEOUT\nnever-allowed:\n",
    ),
    "policies": lambda: filled(
        lambda n: (
            "      - {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: "
            f"{{name: p{n}, namespace: app}}, spec: {{podSelector: {{}}}}}}\n"
        ),
        HEAD + "  - step: s\n    expect: TIMEOUT\n    apply:\n",
    ),
    "faulty policies": lambda: filled(
        lambda _: "      - {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, x: 1}\n",
        HEAD + "  - step: s\n    expect: TIMEOUT\n    apply:\n",
    ),
}


def processor_s() -> float:
    """Return the processor time of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print a line for each kind of file."""
    print(f"{'file of 1 MB':22} {'exit':>4} {'s':>6} {'MB':>5}")
    with tempfile.TemporaryDirectory() as folder:
        for name, make in FILES.items():
            path = Path(folder) / "hostile.yaml"
            path.write_text(make())
            before = processor_s()
            code = (
                "import resource, sys; from harness.cli import main; status = main(sys.argv[1:]); "
                "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024); "
                "sys.exit(status)"
            )
            done = subprocess.run(
                [sys.executable, "-c", code, "check", str(path)],
                capture_output=True,
                text=True,
                check=False,
            )
            used = processor_s() - before
            memory = done.stdout.split()[-1] if done.stdout.split() else "?"
            print(f"{name:22} {done.returncode:>4} {used:6.2f} {memory:>5}")


if __name__ == "__main__":
    main()
