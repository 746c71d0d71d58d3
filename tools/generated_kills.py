"""How many known defects generated cases find: the first 50, 200 and 1,000 cases of a seed.

    python -m tools.generated_kills --write          `make generated-kills`; writes the document
    python -m tools.generated_kills --count=50       fewer cases

Each defect is switched on, and the cases are run in order until one kills it, as in the kill
table. A case is not run with a defect that loads the same rules as without it in every step: no
packet can show that defect there. Defects of tiers meet the first cases that have policies in
tiers. Cases are made as long as a defect survives.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import multiprocessing.pool
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import catalogue, scenario
from harness.cluster.netns.addresses import allocate, meant_by, with_implied
from harness.cluster.netns.defects import DEFECTS
from harness.cluster.netns.defects.tiers import DEFECTS as DEFECTS_OF_TIERS
from harness.cluster.netns.parts import PARTS, Parts, Snapshot
from harness.cluster.netns.tables import Table
from harness.generate import FixtureFile, Generator, fixture_file, write_cases
from harness.model import Fixture
from harness.policy import filled
from harness.runner import without_policies
from tools.kill_table import ROOT
from tools.kill_trials import Trial, tried

DOCUMENT = ROOT / "docs" / "generated-cases.md"
SEED = 1
COUNT = 1_000
COUNT_IN_TIERS = 60
MARKS = (50, 200, 1_000)
MARKS_IN_TIERS = (10, 30, 60)
LEAST_SHARE = 0.9
_AT_A_TIME = 10
"""How many cases are made and run before it is checked whether a defect survives."""

SPECIAL: Mapping[str, str] = {
    "zero-cidr-any": "IPv6",
    "ipv4-only": "IPv6",
    "selector-matches-world": "a host outside the cluster",
    "no-node-exception": "probes from a node",
    "own-node-policed": "probes to a node",
    "node-address-exception": "probes from a node",
    "update-gap": "a watch",
    "ip-owner-stale": "completed pods",
    "late-attach": "probes from the first moment of a pod",
    "init-exempt": "probes from the first moment of a pod",
    "unknown-peer-open": "rules about nodes",
    "tiers-exempt": "probes to a node, or from a pod to itself",
}
"""Defects that show only in a topology, or a measurement, that generated cases do not have."""


@dataclass(frozen=True, slots=True)
class Kill:
    """The first case that kills a defect, or None; ``shown_by`` is its cell, in words."""

    defect: str
    case: int | None
    shown_by: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """The cases of a generator, and the defects that they are run with.

    ``marks`` are the numbers of cases for which the document counts the kills.
    """

    generator: Generator
    defects: tuple[str, ...]
    count: int
    marks: tuple[int, ...]

    def without_special(self) -> Series:
        """Return the series without the defects that no case can show."""
        usual = tuple(name for name in self.defects if name not in SPECIAL)
        return replace(self, defects=usual)


_OF_TIERS = tuple(defect.name for defect in DEFECTS_OF_TIERS)


def without_tiers(fixture: Fixture, seed: int, count: int) -> Series:
    """Return the first cases with NetworkPolicies only, and the defects that these can show."""
    names = tuple(name for name in DEFECTS if name not in _OF_TIERS)
    return Series(Generator(fixture, seed), names, count, MARKS)


def with_tiers(fixture: Fixture, seed: int, count: int) -> Series:
    """Return the first cases with policies in tiers, and the defects of tiers."""
    return Series(Generator(fixture, seed, tiers=1), _OF_TIERS, count, MARKS_IN_TIERS)


def kills_of(
    series: Series, folder: Path, file: FixtureFile, pool: multiprocessing.pool.Pool
) -> Iterator[Kill]:
    """Make cases in the folder and run them with each defect; yield what killed it, or nothing."""
    alive = list(series.defects)
    make = functools.partial(Generator.case, series.generator)
    for first in range(1, series.count + 1, _AT_A_TIME):
        numbers = range(first, min(first + _AT_A_TIME, series.count + 1))
        made = write_cases(folder, file, pool.imap(make, numbers))
        paths = tuple(zip(numbers, made, strict=True))
        for kill in pool.imap_unordered(first_kill, [(name, paths) for name in alive]):
            if kill.case is not None:
                alive.remove(kill.defect)
                yield kill
        if not alive:
            return
    yield from (Kill(name, None) for name in alive)


def first_kill(asked: tuple[str, Sequence[tuple[int, Path]]]) -> Kill:
    """Run numbered cases with a defect, until one kills it."""
    name, cases = asked
    for number, path in cases:
        if loaded_tables(path, DEFECTS[name].parts) == _clean(path):
            continue
        outcome = tried(Trial(path, name))
        if outcome.killed_by and not _fails_alone(path):
            return Kill(name, number, outcome.killed_by)
    return Kill(name, None)


@functools.cache
def _fails_alone(path: Path) -> bool:
    outcome = tried(Trial(path, None))
    return bool(outcome.killed_by or outcome.failed or outcome.skipped)


@functools.cache
def _clean(path: Path) -> list[Mapping[int, tuple[Table, Table]]]:
    return loaded_tables(path, PARTS)


def loaded_tables(path: Path, parts: Parts) -> list[Mapping[int, tuple[Table, Table]]]:
    """Return the tables that each step loads on each node, the control step included."""
    believed: Snapshot | None = None
    found: list[Mapping[int, tuple[Table, Table]]] = []
    for now in _snapshots(path):
        believed = parts.observe(believed, now)
        policies = parts.policy_tables(believed)
        found.append(
            {n: (t, parts.services(now.state, now.addresses, n)) for n, t in policies.items()}
        )
    return found


@functools.lru_cache(maxsize=2_000)
def _snapshots(path: Path) -> tuple[Snapshot, ...]:
    read = scenario.load(path)
    states = [without_policies(read.steps[0].state), *(step.state for step in read.steps)]
    found: list[Snapshot] = []
    for state in map(with_implied, states):
        addresses = allocate(state, found[-1].addresses if found else None)
        meant = functools.partial(meant_by, addresses=addresses)
        policies = tuple(filled(item, meant) for item in state.policies)
        found.append(Snapshot(replace(state, policies=policies), addresses))
    return tuple(found)


def curve(kills: Sequence[Kill], marks: Sequence[int], count: int) -> Iterator[tuple[int, int]]:
    """Yield how many defects the first cases kill, at each mark up to the last case."""
    for mark in [*(mark for mark in marks if mark < count), count]:
        yield mark, sum(kill.case is not None and kill.case <= mark for kill in kills)


def document(seed: int, found: Sequence[tuple[Series, Sequence[Kill]]]) -> str:
    """Return docs/generated-cases.md, from the series without tiers and the one with them."""
    (plain, kills), (tiers, kills_in_tiers) = found
    return "\n".join(
        (
            "# Generated cases and known defects",
            "",
            "How many known defects of the embedded cluster the first cases of "
            f"`netpol generate --seed={seed}` kill; `make generated-kills` measures it. "
            "A kill counts as in the [kill table](kill-table.md): the case is right without the "
            "defect, and with it a packet gives another verdict, in the direction of the defect. "
            "The generator does not know the defects.",
            "",
            *_section(plain, kills),
            "## Policies in tiers",
            "",
            f"The first cases of `netpol generate --seed={seed} --tiers`, with the defects of "
            "[tiers](tiers.md).",
            "",
            *_section(tiers, kills_in_tiers),
        )
    )


def _section(series: Series, kills: Sequence[Kill]) -> Iterator[str]:
    ids = {entry.name: id_ for id_, entry in catalogue.defects().items() if entry.name}
    yield "| cases | defects killed |"
    yield "|---|---|"
    for mark, killed in curve(kills, series.marks, series.count):
        yield f"| {mark} | {killed} of {len(kills)} |"
    yield ""
    special = [f"`{name}` ({SPECIAL[name]})" for name in series.defects if name in SPECIAL]
    yield (
        "Not counted are defects that need something that generated cases do not have: "
        + "; ".join(special)
        + "."
    )
    yield ""
    yield "| id | defect | first case that kills it | step and cell |"
    yield "|---|---|---|---|"
    places = {name: place for place, name in enumerate(series.defects)}
    for kill in sorted(kills, key=lambda one: (one.case or series.count + 1, places[one.defect])):
        number = kill.case or "**survives**"
        yield f"| {ids[kill.defect]} | `{kill.defect}` | {number} | {kill.shown_by} |"
    yield ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; print the curves, and return 1 if too few defects are killed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--count-in-tiers", type=int, default=COUNT_IN_TIERS)
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT.name}")
    parser.add_argument("--jobs", type=int, default=6, help="defects at a time")
    parsed = parser.parse_args(arguments)
    file = fixture_file(None)
    asked = (
        without_tiers(file.fixture, parsed.seed, parsed.count),
        with_tiers(file.fixture, parsed.seed, parsed.count_in_tiers),
    )
    found = []
    context = multiprocessing.get_context("spawn")
    with context.Pool(parsed.jobs) as pool:
        for series in asked:
            found.append((series, _measured(series, file, pool)))
    if parsed.write:
        DOCUMENT.write_text(document(parsed.seed, found), encoding="utf-8")
    is_whole = parsed.count >= COUNT and parsed.count_in_tiers >= COUNT_IN_TIERS
    return 1 if is_whole and any(too_few(kills) for _, kills in found) else 0


def _measured(series: Series, file: FixtureFile, pool: multiprocessing.pool.Pool) -> list[Kill]:
    kills = []
    with tempfile.TemporaryDirectory() as folder:
        for kill in kills_of(series.without_special(), Path(folder), file, pool):
            print(f"{kill.defect}: {kill.case or 'survives'} {kill.shown_by}", flush=True)
            kills.append(kill)
    for mark, killed in curve(kills, series.marks, series.count):
        print(f"{mark} cases: {killed} of {len(kills)} defects")
    return kills


def too_few(kills: Sequence[Kill]) -> bool:
    """Return whether less than the least share of the defects is killed."""
    return sum(kill.case is not None for kill in kills) < LEAST_SHARE * len(kills)


if __name__ == "__main__":
    sys.exit(main())
