"""The indentation of tables in a scenario file, as their author sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.documents.problems import Problems
from harness.documents.source import Document, Scope, documents

_TABLE = re.compile(r"(?P<before>(?P<outer> *(?:- +)*)expect: +\|)(?P<behind>[+-]?(?: +#.*)?)")


def scenario_documents(path: str, text: str, problems: Problems) -> tuple[Document, ...]:
    """Return the YAML documents of a scenario or a fixture; problems are recorded."""
    return documents(path, text, problems, Scope(prepare=_with_indentation))


def _with_indentation(text: str) -> str:
    """Write behind the `|` of each table how far it is indented, as its author sees it.

    YAML takes the indentation of a block from its first line, and a table's first line, the
    destinations, stands further to the right than its rows. Only what is behind the `|`
    changes, so that every position in the text stays.
    """
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        opens = _TABLE.fullmatch(line.rstrip("\r\n"))
        if not opens:
            continue
        outer = len(opens["outer"])
        below = [len(row) - len(row.lstrip(" ")) for row in _block(lines, number + 1, outer)]
        if below and min(below) < below[0] and min(below) - outer <= 9:
            ending = line[len(line.rstrip("\r\n")) :]
            lines[number] = f"{opens['before']}{min(below) - outer}{opens['behind']}{ending}"
    return "".join(lines)


def _block(lines: Sequence[str], first: int, outer: int) -> Iterator[str]:
    """Yield the lines from ``first`` on that hold something and are indented beyond ``outer``."""
    for number in range(first, len(lines)):
        line = lines[number]
        if not line.strip():
            continue
        if len(line) - len(line.lstrip(" ")) <= outer:
            return
        yield line
