"""YAML text as plain values that remember where they stand, and the problems found in them.

The only module that parses YAML. Keys are taken as they are written, whatever YAML would make
of them; values have the types of YAML 1.1, so ``on`` is true, but ``12:30`` is text.
Where kubectl reads a manifest in another way is found by ``kubernetes_yaml``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import yaml

from harness.documents import yaml_errors
from harness.documents.problems import Problems, lines_of
from harness.documents.text import template_in
from harness.documents.yaml_errors import location_of
from harness.errors import Location

KeyPath = tuple[str | int, ...]
"""A way to a value: keys and list indices from the root of a document."""

TAG = "tag:yaml.org,2002:"
TEXT = f"{TAG}str"
_MERGE = f"{TAG}merge"
MOST_VALUES = 100_000


@dataclass(frozen=True, slots=True)
class WrittenText:
    """A text of a document as it is written, and where.

    ``is_block`` says that it is a block behind ``|``, up to ``last_line``.
    """

    text: str
    location: Location
    is_block: bool
    last_line: int


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its value and the node tree behind it, which is empty without a text."""

    path: str
    value: object
    root: yaml.Node
    _children: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @classmethod
    def without_text(cls, path: str, value: object) -> Document:
        """Return a value that no text states; ``path`` says what it is."""
        return cls(path, value, yaml.MappingNode(f"{TAG}map", []))

    def node(self, place: KeyPath) -> yaml.Node:
        """Return the node at ``place``, or the nearest around it that exists."""
        return self._walk(place)[1]

    def at(self, place: KeyPath) -> Location:
        """Return where the value at ``place`` stands."""
        return self._location(self._walk(place)[1])

    def key_at(self, place: KeyPath) -> Location:
        """Return where the key stands that ``place`` ends in; for a list index, its item."""
        return self._location(self._walk(place)[0])

    def keys(self, place: KeyPath) -> tuple[str, ...]:
        """Return the keys of the mapping at ``place``, in the order of the file."""
        node = self.node(place)
        return tuple(key.value for key, _ in node.value)

    def texts(self, place: KeyPath) -> dict[str, str]:
        """Return the texts of the mapping at ``place``; none if there is no mapping."""
        node = self.root
        for step in place:
            found = self._child(node, step)
            if found is None:
                return {}
            node = found[1]
        return top_of(node)

    def is_scalar(self, place: KeyPath) -> bool:
        """Return whether no list and no mapping stands at ``place``."""
        return isinstance(self.node(place), yaml.ScalarNode)

    def written(self, place: KeyPath) -> WrittenText:
        """Return the text at ``place`` as it is written."""
        node = self.node(place)
        text, at = str(node.value), self._location(node)
        last = at.line + 1 + text.rstrip("\n").count("\n")
        if node.end_mark:
            last = min(last, node.end_mark.line + 1)
        return WrittenText(text, at, getattr(node, "style", None) == "|", last)

    def _location(self, node: yaml.Node) -> Location:
        if node.start_mark is None:
            return Location(self.path, 0, 0)
        return location_of(self.path, node.start_mark)

    def _walk(self, place: KeyPath) -> tuple[yaml.Node, yaml.Node]:
        key, node = self.root, self.root
        for step in place:
            found = self._child(node, step)
            if found is None:
                break
            key, node = found
        return key, node

    def _child(self, node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
        if isinstance(node, yaml.MappingNode):
            known = self._children.get(id(node))
            if known is None:
                known = self._children[id(node)] = {}
                for key, value in node.value:
                    if isinstance(key, yaml.ScalarNode) and not _is_merge(key):
                        known.setdefault(key.value, (key, value))
                for merged in _merged_into(node):
                    for key, value in merged.value:
                        if isinstance(key, yaml.ScalarNode):
                            known.setdefault(key.value, (key, value))
            return known.get(str(step))
        if not isinstance(node, yaml.SequenceNode) or not isinstance(step, int):
            return None
        item = node.value[step] if 0 <= step < len(node.value) else None
        return None if item is None else (item, item)


def _is_merge(key: yaml.Node) -> bool:
    return key.tag == _MERGE and not getattr(key, "style", None)


def _merged_into(node: yaml.MappingNode) -> Iterator[yaml.MappingNode]:
    """Yield the mappings that merge keys (``<<``) name, the strongest first."""
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and _is_merge(key):
            named = value.value if isinstance(value, yaml.SequenceNode) else [value]
            yield from (item for item in named if isinstance(item, yaml.MappingNode))


def _code(character: object) -> int:
    """Return the code point, however the YAML reader gives it."""
    return character if isinstance(character, int) else ord(str(character))


@dataclass(frozen=True, slots=True)
class Scope:
    """How much of a text is read.

    A text of more than ``most_values`` values is refused. Of a document whose root is not
    ``wanted``, the value has only the texts at its top. ``prepare`` changes the text before it
    is parsed, and no position in it.
    """

    most_values: int = MOST_VALUES
    wanted: Callable[[yaml.Node], bool] = lambda _: True
    prepare: Callable[[str], str] = str


ALL = Scope()


def documents(
    path: str, text: str, problems: Problems, scope: Scope = ALL
) -> tuple[Document, ...]:
    """Return the YAML documents of a text, without the empty ones; problems are recorded."""
    problems.register(path, text)
    before, met = len(problems.found), problems.met
    found = _documents(path, text, problems, scope)
    template = template_in(path, text) if problems.met > met else None
    if template is None:
        return found
    del problems.found[before:]
    problems.add(
        template,
        "this is a template, not YAML",
        "render it, like `helm template CHART > rendered.yaml`, and name the result",
    )
    return ()


def _documents(path: str, text: str, problems: Problems, scope: Scope) -> tuple[Document, ...]:
    found: list[Document] = []
    try:
        for root in _roots(scope.prepare(text), scope.most_values):
            reader = _Reader(path, problems, scope.most_values)
            value = reader.value(root) if scope.wanted(root) else top_of(root)
            if value is not None:
                found.append(Document(path, value, root))
    except _TooMuch:
        fact = f"the file holds over {scope.most_values:,} values, with its aliases written out"
        problems.add(Location(path, 1, 1), fact, "split it, or use fewer aliases")
    except yaml.reader.ReaderError as error:
        before = lines_of(text[: error.position])
        fact = f"character U+{_code(error.character):04X} cannot stand in a YAML file"
        problems.add(Location(path, len(before), len(before[-1]) + 1), fact, "remove it")
    except yaml.MarkedYAMLError as error:
        yaml_errors.report(path, error, problems)
    except RecursionError:
        problems.add(Location(path, 1, 1), "values are nested too deeply to be read")
    except ValueError:
        # PyYAML checks neither the year of a %YAML directive nor a \U escape beyond Unicode.
        problems.add(Location(path, 1, 1), "a number in a directive or an escape is out of range")
    return tuple(found)


def top_of(root: yaml.Node) -> dict[str, str]:
    """Return the texts at the top of a document; empty if it is no mapping."""
    if not isinstance(root, yaml.MappingNode):
        return {}
    return {
        key.value: value.value
        for key, value in reversed(root.value)
        if isinstance(key, yaml.ScalarNode)
        and isinstance(value, yaml.ScalarNode)
        and value.tag == TEXT
    }


_DEEPEST = 100
_Fast: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML has it: ten times as fast, with the same positions."""


class _Measured(_Fast):  # type: ignore[misc, valid-type]
    """Refuses a text that holds too much, or too deeply, while its nodes are made.

    PyYAML calls these methods for each node that is not an alias, and they do nothing there.
    """

    def __init__(self, text: str, most_values: int) -> None:
        super().__init__(text)
        self._left = most_values
        self._depth = 0
        self._tags: dict[object, str] = {}

    def descend_resolver(self, parent: yaml.Node | None, key: object) -> None:
        self._depth += 1
        # A key of a mapping has a parent and no key before it.
        if key is not None or not isinstance(parent, yaml.MappingNode):
            self._left -= 1
        if self._left < 0:
            raise _TooMuch
        if self._depth > _DEEPEST:
            raise RecursionError

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def resolve(
        self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool] | bool
    ) -> str:
        """Return the tag of a node: the same for each kind, and for each text without quotes."""
        is_plain = kind is yaml.ScalarNode and implicit[0]  # type: ignore[index]
        known = value if is_plain else kind
        tag = self._tags.get(known)
        if tag is None:
            tag = self._tags[known] = super().resolve(kind, value, implicit)
        return tag


_QUICKLY_READ = 128 * 1024
"""A text this short is read again by PyYAML itself if libyaml refuses it: it says more."""


def _roots(text: str, most_values: int) -> Iterator[yaml.Node]:
    """Yield the root of each document. Raises _TooMuch or RecursionError before it is made."""
    try:
        yield from _composed(_Measured(text, most_values))
    except yaml.YAMLError:
        if len(text) > _QUICKLY_READ or _Fast is yaml.SafeLoader:
            raise
        yield from yaml.compose_all(text, Loader=yaml.SafeLoader)


def _composed(loader: _Measured) -> list[yaml.Node]:
    roots = []
    try:
        while loader.check_node():
            roots.append(loader.get_node())
    finally:
        loader.dispose()
    return roots


# ------------------------------------------------------------------ values


_TRUE = frozenset({"yes", "true", "on"})


class _TooMuch(Exception):
    """The aliases of a document multiply what it holds."""


class _Reader:
    """Plain values from nodes; one for each document."""

    def __init__(self, path: str, problems: Problems, most_values: int = MOST_VALUES) -> None:
        self.path = path
        self.problems = problems
        self.open: set[int] = set()
        self.budget = most_values

    def add(self, node: yaml.Node, message: str, hint: str | None = None) -> None:
        self.problems.add(location_of(self.path, node.start_mark), message, hint)

    def value(self, node: yaml.Node) -> object:
        self.budget -= 1
        if self.budget < 0:
            raise _TooMuch
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if id(node) in self.open:
            self.add(node, "an alias stands inside of what it repeats", "write the values out")
            return {} if isinstance(node, yaml.MappingNode) else []
        self.open.add(id(node))
        try:
            match node:
                case yaml.SequenceNode():
                    return [self.value(item) for item in node.value]
                case yaml.MappingNode():
                    return self.mapping(node)
                case _:
                    raise AssertionError(f"YAML has no node {node!r}")
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.MappingNode) -> dict[str, object]:
        found: dict[str, object] = {}
        keys: dict[str, yaml.ScalarNode] = {}
        merges = False
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.add(key, "a list or mapping cannot be a key", "a key is text")
                continue
            if _is_merge(key):
                self._check_merge(key, value)
                merges = True
                continue
            text: str = key.value
            if not self.check_unicode(key):
                continue
            if text in found:
                first = location_of(self.path, keys[text].start_mark)
                fact = f"key {text!r} stands here and in line {first.line}"
                self.add(key, fact, "the second would silently win; remove one of them")
                continue
            found[text] = self.value(value)
            keys[text] = key
        for merged in _merged_into(node) if merges else ():
            inner = self.value(merged)
            if isinstance(inner, dict):
                found = {**inner, **found}
        return found

    def _check_merge(self, key: yaml.Node, value: yaml.Node) -> None:
        named = value.value if isinstance(value, yaml.SequenceNode) else [value]
        if not all(isinstance(item, yaml.MappingNode) for item in named):
            self.add(
                key, "the value of '<<' must be a mapping, or a list of them", "write <<: *name"
            )

    def scalar(self, node: yaml.ScalarNode) -> object:
        text: str = node.value
        if not self.check_unicode(node):
            return text.encode(errors="replace").decode()
        if node.tag == TEXT:
            return text
        match node.tag.removeprefix(TAG):
            case "null":
                return None
            case "bool":
                return text.lower() in _TRUE
            case "int" | "float" if ":" in text:
                return text
            case "int" | "float" as kind:
                return self.number(node, kind)
            case "timestamp" | "value" | "merge":
                return text
            case unknown:
                self.add(node, f"the tag !{unknown.lstrip('!')} is not known here", "leave it out")
                return text

    def check_unicode(self, node: yaml.ScalarNode) -> bool:
        """Record an escape that is half of a surrogate pair; return whether there is none."""
        text: str = node.value
        if text.isascii():
            return True
        try:
            text.encode()
        except UnicodeEncodeError as error:
            escape = f"\\u{ord(text[error.start]):04x}"
            fact = f"the escape {escape} is half of a surrogate pair, not a character"
            self.add(node, fact, "write the character itself, or \\U and its eight digits")
            return False
        return True

    def number(self, node: yaml.ScalarNode, kind: str) -> object:
        text = node.value.replace("_", "")
        try:
            if kind == "int":
                return _integer(text)
            number = float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
        except ValueError:
            self.add(node, f"{node.value!r} is not a number", "leave its tag out")
            return node.value
        if not math.isfinite(number):
            self.add(node, f"{node.value} is not a number that JSON knows", "quote it for text")
            return node.value
        return number


def scalar_value(path: str, node: yaml.ScalarNode, problems: Problems) -> object:
    """Return the value of a scalar; what is wrong with it is recorded."""
    return _Reader(path, problems).scalar(node)


def reads_as_text(plain: str) -> bool:
    """Return whether a text is read as text where it stands without quotes."""
    known = yaml.SafeLoader.yaml_implicit_resolvers.get(plain[:1], ())
    return not any(pattern.match(plain) for _, pattern in known)


def _integer(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if len(digits) > 40:
        raise ValueError(text)
    if re.fullmatch(r"0[0-7]+", digits):
        return sign * int(digits, 8)
    return sign * int(digits, 0 if digits[:2] in {"0x", "0b"} else 10)


# ------------------------------------------------------------------ all values


def walk(value: object, place: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """Yield every value inside a value, itself included, with its place."""
    yield place, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, (*place, index))
