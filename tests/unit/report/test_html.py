"""The HTML report as text: what it contains, and what it must never contain."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from harness.model import CellStatus
from harness.report import CellRecord, Outcome, Results, StepRecord
from harness.report.compare import Compared, compare
from harness.report.ends import End, Ends
from harness.report.html import comparison_page, page
from tests.samples import COMPARED, FAILED, GOOD, HOSTILE, POLICY, RUN, TOPOLOGY, WRONG


class _Page(HTMLParser):
    """The elements of a page, and the text of those that matter."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "input", "link", "br"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self._open and self._open[-1] not in _HIDDEN:
            self.texts.append(text)

    def visible(self) -> str:
        """The text that people see, with single spaces."""
        return " ".join(" ".join(self.texts).split())


_HIDDEN = {"script", "style", "option", "title"}


def _data(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_first_line_says_what_is_wrong() -> None:
    assert (
        "✗ 3 of 6 steps failed: 2 wrong, 1 no verdict, 1 unproven cells"
        in _Page(page(FAILED)).visible()
    )


def test_failures_over_time_say_when() -> None:
    seen = _Page(page(FAILED)).visible()
    assert "shop/api -> shop/db:5432 TIMEOUT from 1.50 s to 2.50 s, expected allowed" in seen
    late = "connected 0.20 s after the first probe of the pod, expected TIMEOUT"
    assert f"shop/web -> shop/db:5432 {late}" in seen


def test_a_good_run_has_no_failures() -> None:
    seen = _Page(page(GOOD))
    assert "✓ Nothing failed: 3 of 3 cells proven" in seen.visible()
    assert not [1 for tag, given in seen.tags if given.get("id") == "failures"]


def test_a_run_without_cells_is_not_called_good() -> None:
    skipped = replace(FAILED.steps[3], outcome=Outcome.SKIPPED)
    assert "✗ No cell was measured" in _Page(page(Results(RUN, (skipped,)))).visible()
    assert "✗ No cell was measured" in _Page(page(Results(RUN, ()))).visible()


def test_a_refused_cluster_is_named() -> None:
    refused = Results(replace(RUN, refusal="deny-all <denies> nothing"), ())
    seen = _Page(page(refused)).visible()
    assert "✗ No step ran: the cluster was refused" in seen
    assert "deny-all <denies> nothing" in seen
    hidden = [tag for tag, given in _Page(page(refused)).tags if "hidden" in given]
    assert {"search", "section"} <= set(hidden)
    assert "search" not in [tag for tag, given in _Page(page(FAILED)).tags if "hidden" in given]


@pytest.mark.parametrize("text", [page(FAILED), comparison_page(COMPARED)])
def test_a_page_loads_nothing_and_has_no_inline_handler(text: str) -> None:
    for tag, given in _Page(text).tags:
        assert tag not in {"link", "img", "iframe", "base", "object"}
        assert not {"src", "style", "srcset"} & set(given)
        assert not [name for name in given if name.startswith("on")]
        assert (given.get("href") or "#").startswith("#")


@pytest.mark.parametrize("text", [page(FAILED), comparison_page(COMPARED)])
def test_only_the_script_and_the_style_of_the_page_are_allowed(text: str) -> None:
    (policy,) = [
        given["content"]
        for _, given in _Page(text).tags
        if given.get("http-equiv") == "Content-Security-Policy"
    ]
    *_, script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(t.encode()).digest()) for t in (style, script)]
    assert policy == "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'".format(
        *(each.decode() for each in hashes)
    )


def test_hostile_names_are_text() -> None:
    text = page(FAILED)
    seen = _Page(text)
    assert [tag for tag, _ in seen.tags].count("script") == 2
    assert "b" not in {tag for tag, given in seen.tags if "bold" in str(given)}
    assert HOSTILE in _data(text)["scenarios"][3]["name"]
    assert " ".join(HOSTILE.split()) in seen.visible()
    assert "49" not in seen.visible()


def test_a_name_with_odd_bytes_is_written() -> None:
    odd = replace(GOOD.steps[0], file="scenarios/\udcff.yaml")
    page(Results(RUN, (odd,))).encode("utf-8")


# ------------------------------------------------------------------ data


def _cell(data: Any, scenario: int, step: int, place: int) -> dict[str, Any]:
    """The cell as the script reads it."""
    found = data["scenarios"][scenario]["steps"][step]
    row, column, expected, observed, status, file, line, at, path = found["cells"][
        place * 9 : place * 9 + 9
    ]
    destination, family = found["columns"][column]
    more: dict[str, Any] = found["more"].get(str(place), {})
    return {
        "source": found["rows"][row],
        "destination": destination,
        "family": family,
        "expected": data["texts"][expected],
        "observed": data["texts"][observed],
        "status": data["statuses"][status],
        "location": f"{data['texts'][file]}:{line}:{at}",
        "path": [data["texts"][line] for line in found["paths"][path]],
    } | more


def _expected(step: StepRecord, cell: CellRecord) -> dict[str, Any]:
    names = ("source", "destination", "family", "expected", "observed", "status", "location")
    return {name: getattr(cell, name) for name in names} | {"path": list(step.path(cell))}


def test_every_cell_is_in_the_data() -> None:
    data = _data(page(FAILED))
    places: dict[str, list[StepRecord]] = {}
    for step in FAILED.steps:
        places.setdefault(step.file, []).append(step)
    for scenario, steps in enumerate(places.values()):
        for number, step in enumerate(steps):
            for place, cell in enumerate(step.cells):
                found = _cell(data, scenario, number, place)
                assert found == found | _expected(step, cell)


def test_the_day_of_a_snapshot_is_in_the_data() -> None:
    days = [scenario["snapshot"] for scenario in _data(page(FAILED))["scenarios"]]
    assert days[:2] == ["2026-01-31", ""]


def test_a_wrong_cell_has_what_explains_it() -> None:
    found = _cell(_data(page(FAILED)), 0, 1, 2)
    for name in ("control", "wrong_from_s", "wrong_until_s", "reasons", "command", "raw"):
        assert found[name] == getattr(WRONG, name)
    assert found["cni"] == {
        "says": "no rule of the chain dropped it",
        "command": "iptables-save -c",
    }


def test_steps_share_the_parts_of_their_topologies() -> None:
    data = _data(page(FAILED))
    first, second = data["scenarios"][0]["steps"]
    assert first["pods"] == second["pods"] == [1, 2, 3, 4]
    assert [data["things"][at]["name"] for at in first["pods"]] == ["db", "api", "web", "job"]
    assert (first["objects"], [data["things"][at]["yaml"] for at in second["objects"]]) == (
        [],
        [POLICY.yaml],
    )
    assert second["column_ends"][0] == {"pods": [0], "service": None, "external": None}
    assert second["row_ends"] == [
        {"pods": [at], "service": None, "external": None} for at in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("shop/db:5432", End((0,))),
        ("shop/db:53/UDP", End((0,))),
        ("svc/shop/db:5432", End((0,), service=0)),
        ("dns/db.shop:5432", End((0,), service=0)),
        ("nodeport/shop/db:5432@2", End((0,), service=0)),
        ("ip/10.96.0.9:5432", End((0,), service=0)),
        ("ip/10.0.0.2:5432", End((0,))),
        ("ip/[fd00::2]:5432", End((0,))),
        ("external/office:80", End(external=0)),
        ("ip/192.0.2.7:80", End(external=0)),
        ("dns/office.test:80", End(external=0)),
        ("shop/gone:80", End()),
        ("svc/shop/gone:80", End()),
        ("ip/192.0.2.99:80", End()),
        ("node/1:10250", End()),
        (HOSTILE, End()),
    ],
)
def test_destinations_are_found_in_the_topology(text: str, end: End) -> None:
    assert Ends(TOPOLOGY).destination(text) == end


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("shop/web", End((2,))),
        ("external/office", End(external=0)),
        ("node/1", End()),
        (HOSTILE, End()),
    ],
)
def test_sources_are_found_in_the_topology(text: str, end: End) -> None:
    assert Ends(TOPOLOGY).source(text) == end


def test_earlier_results_of_a_cell_are_shown() -> None:
    wrong = replace(FAILED.steps[1].cells[2], status=CellStatus.PROVEN, observed="TIMEOUT")
    before = replace(FAILED.steps[1], cells=(wrong,), cluster="netns, last week")
    data = _data(page(FAILED, [Results(replace(RUN, run_id="np0"), (before,))]))
    assert _cell(data, 0, 1, 2)["earlier"] == [
        {
            "started": RUN.started,
            "run": "np0",
            "cluster": "netns, last week",
            "observed": "TIMEOUT",
            "status": "proven",
        }
    ]


def test_commands_have_the_options_of_the_run() -> None:
    assert _data(page(GOOD))["options"] == "--cluster=netns"
    run = replace(RUN, cluster="kind", options="--cluster=kind --cni=calico")
    assert _data(page(Results(run, GOOD.steps)))["options"] == "--cluster=kind --cni=calico"


def test_the_cni_and_the_versions_are_named() -> None:
    run = replace(RUN, cni="calico", cni_version="v7", kubernetes="v8")
    seen = _Page(page(Results(run, GOOD.steps))).visible()
    assert "CNI calico v7 Kubernetes v8" in seen
    assert "CNI" not in _Page(page(GOOD)).visible()


# ------------------------------------------------------------------ lists


def test_requirements_have_the_cells_of_their_scenarios() -> None:
    seen = _Page(page(FAILED)).visible()
    for count in ("1 wrong", "1 unproven", "1 limited", "1 undefined", "1 exempt"):
        assert count in seen
    ids = [given.get("data-requirement") for _, given in _Page(page(FAILED)).tags]
    assert [id_ for id_ in ids if id_] == ["R01", "R07", "R12"]


def test_a_long_list_of_failures_is_cut_and_says_so() -> None:
    many = tuple(replace(WRONG, destination=f"shop/db:{port}") for port in range(1, 31))
    steps = tuple(
        replace(
            FAILED.steps[1], file=f"scenarios/{number:02}.yaml", cells=many, watched=(), started=()
        )
        for number in range(25)
    )
    seen = _Page(page(Results(RUN, steps)))
    assert sum(tag == "li" for tag, _ in seen.tags) == 200
    assert "and 20 more in this step" in seen.visible()
    assert "and 5 more failed steps" in seen.visible()


# ------------------------------------------------------------------ comparisons


def _sections(text: str) -> dict[str, str]:
    """The visible text of each section, by the id of its title."""
    parts = re.split(r'<section aria-labelledby="(\w+)">', text.partition("<main")[2])
    bodies = (part.partition("</section>")[0] for part in parts[2::2])
    return {name: _Page(body).visible() for name, body in zip(parts[1::2], bodies, strict=True)}


NOW = f"now {' '.join(HOSTILE.split())}"


def test_a_comparison_has_each_kind_of_difference() -> None:
    found = _sections(comparison_page(COMPARED))
    assert list(found) == [
        "requirements", "regression", "mend", "flaky", "different", "apart", "same",
    ]  # fmt: skip
    assert found["requirements"].startswith("Requirements that differ (1) ")
    assert found["requirements"].endswith(" egress section. passed skipped")
    heads = f"pair expected before {NOW}"
    shop = "the database admits only the API scenarios/shop.yaml"
    assert found["regression"].startswith(f"Regressions: right in before, wrong in {NOW} (2) ")
    assert found["regression"].endswith(
        f"{shop} shop/web -> shop/db:5432 line 15 TIMEOUT TIMEOUT (proven) allowed (wrong)"
    )
    assert found["mend"] == (
        f"Mends: wrong in before, right in {NOW} (1) {heads} nobody has a policy "
        "scenarios/shop.yaml shop/api -> shop/db:5432 line 14 allowed TIMEOUT (wrong) "
        "allowed (proven)"
    )
    assert found["flaky"].endswith("TIMEOUT (proven) TIMEOUT (proven, flapped)")
    assert found["different"] == (
        f"Other differences (1) {heads} {shop} shop/job -> shop/db:5432 line 14 TIMEOUT "
        "TIMEOUT (proven) no verdict"
    )
    assert found["apart"].startswith(
        "Steps that are not compared Steps only in some runs (1) "
        f"step before {NOW} a step of {NOW.removeprefix('now ')} "
    )
    assert found["apart"].endswith(
        f"Steps skipped in some runs (1) step before {NOW} nothing ran scenarios/skipped.yaml "
        "the cluster has no IPv6 passed skipped"
    )
    assert found["same"].startswith("Requirements with the same outcome in all runs (2) ")


def test_a_comparison_of_hostile_names_is_text() -> None:
    tags = [tag for tag, _ in _Page(comparison_page(COMPARED)).tags]
    assert (tags.count("script"), tags.count("b")) == (1, 5)


def test_the_same_runs_have_nothing_to_search() -> None:
    one = Compared("one", RUN, GOOD.steps)
    text = comparison_page(compare([one, replace(one, name="two")]))
    assert "✓ the same: 1 step, 3 cells" in _Page(text).visible()
    assert list(_sections(text)) == ["same"]
    assert "f-text" not in text.partition("<script>")[0]


def test_a_refused_run_has_no_outcome() -> None:
    refused = Compared("refused", replace(RUN, refusal="deny-all <denies> nothing"), ())
    text = comparison_page(compare([Compared("good", RUN, GOOD.steps), refused]))
    seen = _Page(text).visible()
    assert "✗ different: 1 step only in some runs" in seen
    assert "no step ran: deny-all <denies> nothing" in seen
    assert _sections(text)["requirements"].endswith(" passed -")


def test_a_long_list_of_differences_is_cut_and_says_so() -> None:
    many = [replace(WRONG, destination=f"shop/db:{port}") for port in range(1, 1012)]
    good = [replace(cell, observed="TIMEOUT", status=CellStatus.PROVEN) for cell in many]
    steps = [(replace(FAILED.steps[1], cells=tuple(cells)),) for cells in (good, many)]
    text = comparison_page(
        compare([Compared(n, RUN, s) for n, s in zip("ab", steps, strict=True)])
    )
    assert "Regressions: right in a, wrong in b (1011) " in _sections(text)["regression"]
    assert _sections(text)["regression"].endswith(" and 11 more")
