"""Comments that begin with a word."""

from __future__ import annotations

import time

from harness.documents.comments import Comment, comments
from harness.documents.problems import Problems
from harness.documents.source import documents
from harness.errors import Location


def found(text: str) -> list[Comment]:
    problems = Problems()
    read = documents("a.yaml", text, problems)
    assert problems.found == []
    return list(comments(text, "netpol", read))


def comment(text: str, line: int, column: int, about: int) -> Comment:
    return Comment(text, Location("a.yaml", line, column), about)


def test_a_comment_is_about_its_line_or_about_the_next_one_with_more() -> None:
    text = """\
# netpol: first
---
# another

a: 1  # netpol:second
b:
  #  netpol:  third
  - 1
# netpol: last
"""
    assert found(text) == [
        comment("first", 1, 1, 5),
        comment("second", 5, 7, 5),
        comment("third", 7, 3, 8),
        comment("last", 9, 1, 0),
    ]


def test_text_that_looks_like_a_comment_is_none() -> None:
    text = """\
quoted: "a # netpol: in quotes"
block: |
  # netpol: in a block
list: [x, {y: 'b # netpol: nested'}]
plain: a#netpol:glued
folded: >-
  a
  # netpol: in a folded one
# netpol: behind it
end: 1
"""
    assert found(text) == [comment("behind it", 9, 1, 10)]


def test_the_word_counts_as_it_is_written() -> None:
    assert found("a: 1 # Netpol: x\nb: 2 # netpol x\nc: 3 # see netpol: x\n") == []


def test_a_text_without_documents_has_no_comments() -> None:
    assert found("# netpol: alone\n") == []


def test_an_alias_is_looked_at_once() -> None:
    text = "a: &a [{b: 'x # y'}]\nc: [*a, *a]\nd: 1 # netpol: here\n"
    assert found(text) == [comment("here", 3, 6, 3)]


def test_many_comments_take_time_with_their_number() -> None:
    lines = 20_000
    text = "a: 1\n" + "# netpol: x\n" * lines + "".join(f"k{n}: 'a # b'\n" for n in range(lines))
    before = time.process_time()
    assert len(found(text)) == lines
    assert time.process_time() - before < 5
