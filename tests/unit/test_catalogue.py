"""The catalogue of ids against the code that has the defects."""

from __future__ import annotations

import dataclasses
import re

import pytest

from harness import catalogue
from harness.catalogue import Effect, KnownDefect, Requirement, Stage, Status
from harness.cluster.netns.defects import DEFECTS
from harness.cluster.netns.defects.registry import Defect
from harness.cluster.netns.parts import PARTS

STAGE_OF = {
    "matches": Stage.SELECT,
    "subjects": Stage.SELECT,
    "peer_pods": Stage.SELECT,
    "isolates": Stage.ISOLATE,
    "rules": Stage.RULES,
    "peers": Stage.RULES,
    "destinations": Stage.PORTS,
    "port_ranges": Stage.PORTS,
    "block": Stage.IPBLOCK,
    "combine": Stage.COMBINE,
    "layers": Stage.COMBINE,
    "observe": Stage.OBSERVE,
    "emit": Stage.EMIT,
    "services": Stage.SERVICES,
    "load": Stage.LOAD,
    "start": Stage.START,
    "tier_order": Stage.COMBINE,
    "tier_subjects": Stage.SELECT,
    "tier_rules": Stage.RULES,
    "tier_peer": Stage.SELECT,
    "tier_ports": Stage.PORTS,
    "tier_action": Stage.RULES,
}
"""The stage that is wrong when a field of Stages or Parts is replaced."""


def replaced(defect: Defect) -> set[Stage]:
    fields = {field.name for field in dataclasses.fields(PARTS)} - {"stages"}
    stages = {field.name for field in dataclasses.fields(PARTS.stages)}
    parts = defect.parts
    changed = {name for name in fields if getattr(parts, name) is not getattr(PARTS, name)}
    changed |= {
        name for name in stages if getattr(parts.stages, name) is not getattr(PARTS.stages, name)
    }
    return {STAGE_OF[name] for name in changed}


def test_an_entry_is_read_whole() -> None:
    assert catalogue.requirements()["R31"] == Requirement(
        "R31",
        "An `ipBlock` allows the addresses of its `cidr` without those of its `except`.",
        Status.DEFINED,
        "IPBlock",
    )
    assert catalogue.defects()["B40"] == KnownDefect(
        "B40",
        "The addresses in `except` are allowed.",
        Stage.IPBLOCK,
        "no-except",
        Effect.OPENS,
        None,
        None,
        {
            "AWS": ("aws/aws-network-policy-agent#58",),
            "kube-router": ("cloudnativelabs/kube-router#543",),
            "Azure NPM": (
                "Azure/azure-container-networking#4591",
                "Azure/azure-container-networking#1513",
            ),
        },
    )
    assert catalogue.defects()["B89"] == KnownDefect(
        "B89",
        "An isolated pod does not reach its own address.",
        Stage.EMIT,
        None,
        None,
        None,
        "a pod's connection to its own address does not leave its namespace here",
        {},
    )


def test_ids_and_texts_have_one_form() -> None:
    known = (("R", "T", catalogue.requirements()), ("B", "TB", catalogue.defects()))
    for prefix, of_tiers, entries in known:
        ids = list(entries)
        texts = [entry.text for entry in entries.values()]
        assert ids == sorted(ids)
        prefixes = [re.sub(r"\d\d$", "", one) for one in ids]
        assert list(dict.fromkeys(prefixes)) == [prefix, of_tiers]
        assert [
            text for text in texts if not re.fullmatch(r"[^|\n]+\.(?: \([RT]\d\d\))?", text)
        ] == []
        assert len(set(texts)) == len(texts)


def test_the_requirements_of_tiers_are_a_group_of_their_own() -> None:
    """Without a gap: T01 and those after it."""
    found = [id_ for id_ in catalogue.requirements() if id_.startswith("T")]
    assert found == [f"T{number:02}" for number in range(1, 32)]


def test_every_defect_that_can_be_switched_on_is_in_the_catalogue() -> None:
    """With its id; and nothing else has a name."""
    named = {entry.name: entry.id for entry in catalogue.defects().values() if entry.name}
    assert named == {name: defect.id for name, defect in DEFECTS.items()}


def test_the_catalogue_has_the_delay_of_each_defect_that_takes_one() -> None:
    delays = {entry.name: entry.delay_s for entry in catalogue.defects().values() if entry.name}
    assert delays == {name: defect.delay_s for name, defect in DEFECTS.items()}
    assert delays["update-gap"] == 0.5


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_wrong_in_the_stage_that_the_catalogue_names(name: str) -> None:
    assert replaced(DEFECTS[name]) == {catalogue.defects()[DEFECTS[name].id].stage}


def test_a_defect_has_a_switch_with_an_effect_or_a_reason_why_not() -> None:
    for entry in catalogue.defects().values():
        assert (entry.name is None) is (entry.effect is None), entry
        assert (entry.name is None) is bool(entry.not_here), entry
