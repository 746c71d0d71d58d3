"""How many known defects generated cases find: the first 50, 200 and 1,000 cases of a seed.

    python -m tools.generated_kills --write          `make generated-kills`; writes the document
    python -m tools.generated_kills --count=50       fewer cases

Each defect is switched on, and the cases are run in order until one kills it, as in the kill
table. A case is not run with a defect that loads the same rules as without it in every step: no
packet can show that defect there.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import catalogue, scenario
from harness.cluster.netns.addresses import allocate, meant_by, with_implied
from harness.cluster.netns.defects import DEFECTS
from harness.cluster.netns.parts import PARTS, Parts, Snapshot
from harness.cluster.netns.tables import Table
from harness.generate import Generator, fixture_file, write_cases
from harness.policy import filled
from harness.runner import without_policies
from tools.kill_table import ROOT
from tools.kill_trials import Trial, tried

DOCUMENT = ROOT / "docs" / "generated-cases.md"
SEED = 1
COUNT = 1_000
MARKS = (50, 200, 1_000)
LEAST_SHARE = 0.9

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
}
"""Defects that show only in a topology, or a measurement, that generated cases do not have."""


@dataclass(frozen=True, slots=True)
class Kill:
    """The first case that kills a defect, or None; ``shown_by`` is its cell, in words."""

    defect: str
    case: int | None
    shown_by: str = ""


def first_kill(asked: tuple[str, Path, int, int]) -> Kill:
    """Run the first cases of a seed in a folder with a defect, until one kills it."""
    name, folder, seed, count = asked
    for number in range(1, count + 1):
        path = folder / f"seed-{seed}-case-{number:04}.yaml"
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


def curve(kills: Sequence[Kill], count: int) -> Iterator[tuple[int, int]]:
    """Yield how many defects the first cases kill, at each mark up to the last case."""
    for mark in [*(mark for mark in MARKS if mark < count), count]:
        yield mark, sum(kill.case is not None and kill.case <= mark for kill in kills)


def document(kills: Sequence[Kill], seed: int, count: int) -> str:
    """Return docs/generated-cases.md."""
    usual = [kill for kill in kills if kill.defect not in SPECIAL]
    ids = {entry.name: id_ for id_, entry in catalogue.defects().items() if entry.name}
    rows = [
        f"| {ids[kill.defect]} | `{kill.defect}` | {kill.case or '**survives**'} "
        f"| {kill.shown_by} |"
        for kill in sorted(usual, key=lambda kill: (kill.case is None, kill.case or 0))
    ]
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
            "| cases | defects killed |",
            "|---|---|",
            *(f"| {mark} | {killed} of {len(usual)} |" for mark, killed in curve(usual, count)),
            "",
            "Not counted are defects that need something that generated cases do not have: "
            + "; ".join(f"`{name}` ({why})" for name, why in SPECIAL.items())
            + ".",
            "",
            "| id | defect | first case that kills it | step and cell |",
            "|---|---|---|---|",
            *rows,
            "",
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; print the curve, and return 1 if too few defects are killed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT.name}")
    parser.add_argument("--jobs", type=int, default=6, help="defects at a time")
    parsed = parser.parse_args(arguments)
    file = fixture_file(None)
    names = [name for name in DEFECTS if name not in SPECIAL]
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as made, context.Pool(parsed.jobs) as pool:
        folder = Path(made)
        make = functools.partial(Generator.case, Generator(file.fixture, parsed.seed))
        for _ in write_cases(folder, file, pool.imap(make, range(1, parsed.count + 1))):
            pass
        asked = [(name, folder, parsed.seed, parsed.count) for name in names]
        kills = []
        for kill in pool.imap_unordered(first_kill, asked):
            print(f"{kill.defect}: {kill.case or 'survives'} {kill.shown_by}", flush=True)
            kills.append(kill)
    for mark, killed in curve(kills, parsed.count):
        print(f"{mark} cases: {killed} of {len(kills)} defects")
    if parsed.write:
        text = document(kills, parsed.seed, parsed.count)
        DOCUMENT.write_text(text, encoding="utf-8")
    killed = sum(kill.case is not None for kill in kills)
    return 0 if killed >= LEAST_SHARE * len(kills) or parsed.count < COUNT else 1


if __name__ == "__main__":
    sys.exit(main())
