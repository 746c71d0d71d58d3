"""The shape of a policy's document: types, keys, words, labels, addresses.

An inspection walks a document that somebody wrote and records what is wrong, with the path to it.
Each kind of policy adds what its own keys mean.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.policy import selectors
from harness.policy.builtin import no_such_kind
from harness.policy.placeholders import FORMS, Everybody, Placeholder, read, words
from harness.policy.selectors import BadWord, Operator
from harness.suggest import nearest

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in a document; ``path`` leads to it by keys and list indices.

    The path of an unknown key ends in that key; that of a missing key, in the mapping without it.
    """

    path: Path
    message: str
    hint: str | None = None


IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

CIDR_HINT = "an address and a prefix length, like 10.0.0.0/24 or 2001:db8::/64"
METADATA = tuple(
    """name namespace labels annotations generateName finalizers ownerReferences uid generation
    resourceVersion creationTimestamp deletionTimestamp deletionGracePeriodSeconds managedFields
    selfLink""".split()  # noqa: SIM905  # fifteen quoted words are harder to read
)

_WORDS = {str: "text", int: "a number", dict: "a mapping", list: "a list"}


def _called(kind: str, document: object) -> str:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{kind} {name!r}" if isinstance(name, str) else f"a {kind} without a name"


def _step(path: Path) -> str:
    """Name what stands at ``path`` by its key, with its index if it is an item of a list."""
    if not path:
        return "the document"
    return _dotted(path[-2:]) if isinstance(path[-1], int) else path[-1]


def _dotted(path: Path) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


class Inspection:
    """One walk over a document; ``found`` grows, nothing is raised.

    ``elsewhere`` says, for a key that is right in another place, where it belongs.
    """

    def __init__(self, kind: str, document: object, elsewhere: Mapping[str, str]) -> None:
        self._kind = kind
        self._document = document
        self._elsewhere = elsewhere
        self.found: list[Fault] = []

    def add(self, path: Path, fact: str, hint: str | None = None) -> None:
        """Record ``fact`` about what stands at ``path``."""
        self.found.append(Fault(path, f"{fact} in {self._holder(path[:-1])}", hint))

    def missing(self, path: Path, key: str, hint: str) -> None:
        """Record that the mapping at ``path`` lacks ``key``."""
        self.found.append(Fault(path, f"{key} is missing in {self._holder(path)}", hint))

    def _holder(self, path: Path) -> str:
        """Name the mapping or list at ``path``."""
        called = _called(self._kind, self._document)
        return f"{_dotted(path)} of {called}" if path else called

    # -- shapes: each returns the value if it has the shape, else records a fault

    def typed(self, value: object, path: Path, kind: type) -> bool:
        """Return whether the value has that type, as YAML's author sees types."""
        if isinstance(value, kind) and not isinstance(value, bool):
            return True
        hint = 'quote it: "..."' if kind is str and isinstance(value, bool | int | float) else None
        kind_of = _kind_of(value)
        shown = f"{value!r} ({kind_of})" if isinstance(value, str | int | float) else kind_of
        self.add(path, f"{_step(path)} is {shown}, not {_WORDS[kind]}", hint)
        return False

    def mapping(self, value: object, path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
        """Return the mapping without its unknown keys, which are recorded."""
        if not self.typed(value, path, dict):
            return {}
        assert isinstance(value, dict)  # noqa: S101  # told by typed()
        unknown = [key for key in value if key not in keys]
        for key in unknown:
            self.add((*path, key), f"unknown key {key!r}", self._hint(key, keys, path))
        return {key: item for key, item in value.items() if key in keys} if unknown else value

    def items(self, value: object, path: Path) -> Iterator[tuple[Any, Path]]:
        """Return the items of a list with their paths; a list that is not there has none."""
        if value is not None and self.typed(value, path, list):
            assert isinstance(value, list)  # noqa: S101
            for index, item in enumerate(value):
                yield item, (*path, index)

    def word(self, value: object, path: Path, words: type[enum.StrEnum]) -> None:
        """Check a word of a closed set."""
        known = [str(word) for word in words]
        if self.typed(value, path, str) and value not in known:
            hint = nearest(str(value), known) or f"it is one of {', '.join(known)}"
            self.add(path, f"{_step(path)} {value!r} is not known", hint)

    def name(self, value: object, path: Path, syntax: Callable[[str], BadWord | None]) -> None:
        """Check a word of free choice against the syntax it must have."""
        if self.typed(value, path, str):
            self.bad(syntax(str(value)), path)

    def bad(self, word: BadWord | None, path: Path) -> None:
        """Record what the check of a word found, if it found something."""
        if word is not None:
            self.add(path, word.fact, word.hint)

    def _hint(self, key: object, keys: tuple[str, ...], path: Path) -> str:
        """Say what was probably meant by an unknown key."""
        text = str(key)
        near = nearest(text, keys)
        if near:
            return near
        if path and str(path[-1]).endswith("Selector"):
            return f"labels stand under matchLabels: {{matchLabels: {{{text}: ...}}}}"
        return self._elsewhere.get(text) or f"known keys: {', '.join(keys)}"

    # -- what documents of every kind have

    def header(self, body: Mapping[str, Any], api_version: str, kind: str) -> None:
        """Check the keys of an object's identity."""
        version, name = body.get("apiVersion"), body.get("kind")
        wrong = None
        if isinstance(version, str) and isinstance(name, str):
            wrong = no_such_kind(version, name)
        if wrong is not None:
            self.found.append(Fault((wrong.key,), wrong.fact, wrong.hint))
        for key, expected in (("apiVersion", api_version), ("kind", kind)):
            if body.get(key) is None:
                self.missing((), key, f"{key}: {expected}")
            elif wrong is None and body[key] != expected:
                self.add((key,), f"{key} is {body[key]!r}", f"{key}: {expected}")
        if body.get("metadata") is None:
            self.missing((), "metadata.name", "every object of a scenario has a name")
        else:
            self._metadata(body["metadata"], ("metadata",))

    def _metadata(self, value: object, path: Path) -> None:
        body = self.mapping(value, path, METADATA)
        if isinstance(value, dict) and body.get("name") is None:
            self.missing(path, "name", "every object of a scenario has a name")
        elif body:
            self.name(body["name"], (*path, "name"), selectors.dns_subdomain)
        if body.get("namespace") is not None:
            self.name(body["namespace"], (*path, "namespace"), selectors.dns_label)
        self.labels(body.get("labels"), (*path, "labels"))
        annotations = body.get("annotations")
        if annotations is not None and self.typed(annotations, (*path, "annotations"), dict):
            for key, text in annotations.items():
                self.typed(text, (*path, "annotations", key), str)

    def cidr(self, value: object, path: Path) -> IPNetwork | Placeholder | None:
        """Return the network that a CIDR names; host bits may be set."""
        if not self.typed(value, path, str):
            return None
        text = str(value)
        if word := next(words(text), None):
            return self._placeholder(text, word, path)
        address, _, length = text.partition("/")
        try:
            network = ipaddress.ip_network(text, strict=False)
            if "%" in text or not re.fullmatch(r"\d{1,3}", length):
                raise ValueError
        except ValueError:
            self.add(path, f"{_step(path)} {text!r} is not a CIDR", _cidr_hint(address, length))
            return None
        return network

    def _placeholder(self, text: str, word: str, path: Path) -> Placeholder | None:
        """Return the placeholder that a CIDR consists of."""
        meant = read(word)
        if isinstance(meant, BadWord):
            self.bad(meant, path)
            return None
        if text == meant.as_block:
            return meant
        why = "has its prefix length" if isinstance(meant.of, Everybody) else "is one address"
        hint = f"write {meant.as_block}, which {why}"
        self.add(path, f"{_step(path)} {text!r} is not a CIDR", hint)
        return None

    def selector(self, value: object, path: Path) -> None:
        """Check a label selector."""
        if value is None:
            return
        body = self.mapping(value, path, ("matchLabels", "matchExpressions"))
        self.labels(body.get("matchLabels"), (*path, "matchLabels"))
        terms = (*path, "matchExpressions")
        for term, place in self.items(body.get("matchExpressions"), terms):
            self._requirement(term, place)

    def _requirement(self, value: object, path: Path) -> None:
        body = self.mapping(value, path, ("key", "operator", "values"))
        if not isinstance(value, dict):
            return
        for needed, hint in (("key", "key: app"), ("operator", "operator: In")):
            if body.get(needed) is None:
                self.missing(path, needed, hint)
        if body.get("key") is not None:
            self.name(body["key"], (*path, "key"), selectors.label_key)
        operator = body.get("operator")
        if operator is not None:
            self.word(operator, (*path, "operator"), Operator)
        values = (*path, "values")
        for item, place in self.items(body.get("values"), values):
            self.name(item, place, selectors.label_value)
        empty = not body.get("values")
        if operator in (Operator.IN, Operator.NOT_IN) and empty:
            fact = f"operator {operator!r} without values"
            self.add(
                (*path, "operator"), fact, "In and NotIn need a list of one value or more (R43)"
            )
        if operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST) and not empty:
            fact = f"operator {operator!r} with values"
            self.add(values, fact, "Exists and DoesNotExist look at the key alone (R43)")

    def labels(self, value: object, path: Path) -> None:
        """Check a mapping of label keys to label values."""
        if value is not None and self.typed(value, path, dict):
            assert isinstance(value, dict)  # noqa: S101
            for key, text in value.items():
                self.name(key, (*path, key), selectors.label_key)
                self.name(text, (*path, key), selectors.label_value)


def _cidr_hint(address: str, length: str) -> str:
    if address.startswith("$("):
        return FORMS
    try:
        bits = ipaddress.ip_address(address).max_prefixlen
    except ValueError:
        return CIDR_HINT
    if length:
        return f"the prefix length is a number from 0 to {bits}"
    return f"a single address is written {address}/{bits}"


def _kind_of(value: object) -> str:
    known: tuple[tuple[type, str], ...] = (
        (type(None), "empty"),
        (bool, "true or false"),
        *_WORDS.items(),
    )
    return next((word for kind, word in known if isinstance(value, kind)), type(value).__name__)
