"""Generated cases: good files, nothing vacuous, repeatable, and decided by single parts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from harness import scenario
from harness.cli import Exit, main
from harness.generate import Generator, Scope, fixture_file, write_cases
from harness.generate.changes import flips, seen_with
from harness.generate.draw import Rotation
from harness.generate.variants import variants
from harness.model import Scenario, ServiceRef, State, Verdict
from harness.policy import parsed, placeholders
from harness.policy.traits import Trait, traits
from harness.scenario.write import write

SEED = 7
COUNT = 6
FILE = fixture_file(None)


@pytest.fixture(scope="module")
def cases() -> list[Scenario]:
    generator = Generator(FILE.fixture, SEED)
    return [generator.case(number) for number in range(1, COUNT + 1)]


def test_every_case_is_a_good_file_that_reads_as_the_case(
    cases: list[Scenario], tmp_path: Path
) -> None:
    paths = list(write_cases(tmp_path, FILE, cases))
    assert [path.name for path in paths] == [
        f"seed-7-case-{number:04}.yaml" for number in range(1, COUNT + 1)
    ]
    for path, case in zip(paths, cases, strict=True):
        read = scenario.load(path)
        assert write(read) == path.read_text("utf-8") == write(case)
        for one, other in zip(read.steps, case.steps, strict=True):
            assert replace(one.state, policies=()) == replace(other.state, policies=())
            assert parsed(one.state.policies) == parsed(other.state.policies)
            assert one.actions == other.actions
        assert read.needs == case.needs


def test_every_denial_is_allowed_in_another_step(cases: list[Scenario]) -> None:
    for case in cases:
        cells = [cell for step in case.steps for cell in step.table.cells]
        denied = {cell.probe for cell in cells if cell.expected is Verdict.TIMEOUT}
        allowed = {cell.probe for cell in cells if cell.expected is Verdict.ALLOWED}
        assert denied, case.name
        assert denied <= allowed, case.name


def test_each_case_has_denials_and_admissions_that_one_part_decides(cases: list[Scenario]) -> None:
    for case in cases:
        state = case.steps[0].state
        table = {cell.probe: cell.expected for cell in case.steps[0].table.cells}
        flipped = {
            probe
            for policy in state.policies[:3]
            for changed in (None, *(variant.policy for variant in variants(policy)))
            for probe in flips(table, seen_with(state, policy, changed))
        }
        assert flipped, case.name
        assert Verdict.TIMEOUT in {table[probe] for probe in flipped}, case.name


@pytest.mark.parametrize("trait", [trait for trait in Trait if "tier" not in trait])
def test_traits_of_policies_can_be_left_out(cases: list[Scenario], trait: Trait) -> None:
    """Some of the first cases have each of them."""

    def has(case: Scenario) -> bool:
        return any(trait in traits(step.state.policies) for step in case.steps)

    number = next(number for number, case in enumerate(cases, 1) if has(case))
    assert not has(Generator(FILE.fixture, SEED, without=frozenset({trait})).case(number))


def test_no_pod_is_asked_about_itself_through_a_service(cases: list[Scenario]) -> None:
    """It needs hairpin, and the API does not define what policies do to it."""
    for step in (step for case in cases for step in case.steps):
        for cell in step.table.cells:
            host = cell.probe.destination.host
            service = (
                step.state.service(host.namespace, host.name)
                if isinstance(host, ServiceRef)
                else None
            )
            behind = {pod.ref for pod in step.state.endpoints(service)} if service else set()
            assert cell.probe.source not in behind, (step.name, cell.probe)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for hash_seed in ("1", "2"):
        folder = tmp_path / hash_seed
        words = ["generate", "--seed=3", "--count=1", f"--out={folder}"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-m", "harness.cli", *words]
        subprocess.run(command, check=True, capture_output=True, env=environment)
        found.append({path.name: path.read_bytes() for path in folder.glob("*.yaml")})
    assert found[0] == found[1]
    assert len(found[0]) == 1


def test_seeds_and_numbers_give_different_cases(cases: list[Scenario]) -> None:
    other = Generator(FILE.fixture, SEED + 1).case(1)
    policies = [case.steps[0].state.policies for case in (*cases, other)]
    assert len(set(policies)) == len(policies)


def test_only_policies_and_labels_change_where_pods_must_stay() -> None:
    generator = Generator(FILE.fixture, SEED, Scope.POLICIES_AND_LABELS, ip_blocks=False)
    for number in range(1, 4):
        for step in generator.case(number).steps:
            assert _bare(step.state) == _bare(FILE.fixture.state)
            assert not [found for item in step.state.policies for found in placeholders(item)]


def _bare(state: State) -> Mapping[object, object]:
    return {pod.ref: (pod.ports, pod.node, pod.incarnation) for pod in state.pods}


def test_every_theme_has_its_turn_before_any_has_it_again() -> None:
    rotation = Rotation("seed", "abcde")
    dealt = [rotation.at(place) for place in range(15)]
    assert [sorted(dealt[start : start + 5]) for start in (0, 5, 10)] == [list("abcde")] * 3
    assert dealt[:5] != dealt[5:10] or dealt[5:10] != dealt[10:]


# ------------------------------------------------------------------ the command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_cases_and_their_fixture(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "--seed=7", "--count=2"]) == Exit.OK
    assert capsys.readouterr().out == (
        "written: 2 scenarios in generated\nnext: netpol run generated\n"
    )
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml")) == [
        "generated/fixtures/nine-pods.yaml",
        "generated/seed-7-case-0001.yaml",
        "generated/seed-7-case-0002.yaml",
    ]
    assert main(["check", "generated"]) == Exit.OK


SMALL = """\
fixture: Two pods
topology:
  app:
    pods:
      server: {labels: {app: server}, ports: [80]}
      client: {labels: {app: client}}
      other: {}
"""


def test_the_command_takes_a_fixture(folder: Path) -> None:
    (folder / "small.yaml").write_text(SMALL, "utf-8")
    assert main(["generate", "--fixture=small.yaml", "--count=2", "--out=new"]) == Exit.OK
    read = scenario.load(folder / "new" / "seed-1-case-0001.yaml")
    assert read.fixture is not None
    assert read.fixture.title == "Two pods"


def _refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["generate", "--count=1", *words]) == Exit.USAGE
    return capsys.readouterr().err


def test_what_the_command_refuses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "small.yaml").write_text(SMALL, "utf-8")
    (folder / "closed.yaml").write_text(SMALL.replace(", ports: [80]", ""), "utf-8")
    (folder / "note.txt").write_text("mine", "utf-8")
    assert _refused(["--fixture=smal.yaml"], capsys) == (
        "there is no file smal.yaml\nhint: did you mean 'small.yaml'?\n"
    )
    assert _refused(["--fixture=note.txt"], capsys) == (
        "note.txt: this is not a fixture\nhint: it begins with `fixture:`\n"
    )
    assert _refused(["--fixture=closed.yaml"], capsys) == (
        "closed.yaml: no policy makes a difference between the pods of this fixture\n"
        "hint: it needs pods with ports and labels, in several namespaces\n"
    )
    assert _refused(["--out=note.txt"], capsys) == "note.txt: File exists\n"
    (folder / "generated" / "fixtures").mkdir(parents=True)
    (folder / "generated" / "fixtures" / "nine-pods.yaml").write_text("mine", "utf-8")
    assert _refused([], capsys) == (
        "generated/fixtures/nine-pods.yaml: there is another fixture of this name\n"
        "hint: name another folder: --out=DIR\n"
    )
