"""What a running job says: one event a line, as JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from medseg.spec.errors import Cancelled, FieldError, JobError
from medseg.spec.fields import read_record
from medseg.spec.locating import PlacedBox

Stage: TypeAlias = Literal[
    "read", "preprocess", "locate", "windows", "restore", "postprocess", "write", "unpack", "open", "try"
]
ImportStage: TypeAlias = Literal["unpack", "open", "try", "write"]  # of a model from elsewhere


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
    engine: str = ""  # what runs the network, e.g. "OpenVINO 2026.4.1 (float32)"; "" where nobody said


@dataclass(frozen=True)
class Progress:
    """How far one stage of the job is."""

    stage: Stage
    done: int
    total: int
    seconds_left: float | None = None  # of this stage; None while nothing can be said


@dataclass(frozen=True)
class Learning:
    """How far a training is; before the first step its cases are read. None while nothing can be said."""

    step: int
    steps: int
    part: float  # of the run, 0..1: of the steps or of the time, whichever ends first
    loss: float | None
    dice: float | None  # of the cases that are held out, the latest
    best_dice: float | None
    seconds_left: float | None = None
    steps_per_second: float | None = None


@dataclass(frozen=True)
class Noted:
    """Something worth keeping in the log."""

    message: str


@dataclass(frozen=True)
class Warned:
    """Something about the input or the run that the user should know; the job goes on."""

    message: str


@dataclass(frozen=True)
class Device:
    """Something a network can run on; memory in MiB, None where nothing can be said."""

    name: str  # what a job asks for: "cpu", "cuda:0", "mps"
    title: str  # what its maker calls it
    free_mb: int | None
    total_mb: int | None


@dataclass(frozen=True)
class Described:
    """What this computer can run networks on, as it is now; the processor is always there and comes last."""

    devices: tuple[Device, ...]


@dataclass(frozen=True)
class Finished:
    """The job is done and its files are in place."""

    outputs: tuple[str, ...]
    device: str
    seconds: float
    windows_seconds: float | None = None  # of them in the network
    window_count: int | None = None  # each mirror image counted: the quotient is what one forward pass of one takes
    engine: str = ""  # as in Using
    boxes: tuple[PlacedBox, ...] = ()  # in which the model was asked; none: it went over the whole image
    spacing_known: bool = True  # whether the input says how large its voxels are


@dataclass(frozen=True)
class Failed:
    """The job ended without a result, and nobody asked for that."""

    message: str  # one line
    is_bug: bool  # nothing the user can mend
    details: str = ""  # more lines: the place of a bug, the end of a log


@dataclass(frozen=True)
class CannotStart(Failed):
    """There is no worker; its parent says so, and it is never sent."""

    program: str = ""
    reason: str = ""  # in the words of the system

    @classmethod
    def of(cls, program: str, reason: str) -> "CannotStart":
        """Make the failure of an interpreter; ``texts.describe_event`` says the same in the user's language."""
        msg = f"{program} cannot be started ({reason}); choose a Python that has medsegattention"
        return cls(msg, is_bug=False, program=program, reason=reason)


@dataclass(frozen=True)
class Stopped:
    """The job ended without a result because it was cancelled."""


End: TypeAlias = Finished | Failed | Stopped
"""The last event of a job."""
Event: TypeAlias = Started | Using | Progress | Learning | Noted | Warned | Described | End

_KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (Started, Using, Progress, Learning, Noted, Warned, Described, Finished, Failed, Stopped)
}


def error_of(end: Failed | Stopped) -> Exception:
    """The exception that the end of a job was in the worker.

    Returns:
        ``Cancelled``, ``JobError`` for something the user can mend, or ``RuntimeError`` for a bug or a crash, with its
        details.
    """
    if isinstance(end, Stopped):
        return Cancelled("cancelled")
    words = "\n".join(filter(None, [end.message, end.details]))
    return RuntimeError(words) if end.is_bug else JobError(words)


def encode_event(event: Event) -> str:
    """Write an event as one line of JSON, without the newline."""
    return json.dumps({"event": type(event).__name__, **asdict(event)})


def decode_event(line: str) -> Event | None:
    """Read an event back; None when the line is ordinary log text."""
    try:
        fields = json.loads(line)
        kind = _KINDS[fields.pop("event")]
        return read_record(kind, fields, "event")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, FieldError):
        return None
