"""What the texts of the flags of ``medseg train`` mean."""

import math
import re

from medseg.spec.errors import JobError
from medseg.spec.manifest import IntTriple, Triple


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
