"""What the policies of a version say about a pair, as far as the other version differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness import oracle
from harness.application import Application
from harness.application.state import Deployed, state
from harness.difference.values import By, Kind, Named, Said
from harness.errors import Location
from harness.matrix import Cell, Word
from harness.model import External, State
from harness.oracle import Decider, Ruling
from harness.policy import Direction, parsed
from harness.policy.tiers import TierPolicy

_UNCERTAIN = frozenset({Word.UNDEFINED, Word.DIFFERS, Word.NOT_JUDGED})


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an application as the oracle judges it, and where its policies stand."""

    state: State
    judge: oracle.Judge
    places: Mapping[str, Location | None]


def version(
    application: Application, workloads: Sequence[Deployed], hosts: Sequence[External]
) -> Version:
    """Return a version. Policies of unknown meaning are left out: they would hide all others."""
    made = state(replace(application, not_judged=()), workloads, hosts)
    places = {str(policy): policy.location for policy in application.policies}
    return Version(made, oracle.Judge(made), places)


def kind_of(before: Word | None, after: Word | None) -> Kind:
    """Return how a connection changed; None: the version has no such pair."""
    if {before, after} & _UNCERTAIN:
        return Kind.UNCERTAIN
    if after is Word.ALLOWED:
        return Kind.OPENED
    return Kind.CLOSED if before is Word.ALLOWED else Kind.OTHER


def said(own: Version, cell: Cell | None, other: Cell | None) -> Said:
    """Return what a version says about a pair, without what the other version says as well."""
    if cell is None:
        return Said(None)
    if cell.word not in {Word.ALLOWED, Word.DENIED}:
        why = cell.reasons if cell.word is Word.DIFFERS else cell.reasons[-1:]
        return Said(cell.word, why=tuple(line.strip() for line in why), cell=cell)
    known = other.by if other else ()
    by = tuple(_named(own, item) for item in _deciding(cell) if item not in known)
    return Said(cell.word, by, tuple(_absent(own, cell, other)), cell)


def _deciding(cell: Cell) -> Iterator[Decider]:
    """Yield what decides: all that allow together, or those that deny."""
    ruling = Ruling.DENIED if cell.word is Word.DENIED else Ruling.ALLOWED
    return (item for item in cell.by if item.ruling is ruling)


def _absent(own: Version, cell: Cell, other: Cell | None) -> Iterator[str]:
    """Yield the directions in which the other version has a policy that decides, and this none."""
    having = {item.direction for item in cell.by}
    deciding = _deciding(other) if other else ()
    missing = [item.direction for item in deciding if item.direction not in having]
    for direction in missing:
        verb = "decides for" if _has_tier(own, direction) else "for"
        yield f"no policy {verb} {direction.lower()}"
    if not missing and not having:
        yield "no policy decides" if any(_has_tier(own, way) for way in Direction) else "no policy"


def _has_tier(own: Version, direction: Direction) -> bool:
    """Return whether policies in tiers have rules that may not match, or pass on."""
    policies = (item for item in parsed(own.state.policies) if isinstance(item, TierPolicy))
    return any(item.acts_on(direction) for item in policies)


def _named(own: Version, item: Decider) -> By:
    policies = tuple(Named(name, own.places.get(name)) for name in item.policies)
    return By(item.direction, item.ruling, policies, item.rule)
