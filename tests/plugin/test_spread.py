"""How scenarios are spread over workers, and what becomes of a worker that dies."""

from __future__ import annotations

import pytest

from harness.plugin.spread import next_scope, not_waiting, scenario_file
from tests.plugin.conftest import CONFTEST, LACKING, SCENARIO, RunScenarios, write

pytest_plugins = ["pytester"]


TOLD = """
def pytest_runtest_logreport(report):
    if hasattr(report, 'node') and report.when == 'call':
        print('ran', report.nodeid.split('::')[0], report.node.gateway.id, flush=True)
"""


@pytest.mark.parametrize(
    ("nodeid", "file"),
    [
        ("scenarios/a.yaml::nobody reaches db", "scenarios/a.yaml"),
        ("scenarios/a.yml::with a::b in it", "scenarios/a.yml"),
        ("tests/unit/test_a.py::test_b[x.yaml::c]", None),
        ("tests/unit/test_a.py::test_b", None),
    ],
)
def test_the_file_of_a_node_id(nodeid: str, file: str | None) -> None:
    assert scenario_file(nodeid) == file


def test_a_file_stays_on_one_worker_and_exact_names_run_one_after_the_other(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    exact = SCENARIO.replace("topology:", "exact names: true\ntopology:")
    for name in "abc":
        write(pytester, f"scenarios/exact-{name}.yaml", exact)
        write(pytester, f"scenarios/free-{name}.yaml", SCENARIO)
    told = CONFTEST + TOLD
    result = run_scenarios("scenarios", "-n", "3", "-s", conftest=told)
    result.assert_outcomes(passed=18)
    where: dict[str, set[str]] = {}
    for line in result.outlines:
        if line.lstrip(".").startswith("ran "):
            _, file, worker = line.lstrip(".").split()
            group = "exact" if "exact" in file else file
            where.setdefault(group, set()).add(worker)
    assert len(where) == 4
    assert {len(workers) for workers in where.values()} == {1}


POLICY = """
      - apiVersion: policy.networking.k8s.io/v1alpha2
        kind: ClusterNetworkPolicy
        metadata: {name: p}
        spec: {tier: TIER, priority: 1, subject: {namespaces: {matchLabels: {team: b}}}}
"""
OLD = """
    "policy.networking.k8s.io/v1alpha1/AdminNetworkPolicy",
    "policy.networking.k8s.io/v1alpha1/BaselineAdminNetworkPolicy",
"""
NEW = '"policy.networking.k8s.io/v1alpha2/ClusterNetworkPolicy",'


@pytest.mark.parametrize(("kinds", "together"), [(OLD, True), (NEW, False)])
def test_scenarios_that_use_the_only_baseline_policy_run_one_after_the_other(
    pytester: pytest.Pytester, run_scenarios: RunScenarios, kinds: str, together: bool
) -> None:
    for name, tier in (("a", "Admin"), ("b", "Admin"), ("c", "Baseline"), ("d", "Baseline")):
        policy = POLICY.replace("TIER", tier)
        assert "    apply:\n" in SCENARIO
        text = SCENARIO.replace("    apply:\n", f"    apply:{policy}", 1)
        write(pytester, f"scenarios/{tier.lower()}-{name}.yaml", text)
    has = f"nodes=2, kinds=frozenset({{{kinds}}})"
    conftest = LACKING.replace("nodes=0", has) + TOLD
    result = run_scenarios("scenarios", "-n", "4", "-s", conftest=conftest)
    where: dict[str, set[str]] = {}
    for line in result.outlines:
        if line.lstrip(".").startswith("ran "):
            _, file, worker = line.lstrip(".").split()
            where.setdefault(file, set()).add(worker)
    used = where["scenarios/baseline-c.yaml"] | where["scenarios/baseline-d.yaml"]
    assert (len(used) == 1) is together


@pytest.mark.parametrize("workers", [0, 2])
def test_all_steps_of_files_outside_of_the_root_folder_run(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    run_scenarios: RunScenarios,
    workers: int,
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    files = [outside / name for name in ("one/a.yaml", "two/a.yaml", "two/b.yaml")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text(SCENARIO, "utf-8")
    root = f"--rootdir={pytester.path}"
    result = run_scenarios("scenarios", *map(str, files), root, "-n", str(workers))
    result.assert_outcomes(passed=12)


DISRUPTIVE = SCENARIO.replace("topology:", "needs: [disruptive]\ntopology:", 1)


@pytest.mark.parametrize("free", [0, 1, 2, 7])
@pytest.mark.parametrize("disruptive", [1, 3])
def test_disruptive_scenarios_run_last_and_on_one_worker_after_the_others_ended(
    pytester: pytest.Pytester, run_scenarios: RunScenarios, free: int, disruptive: int
) -> None:
    for folder in pytester.path.glob("scenarios/*.yaml"):
        folder.unlink()
    for number in range(free):
        write(pytester, f"scenarios/free-{number}.yaml", SCENARIO)
    for number in range(disruptive):
        write(pytester, f"scenarios/a-{number}.yaml", DISRUPTIVE)
    told = CONFTEST + (
        "\ndef pytest_runtest_logreport(report):\n"
        "    if hasattr(report, 'node') and report.when == 'call':\n"
        "        print('ran', report.nodeid.split('::')[0], report.node.gateway.id, flush=True)\n"
        "\ndef pytest_testnodedown(node):\n"
        "    print('ended all', node.gateway.id, flush=True)\n"
    )
    args = ("scenarios", "-n", "3", "-s", "--netpol-include=disruptive")
    result = run_scenarios(*args, conftest=told)
    result.assert_outcomes(passed=3 * (free + disruptive))
    lines = [line.lstrip(".").split() for line in result.outlines]
    events = [line for line in lines if line[:1] in (["ran"], ["ended"])]
    alone = [place for place, line in enumerate(events) if line[1].startswith("scenarios/a-")]
    assert len({events[place][2] for place in alone}) == 1
    assert alone == list(range(alone[0], alone[-1] + 1))
    assert sum(line[0] == "ended" for line in events[: alone[0]]) == 2


def test_disruptive_scenarios_that_are_not_included_are_skipped_like_others(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    write(pytester, "scenarios/a.yaml", DISRUPTIVE)
    write(pytester, "scenarios/b.yaml", SCENARIO)
    result = run_scenarios("scenarios/a.yaml", "scenarios/b.yaml", "-n", "2")
    result.assert_outcomes(passed=3, skipped=3)


def test_disruptive_scenarios_need_the_distribution_that_runs_them_alone(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    args = ("scenarios", "-n", "2", "--dist=loadfile", "--netpol-include=disruptive")
    result = run_scenarios(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    expected = (
        "--dist=loadfile would run other scenarios beside the disruptive ones of "
        "--netpol-include=disruptive",
        "hint: use --dist=load, the default of -n, which runs them alone",
    )
    assert all(any(line in found for found in result.errlines) for line in expected)


@pytest.mark.parametrize(
    ("waiting", "own", "others", "chosen"),
    [
        ({"a": "f", "b": "f", "c": "g"}, "g", [], "c"),  # its own fixture first
        ({"a": "f", "b": "f", "c": "g"}, "", [], "a"),  # the fixture with the most files
        ({"a": "f", "b": "f", "c": "g"}, "", ["f", "f"], "c"),  # shared by the workers on it
        ({"a": "f", "b": "f", "c": "f"}, "g", ["f"], "a"),  # no worker idles
        ({"a": "", "b": ""}, "", ["", ""], "a"),  # files without a fixture in their order
        ({"a": "f", "b": "f", "c": ""}, "", [], "c"),  # one that makes its own pods takes longer
        ({"a": "f", "b": "f", "c": ""}, "f", [], "a"),  # but a fixture that is there is used
        ({"a": "f", "b": "f", "c": ""}, "", ["", "", ""], "a"),  # workers on both kinds
    ],
)
def test_which_file_a_worker_runs_next(
    waiting: dict[str, str], own: str, others: list[str], chosen: str
) -> None:
    assert next_scope(waiting, own, others) == chosen


def test_no_file_waits_for_an_address_as_long_as_there_are_others() -> None:
    one, two = frozenset({"10.0.0.1"}), frozenset({"10.0.0.1", "10.0.0.2"})
    waiting = {"a": two, "b": one, "c": frozenset[str]()}
    assert not_waiting(waiting, frozenset()) == ["a", "b", "c"]
    assert not_waiting(waiting, frozenset({"10.0.0.2"})) == ["b", "c"]
    assert not_waiting(waiting, one) == ["c"]
    assert not_waiting({"a": two, "b": one}, one) == ["a", "b"]


def test_workers_do_not_run_two_scenarios_with_one_outside_address(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    outside = SCENARIO.replace("topology:", "externals:\n  host: {ip: 203.0.113.9}\ntopology:")
    for name, text in (("a", outside), ("b", outside), ("c", SCENARIO)):
        write(pytester, f"scenarios/{name}.yaml", text)
    result = run_scenarios("scenarios", "-n", "2", "-s", conftest=CONFTEST + TOLD)
    result.assert_outcomes(passed=9)
    first: dict[str, str] = {}
    for line in result.outlines:
        if line.lstrip(".").startswith("ran "):
            _, file, worker = line.lstrip(".").split()
            first.setdefault(worker, file)
    assert sorted(first.values()) == ["scenarios/a.yaml", "scenarios/c.yaml"]


SHARED = SCENARIO[SCENARIO.index("topology:") : SCENARIO.index("steps:")]


def _write_shared(pytester: pytest.Pytester) -> None:
    """Write three scenarios for each of two fixtures, whose names alternate."""
    for fixture in ("red", "blue"):
        write(pytester, f"scenarios/fixtures/{fixture}.yaml", f"fixture: {fixture}\n{SHARED}")
        for number in range(3):
            text = SCENARIO.replace(SHARED, f"fixture: fixtures/{fixture}.yaml\n")
            write(pytester, f"scenarios/{number}-{fixture}.yaml", text)


def test_a_worker_keeps_a_fixture_as_long_as_there_is_work_for_it(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    _write_shared(pytester)
    told = CONFTEST + TOLD
    result = run_scenarios("scenarios", "-n", "2", "-s", conftest=told)
    result.assert_outcomes(passed=18)
    seen: dict[str, list[str]] = {}
    for line in result.outlines:
        if line.lstrip(".").startswith("ran "):
            _, file, worker = line.lstrip(".").split()
            fixtures = seen.setdefault(worker, [])
            fixture = "red" if "red" in file else "blue"
            if fixtures[-1:] != [fixture]:
                fixtures.append(fixture)
    assert {fixtures[0] for fixtures in seen.values()} == {"red", "blue"}
    assert all(len(fixtures) == len(set(fixtures)) for fixtures in seen.values()), seen


def test_one_process_runs_the_scenarios_of_a_fixture_one_after_the_other(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    _write_shared(pytester)
    result = run_scenarios("scenarios", "--collect-only", "-q")
    files = [line.partition("::")[0] for line in result.outlines if "::" in line]
    assert list(dict.fromkeys(files)) == [
        f"scenarios/{number}-{fixture}.yaml" for fixture in ("blue", "red") for number in range(3)
    ]


def test_another_worker_goes_on_where_one_died(run_scenarios: RunScenarios) -> None:
    dying = CONFTEST + (
        "\nclass Dying(fakes.FakeCluster):\n"
        "    def sync(self, state):\n"
        "        if len(state.policies) == 1 and state.scope != 'canary' and worker_is('gw0'):\n"
        "            os._exit(1)\n"
        "        super().sync(state)\n"
        "\nimport os\n"
        "def worker_is(name): return os.environ.get('PYTEST_XDIST_WORKER') == name\n"
    )
    dying = dying.replace("fakes.FakeCluster(_answer)", "Dying(_answer)")
    result = run_scenarios("scenarios", "-n", "1", conftest=dying)
    # xdist gives the step to the next worker; that it is green there takes nothing back.
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["worker 'gw0' crashed while running *the database takes*"])
