"""Defects of the embedded cluster by name, and two of them at the same time."""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import replace

import pytest

from harness import catalogue
from harness.cluster.netns.addresses import allocate
from harness.cluster.netns.defects import DEFECTS, parts_with
from harness.cluster.netns.defects.load import FlushThenLoad
from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.defects.start import LateAttach, init_exempt
from harness.cluster.netns.defects.together import together
from harness.cluster.netns.parts import PARTS, PodStart, Snapshot, Start, isolated_first
from harness.errors import UsageError
from harness.model import Labels, Manifest, Namespace, Pod, State
from harness.policy import Direction, IPBlock, NetworkPolicy, parsed


def policy(**spec: object) -> NetworkPolicy:
    text = json.dumps({"spec": {"podSelector": {}, **spec}})
    [found] = parsed((Manifest("networking.k8s.io/v1", "NetworkPolicy", "x", "p", text),))
    assert isinstance(found, NetworkPolicy)
    return found


def test_an_unknown_defect_is_refused_with_the_nearest() -> None:
    for name in ("no-enforcment", "no-except+no-enforcment"):
        with pytest.raises(UsageError) as error:
            parts_with(name)
        assert str(error.value) == (
            "'no-enforcment' is not a defect of the embedded cluster\n"
            "hint: did you mean 'no-enforcement'?"
        )


def test_a_defect_that_depends_on_time_takes_a_delay() -> None:
    assert parts_with("update-gap").load == FlushThenLoad(0.5)
    for text, delay_s in (("0.2", 0.2), ("0.2s", 0.2), ("3s", 3.0), ("60", 60.0)):
        assert parts_with(f"update-gap:{text}").load == FlushThenLoad(delay_s)
    both = parts_with("update-gap:0.2s+no-except")
    assert both == parts_with("no-except+update-gap:0.2s")
    assert both.load == FlushThenLoad(0.2)
    assert both.stages is DEFECTS["no-except"].parts.stages


@pytest.mark.parametrize(
    "delay", ["", "0", "0s", "60.1s", "-1", "soon", "1m", "1e1", "nan", "1:2"]
)
def test_a_delay_is_seconds_within_bounds(delay: str) -> None:
    with pytest.raises(UsageError) as error:
        parts_with(f"update-gap:{delay}")
    assert str(error.value) == (
        f"{delay!r} is not a delay of the defect 'update-gap'\n"
        "hint: write seconds, more than 0 and at most 60: update-gap:0.5s"
    )


def test_a_delay_of_a_defect_that_takes_none_is_refused() -> None:
    timed = ", ".join(sorted(name for name, one in DEFECTS.items() if one.delay_s is not None))
    with pytest.raises(UsageError) as error:
        parts_with("no-except:1s")
    assert str(error.value) == (
        "the defect 'no-except' takes no delay\n"
        f"hint: write 'no-except' alone; defects that take one are {timed}"
    )


def test_the_name_before_a_delay_has_its_hint_too() -> None:
    with pytest.raises(UsageError, match="did you mean 'update-gap'"):
        parts_with("update-gab:1s")


def test_three_defects_are_too_many() -> None:
    with pytest.raises(UsageError, match="are more than two defects"):
        parts_with("no-except+no-endport+named-tcp-only")


@pytest.mark.parametrize(
    "pair", catalogue.pairs(), ids=lambda pair: "+".join(d.name for d in pair)
)
def test_every_pair_that_a_report_describes_can_be_switched_on(
    pair: tuple[catalogue.KnownDefect, catalogue.KnownDefect],
) -> None:
    both = parts_with("+".join(str(defect.name) for defect in pair))
    assert both not in {PARTS, *(DEFECTS[str(defect.name)].parts for defect in pair)}


def test_there_are_pairs_enough() -> None:
    assert len(catalogue.pairs()) >= 10
    assert "B01" not in {defect.id for pair in catalogue.pairs() for defect in pair}


def test_defects_of_two_parts_are_both_on() -> None:
    both = parts_with("zero-cidr-any+ipv4-only")
    assert both.emit is DEFECTS["ipv4-only"].parts.emit
    assert both.stages is DEFECTS["zero-cidr-any"].parts.stages
    assert replace(both, emit=PARTS.emit, stages=PARTS.stages) == PARTS


def test_defects_of_two_stages_are_both_on() -> None:
    stages = parts_with("empty-rules-open+empty-rule-denies").stages
    empty, open_ = policy(), policy(ingress=[{}])
    assert isinstance(empty, NetworkPolicy)
    assert isinstance(open_, NetworkPolicy)
    assert not stages.isolates(empty, Direction.INGRESS)
    assert stages.rules(open_, Direction.INGRESS) == ()


def test_two_defects_of_rules_act_one_after_the_other() -> None:
    def peer(name: str) -> dict[str, object]:
        return {"podSelector": {"matchLabels": {"pod": name}}}

    one = {"from": [peer("a"), peer("b")], "ports": [{"port": 80}]}
    other = {"from": [peer("c")], "ports": [{"port": 81}]}
    there = policy(ingress=[one, other])
    for name in ("first-peer-only+cross-product", "cross-product+first-peer-only"):
        rules = parts_with(name).stages.rules(there, Direction.INGRESS)
        found = [
            (rule.peers[0].pod_selector.requirements[0].values, rule.ports[0].port)
            for rule in rules
            if rule.peers[0].pod_selector
        ]
        assert [(values, port) for values, port in found] == [
            (("a",), 80), (("a",), 81), (("c",), 80), (("c",), 81),
        ]  # fmt: skip
        assert [len(rule.peers) for rule in rules] == [1] * 4


def test_of_two_defects_in_one_stage_each_acts_where_it_is_wrong() -> None:
    block = parts_with("no-except+zero-cidr-any").stages.block
    alone = {name: DEFECTS[name].parts.stages.block for name in ("no-except", "zero-cidr-any")}
    excepting, everything = IPBlock("10.0.0.0/8", ("10.1.0.0/16",)), IPBlock("0.0.0.0/0")
    plain = IPBlock("10.0.0.0/8")
    assert block(excepting) == alone["no-except"](excepting) != PARTS.stages.block(excepting)
    assert (
        block(everything) == alone["zero-cidr-any"](everything) != PARTS.stages.block(everything)
    )
    assert block(plain) == PARTS.stages.block(plain)


def test_two_defects_of_belief_are_both_on() -> None:
    pods = (Pod("x", "a", Labels({"app": "a"})),)
    before = State("s", (Namespace("x", Labels({"team": "a"})),), pods)
    after = State(
        "s", (Namespace("x", Labels({"team": "b"})),), (replace(pods[0], labels=Labels()),)
    )
    old, new = (Snapshot(state, allocate(state)) for state in (before, after))
    believed = parts_with("pod-labels-frozen+namespace-labels-frozen").observe(old, new)
    assert believed.state == before


def test_two_defects_that_replace_the_same_part_are_refused() -> None:
    with pytest.raises(UsageError) as error:
        together(DEFECTS["tcp-only"], DEFECTS["ipv4-only"])
    assert str(error.value) == (
        "tcp-only and ipv4-only cannot be on together: both replace emit\n"
        "hint: switch on one of them"
    )


def test_every_part_that_defects_replace_is_compared() -> None:
    """Parts are compared by identity, so a Defect must share what it does not replace."""
    names = {field.name for field in dataclasses.fields(PARTS)}
    for defect in DEFECTS.values():
        assert isinstance(defect, Defect)
        kept = [name for name in names if getattr(defect.parts, name) is getattr(PARTS, name)]
        assert len(kept) == len(names) - 1


@pytest.mark.parametrize(
    ("start", "order"),
    [
        (isolated_first, ["rules", "link", "init", "main"]),
        (init_exempt, ["link", "init", "rules", "main"]),
    ],
)
def test_when_the_rules_of_new_pods_are_loaded(start: Start, order: list[str]) -> None:
    done: list[str] = []
    start(PodStart(*(functools.partial(done.append, act) for act in ACTS)))
    assert done == order


def test_a_late_attach_waits_as_long_as_it_is_told() -> None:
    done: list[str] = []
    late = LateAttach(0.25, lambda seconds: done.append(f"{seconds} s"))
    late(PodStart(*(functools.partial(done.append, act) for act in ACTS)))
    assert done == ["link", "init", "main", "0.25 s", "rules"]


ACTS = ("rules", "link", "init", "main")
