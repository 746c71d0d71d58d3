"""The verb compare: what differs between files of results."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import results_file
from harness.cli.exits import Exit
from harness.errors import UsageError
from harness.files import display
from harness.report.compare import Compared
from harness.report.compare import compare as compared
from harness.report.compare_text import markdown, summary_line, text
from harness.report.html import comparison_page


def compare(parsed: argparse.Namespace) -> int:
    """Print what differs, or write it as a page; return whether anything does."""
    if len(parsed.files) < 2:
        raise UsageError("one file is nothing to compare", "netpol compare BEFORE.json NOW.json")
    results = [results_file.read(path) for path in parsed.files]
    found = compared(
        [
            Compared(name, one.run, one.steps)
            for name, one in zip(_names(parsed.files), results, strict=True)
        ]
    )
    if parsed.html:
        results_file.write_page(parsed.html, comparison_page(found))
        print(summary_line(found))
    else:
        print(markdown(found) if parsed.markdown else text(found))
    return Exit.OK if found.same else Exit.WRONG


def _names(paths: Sequence[Path]) -> Iterator[str]:
    """Yield a short name for each file: without its ending, or with its folder if that is needed.

    A file that is named again gets a number.
    """
    short = [path.name.removesuffix(".gz").removesuffix(".json") for path in paths]
    paths_of = {
        name: {path for path, own in zip(paths, short, strict=True) if own == name}
        for name in short
    }
    seen: Counter[str] = Counter()
    for path, name in zip(paths, short, strict=True):
        chosen = name if len(paths_of[name]) == 1 else display(path)
        seen[chosen] += 1
        yield chosen if seen[chosen] == 1 else f"{chosen} ({seen[chosen]})"
