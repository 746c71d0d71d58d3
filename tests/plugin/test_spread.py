"""How scenarios are spread over workers, and what becomes of a worker that dies."""

from __future__ import annotations

import pytest

from harness.plugin.spread import next_scope, scenario_file
from tests.plugin.conftest import CONFTEST, SCENARIO, RunScenarios, write

pytest_plugins = ["pytester"]


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
    told = CONFTEST + (
        "\ndef pytest_runtest_logreport(report):\n"
        "    if hasattr(report, 'node') and report.when == 'call':\n"
        "        print('ran', report.nodeid.split('::')[0], report.node.gateway.id, flush=True)\n"
    )
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


@pytest.mark.parametrize(
    ("waiting", "own", "others", "chosen"),
    [
        ({"a": "f", "b": "f", "c": "g"}, "g", [], "c"),  # its own fixture first
        ({"a": "f", "b": "f", "c": "g"}, "", [], "a"),  # the fixture with the most files
        ({"a": "f", "b": "f", "c": "g"}, "", ["f", "f"], "c"),  # shared by the workers on it
        ({"a": "f", "b": "f", "c": "f"}, "g", ["f"], "a"),  # no worker idles
        ({"a": "", "b": ""}, "", ["", ""], "a"),  # files without a fixture in their order
    ],
)
def test_which_file_a_worker_runs_next(
    waiting: dict[str, str], own: str, others: list[str], chosen: str
) -> None:
    assert next_scope(waiting, own, others) == chosen


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
    told = CONFTEST + (
        "\ndef pytest_runtest_logreport(report):\n"
        "    if hasattr(report, 'node') and report.when == 'call':\n"
        "        print('ran', report.nodeid.split('::')[0], report.node.gateway.id, flush=True)\n"
    )
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
