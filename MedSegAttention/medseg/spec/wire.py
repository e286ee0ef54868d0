"""What goes down the pipe to a worker: jobs and requests, each a line of JSON that is checked field by field."""

import json
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from medseg.spec.errors import JobError, MedSegError
from medseg.spec.job import Job

Record = TypeVar("Record")

_WORDS = {str: "text", bool: "true or false", int: "an integer", float: "a finite number"}


@dataclass(frozen=True)
class Run:
    """Do a job; it begins when those asked for earlier are done."""

    job: Job
    name: str = ""  # comes back in Started, for the one who asked


@dataclass(frozen=True)
class Cancel:
    """Stop every job asked for before this word."""


@dataclass(frozen=True)
class Quit:
    """End the worker when the jobs asked for are done."""


Request: TypeAlias = Run | Cancel | Quit


def encode_job(job: Job) -> str:
    """Write a job as one line of JSON in ASCII, without the newline.

    Raises:
        JobError: when a number is infinite or not a number, which JSON cannot say.
    """
    return _dump(asdict(job))


def decode_job(text: str | bytes) -> Job:
    """Read a job back.

    Raises:
        JobError: when the text is not JSON in UTF-8, or a field is unknown, missing, of a wrong type or impossible;
            the message names the field.
    """
    return _read_record(Job, _load(text), "job")


def encode_request(request: Request) -> str:
    """Write a request as one line of JSON in ASCII, without the newline: {"run": job}, "cancel" or "quit".

    Raises:
        JobError: as ``encode_job`` raises it.
    """
    match request:
        case Run(job, name):
            return _dump({"run": asdict(job), **({"name": name} if name else {})})
        case Cancel():
            return '"cancel"'
        case Quit():
            return '"quit"'


def decode_request(line: str | bytes) -> Request:
    """Read a request back.

    Raises:
        JobError: when the line is no request, or as ``decode_job`` raises it.
    """
    match _load(line):
        case "cancel":
            return Cancel()
        case "quit":
            return Quit()
        case {"run": job, **rest} if rest.keys() <= {"name"}:
            name = _read_value(str, rest.get("name", ""), "name")
            return Run(_read_record(Job, job, "job"), name)
        case other:
            return _refuse("request", 'an object {"run": job, "name": text}, "cancel" or "quit"', other)


def _dump(value: object) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError as error:
        msg = f"a job holds finite numbers only ({error}); leave the option out or give a number"
        raise JobError(msg) from error


def _load(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        msg = f"a request is one line of JSON in UTF-8, got {text[:80]!r} ({error})"
        raise JobError(msg) from error


def _read_record(kind: type[Record], value: object, path: str) -> Record:
    if not isinstance(value, dict):
        _refuse(path, "an object", value)
    hints = get_type_hints(kind)
    if unknown := [name for name in value if name not in hints]:
        msg = f"{path}.{unknown[0]}: no such field; known here: {', '.join(hints)}"
        raise JobError(msg)
    needed = [f.name for f in fields(kind) if f.default is MISSING]  # type: ignore[arg-type]
    if missing := [name for name in needed if name not in value]:
        msg = f"{path}.{missing[0]}: this field is missing and has no default"
        raise JobError(msg)
    parsed = {name: _read_value(hints[name], entry, f"{path}.{name}") for name, entry in value.items()}
    try:
        return kind(**parsed)
    except MedSegError as error:  # the record's own checks
        msg = f"{path}: {error}"
        raise JobError(msg) from error


def _read_value(hint: Any, value: object, path: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType and NoneType in arguments:
        return None if value is None else _read_value(arguments[0], value, path)
    if origin is Literal:
        if value not in arguments:
            _refuse(path, f"one of {', '.join(map(str, arguments))}", value)
        return value
    if origin is tuple:
        return _read_tuple(arguments, value, path)
    if is_dataclass(hint):
        return _read_record(hint, value, path)  # type: ignore[arg-type]
    return _read_plain(hint, value, path)


def _read_tuple(arguments: tuple[Any, ...], value: object, path: str) -> tuple[Any, ...]:
    endless = arguments[-1] is Ellipsis
    if not isinstance(value, list) or not (endless or len(value) == len(arguments)):
        _refuse(path, "a list" if endless else f"a list of {len(arguments)}", value)
    return tuple(_read_value(arguments[0], entry, f"{path}[{n}]") for n, entry in enumerate(value))


def _read_plain(kind: type, value: object, path: str) -> object:
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        _refuse(path, _WORDS[kind], value)
    if kind is not float:
        return value
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:
        _refuse(path, _WORDS[kind], value)
    if not isfinite(number):
        _refuse(path, _WORDS[kind], value)
    return number


def _refuse(path: str, expected: str, found: object) -> NoReturn:
    text = json.dumps(found)
    msg = f"{path}: expected {expected}, got {text if len(text) <= 80 else f'{text[:77]}...'}"
    raise JobError(msg)
