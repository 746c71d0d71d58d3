"""results.json: a run for programs. One model writes and reads it, and defines its JSON Schema.

``docs/results.md`` describes the fields. Pydantic is imported only when a file is written or
read, because its import takes longer than most verbs.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import UsageError
from harness.model import CellStatus
from harness.report.enforcement import Times, times
from harness.report.record import CellRecord, Outcome, StepRecord, json_text
from harness.report.sharing import shared, with_topologies
from harness.report.topology import TopologyRecord

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

SCHEMA_VERSION: Literal[2] = 2
"""Increases when a field is removed or changes its meaning, not when one is added."""

_LEVELS = 4
"""The document, its steps, a step, and its cells have an entry a line."""
_FAULTS = 5
"""The maximum number of faults reported for a malformed file."""
_WRITTEN_BY = "use a file that `netpol run --results=FILE` wrote"


@dataclass(frozen=True, slots=True)
class Run:
    """The run as a whole; ``started`` is ISO 8601 in UTC.

    ``refusal`` is why no step ran (a cluster that does not enforce policies), or empty. ``cni``
    is its profile, ``cni_version`` and ``kubernetes`` are versions; empty if they are not known.
    ``options`` are those of ``netpol run`` that decide what is measured, as text.
    """

    run_id: str
    started: str
    duration_s: float
    harness: str
    cluster: str
    workers: int
    refusal: str = ""
    leftovers: tuple[str, ...] = ()
    cni: str = ""
    cni_version: str = ""
    kubernetes: str = ""
    options: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """A run and its steps, in the order of ``record.in_order``."""

    run: Run
    steps: tuple[StepRecord, ...]

    def to_json(self) -> str:
        """Return the text of a results.json: the run, its steps and their counts.

        Each cell is on one line, without the fields that are empty, so that files with many
        cells stay small.
        """
        summary = _summary(self.steps)
        topologies, steps = shared(self.steps)
        document = _Document(SCHEMA_VERSION, self.run, summary, steps, topologies)
        content = _adapter().dump_python(document)
        for step in content["steps"]:
            step["cells"] = [_without_empty(cell) for cell in step["cells"]]
        return json_text(content, _LEVELS) + "\n"

    @classmethod
    def from_json(cls, text: str, file: str) -> Results:
        """Read the text of ``file``; unknown fields are ignored.

        Raises UsageError if it is not a results.json of this schema version.
        """
        from pydantic import ValidationError

        _check_version(text, file)
        try:
            document = _adapter().validate_json(text, strict=True)
        except ValidationError as error:
            fact = f"{file}: not a results file of schema version {SCHEMA_VERSION}"
            raise UsageError("\n".join([fact, *_faults(error)]), _WRITTEN_BY) from None
        try:
            return cls(document.run, with_topologies(document.steps, document.topologies))
        except IndexError:
            fact = f"{file}: not a results file: a step names a topology that it does not have"
            raise UsageError(fact, _WRITTEN_BY) from None


def schema() -> str:
    """Return the JSON Schema of results.json, as text."""
    document = _adapter().json_schema(mode="serialization")
    for part in document["$defs"].values():
        summary, *_ = part["description"].split("\n\n")
        part["description"] = summary.replace("``", "`")
    document["$defs"]["CellRecord"]["required"] = [
        item.name for item in fields(CellRecord) if item.name not in _EMPTY
    ]
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "Results of a run of the NetworkPolicy harness"
    document["description"] = "The fields are described in docs/results.md."
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


# ------------------------------------------------------------------ the file


@dataclass(frozen=True, slots=True)
class Summary:
    """The number of steps per outcome, and of cells per status; times by kind of change."""

    steps: Mapping[str, int]
    cells: Mapping[str, int]
    times: tuple[Times, ...] = ()


@dataclass(frozen=True, slots=True)
class _Document:
    """The content of the file; ``summary`` is derived from the steps.

    ``topologies`` are those of all steps without their objects, each once.
    """

    schema: Literal[2]
    run: Run
    summary: Summary
    steps: tuple[StepRecord, ...]
    topologies: tuple[TopologyRecord, ...] = ()


_EMPTY: Mapping[str, object] = {
    item.name: item.default for item in fields(CellRecord) if item.default is not MISSING
}
"""The fields of a cell that are left out, and the values with which they are."""


def _without_empty(cell: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value
        for name, value in cell.items()
        if not (name in _EMPTY and _EMPTY[name] == value)
    }


@functools.cache
def _adapter() -> TypeAdapter[_Document]:
    from pydantic import TypeAdapter

    return TypeAdapter(_Document)


def _summary(steps: tuple[StepRecord, ...]) -> Summary:
    cells = [cell for step in steps for cell in step.cells]
    outcomes = Counter(step.outcome for step in steps)
    statuses = Counter(cell.status for cell in cells)
    return Summary(
        steps={"total": len(steps), **{each: outcomes[each] for each in Outcome}},
        cells={"total": len(cells), **{each: statuses[each] for each in CellStatus}},
        times=times(steps),
    )


def _check_version(text: str, file: str) -> None:
    """Raise UsageError unless the text is JSON of this schema version."""
    try:
        document: Any = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{file}:{error.lineno}:{error.colno}"
        raise UsageError(f"{place}: not JSON: {error.msg}", _WRITTEN_BY) from None
    except (ValueError, RecursionError):  # A number of 5,000 digits, a thousand brackets.
        fact = f"{file}: not a results file: its JSON is too deep or has too big numbers"
        raise UsageError(fact, _WRITTEN_BY) from None
    found = document.get("schema") if isinstance(document, dict) else None
    if found == SCHEMA_VERSION and type(found) is int:
        return
    if type(found) is not int:
        fact = f"{file}: not a results file: it has no schema version"
        raise UsageError(fact, _WRITTEN_BY)
    fact = f"{file}: has schema version {found}, this netpol reads version {SCHEMA_VERSION}"
    if found > SCHEMA_VERSION:
        raise UsageError(fact, "update netpol")
    raise UsageError(
        fact, "run the scenarios again with this netpol, or use the netpol that wrote the file"
    )


def _faults(error: ValidationError) -> list[str]:
    faults = [
        f"  {'.'.join(str(key) for key in fault['loc']) or 'the document'}: {fault['msg']}"
        for fault in error.errors()
    ]
    rest = len(faults) - _FAULTS
    return [*faults[:_FAULTS], *([f"  ... and {rest} more"] if rest > 0 else [])]
