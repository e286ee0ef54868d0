"""From JSON to a frozen dataclass: the type hints are the schema, and a wrong field is named by its path."""

import json
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from medseg.spec.errors import FieldError, MedSegError

Record = TypeVar("Record")

_PLAIN = {str: "text", bool: "true or false", int: "an integer", float: "a finite number"}
_COUNTS = {2: "two", 3: "three"}
_PLURALS = {str: "texts", int: "integers", float: "numbers"}


def read_record(kind: type[Record], value: object, path: str) -> Record:
    """Build a dataclass from a JSON object, field by field.

    Understands text, numbers, booleans, ``Literal``, ``X | None``, ``tuple[X, ...]``, ``tuple[X, Y, Z]``,
    ``dict[str, X]``, ``Any`` and dataclasses inside. Integers pass for numbers; nothing else is converted.

    Args:
        kind: a dataclass; what its own checks refuse gets the path before it.
        value: what ``json`` made of the file.
        path: where the value stands, e.g. "medseg.labels[1]".

    Raises:
        FieldError: for an unknown or missing field, a wrong type or a wrong choice, with its path.
    """
    if not isinstance(value, dict):
        _refuse(path, "an object", value)
    hints, required = _schema(kind)  # type: ignore[arg-type]  # a class is hashable
    if unknown := [name for name in value if name not in hints]:
        msg = f"no such field; known here: {', '.join(hints)}"
        raise FieldError(msg, field=_join(path, unknown[0]))
    if missing := [name for name in required if name not in value]:
        msg = "this field is missing and has no default"
        raise FieldError(msg, field=_join(path, missing[0]))
    parsed = {name: read_value(hints[name], entry, _join(path, name)) for name, entry in value.items()}
    try:
        return kind(**parsed)
    except MedSegError as error:  # the record's own checks
        raise FieldError(error.problem, field=_join(path, error.field)) from error


@lru_cache(maxsize=64)
def _schema(kind: type) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Type hints of all fields and the names of those without a default; working them out took half of a reading."""
    required = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    return get_type_hints(kind), tuple(required)


def read_value(hint: Any, value: object, path: str) -> Any:
    """Check one JSON value against a type hint; lists become tuples. Raises as ``read_record`` does."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin is UnionType and NoneType in arguments:
        return None if value is None else read_value(arguments[0], value, path)
    if origin is Literal:
        if value not in arguments:
            _refuse(path, f"one of {', '.join(map(str, arguments))}", value)
        return value
    if origin is tuple:
        return _read_tuple(arguments, value, path)
    if origin is dict:
        if not isinstance(value, dict):
            _refuse(path, "an object", value)
        return {name: read_value(arguments[1], entry, _join(path, name)) for name, entry in value.items()}
    if is_dataclass(hint):
        return read_record(hint, value, path)  # type: ignore[arg-type]
    return _read_plain(hint, value, path)


def _read_plain(kind: type, value: object, path: str) -> object:
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        _refuse(path, _PLAIN[kind], value)
    if kind is not float:
        return value
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:
        _refuse(path, _PLAIN[kind], value)
    if not isfinite(number):
        _refuse(path, _PLAIN[kind], value)
    return number


def _read_tuple(arguments: tuple[Any, ...], value: object, path: str) -> tuple[Any, ...]:
    if arguments[-1] is Ellipsis:
        if not isinstance(value, list):
            _refuse(path, "a list", value)
        return tuple(read_value(arguments[0], entry, f"{path}[{n}]") for n, entry in enumerate(value))
    expected = f"{_COUNTS.get(len(arguments), len(arguments))} {_PLURALS[arguments[0]]}"
    if not isinstance(value, list) or len(value) != len(arguments):
        _refuse(path, expected, value)
    try:
        return tuple(read_value(hint, entry, path) for hint, entry in zip(arguments, value, strict=True))
    except FieldError:
        _refuse(path, expected, value)


def _refuse(path: str, expected: str, found: object) -> NoReturn:
    msg = f"expected {expected}, got {shorten(found)}"
    raise FieldError(msg, field=path) from None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def shorten(value: object) -> str:
    """Write a JSON value in at most 80 characters, for a message."""
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def listed(names: Sequence[str], most: int = 5) -> str:
    """Name the first of many, with commas, and count the others, for a message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
