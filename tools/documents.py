"""Write the parts of the documents that are made from data, and the picture: `make documents`.

A part stands between two comments that name it. A test compares it with what is made here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from harness import catalogue
from harness.catalogue import KnownDefect
from harness.cluster.kind.installation import installation
from harness.cluster.profiles import DEFAULT, Profile, profile, profile_names
from harness.cluster.profiles.reading import INSTALL, has_section
from harness.lint import Kind, kinds
from tools.terminal import svg

ROOT = Path(__file__).parents[1]

_COLUMNS = (
    "`--cni=`",
    "what it is",
    "versions",
    "`netpol up` installs",
    "denies by",
    "known not to do",
)
_DENIES = {
    "drop": "dropping: `TIMEOUT`",
    "reject": "rejecting: `REFUSED`, or `TIMEOUT` where the kernel limits the rate of ICMP",
}


def profiles() -> str:
    """Return the table of the CNI profiles that ship, the ones that kind installs first."""
    found = [profile(name) for name in profile_names()]
    found.sort(key=lambda item: not has_section(item.file, INSTALL))  # else in their order
    rows = [
        f"| {' | '.join(_COLUMNS)} |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(_cells(item))} |" for item in found),
    ]
    return "\n".join(rows)


def _cells(item: Profile) -> tuple[str, ...]:
    installable = has_section(item.file, INSTALL)
    return (
        f"`{item.name}`{' (default)' if item.name == DEFAULT else ''}",
        item.title,
        f"`{item.versions}`",
        installation(item).version if installable else "",
        _DENIES[item.denies_by] if item.enforces else "not at all",
        "; ".join(limitation.says for limitation in item.limitations),
    )


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
        f"| {entry.id} | {entry.text} | {entry.stage or ''} | {entry.effect or ''} "
        f"| {_switch(entry) or entry.not_here or ''} | {_seen(entry)} |"
        for entry in catalogue.defects().values()
    ]
    head = (
        "| id | what goes wrong | stage | effect | `--defect`, or why not | reported for |",
        "|---|---|---|---|---|---|",
    )
    return "\n".join((*head, *rows))


def _switch(entry: KnownDefect) -> str:
    delay = "" if entry.delay_s is None else f", delay {entry.delay_s:g} s"
    return f"`{entry.name}`{delay}" if entry.name else ""


def _seen(entry: KnownDefect) -> str:
    return "<br>".join(
        f"{plugin} {', '.join(map(_report, reports))}" for plugin, reports in entry.seen.items()
    )


def _report(report: str) -> str:
    """Return a link to an issue, a pull request or a commit on GitHub."""
    place = report.replace("#", "/issues/").replace("@", "/commit/")
    return f"[{report.partition('/')[2]}](https://github.com/{place})"


def findings() -> str:
    """Return a section for each kind of finding of lint, after a table of all."""
    rows = [
        f"| [{item.id}](#{item.id}) | {item.level} | {item.title} |" for item in kinds().values()
    ]
    head = ("| finding | level | |", "|---|---|---|")
    return "\n".join((*head, *rows, *map(_finding, kinds().values())))


def _finding(item: Kind) -> str:
    ids = ", ".join(f"[{name}](requirements.md)" for name in item.requirements)
    about = f"{item.level.capitalize()}{', ' if ids else ''}{ids}."
    parts = (f"{item.title}. {item.why}", f"{item.mend}", f"```yaml\n{item.example.strip()}\n```")
    return f"\n### {item.id}\n\n{about} " + "\n\n".join(parts)


def failure() -> str:
    """Return the failure that the README shows as a picture, as text."""
    text = (ROOT / CELL).read_text(encoding="utf-8")
    block: str
    (block,) = re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return block.split("    probe output:")[0]


CELL = "docs/verdicts.md"
PICTURE = "docs/images/wrong-cell.svg"
PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "CNI profiles": ("docs/real-clusters.md", profiles),
    "requirements": ("docs/requirements.md", requirements),
    "known defects": ("docs/defects.md", defects),
    "findings": ("docs/lint.md", findings),
}


def picture() -> str:
    """Return the picture of the failure, as SVG."""
    return svg(failure(), "A wrong cell: app2/nginx connects to db/postgres")


def with_part(text: str, name: str, part: str, command: str = "make documents") -> str:
    """Return a document with a part replaced. Raises ValueError if it has no such part."""
    begin = f"<!-- {name}: `{command}` writes this -->"
    end = f"<!-- end of {name} -->"
    found = re.subn(
        f"{re.escape(begin)}\n.*?{re.escape(end)}",
        lambda _: f"{begin}\n{part}\n{end}",
        text,
        flags=re.DOTALL,
    )
    if found[1] != 1:
        raise ValueError(f"the document has no part {name!r}")
    return found[0]


def main() -> None:
    """Write all parts, and print the documents that changed."""
    for name, (document, made) in PARTS.items():
        path = ROOT / document
        before = path.read_text(encoding="utf-8")
        after = with_part(before, name, made())
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"written: {document}, {name}")
    path = ROOT / PICTURE
    if not path.exists() or path.read_text(encoding="utf-8") != picture():
        path.write_text(picture(), encoding="utf-8")
        print(f"written: {PICTURE}")


if __name__ == "__main__":
    main()
