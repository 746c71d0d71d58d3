"""Ordered layers of clauses: how policies of any kind decide on one end of a connection.

Each kind of policy is one layer for a pod and a direction. In a layer the first matching clause
decides: it allows, denies, or passes the connection on to the next layer. If no clause matches,
the next layer decides. A connection that no layer decides is allowed.

NetworkPolicy is one layer: clauses that allow, and a last one that denies if the pod is isolated.
A tier is another layer: one rank for each priority, with the clauses of every policy that has it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.model import Pod, PodRef
from harness.oracle.rulings import Decider, Judgement, Ruling, Tri, both, indented
from harness.oracle.topology import Flow, Party
from harness.policy import Direction


class Action(enum.Enum):
    """What a clause does with a connection that it matches."""

    ALLOW = enum.auto()
    DENY = enum.auto()
    PASS = enum.auto()


_DONE_BY = {
    Action.ALLOW: "allowed by",
    Action.DENY: "denied by",
    Action.PASS: "passed on by",
}


@dataclass(frozen=True, slots=True)
class Match:
    """Whether something matches a flow, and why."""

    value: Tri
    why: str


@dataclass(frozen=True, slots=True)
class Clause:
    """What a layer does with matching connections.

    ``label`` names the rule of an object. A clause without a label comes from the API itself,
    and its match contains the whole reason. ``by`` is what decides if the clause does.
    """

    action: Action
    match: Callable[[Flow], Match]
    label: str = ""
    by: Decider | None = None


class Order(enum.Enum):
    """Whether the order of the clauses of a layer says something."""

    ANY = enum.auto()
    """The clauses only add up."""
    WRITTEN = enum.auto()
    """An earlier clause may do something else: reasons name those that do not match."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Clauses that are asked before those of the next rank.

    Each entry of ``sequences`` has its own order. If clauses of several match, the API does not
    define which of them decides, and ``tie`` says why.
    """

    sequences: tuple[tuple[Clause, ...], ...]
    tie: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """The clauses of one kind of policy for one pod and direction, by rank.

    ``head`` begins each reason; ``otherwise`` is the reason if no clause matches.
    """

    head: str
    ranks: tuple[Rank, ...]
    otherwise: str
    order: Order = Order.ANY


def decide(layers: Sequence[Layer], flow: Flow) -> Judgement:
    """Return the ruling of the layers, in order, on one end of a connection.

    If the API does not define whether a clause matches, or which of several decides, every
    reading is followed to its end, and the ruling is undefined unless all agree (T23).
    """
    if not layers:
        return Judgement(Ruling.ALLOWED)
    layer, rest = layers[0], layers[1:]
    readings: list[Judgement] = []
    misses: list[str] = []
    unsure: list[str] = []
    decided = False
    for rank in layer.ranks:
        sequences = [_asked(clauses, flow) for clauses in rank.sequences]
        misses += [line for asked in sequences for _, value, line in asked if not value and line]
        taken = [(c, v, line) for asked in sequences for c, v, line in asked if v is not False]
        unsure += [line for _, value, line in taken if value is None]
        readings += [
            _taken(layer, clause, line, misses, lambda: decide(rest, flow))
            for clause, _, line in taken
        ]
        matching = [asked for asked in sequences if asked and asked[-1][1] is True]
        if len(matching) > 1 and len({reading.ruling for reading in readings}) > 1:
            unsure.append(rank.tie)
        decided = bool(matching)
        if decided:
            break
    if not decided:
        why = _with_misses(layer, misses, f"{layer.head} {layer.otherwise}")
        readings.append(_after(why, decide(rest, flow)))
    return _agreed(layer, readings, unsure, flow)


def _agreed(
    layer: Layer, readings: Sequence[Judgement], unsure: Sequence[str], flow: Flow
) -> Judgement:
    """Return the ruling of all readings, or undefined if they differ."""
    last = readings[-1]
    if all(reading.ruling is last.ruling for reading in readings):
        return last
    if not unsure:  # a later layer is undefined in one of the readings
        return next(found for found in readings if found.ruling is Ruling.UNDEFINED)
    reasons = (
        f"{layer.head} it cannot be decided whether a rule allows {flow}",
        *indented(unsure),
    )
    return Judgement(Ruling.UNDEFINED, reasons, unsure[0])


def _asked(clauses: Sequence[Clause], flow: Flow) -> list[tuple[Clause, Tri, str]]:
    """Return the clauses up to the first certain match, whether they match, and why."""
    asked: list[tuple[Clause, Tri, str]] = []
    for clause in clauses:
        found = clause.match(flow)
        line = f"{clause.label}: {found.why}" if clause.label else found.why
        asked.append((clause, found.value, line))
        if found.value:
            break
    return asked


def _with_misses(layer: Layer, misses: Sequence[str], reason: str) -> tuple[str, ...]:
    """Return the reason, and below it the clauses that came before and do not match."""
    if layer.order is Order.ANY:
        return (reason,)
    return (reason, *indented(f"not {line}" for line in misses))


def _taken(
    layer: Layer,
    clause: Clause,
    line: str,
    misses: Sequence[str],
    pass_on: Callable[[], Judgement],
) -> Judgement:
    """Return the ruling of the reading in which that clause matches.

    ``misses`` are the reasons why earlier clauses do not match.
    """
    said = f"{_DONE_BY[clause.action]} {line}" if clause.label else line
    reasons = _with_misses(layer, misses, f"{layer.head} {said}")
    by = (clause.by,) if clause.by else ()
    match clause.action:
        case Action.ALLOW:
            return Judgement(Ruling.ALLOWED, reasons, by=by)
        case Action.DENY if not clause.label:
            return Judgement(Ruling.DENIED, (*reasons, *indented(misses)), by=by)
        case Action.DENY:
            return Judgement(Ruling.DENIED, reasons, by=by)
        case Action.PASS:
            return _after(reasons, pass_on())


def _after(reasons: tuple[str, ...], judgement: Judgement) -> Judgement:
    """Return the judgement of the next layers, preceded by the reasons why they decide."""
    return replace(judgement, reasons=(*reasons, *judgement.reasons))


# ------------------------------------------------------------------ connections


Layered = Callable[[Direction, Pod], Layer | None]
"""Returns the layer of a kind of policy for a pod and a direction; None if it has no say."""


class Policies:
    """All policies of a State, and their judgements."""

    def __init__(self, kinds: Sequence[Layered]) -> None:
        """``kinds`` are in the order in which they are evaluated."""
        self._kinds = tuple(kinds)
        self._layers: dict[tuple[Direction, PodRef], tuple[Layer, ...]] = {}

    def judge_connection(self, flow: Flow) -> Judgement:
        """Judge both ends of a connection."""
        source, destination = flow.source, flow.destination
        if source.pod is not None and source.pod == destination.pod:
            return Judgement(Ruling.ALLOWED, (f"{source.name} to itself is always allowed (R46)",))
        if source.pod is None and destination.pod is None:
            line = (
                f"no policy applies: neither {source.name} nor {destination.name} is a pod (R45)"
            )
            return Judgement(Ruling.ALLOWED, (line,))
        return both(
            self.judge_direction(Direction.EGRESS, flow),
            self.judge_direction(Direction.INGRESS, flow),
        )

    def judge_direction(self, direction: Direction, flow: Flow) -> Judgement:
        """Judge one end: egress of the source or ingress of the destination."""
        pod = ends(direction, flow)[0].pod
        if pod is None:
            return Judgement(Ruling.ALLOWED)
        key = (direction, pod.ref)
        if key not in self._layers:
            layers = (layer_of(direction, pod) for layer_of in self._kinds)
            self._layers[key] = tuple(layer for layer in layers if layer is not None)
        return decide(self._layers[key], flow)


def ends(direction: Direction, flow: Flow) -> tuple[Party, Party]:
    """Return the end that policies select in that direction, and its peer."""
    if direction is Direction.EGRESS:
        return flow.source, flow.destination
    return flow.destination, flow.source
