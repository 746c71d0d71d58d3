"""Fixture files: a topology that several scenarios share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.documents.problems import Problems
from harness.documents.text import read_text
from harness.errors import Location, ScenarioError
from harness.files import Unreadable, display
from harness.model import Fixture
from harness.scenario import shipped
from harness.scenario.files import OWN_FOLDER, Project, shortest
from harness.scenario.fold import Inherited, StateReader
from harness.scenario.indentation import scenario_documents
from harness.scenario.manifests import Manifests
from harness.scenario.schema import FixtureWire
from harness.scenario.validation import validate

_KEY = "fixture"
_SLUG = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class ReadFixture:
    """A fixture, and what a scenario that names it starts from."""

    fixture: Fixture
    inherited: Inherited


@dataclass(frozen=True, slots=True)
class Mention:
    """A scenario's `fixture: PATH`: the folder that the path starts from, and its place."""

    folder: Path
    written: str
    location: Location


def is_fixture(body: object) -> bool:
    """Return whether a YAML document is a fixture, not a scenario."""
    return isinstance(body, dict) and "fixture" in body and not {"scenario", "steps"} & body.keys()


def load(path: Path) -> Fixture | None:
    """Return the fixture in a file, or None if the file holds something else or nothing.

    Raises ScenarioError with every problem of a fixture.
    """
    shown, problems = display(path), Problems()
    start = Location(shown, 1, 1)
    text = read_text(path, start, Problems(), OWN_FOLDER)
    if text is None or _KEY not in text:
        return None
    if not any(is_fixture(item.value) for item in scenario_documents(shown, text, Problems())):
        return None
    mention = Mention(path.parent, path.name, start)
    found = read(path, mention, Project.around(path), problems)
    if found is None or problems.found:
        raise ScenarioError(problems.in_order(shown))
    return found.fixture


def named(mention: Mention, project: Project, problems: Problems) -> ReadFixture | None:
    """Read the fixture that a scenario names; report what is wrong with it."""
    try:
        path = project.file(mention.folder, mention.written)
    except Unreadable as error:
        problems.add(mention.location, error.fact, error.hint)
        return None
    return read(shortest(path), mention, project, problems)


def read(path: Path, mention: Mention, project: Project, problems: Problems) -> ReadFixture | None:
    """Read a fixture file; report what is wrong with it."""
    text = read_text(path, mention.location, problems, OWN_FOLDER)
    return None if text is None else _of_text(path, text, mention, project, problems)


def _of_text(
    path: Path, text: str, mention: Mention, project: Project, problems: Problems
) -> ReadFixture | None:
    shown, before = display(path), problems.met
    found = scenario_documents(shown, text, problems)
    if problems.met > before:
        return None
    if len(found) != 1 or not is_fixture(found[0].value):
        there = found[-1].at(()) if found else Location(shown, 1, 1)
        hint = "it begins with `fixture:` and has a `topology:`, and no steps"
        problems.add(there, "this is not a fixture", hint)
        return None
    check_name(path, problems)
    document = found[0]
    wire = validate(document, FixtureWire, problems)
    if wire is None:
        return None
    given = None
    if wire.manifests is not None:
        given = shipped.read(document, wire.manifests, path.parent, project, problems)
        if given is None:
            return None
    manifests = Manifests(document, path.parent, project, problems)
    reader = StateReader(document, wire, path.stem, manifests, shipped=given)
    state = reader.topology()
    if problems.met > before:
        return None
    pods = (pod for namespace in wire.topology.values() for pod in namespace.pods.values())
    nodes = max([1, *(pod.node for pod in pods if pod.node is not None)])
    fixture = Fixture(mention.written, shown, wire.fixture, state, nodes)
    return ReadFixture(fixture, reader.inherited())


def draft(path: Path, text: str) -> Inherited:
    """Return what scenarios start from if a fixture of this text is written to the path.

    Raises ScenarioError with every problem.
    """
    problems = Problems()
    mention = Mention(path.parent, path.name, Location(display(path), 1, 1))
    found = _of_text(path, text, mention, Project.around(path), problems)
    if found is None or problems.found:
        raise ScenarioError(problems.in_order(display(path)))
    return found.inherited


def check_name(path: Path, problems: Problems) -> None:
    """Report a file whose name cannot be a part of a namespace's name."""
    stem = path.stem
    if _SLUG.fullmatch(stem):
        return
    better = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "my-scenario"
    fact = f"the file's name {path.name!r} cannot be a part of a namespace's name"
    hint = f"rename it to {better}{path.suffix}"
    problems.add(Location(display(path), 1, 1), fact, hint)
