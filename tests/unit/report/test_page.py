"""The page about one cell, against whole texts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model import CellStatus
from harness.report import (
    CellRecord,
    FlapRecord,
    NamespaceRecord,
    ObjectRecord,
    Outcome,
    PodKind,
    PodRecord,
    PortRecord,
    Results,
    Run,
    ServicePortRecord,
    ServiceRecord,
    StepRecord,
    TopologyRecord,
    TraceRecord,
    failure,
    page,
)

CELL = CellRecord(
    source="x/a",
    destination="y/b:80",
    family=4,
    expected="allowed",
    stated="allowed",
    observed="TIMEOUT",
    status=CellStatus.WRONG,
    location="s.yaml:9:5",
    wrong_from_s=0.25,
    wrong_until_s=30.0,
    flapped=(FlapRecord("REFUSED", 1.0, 2.0),),
    path=(1, 0),
    reasons="egress of x/a: not isolated",
    command="netpol probe s.yaml",
    raw="TIMEOUT after 1 s",
    control="allowed",
    cni=TraceRecord("chain A: DROP\nchain B: DROP", "iptables-save -c"),
)
DENY = ObjectRecord(
    "networking.k8s.io/v1",
    "NetworkPolicy",
    "y",
    "deny",
    "kind: NetworkPolicy\nspec: {}\n",
    "s.yaml:12:3",
    ("y/b",),
    ("Ingress",),
)
CILIUM = ObjectRecord("cilium.io/v2", "CiliumNetworkPolicy", "y", "l7", "kind: X\n", selects=None)
OTHER = replace(DENY, name="other", selects=("y/c",))
TOPOLOGY = TopologyRecord(
    namespaces=(NamespaceRecord("x", {"team": "x"}), NamespaceRecord("y", {})),
    pods=(
        PodRecord("x", "a", {"app": "a"}, PodKind.USUAL, 1, "w1", ("10.0.0.1",)),
        PodRecord("y", "b", {}, PodKind.HOST_NETWORK, 2, ports=(PortRecord(80, "TCP"),)),
        PodRecord("y", "c", {}, PodKind.USUAL, 2),
    ),
    services=(
        ServiceRecord(
            "y", "web", "ClusterIP", {}, (ServicePortRecord(80, "TCP", "80"),), ("y/c",)
        ),
    ),
    objects=(DENY, CILIUM, OTHER),
)
STEP = StepRecord(
    file="s.yaml",
    scenario="Shut",
    step="it is shut",
    index=0,
    line=7,
    outcome=Outcome.WRONG,
    cluster="fake",
    columns=("y/b:80",),
    topology=TOPOLOGY,
    path_lines=("ingress of y/b: not isolated", "egress of x/a: not isolated, too"),
    cells=(CELL,),
)
RUN = Run("np1", "2030-01-01T00:00:00+00:00", 1.0, "0.1.0", "netns", 2)


def test_a_page_tells_all_that_is_known() -> None:
    assert page(STEP, CELL) == (
        "s.yaml:9:5: x/a -> y/b:80: observed TIMEOUT, expected allowed\n"
        "    seen wrong from 0.25 s to 30.00 s after the cluster accepted the change\n"
        "    right before, then REFUSED from 1.00 s to 2.00 s\n"
        "    source x/a: labels app=a; 10.0.0.1; on w1; ports none\n"
        "      namespace x: team=x\n"
        "    destination y/b:80: labels <none>; address not known; on node/2; ports 80/TCP; "
        "hostNetwork\n"
        "      namespace y: <none>\n"
        "    policies that select the source: none\n"
        "    policies that select the destination: NetworkPolicy y/deny (Ingress), "
        "CiliumNetworkPolicy y/l7 (may, its meaning is not known)\n"
        "    NetworkPolicy y/deny, s.yaml:12:3:\n"
        "      kind: NetworkPolicy\n"
        "      spec: {}\n"
        "    CiliumNetworkPolicy y/l7:\n"
        "      kind: X\n"
        "    egress of x/a: not isolated\n"
        "    the control step (no policies applied) got allowed\n"
        "    the CNI says, of one more probe: chain A: DROP\n"
        "      chain B: DROP\n"
        "    probe output: TIMEOUT after 1 s\n"
        "    reproduce: netpol probe s.yaml\n"
        "    ask the CNI: iptables-save -c"
    )


def test_a_cell_as_expected_has_the_short_path() -> None:
    lines = page(STEP, replace(CELL, reasons="", cni=None)).splitlines()
    assert lines[-5:-3] == [
        "    egress of x/a: not isolated, too",
        "    ingress of y/b: not isolated",
    ]


def test_behind_a_service_its_pods_are_described() -> None:
    text = page(STEP, replace(CELL, destination="svc/y/web:80"))
    assert (
        "\n    destination svc/y/web:80: y/c; labels <none>; address not known; on node/2; "
        "ports none\n"
    ) in text
    assert "select the destination: CiliumNetworkPolicy y/l7 (may, its" in text
    assert "NetworkPolicy y/other (Ingress)" in text


def test_a_policy_that_selects_both_ends_is_shown_once() -> None:
    both = replace(DENY, namespace="x", selects=("x/a", "y/b"))
    text = page(replace(STEP, topology=replace(TOPOLOGY, objects=(both,))), CELL)
    assert text.count("NetworkPolicy x/deny (Ingress)") == 2
    assert text.count("kind: NetworkPolicy") == 1


def test_the_control_of_an_unproven_cell_is_told_once() -> None:
    unproven = replace(CELL, status=CellStatus.UNPROVEN, control="TIMEOUT")
    text = page(STEP, unproven)
    assert text.startswith(
        "s.yaml:9:5: x/a -> y/b:80: TIMEOUT as expected, but unproven: the control step (no "
        "policies applied) also got TIMEOUT\n"
    )
    assert text.count("the control step") == 1


def test_many_and_long_policies_are_cut() -> None:
    long = tuple(replace(DENY, name=f"p{n}", yaml="a: 1\n" * 70) for n in range(7))
    text = page(replace(STEP, topology=replace(TOPOLOGY, objects=long)), CELL)
    assert text.count("... and 10 more lines") == 5
    assert "\n    ... and the texts of 2 more\n" in text
    assert text.count("a: 1") == 5 * 60


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        ((), "the step is not in run np1 of 2030-01-01T00:00:00+00:00"),
        (
            (replace(STEP, outcome=Outcome.SKIPPED, cells=()),),
            "the step has no such cell in run np1 of 2030-01-01T00:00:00+00:00, and was skipped",
        ),
        (
            (replace(STEP, cells=(replace(CELL, observed="allowed", status=CellStatus.PROVEN),)),),
            "allowed, expected allowed (proven), in run np1 of 2030-01-01T00:00:00+00:00 on fake",
        ),
    ],
)
def test_what_an_earlier_run_gave(steps: tuple[StepRecord, ...], line: str) -> None:
    assert page(STEP, CELL, Results(RUN, steps)).endswith(f"\n    earlier: {line}")


def test_a_failure_has_a_page_for_its_first_cells_only() -> None:
    cells = tuple(replace(CELL, source=f"x/{name}") for name in "abc")
    text = failure(replace(STEP, cells=cells))
    assert text.count("seen wrong from") == 2
    assert "s.yaml:9:5: x/c -> y/b:80: observed TIMEOUT, expected allowed\n    egress" in text
