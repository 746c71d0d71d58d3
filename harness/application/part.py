"""Typed values out of an object; what has the wrong type is recorded with its place."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from harness.documents import kubernetes_yaml
from harness.documents.objects import ObjectSource
from harness.documents.problems import Problems
from harness.documents.source import KeyPath
from harness.errors import Location
from harness.model import Labels, Protocol
from harness.policy import selectors
from harness.policy.selectors import BadWord
from harness.suggest import nearest_or_all

Word = TypeVar("Word", bound=enum.StrEnum)


@dataclass(frozen=True, slots=True)
class Part:
    """A mapping in an object, its place, and the object's name for messages."""

    source: ObjectSource
    path: KeyPath
    value: dict[str, Any]
    called: str
    problems: Problems

    @property
    def location(self) -> Location:
        return self.source.at(self.path)

    def place(self, key: str) -> Location:
        """Return where a key stands, or the mapping if it is not there."""
        return self.source.at((*self.path, key))

    def add(self, key: str, fact: str, hint: str | None = None) -> None:
        """Record what is wrong with the value of a key."""
        self.problems.add(self.place(key), f"{fact} in {self.called}", hint)

    def bad(self, key: str, word: BadWord | None) -> None:
        """Record what the check of a word found, if it found something."""
        if word is not None:
            self.add(key, word.fact, word.hint)

    def check_scalars(self, key: str) -> None:
        """Record every scalar below a key that Kubernetes reads as something else."""
        if key in self.value:
            place = (*self.source.base, *self.path, key)
            kubernetes_yaml.check(self.source.document, place, self.problems)

    def part(self, key: str) -> Part:
        """Return the mapping at a key; an empty one if it is not there."""
        value = self.value.get(key)
        if value is not None and not isinstance(value, dict):
            self.add(key, f"{key} is not a mapping", f"{key}: {{...}}")
        found = value if isinstance(value, dict) else {}
        return replace(self, path=(*self.path, key), value=found)

    def parts(self, key: str) -> Iterator[Part]:
        """Yield the mappings of the list at a key."""
        value = self.value.get(key)
        if value is not None and not isinstance(value, list):
            self.add(key, f"{key} is not a list", "its items begin with '- '")
        for index, item in enumerate(value if isinstance(value, list) else ()):
            path = (*self.path, key, index)
            if isinstance(item, dict):
                yield replace(self, path=path, value=item)
            else:
                fact = f"item {index + 1} of {key} is not a mapping in {self.called}"
                self.problems.add(self.source.at(path), fact, "an item has keys")

    def text(self, key: str) -> str | None:
        """Return the text at a key, or None."""
        value = self.value.get(key)
        if value is None or isinstance(value, str):
            return value
        self.add(key, f"{key} {value!r} is not text", 'quote it: "..."')
        return None

    def number(self, key: str, otherwise: int) -> int:
        """Return the whole number, 0 or more, at a key."""
        value = self.value.get(key)
        if value is None:
            return otherwise
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        self.add(key, f"{key} {value!r} is not a number", "a whole number, 0 or more")
        return otherwise

    def flag(self, key: str) -> bool:
        """Return the boolean at a key; False if it is not there."""
        value = self.value.get(key)
        if value is not None and not isinstance(value, bool):
            self.add(key, f"{key} {value!r} is not a boolean", "true or false")
        return value is True

    def port(self, key: str) -> int | None:
        """Return the number of a port at a key, which is required."""
        value = self.value.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            fact = f"{key} is missing" if value is None else f"{key} {value!r} is not a number"
            self.add(key, fact, "a port is 1 to 65535")
            return None
        wrong = selectors.port_number(value, key)
        self.bad(key, wrong)
        return None if wrong else value

    def protocol(self) -> Protocol:
        """Return the protocol of a port; TCP if none is written."""
        return self.word("protocol", Protocol.TCP, Protocol)

    def word(self, key: str, otherwise: Word, words: Callable[[str], Word]) -> Word:
        """Return a word of an enum; ``otherwise`` if none is written, or one that is not known."""
        value = self.text(key)
        if value is None:
            return otherwise
        try:
            return words(value)
        except ValueError:
            known = [str(word) for word in type(otherwise)]
            self.add(key, f"{key} {value!r} is not known", nearest_or_all(value, known, "words"))
            return otherwise

    def labels(self, key: str) -> Labels:
        """Return the labels at a key; those that are wrong are left out."""
        self.check_scalars(key)
        found, here = {}, self.part(key)
        for name, value in here.value.items():
            wrong = selectors.label_key(name)
            if wrong is None and not isinstance(value, str | None):
                wrong = BadWord(f"the label {name} is {value!r}, not text", 'quote it: "..."')
            if wrong is None:
                wrong = selectors.label_value(value or "")
            here.bad(name, wrong)
            if wrong is None:
                found[name] = value or ""
        return Labels(found)
