"""Write the tables of docs/requirements.md and docs/defects.md: `make catalogue`.

They stand between two comments. A test compares them with the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from harness import catalogue

ROOT = Path(__file__).parents[1]
_BEGIN = "<!-- `make catalogue` writes this table -->"
_END = "<!-- end of the table -->"


def requirements() -> str:
    """Return the table of requirements, by their ids."""
    rows = [
        f"| {entry.id} | {entry.text} | {entry.status} | {entry.source} |"
        for entry in catalogue.requirements().values()
    ]
    return "\n".join(("| id | requirement | status | source |", "|---|---|---|---|", *rows))


def defects() -> str:
    """Return the table of known defects, by their ids."""
    rows = [
        f"| {entry.id} | {entry.text} | {entry.stage or ''} | {_code(entry.name)} |"
        for entry in catalogue.defects().values()
    ]
    head = ("| id | what goes wrong | stage | `--defect` |", "|---|---|---|---|")
    return "\n".join((*head, *rows))


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


TABLES: Mapping[str, Callable[[], str]] = {
    "docs/requirements.md": requirements,
    "docs/defects.md": defects,
}
"""How the table of each document is made."""


def with_table(text: str, table: str) -> str:
    """Return a document with its table replaced. Raises ValueError if it has none."""
    pattern = f"{re.escape(_BEGIN)}\n.*?{re.escape(_END)}"
    found = re.subn(pattern, lambda _: f"{_BEGIN}\n{table}\n{_END}", text, flags=re.DOTALL)
    if found[1] != 1:
        raise ValueError(f"the document does not have one {_BEGIN}")
    return found[0]


def main() -> None:
    """Write all tables."""
    for document, made in TABLES.items():
        path = ROOT / document
        path.write_text(with_table(path.read_text(encoding="utf-8"), made()), encoding="utf-8")


if __name__ == "__main__":
    main()
