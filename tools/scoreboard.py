"""What network plugins gave for each requirement: `make scoreboard` writes docs/scoreboard.md.

The runs are docs/results/*.json.gz, files of `--results` named for the network plugin, and files
that the command line names.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from harness import catalogue, results_file
from harness.catalogue import Status
from harness.errors import UsageError
from harness.model import CellStatus
from harness.report import CellRecord, Outcome, Results, StepRecord
from harness.report.markdown import escaped, head, row
from harness.report.requirements import NOTHING, Tried, by_requirement
from harness.report.tally import counted

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
PAGE = ROOT / "docs" / "scoreboard.md"

_SHOWN = frozenset({Status.DEFINED, Status.REJECTED})
"""Requirements that a run can show."""
_REFUSED = "enforces no policy"
_FAILED = {Outcome.WRONG, Outcome.NOT_REFUSED, Outcome.UNPROVEN, Outcome.NO_VERDICT,
           Outcome.CLUSTER_ERROR}  # fmt: skip
_NONE = "None."
"""Sections are there without content too: others link to them."""
_INTRODUCTION = """\
# Scoreboard

What the scenarios measured on real clusters with several network plugins. `make scoreboard` \
writes this page from the results in \
[docs/results](https://github.com/netpol-harness/netpol-harness/tree/main/docs/results), one \
compressed [results.json](results.md) for each run. It says what was measured in these runs, and \
no more. [real-runs.md](real-runs.md) explains what was found; [coverage.md](coverage.md) has the \
scenarios of each requirement. `netpol compare --html FILE` shows such files side by side, \
with the cells that differ."""
_REQUIREMENTS = """\
## Requirements

The worst outcome of the steps that ran, of all scenarios that cover the requirement: *passed*; \
*limited*, if nothing is wrong except [known limitations](#known-limitations); or \
[what failed](#failed-steps). If steps were skipped, it says how many ran, and the numbers of the \
[reasons](#skipped-steps)."""
_UNDEFINED = """\
## Undefined by the API

Cells whose verdict the API leaves open, and what was seen."""


def page(runs: Mapping[str, Results]) -> str:
    """Return docs/scoreboard.md."""
    parts = [_INTRODUCTION, *_runs(runs)]
    parts += [_REQUIREMENTS, *_requirements(runs)]
    for found in (_failed(runs), _limitations(runs), _undefined(runs), _skipped(runs)):
        parts += found
    return "\n\n".join(parts) + "\n"


# ------------------------------------------------------------------ runs


def _runs(runs: Mapping[str, Results]) -> Iterator[str]:
    names = ("run", "cluster", "Kubernetes", "netpol", "date", "duration", "steps", "cells")
    statuses = [status for status in reversed(CellStatus) if _of_status(runs, status)]
    lines = head((*names, *statuses))
    for name, results in runs.items():
        run, cells = results.run, [cell for step in results.steps for cell in step.cells]
        counts = Counter(cell.status for cell in cells)
        minutes, seconds = divmod(round(run.duration_s), 60)
        lines.append(
            row(
                (
                    name,
                    escaped(_cluster(results)),
                    run.kubernetes or "-",
                    run.harness,
                    run.started.partition("T")[0],
                    f"{minutes} min {seconds} s",
                    _ran(results) if results.steps else _REFUSED,
                    f"{len(cells):,}",
                    *(f"{counts[status]:,}" for status in statuses),
                )
            )
        )
    yield "## Runs"
    yield "\n".join(lines)
    yield "\n".join(
        ["These commands repeat them, each on a cluster of its own:", "", *_commands(runs)]
    )
    for name, results in runs.items():
        if results.run.refusal:
            message = " ".join(results.run.refusal.split())
            yield f"{name} {_REFUSED}: no scenario ran. {escaped(message)}"


def _of_status(runs: Mapping[str, Results], status: CellStatus) -> list[CellRecord]:
    return [
        cell for results in runs.values() for step in results.steps for cell in step.having(status)
    ]


def _cluster(results: Results) -> str:
    run = results.run
    names = sorted({step.cluster for step in results.steps})
    return ", ".join(names) or " ".join(filter(None, (run.cluster, run.cni, run.cni_version)))


def _ran(results: Results) -> str:
    skipped = sum(step.outcome is Outcome.SKIPPED for step in results.steps)
    ran = len(results.steps) - skipped
    return f"{ran} of {len(results.steps)}" if skipped else str(ran)


def _commands(runs: Mapping[str, Results]) -> Iterator[str]:
    yield "```sh"
    yield from dict.fromkeys(_command(results) for results in runs.values())
    yield "```"


def _command(results: Results) -> str:
    run = results.run
    cni = run.cni or "NAME"
    make = f"netpol up --cni={cni} && " if run.cluster == "kind" else ""
    options = run.options or f"--cluster={run.cluster} --cni={cni}"
    workers = f" -n {run.workers}" if run.workers else ""
    return f"{make}netpol run {_folders(results)} {options}{workers} --results=FILE"


def _folders(results: Results) -> str:
    """Return the folders of a run, as far as they stand in the folder of all scenarios."""
    found = {Path(*Path(step.file).parent.parts[:2]) for step in results.steps}
    return " ".join(map(str, sorted(found))) or "scenarios"


# ------------------------------------------------------------------ requirements


def _requirements(runs: Mapping[str, Results]) -> Iterator[str]:
    numbers = {reason: number for number, reason in enumerate(_reasons(runs), 1)}
    found = {name: by_requirement(results.steps) for name, results in runs.items()}
    lines = head(("id", "requirement", *runs))
    for entry in catalogue.requirements().values():
        if entry.status in _SHOWN:
            words = (
                _REFUSED if results.run.refusal else _in_words(found[name].get(entry.id), numbers)
                for name, results in runs.items()
            )
            lines.append(row((entry.id, entry.text, *words)))
    yield "\n".join(lines)


def _in_words(tried: Tried | None, numbers: Mapping[str, int]) -> str:
    """Return a result, with the numbers of the reasons of skipped steps."""
    tried = tried or NOTHING
    if not tried.skipped:
        return tried.word or "-"
    why = ", ".join(map(str, sorted({numbers[reason] for reason in tried.skipped})))
    if not tried.ran:
        return f"skipped ({why})"
    total = tried.ran + len(tried.skipped)
    return f"{tried.word}, {tried.ran} of {total} steps ({why})"


# ------------------------------------------------------------------ what is not plainly passed


def _failed(runs: Mapping[str, Results]) -> Iterator[str]:
    lines = head(("step", "covers", *runs))
    for name, steps in _by_name(runs).items():
        outcomes = [_outcome(step) for step in steps]
        if any(step and step.outcome in _FAILED for step in steps):
            covers = next(step.covers for step in steps if step)
            lines.append(row((_link(name), ", ".join(covers), *outcomes)))
    yield "## Failed steps"
    yield "The number of cells of each status except *proven*; the outcome, if there are none."
    yield "\n".join(lines) if len(lines) > 2 else _NONE


def _outcome(step: StepRecord | None) -> str:
    if step is None:
        return "-"
    counts = Counter(cell.status for cell in step.cells)
    shown = (status for status in CellStatus if status is not CellStatus.PROVEN)
    words = [f"{counts[status]} {status}" for status in shown if counts[status]]
    return ", ".join(words) or str(step.outcome)


def _by_name(runs: Mapping[str, Results]) -> Mapping[tuple[str, str], list[StepRecord | None]]:
    """Return what each run has of a step, by its file and name."""
    tables = [{(step.file, step.step): step for step in one.steps} for one in runs.values()]
    return {
        key: [table.get(key) for table in tables]
        for key in sorted({key for table in tables for key in table})
    }


def _link(name: tuple[str, str]) -> str:
    file, step = name
    return f"[{escaped(_short(file))}](../{file}): {escaped(step)}"


def _short(file: str) -> str:
    return file.removeprefix("scenarios/").removesuffix(".yaml")


def _limitations(runs: Mapping[str, Results]) -> Iterator[str]:
    found: dict[str, Counter[str]] = {}
    for name, results in runs.items():
        for step in results.steps:
            for cell in step.having(CellStatus.LIMITED):
                found.setdefault(cell.limitation, Counter())[name] += 1
    lines = (
        f"- {escaped(reason)}: "
        + ", ".join(f"{counted(number, 'cell')} on {name}" for name, number in where.items())
        for reason, where in found.items()
    )
    yield "## Known limitations"
    yield "\n".join(lines) or _NONE


def _undefined(runs: Mapping[str, Results]) -> Iterator[str]:
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for name, results in runs.items():
        for step in results.steps:
            for cell in step.having(CellStatus.UNDEFINED):
                key = (_link((step.file, step.step)), escaped(cell.pair), escaped(cell.reason))
                rows.setdefault(key, {})[name] = cell.observed
    lines = head(("step", "pair", "why", *runs))
    lines += [row((*key, *(seen.get(name, "-") for name in runs))) for key, seen in rows.items()]
    yield _UNDEFINED
    yield "\n".join(lines) if rows else _NONE


def _reasons(runs: Mapping[str, Results]) -> Mapping[str, list[StepRecord]]:
    """Return the skipped steps by reason."""
    found: dict[str, list[StepRecord]] = {}
    for results in runs.values():
        for step in results.steps:
            if step.outcome is Outcome.SKIPPED:
                found.setdefault(step.message, []).append(step)
    return found


def _skipped(runs: Mapping[str, Results]) -> Iterator[str]:
    lines = (
        f"{number}. {escaped(reason)}: {counted(len(steps), 'step')} of "
        + ", ".join(sorted({escaped(_short(step.file)) for step in steps}))
        for number, (reason, steps) in enumerate(_reasons(runs).items(), 1)
    )
    yield "## Skipped steps"
    yield "\n".join(lines) or _NONE


# ------------------------------------------------------------------ the command


def kept(more: Iterable[Path] = ()) -> Mapping[str, Results]:
    """Return the runs in docs/results and in other files, by the names of the files.

    Raises UsageError if a file is no results.json, or cannot be read.
    """
    kept_here = sorted(RESULTS.glob("*.json.gz"), key=_name)
    return {_name(path): results_file.read(path) for path in (*kept_here, *more)}


def _name(path: Path) -> str:
    return path.name.partition(".json")[0]


def main(files: Sequence[str]) -> int:
    """Write the page; return 2 if a file cannot be read."""
    try:
        runs = kept(map(Path, files))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    PAGE.write_text(page(runs), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
