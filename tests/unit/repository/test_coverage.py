"""docs/coverage.md: every requirement that a run can show has scenarios of conformance."""

from __future__ import annotations

import functools
import gzip
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from harness import catalogue, scenario
from harness.model import Scenario
from harness.report import Outcome, Results, Run
from harness.report.record import StepRecord
from tools import coverage_table
from tools.coverage_table import Aspects, Tried

ONE_SIDED = """
scenario: one-sided
why: Ingress, TCP and one node.
covers: [R17, R44]
topology:
  x: {pods: {a: {labels: {pod: a}, ports: [80, 81], node: 1}, b: {node: 1}}}
steps:
  - step: one port
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: one-port, namespace: x}
        spec:
          podSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}
          ingress: [{ports: [{port: 80}]}]
    expect: |2
           x/a:80   x/a:81
      x/b  allowed  TIMEOUT
"""
R17 = "Ingress: where `ports` has entries, no other port is allowed."
R44 = "`NotIn` and `DoesNotExist` hold for an object that does not have the key."


@functools.cache
def every() -> Mapping[str, Scenario]:
    return coverage_table.scenarios()


def one_sided(folder: Path, name: str = "conformance/one.yaml") -> dict[str, Scenario]:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(ONE_SIDED, encoding="utf-8")
    return {name: scenario.load(file)}


# ------------------------------------------------------------------ this repository


def test_there_is_no_hole() -> None:
    assert list(coverage_table.holes(every())) == []


def test_the_page_is_up_to_date() -> None:
    made = coverage_table.document(every(), coverage_table.kept())
    assert coverage_table.TABLE.read_text(encoding="utf-8") == made, "run `make coverage`"


# ------------------------------------------------------------------ holes


def test_a_requirement_without_a_scenario_is_a_hole() -> None:
    found = list(coverage_table.holes({}))
    text = catalogue.requirements()["R01"].text
    assert found[0] == f"R01: no scenario of conformance covers it: {text}"
    entries = catalogue.requirements().values()
    shown = [entry.id for entry in entries if entry.status in {"defined", "rejected"}]
    assert [line.split(":")[0] for line in found] == shown


def test_an_example_alone_is_a_hole(tmp_path: Path) -> None:
    found = list(coverage_table.holes(one_sided(tmp_path, "examples/one.yaml")))
    assert f"R17: no scenario of conformance covers it: {R17}" in found


def test_a_requirement_that_is_covered_in_part_is_a_hole(tmp_path: Path) -> None:
    every_hole = coverage_table.holes(one_sided(tmp_path))
    assert [line for line in every_hole if line.startswith(("R17", "R44"))] == [
        f"R17: no scenario of conformance covers it with UDP: {R17}",
        f"R17: no scenario of conformance covers it between pods on different nodes: {R17}",
        f"R44: no scenario of conformance covers it for egress: {R44}",
        f"R44: no scenario of conformance covers it with UDP: {R44}",
        f"R44: no scenario of conformance covers it between pods on different nodes: {R44}",
    ]


@pytest.mark.parametrize(
    ("id_", "shared"),
    [("R01", True), ("R03", False), ("R17", False), ("R26", True), ("R31", True), ("R44", True)],
)
def test_what_ingress_and_egress_rules_share(id_: str, shared: bool) -> None:
    assert coverage_table.is_shared(catalogue.requirements()[id_]) is shared


def test_the_aspects_of_a_scenario(tmp_path: Path) -> None:
    (read,) = one_sided(tmp_path).values()
    assert coverage_table.aspects(read) == Aspects(
        frozenset({"ingress"}),
        frozenset({"TCP"}),
        frozenset({"the same node"}),
        frozenset({"pod"}),
    )


@pytest.mark.parametrize(
    ("name", "ends", "nodes"),
    [
        ("nodes/the-node-reaches-its-pods", {"pod", "node"}, set(coverage_table.NODES)),
        ("services/ingress-through-a-service", {"pod", "svc"}, set(coverage_table.NODES)),
        ("ipblock/egress-to-outside", {"external", "pod"}, {"the same node", "different nodes"}),
        ("families/ipv6-blocks", {"ip"}, set()),
    ],
)
def test_the_ends_of_probes_and_their_nodes(name: str, ends: set[str], nodes: set[str]) -> None:
    found = coverage_table.aspects(every()[f"conformance/{name}.yaml"])
    assert found.ends >= ends
    assert found.nodes == nodes


# ------------------------------------------------------------------ results


LACK = "cluster kind lacks feature sctp"


def results(*outcomes: tuple[str, Outcome]) -> Results:
    steps = (
        StepRecord(
            f"scenarios/conformance/{name}.yaml",
            "S",
            "s",
            index,
            1,
            outcome,
            "kind",
            LACK if outcome is Outcome.SKIPPED else "",
        )
        for index, (name, outcome) in enumerate(outcomes)
    )
    return Results(Run("np1", "2030-01-01T00:00:00+00:00", 1.0, "0.1.0", "kind", 2), tuple(steps))


RUN = results(
    ("one", Outcome.PASSED),
    ("one", Outcome.WRONG),
    ("two", Outcome.SKIPPED),
    ("three", Outcome.PASSED),
    ("partly", Outcome.PASSED),
    ("partly", Outcome.SKIPPED),
    ("partly", Outcome.LIMITED),
)


def test_the_outcome_of_a_scenario_is_the_worst_of_its_steps_that_ran() -> None:
    assert coverage_table.outcomes(RUN) == {
        "conformance/one.yaml": Tried("wrong", 2),
        "conformance/two.yaml": Tried("", 0, (LACK,)),
        "conformance/three.yaml": Tried("passed", 1),
        "conformance/partly.yaml": Tried("limited", 2, (LACK,)),
    }


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("one", "three"), "wrong"),
        (("one", "two", "three"), "wrong, 3 of 4 steps (1)"),
        (("two", "three"), "passed, 1 of 2 steps (1)"),
        (("partly",), "limited, 2 of 3 steps (1)"),
        (("partly", "two"), "limited, 2 of 4 steps (1)"),
        (("two",), "skipped (1)"),
        (("four",), ""),
    ],
)
def test_the_outcome_of_a_requirement_is_the_worst_of_its_steps_that_ran(
    names: tuple[str, ...], shown: str, tmp_path: Path
) -> None:
    (read,) = one_sided(tmp_path).values()
    covered = {f"conformance/{name}.yaml": read for name in names}
    made = coverage_table.document(covered, {"calico": coverage_table.outcomes(RUN)})
    assert "| id | requirement | calico | with | scenarios |" in made
    links = "<br>".join(f"[{path[:-5]}](../scenarios/{path})" for path in covered)
    assert (
        f"| R17 | {R17} | {shown} | ingress<br>TCP<br>the same node<br>pod | {links} |"
    ) in made.splitlines()


def test_the_reasons_of_skipped_steps_are_listed_with_what_they_skipped(tmp_path: Path) -> None:
    other = results(("one", Outcome.SKIPPED), ("three", Outcome.PASSED))
    other = replace(other, steps=(replace(other.steps[0], message="not here"), other.steps[1]))
    runs = {"calico": coverage_table.outcomes(RUN), "cilium": coverage_table.outcomes(other)}
    made = coverage_table.document(one_sided(tmp_path), runs)
    assert made.partition("## Skipped steps\n\n")[2].splitlines() == [
        f"1. {LACK}: 2 steps of conformance/partly, conformance/two",
        "2. not here: 1 step of conformance/one",
    ]
    (row,) = (line for line in made.splitlines() if line.startswith("| R17 "))
    assert row.startswith(f"| R17 | {R17} | wrong | skipped (2) | ")


def test_without_skipped_steps_there_is_no_list(tmp_path: Path) -> None:
    runs = {"calico": coverage_table.outcomes(results(("one", Outcome.PASSED)))}
    assert "Skipped steps" not in coverage_table.document(one_sided(tmp_path), runs)


def test_results_are_read_from_the_folder_and_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_table, "RESULTS", tmp_path)
    text = RUN.to_json()
    (tmp_path / "calico.json.gz").write_bytes(gzip.compress(text.encode()))
    more = tmp_path / "cilium.json"
    more.write_text(text, encoding="utf-8")
    found = coverage_table.outcomes(RUN)
    assert coverage_table.kept() == {"calico": found}
    assert coverage_table.kept(more) == {"calico": found, "cilium": found}


# ------------------------------------------------------------------ the command


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    one_sided(tmp_path)
    monkeypatch.setattr(coverage_table, "SCENARIOS", tmp_path)
    monkeypatch.setattr(coverage_table, "TABLE", tmp_path / "coverage.md")
    return tmp_path


def test_holes_are_printed_and_fail(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage_table.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    total = len(catalogue.requirements())
    assert lines[-1] == f"{total} requirements, {len(lines) - 1} holes"
    made = coverage_table.document(coverage_table.scenarios(), coverage_table.kept())
    assert (elsewhere / "coverage.md").read_text(encoding="utf-8") == made


def test_a_file_that_is_no_result_is_an_error(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = elsewhere / "results.json"
    file.write_text("[]", encoding="utf-8")
    assert coverage_table.main([str(file)]) == 2
    assert capsys.readouterr().err == (
        f"{file}: not a results file: it has no schema version\n"
        "hint: use a file that `netpol run --results=FILE` wrote\n"
    )
    assert not (elsewhere / "coverage.md").exists()
