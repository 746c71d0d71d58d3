"""Scenarios as text: what is written reads as the same scenario, and looks like a person's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import scenario
from harness.documents import kubernetes_yaml
from harness.documents.problems import Problems
from harness.documents.source import documents
from harness.errors import Location
from harness.model import (
    Applied,
    Cell,
    Labels,
    Manifest,
    PodRef,
    Refused,
    Restarted,
    Scenario,
    State,
    Step,
    TruthTable,
    Verdict,
)
from harness.scenario import find
from harness.scenario.topology import TopologyBuilder
from harness.scenario.write import write
from harness.scenario.write_table import Unwritable
from harness.scenario.yaml_text import Layout, Listed, Mapped, Node, document, prose
from tests.scenarios import scenarios

ROOT = Path(__file__).parents[3]
DATA = Path(__file__).parent / "data"
HERE = Location("", 1, 1)
FILES = (*find(ROOT / "scenarios"), *find(ROOT / "docs" / "claims"), *find(DATA / "valid"))


def bare(read: Scenario) -> tuple[Scenario, list[bool]]:
    """Return a scenario without paths and positions, and what its manifests do not compare."""
    steps = tuple(_bare(step) for step in read.steps)
    own = [
        change.manifest.namespace_from_step
        for step in read.steps
        for change in step.changes
        if isinstance(change, Applied | Refused)
    ]
    fixture = replace(read.fixture, path="") if read.fixture else None
    return replace(read, path="", notes=(), steps=steps, fixture=fixture), own


def _bare(step: Step) -> Step:
    cells = tuple(replace(cell, location=HERE) for cell in step.table.cells)
    return replace(step, location=HERE, table=replace(step.table, cells=cells))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_file_is_written_and_read_again(path: Path, tmp_path: Path) -> None:
    first, problems = scenario.examine(path)
    text = write(first)
    copy = tmp_path / "scenarios" / "of" / path.name
    copy.parent.mkdir(parents=True)
    copy.write_text(text, "utf-8")
    if first.fixture:
        beside = copy.parent / first.fixture.written
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(Path(first.fixture.path).read_text("utf-8"), "utf-8")
    second, same = scenario.examine(copy, [tmp_path])
    assert bare(second) == bare(first)
    assert [problem.message for problem in same] == [
        problem.message.replace(str(path), str(copy)) for problem in problems
    ]
    assert write(second) == text


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(made=scenarios())
def test_every_scenario_is_written_and_read_again(made: Scenario, tmp_path: Path) -> None:
    text = write(made)
    path = tmp_path / f"{made.slug}.yaml"
    path.write_text(text, "utf-8")
    read = scenario.read(path)
    assert bare(read) == bare(made)
    assert write(read) == text


@pytest.mark.parametrize(
    "path",
    [DATA / "valid" / "everything.yaml", ROOT / "scenarios/examples/db-nodeport-ipblock-and.yaml"],
    ids=lambda path: path.stem,
)
def test_the_text_is_exactly_this(path: Path) -> None:
    text = write(scenario.read(path))
    assert text == (DATA / "written" / path.name).read_text("utf-8")


OWN = """\
scenario: Pods without a node, and pairs that never connect
why: A file in this style is written as it is.
topology:
  a:
    pods:
      w: {}
      past: {completes: true}
      x: {}
      y: {ports: [80, 81]}
  b: {pods: {z: {}}}
never-allowed:
  "*/* -> a/y:81": nobody listens
steps:
  - step: one
    expect: |2
           a/y:80   a/y:81
      */*  allowed  REFUSED

  - step: two
    create:
      b: {pods: {late: {}}}
    never-allowed:
      "a/x -> a/y:80": it went away
    expect: |2
           a/y:80   a/y:81
      a/w  allowed  REFUSED
      a/x  TIMEOUT  REFUSED
      b/z  allowed  -
"""


def test_a_file_in_this_style_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(OWN, "utf-8")
    assert write(scenario.read(path)) == OWN


# ------------------------------------------------------------------ what no file can describe


def small(tmp_path: Path) -> Scenario:
    path = tmp_path / "small.yaml"
    path.write_text(
        """\
scenario: S
why: W.
families: [4, 6]
topology: {a: {pods: {x: {}, y: {ports: [80]}}}}
steps:
  - step: one
    label: {a/x: {app: x}}
    restart: [a/x]
    expect: TIMEOUT
""",
        "utf-8",
    )
    return scenario.read(path)


def changed(made: Scenario, **changes: Any) -> Scenario:
    return replace(made, steps=(replace(made.steps[0], **changes),))


POLICY = Manifest(
    "networking.k8s.io/v1", "NetworkPolicy", "a", "p", "{}", namespace_from_step=True
)


def _restarted_twice(made: Scenario) -> Scenario:
    label, restart = made.steps[0].changes
    builder = TopologyBuilder(_topology(made))
    for change in (restart, label, restart):
        builder.make(change)
    step = builder.finish_step()
    return changed(made, state=step.state, changes=step.changes)


def _labelled_twice(made: Scenario) -> Scenario:
    builder = TopologyBuilder(_topology(made))
    builder.label(PodRef("a", "x"), "app", "x")
    builder.label(PodRef("a", "x"), "app", "y")
    step = builder.finish_step()
    return changed(made, state=step.state, changes=step.changes)


def _two_namespaces(made: Scenario) -> Scenario:
    builder = TopologyBuilder(_topology(made))
    builder.add_namespace("b", Labels())
    builder.apply(POLICY)
    builder.apply(replace(POLICY, namespace="b"))
    step = builder.finish_step()
    return changed(made, state=step.state, changes=step.changes)


def _topology(made: Scenario) -> State:
    assert made.topology is not None
    return made.topology


def _cells(made: Scenario, *cells: Cell) -> Scenario:
    return changed(made, table=TruthTable(cells))


UNWRITABLE: dict[str, tuple[Callable[[Scenario], Scenario], str]] = {
    "another state": (
        lambda made: changed(made, changes=()),
        "step 'one': its changes lead to another state",
    ),
    "an impossible change": (
        lambda made: changed(made, changes=(Restarted(PodRef("a", "z")),)),
        "step 'one': pod a/z does not exist",
    ),
    "objects before the first step": (
        lambda made: replace(made, topology=replace(_topology(made), policies=(POLICY,))),
        "the state before the first step has objects, or things that were created twice",
    ),
    "a verb twice": (_restarted_twice, "step 'one' has `restart` twice, with others between"),
    "a label twice": (_labelled_twice, "step 'one' sets the label 'app' of a/x twice"),
    "two namespaces": (
        _two_namespaces,
        "step 'one' has manifests without a namespace for two namespaces: a, b",
    ),
    "no cell": (lambda made: _cells(made), "a table without cells"),
    "a family without its word": (
        lambda made: _cells(made, made.steps[0].table.cells[0]),
        "a/x -> a/y:80 (IPv6) is not in the table, and its other family is",
    ),
    "two words": (
        lambda made: _cells(
            made,
            made.steps[0].table.cells[0],
            replace(made.steps[0].table.cells[1], expected=Verdict.DNS),
        ),
        "a/x -> a/y:80 has two verdicts, and a table has one word for all families",
    ),
    "a reason for one family": (
        lambda made: _cells(
            made,
            made.steps[0].table.cells[0],
            replace(made.steps[0].table.cells[1], never_allowed="why"),
        ),
        "a/x -> a/y:80 is never-allowed for different reasons in its families",
    ),
}


@pytest.mark.parametrize(("make", "text"), UNWRITABLE.values(), ids=list(UNWRITABLE))
def test_what_no_file_can_describe(
    make: Callable[[Scenario], Scenario], text: str, tmp_path: Path
) -> None:
    with pytest.raises(Unwritable) as caught:
        write(make(small(tmp_path)))
    assert str(caught.value) == text


# ------------------------------------------------------------------ YAML


@given(text=st.text(), layout=st.sampled_from(Layout))
@settings(deadline=None, derandomize=True)
def test_any_text_is_read_as_itself_by_us_and_by_kubernetes(text: str, layout: Layout) -> None:
    root = Mapped((("outer", Mapped(((text, prose(text)),), layout, strict=True)),), Layout.OPEN)
    problems = Problems()
    (read,) = documents("t.yaml", document(root), problems)
    assert read.value == {"outer": {text: text}}
    kubernetes_yaml.check(read, (), problems)
    assert problems.found == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "k: plain\n"),
        ("a sentence, with: colons # and more", 'k: "a sentence, with: colons # and more"\n'),
        ("a:b c#d [e]", "k: a:b c#d [e]\n"),
        ("yes", 'k: "yes"\n'),
        ("0x1f", 'k: "0x1f"\n'),
        ("1e3", 'k: "1e3"\n'),
        ("2024-01-01", 'k: "2024-01-01"\n'),
        ("ends with a space ", 'k: "ends with a space "\n'),
        ('"\\\x07\x85\u2028\U0001fffe', 'k: "\\"\\\\\\x07\\x85\\u2028\\U0001fffe"\n'),
        ("two\nlines\n", "k: |\n  two\n  lines\n"),
        ("two\n\nlines", "k: |-\n  two\n\n  lines\n"),
        (" two\nlines", 'k: " two\\nlines"\n'),
        (None, "k: null\n"),
        (True, "k: true\n"),
        (-5, "k: -5\n"),
        (1e22, "k: 1.0e+22\n"),
        (0.25, "k: 0.25\n"),
        (Listed(("a", "b, c", 1)), 'k: [a, "b, c", 1]\n'),
        (Listed(("a", "b"), Layout.OPEN), "k:\n  - a\n  - b\n"),
        (Listed((), Layout.OPEN), "k: []\n"),
        (Mapped((), Layout.OPEN), "k: {}\n"),
        (Mapped((("yes", "yes"),)), 'k: {yes: "yes"}\n'),
        (Mapped((("yes", "yes"),), strict=True), 'k: {"yes": "yes"}\n'),
        (Listed(("x" * 60, "y" * 60)), f"k:\n  - {'x' * 60}\n  - {'y' * 60}\n"),
        (Listed(("x" * 60, "y" * 60), Layout.LINE), f"k: [{'x' * 60}, {'y' * 60}]\n"),
        (
            Listed((Mapped((("a", 1), ("b", 2)), Layout.OPEN), Listed(("c",))), Layout.OPEN, 1),
            "k:\n  - a: 1\n    b: 2\n\n  - [c]\n",
        ),
    ],
    ids=repr,
)
def test_the_layout_of_a_value(value: Node, text: str) -> None:
    value = prose(value) if isinstance(value, str) else value
    assert document(Mapped((("k", value),), Layout.OPEN)) == text
