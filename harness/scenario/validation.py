"""A document against the schema: what pydantic finds, in the words of the language."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, TypeGuard, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic import ValidationError as WireError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from harness.documents.problems import Problems
from harness.documents.source import Document, KeyPath
from harness.scenario.json_schema import TOPOLOGIES
from harness.scenario.schema import FixtureWire, ScenarioWire, Texts
from harness.suggest import closest, nearest

_Model = TypeVar("_Model", ScenarioWire, FixtureWire)


def validate(document: Document, model: type[_Model], problems: Problems) -> _Model | None:
    """Check a document against the models, and record every problem.

    After problems that cannot mislead later checks (an unknown key of a step, a wrong id) the
    rest is given back for those checks; after others, None.
    """
    value = document.value
    for _ in range(3):
        try:
            wire = model.model_validate(value)
        except WireError as error:
            details = error.errors(include_url=False, include_input=True)
            details += _without_topology(model, value)
        else:
            details = _without_topology(model, value)
            if not details:
                return wire
        if len(details) > _MOST_DETAILS:
            details, value = details[:_MOST_DETAILS], None
        meant = {
            (_place(d)[:-1], _meant(model, d)) for d in details if d["type"] == "extra_forbidden"
        }
        for detail in details:
            if detail["type"] == "missing" and _misspelt(_place(detail), meant):
                continue
            _record(document, model, detail, problems)
        pruned = _prune(value, model, details)
        if pruned is None:
            return None
        value = pruned
    return None


def _without_topology(model: type[BaseModel], value: object) -> list[ErrorDetails]:
    """Return that the topology is missing, if nothing else gives pods either."""
    if not isinstance(value, dict) or set(TOPOLOGIES[model]) & value.keys():
        return []
    return [{"type": "missing", "loc": ("topology",), "msg": "", "input": value}]


def _misspelt(place: KeyPath, meant: Collection[tuple[KeyPath, str | None]]) -> bool:
    """Return whether a missing key is there under a misspelt name."""
    keys = TOPOLOGIES[ScenarioWire] if place == ("topology",) else place[-1:]
    return any((place[:-1], key) in meant for key in keys)


def _meant(model: type[BaseModel], detail: ErrorDetails) -> str | None:
    """Return the key that an unknown key was probably meant to be."""
    place = _place(detail)
    return closest(str(place[-1]), _fields_at(model, place[:-1]))


def _place(detail: ErrorDetails) -> KeyPath:
    """Return where it is in the file: without the tags of unions, which no key can equal."""
    steps = detail["loc"][:-1] if _is_of_key(detail) else detail["loc"]
    return tuple(step for step in steps if isinstance(step, int) or not step.startswith("\0"))


def _is_of_key(detail: ErrorDetails) -> bool:
    """Whether a key of a mapping breaks its syntax: pydantic adds "[key]" to the place then.

    A key of the file may be written "[key]" too.
    """
    where = detail["loc"]
    return len(where) > 1 and where[-1] == "[key]" and where[-2] == detail.get("input")


_MOST_DETAILS = 500
_HARMLESS = frozenset({
    "covers", "catches", "needs", "scenario", "why", "snapshot", "oracle", "proves",
})  # fmt: skip


def _prune(
    value: object, model: type[BaseModel], details: Sequence[ErrorDetails]
) -> object | None:
    """Return the document without what is wrong in it, or None where that would mislead."""
    if not isinstance(value, dict):
        return None
    kept = dict(value)
    for detail in details:
        place = _place(detail)
        if detail["type"] == "missing" or not place:
            return None
        if detail["type"] == "extra_forbidden" and len(place) == 1:
            if nearest(str(place[0]), _fields(model)):
                return None  # it stands for a key that is then missing
            kept.pop(str(place[0]), None)
        elif place[0] in _HARMLESS and place[0] not in {"scenario", "why"}:
            kept.pop(str(place[0]), None)
        elif place[0] not in _HARMLESS:
            return None
        else:
            kept[str(place[0])] = "?"
    return kept


_KINDS: Sequence[tuple[type, str]] = (
    (bool, "true or false"),
    (str, "text"),
    (int, "a number"),
    (float, "a number"),
    (dict, "a mapping"),
    (list, "a list"),
)

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def _record(
    document: Document, model: type[BaseModel], detail: ErrorDetails, problems: Problems
) -> None:
    place = _place(detail)
    kind = detail["type"]
    owner = _owner(place[:-1], document.value)
    hint: str | None
    key = _is_of_key(detail)
    if kind in {"extra_forbidden", "missing"} and len(place) > 1:
        owner = owner or f" in {place[0]}"
    if kind == "extra_forbidden":
        hint = _unknown_key(model, str(place[-1]), place)
        problems.add(document.key_at(place), f"unknown key {str(place[-1])!r}{owner}", hint)
    elif kind == "missing":
        fact = f"the key {str(place[-1])!r} is missing{owner}"
        problems.add(document.at(place[:-1]), fact, _texts(model, place).missing or None)
    elif kind == "fault":
        context = detail["ctx"]
        here = document.key_at(place) if key else document.at(place)
        problems.add(here, f"{context['message']}{owner}", context["hint"])
    elif kind in _WANTED:
        written = document.written(place).text if document.is_scalar(place) else None
        shape = _Shape(model, place, owner, detail.get("input"), written, _WANTED[kind])
        problems.add(document.at(place), *shape.problem())
    else:
        fact, hint = _other(kind, detail)
        problems.add(document.at(place), f"{_called(place)} {fact}{owner}", hint)


def _other(kind: str, detail: ErrorDetails) -> tuple[str, str | None]:
    given = detail.get("input")
    match kind:
        case "literal_error":
            known = re.findall(r"'([^']+)'|\b(\d+)\b", str(detail["ctx"]["expected"]))
            words = [text or number for text, number in known]
            if isinstance(given, bool):
                return f"is {str(given).lower()}", f"it is one of {', '.join(words)}"
            fact = f"{given!r} is not known" if isinstance(given, str | int) else "is not known"
            near = nearest(str(given), words)
            return fact, near or f"it is one of {', '.join(words)}"
        case "too_short":
            return "is empty", "at least one entry is needed"
        case "too_long":
            return "has too many entries", f"at most {detail['ctx']['max_length']}"
        case _:
            return f"is not right: {detail['msg']}", None


_EMPTY = {"a mapping": "write {} for none, or leave the key out", "a list": "write [] for none"}


@dataclass(frozen=True, slots=True)
class _Shape:
    """A value of another kind than its key wants.

    ``written`` is its text in the file, or None for a list or a mapping.
    """

    model: type[BaseModel]
    place: KeyPath
    owner: str
    given: object
    written: str | None
    wanted: str

    def problem(self) -> tuple[str, str]:
        """Return what is wrong with it, and a hint."""
        called = _called(self.place)
        if self.place[-1:] == ("oracle",) and (self.given is False or self.given == "off"):
            fact = f"oracle is switched off without a reason{self.owner}"
            return fact, _texts(self.model, (*self.place, "off")).missing
        if self.given is None and self.written in {"", "~"}:
            hint = _EMPTY.get(self.wanted, "write its value, or leave the key out")
            return f"{called} is empty{self.owner}", hint
        is_text = isinstance(self.given, str)
        if self.written is not None and self.wanted == "text" and not is_text:
            fact = f"`{self.written}`{self.owner} is read as {_read_as(self.given)} by YAML"
            return fact, f'quote it: "{self.written}"'
        return self._of_another_kind()

    def _of_another_kind(self) -> tuple[str, str]:
        given = self.given
        kind = next((word for known, word in _KINDS if isinstance(given, known)), "nothing")
        hint = _texts(self.model, self.place).example or f"write {self.wanted}"
        if isinstance(given, str) and given.isdecimal():
            hint = f"without quotes: {given}"
        shown = f" {given!r}" if isinstance(given, str) else ""
        return f"{_called(self.place)}{self.owner} is {kind}{shown}, not {self.wanted}", hint


def _read_as(value: object) -> str:
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else "a number"


def _called(place: KeyPath) -> str:
    """Name what stands at a place by its key, with its index if it is an item of a list."""
    if not place:
        return "the file"
    if isinstance(place[-1], int):
        return f"{_called(place[:-1])}[{place[-1]}]"
    return place[-1] or "''"


_ELSEWHERE = {
    "pods": "pods stand in a namespace of topology or create",
    "services": "services stand in a namespace of topology or create",
    "policies": "policies are applied by a step: apply: [policies/a.yaml]",
    "nodePort": "node ports are allocated by the cluster; a table says nodeport/ns/name:port@1",
    "clusterIP": "addresses are allocated by the cluster; for none write type: Headless",
    "podSelector": "a policy stands in a step's apply",
}


def _unknown_key(model: type[BaseModel], word: str, place: KeyPath) -> str:
    keys = list(_fields_at(model, place[:-1]))
    return nearest(word, keys) or _ELSEWHERE.get(word) or f"known keys: {', '.join(keys)}"


# ------------------------------------------------------------------ the models behind a place


def _fields(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """Return the keys of a mapping, as they are written."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _fields_at(model: type[BaseModel], place: KeyPath) -> Mapping[str, FieldInfo]:
    """Return the keys that the mapping at a place may have; none where any key may stand."""
    kind: object = model
    for key in place:
        kind = next(_inside(kind, key), None)
    models = (member for member in _members(kind) if _is_model(member))
    return next((_fields(model) for model in models), {})


def _texts(model: type[BaseModel], place: KeyPath) -> Texts:
    """Return what an author reads about the key at a place."""
    *above, key = place or (0,)
    if isinstance(key, int):
        return Texts()
    field = _fields_at(model, tuple(above)).get(key)
    found = field.metadata if field else ()
    return next((item for item in found if isinstance(item, Texts)), Texts())


def _members(kind: object) -> Iterator[object]:
    """Yield the types of a union, without what pydantic says about them."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _members(get_args(kind)[0])
    elif origin in {Union, UnionType}:
        for member in get_args(kind):
            yield from _members(member)
    else:
        yield kind


def _inside(kind: object, key: str | int) -> Iterator[object]:
    """Yield the types that stand behind a key or an index."""
    for member in _members(kind):
        if _is_model(member):
            field = _fields(member).get(str(key))
            yield from [field.annotation] if field else []
        elif get_origin(member) is (list if isinstance(key, int) else dict):
            yield get_args(member)[-1]


def _is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


# ------------------------------------------------------------------ names


def _owner(place: KeyPath, value: object) -> str:
    """Name the thing of the scenario that a place lies in: `` in pod db/postgres``."""
    match place:
        case ("steps", int() as index, "create", *rest) if rest:
            return _owner_in_namespace(tuple(rest))
        case ("steps", int() as index, *_):
            return f" in step {step_name(value, index)}"
        case ("topology", *rest) if rest:
            return _owner_in_namespace(tuple(rest))
        case ("externals", str() as name, *_):
            return f" in external {name!r}"
        case _:
            return ""


def _owner_in_namespace(place: KeyPath) -> str:
    match place:
        case (namespace, "pods", name, *_):
            return f" in pod {namespace}/{name}"
        case (namespace, "services", name, *_):
            return f" in Service {namespace}/{name}"
        case (namespace, *_):
            return f" in namespace {namespace!r}"
        case _:
            return ""


def step_name(value: object, index: int) -> str:
    """Return a step by its name if it has one, else by its number."""
    steps = value.get("steps") if isinstance(value, dict) else None
    step = steps[index] if isinstance(steps, list) and index < len(steps) else None
    name = step.get("step") if isinstance(step, dict) else None
    return repr(name) if isinstance(name, str) and name else str(index + 1)
