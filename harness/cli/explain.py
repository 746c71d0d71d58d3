"""The verb explain: the verdicts of the policies, and their reasons."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from textwrap import indent

from harness import oracle, scenario
from harness.cli.exits import Exit
from harness.cli.scenarios import count, one_file
from harness.errors import UsageError
from harness.model import Cell, ExternalRef, PodRef, Probe, Scenario, Step
from harness.report import agreement, as_written, at_best, explained
from harness.suggest import nearest


def explain(parsed: argparse.Namespace) -> int:
    """Explain one pair in each step, or all cells that contradict the policies."""
    found = scenario.examine(one_file(parsed.file))[0]
    steps = [find_step(found, parsed.step)] if parsed.step else list(found.steps)
    match parsed.ends:
        case []:
            against = _explain_differences(found, steps)
        case [source, destination]:
            against = _explain_pair(found, steps, (source, destination))
        case _:
            raise UsageError("give both ends, or none", "netpol explain FILE SOURCE DESTINATION")
    return Exit.INVALID if against else Exit.OK


def _explain_pair(found: Scenario, steps: Sequence[Step], ends: tuple[str, str]) -> int:
    """Explain a pair in each step; return how many of its cells contradict the policies."""
    asked = parse_ends(*ends)
    require_ends(steps, asked)
    differing = 0
    for step in steps:
        print(f"step '{step.name}'")
        judge = oracle.Judge(step.state, oracle.Facts(features=found.features_of(step)))
        for family in found.families:
            probe = replace(asked, family=family)
            cell = next((cell for cell in step.table.cells if cell.probe == probe), None)
            explanation = judge.explain(probe)
            if cell:
                explanation = as_written(explanation, cell.expected)
            print(explained(explanation))
            if cell:
                against = _contradicts(judge, cell)
                differing += against
                remark = ", contradicting the policies" if against else ""
                print(f"  {cell.location}: the table says {cell.expected}{remark}")
        print()
    return differing


def _explain_differences(found: Scenario, steps: Sequence[Step]) -> int:
    """Explain the cells that contradict the policies; return how many there are."""
    differing = total = 0
    if found.oracle_off:
        print(f"the file says `oracle: off`: {found.oracle_off}\n")
    for step in steps:
        cells = step.table.cells
        judge = oracle.Judge(step.state, oracle.Facts(features=found.features_of(step)))
        against = [cell for cell in cells if _contradicts(judge, cell)]
        total, differing = total + len(cells), differing + len(against)
        contradicted = {cell.probe for cell in against}
        others = at_best(cell for cell in cells if cell.probe not in contradicted)
        print(f"step '{step.name}': {agreement(others, len(against))}")
        for cell in against:
            print(f"{cell.location}: the table says {cell.expected}, but")
            print(indent(explained(judge.explain(cell.probe)), "  "))
    if not differing:
        print("`netpol explain FILE SOURCE DESTINATION` explains one pair")
    else:
        verb = "contradicts" if differing == 1 else "contradict"
        print(f"{differing} of {count(total, 'cell')} {verb} the policies")
    return differing


def _contradicts(judge: oracle.Judge, cell: Cell) -> bool:
    return judge.predict(cell.probe).contradicts(cell.expected)


def parse_ends(source: str, destination: str) -> Probe:
    """Return the probe between two ends in the syntax of scenarios. Raises UsageError."""
    return Probe(scenario.parse_source(source), scenario.parse_destination(destination))


def require_ends(steps: Sequence[Step], probe: Probe) -> None:
    """Raise UsageError for pods and outside hosts that no step defines (typos)."""
    known = {str(pod.ref) for step in steps for pod in step.state.pods}
    known |= {f"external/{item.name}" for step in steps for item in step.state.externals}
    for end in (probe.source, probe.destination.host):
        if isinstance(end, PodRef | ExternalRef) and str(end) not in known:
            if any(end == pod.ref for step in steps for pod in step.state.completed):
                fact = f"pod {str(end)!r} completes, and is no end of a connection"
                raise UsageError(fact, "name a pod that runs")
            hint = nearest(str(end), known) or f"it has {', '.join(sorted(known))}"
            raise UsageError(f"{str(end)!r} is in no step of this scenario", hint)


def find_step(found: Scenario, wanted: str) -> Step:
    """Return a step by its name, or by its number from 1. Raises UsageError."""
    for number, step in enumerate(found.steps, 1):
        if wanted in {step.name, str(number)}:
            return step
    steps = "; ".join(f"{number} {step.name}" for number, step in enumerate(found.steps, 1))
    raise UsageError(f"{found.path} has no step {wanted!r}", f"steps are: {steps}")
