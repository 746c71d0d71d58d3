"""A scenario before its tables: what its steps do, and which pairs they ask about.

The oracle fills in the verdicts. Pairs whose verdict the API leaves open have no cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from harness import oracle
from harness.errors import Location
from harness.model import (
    Cell,
    Change,
    Family,
    Fixture,
    PodRef,
    Probe,
    Scenario,
    ServiceRef,
    State,
    Step,
    TruthTable,
    Verdict,
)
from harness.policy import placeholders
from harness.scenario.judge import changes_something
from harness.scenario.needs import needed
from harness.scenario.networks import with_outside
from harness.scenario.topology import Conflict, StepState, TopologyBuilder

BY_ADDRESS = oracle.Facts(features=frozenset({"ipblock-pod-ip"}))
"""What the oracle knows where a policy names the address of a pod."""


class Impossible(Exception):
    """A plan from which no scenario can be made."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step: its name, and what it does."""

    name: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A scenario without tables. ``start`` is the state before the first step."""

    slug: str
    name: str
    why: str
    start: State
    steps: tuple[PlannedStep, ...]
    probes: tuple[Probe, ...]
    fixture: Fixture | None = None


def scenario_of(plan: Plan) -> Scenario:
    """Return the scenario, with the oracle's verdicts. Raises Impossible."""
    made = [*_made(plan)]
    if not made:
        raise Impossible("no step is left")
    by_address = any(True for step in made for m in step.state.policies for _ in placeholders(m))
    facts = BY_ADDRESS if by_address else oracle.NO_FACTS
    here = Location(f"{plan.slug}.yaml", 1, 1)
    steps = with_outside(
        tuple(
            Step(planned.name, here, step.changes, step.state, _table(step.state, plan, facts))
            for planned, step in zip(plan.steps, made, strict=True)
        )
    )
    nodes = [plan.fixture.nodes] if plan.fixture else []
    nodes += [pod.node for step in steps for pod in step.state.pods]
    return Scenario(
        path=f"{plan.slug}.yaml",
        name=plan.name,
        slug=plan.slug,
        why=plan.why,
        steps=steps,
        needs=needed(steps, (Family.V4,), (), nodes),
        weak=not changes_something(steps),
        topology=replace(plan.start, outside=steps[0].state.outside),
        fixture=plan.fixture,
    )


def _made(plan: Plan) -> Iterator[StepState]:
    """Yield what each step leads to. Raises Impossible."""
    builder = TopologyBuilder(plan.start)
    for planned in plan.steps:
        try:
            for change in planned.changes:
                builder.make(change)
        except Conflict as conflict:
            raise Impossible(str(conflict)) from conflict
        if any(builder.conflicts()):
            raise Impossible(f"step {planned.name!r} leaves something that cannot work")
        step = builder.finish_step()
        pods = {pod.ref for pod in step.state.pods}
        named = (found.of for m in step.state.policies for found in placeholders(m))
        if any(isinstance(of, PodRef) and of not in pods for of in named):
            raise Impossible(f"step {planned.name!r} has no pod for an address")
        yield step


def plan_of(scenario: Scenario) -> Plan:
    """Return the plan of a generated scenario."""
    start = scenario.topology or scenario.steps[0].state
    cells = (cell for step in scenario.steps for cell in step.table.cells)
    return Plan(
        slug=scenario.slug,
        name=scenario.name,
        why=scenario.why,
        start=start,
        steps=tuple(PlannedStep(step.name, step.changes) for step in scenario.steps),
        probes=tuple(dict.fromkeys(cell.probe for cell in cells)),
        fixture=scenario.fixture,
    )


def verdicts(
    state: State, probes: Iterable[Probe], facts: oracle.Facts
) -> Mapping[Probe, Verdict]:
    """Return the verdict of each pair that exists in the state and has one."""
    judge = oracle.Judge(state, facts)
    pods = {pod.ref for pod in state.pods}
    services = {ServiceRef(item.namespace, item.name) for item in state.services}
    found = {}
    for probe in probes:
        if probe.source in pods and probe.destination.host in {*pods, *services}:
            prediction = judge.predict(probe)
            if len(prediction.verdicts) == 1 and prediction.not_judged is None:
                (found[probe],) = prediction.verdicts
    return found


def _table(state: State, plan: Plan, facts: oracle.Facts) -> TruthTable:
    """Return the cells row by row. Raises Impossible if there is none."""
    here = Location(f"{plan.slug}.yaml", 1, 1)
    found = verdicts(state, plan.probes, facts)
    if not found:
        raise Impossible("a table has no cell")
    rows = dict.fromkeys(probe.source for probe in plan.probes)
    ends = dict.fromkeys(probe.destination for probe in plan.probes)
    in_order = (Probe(source, end) for source in rows for end in ends)
    cells = tuple(Cell(probe, found[probe], here) for probe in in_order if probe in found)
    there = {cell.probe.destination for cell in cells}
    return TruthTable(cells, tuple(end for end in ends if end in there))
