"""Scenario files: YAML to frozen values, with every problem at once and its place.

``docs/scenarios.md`` describes the language. The modules, in the order in which a file passes
through them:

- ``source`` reads YAML and knows positions, ``problems`` collects what is wrong;
- ``schema`` has the keys, ``syntax`` the words, ``validation`` says what is wrong with them;
- ``manifests`` reads Kubernetes objects;
- ``shipped`` reads an application's manifests;
- ``fold`` turns keys and verbs into changes of a ``topology``, ``fixture`` reads a shared one,
  ``places`` knows where things stand, ``fitting`` reports what does not fit together;
- ``ends``, ``candidates``, ``table`` and ``exemptions`` read truth tables, ``watching`` the pairs
  that a step watches;
- ``needs`` finds what a cluster must have;
- ``judge`` compares the tables with the oracle;
- ``write`` prints a Scenario as a file.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.documents.problems import Problems
from harness.documents.source import Document, WrittenText
from harness.documents.text import read_text
from harness.errors import Location, Problem, ScenarioError
from harness.files import display
from harness.model import (
    Change,
    Family,
    Fixture,
    Needs,
    Probe,
    Scenario,
    State,
    Step,
    TruthTable,
    Watch,
    skips,
)
from harness.scenario import fixture as fixtures
from harness.scenario import judge, shipped, watching
from harness.scenario.candidates import Budget, Candidates, candidates
from harness.scenario.ends import parse_destination, parse_source
from harness.scenario.exemptions import declared, exempted
from harness.scenario.files import OWN_FOLDER, Project
from harness.scenario.fixture import Mention, ReadFixture, check_name, draft
from harness.scenario.fixture import load as load_fixture
from harness.scenario.fold import StateReader
from harness.scenario.folders import find, has_scenario_name, is_loop, is_passed_over
from harness.scenario.indentation import scenario_documents
from harness.scenario.json_schema import fixture_json_schema, json_schema
from harness.scenario.manifests import Manifests
from harness.scenario.needs import needed, with_needs
from harness.scenario.networks import with_outside
from harness.scenario.schema import ScenarioWire, StepWire
from harness.scenario.shipped import FromManifests
from harness.scenario.syntax import seconds
from harness.scenario.table import TableReader
from harness.scenario.topology import StepState
from harness.scenario.validation import validate
from harness.scenario.watching import Tables

__all__ = [
    "Change",
    "Outline",
    "StepWire",
    "check_text",
    "draft",
    "examine",
    "find",
    "fixture_json_schema",
    "has_scenario_name",
    "is_loop",
    "is_passed_over",
    "json_schema",
    "load",
    "load_fixture",
    "outline",
    "parse_destination",
    "parse_source",
    "read",
]


def load(path: Path, roots: Iterable[Path] = ()) -> Scenario:
    """Read a scenario that agrees with its policies and proves something. Raises ScenarioError."""
    return _valid(_Reading(path, Project.around(path, roots), Problems()))


def examine(path: Path, roots: Iterable[Path] = ()) -> tuple[Scenario, tuple[Problem, ...]]:
    """Read a scenario file and compare it with the oracle.

    Returns the scenario with the oracle's reasons in the cells that are undefined or not judged,
    and as problems the words that the policies contradict, or that the tables prove nothing.
    Raises ScenarioError with every problem if the file cannot be read.
    """
    return _examined(_Reading(path, Project.around(path, roots), Problems()))


def check_text(path: Path, text: str) -> None:
    """Examine a text as if it were that of the file. Raises ScenarioError with every problem."""
    _valid(_Reading(path, Project.around(path), Problems(), text))


def _valid(reading: _Reading) -> Scenario:
    scenario, problems = _examined(reading)
    if problems:
        raise ScenarioError(problems)
    return scenario


def _examined(reading: _Reading) -> tuple[Scenario, tuple[Problem, ...]]:
    with _collector_paused():
        scenario = judge.compare(reading.scenario(), reading.problems)
        watching.check_defined(scenario.steps, reading.problems)
        if not reading.problems.found:
            reading.check_proof(scenario)
        return scenario, reading.problems.in_order(reading.shown)


def read(path: Path, roots: Iterable[Path] = ()) -> Scenario:
    """Read a scenario file and the files it names, and do not ask the oracle.

    Files may be named below the scenario's folder, the current folder, and ``roots``.
    Raises ScenarioError with every problem.
    """
    with _collector_paused():
        return _Reading(path, Project.around(path, roots), Problems()).scenario()


def outline(path: Path, roots: Iterable[Path] = ()) -> Outline:
    """Read a scenario file up to its tables. Raises ScenarioError with every problem."""
    with _collector_paused():
        return _Reading(path, Project.around(path, roots), Problems()).outline()


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the collector of cycles: a file makes 100,000 values, few in cycles.

    It took 40 % of the time of reading.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@dataclass(frozen=True, slots=True)
class Outline:
    """A scenario file before its tables are read.

    The steps of ``scenario`` have no cells. ``ends`` are what the ends of their tables can be, and
    ``expects`` the texts of the tables. ``snapshot_at`` is the value of that key.
    """

    scenario: Scenario
    ends: tuple[Candidates, ...]
    expects: tuple[WrittenText, ...]
    text: str
    snapshot_at: Location


@dataclass(frozen=True, slots=True)
class _Base:
    """What the steps of a file lead to, before their tables are read."""

    document: Document
    wire: ScenarioWire
    topology: State
    states: list[StepState]
    ends: list[Candidates]
    fixture: ReadFixture | None


class _Reading:
    """One file on its way to a Scenario; ``given`` is a text in place of its own."""

    def __init__(self, path: Path, project: Project, problems: Problems, given: str = "") -> None:
        self.path = path
        self.project = project
        self.shown = display(path)
        self.problems = problems
        self._given = given
        self._text = ""
        self._steps_at = self._proves_at = Location(self.shown, 1, 1)

    def scenario(self) -> Scenario:
        """Return the scenario. Raises ScenarioError with every problem."""
        scenario = self._scenario()
        if scenario is None or self.problems.found:
            raise ScenarioError(self.problems.in_order(self.shown))
        return scenario

    def outline(self) -> Outline:
        """Return the file before its tables are read. Raises ScenarioError."""
        base = self._base()
        if base is None or self.problems.found:
            raise ScenarioError(self.problems.in_order(self.shown))
        document = base.document
        expects = (("steps", index, "expect") for index in range(len(base.states)))
        return Outline(
            self._built(base, [], {}, {}),
            tuple(base.ends),
            tuple(document.written(place) for place in expects),
            self._text,
            document.at(("snapshot",)),
        )

    def _scenario(self) -> Scenario | None:
        base = self._base()
        if base is None:
            return None
        document, wire, states = base.document, base.wire, base.states
        tables = self._tables(document, wire, base.ends)
        ended = list(zip(tables, base.ends, strict=False))
        watches = self._watches(document, wire, ended, states)
        starts = {}
        for index, here in enumerate(ended):
            changes = states[index].changes
            text = watching.started_text(document, index, wire.steps[index], changes)
            if text:
                starts[index] = watching.from_start(text, here, self.problems)
        self._steps_at = document.key_at(("steps",))
        self._proves_at = document.at(("proves",))
        return self._built(base, tables, watches, starts)

    def _base(self) -> _Base | None:
        """Return all but the tables, or None for a file that cannot be read so far."""
        check_name(self.path, self.problems)
        before = self.problems.met
        document = self._document()
        misread = self.problems.met > before
        wire = validate(document, ScenarioWire, self.problems) if document else None
        if document is None:
            return None
        manifests = Manifests(document, self.path.parent, self.project, self.problems)
        if wire is None:
            manifests.check_all()
            return None
        self._check_steps(document, wire)
        if misread:
            return None  # keys are lost, and what misses them would be no fault of the author's
        fixture = self._fixture(document, wire)
        if wire.fixture is not None and fixture is None:
            return None
        given = self._shipped(document, wire)
        if wire.manifests is not None and given is None:
            return None
        inherited = fixture.inherited if fixture else None
        slug = inherited.state.scope if inherited else self.path.stem
        reader = StateReader(document, wire, slug, manifests, inherited, given)
        topology = reader.topology()
        states = [reader.step(index) for index in range(len(wire.steps))]
        for step, found in zip(wire.steps, states, strict=True):
            manifests.placeholders.check(step.step, found.state)
        return _Base(document, wire, topology, states, self._ends(wire, states), fixture)

    def _fixture(self, document: Document, wire: ScenarioWire) -> ReadFixture | None:
        if wire.fixture is None:
            return None
        mention = Mention(self.path.parent, wire.fixture, document.at(("fixture",)))
        return fixtures.named(mention, self.project, self.problems)

    def _shipped(self, document: Document, wire: ScenarioWire) -> FromManifests | None:
        if wire.manifests is None:
            return None
        folder = self.path.parent
        return shipped.read(document, wire.manifests, folder, self.project, self.problems)

    def _document(self) -> Document | None:
        start = Location(self.shown, 1, 1)
        text = self._given or read_text(self.path, start, self.problems, OWN_FOLDER)
        if text is None:
            return None
        self._text = text
        found = scenario_documents(self.shown, text, self.problems)
        if len(found) > 1:
            hint = "write one scenario per file, and manifests in other files"
            self.problems.add(found[1].at(()), "a second YAML document begins here", hint)
            return None
        if not found and not self.problems.met:
            self.problems.add(start, "the file is empty", "`netpol init` writes an example")
        if found and not isinstance(found[0].value, dict):
            hint = "it begins with `scenario:`; `netpol init` writes an example"
            self.problems.add(found[0].at(()), "a scenario is a mapping of keys", hint)
            return None
        if found and self._is_something_else(found[0]):
            return None
        return found[0] if found else None

    def _is_something_else(self, document: Document) -> bool:
        """Report a Kubernetes object or a kustomization that was taken for a scenario."""
        body = document.value
        if not isinstance(body, dict) or "scenario" in body:
            return False
        kind = body.get("kind")
        if self.path.stem == "kustomization" or kind == "Kustomization":
            fact = "this is a kustomization, not a scenario"
            hint = (
                "render it, like `kubectl kustomize FOLDER > rendered.yaml`, and apply the result"
            )
        elif isinstance(kind, str) and "apiVersion" in body:
            fact = f"this is a manifest ({kind}), not a scenario"
            hint = f"a step of a scenario applies it: `apply: [{self.path.name}]`"
        elif fixtures.is_fixture(body):
            fact = "this is a fixture, not a scenario"
            hint = "a scenario names it: `fixture: PATH`; keep it in a folder named fixtures"
        else:
            return False
        self.problems.add(document.at(()), fact, hint)
        return True

    def _check_steps(self, document: Document, wire: ScenarioWire) -> None:
        seen: dict[str, int] = {}
        for index, step in enumerate(wire.steps):
            for number, need in enumerate(step.needs):
                if need in wire.needs:
                    here = document.at(("steps", index, "needs", number))
                    self.problems.add(here, f"the scenario needs {need!r} already", "remove it")
            at = document.at(("steps", index, "step"))
            if step.step in seen:
                fact = f"the step {step.step!r} stands in line {seen[step.step]} already"
                self.problems.add(at, fact, "no two steps of a scenario are called alike")
            seen.setdefault(step.step, at.line)
        for key, values in (("families", wire.families), ("covers", wire.covers)):
            for index, value in enumerate(values):
                if value in values[:index]:
                    here = document.at((key, index))
                    self.problems.add(here, f"{value} stands twice in {key}", "remove one")

    def _ends(self, wire: ScenarioWire, states: list[StepState]) -> list[Candidates]:
        families = tuple(Family(number) for number in wire.families)
        return list(candidates((step.state for step in states), families, Budget()))

    def _tables(
        self, document: Document, wire: ScenarioWire, ends: list[Candidates]
    ) -> list[TruthTable]:
        reader = TableReader(self.shown, self.problems.line, self.problems)
        tables = [
            (reader.read(document.written(("steps", index, "expect")), of_step), of_step)
            for index, of_step in enumerate(ends)
        ]
        if self.problems.met:
            return []  # with rows missing, exemptions would match too little
        return exempted(declared(document, wire), tables, self.problems)

    def _watches(
        self,
        document: Document,
        wire: ScenarioWire,
        tables: list[tuple[TruthTable, Candidates]],
        states: list[StepState],
    ) -> dict[int, Watch]:
        """Return the watches by the index of their step; none if the tables are not complete."""
        found = {}
        for index, (here, step) in enumerate(zip(tables, wire.steps, strict=False)):
            text = watching.watched_text(document, index, step, states[index].changes)
            if text is not None:
                before = (wire.steps[index - 1].step, tables[index - 1][0]) if index else None
                found[index] = watching.watch(text, Tables(here, before), self.problems)
        return found

    def _built(
        self,
        base: _Base,
        tables: Sequence[TruthTable],
        watches: Mapping[int, Watch],
        starts: Mapping[int, tuple[Probe, ...]],
    ) -> Scenario:
        document, wire = base.document, base.wire
        steps = tuple(
            Step(
                name=step.step,
                location=document.at(("steps", index)),
                changes=base.states[index].changes,
                state=base.states[index].state,
                table=tables[index] if index < len(tables) else TruthTable(()),
                settle_s=None if step.settle is None else seconds(step.settle),
                hold_s=None if step.hold is None else seconds(step.hold),
                watch=watches.get(index),
                from_start=starts.get(index, ()),
            )
            for index, step in enumerate(wire.steps)
        )
        families = tuple(Family(number) for number in wire.families)
        steps = with_needs(with_outside(steps), families, [set(step.needs) for step in wire.steps])
        fixture = base.fixture.fixture if base.fixture else None
        return Scenario(
            path=str(self.path),
            name=wire.scenario,
            slug=self.path.stem,
            why=wire.why,
            steps=steps,
            covers=tuple(wire.covers),
            catches=tuple(wire.catches),
            needs=_needs(wire, steps, families, fixture),
            families=families,
            snapshot=wire.snapshot,
            exact_names=wire.exact_names,
            oracle_off=wire.oracle.off if wire.oracle else None,
            weak=wire.proves is not None,
            notes=tuple(self.problems.notes),
            topology=replace(base.topology, outside=steps[0].state.outside),
            fixture=fixture,
        )

    def check_proof(self, scenario: Scenario) -> None:
        """Compare what the scenario proves with what its author says; cells must be marked."""
        changes = judge.changes_something(scenario.steps)
        if changes and scenario.weak:
            fact = "the scenario says that nothing changes, and its tables change"
            self.problems.add(self._proves_at, fact, "remove `proves: nothing-changes`")
        elif not changes and not scenario.weak:
            self.problems.add(self._steps_at, *judge.without_proof(scenario.steps))
        elif changes and not judge.changes_something(always_run := _always_run(scenario)):
            first = next(step for step in scenario.steps if step not in always_run)
            fact = "without the steps that a cluster may skip, no step changes any cell"
            hint = f"write the needs of step {first.name!r} in the `needs` of the scenario"
            self.problems.add(first.location, fact, hint)


def _always_run(scenario: Scenario) -> list[Step]:
    """Return the steps that run on every cluster which has what the scenario needs."""
    skipped = skips(scenario.steps, scenario.needs.features)
    return [step for step, skip in zip(scenario.steps, skipped, strict=True) if skip is None]


def _needs(
    wire: ScenarioWire,
    steps: tuple[Step, ...],
    families: tuple[Family, ...],
    fixture: Fixture | None,
) -> Needs:
    words = [need for need in wire.needs if isinstance(need, str)]
    nodes = [need.nodes for need in wire.needs if not isinstance(need, str)]
    topologies = [wire.topology, *(step.create for step in wire.steps)]
    pods = (pod for made in topologies for ns in made.values() for pod in ns.pods.values())
    nodes += [pod.node for pod in pods if pod.node is not None]
    nodes += [fixture.nodes] if fixture else []
    return needed(steps, families, words, nodes)
