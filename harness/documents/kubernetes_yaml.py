"""What Kubernetes makes of the scalars and keys of a manifest, where that is not what we make.

A manifest is also read by kubectl, whose YAML reader (sigs.k8s.io/yaml) takes some scalars as
other types: an unquoted ``y`` is true, ``1e3`` is 1000 and ``08`` is 8. A scenario must not
prove something about a policy that a cluster would read in another way, so such a scalar is
refused.
"""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal

import yaml

from harness.documents.problems import Problems
from harness.documents.source import TAG, TEXT, Document, KeyPath, scalar_value
from harness.documents.yaml_errors import location_of

_NUMERIC = frozenset("+-.0123456789")
"""What the text of a number may begin with."""
_TAGGED = re.compile(r"(?:&[\w-]{1,100}[ \t]{1,100})?!(?P<tag>[^\s,\]}]?)")
"""A tag in front of a scalar. The lengths are bounded: a line may hold very many scalars."""


def _spelled(*words: str) -> list[str]:
    return [spelling for word in words for spelling in (word, word.title(), word.upper())]


_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(_spelled("y", "yes", "true", "on"), True),
    **dict.fromkeys(_spelled("n", "no", "false", "off"), False),
    **dict.fromkeys(["", "~", *_spelled("null")]),
}
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_BASES = (
    (16, re.compile(r"(?P<sign>[-+]?)0[xX](?P<digits>[0-9a-fA-F]+)")),
    (2, re.compile(r"(?P<sign>[-+]?)0[bB](?P<digits>[01]+)")),
    (2, re.compile(r"0b(?P<sign>[-+])(?P<digits>[01]+)")),
    (8, re.compile(r"(?P<sign>[-+]?)0[oO]?(?P<digits>[0-7]+)")),
    (10, re.compile(r"(?P<sign>[-+]?)(?P<digits>0|[1-9][0-9]*)")),
)
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_ODD_UNDERSCORE = re.compile(r"(?<![0-9])_|_(?![0-9])")
"""An underscore that does not stand between two digits."""
_LONGEST_SHOWN = 40
_INTEGERS = range(-(2**63), 2**64)


class _Refused(Exception):
    """Kubernetes' reader reports an error here."""


def check(document: Document, place: KeyPath, problems: Problems) -> None:
    """Record every scalar and key below ``place`` that Kubernetes reads as something else."""
    reading = _Comparison(document.path, problems)
    seen: set[int] = set()
    left = [document.node(place)]
    while left:
        node = left.pop()
        if isinstance(node, yaml.ScalarNode):
            if not _is_surely_text(node):
                reading.value(node)
        elif id(node) not in seen:  # however many aliases name it
            seen.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                left += node.value
                continue
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and not _is_surely_text(key):
                    reading.key(key)
                left.append(value)


def _is_surely_text(node: yaml.ScalarNode) -> bool:
    """Whether both readers see text, and no tag that may have been written makes a difference."""
    text = node.value
    if node.tag != TEXT:
        return False
    return bool(node.style or (text and text[0] not in _NUMERIC and text not in _WORDS))


class _Comparison:
    """Both readings of the scalars of one file."""

    def __init__(self, path: str, problems: Problems) -> None:
        self._path = path
        self._problems = problems

    def value(self, node: yaml.ScalarNode) -> None:
        reported = Problems()
        ours = scalar_value(self._path, node, reported)
        if reported.found:  # the reader of the file said so already
            return
        written = _shown(node.value)
        try:
            theirs = _in_json(self._read(node))
        except _Refused:
            self._add(node, f"Kubernetes cannot read {written} with this tag", "leave the tag out")
            return
        if type(ours) is type(theirs) and ours == theirs:
            return
        fact = f"Kubernetes reads {written} as {_described(theirs)}, not as {_described(ours)}"
        hint = f'write "{written}" for text, or {_plainly(theirs)}'
        self._add(node, fact, "leave the tag out" if isinstance(theirs, str) else hint)

    def key(self, node: yaml.ScalarNode) -> None:
        written = _shown(node.value)
        try:
            theirs = self._read(node)
        except _Refused:
            self._add(node, f"Kubernetes cannot read the key {written}", f'write "{written}"')
            return
        if not _same_key(theirs, node.value):
            fact = f"Kubernetes reads the key {written or 'that is empty'} as {_described(theirs)}"
            self._add(node, fact, f'write "{written}"')

    def _add(self, node: yaml.ScalarNode, fact: str, hint: str) -> None:
        self._problems.add(location_of(self._path, node.start_mark), fact, hint)

    def _read(self, node: yaml.ScalarNode) -> object:
        """Return what Kubernetes reads; a node does not tell whether its tag was written."""
        here = location_of(self._path, node.start_mark)
        tagged = _TAGGED.match(self._problems.line(here), here.column - 1)
        if tagged is None:
            return node.value if node.style else kubernetes_scalar(node.value)
        if not tagged["tag"]:
            return node.value
        return _tagged(node.tag.removeprefix(TAG), node.value)


def _same_key(key: object, written: str) -> bool:
    match key:
        case str():
            return True
        case bool():
            return written == str(key).lower()
        case int():
            return written == str(key) and key < 2**63
        case float():
            return written == _key_of(key)
        case _:
            return False


def _key_of(number: float) -> str:
    """Return the key that a number becomes: the shortest decimal of its nearest 32-bit float."""
    if not math.isfinite(number):
        return f"{number:f}".replace("inf", ".inf").replace("nan", ".nan")
    if abs(number) >= 1e6:  # an exponent, and no author writes it exactly so
        return ""
    shortest = (f"{number:.{digits}g}" for digits in range(1, 10))
    return next(text for text in shortest if _single(float(text)) == _single(number))


def _single(number: float) -> bytes:
    return struct.pack("f", number)


def kubernetes_scalar(text: str) -> object:
    """Return the value that Kubernetes' reader gives to a scalar without quotes and tag."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] == ".":
        odd = _ODD_UNDERSCORE.search(text)
        return text if odd else _number(text, text.replace("_", ""))
    if text[0] in _NUMERIC:
        return _number(text, text.replace("_", ""))
    return text


def _number(text: str, digits: str) -> object:
    """Return the number that ``digits`` are, or ``text`` if they are none."""
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    integer = _integer(digits)
    if integer is not None:
        return integer
    if _DECIMAL.fullmatch(digits):
        number = float(digits)
        return number if math.isfinite(number) else text
    return text


def _integer(digits: str) -> int | None:
    for base, pattern in _BASES:
        found = pattern.fullmatch(digits)
        if found:
            significant = found["digits"].lstrip("0") or "0"
            if len(significant) > 64:  # no base has so many within 64 bits
                return None
            number = int(found["sign"] + significant, base)
            signed = number < 2**63 or not found["sign"]
            return number if number in _INTEGERS and signed else None
    return None


def _tagged(tag: str, text: str) -> object:
    value = kubernetes_scalar(text)
    match tag, value:
        case "str" | "timestamp" | "value" | "merge", _:
            return text
        case ("null", None) | ("bool", True | False):
            return value
        case ("int", int()) | ("float", int() | float()) if not isinstance(value, bool):
            return value
        case _:
            raise _Refused


def _in_json(value: object) -> object:
    """Return the value after its way through JSON, which has no fraction where it is 0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(Decimal(repr(value)))  # the digits that are printed, not all there are
    return value


def _described(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return f"the boolean {_plainly(value)}"
        case int() | float():
            return f"the number {_plainly(value)}"
        case _:
            return "text"


def _plainly(value: object) -> str:
    return (
        str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
    )


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
