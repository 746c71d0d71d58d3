"""The errors of the YAML parser in the words of an author."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from harness.documents.problems import Problems
from harness.errors import Location


def location_of(path: str, mark: yaml.Mark | None) -> Location:
    """Return a mark of the YAML parser, which counts from 0, as a location."""
    return Location(path, mark.line + 1, mark.column + 1) if mark else Location(path, 1, 1)


_OPEN_QUOTE = "a quote is opened here and never closed"

_SYNTAX: Sequence[tuple[str, str, str | None]] = (
    (
        r"character '\\t' that cannot start",
        "a tab stands in the indentation",
        "indent with spaces",
    ),
    (
        r"found character (?P<what>.+) that cannot start",
        "text cannot begin with {what}",
        "quote the text",
    ),
    (
        r"mapping values are not allowed",
        "a ':' here would begin a mapping inside of a text, or the line is indented too far",
        "quote a text that holds ': '; keys of one mapping begin in the same column",
    ),
    (
        r"expected <block end>",
        "this line belongs to nothing that is open above it",
        "keys of one mapping, and the '-' of one list, begin in the same column",
    ),
    (
        r"expected ',' or '(?P<what>.)'",
        "a '{what}' or ',' is missing before this",
        "see whether every bracket is closed, and commas stand between",
    ),
    (
        r"unexpected end of stream",
        _OPEN_QUOTE,
        "close it, or put the whole text into the other kind of quotes",
    ),
    (r"document separator", _OPEN_QUOTE, "close it before the next document"),
    (
        r"could not find expected ':'",
        "a key without ':' behind it",
        "a key and its value are written 'key: value'",
    ),
    (
        r"found undefined alias (?P<what>.+)",
        "the alias *{what} names nothing above it",
        "text that begins with '*' is quoted",
    ),
    (r"duplicate anchor (?P<what>.+);", "the anchor &{what} is set twice", None),
    (
        r"unknown escape character (?P<what>.+)",
        "in double quotes, '\\' before {what} means nothing",
        "use single quotes, or write \\\\",
    ),
    (
        r"expected <document start>",
        "the text goes on behind what was a whole document",
        "see whether this line is indented as its neighbours are",
    ),
    (
        r"expected the node content|did not find expected node content",
        "a value is missing before this",
        "see whether every bracket is closed, and commas stand between",
    ),
    (
        r"block sequence entries are not allowed|sequence entries are not allowed",
        "a '-' cannot begin a list in this place",
        "start the list on a new line",
    ),
    (
        r"expected (chomping|indentation|a comment)",
        "'|' or '>' begins a block of text, and something stands behind it",
        "put the text on the lines below; a text that begins with '|' or '>' is quoted",
    ),
    (r"undefined tag handle", "the tag here is not known", "text that begins with '!' is quoted"),
    (
        r"anchor|alias",
        "the name of an anchor or alias is missing",
        "text with '&' or '*' is quoted",
    ),
)


def report(path: str, error: yaml.MarkedYAMLError, problems: Problems) -> None:
    """Record an error of the YAML parser."""
    said = error.problem or ""
    mark = error.problem_mark or error.context_mark
    fact, hint = f"this cannot be read: {said}", None
    for pattern, message, advice in _SYNTAX:
        found = re.search(pattern, said)
        if found:
            what = (found.groupdict().get("what") or "").strip("'\"")
            fact, hint = message.format(what=what), advice
            break
    if mark and _behind_a_block(problems, location_of(path, mark)):
        fact = "the block of text ended above, for this line is indented less than its first one"
        hint = "write `|2` instead of `|`: all its lines are then indented by 2 or more"
    if "is missing before this" in fact and error.context_mark:
        fact += f", for what line {error.context_mark.line + 1} opens"
    if fact == _OPEN_QUOTE and error.context_mark:
        mark = error.context_mark
    problems.add(location_of(path, mark), f"not YAML: {fact}", hint)


def _behind_a_block(problems: Problems, here: Location) -> bool:
    """Return whether the line belongs to a block above whose first line is indented more."""
    indent = here.column - 1
    for number in range(here.line - 1, 0, -1):
        line = problems.line(Location(here.path, number, 1))
        if line.strip() and len(line) - len(line.lstrip(" ")) < indent:
            return re.search(r":\s*\|[-+]?\s*(#.*)?$", line) is not None
    return False
