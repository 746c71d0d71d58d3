"""A Scenario as the text of a file, as a person would write it.

Keys stand in the order of ``docs/scenarios.md``. Everything that a file can say and a Scenario
holds is written: read again, the text gives the same Scenario, apart from positions. Manifests
stand inline, since a Scenario does not know their files. The pods and Services of a namespace
stand together.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.model import (
    AgentsRestarted,
    Applied,
    Change,
    Created,
    Deleted,
    Family,
    Fixture,
    Labelled,
    Manifest,
    PodRef,
    Probe,
    Refused,
    Restarted,
    Scenario,
    State,
    Step,
)
from harness.scenario.candidates import Budget, Candidates, candidates
from harness.scenario.needs import needed
from harness.scenario.topology import Conflict, StepState, TopologyBuilder
from harness.scenario.write_manifest import manifest
from harness.scenario.write_table import Exemptions, Unwritable, expectation
from harness.scenario.write_topology import (
    Entries,
    Placement,
    in_one_order,
    namespaces,
    open_if,
    outside_hosts,
    ranges,
    unless_empty,
)
from harness.scenario.yaml_text import Layout, Listed, Mapped, Node, document, prose


def write(scenario: Scenario) -> str:
    """Return the text of a file that reads as the scenario; its slug is the file's name.

    Raises Unwritable for a scenario that no file can describe.
    """
    start = scenario.topology or scenario.steps[0].state
    _check(start, scenario.steps)
    _check_fixture(scenario.fixture, start)
    return document(Mapped(tuple(_file(scenario, start)), Layout.OPEN))


def _check(start: State, steps: Iterable[Step]) -> None:
    """Raise Unwritable unless each state is what the changes of its step lead to."""
    made = [item.incarnation for item in start.namespaces]
    made += [item.incarnation for item in start.pod_objects]
    if start.policies or start.refused or any(made):
        fact = "the state before the first step has objects, or things that were created twice"
        raise Unwritable(fact)
    builder = TopologyBuilder(start)
    for step in steps:
        try:
            for change in step.changes:
                builder.make(change)
        except Conflict as conflict:
            raise Unwritable(f"step {step.name!r}: {conflict}") from conflict
        if builder.finish_step() != StepState(step.state, step.changes):
            raise Unwritable(f"step {step.name!r}: its changes lead to another state")


def _check_fixture(fixture: Fixture | None, start: State) -> None:
    """Raise Unwritable unless the state before the first step has all of the fixture."""
    if fixture is None:
        return
    base = fixture.state
    kept = (
        base.scope == start.scope
        and base.networks == start.networks
        and start.namespaces[: len(base.namespaces)] == base.namespaces
        and start.pods[: len(base.pods)] == base.pods
        and start.completed[: len(base.completed)] == base.completed
        and start.services[: len(base.services)] == base.services
        and start.externals[: len(base.externals)] == base.externals
    )
    if not kept:
        raise Unwritable("the state before the first step is not the fixture and more")


def _file(scenario: Scenario, start: State) -> Entries:
    placement = Placement(always=scenario.needs.nodes > 1)
    base = scenario.fixture.state if scenario.fixture else State(start.scope)
    added = in_one_order(
        start.namespaces[len(base.namespaces) :],
        start.pods[len(base.pods) :],
        start.completed[len(base.completed) :],
        start.services[len(base.services) :],
    )
    topology = namespaces(added, placement)
    states = [step.state for step in scenario.steps]
    # What was read once is within the limits of a file.
    unlimited = Budget(sys.maxsize, sys.maxsize)
    ends = list(candidates(states, scenario.families, unlimited))
    exemptions = Exemptions.of(tuple(zip((s.table for s in scenario.steps), ends, strict=True)))
    steps = [
        _step(step, of_step, exemptions.of_steps[index], placement)
        for index, (step, of_step) in enumerate(zip(scenario.steps, ends, strict=True))
    ]
    yield "scenario", scenario.name
    yield "why", prose(scenario.why)
    if scenario.snapshot is not None:
        yield "snapshot", scenario.snapshot
    yield from unless_empty("covers", Listed(scenario.covers, Layout.LINE))
    yield from unless_empty("catches", Listed(scenario.catches, Layout.LINE))
    yield from unless_empty("needs", _needs(scenario, placement))
    if scenario.families != (Family.V4,):
        yield "families", Listed(tuple(map(int, scenario.families)))
    if scenario.exact_names:
        yield "exact names", True
    yield from unless_empty("externals", outside_hosts(start.externals[len(base.externals) :]))
    if scenario.fixture is None:
        yield from unless_empty("networks", ranges(start.networks))
        yield "topology", topology
    else:
        yield "fixture", scenario.fixture.written
        yield from unless_empty("topology", topology)
    yield from unless_empty("never-allowed", _reasons(exemptions.of_file))
    if scenario.oracle_off is not None:
        yield "oracle", Mapped((("off", prose(scenario.oracle_off)),))
    if scenario.weak:
        yield "proves", "nothing-changes"
    yield "steps", Listed(tuple(steps), Layout.OPEN, gap=1)


def _needs(scenario: Scenario, placement: Placement) -> Listed:
    """Return what the scenario needs beyond what its file shows."""
    nodes = [*placement.written, scenario.fixture.nodes if scenario.fixture else 1]
    shown = needed(scenario.steps, scenario.families, (), nodes)
    features = scenario.needs.features - shown.features
    words: list[Node] = [*sorted(features), *sorted(scenario.needs.on_request - shown.on_request)]
    if scenario.needs.nodes > shown.nodes:
        words.append(Mapped((("nodes", scenario.needs.nodes),)))
    return Listed(tuple(words), Layout.LINE)


def _reasons(reasons: Mapping[str, str]) -> Mapped:
    return Mapped(tuple((pair, prose(why)) for pair, why in reasons.items()), Layout.OPEN)


# ------------------------------------------------------------------ steps


def _step(
    step: Step, ends: Candidates, reasons: Mapping[str, str], placement: Placement
) -> Mapped:
    entries: list[tuple[str, Node]] = [("step", step.name)]
    entries += unless_empty("needs", Listed(tuple(sorted(step.needs.features)), Layout.LINE))
    entries += _default_namespace(step)
    entries += _verbs(step, placement)
    entries += unless_empty("never-allowed", _reasons(reasons))
    entries += _watch(step)
    entries += _duration("settle", step.settle_s)
    entries += _duration("hold", step.hold_s)
    entries.append(("expect", expectation(step.table, ends)))
    return Mapped(tuple(entries), Layout.OPEN)


def _default_namespace(step: Step) -> Entries:
    found = {item.namespace for item in _manifests(step.changes) if item.namespace_from_step}
    if len(found) > 1:
        names = ", ".join(sorted(found))
        fact = f"step {step.name!r} has manifests without a namespace for two namespaces: {names}"
        raise Unwritable(fact)
    yield from (("namespace", name) for name in found)


def _manifests(changes: Iterable[Change]) -> Iterator[Manifest]:
    return (change.manifest for change in changes if isinstance(change, Applied | Refused))


def _watch(step: Step) -> Entries:
    """Yield the pairs that a step watches, and those that new pods probe from the start."""
    if step.watch is not None:
        entries: list[tuple[str, Node]] = [("pairs", _pairs(step, step.watch.probes))]
        entries += _duration("tolerate", step.watch.tolerate_s)
        entries += _duration("for", step.watch.for_s or None)
        yield "watch", Mapped(tuple(entries), Layout.OPEN)
    if step.from_start:
        yield "from-start", _pairs(step, step.from_start)


def _pairs(step: Step, probes: Sequence[Probe]) -> Listed:
    """Return pairs of the table. A pair stands for all its families there."""
    found = dict.fromkeys(map(_pair, probes))
    if any(_pair(c.probe) in found and c.probe not in probes for c in step.table.cells):
        raise Unwritable(f"step {step.name!r} watches only one family of a pair")
    return Listed(tuple(found))


def _pair(probe: Probe) -> str:
    return f"{probe.source} -> {probe.destination}"


def _duration(key: str, seconds: float | None) -> Entries:
    if seconds is not None:
        whole = float(seconds).is_integer() and seconds < _MOST_DIGITS
        yield key, int(seconds) if whole else float(seconds)


_MOST_DIGITS = 10**15
"""From here on, a number is written as a fraction with an exponent."""
_VERBS: Mapping[type[Change], str] = {
    Applied: "apply",
    Created: "create",
    Deleted: "delete",
    Labelled: "label",
    Refused: "refused",
    Restarted: "restart",
    AgentsRestarted: "restart",
}


def _verbs(step: Step, placement: Placement) -> Entries:
    """Yield the verbs of a step in the order of its changes."""
    seen = set()
    for verb, group in itertools.groupby(step.changes, _verb_of):
        if verb in seen:
            raise Unwritable(f"step {step.name!r} has `{verb}` twice, with others between")
        seen.add(verb)
        yield verb, _verb(step, tuple(group), placement)


def _verb_of(change: Change) -> str:
    return _VERBS[type(change)]


def _verb(step: Step, changes: Sequence[Change], placement: Placement) -> Node:
    """Return the value of the verb that stands for changes of one kind."""
    match changes[0]:
        case Created():
            items = [change.item for change in changes if isinstance(change, Created)]
            return namespaces(items, placement)
        case Applied() | Refused():
            return Listed(tuple(map(manifest, _manifests(changes))), Layout.OPEN)
        case Deleted():
            deleted = (change for change in changes if isinstance(change, Deleted))
            return Listed(tuple(map(_reference, deleted)))
        case Restarted() | AgentsRestarted():
            return Listed(tuple(map(_restarted, changes)))
        case Labelled():
            return _label(step, [change for change in changes if isinstance(change, Labelled)])


def _restarted(change: Change) -> str:
    return str(change.pod) if isinstance(change, Restarted) else "agents"


def _reference(deleted: Deleted) -> str:
    return "/".join(filter(None, (deleted.kind, deleted.namespace, deleted.name)))


def _label(step: Step, changes: Iterable[Labelled]) -> Mapped:
    found: dict[str, dict[str, Node]] = {}
    for change in changes:
        target = change.target
        written = str(target) if isinstance(target, PodRef) else f"ns/{target.name}"
        of_target = found.setdefault(written, {})
        if change.key in of_target:
            fact = f"step {step.name!r} sets the label {change.key!r} of {target} twice"
            raise Unwritable(fact)
        of_target[change.key] = change.value
    targets = tuple((name, Mapped(tuple(labels.items()))) for name, labels in found.items())
    return Mapped(targets, open_if(len(targets) > 1))
