"""The command line without a cluster: texts, exit statuses, and files written."""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import harness
from harness import scenario
from harness.cli import Exit, main, version
from harness.cli.parser import parser
from harness.cli.probe import probe_step
from harness.errors import ClusterError
from harness.model import Probe, Verdict
from tests import fakes

EXAMPLE = "scenarios/first-scenario.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def example(folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["init"]) == Exit.OK
    capsys.readouterr()
    return folder / EXAMPLE


def test_init_writes_a_scenario_that_is_good(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init"]) == Exit.OK
    assert capsys.readouterr().out == (
        "written: scenarios/first-scenario.yaml\n"
        "written: scenarios/policies/database-from-frontend.yaml\n"
        "written: scenarios/scenario.schema.json\n"
        "written: scenarios/policy.schema.json\n"
        "next: netpol run scenarios/first-scenario.yaml\n"
    )
    assert main(["check", "scenarios"]) == Exit.OK
    assert capsys.readouterr().out == f"{EXAMPLE}: valid, 2 steps, 8 cells\n"


def test_init_overwrites_only_when_told_and_says_so(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example.write_text("mine", encoding="utf-8")
    (example.parent / "scenario.schema.json").unlink()
    (example.parent / "policy.schema.json").unlink()
    assert main(["init"]) == Exit.USAGE
    assert capsys.readouterr().err == (
        "already there: scenarios/first-scenario.yaml, "
        "scenarios/policies/database-from-frontend.yaml\n"
        "hint: --force overwrites; or name another folder\n"
    )
    assert example.read_text(encoding="utf-8") == "mine"
    assert not (example.parent / "scenario.schema.json").exists()
    assert main(["init", "--force"]) == Exit.OK
    assert "overwritten: scenarios/first-scenario.yaml\n" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["init", "check", "run"])
@pytest.mark.usefixtures("folder")
def test_a_path_that_cannot_even_be_looked_at(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "x" * 300
    assert main([verb, name]) == Exit.USAGE
    assert capsys.readouterr().err == f"{name}: File name too long\n"


def test_check_names_a_fixture(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parents[3] / "scenarios" / "fixtures" / "three-namespaces.yaml"
    assert main(["check", str(path)]) == Exit.OK
    fixture = "a fixture with 3 namespaces, 9 pods, 9 Services"
    assert capsys.readouterr().out == f"{path}: valid, {fixture}\n"


def test_check_reports_the_problems_of_a_fixture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shared.yaml").write_text("fixture: A title\nsteps_: []\n")
    assert main(["check", "shared.yaml"]) == Exit.INVALID
    assert capsys.readouterr().err == (
        "shared.yaml:1:1: the key 'topology' is missing\n"
        "    1 | fixture: A title\n"
        "hint: topology: {app1: {pods: {client: {}}}}\n"
        "shared.yaml:2:1: unknown key 'steps_'\n"
        "    2 | steps_: []\n"
        "hint: known keys: fixture, why, externals, networks, manifests, topology\n"
    )


def test_check_tells_every_problem_and_goes_on(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = example.read_text(encoding="utf-8")
    (example.parent / "bad.yaml").write_text(text.replace("why:", "wy:"), encoding="utf-8")
    assert main(["check", "scenarios"]) == Exit.INVALID
    told = capsys.readouterr()
    assert "scenarios/bad.yaml:8:1: unknown key 'wy'" in told.err
    assert f"{EXAMPLE}: valid" in told.out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["check", "nowhere.yaml"], "nowhere.yaml: no such file\n"),
        (["explain", "nowhere.yaml"], "nowhere.yaml: no such file\n"),
        (["explain", "scenarios"], "scenarios: this is a folder\nhint: name one scenario file\n"),
        (["probe", "nowhere.yaml", "1", "a/b", "c/d:80"], "nowhere.yaml: no such file\n"),
        (["clean", "--defect=x"], "unknown arguments: --defect=x\nhint: `netpol --help`\n"),
        (["check", "x", "--hurry"], "unknown arguments: --hurry\nhint: `netpol --help`\n"),
        (
            ["explain", EXAMPLE, "--step=3"],
            f"{EXAMPLE} has no step '3'\nhint: steps are: 1 nothing is restricted yet; "
            "2 the database allows only the frontend\n",
        ),
        (
            ["explain", EXAMPLE, "shop/frontend"],
            "give both ends, or none\nhint: netpol explain FILE SOURCE DESTINATION\n",
        ),
        (
            ["probe", EXAMPLE, "1", "shop/frontend", "shop/database:5432", "--context=prod"],
            "--context=prod needs --cluster=current, not --cluster=netns\n",
        ),
    ],
)
def test_what_cannot_be_is_said_without_a_traceback(
    example: Path, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert main(words) == Exit.USAGE
    assert capsys.readouterr().err == text


def test_an_empty_folder_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    for verb in ("check", "run"):
        assert main([verb, "empty"]) == Exit.USAGE
        assert capsys.readouterr().err == (
            "empty: no scenario files (*.yaml) in this folder\n"
            "hint: `netpol init` writes an example\n"
        )


def test_explain_shows_where_the_author_is_wrong(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = example.read_text(encoding="utf-8")
    example.write_text(
        text.replace("shop/stranger  TIMEOUT", "shop/stranger  allowed"), encoding="utf-8"
    )
    assert main(["explain", EXAMPLE]) == Exit.INVALID
    assert (
        capsys.readouterr().out
        == f"""\
step 'nothing is restricted yet': 4 cells, as the policies say
step 'the database allows only the frontend': 4 cells: 3 as the policies say, \
1 contradicting the policies
{EXAMPLE}:33:24: the table says allowed, but
  shop/stranger -> shop/database:5432  TIMEOUT
    egress of shop/stranger: not isolated (no policy selects it for Egress)
    ingress of shop/database: isolated by NetworkPolicy shop/database-from-frontend; no rule \
allows shop/stranger -> shop/database on TCP 5432
      NetworkPolicy shop/database-from-frontend, ingress rule 1: pods app=frontend of the same \
namespace, but shop/stranger has app=stranger
1 of 8 cells contradicts the policies
"""
    )


def test_a_policy_that_selects_nobody_is_named_where_it_was_counted_on(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = example.parent / "policies" / "database-from-frontend.yaml"
    text = policy.read_text(encoding="utf-8")
    policy.write_text(text.replace("app: database}", "app: databse}"), encoding="utf-8")
    assert main(["check", EXAMPLE]) == Exit.INVALID
    assert (
        capsys.readouterr().err.partition("\n   33 |")[0]
        == f"""\
{EXAMPLE}:33:24: TIMEOUT, but the policies allow shop/stranger -> shop/database:5432
    egress of shop/stranger: not isolated (no policy selects it for Egress)
    ingress of shop/database: not isolated (no policy selects it for Ingress)
    note: NetworkPolicy shop/database-from-frontend selects app=databse: no pod; \
shop/database has app=database"""
    )


EXCUSED = """\
scenario: What proves nothing
why: One denial counts; the others have an excuse each.
topology:
  a:
    pods: {web: {ports: [80], node: 1}, agent: {hostNetwork: true, node: 2}}
  b: {pods: {client: {}, job: {node: 2}}}
  c: {pods: {x: {}, y: {ports: [80]}}}
never-allowed:
  "b/* -> a/web:81": nobody listens there
steps:
  - step: only the own namespace
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: own, namespace: a}
        spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}
      - {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy,
         metadata: {name: l7, namespace: c}, spec: {}}
    expect: |2
                a/web:80  a/web:81  c/y:80
      a/agent   allowed   -         -
      b/client  TIMEOUT   TIMEOUT   -
      b/job     -         TIMEOUT   -
      c/x       -         -         TIMEOUT
"""
REASONS = """\
  1 cell undefined by the API:
    the API does not define whether a hostNetwork pod is treated like its node (R83): \
excused.yaml:21:17: a/agent -> a/web:80
  2 cells exempt, declared never-allowed:
    nobody listens there: 2 cells, for example excused.yaml:22:27: b/client -> a/web:81
  1 cell not judged by the oracle:
    CiliumNetworkPolicy c/l7 may affect c/x, and its meaning is not known: \
excused.yaml:24:37: c/x -> c/y:80
"""


@pytest.mark.parametrize(
    ("verb", "first", "rest", "last"),
    [
        ("check", "excused.yaml: valid, 1 step, 5 cells", "to be proven", ""),
        (
            "explain",
            "step 'only the own namespace': 5 cells",
            "as the policies say",
            "`netpol explain FILE SOURCE DESTINATION` explains one pair\n",
        ),
    ],
)
def test_cells_that_will_prove_nothing_are_counted_with_their_reasons(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    first: str,
    rest: str,
    last: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("excused.yaml").write_text(EXCUSED)
    assert main([verb, "excused.yaml"]) == Exit.OK
    tally = f"1 {rest}, 1 undefined, 2 exempt, 1 not judged"
    assert capsys.readouterr().out == f"{first}: {tally}\n{REASONS}{last}"


def test_a_word_against_the_policies_is_not_counted_as_excused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = EXCUSED.replace("b/client  TIMEOUT   TIMEOUT", "b/client  allowed   OTHER  ")
    Path("excused.yaml").write_text(text)
    assert main(["explain", "excused.yaml"]) == Exit.INVALID
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "step 'only the own namespace': 5 cells: 2 contradicting the policies, "
        "1 undefined, 1 exempt, 1 not judged"
    )
    assert lines[-1] == "2 of 5 cells contradict the policies"


def test_a_file_without_proof_is_explained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it proves is for `netpol check` to say."""
    monkeypatch.chdir(tmp_path)
    text = EXCUSED.replace("b/client  TIMEOUT   TIMEOUT", "b/client  -         TIMEOUT")
    Path("excused.yaml").write_text(text.replace("c/x       -         -         TIMEOUT\n", ""))
    assert main(["check", "excused.yaml"]) == Exit.INVALID
    assert capsys.readouterr().err.startswith(
        "excused.yaml:10:1: no step changes a cell that can prove something, "
    )
    assert main(["explain", "excused.yaml"]) == Exit.OK
    assert capsys.readouterr().out.startswith(
        "step 'only the own namespace': 3 cells: 1 undefined, 2 exempt\n"
    )


def test_notes_stand_beside_what_is_not_as_written(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table allows the pair in the first step; the other pair is in no table."""
    policy = example.parent / "policies" / "database-from-frontend.yaml"
    policy.write_text(policy.read_text("utf-8").replace("app: database}", "tier: none}"), "utf-8")
    note = (
        "  note: NetworkPolicy shop/database-from-frontend selects tier=none: no pod\n"
        "  note: NetworkPolicy shop/database-from-frontend names shop/frontend as a peer, "
        "but restricts only no pod\n"
    )
    for end, shown in (("shop/database:5432", False), ("shop/stranger:80", True)):
        main(["explain", EXAMPLE, "shop/frontend", end, "--step=2"])
        assert (note in capsys.readouterr().out) is shown


def test_explain_one_pair_in_one_step(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", EXAMPLE, "shop/frontend", "shop/database:5432", "--step=2"]) == Exit.OK
    assert (
        capsys.readouterr().out
        == f"""\
step 'the database allows only the frontend'
shop/frontend -> shop/database:5432  allowed
  egress of shop/frontend: not isolated (no policy selects it for Egress)
  ingress of shop/database: isolated by NetworkPolicy shop/database-from-frontend; allowed by \
NetworkPolicy shop/database-from-frontend, ingress rule 1: pods app=frontend of the same \
namespace; port TCP 5432
  {EXAMPLE}:32:24: the table says allowed

"""
    )


STRANGER = ("shop/stranger", "shop/database:5432")


@pytest.mark.parametrize(
    ("words", "status", "last"),
    [
        ((), Exit.INVALID, "1 of 8 cells contradicts the policies\n"),
        (("--step=1",), Exit.OK, "`netpol explain FILE SOURCE DESTINATION` explains one pair\n"),
        (("--step=2",), Exit.INVALID, "1 of 4 cells contradicts the policies\n"),
        (
            STRANGER,
            Exit.INVALID,
            f"  {EXAMPLE}:33:24: the table says allowed, contradicting the policies\n\n",
        ),
        ((*STRANGER, "--step=1"), Exit.OK, f"  {EXAMPLE}:24:13: the table says allowed\n\n"),
        (
            ("shop/frontend", STRANGER[1], "--step=2"),
            Exit.OK,
            f"  {EXAMPLE}:32:24: the table says allowed\n\n",
        ),
        # In no table; the policies deny it, and nobody has said otherwise.
        (("shop/stranger", "shop/database:1"), Exit.OK, "is to TCP 1\n\n"),
    ],
)
def test_explain_fails_where_it_shows_a_contradiction(
    example: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    status: Exit,
    last: str,
) -> None:
    text = example.read_text(encoding="utf-8")
    example.write_text(
        text.replace("shop/stranger  TIMEOUT", "shop/stranger  allowed"), encoding="utf-8"
    )
    assert main(["explain", EXAMPLE, *words]) == status
    assert capsys.readouterr().out.endswith(last)


@pytest.mark.parametrize("verb", [["explain", EXAMPLE], ["probe", EXAMPLE, "2"]])
@pytest.mark.parametrize(
    ("source", "destination", "said"),
    [
        (
            "shop/frontent",
            "shop/database:5432",
            "'shop/frontent' is in no step of this scenario\n"
            "hint: did you mean 'shop/frontend'?\n",
        ),
        (
            "external/office",
            "shop/database:5432",
            "'external/office' is in no step of this scenario\n"
            "hint: it has shop/database, shop/frontend, shop/stranger\n",
        ),
    ],
)
@pytest.mark.usefixtures("example")
def test_an_end_that_is_not_there_is_not_explained_at_length(
    verb: list[str], source: str, destination: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb, source, destination]) == Exit.USAGE
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("verb", [["explain"], ["probe", "1"]])
def test_a_completed_pod_is_not_explained(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text(
        """scenario: A job completes
why: It has no cells.
topology: {x: {pods: {a: {ports: [80]}, b: {}, job: {completes: true}}}}
proves: nothing-changes
steps: [{step: nothing is restricted, expect: allowed}]
""",
        "utf-8",
    )
    assert main([verb[0], str(file), *verb[1:], "x/job", "x/a:80"]) == Exit.USAGE
    assert capsys.readouterr() == (
        "",
        "pod 'x/job' completes, and is no end of a connection\nhint: name a pod that runs\n",
    )


def test_a_defect_of_ours_gives_a_short_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_parsed: object) -> int:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(version, "version", broken)
    monkeypatch.delenv("NETPOL_DEBUG", raising=False)
    assert main(["version"]) == Exit.BROKEN
    assert capsys.readouterr().err == (
        "netpol failed: ZeroDivisionError: ours\n"
        "hint: this is a bug in netpol; NETPOL_DEBUG=1 shows where\n"
    )
    monkeypatch.setenv("NETPOL_DEBUG", "1")
    assert main(["version"]) == Exit.BROKEN
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_has_its_own_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_parsed: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(version, "version", interrupted)
    assert main(["version"]) == Exit.INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "schema"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def netpol(
    *words: str, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *words],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_output_that_the_encoding_of_the_terminal_lacks(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    example.write_text(text.replace("nothing is restricted yet", "größe"), encoding="utf-8")
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    done = netpol("explain", str(example), cwd=example.parent, environment=ascii_only)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("step 'gr\\xf6\\xdfe': 4 cells")


def test_a_folder_that_was_deleted(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'cd "$1" && rmdir "$1" && exec "$2" -P -m harness.cli check x.yaml'
    done = subprocess.run(
        ["sh", "-c", script, "sh", gone, sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert done.stderr.splitlines()[-2:] == [
        "the current folder does not exist any more",
        "hint: change to a folder that exists",
    ]


SHOP = ("shop/stranger", "shop/database:5432")


def test_probe_waits_until_the_policies_are_in_force(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = iter([Verdict.ALLOWED, Verdict.ALLOWED])
    late = replace(fakes.EVERYTHING, settle_s=60.0)
    cluster = fakes.FakeCluster(lambda *_: next(words, Verdict.TIMEOUT), late)
    found = scenario.read(example)
    probe = Probe(scenario.parse_source(SHOP[0]), scenario.parse_destination(SHOP[1]))
    assert probe_step(cluster, found, found.steps[1], probe) == Exit.OK
    assert len(cluster.rounds) == 3
    assert capsys.readouterr().out.startswith("shop/stranger -> shop/database:5432  TIMEOUT  (")


def test_probe_restarts_no_agents(example: Path) -> None:
    text = example.read_text("utf-8")
    example.write_text(text.replace("    expect:", "    restart: [agents]\n    expect:", 1))
    found = scenario.read(example)
    assert found.steps[0].state.agent_restarts == 1
    cluster = fakes.FakeCluster(fakes.by_the_book)
    probe = Probe(scenario.parse_source(SHOP[0]), scenario.parse_destination(SHOP[1]))
    assert probe_step(cluster, found, found.steps[1], probe) == Exit.OK
    assert [state.agent_restarts for state in cluster.synced] == [0, 0]


def test_probe_of_a_step_that_the_cluster_skips(example: Path) -> None:
    text = example.read_text("utf-8")
    example.write_text(text.replace("    expect:", "    needs: [hairpin]\n    expect:", 1))
    found = scenario.read(example)
    poor = replace(fakes.EVERYTHING, features=frozenset())
    cluster = fakes.FakeCluster(fakes.by_the_book, poor)
    probe = Probe(scenario.parse_source(SHOP[0]), scenario.parse_destination(SHOP[1]))
    with pytest.raises(ClusterError) as caught:
        probe_step(cluster, found, found.steps[0], probe)
    assert str(caught.value) == "cluster fake lacks feature hairpin"
    assert not cluster.synced
    assert probe_step(cluster, found, found.steps[1], probe) == Exit.OK


def test_probe_that_stays_wrong(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    never = replace(fakes.EVERYTHING, settle_s=0.0)
    cluster = fakes.FakeCluster(fakes.allows_all, never)
    found = scenario.read(example)
    probe = Probe(scenario.parse_source(SHOP[0]), scenario.parse_destination(SHOP[1]))
    assert probe_step(cluster, found, found.steps[1], probe) == Exit.WRONG
    assert capsys.readouterr().out.endswith("expected: TIMEOUT\n")


def test_choose_says_one_word_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["choose", "netns"]) == Exit.OK
    told = capsys.readouterr()
    assert told.out == "netns\n"
    assert told.err == "cluster: netns, as asked for\n"


def test_nothing_of_the_embedded_cluster_needs_cleaning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["clean", "--cluster=netns"]) == Exit.OK
    assert "nothing to clean" in capsys.readouterr().out


def test_help_lists_the_verbs_and_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for verb in [
        "init",
        "check",
        "run",
        "explain",
        "schema",
        "probe",
        "compare",
        "gate",
        "up",
        "down",
        "status",
        "choose",
        "clean",
        "version",
    ]:
        assert f"    {verb} " in text
    for status in Exit:
        assert f"\n  {int(status):<4} " in text


def test_the_version_is_a_verb_and_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == Exit.OK
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code in {None, 0}
    first, second = capsys.readouterr().out.splitlines()
    assert first == second == f"netpol {harness.VERSION}"


@pytest.mark.parametrize("words", [["version"], ["--help"], ["run", "--help"]])
def test_what_needs_no_scenario_imports_none_of_what_scenarios_need(
    words: list[str], tmp_path: Path
) -> None:
    heavy = {"pytest", "pydantic", "yaml", "kubernetes", "harness.model"}
    script = (
        "import sys\nfrom harness.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.endswith("[]\n"), done


def test_every_verb_is_a_function_of_its_module() -> None:
    (verbs,) = (
        action.choices
        for action in parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    assert len(verbs) == 24
    for declared in verbs.values():
        module = importlib.import_module(f"harness.cli.{declared.get_default('module')}")
        assert callable(getattr(module, declared.get_default("verb")))
