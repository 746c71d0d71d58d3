"""The scenario files of an application: pods and policies by reference, tables by the oracle.

Those of an application that runs on a cluster come with its manifests, which they refer to.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import application
from harness.application import Application
from harness.application.state import deployed
from harness.errors import Problem, ScenarioError, UsageError
from harness.scenario import draft
from harness.scenario.files import Project
from harness.scenario.shipped import MOST_PODS
from harness.scenario.write_topology import outside_hosts
from harness.scenario.yaml_text import Layout, Listed, Literal, Mapped, Node, document, prose
from harness.snapshot.manifests import as_manifests
from harness.snapshot.plans import NAME, Plan, Step, plans

_HEAD = """\
# The tables are what the policies gave on the day of the snapshot; check that you want that.
# After a wanted change: netpol snapshot --update {name}
"""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to be written, and what its author should look at."""

    path: Path
    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Source:
    """Manifests as they are read now: their paths, and a folder that a draft may be in.

    ``whose`` begins a sentence about what they have.
    """

    paths: tuple[str, ...]
    here: Path
    namespace: str | None
    whose: str


def imported(
    paths: Sequence[str], folder: Path, namespace: str | None, day: str
) -> tuple[NewFile, ...]:
    """Return the files of the application in some manifests.

    Raises ScenarioError with every problem, UsageError for what cannot be imported.
    """
    if "-" in paths:
        hint = "save the manifests in a file, like `helm template CHART > rendered.yaml`"
        raise UsageError("scenarios name the manifests, so they must be files", hint)
    given = tuple(map(str, paths))
    _require(given, folder)
    here = Path()  # the folder may not be there yet
    return _files(_Source(given, here, namespace, "the manifests have"), given, folder, day)


def imported_from(context: str, found: Application, folder: Path, day: str) -> tuple[NewFile, ...]:
    """Return the files of an application that runs on a cluster: also its manifests.

    Those are the first file. Raises as ``imported`` does; places in the manifests are those in
    the file that would have been written.
    """
    pods = sum(len(item.pods) for item in deployed(found))
    whose = f"context {context!r} has"
    if pods > MOST_PODS:
        fact = f"{whose} {pods} pods to try, and a scenario has at most {MOST_PODS}"
        raise UsageError(fact, "-n NAME reads one namespace")
    head = (
        f"What ran on the cluster of context {context} on {day}, as netpol read it.",
        "Only what decides connections is here, for netpol and not for kubectl apply.",
    )
    place = folder / "manifests" / f"{NAME}.yaml"
    passed_over = {item.location for item in found.not_judged}  # a scenario says it better
    notes = [str(note) for note in found.notes if note.location not in passed_over]
    shipped = NewFile(place, as_manifests(found, head), tuple(notes))
    with tempfile.TemporaryDirectory() as name:
        here = Path(name).resolve()
        copy = here / "manifests" / place.name
        copy.parent.mkdir()
        copy.write_text(shipped.text, encoding="utf-8")
        try:
            made = _files(_Source((str(copy),), here, None, whose), (str(place),), folder, day)
        except ScenarioError as error:
            found_in = [_moved(item, str(here), str(folder)) for item in error.problems]
            raise ScenarioError(found_in) from None
    return (shipped, *made)


def _moved(problem: Problem, here: str, there: str) -> Problem:
    path = problem.location.path.replace(here, there)
    return replace(problem, location=replace(problem.location, path=path))


def _files(source: _Source, paths: Sequence[str], folder: Path, day: str) -> tuple[NewFile, ...]:
    """Return the files in a folder; ``paths`` are those that scenarios will have to name."""
    given, here, namespace = source.paths, source.here, source.namespace
    read = draft(here / f"{NAME}.yaml", _fixture(given, here, namespace))
    if not read.policies:
        hint = "`netpol matrix` shows who reaches whom"
        fact = f"{source.whose} no policy, so there is nothing to test"
        raise UsageError(fact, hint)
    app = application.read(given, namespace or "default")
    found = plans(read.state, read.policies, deployed(app))
    if not found:
        hint = "pods declare ports with containerPort; Services lead to them"
        raise UsageError(f"{source.whose} no port to probe, so there is nothing to test", hint)
    if len(found) == 1:
        node = _manifests(paths, folder, namespace)
        return (_file(folder, found[0], ("manifests", node), day),)
    shared = folder / "fixtures" / f"{NAME}.yaml"
    fixture = NewFile(shared, _fixture(paths, shared.parent, namespace))
    where = ("fixture", f"fixtures/{NAME}.yaml")
    return (fixture, *(_file(folder, plan, where, day) for plan in found))


def _require(paths: Sequence[str], folder: Path) -> None:
    """Raise UsageError for paths that a scenario in the folder cannot name."""
    project = Project.around(folder / f"{NAME}.yaml")
    for path in paths:
        if not os.path.lexists(path):
            raise UsageError(f"{path}: no such file or folder", "name files or folders")
        if not project.holds(Path(path)):
            fact = f"{path} is not below the current folder, and a scenario names no other files"
            raise UsageError(
                fact, "run netpol in a folder that has both, like that of the project"
            )


# ------------------------------------------------------------------ text


def _manifests(paths: Sequence[str], folder: Path, namespace: str | None) -> Node:
    near = [os.path.relpath(path, folder) for path in paths]
    if namespace is None:
        return Listed(tuple(near))
    return Mapped((("paths", Listed(tuple(near))), ("namespace", namespace)))


def _fixture(paths: Sequence[str], folder: Path, namespace: str | None) -> str:
    entries = (
        ("fixture", "The application as its manifests describe it"),
        ("manifests", _manifests(paths, folder, namespace)),
    )
    return document(Mapped(entries, Layout.OPEN))


def _file(folder: Path, plan: Plan, source: tuple[str, Node], day: str) -> NewFile:
    entries: list[tuple[str, Node]] = [
        ("scenario", plan.title),
        ("why", prose(plan.why)),
        ("snapshot", day),
    ]
    entries += [("externals", outside_hosts(plan.hosts))] if plan.hosts else []
    entries.append(source)
    entries += [] if plan.changes else [("proves", "nothing-changes")]
    steps = tuple(_written(step) for step in plan.steps)
    entries.append(("steps", Listed(steps, Layout.OPEN, gap=1)))
    path = folder / f"{plan.name}.yaml"
    text = document(Mapped(tuple(entries), Layout.OPEN))
    return NewFile(path, _HEAD.format(name=path.name) + text, plan.notes)


def _written(step: Step) -> Node:
    entries: list[tuple[str, Node]] = [("step", step.name)]
    entries += [("policies", "all")] if step.applies else []
    entries.append(("expect", Literal("|2", step.lines)))
    return Mapped(tuple(entries), Layout.OPEN)
