"""The kill table: each known defect, switched on, must turn a scenario that claims it red.

    python -m tools.kill_table              the claims: `catches:` of the scenarios; `make defects`
    python -m tools.kill_table --all        every scenario with every defect that changes its rules
    python -m tools.kill_table --delays     also the smallest delays at which defects are killed
    python -m tools.kill_table --write      also write what was run into docs/kill-table.md

A scenario kills a defect if all of its cells are right and proven without the defect and, with it,
a cell is wrong in the direction of the defect: a denied pair connects, or an allowed pair is
denied.
A claim that does not kill, and a defect that no scenario kills, are failures. So is a defect that
another one hides, of the pairs that one public report describes. The verdicts are those of
packets: the oracle has no part in it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harness import catalogue, scenario
from harness.catalogue import KnownDefect
from harness.model import Scenario
from tools.affected import affecting
from tools.documents import with_part
from tools.kill_trials import SCENARIOS, Outcome, Trial, tried

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "kill-table.md"
COMMANDS = {
    "kills": "make defects",
    "pairs": "make defects",
    "delays": "make defects DELAYS=1",
    "everything": "make defects ALL=1",
}
"""The parts of the document, and what writes each."""

DELAYS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
TRIES = 3
"""How often a scenario must kill a defect with a delay, out of as many runs."""


def claims(read: Mapping[Path, Scenario]) -> Iterator[Trial]:
    """Yield a trial for each defect that a scenario claims."""
    for path, found in read.items():
        names = (catalogue.defects()[id_].name for id_ in found.catches)
        yield from (Trial(path, name) for name in names if name)


def trials_of_pairs(read: Mapping[Path, Scenario]) -> Iterator[Trial]:
    """Yield the claims about each defect of a pair, with the other one on as well."""
    for judged, beside in _in_pairs():
        for path, found in read.items():
            if judged.id in found.catches:
                yield Trial(path, judged.name, beside.name)


def _in_pairs() -> Iterator[tuple[KnownDefect, KnownDefect]]:
    """Yield each defect of a pair with the other one."""
    for one, other in catalogue.pairs():
        yield from ((one, other), (other, one))


def _is_right(outcome: Outcome) -> bool:
    return not (outcome.killed_by or outcome.skipped or outcome.failed)


def kills(found: Mapping[Trial, Outcome]) -> Mapping[Trial, Outcome]:
    """Return the kills: a scenario must be right without the defect."""
    right = {t.path for t, o in found.items() if t.defect is None and _is_right(o)}
    return {
        trial: outcome
        for trial, outcome in found.items()
        if trial.defect and not trial.beside and outcome.killed_by and trial.path in right
    }


def kill_in_pair(
    found: Mapping[Trial, Outcome], judged: KnownDefect, beside: KnownDefect
) -> Outcome | None:
    """Return the first kill of a defect while the other one is on, by a scenario that kills it."""
    alone = kills(found)
    for trial, outcome in found.items():
        pair = (trial.defect, trial.beside) == (judged.name, beside.name)
        if pair and outcome.killed_by and Trial(trial.path, judged.name) in alone:
            return outcome
    return None


def smallest_delay(
    entry: KnownDefect, paths: Sequence[Path], run: Callable[[Sequence[Trial]], Sequence[Outcome]]
) -> Outcome | None:
    """Return a kill with the smallest delay at which one of the scenarios kills in all tries."""
    for delay_s in DELAYS_S:
        wanted = [Trial(path, entry.name, delay_s=delay_s) for path in paths]
        outcomes = run(wanted * TRIES)
        for trial in wanted:
            own = [outcome for outcome in outcomes if outcome.trial == trial]
            if all(outcome.killed_by for outcome in own):
                return own[0]
    return None


def problems(read: Mapping[Path, Scenario], found: Mapping[Trial, Outcome]) -> Iterator[str]:
    """Yield a line for each scenario that fails without a defect, false claim, and survivor."""
    for trial, outcome in found.items():
        alone = outcome.killed_by or outcome.failed
        if trial.defect is None and alone:
            yield f"{_shown(trial.path)}: not right without any defect: {alone}"
    for path, one in read.items():
        for id_ in one.catches:
            name = catalogue.defects()[id_].name
            claimed = found.get(Trial(path, name))
            if name and claimed and not claimed.killed_by:
                why = claimed.failed or claimed.skipped or "every cell is as before"
                yield f"{_shown(path)}: claims {id_}, and {name} does not show: {why}"
    killed = {trial.defect for trial in kills(found)}
    for id_, entry in catalogue.defects().items():
        if entry.name and entry.name not in killed:
            yield f"{id_} {entry.name}: survives, no scenario that was run shows it"
    for judged, beside in _in_pairs():
        if kill_in_pair(found, judged, beside) is None:
            yield f"{judged.id} {judged.name}: {beside.id} {beside.name} hides it"


def claims_kept(
    read: Mapping[Path, Scenario], found: Mapping[Trial, Outcome], entry: KnownDefect
) -> Sequence[Outcome]:
    """Return the kills of a defect by the scenarios that claim it."""
    return [
        outcome
        for trial, outcome in kills(found).items()
        if trial.defect == entry.name and entry.id in read[trial.path].catches
    ]


def kills_part(read: Mapping[Path, Scenario], found: Mapping[Trial, Outcome]) -> str:
    """Return the table of defects, and of the scenarios that claim them."""
    entries = catalogue.defects()
    rows = []
    for id_, entry in entries.items():
        if not entry.name:
            continue
        own = claims_kept(read, found, entry)
        first = _cell(own[0]) if own else "**survives**"
        rows.append(f"| {id_} | `{entry.name}` | {entry.effect} | {len(own)} | {first} |")
    head = (
        f"{len(rows)} of {len(entries)} known defects can be switched on. "
        "[defects.md](defects.md) says what each is, and why the others cannot.",
        "",
        "| id | defect | effect | caught by | first of them: step and cell |",
        "|---|---|---|---|---|",
    )
    return "\n".join((*head, *rows))


def pairs_part(found: Mapping[Trial, Outcome]) -> str:
    """Return the table of pairs of defects."""
    head = (
        "| pair | report | the first is caught by | the second is caught by |",
        "|---|---|---|---|",
    )
    return "\n".join((*head, *(_pair_row(found, one, other) for one, other in catalogue.pairs())))


def delays_part(smallest: Mapping[str, Outcome | None]) -> str:
    """Return the table of the smallest delays that were noticed, by the id of their defect."""
    rows = []
    for id_, kill in smallest.items():
        entry = catalogue.defects()[id_]
        noticed = f"{kill.trial.delay_s:g} s | {_cell(kill)}" if kill else "**none** |"
        rows.append(f"| {id_} | `{entry.name}` | {entry.delay_s:g} s | {noticed} |")
    head = (
        f"Tried: {', '.join(f'{delay_s:g}' for delay_s in DELAYS_S)} s.",
        "",
        "| id | defect | default | smallest delay noticed | by: step and cell |",
        "|---|---|---|---|---|",
    )
    return "\n".join((*head, *rows))


def _pair_row(found: Mapping[Trial, Outcome], one: KnownDefect, other: KnownDefect) -> str:
    reports = ", ".join(sorted(one.reports & other.reports))
    caught = [kill_in_pair(found, one, other), kill_in_pair(found, other, one)]
    cells = [_cell(kill) if kill else "**hidden**" for kill in caught]
    names = f"{one.id} `{one.name}`, {other.id} `{other.name}`"
    return f"| {names} | {reports} | {cells[0]} | {cells[1]} |"


def _cell(kill: Outcome) -> str:
    return f"{_shown(kill.trial.path)}, {kill.killed_by}"


def _shown(path: Path) -> str:
    return path.relative_to(SCENARIOS).as_posix()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trials; print problems, and return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--all", action="store_true", help="every scenario with every defect")
    parser.add_argument(
        "--delays", action="store_true", help="the smallest delays at which defects are killed"
    )
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.relative_to(ROOT)}")
    parser.add_argument(
        "--jobs", type=int, default=6, help="trials at a time; most of it is waiting"
    )
    parsed = parser.parse_args(arguments)
    read = {path: scenario.load(path) for path in sorted(scenario.find(SCENARIOS))}
    context = multiprocessing.get_context("spawn")
    smallest: dict[str, Outcome | None] = {}
    with context.Pool(parsed.jobs) as pool:
        found = run_all(read, pool.imap, everything=parsed.all)
        for entry in catalogue.defects().values() if parsed.delays else ():
            if entry.delay_s is not None:
                paths = [kill.trial.path for kill in claims_kept(read, found, entry)]
                smallest[entry.id] = smallest_delay(entry, paths, partial(pool.map, tried))
    if parsed.write:
        parts = {"kills": kills_part(read, found), "pairs": pairs_part(found)}
        if parsed.delays:
            parts["delays"] = delays_part(smallest)
        if parsed.all:
            parts["everything"] = everything_part(found)
        write(parts)
    wrong = list(problems(read, found))
    print(*wrong, *_summary(found, everything=parsed.all), sep="\n")
    for id_, kill in smallest.items():
        noticed = f"from {kill.trial.delay_s:g} s on" if kill else "at no delay"
        print(f"{catalogue.defects()[id_].name}: killed {noticed}")
    return 1 if wrong else 0


def run_all(
    read: Mapping[Path, Scenario],
    run: Callable[..., Iterator[Any]],
    *,
    everything: bool,
) -> Mapping[Trial, Outcome]:
    """Run each scenario alone and with what it claims, then, if right, with everything else."""
    claimed = list(claims(read))
    alone = read if everything else dict.fromkeys(trial.path for trial in claimed)
    first = [*(Trial(path, None) for path in alone), *claimed, *trials_of_pairs(read)]
    found = dict(_shown_progress(run(tried, first), len(first)))
    if not everything:
        return found
    right = [path for path in read if _is_right(found[Trial(path, None)])]
    affected = zip(right, run(affecting, right), strict=True)
    others = [Trial(path, name) for path, names in affected for name in names]
    others = [trial for trial in others if trial not in found]
    return found | dict(_shown_progress(run(tried, others), len(others)))


def _shown_progress(outcomes: Iterator[Outcome], total: int) -> Iterator[tuple[Trial, Outcome]]:
    for done, outcome in enumerate(outcomes, 1):
        if done % 100 == 0:
            print(f"{done} of {total} trials", file=sys.stderr, flush=True)
        yield outcome.trial, outcome


def write(parts: Mapping[str, str]) -> None:
    """Replace these parts of docs/kill-table.md; the others stay."""
    text = TABLE.read_text(encoding="utf-8")
    for name, part in parts.items():
        text = with_part(text, name, part, COMMANDS[name])
    TABLE.write_text(text, encoding="utf-8")


def idle(found: Mapping[Trial, Outcome]) -> Sequence[Path]:
    """Return the scenarios that are right and catch no defect."""
    right = {trial.path for trial, one in found.items() if not trial.defect and _is_right(one)}
    return sorted(right - {trial.path for trial in kills(found)})


def caught_by(found: Mapping[Trial, Outcome]) -> Mapping[str, Sequence[Path]]:
    """Return the scenarios that catch each defect, by its name."""
    by_defect: dict[str, list[Path]] = {}
    for trial in kills(found):
        by_defect.setdefault(str(trial.defect), []).append(trial.path)
    return by_defect


def everything_part(found: Mapping[Trial, Outcome]) -> str:
    """Return what every scenario with every defect shows: who catches nothing, or is alone."""
    caught = caught_by(found)
    alone = {name: paths[0] for name, paths in caught.items() if len(paths) == 1}
    idle_ones = idle(found)
    return "\n".join(
        (
            f"{len(kills(found))} kills of {len(caught)} defects.",
            "",
            f"Defects that one scenario alone catches: {len(alone)}.",
            "",
            "| defect | scenario |",
            "|---|---|",
            *(f"| `{name}` | {_shown(path)} |" for name, path in alone.items()),
            "",
            f"Scenarios that catch none: {len(idle_ones)}.",
            "",
            *(f"- {_shown(path)}" for path in idle_ones),
        )
    )


def _summary(found: Mapping[Trial, Outcome], *, everything: bool) -> Iterator[str]:
    runs = [outcome for trial, outcome in found.items() if trial.defect and not trial.beside]
    caught = caught_by(found)
    yield f"{len(kills(found))} of {len(runs)} trials kill; {len(caught)} defects are killed"
    hidden = [kill_in_pair(found, judged, beside) for judged, beside in _in_pairs()].count(None)
    yield f"of {len([*_in_pairs()])} defects in pairs, {hidden} are hidden"
    if everything:
        yield from (f"{_shown(path)}: catches no defect" for path in idle(found))
        yield from (
            f"{name}: caught by {_shown(paths[0])} alone"
            for name, paths in caught.items()
            if len(paths) == 1
        )


if __name__ == "__main__":
    sys.exit(main())
