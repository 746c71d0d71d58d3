"""Which files become scenarios, which items they give, and what is refused."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import CONFTEST, SCENARIO, RunScenarios, section, write

pytest_plugins = ["pytester"]


def test_one_item_a_step_in_the_order_of_the_file(run_scenarios: RunScenarios) -> None:
    result = run_scenarios("scenarios", "--collect-only", "-q")
    assert result.outlines[:3] == [
        "scenarios/shop.yaml::nothing is restricted yet",
        "scenarios/shop.yaml::the database takes the frontend",
        "scenarios/shop.yaml::nobody is left",
    ]


def test_only_the_folders_of_the_ini_option_are_taken(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    write(pytester, "scenarios/shop.yaml", SCENARIO)
    write(pytester, "scenarios/policies/one.yaml", "kind: NetworkPolicy\n")
    write(pytester, "scenarios/fixtures/two.yml", "kind: Pod\n")
    write(pytester, "charts/values.yaml", "replicas: 3\n")
    write(pytester, "elsewhere/other.yaml", SCENARIO)
    by_default = run_scenarios(".", "--collect-only", "-q")
    assert "3 tests collected" in by_default.outlines[-1]
    chosen = run_scenarios(
        ".", "--collect-only", "-q", "-o", "netpol_scenarios=scenarios elsewhere"
    )
    assert "6 tests collected" in chosen.outlines[-1]


def test_a_file_named_on_the_command_line_is_taken_wherever_it_is(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    write(pytester, "elsewhere/other.yaml", SCENARIO)
    run_scenarios("elsewhere/other.yaml").assert_outcomes(passed=3)


def test_what_is_no_scenario_is_an_error_with_its_text_alone(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    write(pytester, "scenarios/bad.yaml", SCENARIO.replace("why:", "wy:"))
    result = run_scenarios("scenarios")
    result.assert_outcomes(errors=1)
    text = result.stdout.str()
    assert "scenarios/bad.yaml:2:1: unknown key 'wy'" in text
    assert "Traceback" not in text
    assert ".py" not in text.partition("ERRORS")[2]
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_an_empty_folder_is_an_error_even_beside_other_tests(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    write(pytester, "scenarios/policies/one.yaml", "kind: NetworkPolicy\n")
    write(pytester, "test_other.py", "def test_nothing(): pass\n")
    result = run_scenarios("test_other.py", "scenarios")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines[:2] == [
        "ERROR: scenarios: no scenario files (*.yaml) in this folder",
        "hint: `netpol init` writes an example",
    ]


PASSED_OVER = """\
[ERROR collecting {mine}]
{mine}: 2 scenario files are not collected: the folder is not in netpol_scenarios (scenarios)
hint: pass the files, or set netpol_scenarios = scenarios mine in your pytest configuration"""


def mine(pytester: pytest.Pytester) -> None:
    """Make a folder with two scenarios, of which pytest knows nothing."""
    write(pytester, "scenarios/shop.yaml", SCENARIO)
    write(pytester, "mine/one.yaml", SCENARIO)
    write(pytester, "mine/more/two.yml", SCENARIO)
    write(pytester, "mine/policies/three.yaml", SCENARIO)
    write(pytester, "mine/values.yaml", "replicas: 3\n")


@pytest.mark.parametrize(
    "words",
    [
        ("mine",),
        ("mine/",),
        ("mine", "scenarios"),
        ("mine", "--collect-only"),
        ("mine", "-n", "2"),
    ],
)
def test_a_folder_whose_scenarios_are_passed_over_is_an_error(
    pytester: pytest.Pytester, run_scenarios: RunScenarios, words: tuple[str, ...]
) -> None:
    mine(pytester)
    result = run_scenarios(*words)
    result.assert_outcomes(errors=1)
    assert section(result, "ERRORS") == PASSED_OVER.format(mine=words[0])


def test_one_file_that_is_passed_over_where_there_is_no_scenario_folder(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    write(pytester, "mine too/one.yaml", SCENARIO)
    result = run_scenarios("mine too", "-o", "netpol_scenarios=nowhere")
    assert section(result, "ERRORS") == (
        "[ERROR collecting mine too]\n"
        "mine too: 1 scenario file is not collected: "
        "the folder is not in netpol_scenarios (nowhere)\n"
        "hint: pass the file, or set netpol_scenarios = 'mine too' in your pytest configuration"
    )


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("mine",), pytest.ExitCode.OK),
        (("mine", "-k", "nothing-at-all"), pytest.ExitCode.NO_TESTS_COLLECTED),
        (("mine", "-n", "1", "-k", "nothing-at-all"), pytest.ExitCode.NO_TESTS_COLLECTED),
        ((".",), pytest.ExitCode.OK),
        (("-o", "testpaths=mine/more scenarios"), pytest.ExitCode.OK),
        (("-o", "testpaths=mine/more scenarios", "-n", "1"), pytest.ExitCode.OK),
    ],
)
def test_where_anything_is_collected_no_file_is_missed(
    pytester: pytest.Pytester,
    run_scenarios: RunScenarios,
    words: tuple[str, ...],
    status: pytest.ExitCode,
) -> None:
    mine(pytester)
    write(pytester, "mine/more/test_other.py", "def test_nothing(): pass\n")
    result = run_scenarios(*words)
    assert result.ret == status
    result.stdout.no_fnmatch_line("*not collected*")


def test_what_is_not_collected_for_another_reason_is_not_called_passed_over(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    mine(pytester)
    write(pytester, "mine/test_other.py", "def test_nothing(): pass\n")
    result = run_scenarios("mine", "nowhere.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.no_fnmatch_line("*not collected*")


def test_other_peoples_files_are_not_taken_for_scenarios(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    write(pytester, "mine/molecule.yml", "scenario:\n  name: default\n")
    write(pytester, "mine/values.yaml", "a:\n  scenario: b\n")
    assert run_scenarios("mine").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_one_step_alone_has_its_states_and_its_evidence(run_scenarios: RunScenarios) -> None:
    result = run_scenarios("scenarios/shop.yaml::nobody is left")
    result.assert_outcomes(passed=1)


def test_steps_run_in_the_order_of_the_file_whatever_the_command_line_says(
    run_scenarios: RunScenarios,
) -> None:
    first = "scenarios/shop.yaml::nothing is restricted yet"
    last = "scenarios/shop.yaml::nobody is left"
    result = run_scenarios(last, first, "--collect-only", "-q")
    assert result.outlines[:2] == [first, last]


def test_a_project_without_scenarios_sees_nothing_of_the_plugin(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    write(pytester, "test_other.py", "def test_nothing(): pass\n")
    broken = CONFTEST.replace("return fakes.FakeCluster(_answer)", "raise AssertionError")
    result = run_scenarios("test_other.py", conftest=broken)
    result.assert_outcomes(passed=1)
    # The fixture writes a scenario folder; the header is all that shows of it.
    result.stdout.no_fnmatch_line("*NetworkPolicy*")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["--netpol-cluster=current", "--netpol-defect=B01"],
            "--netpol-defect=B01 needs --netpol-cluster=netns, not --netpol-cluster=current\n"
            "hint: only the embedded cluster has defects to switch on",
        ),
        (
            ["--netpol-context=prod"],
            "--netpol-context=prod needs --netpol-cluster=current, not --netpol-cluster=netns",
        ),
        (
            ["--netpol-cni=calico"],
            "--netpol-cni=calico needs --netpol-cluster=kind or current, "
            "not --netpol-cluster=netns",
        ),
        (
            ["--netpol-agnhost-image=x"],
            "--netpol-agnhost-image=x needs --netpol-cluster=kind or current, "
            "not --netpol-cluster=netns",
        ),
        (
            ["--netpol-image-pull-secret=a/b"],
            "--netpol-image-pull-secret=a/b needs --netpol-cluster=kind or current, "
            "not --netpol-cluster=netns",
        ),
        (
            ["--netpol-cluster=current", "--netpol-image-pull-secret=b"],
            "--netpol-image-pull-secret=b is not NAMESPACE/NAME",
        ),
        (
            ["--netpol-canary=off"],
            "--netpol-canary=off needs --netpol-defect: without the canary, a cluster that "
            "enforces nothing would only be visible as many failures",
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    run_scenarios: RunScenarios, words: list[str], text: str
) -> None:
    result = run_scenarios("scenarios", *words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.str().strip() == f"ERROR: {text}"


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (
            "--cluster=kind",
            "unknown option --cluster=kind\nhint: use --netpol-cluster=kind in pytest; "
            "only `netpol run` accepts --cluster",
        ),
        (
            "--tables",
            "unknown option --tables\nhint: use --netpol-tables in pytest; "
            "only `netpol run` accepts --tables",
        ),
    ],
)
def test_an_option_without_its_prefix_is_refused_with_its_name(
    run_scenarios: RunScenarios, word: str, text: str
) -> None:
    result = run_scenarios("scenarios", word)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.str().strip() == f"ERROR: {text}"


def test_another_plugin_may_have_an_option_of_the_same_name(run_scenarios: RunScenarios) -> None:
    option = 'def pytest_addoption(parser):\n    parser.addoption("--context")\n'
    result = run_scenarios("scenarios", "--context=theirs", conftest=CONFTEST + option)
    assert result.ret == pytest.ExitCode.OK
