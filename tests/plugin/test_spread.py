"""How scenarios are spread over workers, and what becomes of a worker that dies."""

from __future__ import annotations

import pytest

from harness.plugin.spread import scenario_file
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
