"""Comments of a YAML text that begin with a word, and the line that each is about."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from harness.documents.problems import lines_of
from harness.documents.source import Document
from harness.errors import Location

_Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Comment:
    """What follows the word, and where the comment begins.

    ``line`` is the line that it is about: its own; or, if it stands alone, the next line that
    holds more than a comment, or 0.
    """

    text: str
    location: Location
    line: int


def comments(text: str, word: str, found: Sequence[Document]) -> Iterator[Comment]:
    """Yield the comments ``# word: ...`` of a text; ``found`` are its documents."""
    if f"{word}:" not in text or not found:
        return
    pattern = re.compile(rf"(?:^|(?<=[ \t]))#[ \t]*{re.escape(word)}:[ \t]*(?P<text>.*)")
    lines = lines_of(text)
    about = _about(lines)
    spans = sorted(span for document in found for span in _with_number_sign(document.root))
    for number, line in enumerate(lines, 1):
        match = pattern.search(line)
        if match is not None and not _is_in(spans, (number, match.start() + 1)):
            place = Location(found[0].path, number, match.start() + 1)
            is_alone = not line[: match.start()].strip()
            yield Comment(match["text"].rstrip(), place, about[number] if is_alone else number)


def _about(lines: Sequence[str]) -> list[int]:
    """Return for each line the number of the next one that holds more than a comment."""
    found = [0] * (len(lines) + 1)
    for number in range(len(lines) - 1, 0, -1):
        below = lines[number].strip()  # the line that ``number`` counts from 1 is above it
        is_empty = not below or below.startswith("#") or below == "---"
        found[number] = found[number + 1] if is_empty else number + 1
    return found


def _with_number_sign(root: yaml.Node) -> Iterator[tuple[_Place, _Place]]:
    """Yield where the scalars begin and end that hold the sign of a comment."""
    seen: set[int] = set()
    left = [root]
    while left:
        node = left.pop()
        if isinstance(node, yaml.ScalarNode):
            if "#" in node.value:
                begin, end = node.start_mark, node.end_mark
                yield (begin.line + 1, begin.column + 1), (end.line + 1, end.column + 1)
        elif id(node) not in seen:
            seen.add(id(node))
            pairs = node.value if isinstance(node, yaml.MappingNode) else ()
            left += [item for pair in pairs for item in pair]
            left += node.value if isinstance(node, yaml.SequenceNode) else ()


def _is_in(spans: Sequence[tuple[_Place, _Place]], place: _Place) -> bool:
    """Return whether a place is in one of the spans, which are sorted and do not overlap."""
    index = bisect.bisect(spans, (place, (0, 0))) - 1
    return index >= 0 and spans[index][0] < place < spans[index][1]
