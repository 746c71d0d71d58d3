"""A document against the wire form: what pydantic finds, in the words of the language."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import BaseModel
from pydantic import ValidationError as WireError
from pydantic_core import ErrorDetails

from harness.scenario.schema import (
    ExternalWire,
    NamedPort,
    NamedServicePort,
    NamespaceWire,
    NetworksWire,
    NodesNeeded,
    OracleWire,
    PodWire,
    ScenarioWire,
    ServiceWire,
    StepWire,
)
from harness.scenario.source import Document, KeyPath, Problems
from harness.suggest import closest, nearest


def validate(document: Document, problems: Problems) -> ScenarioWire | None:
    """Check a document against the models, and record every problem.

    After problems that cannot mislead later checks (an unknown key of a step, a wrong id) the
    rest is given back for those checks; after others, None.
    """
    value = document.value
    for _ in range(3):
        try:
            return ScenarioWire.model_validate(value)
        except WireError as error:
            details = error.errors(include_url=False, include_input=True)
        if len(details) > _MOST_DETAILS:
            details, value = details[:_MOST_DETAILS], None
        meant = {(_place(d)[:-1], _meant(d)) for d in details if d["type"] == "extra_forbidden"}
        for detail in details:
            if detail["type"] == "missing" and (_place(detail)[:-1], _place(detail)[-1]) in meant:
                continue  # it is there, misspelt
            _record(document, detail, problems)
        pruned = _prune(value, details)
        if pruned is None:
            return None
        value = pruned
    return None


def _meant(detail: ErrorDetails) -> str | None:
    """The key that an unknown key was probably meant to be."""
    place = _place(detail)
    return closest(str(place[-1]), _keys_of(_model_at(place[:-1])))


def _place(detail: ErrorDetails) -> KeyPath:
    return tuple(
        step
        for step in detail["loc"]
        if isinstance(step, int) or not (step.startswith("<") or step == "[key]")
    )


_MOST_DETAILS = 500
_HARMLESS = frozenset({"covers", "catches", "needs", "scenario", "why", "oracle", "proves"})


def _prune(value: object, details: Sequence[ErrorDetails]) -> object | None:
    """The document without what is wrong in it, or None where that would mislead."""
    if not isinstance(value, dict):
        return None
    kept = dict(value)
    for detail in details:
        place = _place(detail)
        if detail["type"] == "missing" or not place:
            return None
        if detail["type"] == "extra_forbidden" and len(place) == 1:
            if nearest(str(place[0]), _keys_of(ScenarioWire)):
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


def _record(document: Document, detail: ErrorDetails, problems: Problems) -> None:
    place = _place(detail)
    kind = detail["type"]
    given = detail.get("input")
    owner = _owner(place[:-1], document.value)
    hint: str | None
    key = detail["loc"][-1] == "[key]"
    if kind in {"extra_forbidden", "missing"} and len(place) > 1:
        owner = owner or f" in {place[0]}"
    if kind == "extra_forbidden":
        hint = _unknown_key(str(place[-1]), place)
        problems.add(document.key_at(place), f"unknown key {str(place[-1])!r}{owner}", hint)
    elif kind == "missing":
        fact = f"the key {str(place[-1])!r} is missing{owner}"
        problems.add(document.at(place[:-1]), fact, _MISSING.get(str(place[-1])))
    elif kind == "fault":
        context = detail["ctx"]
        here = document.key_at(place) if key else document.at(place)
        problems.add(here, f"{context['message']}{owner}", context["hint"])
    elif kind in _WANTED:
        _wrong_shape(document, place, (given, _WANTED[kind]), problems)
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


def _wrong_shape(
    document: Document, place: KeyPath, shapes: tuple[object, str], problems: Problems
) -> None:
    given, wanted = shapes
    written = getattr(document.node(place), "value", "")
    owner = _owner(place[:-1], document.value)
    if place[-1:] == ("oracle",) and (given is False or given == "off"):
        fact, hint = "oracle is switched off without a reason", "oracle: {off: the reason}"
    elif not isinstance(written, str):
        fact, hint = _not_of_kind(f"{_called(place)}{owner}", place, (given, wanted))
        owner = ""
    elif given is None and written in {"", "~"}:
        fact = f"{_called(place)} is empty"
        hint = _EMPTY.get(wanted, "write its value, or leave the key out")
    elif wanted == "text" and not isinstance(given, str):
        fact = f"`{written}`{owner} is read as {_read_as(given)} by YAML"
        hint, owner = f'quote it: "{written}"', ""
    else:
        fact, hint = _not_of_kind(f"{_called(place)}{owner}", place, (given, wanted))
        owner = ""
    problems.add(document.at(place), f"{fact}{owner}", hint)


def _read_as(value: object) -> str:
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else "a number"


def _not_of_kind(called: str, place: KeyPath, shapes: tuple[object, str]) -> tuple[str, str]:
    given, wanted = shapes
    kind = next((word for known, word in _KINDS if isinstance(given, known)), "nothing")
    hint = _EXAMPLES.get(str(place[-1]) if place else "", f"write {wanted}")
    if isinstance(given, str) and given.isdecimal():
        hint = f"without quotes: {given}"
    shown = f" {given!r}" if isinstance(given, str) else ""
    return f"{called} is {kind}{shown}, not {wanted}", hint


_EXAMPLES = {
    "apply": "apply: [policies/a.yaml]",
    "delete": "delete: [NetworkPolicy/db/db-policy]",
    "restart": "restart: [app1/client]",
    "ports": "ports: [80, 53/UDP]",
    "covers": "covers: [R38, R39]",
    "catches": "catches: [B15]",
    "families": "families: [4, 6]",
    "needs": "needs: [endport]",
    "labels": "labels: {app: web}",
    "selector": "selector: {app: web}",
    "expect": "expect: allowed, or `expect: |2` and a table below",
    "label": "label: {app1/client: {app: client}}",
    "networks": "networks: {pods: 10.244.0.0/16}",
    "pods": "pods: {client: {}}",
}


def _called(place: KeyPath) -> str:
    """Name what stands at a place by its key, with its index if it is an item of a list."""
    if not place:
        return "the file"
    if isinstance(place[-1], int):
        return f"{_called(place[:-1])}[{place[-1]}]"
    return str(place[-1])


_MISSING = {
    "scenario": "scenario: its title",
    "why": "why: one or two sentences that say what it shows",
    "topology": "topology: {app1: {pods: {client: {}}}}",
    "steps": "steps: a list of at least one step",
    "step": "step: a sentence that names it",
    "expect": "expect: allowed, or `expect: |2` and a table below",
    "selector": "selector: the labels of the pods, like {app: web}",
    "ip": "ip: an address like 10.10.0.5",
    "port": "port: a number",
    "off": "oracle: {off: the reason}",
    "nodes": "nodes: 2",
}


def _keys_of(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


_ELSEWHERE = {
    "pods": "pods stand in a namespace of topology or create",
    "services": "services stand in a namespace of topology or create",
    "policies": "policies are applied by a step: apply: [policies/a.yaml]",
    "nodePort": "node ports are allocated by the cluster; a table says nodeport/ns/name:port@1",
    "clusterIP": "addresses are allocated by the cluster; for none write type: Headless",
    "podSelector": "a policy stands in a step's apply",
}


def _unknown_key(word: str, place: KeyPath) -> str:
    keys = _keys_of(_model_at(place[:-1]))
    return nearest(word, keys) or _ELSEWHERE.get(word) or f"known keys: {', '.join(keys)}"


def _model_at(place: KeyPath) -> type[BaseModel]:
    """The model that describes the mapping at a place."""
    match place:
        case ():
            return ScenarioWire
        case ("steps", int()):
            return StepWire
        case ("steps", int(), "create", *rest) | ("topology", *rest):
            return _model_in_namespace(tuple(rest))
        case ("externals", _):
            return ExternalWire
        case ("networks",):
            return NetworksWire
        case ("oracle",):
            return OracleWire
        case ("needs", int()):
            return NodesNeeded
        case _:
            return NamedPort


def _model_in_namespace(place: KeyPath) -> type[BaseModel]:
    match place:
        case (_, "pods", _):
            return PodWire
        case (_, "services", _):
            return ServiceWire
        case (_, "services", _, "ports", int()):
            return NamedServicePort
        case (_, "pods", *_):
            return NamedPort
        case _:
            return NamespaceWire


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
    """A step by its name if it has one, else by its number."""
    steps = value.get("steps") if isinstance(value, dict) else None
    step = steps[index] if isinstance(steps, list) and index < len(steps) else None
    name = step.get("step") if isinstance(step, dict) else None
    return repr(name) if isinstance(name, str) and name else str(index + 1)
