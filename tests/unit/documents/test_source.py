"""How much of a text is read, and where each value stands."""

from __future__ import annotations

import yaml

from harness.documents.problems import Problems
from harness.documents.source import Scope, documents
from harness.documents.text import template_in
from harness.errors import Location

TEXT = """\
kind: A
spec: {a: 1}
---
kind: B
spec: {a: 1, a: 2}
"""


def is_a(root: yaml.Node) -> bool:
    return bool(root.value[0][1].value == "A")


def test_a_document_that_is_not_wanted_is_not_looked_into() -> None:
    problems = Problems()
    found = documents("x.yaml", TEXT, problems, Scope(wanted=is_a))
    assert [document.value for document in found] == [
        {"kind": "A", "spec": {"a": 1}},
        {"kind": "B"},
    ]
    assert not problems.found
    assert str(found[1].at(("spec",))) == "x.yaml:5:7"


def test_every_document_is_wanted_otherwise() -> None:
    problems = Problems()
    documents("x.yaml", TEXT, problems)
    assert [problem.message for problem in problems.found] == [
        "key 'a' stands here and in line 5",
    ]


def test_a_text_with_too_many_values_is_refused() -> None:
    problems = Problems()
    assert documents("x.yaml", TEXT, problems, Scope(most_values=3)) == ()
    assert [str(problem) for problem in problems.found] == [
        "x.yaml:1:1: the file holds over 3 values, with its aliases written out\n"
        "    1 | kind: A\n"
        "hint: split it, or use fewer aliases"
    ]


def test_the_place_of_a_template() -> None:
    assert template_in("x.yaml", "a: b\nc: {{ .Values.c }}\n") == Location("x.yaml", 2, 4)
    assert template_in("x.yaml", "a: b\n") is None
