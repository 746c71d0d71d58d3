"""The harness can fail: each way in which a cluster can be wrong turns its steps red."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from harness.model import CellStatus
from harness.report import Results, TraceRecord
from tests.plugin.conftest import CONFTEST, SCENARIO, RunScenarios, leaking, section, write

pytest_plugins = ["pytester"]

IN_ONE_PROCESS_AND_A_WORKER = pytest.mark.parametrize(
    "spread", [(), ("-n", "1")], ids=["one process", "a worker"]
)


@IN_ONE_PROCESS_AND_A_WORKER
def test_a_right_cluster_is_green(run_scenarios: RunScenarios, spread: tuple[str, ...]) -> None:
    result = run_scenarios("scenarios", *spread)
    result.assert_outcomes(passed=3)
    assert (
        section(result, "NetworkPolicy") == "6 of 6 cells proven, in 3 steps of 1 scenario on fake"
    )


@IN_ONE_PROCESS_AND_A_WORKER
def test_a_cluster_that_allows_all_turns_every_denial_red(
    run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    result = run_scenarios("scenarios", *spread, answer="allows_all")
    result.assert_outcomes(passed=1, failed=2)
    assert "6 cells: 3 proven, 3 wrong, in 3 steps" in section(result, "NetworkPolicy")


def test_a_quiet_run_tells_only_what_is_wrong(run_scenarios: RunScenarios) -> None:
    assert "NetworkPolicy" not in run_scenarios("scenarios", "-q").stdout.str()
    result = run_scenarios("scenarios", "-q", answer="allows_all")
    assert section(result, "NetworkPolicy") == (
        "6 cells: 3 proven, 3 wrong, in 3 steps of 1 scenario on fake"
    )


@IN_ONE_PROCESS_AND_A_WORKER
def test_a_cluster_that_denies_all_turns_every_permission_red_and_proves_no_denial(
    run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    result = run_scenarios("scenarios", *spread, answer="denies_all")
    result.assert_outcomes(failed=3)
    assert section(result, "NetworkPolicy").startswith("6 cells: 3 wrong, 3 unproven, in")


@IN_ONE_PROCESS_AND_A_WORKER
def test_a_cluster_that_answers_nothing_gives_errors_and_no_pass(
    run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    result = run_scenarios("scenarios", *spread, answer="answers_nothing")
    result.assert_outcomes(errors=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "6 cells: 6 no verdict, in" in section(result, "NetworkPolicy")


def test_the_text_of_a_wrong_cell(run_scenarios: RunScenarios) -> None:
    result = run_scenarios("scenarios", "-k", "takes", answer="allows_all")
    assert (
        section(result, "FAILURES")
        == """\
[shop.yaml: the database takes the frontend]
step 'the database takes the frontend': 1 of 2 cells is wrong (1 full round, N s of probing)

                 shop/database:5432
  shop/frontend  allowed
  shop/stranger  allowed != TIMEOUT
  (observed != expected)

scenarios/shop.yaml:24:24: shop/stranger -> shop/database:5432: observed allowed, expected TIMEOUT
    seen wrong from N s to N s after the cluster accepted the change
    source shop/stranger: labels app=stranger; 10.0.1.3; on node/1; ports none
      namespace shop: kubernetes.io/metadata.name=shop
    destination shop/database:5432: labels app=database; 10.0.1.1; on node/1; ports 5432/TCP
      namespace shop: kubernetes.io/metadata.name=shop
    policies that select the source: none
    policies that select the destination: NetworkPolicy shop/from-frontend (Ingress)
    NetworkPolicy shop/from-frontend, scenarios/shop.yaml:15:9:
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: {name: from-frontend, namespace: shop}
      spec:
        podSelector: {matchLabels: {app: database}}
        ingress:
          - from: [{podSelector: {matchLabels: {app: frontend}}}]
    egress of shop/stranger: not isolated (no policy selects it for Egress)
    ingress of shop/database: isolated by NetworkPolicy shop/from-frontend; no rule allows \
shop/stranger -> shop/database on TCP 5432
      NetworkPolicy shop/from-frontend, ingress rule 1: pods app=frontend of the same namespace, \
but shop/stranger has app=stranger
    the control step (no policies applied) got allowed
    the CNI says, of one more probe: a fake rule decides shop/stranger -> shop/database:5432
    reproduce: netpol probe scenarios/shop.yaml 'the database takes the frontend' shop/stranger \
shop/database:5432
    ask the CNI: ask the fake
[Captured cluster call]
a fake cluster, asked about 1 probes"""
    )
    assert section(result, "short test summary info") == (
        "FAILED scenarios/shop.yaml::the database takes the frontend - 1 of 2 cells is wrong"
    )


def test_the_text_of_a_cell_without_verdict(run_scenarios: RunScenarios) -> None:
    result = run_scenarios("scenarios", "-k", "restricted", answer="answers_nothing")
    text = section(result, "ERRORS")
    assert text.splitlines()[0] == "[ERROR at call of shop.yaml: nothing is restricted yet]"
    assert (
        "shop/frontend -> shop/database:5432: no verdict (the source pod is gone), "
        "expected allowed" in text
    )
    assert section(result, "short test summary info") == (
        "ERROR scenarios/shop.yaml::nothing is restricted yet - no verdict on 2 of 2 cells"
    )


def test_the_text_of_a_denial_that_nothing_proves(run_scenarios: RunScenarios) -> None:
    result = run_scenarios("scenarios", "-k", "left", answer="denies_all")
    assert (
        "scenarios/shop.yaml:31:13: shop/frontend -> shop/database:5432: TIMEOUT as expected, but "
        "unproven: the control step (no policies applied) also got TIMEOUT"
        in section(result, "FAILURES")
    )
    assert section(result, "short test summary info") == (
        "FAILED scenarios/shop.yaml::nobody is left - 2 of 2 cells unproven, never seen connecting"
    )


BROKEN = """\
from harness.errors import ClusterError, NotRefused
from tests import fakes

class Broken(fakes.FakeCluster):
    def sync(self, state):
        if state.scope != "canary" and len(state.policies) == 1:
            raise {error}
        super().sync(state)

def pytest_netpol_make_cluster(config, worker):
    return Broken()
"""


def test_a_state_that_cannot_be_reached_is_an_error_of_its_step_alone(
    run_scenarios: RunScenarios,
) -> None:
    broken = BROKEN.replace("{error}", "ClusterError('the webhook said no', 'ask its owner')")
    result = run_scenarios("scenarios", conftest=broken)
    result.assert_outcomes(passed=1, errors=2)
    text = section(result, "ERRORS").splitlines()
    assert text[1:3] == ["the webhook said no", "hint: ask its owner"]
    assert "ERROR scenarios/shop.yaml::nobody is left - the webhook said no" in result.outlines


def test_an_object_that_should_have_been_refused_is_a_failure(run_scenarios: RunScenarios) -> None:
    broken = BROKEN.replace("{error}", "NotRefused('the API server accepted Pod shop/root')")
    result = run_scenarios("scenarios", conftest=broken)
    result.assert_outcomes(passed=1, failed=2)


def test_a_defect_of_ours_keeps_its_traceback(run_scenarios: RunScenarios) -> None:
    broken = BROKEN.replace("{error}", "ZeroDivisionError('ours')")
    result = run_scenarios("scenarios", conftest=broken)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["E *ZeroDivisionError: ours"])


ALWAYS = CONFTEST.replace('if state.scope == "canary":', "if False:")


@IN_ONE_PROCESS_AND_A_WORKER
@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            "enforces_nothing",
            "ERROR: cluster fake does not enforce NetworkPolicy: a policy that denies all ingress "
            "was accepted, and canary/client -> canary/near:8080, "
            "canary/client -> canary/far:8080 still connect",
        ),
        (
            "answers_nothing",
            "ERROR: the canary got no verdict on canary/client -> canary/near:8080",
        ),
    ],
)
def test_the_canary_stops_the_run_with_one_sentence(
    run_scenarios: RunScenarios, spread: tuple[str, ...], answer: str, sentence: str
) -> None:
    result = run_scenarios("scenarios", *spread, answer=answer, conftest=ALWAYS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines if line.startswith(sentence)]
    assert not result.parseoutcomes().keys() & {"passed", "failed"}


def test_what_the_cluster_lacks_skips_every_step_with_the_reason(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    poor = (
        CONFTEST.replace("fakes.FakeCluster(_answer)", "fakes.FakeCluster(_answer, POOR)")
        + "\nfrom dataclasses import replace\nPOOR = replace(fakes.EVERYTHING, nodes=1)\n"
    )
    write(
        pytester,
        "scenarios/shop.yaml",
        SCENARIO.replace("topology:", "needs: [{nodes: 2}]\ntopology:"),
    )
    result = run_scenarios("scenarios", "-rs", conftest=poor)
    result.assert_outcomes(skipped=3)
    assert section(result, "short test summary info") == (
        "SKIPPED [3] scenarios/shop.yaml:1: "
        "cluster fake lacks worker nodes (it has 1, the scenario needs 2)"
    )


ONE_STEP_NEEDS_MORE = SCENARIO.replace(
    "  - step: nobody is left\n", "  - step: nobody is left\n    needs: [hairpin]\n"
)


@IN_ONE_PROCESS_AND_A_WORKER
def test_a_step_that_needs_what_the_cluster_lacks_is_skipped_alone(
    pytester: pytest.Pytester, run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    poor = (
        CONFTEST.replace("fakes.FakeCluster(_answer)", "fakes.FakeCluster(_answer, POOR)")
        + "\nfrom dataclasses import replace\n"
        "POOR = replace(fakes.EVERYTHING, features=frozenset())\n"
    )
    write(pytester, "scenarios/shop.yaml", ONE_STEP_NEEDS_MORE)
    reason = "cluster fake lacks feature hairpin"
    result = run_scenarios(
        *("scenarios", "-rs", "-v", "--netpol-results=results.json", "--junitxml=junit.xml"),
        *("--netpol-tables", *spread),
        conftest=poor,
    )
    result.assert_outcomes(passed=2, skipped=1)
    assert section(result, "short test summary info") == (
        f"SKIPPED [1] scenarios/shop.yaml:1: {reason}"
    )
    tables = section(result, "scenarios/shop.yaml: Only the frontend reaches the database")
    assert tables.splitlines()[-3:] == [
        "nobody is left  [skipped]",
        "  update NetworkPolicy shop/from-frontend",
        f"  {reason}",
    ]
    document = json.loads((pytester.path / "results.json").read_text())
    steps = [(step["outcome"], step["message"]) for step in document["steps"]]
    assert steps == [("passed", ""), ("passed", ""), ("skipped", reason)]
    suite = ElementTree.parse(pytester.path / "junit.xml").getroot()  # noqa: S314 - ours
    messages = [item.get("message") for item in suite.iter("skipped")]
    assert messages == [reason]
    everything = run_scenarios("scenarios", *spread)
    everything.assert_outcomes(passed=3)


@IN_ONE_PROCESS_AND_A_WORKER
def test_kinds_without_effect_on_the_cluster_are_named(
    pytester: pytest.Pytester, run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    ignoring = (
        CONFTEST.replace("fakes.FakeCluster(_answer)", "fakes.FakeCluster(_answer, IGNORING)")
        + "\nfrom dataclasses import replace\nINERT = frozenset({'v1/ConfigMap'})\n"
        "IGNORING = replace(fakes.EVERYTHING, kinds=INERT, ignored_kinds=INERT)\n"
    )
    settings = "      - {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: shop}}\n"
    write(
        pytester,
        "scenarios/shop.yaml",
        SCENARIO.replace("    apply:\n", f"    apply:\n{settings}", 1),
    )
    result = run_scenarios("scenarios", *spread, conftest=ignoring)
    result.assert_outcomes(passed=3)
    assert section(result, "NetworkPolicy") == (
        "6 of 6 cells proven, in 3 steps of 1 scenario on fake\n"
        "no effect on fake: v1/ConfigMap, applied by scenarios/shop.yaml"
    )


@IN_ONE_PROCESS_AND_A_WORKER
def test_a_known_limitation_is_an_expected_failure_of_its_step_alone(
    pytester: pytest.Pytester, run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    result = run_scenarios(
        *("scenarios", "-rx", "--junitxml=junit.xml", "--netpol-results=results.json", *spread),
        conftest=leaking("ALLOWED"),
    )
    result.assert_outcomes(passed=2, xfailed=1)
    assert result.ret == pytest.ExitCode.OK
    reason = "1 of 2 cells limited: the frontend stays (a/b#1; v1)"
    assert section(result, "short test summary info") == (
        f"XFAIL scenarios/shop.yaml::nobody is left - {reason}"
    )
    assert (
        section(result, "NetworkPolicy")
        == """\
6 cells: 5 proven, 1 limited, in 3 steps of 1 scenario on fake
1 cell limited, known to be wrong on this cluster:
  the frontend stays (a/b#1; v1): scenarios/shop.yaml:31:13: shop/frontend -> shop/database:5432, \
allowed instead of TIMEOUT"""
    )
    document = json.loads((pytester.path / "results.json").read_text())
    assert [step["outcome"] for step in document["steps"]] == ["passed", "passed", "limited"]
    suite = ElementTree.parse(pytester.path / "junit.xml").getroot()  # noqa: S314 - ours
    (skipped,) = suite.iter("skipped")
    assert (skipped.get("type"), skipped.get("message")) == ("pytest.xfail", reason)


@IN_ONE_PROCESS_AND_A_WORKER
def test_a_limitation_that_is_not_seen_any_more_is_a_failure(
    run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    result = run_scenarios("scenarios", *spread, conftest=leaking("TIMEOUT"))
    result.assert_outcomes(passed=2, failed=1)
    assert """
scenarios/shop.yaml:31:13: shop/frontend -> shop/database:5432: observed TIMEOUT, expected allowed
    known limitation (the table says TIMEOUT): the frontend stays (a/b#1; v1)
    hint: the limitation is no longer observed; remove it from the CNI profile
    seen wrong from N s to N s after the cluster accepted the change
    source shop/frontend: labels app=frontend; 10.0.2.2; on node/2; ports none
""" in section(result, "FAILURES")


@IN_ONE_PROCESS_AND_A_WORKER
def test_a_third_verdict_is_neither_the_limitation_nor_a_pass(
    run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    result = run_scenarios("scenarios", *spread, conftest=leaking("REFUSED"))
    result.assert_outcomes(passed=2, failed=1)
    text = section(result, "FAILURES")
    assert "shop/frontend -> shop/database:5432: observed REFUSED, expected allowed\n" in text
    assert "known limitation (the table says TIMEOUT): the frontend stays (a/b#1; v1)" in text
    assert "not seen any more" not in text


def test_a_known_limitation_does_not_pass_where_expected_failures_count(
    run_scenarios: RunScenarios,
) -> None:
    result = run_scenarios("scenarios", "--runxfail", conftest=leaking("ALLOWED"))
    result.assert_outcomes(passed=2, failed=1)
    assert "1 of 2 cells limited: the frontend stays (a/b#1; v1)" in section(result, "FAILURES")


def test_an_expected_failure_has_no_traceback(run_scenarios: RunScenarios) -> None:
    result = run_scenarios("scenarios", "-rx", "--xfail-tb", conftest=leaking("ALLOWED"))
    assert section(result, "XFAILURES").splitlines()[:2] == [
        "[shop.yaml: nobody is left]",
        "1 of 2 cells limited: the frontend stays (a/b#1; v1)",
    ]


@IN_ONE_PROCESS_AND_A_WORKER
def test_what_could_not_be_removed_is_named(
    run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    messy = CONFTEST + (
        "\nclass Messy(fakes.FakeCluster):\n"
        "    def close(self):\n"
        "        return (f'namespace of {self.worker}',)\n"
    )
    messy = messy.replace(
        "return fakes.FakeCluster(_answer)",
        "made = Messy(_answer); made.worker = worker; return made",
    )
    result = run_scenarios("scenarios", *spread, conftest=messy)
    worker = "gw" if spread else "main"
    assert f"not removed: namespace of {worker}" in section(result, "NetworkPolicy")


def test_tables_results_and_junit(pytester: pytest.Pytester, run_scenarios: RunScenarios) -> None:
    result = run_scenarios(
        "scenarios",
        "-n",
        "1",
        "--netpol-tables",
        "--netpol-results=out/results.json",
        "--junitxml=junit.xml",
    )
    assert (
        section(result, "scenarios/shop.yaml: Only the frontend reaches the database")
        == """\
nothing is restricted yet  [passed]
                 shop/database:5432
  shop/frontend  allowed
  shop/stranger  allowed

the database takes the frontend  [passed]
  apply NetworkPolicy shop/from-frontend
                 shop/database:5432
  shop/frontend  allowed
  shop/stranger  TIMEOUT

nobody is left  [passed]
  update NetworkPolicy shop/from-frontend
                 shop/database:5432
  shop/frontend  TIMEOUT
  shop/stranger  TIMEOUT"""
    )
    document = json.loads((pytester.path / "out" / "results.json").read_text())
    assert document["schema"] == 2
    assert document["summary"]["steps"]["passed"] == 3
    assert [len(step["cells"]) for step in document["steps"]] == [2, 2, 2]
    suite = ElementTree.parse(pytester.path / "junit.xml").getroot()  # noqa: S314 - ours
    names = {item.get("name") for item in suite.iter("property")}
    about = {"cluster", "netpol"}
    assert names == about | {"rounds", "time-to-deny", "time-to-allow", "cells", "proven"}


@pytest.mark.parametrize("spread", [(), ("-n", "1")])
def test_results_tell_what_the_cluster_held_and_what_its_cni_says(
    spread: tuple[str, ...], pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    words = ("scenarios", *spread, "--netpol-results=results.json")
    result = run_scenarios(*words, answer="enforces_nothing")
    result.stdout.fnmatch_lines(["*the CNI says, of one more probe: a fake rule decides *"])
    text = (pytester.path / "results.json").read_text(encoding="utf-8")
    _, second, last = Results.from_json(text, "results.json").steps
    allowed, wrong = second.cells
    assert (wrong.status, allowed.status) == (CellStatus.WRONG, CellStatus.PROVEN)
    says = "a fake rule decides shop/stranger -> shop/database:5432"
    assert wrong.cni == TraceRecord(says, "ask the fake")
    assert allowed.cni is None
    assert [cell.cni is not None for cell in last.cells] == [True, True]
    assert second.path(allowed)[-1].endswith(
        "ingress rule 1: pods app=frontend of the same namespace; every port"
    )
    assert [pod.placed_on for pod in second.topology.pods] == ["node/1", "node/2", "node/1"]
    assert [item.selects for item in second.topology.objects] == [("shop/database",)]


CLOSED = """\
scenario: A port that nobody serves
why: Its denials show nothing about the policy.
topology:
  shop:
    pods:
      database: {labels: {app: database}, ports: [5432]}
      frontend: {labels: {app: frontend}}
never-allowed: {"*/* -> */*:81": nobody listens on 81}
steps:
  - step: all is shut
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: deny, namespace: shop}
        spec: {podSelector: {matchLabels: {app: database}}}
    expect: |2
                       shop/database:5432  shop/database:81
        shop/frontend  TIMEOUT             TIMEOUT
"""


@IN_ONE_PROCESS_AND_A_WORKER
def test_an_exempt_cell_is_counted_apart_everywhere(
    pytester: pytest.Pytester, run_scenarios: RunScenarios, spread: tuple[str, ...]
) -> None:
    write(pytester, "scenarios/closed.yaml", CLOSED)
    result = run_scenarios(
        *(
            "scenarios",
            "--netpol-tables",
            "--junitxml=junit.xml",
            "--netpol-results=results.json",
            *spread,
        ),
        conftest=CONFTEST.replace("fakes.{answer}", "closed")
        + """
from harness.model import Verdict

def closed(state, probe):
    served = probe.destination.port != 81
    return fakes.by_the_book(state, probe) if served else Verdict.TIMEOUT
""",
    )
    result.assert_outcomes(passed=1)
    place = "scenarios/closed.yaml:18:44: shop/frontend -> shop/database:81"
    assert (
        section(result, "NetworkPolicy")
        == f"""\
2 cells: 1 proven, 1 exempt, in 1 step of 1 scenario on fake
1 cell exempt, declared never-allowed:
  nobody listens on 81: {place}"""
    )
    assert "  shop/frontend  TIMEOUT             TIMEOUT (exempt)" in result.outlines
    summary = json.loads((pytester.path / "results.json").read_text())["summary"]["cells"]
    assert {status: count for status, count in summary.items() if count} == {
        "total": 2,
        "exempt": 1,
        "proven": 1,
    }
    suite = ElementTree.parse(pytester.path / "junit.xml").getroot()  # noqa: S314 - ours
    found = {item.get("name"): item.get("value") for item in suite.iter("property")}
    assert {name: found.get(name) for name in ("cells", "proven", "exempt", "exempt because")} == {
        "cells": "2",
        "proven": "1",
        "exempt": "1",
        "exempt because": f"nobody listens on 81: {place}",
    }


def test_a_pair_that_is_declared_never_allowed_and_connects_is_an_error_of_its_step(
    pytester: pytest.Pytester, run_scenarios: RunScenarios
) -> None:
    never = """never-allowed: {"shop/stranger -> *": nobody listens}
steps:"""
    text = SCENARIO.replace("steps:", never, 1).replace("expect: allowed", EXPECT_ONE, 1)
    write(pytester, "scenarios/shop.yaml", text)
    result = run_scenarios("scenarios")
    result.assert_outcomes(passed=1, errors=2)
    assert (
        "scenarios/shop.yaml:27:24: shop/stranger -> shop/database:5432 is declared never-allowed "
        "(nobody listens), but the control step, which applies no policies, saw it allowed\n"
        "hint: remove the pair from `never-allowed`" in section(result, "ERRORS")
    )


EXPECT_ONE = """expect: |2
                       shop/database:5432
        shop/frontend  allowed"""


def test_without_xdist_loaded(run_scenarios: RunScenarios) -> None:
    run_scenarios("scenarios", "-p", "no:xdist").assert_outcomes(passed=3)


def test_a_spread_that_would_part_the_steps_is_refused(run_scenarios: RunScenarios) -> None:
    result = run_scenarios("scenarios", "-n", "1", "--dist=worksteal")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: --dist=worksteal would distribute the steps of a scenario" in result.stderr.str()
    )
