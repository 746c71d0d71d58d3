"""Words that Kubernetes' YAML reader takes as another type, against a table that it printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.documents import kubernetes_yaml
from harness.documents.kubernetes_yaml import kubernetes_scalar
from harness.documents.problems import Problems
from harness.documents.source import documents

TABLE = Path(__file__).parent / "data" / "kubernetes-yaml.tsv"
ERROR = object()


def rows() -> dict[str, tuple[object, object]]:
    """Return the value and the key that Kubernetes' reader makes of each word."""
    found = {}
    for line in TABLE.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            word, *read = line.split("\t")
            value, key = (ERROR if text == "error" else json.loads(text) for text in read)
            found[word] = (value, key)
    return found


WORDS = rows()


def checked(text: str) -> Problems:
    """Return what is wrong with the only document of a text."""
    problems = Problems()
    (document,) = documents("manifest.yaml", text, problems)
    kubernetes_yaml.check(document, (), problems)
    return problems


def ours(word: str) -> object:
    """Return what our reader makes of a word without quotes."""
    problems = Problems()
    (document,) = documents("manifest.yaml", f"v: {word}", problems)
    assert isinstance(document.value, dict)
    return ERROR if problems.found else document.value["v"]


def differs(mine: object, theirs: object) -> bool:
    return mine is ERROR or type(mine) is not type(theirs) or mine != theirs


def test_a_value_is_refused_exactly_where_the_readers_differ() -> None:
    refused = {word for word in WORDS if checked(f"v: {word}").found}
    assert refused == {word for word in WORDS if differs(ours(word), WORDS[word][0])}
    assert {"y", "n", "1e3", "08", "0o17", "1.0"} <= refused
    assert len(refused) == 52


def test_a_key_is_refused_exactly_where_the_readers_differ() -> None:
    words = WORDS.keys() - {"<<"}
    refused = {word for word in words if checked(f"{word}: v").found}
    assert refused == {word for word in words if differs(word, WORDS[word][1])}
    assert {"y", "no", "on", "True", "null", "1e3", "0x1F"} <= refused
    assert len(refused) == 97


def test_a_word_in_quotes_is_text_for_both() -> None:
    for quote in "'\"":
        quoted = [f"{quote}{word}{quote}" for word in WORDS]
        assert not checked(f"[{', '.join(quoted)}]").found
        assert not checked("\n".join(f"{word}: v" for word in quoted)).found


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a: y", "y as the boolean true, not as text", 'write "y" for text, or true'),
        ("a: [N]", "N as the boolean false, not as text", 'write "N" for text, or false'),
        ("a: 1e3", "1e3 as the number 1000, not as text", 'write "1e3" for text, or 1000'),
        ("a: 1.0", "1.0 as the number 1, not as the number 1.0", 'write "1.0" for text, or 1'),
        ("a: ! 12", "12 as text, not as the number 12", "leave the tag out"),
        ("y: b", "the key y as the boolean true", 'write "y"'),
        ("~: b", "the key ~ as null", 'write "~"'),
        ("? \n: b", "the key that is empty as null", 'write ""'),
        ("a: {010: b}", "the key 010 as the number 8", 'write "010"'),
        (
            f"a: {'1' * 41}e0",
            f"{'1' * 40}... as the number 1.111111111111111e+40, not as text",
            f'write "{"1" * 40}..." for text, or 1.111111111111111e+40',
        ),
    ],
)
def test_the_message(text: str, message: str, hint: str) -> None:
    found = [(problem.message, problem.hint) for problem in checked(text).found]
    assert found == [(f"Kubernetes reads {message}", hint)]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a: !!int 08", "08 with this tag", "leave the tag out"),
        ("a: !!null b", "b with this tag", "leave the tag out"),
        ("!!int a: b", "the key a", 'write "a"'),
    ],
)
def test_the_message_for_what_kubernetes_does_not_read(text: str, message: str, hint: str) -> None:
    found = [(problem.message, problem.hint) for problem in checked(text).found]
    assert found == [(f"Kubernetes cannot read {message}", hint)]


@pytest.mark.parametrize("text", ["a: !!str y", "a: &b !!str 1e3", "!!str y: b", "a: !!bool yes"])
def test_a_tag_says_the_type(text: str) -> None:
    assert not checked(text).found


def test_what_an_alias_repeats_is_one_problem() -> None:
    problems = checked("a: &x {b: y}\nc: [*x, *x]\n")
    assert [problem.location.column for problem in problems.found] == [11]


def test_a_number_of_any_length_is_read_in_one_pass() -> None:
    """No conversion of digits that 64 bits cannot hold: it takes quadratic time."""
    assert kubernetes_scalar("0x" + "f" * 1_000_000) == "0x" + "f" * 1_000_000
    assert kubernetes_scalar("0" * 1_000_000 + "7") == 7
    assert kubernetes_scalar("1" * 1_000_000) == "1" * 1_000_000


def test_a_value_that_contains_itself_is_checked_once() -> None:
    text = "v: &v {inside: *v, list: &l [y, *l]}"
    problems = Problems()
    (document,) = documents("manifest.yaml", text, problems)
    problems.found.clear()
    kubernetes_yaml.check(document, (), problems)
    assert [str(problem) for problem in problems.found] == [
        "manifest.yaml:1:30: Kubernetes reads y as the boolean true, not as text\n"
        "    1 | v: &v {inside: *v, list: &l [y, *l]}\n"
        'hint: write "y" for text, or true'
    ]
