"""A failing case made small: fewer cells, steps, changes, parts of policies, and pods."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from harness.generate.plan import Impossible, Plan, PlannedStep, plan_of, scenario_of
from harness.generate.variants import Size, variants
from harness.model import (
    Applied,
    Change,
    Deleted,
    Labelled,
    Labels,
    NamespaceRef,
    PodRef,
    Probe,
    Restarted,
    Scenario,
    ServiceRef,
)
from harness.policy import placeholders
from harness.scenario.write import write
from harness.scenario.write_table import Unwritable

Fails = Callable[[Scenario], bool]
"""Whether a scenario still fails in the same way; a run on a cluster."""

_MOST_RUNS = 100
_REDUCTIONS: tuple[Callable[[Plan], Iterator[Plan]], ...]


@dataclass(slots=True)
class _Search:
    """The smallest plan that is known to fail, and how many more runs are permitted."""

    plan: Plan
    fails: Fails
    runs: int

    def reduce(self, reduction: Callable[[Plan], Iterator[Plan]]) -> None:
        """Apply a reduction as long as the scenario fails."""
        failed = True
        while failed and self.runs:
            failed = any(self._takes(smaller) for smaller in reduction(self.plan))

    def _takes(self, smaller: Plan) -> bool:
        if not self.runs:
            return False
        with contextlib.suppress(Impossible, Unwritable):
            scenario = scenario_of(smaller)
            write(scenario)
            self.runs -= 1
            if self.fails(scenario):
                self.plan = smaller
                return True
        return False


def shrunk(
    scenario: Scenario, probe: Probe, fails: Fails, most_runs: int = _MOST_RUNS
) -> Scenario:
    """Return a smaller scenario that fails in the same way.

    ``probe`` is a cell that was wrong; the others are left out if it is wrong without them.
    """
    search = _Search(plan_of(scenario), fails, most_runs)
    search.reduce(lambda plan: _only(plan, probe))
    before = None
    while search.plan is not before:
        before = search.plan
        for reduction in _REDUCTIONS:
            search.reduce(reduction)
    return scenario_of(search.plan)


def _only(plan: Plan, probe: Probe) -> Iterator[Plan]:
    if plan.probes != (probe,):
        yield replace(plan, probes=(probe,))


def _fewer_steps(plan: Plan) -> Iterator[Plan]:
    """Yield the plan without a step, the last one first."""
    for index in reversed(range(len(plan.steps))):
        if len(plan.steps) > 1:
            yield replace(plan, steps=(*plan.steps[:index], *plan.steps[index + 1 :]))


def _merged_steps(plan: Plan) -> Iterator[Plan]:
    """Yield the plan with two steps as one."""
    for index in range(len(plan.steps) - 1):
        one, other = plan.steps[index : index + 2]
        both = PlannedStep(other.name, (*one.changes, *other.changes))
        yield replace(plan, steps=(*plan.steps[:index], both, *plan.steps[index + 2 :]))


def _fewer_changes(plan: Plan) -> Iterator[Plan]:
    for number, step in enumerate(plan.steps):
        for index in reversed(range(len(step.changes))):
            yield _with_changes(plan, number, (*step.changes[:index], *step.changes[index + 1 :]))


def _smaller_policies(plan: Plan) -> Iterator[Plan]:
    for number, step in enumerate(plan.steps):
        for index, change in enumerate(step.changes):
            if not isinstance(change, Applied):
                continue
            for variant in variants(change.manifest):
                if variant.size is Size.SMALLER:
                    applied = replace(change, manifest=variant.policy)
                    changes = (*step.changes[:index], applied, *step.changes[index + 1 :])
                    yield _with_changes(plan, number, changes)


def _with_changes(plan: Plan, number: int, changes: tuple[Change, ...]) -> Plan:
    changed = replace(plan.steps[number], changes=changes)
    return replace(plan, steps=(*plan.steps[:number], changed, *plan.steps[number + 1 :]))


def _fewer_probes(plan: Plan) -> Iterator[Plan]:
    half = len(plan.probes) // 2
    if half:
        yield replace(plan, probes=plan.probes[:half])
        yield replace(plan, probes=plan.probes[half:])


def _fewer_pods(plan: Plan) -> Iterator[Plan]:
    """Yield the plan with a topology of its own, of those pods that something mentions."""
    start = plan.start
    pods, namespaces = _mentioned(plan)
    services = {
        probe.destination.host
        for probe in plan.probes
        if isinstance(probe.destination.host, ServiceRef)
    }
    kept_services = tuple(
        item for item in start.services if ServiceRef(item.namespace, item.name) in services
    )
    pods |= {pod.ref for item in kept_services for pod in start.endpoints(item)}
    kept_pods = tuple(pod for pod in start.pods if pod.ref in pods)
    namespaces |= {pod.namespace for pod in kept_pods}
    small = replace(
        start,
        scope=plan.slug,
        namespaces=tuple(item for item in start.namespaces if item.name in namespaces),
        pods=kept_pods,
        services=kept_services,
        completed=(),
    )
    if small != start:
        yield replace(plan, start=small, fixture=None)


def _plainer_pods(plan: Plan) -> Iterator[Plan]:
    """Yield a topology of the plan's own with fewer ports, or with a label less."""
    if plan.fixture is not None:
        return
    asked = {probe.destination.port for probe in plan.probes}
    targets = (port.target for item in plan.start.services for port in item.ports)
    asked |= {target for target in targets if isinstance(target, int)}
    ends = {probe.destination.host for probe in plan.probes}
    for index, pod in enumerate(plan.start.pods):
        serves = pod.ref in ends or bool(plan.start.services)
        ports = tuple(port for port in pod.ports if serves and port.number in asked)
        fewer = [replace(pod, ports=ports)] if ports != pod.ports else []
        fewer += [replace(pod, labels=labels) for labels in _fewer_labels(pod.labels)]
        for one in fewer:
            pods = (*plan.start.pods[:index], one, *plan.start.pods[index + 1 :])
            yield replace(plan, start=replace(plan.start, pods=pods))
    for index, item in enumerate(plan.start.namespaces):
        for labels in _fewer_labels(item.labels):
            plainer = replace(item, labels=labels)
            spaces = plan.start.namespaces
            spaces = (*spaces[:index], plainer, *spaces[index + 1 :])
            yield replace(plan, start=replace(plan.start, namespaces=spaces))


def _fewer_labels(labels: Labels) -> Iterator[Labels]:
    for name in labels:
        yield Labels({key: value for key, value in labels.items() if key != name})


def _mentioned(plan: Plan) -> tuple[set[PodRef], set[str]]:
    """Return the pods and the namespaces that probes and changes name."""
    pods: set[PodRef] = set()
    namespaces: set[str] = set()
    for probe in plan.probes:
        pods |= {end for end in (probe.source, probe.destination.host) if isinstance(end, PodRef)}
    for change in (change for step in plan.steps for change in step.changes):
        match change:
            case Applied(manifest):
                namespaces.add(manifest.namespace)
                named = (found.of for found in placeholders(manifest))
                pods |= {of for of in named if isinstance(of, PodRef)}
            case Labelled(PodRef() as ref) | Restarted(ref):
                pods.add(ref)
            case Labelled(NamespaceRef(name)):
                namespaces.add(name)
            case Deleted("Pod", namespace, name):
                pods.add(PodRef(namespace, name))
            case Deleted("Namespace", _, name):
                namespaces.add(name)
            case _:
                pass
    return pods, namespaces


_REDUCTIONS = (
    _fewer_steps,
    _fewer_changes,
    _fewer_pods,
    _smaller_policies,
    _plainer_pods,
    _merged_steps,
    _fewer_probes,
)
