"""The runner against scripted clusters: what it asks, what it believes, what it refuses to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.cluster import Capabilities, Gap, KnownCell
from harness.errors import Location, UsageError
from harness.limitations import limited
from harness.model import (
    Cell,
    CellStatus,
    ContainerPort,
    Destination,
    Flap,
    Labels,
    Limitation,
    Manifest,
    Namespace,
    Pod,
    PodRef,
    Probe,
    ProbeError,
    Scenario,
    State,
    Step,
    StepNeeds,
    TruthTable,
    Verdict,
)
from harness.runner import ScenarioRun
from harness.settle import Phase, Progress, Timing
from tests.fakes import (
    EVERYTHING,
    FakeCluster,
    FakeTime,
    allows_all,
    answers_nothing,
    denies_all,
)

QUICK = Timing(settle_s=0.03, pause_s=0.001)
CLIENT, SERVER = PodRef("a", "client"), PodRef("a", "server")
OPEN = State(
    scope="test",
    namespaces=(Namespace("a"),),
    pods=(
        Pod("a", "client", Labels({"app": "client"})),
        Pod("a", "server", Labels({"app": "server"}), (ContainerPort(80), ContainerPort(81))),
    ),
)
POLICY = Manifest("networking.k8s.io/v1", "NetworkPolicy", "a", "p", "{}")
SHUT = replace(OPEN, policies=(POLICY,))


def probe(port: int = 80) -> Probe:
    return Probe(CLIENT, Destination(SERVER, port))


def cell(word: Verdict, port: int = 80, **changes: Any) -> Cell:
    return replace(Cell(probe(port), word, Location("s.yaml", 9, 3)), **changes)


def step(name: str, state: State, *cells: Cell) -> Step:
    return Step(name, Location("s.yaml", 5, 3), (), state, TruthTable(cells))


def scenario(*steps: Step) -> Scenario:
    return Scenario(path="s.yaml", name="test", slug="test", why="for a test", steps=steps)


def always(word: Verdict) -> Callable[[State, Probe], Verdict]:
    return lambda state, asked: word


def shut_by_policy(state: State, asked: Probe) -> Verdict:
    """Port 80 is denied where the policy is; port 81 never is."""
    return Verdict.TIMEOUT if state.policies and asked == probe(80) else Verdict.ALLOWED


DENY = scenario(step("shut", SHUT, cell(Verdict.ALLOWED, 81), cell(Verdict.TIMEOUT, 80)))
OPEN_THEN_DENY = scenario(
    step("open", OPEN, cell(Verdict.ALLOWED, 80)), step("shut", SHUT, cell(Verdict.TIMEOUT, 80))
)


def test_a_right_table_takes_two_full_rounds_and_is_proven() -> None:
    cluster = FakeCluster(shut_by_policy)
    result = ScenarioRun(cluster, DENY, QUICK).run(0)
    assert result.full_rounds == 2
    assert [r.outcome for r in result.reachability.results] == [Verdict.ALLOWED, Verdict.TIMEOUT]
    assert not result.reachability.mismatches
    assert not result.reachability.unproven
    assert (result.time_to_deny_s, result.time_to_allow_s) == (0.0, 0.0)


def test_probes_expected_to_be_denied_start_first() -> None:
    cluster = FakeCluster(shut_by_policy)
    ScenarioRun(cluster, DENY, QUICK).run(0)
    assert cluster.rounds[-1] == (probe(80), probe(81))


def test_the_control_runs_the_topology_without_policies_and_only_what_is_denied() -> None:
    cluster = FakeCluster(shut_by_policy)
    ScenarioRun(cluster, DENY, QUICK).run(0)
    assert cluster.synced == [OPEN, SHUT]
    assert cluster.rounds[0] == (probe(80),)


def test_an_earlier_step_that_shows_the_pair_connecting_spares_the_control() -> None:
    cluster = FakeCluster(shut_by_policy)
    run = ScenarioRun(cluster, OPEN_THEN_DENY, QUICK)
    run.run(0)
    assert not run.run(1).reachability.unproven
    assert cluster.synced == [OPEN, SHUT]


def test_a_selected_step_alone_gets_its_evidence_and_the_states_before_it() -> None:
    cluster = FakeCluster(shut_by_policy)
    result = ScenarioRun(cluster, OPEN_THEN_DENY, QUICK, selected=[1]).run(1)
    assert not result.reachability.unproven
    assert cluster.synced == [OPEN, OPEN, SHUT]


def test_the_control_covers_ends_that_appear_later() -> None:
    later = Pod("a", "late", Labels())
    more = replace(SHUT, pods=(*SHUT.pods, later))
    late = Cell(Probe(later.ref, Destination(SERVER, 80)), Verdict.TIMEOUT, Location("s", 1, 1))
    both = scenario(
        step("first", SHUT, cell(Verdict.TIMEOUT)),
        step("a pod appears", more, cell(Verdict.TIMEOUT), late),
    )
    cluster = FakeCluster(lambda s, p: Verdict.TIMEOUT if s.policies else Verdict.ALLOWED)
    run = ScenarioRun(cluster, both, QUICK)
    assert not run.run(0).reachability.unproven
    assert not run.run(1).reachability.unproven
    assert cluster.synced == [replace(OPEN, pods=more.pods), SHUT, more]  # It has all of them.


def test_a_denial_that_was_never_seen_connecting_is_unproven() -> None:
    result = ScenarioRun(FakeCluster(denies_all), DENY, QUICK).run(0)
    (unproven,) = result.reachability.unproven
    assert unproven.cell.probe == probe(80)
    assert unproven.control is not None
    assert unproven.control.outcome is Verdict.TIMEOUT


def test_a_pair_that_can_never_connect_is_exempt() -> None:
    exempt = scenario(step("shut", SHUT, cell(Verdict.TIMEOUT, never_allowed="no such node")))
    cluster = FakeCluster(denies_all)
    result = ScenarioRun(cluster, exempt, QUICK).run(0)
    assert not result.reachability.unproven
    assert cluster.synced == [OPEN, SHUT]  # The control looks whether it does connect.
    assert cluster.rounds[0] == (probe(80),)


def test_a_name_that_never_resolved_proves_nothing() -> None:
    """DNS counts as denied only for a name that resolved before."""
    names = scenario(step("shut", SHUT, cell(Verdict.DNS)))
    never = ScenarioRun(FakeCluster(lambda s, p: Verdict.DNS), names, QUICK).run(0)
    assert len(never.reachability.unproven) == 1
    closed = FakeCluster(lambda s, p: Verdict.DNS if s.policies else Verdict.REFUSED)
    assert not ScenarioRun(closed, names, QUICK).run(0).reachability.unproven


@pytest.mark.parametrize("wrong", [w for w in Verdict if w is not Verdict.TIMEOUT])
def test_an_expected_timeout_means_timeout(wrong: Verdict) -> None:
    def answer(state: State, asked: Probe) -> Verdict:
        return wrong if state.policies else Verdict.ALLOWED

    result = ScenarioRun(FakeCluster(answer), DENY, QUICK).run(0)
    assert probe(80) in [r.cell.probe for r in result.reachability.mismatches]


def refuses(state: State, asked: Probe) -> Verdict:
    return Verdict.REFUSED if shut_by_policy(state, asked) is Verdict.TIMEOUT else Verdict.ALLOWED


def test_a_rejecting_cluster_may_refuse_a_pair_that_connected_before() -> None:
    rejecting = replace(EVERYTHING, denies_by="reject")
    result = ScenarioRun(FakeCluster(refuses, rejecting), DENY, QUICK).run(0)
    assert not result.reachability.mismatches
    assert [r.rejected for r in result.reachability.results] == [False, True]


def test_a_refusal_is_no_denial_where_the_pair_never_connected() -> None:
    rejecting = replace(EVERYTHING, denies_by="reject")
    result = ScenarioRun(FakeCluster(lambda s, p: Verdict.REFUSED, rejecting), DENY, QUICK).run(0)
    assert probe(80) in [r.cell.probe for r in result.reachability.mismatches]


def test_no_verdict_is_never_a_pass() -> None:
    result = ScenarioRun(FakeCluster(answers_nothing), DENY, QUICK).run(0)
    assert len(result.reachability.unmeasured) == 2
    assert not result.reachability.mismatches
    assert not any(r.as_expected for r in result.reachability.results)


def test_a_cluster_that_gives_no_observation_at_all_has_no_verdict() -> None:
    class Silent(FakeCluster):
        def probe(self, probes):  # type: ignore[no-untyped-def]
            return iter(())

    result = ScenarioRun(Silent(), DENY, QUICK).run(0)
    assert [r.outcome for r in result.reachability.results] == [
        ProbeError("the cluster returned no observation")
    ] * 2


def test_a_cluster_that_allows_all_turns_the_denial_red() -> None:
    result = ScenarioRun(FakeCluster(allows_all), DENY, QUICK).run(0)
    assert [r.cell.probe for r in result.reachability.mismatches] == [probe(80)]
    assert result.time_to_deny_s is not None
    assert result.time_to_deny_s > 0


def test_only_wrong_cells_are_probed_again_until_they_are_right() -> None:
    asked: Counter[Probe] = Counter()

    def slow(state: State, wanted: Probe) -> Verdict:
        asked[wanted] += 1
        denied = state.policies and wanted == probe(80) and asked[wanted] > 4
        return Verdict.TIMEOUT if denied else Verdict.ALLOWED

    cluster = FakeCluster(slow)
    result = ScenarioRun(cluster, DENY, Timing(settle_s=5, pause_s=0)).run(0)
    assert not result.reachability.mismatches
    control, *rounds = cluster.rounds
    assert control == (probe(80),)
    assert rounds == [(probe(80), probe(81)), *[(probe(80),)] * 3, (probe(80), probe(81))]
    assert result.full_rounds == 2
    slowest = result.reachability.results[1]
    assert slowest.wrong_from_s is not None
    assert slowest.wrong_until_s is not None
    assert 0 <= slowest.wrong_from_s < slowest.wrong_until_s
    assert result.time_to_deny_s == slowest.wrong_until_s


def test_a_table_that_does_not_hold_in_the_confirming_round_is_wrong() -> None:
    """Denied once, then open for ever: the first look alone would have passed."""
    answers = iter([Verdict.ALLOWED, Verdict.TIMEOUT])  # the control, the first round

    def flickers(state: State, asked: Probe) -> Verdict:
        return next(answers, Verdict.ALLOWED) if asked == probe(80) else Verdict.ALLOWED

    result = ScenarioRun(FakeCluster(flickers), DENY, QUICK).run(0)
    assert [r.cell.probe for r in result.reachability.mismatches] == [probe(80)]


def test_a_step_that_stops_being_right_within_its_hold_time_fails() -> None:
    time = FakeTime()

    def stops(state: State, asked: Probe) -> Verdict:
        off = 1013.2 <= round(time.now, 3) < 1016.2
        return Verdict.ALLOWED if off else shut_by_policy(state, asked)

    timing = Timing(settle_s=30, pause_s=0.1, clock=time.clock)
    for of_step, of_run in ((20.0, 0.0), (None, 20.0)):
        time.now = 1000.0
        steps = scenario(replace(DENY.steps[0], hold_s=of_step))
        cluster = FakeCluster(stops, clock=time.clock)
        result = ScenarioRun(cluster, steps, replace(timing, hold_s=of_run)).run(0)
        (wrong,) = result.reachability.mismatches
        assert wrong.cell.probe == probe(80)
        assert result.held_s == pytest.approx(13.2)


def test_hold_asks_for_more_than_one_confirming_round() -> None:
    time = FakeTime()
    held = replace(DENY.steps[0], hold_s=0.5)
    timing = Timing(settle_s=30, pause_s=0.1, clock=time.clock)
    cluster = FakeCluster(shut_by_policy, clock=time.clock)
    assert ScenarioRun(cluster, scenario(held), timing).run(0).full_rounds == 6


def test_a_run_tells_what_it_waits_for_and_how_long_the_step_took() -> None:
    time = FakeTime()

    def after_a_second(state: State, asked: Probe) -> Verdict:
        return shut_by_policy(state, asked) if time.now >= 1001.0 else Verdict.TIMEOUT

    told: list[Progress] = []
    timing = Timing(settle_s=30, pause_s=1.0, clock=time.clock)
    cluster = FakeCluster(after_a_second, clock=time.clock)
    result = ScenarioRun(cluster, DENY, timing, tell=told.append).run(0)
    assert told == [
        Progress(Phase.CONTROL),
        Progress(Phase.CONTROL, 1, 0, 1, 30.0),
        Progress(Phase.CONTROL, 1, 0, 1, 30.0),
        Progress(Phase.CONTROL, 2, 0, 1, 29.0),
        Progress(Phase.CONTROL, 2, 1, 1, 29.0),
        Progress(Phase.APPLY),
        Progress(Phase.SETTLE, 1, 0, 2, 30.0),
        Progress(Phase.SETTLE, 1, 2, 2, 30.0),
        Progress(Phase.CONFIRM, 2, 2, 2, 30.0),
        Progress(Phase.CONFIRM, 2, 2, 2, 30.0),
    ]
    assert result.duration_s == 1.0


def test_an_undefined_cell_is_reported_and_not_failed() -> None:
    open_cell = cell(Verdict.TIMEOUT, undefined="hairpin")
    result = ScenarioRun(FakeCluster(allows_all), scenario(step("s", SHUT, open_cell)), QUICK).run(
        0
    )
    assert not result.reachability.mismatches
    assert not result.reachability.unproven
    assert [r.cell for r in result.reachability.having(CellStatus.UNDEFINED)] == [open_cell]
    silent = ScenarioRun(
        FakeCluster(answers_nothing), scenario(step("s", SHUT, open_cell)), QUICK
    ).run(0)
    assert len(silent.reachability.unmeasured) == 1


def test_an_undefined_cell_without_a_verdict_is_asked_again() -> None:
    answers = iter([ProbeError("exec failed")])
    open_cell = cell(Verdict.TIMEOUT, undefined="hairpin")
    cluster = FakeCluster(lambda s, p: next(answers, Verdict.ALLOWED))
    result = ScenarioRun(
        cluster, scenario(step("s", SHUT, open_cell)), Timing(settle_s=5, pause_s=0)
    ).run(0)
    assert not result.reachability.unmeasured
    assert len(cluster.rounds) == 3


def test_a_denial_that_is_not_judged_needs_evidence() -> None:
    steps = scenario(step("shut", SHUT, cell(Verdict.TIMEOUT, not_judged="CRD X may act")))
    seen = ScenarioRun(FakeCluster(shut_by_policy), steps, QUICK).run(0).reachability
    assert [r.status for r in seen.results] == [CellStatus.NOT_JUDGED]
    never = ScenarioRun(FakeCluster(denies_all), steps, QUICK).run(0).reachability
    assert [r.status for r in never.results] == [CellStatus.UNPROVEN]


def test_a_port_that_nobody_serves_is_exempt_and_not_proven() -> None:
    steps = scenario(
        step(
            "shut",
            SHUT,
            cell(Verdict.TIMEOUT),
            cell(Verdict.TIMEOUT, 82, never_allowed="nobody listens"),
            cell(Verdict.TIMEOUT, 83, never_allowed="nobody listens", undefined="ipBlock"),
        )
    )
    cluster = FakeCluster(
        lambda s, p: shut_by_policy(s, p) if p.destination.port in {80, 81} else Verdict.TIMEOUT
    )
    result = ScenarioRun(cluster, steps, QUICK).run(0)
    assert [r.status for r in result.reachability.results] == [
        CellStatus.PROVEN,
        CellStatus.EXEMPT,
        CellStatus.UNDEFINED,
    ]


LEAK = KnownCell("test", "shut", str(probe(80)), Verdict.ALLOWED, "it leaks (a/b#1; v1)")


def knowing(*known: KnownCell) -> Capabilities:
    return replace(EVERYTHING, known_cells=known)


def test_a_known_cell_is_expected_to_give_what_the_cluster_is_known_for() -> None:
    result = ScenarioRun(FakeCluster(allows_all, knowing(LEAK)), DENY, QUICK).run(0)
    assert not result.reachability.mismatches
    assert not result.reachability.unproven
    assert result.full_rounds == 2
    open_, limited = result.reachability.results
    assert open_.cell == DENY.steps[0].table.cells[0]
    assert limited.cell == replace(
        DENY.steps[0].table.cells[1],
        expected=Verdict.ALLOWED,
        limitation=Limitation(Verdict.TIMEOUT, "it leaks (a/b#1; v1)"),
    )
    assert limited.cell.stated is Verdict.TIMEOUT
    assert result.scenario.steps.index(result.step) == 0


@pytest.mark.parametrize("word", [w for w in Verdict if w is not Verdict.ALLOWED])
def test_a_known_cell_that_gives_another_verdict_is_wrong(word: Verdict) -> None:
    def answer(state: State, asked: Probe) -> Verdict:
        return word if state.policies and asked == probe(80) else Verdict.ALLOWED

    result = ScenarioRun(FakeCluster(answer, knowing(LEAK)), DENY, QUICK).run(0)
    assert [r.outcome for r in result.reachability.mismatches] == [word]


@pytest.mark.parametrize("other", [{"scenario": "other"}, {"step": "open"}])
def test_a_known_cell_is_known_of_one_cell_alone(other: dict[str, Any]) -> None:
    known = knowing(replace(LEAK, **other))
    result = ScenarioRun(FakeCluster(shut_by_policy, known), OPEN_THEN_DENY, QUICK).run(1)
    assert result.scenario == OPEN_THEN_DENY


@pytest.mark.parametrize(
    ("path", "applies"),
    [
        ("suite/time/test.yaml", True),
        ("/a/suite/time/test.yaml", True),
        ("time/test.yaml", False),
        ("suite/test.yaml", False),
        ("another-suite/time/test.yaml", False),
    ],
)
def test_a_known_cell_of_a_folder_is_known_of_its_scenarios_alone(
    path: str, applies: bool
) -> None:
    known = replace(LEAK, scenario="suite/time/test")
    found = limited(replace(DENY, path=path), [known])
    assert any(cell.limitation for step in found.steps for cell in step.table.cells) is applies


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"step": "shutt"},
            "s.yaml has no step 'shutt'; `cells` of the CNI profile lists it:"
            " it leaks (a/b#1; v1)\n"
            "hint: did you mean 'shut'?",
        ),
        (
            {"probe": "a/client -> a/server:82"},
            "s.yaml has no cell 'a/client -> a/server:82' in step 'shut';"
            " `cells` of the CNI profile lists it: it leaks (a/b#1; v1)\n"
            "hint: did you mean 'a/client -> a/server:81'?",
        ),
    ],
)
def test_a_known_cell_that_its_scenario_does_not_have_is_an_error(
    other: dict[str, Any], message: str
) -> None:
    cluster = FakeCluster(shut_by_policy, knowing(replace(LEAK, **other)))
    with pytest.raises(UsageError) as error:
        ScenarioRun(cluster, DENY, QUICK)
    assert str(error.value) == message


def test_a_known_cell_that_the_author_states_alike_is_no_limitation() -> None:
    known = knowing(replace(LEAK, gives=Verdict.TIMEOUT))
    assert ScenarioRun(FakeCluster(shut_by_policy, known), DENY, QUICK).run(0).scenario == DENY


def test_a_known_denial_of_a_pair_that_never_connected_is_unproven() -> None:
    """Else a dead pod would pass for the limitation."""
    for word in (Verdict.TIMEOUT, Verdict.DNS):
        known = knowing(replace(LEAK, step="open", gives=word))
        cluster = FakeCluster(always(word), known)
        assert len(ScenarioRun(cluster, OPEN_THEN_DENY, QUICK).run(0).reachability.unproven) == 1


def test_a_known_refusal_in_the_place_of_a_denial_needs_its_evidence_too() -> None:
    known = knowing(replace(LEAK, gives=Verdict.REFUSED))
    dead = FakeCluster(lambda s, p: Verdict.REFUSED, known)
    assert len(ScenarioRun(dead, DENY, QUICK).run(0).reachability.unproven) == 1
    alive = ScenarioRun(FakeCluster(refuses, known), DENY, QUICK).run(0)
    assert all(r.as_expected and r.evidence for r in alive.reachability.results)


def test_an_undefined_cell_that_is_known_must_give_what_is_known() -> None:
    undefined = scenario(step("shut", SHUT, cell(Verdict.TIMEOUT, undefined="hairpin")))
    result = ScenarioRun(FakeCluster(shut_by_policy, knowing(LEAK)), undefined, QUICK).run(0)
    assert len(result.reachability.mismatches) == 1


def test_a_rejecting_cluster_may_refuse_a_known_denial_and_gives_back_the_authors_by_it() -> None:
    rejecting = replace(knowing(LEAK), denies_by="reject")
    (gone,) = (
        ScenarioRun(FakeCluster(refuses, rejecting), DENY, QUICK).run(0).reachability.mismatches
    )
    assert gone.rejected
    shut = KnownCell("test", "shut", str(probe(81)), Verdict.TIMEOUT, "it shuts (a/b#2; v1)")
    shutting = replace(knowing(shut), denies_by="reject")

    def refuses_all(state: State, asked: Probe) -> Verdict:
        return Verdict.REFUSED if state.policies else Verdict.ALLOWED

    result = ScenarioRun(FakeCluster(refuses_all, shutting), DENY, QUICK).run(0)
    assert [r.as_expected for r in result.reachability.results] == [True, True]


def test_a_known_cell_is_asked_again_while_the_cluster_still_rejects() -> None:
    refusals = iter([Verdict.REFUSED] * 2)

    def opens(state: State, asked: Probe) -> Verdict:
        shut = state.policies and asked == probe(80)
        return next(refusals, Verdict.ALLOWED) if shut else Verdict.ALLOWED

    cluster = FakeCluster(opens, replace(knowing(LEAK), denies_by="reject"))
    result = ScenarioRun(cluster, DENY, Timing(settle_s=5, pause_s=0)).run(0)
    assert not result.reachability.mismatches


def in_turn(*answers: Verdict | ProbeError) -> FakeCluster:
    """A cluster that gives these answers in turn, under policies; the last for ever."""
    left = list(answers)

    def answer(state: State, asked: Probe) -> Verdict | ProbeError:
        if not state.policies:
            return Verdict.ALLOWED
        return left.pop(0) if len(left) > 1 else left[0]

    return FakeCluster(answer)


SILENT = ProbeError("it took 2.1 s to answer")
DENIED = scenario(step("shut", SHUT, cell(Verdict.TIMEOUT)))
NO_TIME = Timing(settle_s=0.0, pause_s=0.0)


def test_silence_is_asked_again_when_the_settle_time_is_over_and_then_confirmed() -> None:
    cluster = in_turn(Verdict.TIMEOUT, SILENT, Verdict.TIMEOUT)
    result = ScenarioRun(cluster, DENIED, NO_TIME).run(0)
    assert [r.outcome for r in result.reachability.results] == [Verdict.TIMEOUT]
    assert result.full_rounds == 3  # Right, silent, and right in full once more.


def test_a_wrong_verdict_is_not_asked_again_when_the_settle_time_is_over() -> None:
    cluster = in_turn(Verdict.TIMEOUT, Verdict.ALLOWED, Verdict.TIMEOUT)
    result = ScenarioRun(cluster, DENIED, NO_TIME).run(0)
    assert [r.outcome for r in result.reachability.mismatches] == [Verdict.ALLOWED]
    cluster = in_turn(SILENT, Verdict.ALLOWED, Verdict.TIMEOUT)
    result = ScenarioRun(cluster, DENIED, NO_TIME).run(0)
    assert [r.outcome for r in result.reachability.mismatches] == [Verdict.ALLOWED]


def test_a_table_that_is_not_right_in_the_confirming_round_is_settled_again_and_flapped() -> None:
    time = FakeTime()
    cluster = in_turn(Verdict.TIMEOUT, Verdict.ALLOWED, Verdict.ALLOWED, Verdict.TIMEOUT)
    cluster.clock = time.clock
    timing = Timing(settle_s=30, pause_s=0.5, clock=time.clock)
    result = ScenarioRun(cluster, DENIED, timing).run(0)
    (denied,) = result.reachability.results
    assert denied.status is CellStatus.PROVEN
    assert denied.flapped == (Flap(Verdict.ALLOWED, 0.0, 0.5),)
    assert (result.time_to_deny_s, result.full_rounds, result.held_s) == (0.5, 3, None)


def test_lasting_silence_is_an_error_after_a_few_more_rounds() -> None:
    cluster = in_turn(SILENT)
    result = ScenarioRun(cluster, DENIED, NO_TIME).run(0)
    assert [r.outcome for r in result.reachability.unmeasured] == [SILENT]
    assert len(cluster.rounds) == 1 + 1 + 3  # the control, the round, three more
    # Nor does a silence that comes and goes keep a step going.
    cluster = in_turn(*(SILENT, Verdict.TIMEOUT) * 9)
    result = ScenarioRun(cluster, DENIED, NO_TIME).run(0)
    assert [r.outcome for r in result.reachability.unmeasured] == [SILENT]


def test_lacks_names_everything_that_is_missing() -> None:
    small = Capabilities(name="small", gaps=(Gap("sctp", "the nodes' kernel has none"),))
    needs = replace(
        DENY.needs, features=frozenset({"sctp"}), nodes=2, kinds=frozenset({"cilium.io/v2/X"})
    )
    assert small.lacks(needs) == (
        "cluster small lacks feature sctp (the nodes' kernel has none), "
        "worker nodes (it has 1, the scenario needs 2), the API cilium.io/v2/X"
    )
    assert small.lacks(DENY.needs) is None


def test_kinds_without_effect_are_named_and_not_lacking() -> None:
    inert = frozenset({"v1/ConfigMap", "v1/Secret"})
    small = Capabilities(name="small", kinds=inert | {"cilium.io/v2/X"}, ignored_kinds=inert)
    needs = replace(DENY.needs, kinds=frozenset({"cilium.io/v2/X", "v1/Secret", "v1/ConfigMap"}))
    assert small.lacks(needs) is None
    assert small.ignores(needs) == ("v1/ConfigMap", "v1/Secret")
    assert small.ignores(DENY.needs) == ()


# ------------------------------------------------------------------ steps that need more

LACKING = replace(EVERYTHING, features=frozenset(), gaps=(Gap("sctp", "the kernel has none"),))
OF_TABLE, OF_STATE = StepNeeds(table=frozenset({"hairpin"})), StepNeeds(frozenset({"sctp"}))


def three_steps(needs: StepNeeds) -> Scenario:
    """Open, then open with needs and a refused object, then shut."""
    return scenario(
        step("open", OPEN, cell(Verdict.ALLOWED, 81)),
        replace(
            step("special", replace(OPEN, refused=(POLICY,)), cell(Verdict.ALLOWED, 80)),
            needs=needs,
        ),
        step("shut", SHUT, cell(Verdict.TIMEOUT, 80)),
    )


def test_a_step_is_skipped_alone_if_the_cluster_can_have_its_state() -> None:
    assert LACKING.skips(three_steps(OF_TABLE)) == (
        None,
        "cluster fake lacks feature hairpin",
        None,
    )
    assert EVERYTHING.skips(three_steps(OF_TABLE)) == (None, None, None)


def test_the_steps_after_a_state_that_the_cluster_cannot_have_are_skipped_too() -> None:
    lack = "cluster fake lacks feature sctp (the kernel has none)"
    after = f"it comes after step 'special', which is skipped: {lack}"
    assert LACKING.skips(three_steps(OF_STATE)) == (None, lack, after)
    # The first such step counts, whatever a later one lacks.
    steps = three_steps(OF_STATE).steps
    both = scenario(*steps[:2], replace(steps[2], needs=OF_TABLE))
    assert LACKING.skips(both) == (None, lack, after)


def test_what_the_scenario_needs_skips_every_step() -> None:
    whole = replace(three_steps(OF_TABLE), needs=replace(DENY.needs, nodes=3))
    reason = "cluster fake lacks worker nodes (it has 2, the scenario needs 3)"
    assert LACKING.skips(whole) == (reason,) * 3


def test_a_skipped_step_is_no_evidence_and_its_state_is_applied_without_what_is_refused() -> None:
    cluster = FakeCluster(shut_by_policy, LACKING)
    run = ScenarioRun(cluster, three_steps(OF_TABLE), QUICK)
    run.run(0)
    result = run.run(2)
    assert not result.reachability.unproven
    # The control step, the first step, what the skipped one leaves, the last one.
    assert cluster.synced == [OPEN, OPEN, OPEN, SHUT]
    assert cluster.rounds[0] == (probe(80),)


def test_a_skipped_step_does_not_prove_a_denial() -> None:
    cluster = FakeCluster(denies_all, LACKING)
    result = ScenarioRun(cluster, three_steps(OF_TABLE), QUICK).run(2)
    assert len(result.reachability.unproven) == 1


def test_a_step_that_the_cluster_does_not_skip_is_evidence() -> None:
    cluster = FakeCluster(shut_by_policy)
    run = ScenarioRun(cluster, three_steps(OF_TABLE), QUICK)
    for index in range(3):
        assert not run.run(index).reachability.unproven
    assert cluster.synced == [OPEN, replace(OPEN, refused=(POLICY,)), SHUT]
