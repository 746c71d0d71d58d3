"""Which scenarios an application gets, and their tables by the oracle.

One table shows who reaches one workload. A small application is one file. A larger one has a
fixture, and a file for each workload whose ends policies change.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness import oracle
from harness.application.state import Deployed
from harness.errors import UsageError
from harness.matrix.outside import outside
from harness.model import External, ExternalRef, Family, Manifest, Source, State, Verdict
from harness.policy import Direction, NetworkPolicy, Policy, parsed
from harness.policy.tiers import TierPolicy
from harness.scenario.candidates import Budget, candidates
from harness.scenario.networks import no_outside_host
from harness.scenario.topology import TopologyBuilder
from harness.snapshot.grid import (
    NOT_PROBED,
    Column,
    Words,
    lines,
    rows_of_hosts,
    rows_of_pods,
    single,
)
from harness.snapshot.units import Unit, units

NAME = "app"
"""What the names of namespaces on a cluster begin with, so it is short."""
_MOST_COLUMNS = 6
_MOST_PAIRS = 1_000_000
_WIDTH = 100
_GAP = 3
_UNLIMITED = Budget(sys.maxsize, sys.maxsize)
_DENIALS = frozenset({str(Verdict.TIMEOUT), str(Verdict.DNS)})
_WITHOUT = "without policies"
_WITH = "with the policies of the manifests"


@dataclass(frozen=True, slots=True)
class Step:
    """A step: whether it applies the policies, and its table."""

    name: str
    applies: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A scenario before it is known where its pods come from."""

    name: str
    title: str
    why: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    changes: bool = True
    hosts: tuple[External, ...] = ()


# ------------------------------------------------------------------ which files


def plans(start: State, policies: Sequence[Manifest], workloads: Sequence[Deployed]) -> list[Plan]:
    """Return the scenarios of an application whose pods are in ``start``.

    Raises UsageError for one that is too large.
    """
    ports = sum(len(pod.ports) for pod in start.pods)
    ports += sum(len(service.ports) for service in start.services)
    if len(start.pods) * ports > _MOST_PAIRS:
        fact = f"{len(start.pods)} pods and {ports:,} ports are too many to be judged"
        raise UsageError(fact, "import the parts of the application on their own")
    hosts, titles = _hosts(policies, start)
    states = (replace(start, externals=hosts), _with(start, policies, hosts))
    before, after = (
        Words(ends, oracle.NO_FACTS) for ends in candidates(states, (Family.V4,), _UNLIMITED)
    )
    found = units(workloads, start, (before, after))
    every = [unit for item in found if (unit := _probed(item, before, after)).columns]
    known = parsed(policies)
    changed = [unit for unit in every if _differs(before, after, unit.columns)]
    others = [unit for unit in every if unit not in changed]
    names = _Names()
    made = []
    columns = [column for unit in every for column in unit.columns]
    if changed and len([*_pieces(columns)]) == 1:
        made.append(_of_units(names.new(NAME), every, known, before, after))
    else:
        several = len({unit.namespace for unit in every}) > 1
        for unit in changed:
            name = names.new(unit.title if several else unit.title.partition("/")[2])
            made.append(_of_units(name, [unit], known, before, after))
        made += _of_others(names, others, before, after)
    made += _of_outside(names, every, hosts, titles, before, after)
    return made


def _with(start: State, policies: Sequence[Manifest], hosts: tuple[External, ...]) -> State:
    builder = TopologyBuilder(replace(start, externals=hosts))
    for policy in policies:
        builder.apply(policy)
    return builder.state()


def _hosts(
    policies: Sequence[Manifest], start: State
) -> tuple[tuple[External, ...], dict[str, str]]:
    """Return the hosts outside that a scenario can have, and what they are."""
    found = outside(policies)
    pairs = [
        (host, title)
        for host, title in zip(found.hosts, found.titles, strict=True)
        if no_outside_host(host.addresses[0], start.networks) is None
    ]
    return tuple(host for host, _ in pairs), {host.name: title for host, title in pairs}


def _differs(
    before: Words, after: Words, columns: Sequence[Column], sources: Sequence[Source] = ()
) -> bool:
    """Return whether policies change a pair in a way that can prove something."""
    return any(
        _proves(before.pair(source, column), after.pair(source, column))
        for source in sources or before.candidates.pods()
        for column in columns
    )


def _proves(before: str | None, after: str | None) -> bool:
    if after in _DENIALS:
        return True
    return before != after and NOT_PROBED not in {before, after}


def _probed(unit: Unit, before: Words, after: Words) -> Unit:
    """Return the unit with the columns that have a word in both states."""

    def kept(columns: Sequence[Column]) -> tuple[Column, ...]:
        return tuple(column for column in columns if all(map(column.is_probed, (before, after))))

    return replace(unit, by_pod=kept(unit.by_pod), by_service=kept(unit.by_service))


class _Names:
    """Names of files, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, title: str) -> str:
        base = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        name, number = base, 1
        while name in self._taken:
            number += 1
            name = f"{base}-{number}"
        self._taken.add(name)
        return name


# ------------------------------------------------------------------ the scenarios


def _of_units(
    name: str,
    found: Sequence[Unit],
    policies: Sequence[Policy],
    before: Words,
    after: Words,
) -> Plan:
    columns = [column for unit in found for column in unit.columns]
    steps = (
        Step(_WITHOUT, False, _table(before, columns)),
        Step(_WITH, True, _table(after, columns)),
    )
    if len(found) > 1:
        title, why = "Who reaches whom", "The policies decide who reaches the workloads."
    else:
        title, why = f"Who reaches {found[0].title}", _why(found[0], policies, after)
    closed = [unit.title for unit in found if _is_closed(unit, after)]
    notes = tuple(f"the policies let no pod reach {title}" for title in closed)
    return Plan(name, title, why, steps, notes)


def _is_closed(unit: Unit, after: Words) -> bool:
    """Return whether every other pod is denied; a slip in a label often shows like that."""
    found = {after.pair(pod, column) for pod in after.candidates.pods() for column in unit.columns}
    return bool(found & _DENIALS) and found <= {None, *_DENIALS}


def _why(unit: Unit, policies: Sequence[Policy], after: Words) -> str:
    """Say which policies select the pods for ingress."""
    pods = tuple(pod for pod in after.candidates.state.pods if pod.ref in unit.pods)
    alone = replace(after.candidates.state, pods=pods)
    acting = [policy for policy in policies if _acts(policy) and oracle.subjects(alone, policy)]
    isolating = [
        f"{policy.namespace}/{policy.name}"
        for policy in acting
        if isinstance(policy, NetworkPolicy)
    ]
    tiers = [str(policy) for policy in acting if isinstance(policy, TierPolicy)]
    if not isolating:
        first = "No NetworkPolicy" if tiers else "No policy"
        said = [f"{first} isolates its ingress"]
    else:
        noun = "NetworkPolicy" if len(isolating) == 1 else "NetworkPolicies"
        verb = "isolates" if len(isolating) == 1 else "isolate"
        said = [f"{noun} {', '.join(isolating)} {verb} its ingress"]
    if tiers:
        verb = "has" if len(tiers) == 1 else "have"
        said.append(f"{_listed(tiers)} {verb} rules for it")
    elif not isolating:
        said.append("the policies of the sources decide")
    return "; ".join(said) + "."


def _acts(policy: Policy) -> bool:
    """Return whether a policy is about ingress."""
    match policy:
        case NetworkPolicy():
            return Direction.INGRESS in policy.policy_types
        case TierPolicy():
            return policy.acts_on(Direction.INGRESS)


def _of_others(
    names: _Names, found: Sequence[Unit], before: Words, after: Words
) -> Iterator[Plan]:
    """Yield the scenario of the ends that policies leave as they are."""
    if not found:
        return
    columns = [column for unit in found for column in unit.columns]
    pieces = [*_pieces(columns)]
    steps = [Step(_WITHOUT, False, _table(before, pieces[0]))]
    for number, piece in enumerate(pieces, 1):
        part = f", part {number}" if number > 1 else ""
        steps.append(Step(_WITH + part, number == 1, _table(after, piece)))
    titles = [unit.title for unit in found]
    why = f"No policy changes who reaches {_listed(titles)}."
    title = "Ends that no policy protects"
    yield Plan(names.new("unchanged"), title, why, tuple(steps), changes=False)


def _of_outside(
    names: _Names,
    found: Sequence[Unit],
    hosts: Sequence[External],
    titles: dict[str, str],
    before: Words,
    after: Words,
) -> Iterator[Plan]:
    """Yield the scenario of the hosts outside the cluster, if policies tell them anything."""
    ends = [
        single(ExternalRef(host.name), port.number, port.protocol)
        for host in hosts
        for port in host.ports
    ]
    sources = [ExternalRef(host.name) for host in hosts]
    inside = [
        column
        for unit in found
        for column in unit.by_pod
        if _differs(before, after, [column], sources)
    ]
    if not ends or not (inside or _differs(before, after, ends)):
        return
    steps = [Step(_WITHOUT, False, _table(before, next(_pieces(ends))))]
    tables = []
    if _differs(before, after, ends):
        tables += [("hosts outside", _table(after, piece)) for piece in _pieces(ends)]
    for piece in _pieces(inside):
        tables.append(("from outside", lines(piece, rows_of_hosts(after, piece, sources))))
    taken = Counter[str]()
    for number, (what, table) in enumerate(tables):
        taken[what] += 1
        part = f", part {taken[what]}" if taken[what] > 1 else ""
        steps.append(Step(f"with the policies: {what}{part}", number == 0, table))
    inside_blocks = [titles[host.name].removeprefix("outside in ") for host in hosts[1:]]
    why = "external/outside is in no block that the policies name"
    why += f"; the others are in {_listed(inside_blocks)}." if inside_blocks else "."
    name, title = names.new("outside"), "Hosts outside the cluster"
    yield Plan(name, title, why, tuple(steps), hosts=tuple(hosts))


def _table(words: Words, columns: Sequence[Column]) -> tuple[str, ...]:
    return lines(columns, rows_of_pods(words, columns))


def _pieces(columns: Sequence[Column]) -> Iterator[Sequence[Column]]:
    """Yield columns that fit beside each other."""
    piece: list[Column] = []
    for column in columns:
        width = sum(len(item.text) + _GAP for item in (*piece, column))
        if piece and (width > _WIDTH or len(piece) == _MOST_COLUMNS):
            yield piece
            piece = []
        piece.append(column)
    if piece:
        yield piece


_MOST_LISTED = 5


def _listed(words: Sequence[str]) -> str:
    shown = ", ".join(words[:_MOST_LISTED])
    rest = len(words) - _MOST_LISTED
    return f"{shown} and {rest} more" if rest > 0 else shown
