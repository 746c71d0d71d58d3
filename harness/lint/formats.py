"""A result of lint as text, as JSON, and as annotations of GitHub Actions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from harness.documents.written import Written
from harness.errors import Location
from harness.lint.kinds import kinds
from harness.lint.sarif import sarif
from harness.lint.values import Finding, Level, Result
from harness.report.github import Annotation
from harness.report.tally import counted


@dataclass(frozen=True, slots=True)
class Shown:
    """What is printed of a result: the findings of a level and above, with their lines."""

    result: Result
    level: Level
    written: Written

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(item for item in self.result.findings if item.level.reaches(self.level))


def text(shown: Shown) -> str:
    """Return the findings with their lines, and a summary."""
    parts = [_block(item, shown.written) for item in shown.findings]
    parts += [f"note: {note}" for note in shown.result.notes]
    return "\n".join([*parts, _summary(shown.result, shown.level)]) + "\n"


def _block(item: Finding, written: Written) -> str:
    here = item.place.location
    lines = [f"{here}: {item.level}: {item.said.message} [{item.id}]"]
    excerpt = written.excerpt(here)
    if excerpt:
        lines.append(f"{here.line:>5} | {excerpt}")
    lines += [f"      {related.location}: {related.text}" for related in item.said.related]
    if item.said.hint:
        lines.append(f"hint: {item.said.hint}")
    return "\n".join(lines)


def _summary(result: Result, level: Level) -> str:
    counts = {word: sum(item.level is word for item in result.findings) for word in Level}
    shown = [
        counted(count, word) for word, count in counts.items() if count and word.reaches(level)
    ]
    policies = "1 policy" if result.policies == 1 else f"{result.policies} policies"
    about = f"{policies}, {counted(result.workloads, 'workload')}"
    line = f"{', '.join(shown) or 'nothing found'} in {about}"
    for word, count in counts.items():
        if count and not word.reaches(level):
            line += f"; {counted(count, word)} with --level={word}"
    return f"{line}; {result.silenced} silenced" if result.silenced else line


def json_text(shown: Shown) -> str:
    """Return the findings as JSON."""
    made = {
        "findings": [_as_json(item) for item in shown.findings],
        "silenced": shown.result.silenced,
        "notes": [str(note) for note in shown.result.notes],
    }
    return json.dumps(made, indent=2) + "\n"


def _as_json(item: Finding) -> Mapping[str, object]:
    return {
        "id": item.id,
        "level": item.level,
        "requirements": kinds()[item.id].requirements,
        "object": item.place.subject,
        "location": _place(item.place.location),
        "message": item.said.message,
        "hint": item.said.hint,
        "related": [
            {"text": related.text, "location": _place(related.location)}
            for related in item.said.related
        ],
        "fingerprint": item.fingerprint,
    }


def _place(location: Location) -> Mapping[str, object]:
    return {"file": location.path, "line": location.line, "column": location.column}


def github(shown: Shown) -> str:
    """Return the findings as annotations of GitHub Actions."""
    return "".join(f"{line}\n" for line in _annotations(shown.findings))


_WORDS = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}


def _annotations(found: Sequence[Finding]) -> Iterator[str]:
    for item in found:
        hint = f"\nhint: {item.said.hint}" if item.said.hint else ""
        message = f"{item.said.message}{hint}"
        yield str(Annotation(str(item.place.location), item.id, message, _WORDS[item.level]))


def sarif_text(shown: Shown) -> str:
    """Return the findings as SARIF 2.1.0."""
    return json.dumps(sarif(shown.findings), indent=2) + "\n"


FORMATS: Mapping[str, Callable[[Shown], str]] = MappingProxyType(
    {"text": text, "json": json_text, "sarif": sarif_text, "github": github}
)
