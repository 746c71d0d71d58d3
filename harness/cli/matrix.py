"""The verb matrix: who reaches whom in an application."""

from __future__ import annotations

import argparse
import sys

from harness import application
from harness.cli.exits import Exit
from harness.matrix import Cut, judged
from harness.matrix.formats import FORMATS


def matrix(parsed: argparse.Namespace) -> int:
    """Print the matrix of the manifests; notes follow the text, or go to stderr."""
    cut = Cut(tuple(parsed.sources), tuple(parsed.destinations), tuple(parsed.namespaces))
    found = application.read(parsed.paths, parsed.default_namespace, sys.stdin.buffer)
    made = judged(found, cut)
    print(FORMATS[parsed.format](made), end="")
    if parsed.format in {"csv", "dot"}:
        for note in made.notes:
            print(f"note: {note}", file=sys.stderr)
    return Exit.OK
