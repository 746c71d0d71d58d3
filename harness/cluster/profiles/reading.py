"""From the TOML of a profile to values, with every problem and its key."""

from __future__ import annotations

import dataclasses
import re
import tomllib
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.cluster.profiles.knowledge import Profile, ProfileFile
from harness.errors import Location, Problem, UsageError, excerpt
from harness.suggest import nearest_or_all

T = TypeVar("T")

INSTALL = "install"
"""The table that says how to install the plugin; it is read by ``cluster.kind``."""

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def parse(file: ProfileFile) -> Profile:
    """Return the knowledge that a profile holds. Raises UsageError with all that is wrong.

    The content of ``[install]`` is not looked at; see ``section``.
    """
    written = {key: value for key, value in _table(file).items() if key != INSTALL}
    return _validated(Profile, written, {"file": file}, file, "")


def section(file: ProfileFile, table: str, kind: type[T], /, **given: object) -> T | None:
    """Return a table of a profile as a value of ``kind``, or None if it is not there.

    ``given`` are fields that the table does not have. Raises UsageError.
    """
    written = _table(file)
    if table not in written:
        return None
    return _validated(kind, written[table], given, file, table)


def has_section(file: ProfileFile, table: str) -> bool:
    """Whether a profile has a table. Raises UsageError if the file is not TOML."""
    return table in _table(file)


def _table(file: ProfileFile) -> dict[str, Any]:
    try:
        return tomllib.loads(file.text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(str(_syntax_problem(file, str(error)))) from None
    except RecursionError:
        raise UsageError(f"{file.shown}: values are nested too deeply") from None
    except ValueError:
        raise UsageError(f"{file.shown}: a number has thousands of digits") from None


def _syntax_problem(file: ProfileFile, message: str) -> Problem:
    lines = file.text.split("\n")
    found = _AT.search(message)
    if found is None:
        line, column = 1, 1
    elif found[1]:
        line, column = int(found[1]), int(found[2])
    else:
        line, column = len(lines), len(lines[-1]) + 1
    shown = excerpt(lines[line - 1], column)
    return Problem(Location(file.shown, line, column), _AT.sub("", message), shown)


def _validated(
    kind: type[T], written: object, given: Mapping[str, object], file: ProfileFile, at: str
) -> T:
    if not isinstance(written, dict):
        raise UsageError(f"{file.shown}: {at} must be a table, not {_type_name(written)}")
    # A key of the file must not stand for a field that only the harness sets.
    hidden = [_unknown(key, _keys(kind, given), at) for key in written if key in given]
    own = {key: value for key, value in written.items() if key not in given}
    try:
        value = TypeAdapter(kind).validate_python({**own, **given})
    except ValidationError as error:
        found = [_problem(kind, item, given, at) for item in error.errors()]
    else:
        found = []
        if not hidden:
            return value
    raise UsageError("\n".join(f"{file.shown}: {text}" for text in [*hidden, *found]))


def _problem(kind: type, error: Any, given: Mapping[str, object], at: str) -> str:
    """Return the text of one problem that pydantic found, with its key and a hint."""
    *parents, last = error["loc"]
    owner = _owner(kind, parents)
    match error["type"]:
        case "unexpected_keyword_argument":
            return _unknown(str(last), _keys(owner, given), _path(parents, at))
        case "missing":
            return f"the key {str(last)!r} is missing{_inside(_path(parents, at))}"
        case "value_error":
            text = error["msg"].removeprefix("Value error, ")
        case "dataclass_type":
            text = f"must be a table, not {_type_name(error['input'])}"
        case "tuple_type":
            text = f"must be a list, not {_type_name(error['input'])}"
        case "string_type":
            text = f"must be a string, not {_type_name(error['input'])}"
        case "too_short" | "string_too_short":
            text = "must not be empty"
        case "bool_type":
            text = f"must be true or false, not {_type_name(error['input'])}"
        case _:
            allowed = error["msg"].removeprefix("Input should be ")
            text = f"must be {allowed}, not {error['input']!r}"
    return f"{_path(error['loc'], at)}: {text}"


def _unknown(key: str, known: list[str], at: str) -> str:
    hint = nearest_or_all(key, known, "keys")
    return f"unknown key {key!r}{_inside(at)}\nhint: {hint}"


def _inside(at: str) -> str:
    return f" in {at}" if at else ""


def _path(location: typing.Iterable[str | int], at: str) -> str:
    """Return keys and indices as one writes them: ``limitations[0].cells[1].gives``."""
    text = at
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _owner(kind: type, parents: typing.Iterable[str | int]) -> type:
    """Return the dataclass that the last of some keys leads to."""
    for key in parents:
        if isinstance(key, str):
            hint = typing.get_type_hints(kind)[key]
            kind = next((item for item in _types(hint) if dataclasses.is_dataclass(item)), kind)
    return kind


def _types(hint: Any) -> typing.Iterator[type]:
    for item in typing.get_args(hint):
        yield from _types(item)
    if isinstance(hint, type):
        yield hint


def _keys(kind: type, given: Mapping[str, object]) -> list[str]:
    names = [item.name for item in dataclasses.fields(kind) if item.name not in given]
    return [*names, INSTALL] if kind is Profile else names


def _type_name(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a time"
