"""docs/coverage.md: every requirement that a run can show has scenarios of conformance."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import catalogue, scenario
from harness.model import Scenario
from tools import coverage_table
from tools.coverage_table import Aspects

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
OF_TIERS = """
scenario: of tiers
why: A policy of a tier with rules for egress, and one that cannot be read.
covers: [T14]
topology:
  x: {labels: {ns: x}, pods: {a: {ports: [80, 80/UDP], node: 1}, b: {node: 2}}}
steps:
  - step: egress is denied
    apply:
      - &policy
        apiVersion: policy.networking.k8s.io/v1alpha2
        kind: ClusterNetworkPolicy
        metadata: {name: deny}
        spec:
          tier: Admin
          priority: 1
          subject: {namespaces: {matchLabels: {ns: x}}}
          egress: [{action: Deny, to: [{namespaces: {}}]}]
    refused:
      - {<<: *policy, spec: {tier: Admin, ingress: [{action: Deny}]}}
    expect: |2
           x/a:80   x/a:80/UDP
      x/b  TIMEOUT  TIMEOUT
"""
R17 = "Ingress: where `ports` has entries, no other port is allowed."
R44 = "`NotIn` and `DoesNotExist` hold for an object that does not have the key."


@functools.cache
def every() -> Mapping[str, Scenario]:
    return coverage_table.scenarios()


def one_sided(
    folder: Path, name: str = "conformance/one.yaml", text: str = ONE_SIDED
) -> dict[str, Scenario]:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return {name: scenario.load(file)}


# ------------------------------------------------------------------ this repository


def test_there_is_no_hole() -> None:
    assert list(coverage_table.holes(every())) == []


def test_the_page_is_up_to_date() -> None:
    made = coverage_table.document(every())
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
    [
        ("R01", True),
        ("R03", False),
        ("R17", False),
        ("R26", True),
        ("R31", True),
        ("R44", True),
        ("T02", True),
        ("T12", False),
        ("T13", False),
        ("T18", True),
    ],
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


def test_scenarios_of_tiers_count_as_those_of_conformance(tmp_path: Path) -> None:
    """Of their policies, those that must be refused cannot be read."""
    read = one_sided(tmp_path, "tiers/order/one.yaml", OF_TIERS)
    assert [line for line in coverage_table.holes(read) if line.startswith("T14")] == []
    assert coverage_table.joined("T14", read) == Aspects(
        frozenset({"egress"}),
        frozenset({"TCP", "UDP"}),
        frozenset({"different nodes"}),
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


# ------------------------------------------------------------------ the page


def test_the_row_of_a_requirement(tmp_path: Path) -> None:
    made = coverage_table.document(one_sided(tmp_path)).splitlines()
    assert "| id | requirement | with | scenarios |" in made
    link = "[conformance/one](../scenarios/conformance/one.yaml)"
    assert f"| R17 | {R17} | ingress<br>TCP<br>the same node<br>pod | {link} |" in made


# ------------------------------------------------------------------ the command


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    one_sided(tmp_path)
    monkeypatch.setattr(coverage_table, "SCENARIOS", tmp_path)
    monkeypatch.setattr(coverage_table, "TABLE", tmp_path / "coverage.md")
    return tmp_path


def test_holes_are_printed_and_fail(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage_table.main() == 1
    lines = capsys.readouterr().out.splitlines()
    total = len(catalogue.requirements())
    assert lines[-1] == f"{total} requirements, {len(lines) - 1} holes"
    made = coverage_table.document(coverage_table.scenarios())
    assert (elsewhere / "coverage.md").read_text(encoding="utf-8") == made
