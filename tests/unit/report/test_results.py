"""results.json: what is written can be read back, and what cannot be read says why."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.model import CellStatus
from harness.report import (
    CellRecord,
    FlapRecord,
    GapRecord,
    NamespaceRecord,
    ObjectRecord,
    Outcome,
    PhaseRecord,
    PodKind,
    PodRecord,
    PortRecord,
    Results,
    Run,
    StartRecord,
    StepRecord,
    TopologyRecord,
    WatchRecord,
    in_order,
    schema,
)

ROOT = Path(__file__).parents[3]

CELL = CellRecord(
    source="x/a",
    destination="y/b:80",
    family=4,
    expected="allowed",
    stated="TIMEOUT",
    observed="allowed",
    status=CellStatus.LIMITED,
    location="s.yaml:9:5",
    limitation="it leaks (a/b#1; v1)",
)
STEP = StepRecord(
    file="s.yaml",
    scenario="Shut",
    step="it is shut",
    index=0,
    line=7,
    outcome=Outcome.LIMITED,
    cluster="fake",
    cells=(CELL, replace(CELL, status=CellStatus.PROVEN)),
)
RUN = Run("np1", "2030-01-01T00:00:00+00:00", 1.0, "0.1.0", "netns", 2)


SECONDS = st.floats(allow_nan=False, allow_infinity=False)
"""No clock gives another number."""
NUMBERS = dict.fromkeys(
    (
        "duration_s",
        "sync_s",
        "probe_s",
        "from_s",
        "until_s",
        "tolerate_s",
        "interval_s",
        "silent_s",
    ),
    SECONDS,
) | dict.fromkeys(
    (
        "wrong_from_s",
        "wrong_until_s",
        "time_to_deny_s",
        "time_to_allow_s",
        "held_s",
        "connected_s",
    ),
    st.none() | SECONDS,
)


def records(kind: type, **parts: object) -> st.SearchStrategy[Any]:
    """Any record: every field, those with a default too, by its type."""
    given_: dict[str, Any] = NUMBERS | parts
    names = [field.name for field in fields(kind)]
    return st.builds(kind, **{name: given_.get(name, ...) for name in names})


LABELS = st.dictionaries(st.text(), st.text(), max_size=2)
NAMESPACES = st.lists(records(NamespaceRecord, labels=LABELS), max_size=2).map(tuple)
PORTS = st.lists(records(PortRecord), max_size=1).map(tuple)
PODS = st.lists(records(PodRecord, labels=LABELS, ports=PORTS), max_size=2).map(tuple)
OBJECTS = st.lists(records(ObjectRecord), max_size=2).map(tuple)
TOPOLOGIES = st.just(TopologyRecord()) | records(
    TopologyRecord,
    namespaces=NAMESPACES,
    pods=PODS,
    services=st.just(()),
    externals=st.just(()),
    objects=OBJECTS,
)
FLAPS = st.lists(records(FlapRecord), max_size=2).map(tuple)
CELLS = st.lists(records(CellRecord, flapped=FLAPS), max_size=3).map(tuple)
GAPS = st.lists(records(GapRecord), max_size=2).map(tuple)
WATCHES = st.lists(records(WatchRecord, gaps=GAPS), max_size=2).map(tuple)
PHASES = records(PhaseRecord, from_s=st.none() | SECONDS, until_s=st.none() | SECONDS)
STARTS = st.lists(records(StartRecord, init=PHASES, main=PHASES, lost=GAPS), max_size=2).map(tuple)
STEPS = st.lists(
    records(
        StepRecord,
        topology=TOPOLOGIES,
        shared_topology=st.none(),
        cells=CELLS,
        watched=WATCHES,
        started=STARTS,
    ),
    max_size=3,
).map(tuple)


@settings(deadline=None)  # A busy machine is not a defect.
@given(st.builds(Results, records(Run), STEPS))
def test_what_is_written_is_read_back(results: Results) -> None:
    text = results.to_json()
    assert Results.from_json(text, "r.json") == results
    assert Results.from_json(text, "r.json").to_json() == text
    for step in results.steps:
        assert StepRecord.from_json(step.to_json()) == step


def test_the_steps_are_ordered_by_file_and_place() -> None:
    other = replace(STEP, file="a.yaml", index=5)
    later = replace(STEP, index=1)
    assert in_order([later, STEP, other]) == (other, STEP, later)


def test_the_document() -> None:
    skipped = replace(STEP, index=1, outcome=Outcome.SKIPPED, cells=())
    document = json.loads(Results(RUN, (STEP, skipped)).to_json())
    assert list(document) == ["schema", "run", "summary", "steps", "topologies"]
    assert document["schema"] == 2
    assert document["run"]["workers"] == 2
    assert document["summary"] == {
        "steps": {
            "total": 2,
            "passed": 0,
            "limited": 1,
            "wrong": 0,
            "no verdict": 0,
            "unproven": 0,
            "cluster error": 0,
            "not refused": 0,
            "skipped": 1,
        },
        "cells": {
            "total": 2,
            "no verdict": 0,
            "wrong": 0,
            "limited": 1,
            "undefined": 0,
            "exempt": 0,
            "unproven": 0,
            "not judged": 0,
            "proven": 1,
        },
        "times": [],
    }
    assert [step["outcome"] for step in document["steps"]] == ["limited", "skipped"]
    written = document["steps"][0]["cells"][0]
    assert {key: written[key] for key in ("stated", "expected", "status", "limitation")} == {
        "stated": "TIMEOUT",
        "expected": "allowed",
        "status": "limited",
        "limitation": "it leaks (a/b#1; v1)",
    }


def test_a_cell_is_on_one_line_of_the_file() -> None:
    text = Results(RUN, (STEP,)).to_json()
    lines = [line for line in text.splitlines() if '"source":' in line]
    assert [json.loads(line.rstrip(",")) for line in lines] == json.loads(text)["steps"][0][
        "cells"
    ]
    assert '\n "run": {\n  "run_id": "np1",\n' in text


POD = PodRecord("x", "a", {"app": "a"}, PodKind.USUAL, 1)
DENY = ObjectRecord("networking.k8s.io/v1", "NetworkPolicy", "x", "deny", "kind: NetworkPolicy\n")


def test_steps_share_a_topology_in_the_file_and_each_has_the_whole_one_in_memory() -> None:
    first = replace(STEP, topology=TopologyRecord(pods=(POD,)))
    second = replace(STEP, index=1, topology=TopologyRecord(pods=(POD,), objects=(DENY,)))
    other = replace(STEP, index=2, topology=TopologyRecord(pods=(replace(POD, node=2),)))
    steps = (first, second, other, replace(STEP, index=3))
    text = Results(RUN, steps).to_json()
    document = json.loads(text)
    assert [step["shared_topology"] for step in document["steps"]] == [0, 0, 1, None]
    assert [item["pods"][0]["node"] for item in document["topologies"]] == [1, 2]
    assert [len(step["topology"]["pods"]) for step in document["steps"]] == [0, 0, 0, 0]
    assert document["steps"][1]["topology"]["objects"][0]["name"] == "deny"
    assert Results.from_json(text, "r.json").steps == steps


@pytest.mark.parametrize("number", [1, -1])
def test_a_topology_that_is_not_in_the_file_is_an_error(number: int) -> None:
    document = json.loads(Results(RUN, (STEP,)).to_json())
    document["steps"][0]["shared_topology"] = number
    with pytest.raises(UsageError) as caught:
        Results.from_json(json.dumps(document), "r.json")
    assert str(caught.value) == (
        f"r.json: not a results file: a step names a topology that it does not have\n{NAME_ONE}"
    )


def test_a_time_of_zero_is_not_empty() -> None:
    step = replace(STEP, cells=(replace(CELL, wrong_from_s=0.0, wrong_until_s=0.0),))
    text = Results(RUN, (step,)).to_json()
    assert '"wrong_from_s":0.0,"wrong_until_s":0.0' in text


def test_a_field_of_a_later_release_is_ignored_and_one_of_it_may_be_missing() -> None:
    document = json.loads(Results(RUN, (STEP,)).to_json())
    document["steps"][0]["cells"][0]["colour"] = "green"
    del document["steps"][0]["cells"][0]["limitation"]
    cell = Results.from_json(json.dumps(document), "r.json").steps[0].cells[0]
    assert cell == replace(CELL, limitation="")


def test_the_name_of_a_file_that_is_no_utf8_is_written_with_question_marks() -> None:
    odd = replace(STEP, file="caf\udce9.yaml", cells=())
    assert StepRecord.from_json(odd.to_json()).file == "caf?.yaml"
    assert Results.from_json(Results(RUN, (odd,)).to_json(), "r").steps[0].file == "caf?.yaml"


NAME_ONE = "hint: use a file that `netpol run --results=FILE` wrote"
NO_VERSION = f"r.json: not a results file: it has no schema version\n{NAME_ONE}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"r.json:1:1: not JSON: Expecting value\n{NAME_ONE}"),
        ('{"schema": 2,\n oops}', "r.json:2:2: not JSON: Expecting property name enclosed in "
         f"double quotes\n{NAME_ONE}"),
        ("[" * 100_000, "r.json: not a results file: its JSON is too deep or has too big numbers\n"
         f"{NAME_ONE}"),
        ("9" * 5000, "r.json: not a results file: its JSON is too deep or has too big numbers\n"
         f"{NAME_ONE}"),
        ("[]", NO_VERSION),
        ("{}", NO_VERSION),
        ('{"schema": true}', NO_VERSION),
        ('{"schema": "2"}', NO_VERSION),
        (
            '{"schema": 1, "run": {}}',
            "r.json: has schema version 1, this netpol reads version 2\n"
            "hint: run the scenarios again with this netpol, or use the netpol that wrote the "
            "file",
        ),
        (
            '{"schema": 3}',
            "r.json: has schema version 3, this netpol reads version 2\nhint: update netpol",
        ),
        (
            '{"schema": 2, "steps": [{"outcome": "green", "cells": [{}]}]}',
            "r.json: not a results file of schema version 2\n"
            "  run: Field required\n"
            "  summary: Field required\n"
            "  steps.0.file: Field required\n"
            "  steps.0.scenario: Field required\n"
            "  steps.0.step: Field required\n"
            f"  ... and 12 more\n{NAME_ONE}",
        ),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Results.from_json(text, "r.json")
    assert str(caught.value) == message


def test_a_status_that_does_not_exist_is_named_with_its_place() -> None:
    document = json.loads(Results(RUN, (STEP,)).to_json())
    document["steps"][0]["cells"][1]["status"] = "as expected"
    with pytest.raises(UsageError) as caught:
        Results.from_json(json.dumps(document), "r.json")
    assert str(caught.value) == (
        "r.json: not a results file of schema version 2\n"
        "  steps.0.cells.1.status: Input should be 'no verdict', 'wrong', 'limited', 'undefined', "
        f"'exempt', 'unproven', 'not judged' or 'proven'\n{NAME_ONE}"
    )


def test_the_schema_is_the_generated_one() -> None:
    shipped = ROOT / "harness" / "results.schema.json"
    assert shipped.read_text("utf-8") == schema(), (
        "regenerate it: netpol schema results > harness/results.schema.json"
    )


def test_every_field_of_the_schema_is_described() -> None:
    """docs/results.md names each field, each outcome and each status as code."""
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    document = json.loads(schema())
    words = {f"run.{name}" for name in document["$defs"]["Run"]["properties"]}
    words |= {f"summary.{name}" for name in document["$defs"]["Summary"]["properties"]}
    for part in ("StepRecord", "CellRecord", "FlapRecord", "WatchRecord", "GapRecord", "Times"):
        words |= set(document["$defs"][part]["properties"])
    words |= {*Outcome, *CellStatus}
    assert sorted(word for word in words if f"`{word}`" not in text) == []


def test_reports_are_imported_without_pydantic() -> None:
    """Its import takes longer than most verbs."""
    code = "import sys, harness.report; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
