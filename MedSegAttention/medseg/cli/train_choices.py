"""What ``medseg train`` was asked for, and what the texts of its flags mean."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from medseg.spec.errors import JobError, OutputExists
from medseg.spec.manifest import IntTriple, Triple


@dataclass(kw_only=True)
class Asked:
    """Every choice of ``medseg train``; None: propose it."""

    dataset: Path
    output: Path
    labels: Path | None = None
    network: str | None = None
    start: str | None = None
    like: Path | None = None
    plan: Path | None = None
    folds: str | None = None
    fold: str = "0"
    subjects: str | None = None
    seconds: float = math.inf
    steps: int | None = None
    batch: int | None = None
    patch: IntTriple | None = None
    window: IntTriple | None = None
    spacing: Triple | None = None
    slice_axis: int | None = None
    learning_rate: float | None = None
    changes: tuple[str, ...] = ()
    licence: Path | None = None
    seed: int | None = None
    device: str = "auto"
    workers: int | None = None
    restart: bool = False

    def check(self) -> None:
        """Refuse choices that exclude each other, before anything is read.

        Raises:
            JobError: names them.
            OutputExists: when the output folder is there.
        """
        if self.output.exists():
            msg = f"{self.output} exists and is kept; name another output folder or remove it first"
            raise OutputExists(msg)
        sources = {"--network": self.network, "--from": self.start, "--like": self.like}
        given = [flag for flag, value in sources.items() if value is not None]
        if len(given) > 1:
            msg = f"{' and '.join(given)} each say what to train; give one of them"
            raise JobError(msg)
        if self.slice_axis is not None and (self.start or self.like or self.plan):
            msg = "--slices plans a new model, and the one given has its own way to read volumes; leave it out"
            raise JobError(msg)


def parse_duration(text: str | None) -> float:
    """Seconds of e.g. ``90s``, ``30m`` or ``2h``; no limit for None.

    Raises:
        JobError: if it is none of these.
    """
    if text is None:
        return math.inf
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if match is None or float(match[1]) == 0:
        msg = f"a time limit is a number with s, m or h, got {text!r}; write e.g. 30m"
        raise JobError(msg)
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def parse_patch(text: str | None, what: str = "a patch") -> IntTriple | None:
    """Three numbers of voxels, or None.

    Raises:
        JobError: if it is neither.
    """
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        msg = f"{what} is three numbers of voxels with commas, got {text!r}; write e.g. 32,48,32"
        raise JobError(msg)
    i, j, k = (int(part) for part in parts)
    return i, j, k


def parse_numbers(text: str | None) -> Triple | None:
    """Three positive lengths in mm, or None.

    Raises:
        JobError: if it is neither.
    """
    if text is None:
        return None
    try:
        lengths = [float(part) for part in text.split(",")]
    except ValueError:
        lengths = []
    if len(lengths) != 3 or not all(0 < mm < math.inf for mm in lengths):
        msg = f"a spacing is three lengths in mm with commas, got {text!r}; write e.g. 1,1,1"
        raise JobError(msg)
    i, j, k = lengths
    return i, j, k


def parse_axis(text: str | None) -> int | None:
    """An axis by its letter, or None.

    Raises:
        JobError: if it is neither.
    """
    if text is None:
        return None
    if text not in ("i", "j", "k"):
        msg = f"slices lie across i (sagittal), j (coronal) or k (axial), got {text!r}; write e.g. --slices k"
        raise JobError(msg)
    return "ijk".index(text)
