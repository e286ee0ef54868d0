"""What goes down the pipe to a worker: jobs and requests, each a line of JSON that is checked field by field."""

import json
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, TypeVar

from medseg.spec.errors import FieldError, JobError
from medseg.spec.export_job import ExportJob
from medseg.spec.fields import read_record
from medseg.spec.import_job import ImportJob
from medseg.spec.job import Job
from medseg.spec.training_job import TrainingJob

AnyJob: TypeAlias = Job | TrainingJob | ImportJob | ExportJob
"""What a worker can be asked to do."""
JobKind = TypeVar("JobKind", Job, TrainingJob, ImportJob, ExportJob)
_KEYS: dict[str, type[AnyJob]] = {"run": Job, "train": TrainingJob, "import": ImportJob, "export": ExportJob}


@dataclass(frozen=True)
class Run:
    """Do a job; it begins when those asked for earlier are done."""

    job: AnyJob
    name: str = ""  # comes back in Started, for the one who asked


@dataclass(frozen=True)
class Cancel:
    """Stop every job asked for before this word."""


@dataclass(frozen=True)
class Describe:
    """Say what networks can run on here: answered by Described, between jobs or while one runs."""


@dataclass(frozen=True)
class Quit:
    """End the worker when the jobs asked for are done."""


Request: TypeAlias = Run | Cancel | Describe | Quit


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
    return _read(Job, _load(text))


def encode_request(request: Request) -> str:
    """Write a request as one line of JSON in ASCII, without the newline.

    It is {"run": job}, {"train": training job}, {"import": import job}, {"export": export job},
    "cancel", "describe" or "quit".

    Raises:
        JobError: as ``encode_job`` raises it.
    """
    match request:
        case Run(job, name):
            key = next(key for key, kind in _KEYS.items() if isinstance(job, kind))
            return _dump({key: asdict(job), **({"name": name} if name else {})})
        case Cancel():
            return '"cancel"'
        case Describe():
            return '"describe"'
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
        case "describe":
            return Describe()
        case "quit":
            return Quit()
        case {"run": job, **rest}:
            return _run(Job, job, rest, line)
        case {"train": job, **rest}:
            return _run(TrainingJob, job, rest, line)
        case {"import": job, **rest}:
            return _run(ImportJob, job, rest, line)
        case {"export": job, **rest}:
            return _run(ExportJob, job, rest, line)
        case _:
            raise _refusal(line)


def _run(kind: type[JobKind], job: object, rest: dict[Any, Any], line: str | bytes) -> Run:
    name = rest.pop("name", "")
    if rest or not isinstance(name, str):
        raise _refusal(line)
    return Run(_read(kind, job), name)


def _refusal(line: str | bytes) -> JobError:
    words = '{"run", "train", "import" or "export": job, "name": text}, "cancel", "describe" or "quit"'
    msg = f"a request is {words}, got {line[:80]!r}"
    return JobError(msg)


def _read(kind: type[JobKind], value: object) -> JobKind:
    try:
        return read_record(kind, value, "job")
    except FieldError as error:
        raise JobError(str(error)) from error


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
