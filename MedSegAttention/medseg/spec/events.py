"""What a running job says: one event a line, as JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

Stage: TypeAlias = Literal["read", "preprocess", "windows", "restore", "postprocess", "write"]


CANCELLED = "cancelled"  # the message of a Failed that the user asked for


@dataclass(frozen=True)
class Started:
    """A worker begins a job."""

    name: str  # as the request named it


@dataclass(frozen=True)
class Using:
    """What the network runs on, and what the process takes of it."""

    device: str
    threads: int  # of the processor
    memory_mb: int | None  # MiB taken on that device; None where nothing can be said


@dataclass(frozen=True)
class Progress:
    """How far one stage of the job is."""

    stage: Stage
    done: int
    total: int
    seconds_left: float | None = None  # of this stage; None while nothing can be said


@dataclass(frozen=True)
class Warned:
    """Something about the input or the run that the user should know; the job goes on."""

    message: str


@dataclass(frozen=True)
class Finished:
    """The job is done and its files are in place."""

    outputs: tuple[str, ...]
    device: str
    seconds: float


@dataclass(frozen=True)
class Failed:
    """The job ended without a result."""

    message: str
    is_bug: bool


Event: TypeAlias = Started | Using | Progress | Warned | Finished | Failed

_KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in (Started, Using, Progress, Warned, Finished, Failed)}


def encode_event(event: Event) -> str:
    """Write an event as one line of JSON, without the newline."""
    return json.dumps({"event": type(event).__name__, **asdict(event)})


def decode_event(line: str) -> Event | None:
    """Read an event back; None when the line is ordinary log text."""
    try:
        fields = json.loads(line)
        kind = _KINDS[fields.pop("event")]
        if "outputs" in fields:
            fields["outputs"] = tuple(fields["outputs"])
        return kind(**fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
