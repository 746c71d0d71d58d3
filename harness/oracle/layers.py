"""Ordered layers of clauses: how policies of any kind decide on one end of a connection.

Each kind of policy is one layer for a pod and a direction. In a layer the first matching clause
decides: it allows, denies, or passes the connection on to the next layer. If no clause matches,
the next layer decides. A connection that no layer decides is allowed.

NetworkPolicy is one layer: clauses that allow, and a last one that denies if the pod is isolated.
A tier with priorities, whose rules may also deny and pass, is another layer.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

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


@dataclass(frozen=True, slots=True)
class Layer:
    """The clauses of one kind of policy for one pod and direction, in order.

    ``head`` begins each reason; ``otherwise`` is the reason if no clause matches.
    """

    head: str
    clauses: tuple[Clause, ...]
    otherwise: str


def decide(layers: Sequence[Layer], flow: Flow) -> Judgement:
    """Return the ruling of the layers, in order, on one end of a connection.

    If the API does not define whether a clause matches, both readings are evaluated, and
    the ruling is undefined unless they agree.
    """
    if not layers:
        return Judgement(Ruling.ALLOWED)
    layer, rest = layers[0], layers[1:]
    asked = _asked(layer, flow)
    misses = [line for _, value, line in asked if value is False and line]
    readings = [
        _taken(layer.head, clause, line, misses, lambda: decide(rest, flow))
        for clause, value, line in asked
        if value is not False
    ]
    if not asked or asked[-1][1] is not True:
        readings.append(_after(f"{layer.head} {layer.otherwise}", decide(rest, flow)))
    last = readings[-1]
    if all(reading.ruling is last.ruling for reading in readings):
        return last
    unsure = [line for _, value, line in asked if value is None]
    reasons = (
        f"{layer.head} it cannot be decided whether a rule allows {flow}",
        *indented(unsure),
    )
    return Judgement(Ruling.UNDEFINED, reasons, unsure[0])


def _asked(layer: Layer, flow: Flow) -> list[tuple[Clause, Tri, str]]:
    """Return the clauses up to the first certain match, whether they match, and why."""
    asked: list[tuple[Clause, Tri, str]] = []
    for clause in layer.clauses:
        found = clause.match(flow)
        line = f"{clause.label}: {found.why}" if clause.label else found.why
        asked.append((clause, found.value, line))
        if found.value:
            break
    return asked


def _taken(
    head: str, clause: Clause, line: str, misses: Sequence[str], pass_on: Callable[[], Judgement]
) -> Judgement:
    """Return the ruling of the reading in which that clause matches.

    ``misses`` are the reasons why earlier clauses do not match, for a denial without a label.
    """
    reason = f"{head} {_DONE_BY[clause.action]} {line}" if clause.label else f"{head} {line}"
    by = (clause.by,) if clause.by else ()
    match clause.action:
        case Action.ALLOW:
            return Judgement(Ruling.ALLOWED, (reason,), by=by)
        case Action.DENY:
            why = () if clause.label else tuple(indented(misses))
            return Judgement(Ruling.DENIED, (reason, *why), by=by)
        case Action.PASS:
            return _after(reason, pass_on())


def _after(reason: str, judgement: Judgement) -> Judgement:
    """Return the judgement of the next layers, preceded by the reason why they decide."""
    return replace(judgement, reasons=(reason, *judgement.reasons))


# ------------------------------------------------------------------ connections


class Layered(Protocol):
    """A kind of policy that decides on connections."""

    def layer(self, direction: Direction, pod: Pod) -> Layer:
        """Return the layer of its policies for a pod and a direction."""
        ...


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
            self._layers[key] = tuple(kind.layer(direction, pod) for kind in self._kinds)
        return decide(self._layers[key], flow)


def ends(direction: Direction, flow: Flow) -> tuple[Party, Party]:
    """Return the end that policies select in that direction, and its peer."""
    if direction is Direction.EGRESS:
        return flow.source, flow.destination
    return flow.destination, flow.source
