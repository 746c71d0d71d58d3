"""Values as YAML text, laid out as people write it: on one line where it fits, else indented.

Texts are quoted wherever a reader could take them for something else: ours (YAML 1.1) or that
of Kubernetes, which reads the manifests of a scenario too.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.documents.kubernetes_yaml import kubernetes_scalar
from harness.documents.source import reads_as_text

_WIDTH = 100
_INDENT = 2


class Layout(enum.Enum):
    """How a mapping or a list is written."""

    FIT = "on one line if it fits"
    LINE = "on one line"
    OPEN = "one entry a line"


@dataclass(frozen=True, slots=True)
class Mapped:
    """A mapping, in the order in which it is written.

    The keys of a scenario are read as they are written. Those of a manifest are ``strict``:
    Kubernetes gives them types, like values.
    """

    entries: tuple[tuple[str, Node], ...]
    layout: Layout = Layout.FIT
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A list; where it is open, ``gap`` empty lines stand between the items."""

    items: tuple[Node, ...]
    layout: Layout = Layout.FIT
    gap: int = 0


@dataclass(frozen=True, slots=True)
class Literal:
    """A block of text, line by line; ``head`` tells YAML how to read it, like ``|2``."""

    head: str
    lines: tuple[str, ...]


Node = str | int | float | bool | None | Mapped | Listed | Literal


def document(root: Mapped) -> str:
    """Return a YAML document as text."""
    return "".join(f"{line}\n" for line in _entries(root, 0))


def prose(text: str) -> str | Literal:
    """Return a text as a block if it has several lines and can be one, else as it is."""
    body = text.removesuffix("\n")
    lines = tuple(body.split("\n"))
    can_be_block = all(line.isprintable() and not line.endswith(" ") for line in lines)
    if "\n" not in text or not can_be_block or not lines[0] or not lines[-1] or body[0] == " ":
        return text
    return Literal("|" if text.endswith("\n") else "|-", lines)


# ------------------------------------------------------------------ layout


def _entries(node: Mapped, indent: int) -> Iterator[str]:
    for key, value in node.entries:
        yield from _behind(f"{' ' * indent}{_key(key, node)}:", value, indent)


def _items(node: Listed, indent: int) -> Iterator[str]:
    for number, item in enumerate(node.items):
        if number:
            yield from [""] * node.gap
        dash = f"{' ' * indent}-"
        if isinstance(item, Mapped) and _line(item, len(dash) + 1) is None:
            first, *others = _entries(item, indent + _INDENT)
            yield f"{dash} {first.lstrip(' ')}"
            yield from others
        else:
            yield from _behind(dash, item, indent)


def _behind(head: str, value: Node, indent: int) -> Iterator[str]:
    """Yield the lines of a value behind its key or its dash."""
    line = _line(value, len(head) + 1)
    if line is not None:
        yield f"{head} {line}"
        return
    match value:
        case Mapped():
            yield head
            yield from _entries(value, indent + _INDENT)
        case Listed():
            yield head
            yield from _items(value, indent + _INDENT)
        case Literal(how, lines):
            yield f"{head} {how}"
            yield from (f"{' ' * (indent + _INDENT)}{line}".rstrip(" ") for line in lines)
        case _:
            raise AssertionError(f"a scalar stands on one line: {value!r}")


def _line(value: Node, column: int) -> str | None:
    """Return a value on one line that begins in ``column``, or None if it takes several."""
    if not isinstance(value, Mapped | Listed):
        return _scalar(value, _ALONE)
    flow = _flow(value)
    if flow is None or value.layout is Layout.LINE or column + len(flow) <= _WIDTH:
        return flow
    return flow if flow in {"{}", "[]"} else None


def _flow(value: Node) -> str | None:
    """Return a value in brackets and braces, or None if a part of it takes several lines."""
    match value:
        case Mapped(entries, layout):
            parts = [(_key(key, value), _flow(item)) for key, item in entries]
            if entries and (layout is Layout.OPEN or any(item is None for _, item in parts)):
                return None
            return f"{{{', '.join(f'{key}: {item}' for key, item in parts)}}}"
        case Listed(items, layout):
            found = [_flow(item) for item in items]
            if items and (layout is Layout.OPEN or any(item is None for item in found)):
                return None
            return f"[{', '.join(map(str, found))}]"
        case _:
            return _scalar(value, _IN_LINE)


# ------------------------------------------------------------------ scalars

_IN_LINE = re.compile(r"[A-Za-z0-9](?:[\w./@-]|[ +*](?=[\w./@-]))*", re.ASCII)
"""A text that needs no quotes as a key, nor in brackets and braces."""
_ALONE = re.compile(r"[^\W_](?:[^:#]|:(?=[^ ])|(?<=[^ ])#)*")
"""A text that needs no quotes where it stands alone behind a key or a dash."""
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def _scalar(value: str | float | bool | Literal | None, plain: re.Pattern[str]) -> str | None:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            mantissa, exponent, power = repr(value).partition("e")
            if exponent and "." not in mantissa:
                mantissa += ".0"  # YAML takes 1e+22 for text
            return f"{mantissa}{exponent}{power}"
        case str():
            return value if _is_plain(value, plain) else _quoted(value)
        case Literal():
            return None


def _key(key: str, of: Mapped) -> str:
    plain = _is_plain(key, _IN_LINE) if of.strict else _IN_LINE.fullmatch(key)
    return key if plain else _quoted(key)


def _is_plain(text: str, plain: re.Pattern[str]) -> bool:
    """Return whether every reader takes the text for itself without quotes."""
    return (
        plain.fullmatch(text) is not None
        and text.isprintable()
        and not text.endswith(" ")
        and kubernetes_scalar(text) == text
        and reads_as_text(text)
    )


def _quoted(text: str) -> str:
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )
