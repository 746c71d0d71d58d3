"""The exit status of a run: without any cell, stopped by ``-x``, and with results to write."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from harness.report import Results
from harness.report.html import page
from tests.plugin.conftest import CONFTEST, LACKING, SCENARIO, RunScenarios, section, write

pytest_plugins = ["pytester"]

IN_ONE_PROCESS_AND_A_WORKER = pytest.mark.parametrize(
    "spread", [(), ("-n", "1")], ids=["one process", "a worker"]
)

EMPTY = """\
no cell was measured, so this run proves nothing
  3 steps skipped: cluster fake lacks worker nodes (it has 0, the scenario needs 1)
hint: use a cluster that has what they need; --netpol-allow-empty accepts a run without cells"""


@IN_ONE_PROCESS_AND_A_WORKER
def test_a_run_without_any_cell_is_not_good(
    run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    result = run_scenarios("scenarios", *spread, conftest=LACKING)
    result.assert_outcomes(skipped=3)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert section(result, "NetworkPolicy") == EMPTY
    allowed = run_scenarios("scenarios", *spread, "--netpol-allow-empty", conftest=LACKING)
    assert allowed.ret == pytest.ExitCode.OK
    allowed.stdout.no_fnmatch_line("*no cell was measured*")


@pytest.mark.parametrize("option", ["--collect-only", "--setup-only"])
def test_a_run_that_runs_no_step_is_not_called_empty(
    run_scenarios: RunScenarios, option: str
) -> None:
    result = run_scenarios("scenarios", option, conftest=LACKING)
    assert result.ret == pytest.ExitCode.OK


def test_other_tests_alone_are_not_called_empty(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    write(pytester, "test_other.py", "import pytest\ndef test_a(): pytest.skip('today')\n")
    assert run_scenarios("test_other.py").ret == pytest.ExitCode.OK


def test_steps_that_a_conftest_skips_are_told_by_its_reason(run_scenarios: RunScenarios) -> None:
    skipping = CONFTEST + (
        "\ndef pytest_collection_modifyitems(items):\n"
        "    for item in items: item.add_marker(pytest.mark.skip(reason='not today'))\n"
    )
    result = run_scenarios("scenarios", conftest=skipping)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert section(result, "NetworkPolicy") == EMPTY.replace(
        "cluster fake lacks worker nodes (it has 0, the scenario needs 1)", "not today"
    )


@IN_ONE_PROCESS_AND_A_WORKER
@pytest.mark.parametrize(
    ("answer", "file", "status"),
    [
        ("allows_all", SCENARIO, pytest.ExitCode.TESTS_FAILED),
        ("by_the_book", SCENARIO.replace("why:", "wy:"), pytest.ExitCode.INTERRUPTED),
    ],
    ids=["wrong cells", "invalid file"],
)
def test_the_status_is_the_same_with_x_and_with_workers(
    pytester: pytest.Pytester,
    run_scenarios: RunScenarios,
    spread: tuple[str, ...],
    answer: str,
    file: str,
    status: pytest.ExitCode,
) -> None:
    write(pytester, "scenarios/shop.yaml", file)
    write(pytester, "scenarios/other.yaml", SCENARIO)
    for stop in ((), ("-x",)):
        result = run_scenarios("scenarios", *spread, *stop, answer=answer)
        assert result.ret == status, (spread, stop)


REMOVING = CONFTEST + (
    "\ndef pytest_netpol_remove_leftovers(config, run_id):\n"
    "    print('removed what', run_id, 'left', flush=True)\n"
    "    return ()\n"
)
DYING = REMOVING.replace("fakes.FakeCluster(_answer)", "Dying(_answer)") + (
    "\nimport os\n"
    "class Dying(fakes.FakeCluster):\n"
    "    def sync(self, state):\n"
    "        if state.scope != 'canary' and os.environ.get('PYTEST_XDIST_WORKER') == 'gw0':\n"
    "            os._exit(1)\n"
    "        super().sync(state)\n"
)


@pytest.mark.parametrize(("conftest", "times"), [(DYING, 1), (REMOVING, 0)])
def test_leftovers_are_removed_once_where_a_worker_crashed(
    run_scenarios: RunScenarios, conftest: str, times: int
) -> None:
    result = run_scenarios("scenarios", "-n", "1", "--netpol-run-id=np1", conftest=conftest)
    assert result.outlines.count("removed what np1 left") == times


# ------------------------------------------------------------------ --netpol-results


def test_results_are_written_whole_through_a_link(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    (pytester.path / "kept").mkdir()
    (pytester.path / "out.json").symlink_to("kept/results.json")
    assert run_scenarios("scenarios", "--netpol-results=out.json").ret == pytest.ExitCode.OK
    assert (pytester.path / "out.json").is_symlink()
    assert [path.name for path in (pytester.path / "kept").iterdir()] == ["results.json"]
    json.loads((pytester.path / "kept" / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("by_the_book", pytest.ExitCode.USAGE_ERROR),
        ("allows_all", pytest.ExitCode.TESTS_FAILED),
    ],
)
def test_results_that_cannot_be_written_are_an_error(
    run_scenarios: RunScenarios, answer: str, status: pytest.ExitCode
) -> None:
    result = run_scenarios("scenarios", "--netpol-results=/dev/full", answer=answer)
    assert result.ret == status
    assert result.errlines == [
        "--netpol-results=/dev/full: No space left on device; no results were written"
    ]


def test_results_may_go_to_a_fifo(pytester: pytest.Pytester, run_scenarios: RunScenarios) -> None:
    fifo = pytester.path / "fifo"
    os.mkfifo(fifo)
    read: list[str] = []

    def reader() -> None:
        read.append(Path(fifo).read_text(encoding="utf-8"))

    thread = threading.Thread(target=reader, daemon=True)
    thread.start()
    assert run_scenarios("scenarios", "--netpol-results=fifo").ret == pytest.ExitCode.OK
    thread.join(timeout=60)
    assert json.loads(read[0])["run"]["cluster"] == "netns"


# ------------------------------------------------------------------ --netpol-html


def test_a_report_is_written_beside_the_results(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    result = run_scenarios("scenarios", "--netpol-html=r/out.html", "--netpol-results=r/out.json")
    assert result.ret == pytest.ExitCode.OK
    folder = pytester.path / "r"
    assert sorted(path.name for path in folder.iterdir()) == ["out.html", "out.json"]
    results = Results.from_json((folder / "out.json").read_text(encoding="utf-8"), "out.json")
    assert (folder / "out.html").read_text(encoding="utf-8") == page(results)


def test_a_report_that_cannot_be_written_is_an_error(run_scenarios: RunScenarios) -> None:
    result = run_scenarios("scenarios", "--netpol-html=/dev/full")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines == [
        "--netpol-html=/dev/full: No space left on device; no results were written"
    ]


def test_a_report_in_a_place_that_cannot_be_written_stops_the_run(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    (pytester.path / "folder").mkdir()
    result = run_scenarios("scenarios", "--netpol-results=out.json", "--netpol-html=folder")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --netpol-html=folder: Is a directory" in result.errlines
    assert not (pytester.path / "out.json").exists()
