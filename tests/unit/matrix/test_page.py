"""The HTML page of a matrix as text: what it has, and what it must never have."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from harness.application import Note
from harness.cli import main
from harness.matrix import Cell, Matrix, Packets, Seen, Word
from harness.matrix.formats import html
from tests.samples import HOSTILE

CELLS = (
    Cell("shop/web", "shop/db:5432", Word.ALLOWED, ("egress: not isolated",)),
    Cell("shop/web", "svc/shop/lost:9", Word.NO_ENDPOINT),
    Cell("outside", "shop/db:5432", Word.UNDEFINED, ("a line", "R83 leaves it open")),
)
MATRIX = Matrix(
    ("shop/web", "outside"), ("shop/db:5432", "svc/shop/lost:9"), CELLS, (Note("a note"),)
)


def data(page: str) -> Any:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(found)


def buttons(page: str) -> list[tuple[str, str, str]]:
    return re.findall(
        r'<button type="button" tabindex="-1" class="(.*?)" data-at="(\d+)">(.*?)<', page
    )


def test_the_grid_has_a_button_for_each_pair() -> None:
    page = html(MATRIX)
    assert buttons(page) == [
        ("v-allowed", "0", "allowed"),
        ("s-undefined", "2", "undefined"),
        ("s-no-endpoint", "1", "no endpoint"),
    ]
    assert '<p class="verdict">2 sources, 2 destinations: 1 of 3 pairs are allowed</p>' in page
    assert "<h3>undefined: R83 leaves it open</h3>" in page
    assert "<li>a note</li>" in page
    assert data(page) == {
        "words": ["allowed", "denied", "undefined", "not judged", "differs", "no endpoint"],
        "pairs": [[0, 0, -1], [5, 1, -1], [2, 2, -1]],
        "reasons": [["egress: not isolated"], [], ["a line", "R83 leaves it open"]],
        "packets": [],
    }


def test_many_columns_have_symbols() -> None:
    names = tuple(f"shop/web{number}" for number in range(1, 11))
    cells = tuple(Cell(name, "shop/db:1", Word.DENIED) for name in names)
    page = html(Matrix(names, ("shop/db:1",), cells))
    assert {text for _, _, text in buttons(page)} == {"✕"}
    assert 'class="grid narrow"' in page


def test_packets_that_disagree_are_marked() -> None:
    packets = Packets(Seen.DISAGREES, ("shop/web -> shop/db:5432 gives TIMEOUT, not allowed",))
    agrees = replace(CELLS[1], packets=Packets(Seen.AGREES))
    page = html(replace(MATRIX, cells=(replace(CELLS[0], packets=packets), agrees)))
    assert buttons(page)[:2] == [
        ("v-allowed c-wrong", "0", "allowed !"),
        ("s-no-endpoint", "1", "no endpoint"),
    ]
    assert 'class="verdict bad"' in page
    assert data(page)["packets"] == [
        ["packets: disagrees", "shop/web -> shop/db:5432 gives TIMEOUT, not allowed"],
        ["packets: agrees"],
    ]


def test_a_hostile_name_stays_a_name() -> None:
    cell = Cell(HOSTILE, HOSTILE, Word.UNDEFINED, (HOSTILE,))
    page = html(Matrix((HOSTILE,), (HOSTILE,), (cell,), (Note(HOSTILE),)))
    assert HOSTILE not in page
    assert "<script>alert" not in page
    assert data(page)["reasons"] == [[HOSTILE]]
    assert html(MATRIX).count("<script") == page.count("<script")


def test_the_verb_prints_the_page(tmp_path: Any, capsys: Any) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"
        "spec: {containers: [{name: c, ports: [{containerPort: 80}]}]}\n"
    )
    assert main(["matrix", str(file), "--format=html"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("<!doctype html>")
    assert "default-src &#39;none&#39;" in out
