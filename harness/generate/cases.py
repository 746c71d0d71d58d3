"""Generated cases: scenarios in which single parts of policies decide single cells.

A case applies random policies, makes changes, and deletes all policies. Policies are drawn several
times, and those are kept in which most changes of a single part change a cell. The table has the
columns that show these cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from harness.errors import UsageError
from harness.generate.changes import (
    Scope,
    Seen,
    change_themes,
    changed,
    flips,
    itself,
    labels_at_random,
    pairs,
    seen,
    seen_with,
    tier_change_themes,
)
from harness.generate.draw import Draw, Rotation, chance
from harness.generate.plan import Impossible, Plan, PlannedStep, scenario_of
from harness.generate.policies import (
    PORTS,
    RARE_SHAPES,
    Themes,
    peer_themes,
    policies,
)
from harness.generate.tiers import THEMES as TIER_THEMES
from harness.generate.tiers import tier_policies
from harness.generate.variants import variants
from harness.model import (
    Applied,
    Deleted,
    Destination,
    Fixture,
    Manifest,
    PodRef,
    Probe,
    Scenario,
    ServiceRef,
    State,
    Verdict,
)
from harness.policy.traits import Trait, traits
from harness.scenario.topology import TopologyBuilder
from harness.variants import TierKinds

_T = TypeVar("_T")
_DRAFTS = 2
_ATTEMPTS = 40
_SAME_THEMES = 8
"""Some themes never deny anything together: after as many attempts, the next ones are taken."""
_COLUMNS = 10
_VARIED_POLICIES = 4


@dataclass(frozen=True, slots=True)
class _Draft:
    """A case that may be kept. ``shown`` counts the single changes that its table shows."""

    plan: Plan
    shown: int


@dataclass(frozen=True, slots=True)
class Generator:
    """Makes the cases of a seed over a fixture; a case depends on its number alone.

    Without ``ip_blocks`` no policy names the address of a pod; none has one of the traits in
    ``without``. Each case whose number is a multiple of ``tiers`` also has policies in tiers;
    with 0, none has. They are ClusterNetworkPolicies that a cluster with ``tier_kinds`` can have.
    """

    fixture: Fixture
    seed: int
    scope: Scope = Scope.PODS_TOO
    ip_blocks: bool = True
    without: frozenset[Trait] = frozenset()
    tiers: int = 0
    tier_kinds: TierKinds = TierKinds.CLUSTER_NETWORK_POLICY

    def case(self, number: int) -> Scenario:
        """Return the case of that number, from 1.

        Raises UsageError for a fixture in which no policy can change anything.
        """
        drafts: list[_Draft] = []
        for attempt in range(_ATTEMPTS):
            draft = self._draft(number, attempt)
            drafts += [draft] if draft else []
            if len(drafts) == _DRAFTS:
                break
        for draft in sorted(drafts, key=lambda draft: -draft.shown):
            try:
                return scenario_of(draft.plan)
            except Impossible:
                continue
        fact = (
            f"{self.fixture.path}: no policy makes a difference between the pods of this fixture"
        )
        raise UsageError(fact, "it needs pods with ports and labels, in several namespaces")

    def _draft(self, number: int, attempt: int) -> _Draft | None:
        rng = chance(f"{self.seed}/{number}/{attempt}")
        turn = number + attempt // _SAME_THEMES
        builder = TopologyBuilder(self.fixture.state)
        if not pairs(builder.state()):
            return None
        first = [*labels_at_random(rng, builder.state())]
        for change in first:
            builder.make(change)
        made = self._policies(Draw(rng, builder.state(), self.ip_blocks), turn)
        if has_tiers := self._has_tiers(number):
            own = chance(f"{self.seed}/{number}/{attempt}/tiers")
            draw = Draw(own, builder.state(), self.ip_blocks)
            made = (*tier_policies(draw, self._rotation("tiers", TIER_THEMES), turn), *made)
        for manifest in made:
            builder.apply(manifest)
        if self.without & traits(made) or not self.tier_kinds.can_have(builder.state()):
            return None
        start = seen(builder.state())
        if set(start.values()) != {Verdict.ALLOWED, Verdict.TIMEOUT}:
            return None
        decided = [*_decided(builder.state(), start)]
        steps = [PlannedStep("the policies are applied", (*first, *map(Applied, made)))]
        rotation = self._rotation("change", change_themes(self.scope))
        if has_tiers:
            rotation = self._rotation("change in tiers", tier_change_themes(self.scope))
        for place in range(rng.choice((1, 2))):
            theme = rotation.at(2 * turn + place)
            more, flipped = changed(theme, rng, builder, self.tier_kinds.can_have)
            if self.without & traits(_applied(more)):
                return None
            steps += more
            decided += [flipped]
        return self._finished(number, steps, builder, [one for one in decided if one])

    def _has_tiers(self, number: int) -> bool:
        return self.tiers > 0 and number % self.tiers == 0

    def _policies(self, draw: Draw, turn: int) -> tuple[Manifest, ...]:
        """Return the policies of two shapes; of two with one name, the first."""
        peers, ports = (
            self._rotation("peers", peer_themes(self.ip_blocks)),
            self._rotation("ports", PORTS),
        )
        shapes = self._rotation("shape", RARE_SHAPES)
        found: dict[tuple[str, ...], Manifest] = {}
        for place in (2 * turn, 2 * turn + 1):
            both = (2 * place, 2 * place + 1)
            themes = Themes(draw, [*map(peers.at, both)], [*map(ports.at, both)])
            for manifest in policies(shapes.at(place), themes):
                found.setdefault(manifest.key, manifest)
        return tuple(found.values())

    def _rotation(self, name: str, themes: Sequence[_T]) -> Rotation[_T]:
        return Rotation(f"{self.seed}/{name}", themes)

    def _finished(
        self,
        number: int,
        steps: list[PlannedStep],
        builder: TopologyBuilder,
        decided: list[frozenset[Probe]],
    ) -> _Draft:
        left = builder.state()
        deleted = tuple(Deleted(item.kind, item.namespace, item.name) for item in left.policies)
        steps = [*_named_apart(steps), PlannedStep("all policies are deleted", deleted)]
        columns, shown = _columns(chance(f"{self.seed}/{number}"), decided, pairs(left))
        rows = dict.fromkeys(probe.source for probe in pairs(left))
        own = frozenset().union(*map(itself, _states(self.fixture.state, steps)))
        plan = Plan(
            slug=f"seed-{self.seed}-case-{number:04}",
            name=f"Generated case {number} of seed {self.seed}",
            why=f"{shown} changes of a single part of its policies would each change a cell.",
            start=self.fixture.state,
            steps=tuple(steps),
            probes=tuple(
                Probe(row, end) for row in rows for end in columns if (row, end.host) not in own
            ),
            fixture=self.fixture,
        )
        return _Draft(plan, shown)


def _applied(steps: Iterable[PlannedStep]) -> Iterator[Manifest]:
    for step in steps:
        for change in step.changes:
            if isinstance(change, Applied):
                yield change.manifest


def _states(start: State, steps: Iterable[PlannedStep]) -> Iterator[State]:
    builder = TopologyBuilder(start)
    for step in steps:
        for change in step.changes:
            builder.make(change)
        yield builder.state()


def _decided(state: State, start: Seen) -> Iterator[frozenset[Probe]]:
    """Yield for each single change of a policy the pairs that it would flip."""
    for policy in state.policies[:_VARIED_POLICIES]:
        yield flips(start, seen_with(state, policy, None))
        for variant in variants(policy):
            yield flips(start, seen_with(state, policy, variant.policy))


def _columns(
    rng: Random, decided: Iterable[frozenset[Probe]], known: Sequence[Probe]
) -> tuple[list[Destination], int]:
    """Return the destinations that show most of the flips, and how many flips they show.

    A Service and a pod of each namespace are always among them: other pods must stay as they are.
    """
    left = [{probe.destination for probe in flipped} for flipped in decided]
    total = len(left)
    ends = list(dict.fromkeys(probe.destination for probe in known))
    order = {end: place for place, end in enumerate(ends)}
    rng.shuffle(ends)
    services = [end for end in ends if isinstance(end.host, ServiceRef)]
    flipped_services = [end for end in services if any(end in one for one in left)]
    chosen = (flipped_services or services)[:1]
    left = [one for one in left if not chosen or chosen[0] not in one]
    while left and len(chosen) < _COLUMNS:
        best = max(ends, key=lambda end: sum(end in one for one in left))
        chosen.append(best)
        left = [one for one in left if best not in one]
    for end in ends:
        homes = {_home(one) for one in chosen if isinstance(one.host, PodRef)}
        if isinstance(end.host, PodRef) and _home(end) not in homes:
            chosen.append(end)
    return sorted(chosen, key=order.__getitem__), total - len(left)


def _home(end: Destination) -> str:
    return end.host.namespace if isinstance(end.host, PodRef) else ""


def _named_apart(steps: Iterable[PlannedStep]) -> Iterator[PlannedStep]:
    """Yield the steps with names that differ."""
    taken: set[str] = set()
    for step in steps:
        name = step.name if step.name not in taken else f"{step.name}, again"
        taken.add(name)
        yield PlannedStep(name, step.changes)
