"""A labelmap that is there already, with the names, colours and codes of its segments and its strokes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from medseg.imaging.image import Image
from medseg.io.read import read_named_labels
from medseg.io.stored import refusal
from medseg.io.strokes import strokes_in_header
from medseg.spec.labels import LabelSpec
from medseg.spec.same_segment import named
from medseg.spec.stroke import Stroke


@dataclass(frozen=True, eq=False)
class StoredSegments:
    """Labels ``(1, I, J, K)``, one segment for each value, and the strokes that were painted so far."""

    labels: Image
    specs: tuple[LabelSpec, ...]
    strokes: tuple[Stroke, ...] = ()

    @classmethod
    def of(cls, labels: Image) -> Self:
        """Labels of which no names are known: the segment of value 3 is called "label 3"."""
        return cls(labels, tuple(named(int(value), f"label {value}") for value in np.unique(labels.array) if value))


def read_stored_segments(path: Path) -> StoredSegments:
    """Read a labelmap of any format with what is known of its segments.

    Args:
        path: .seg.nrrd, DICOM SEG, or any file ``read_labels`` takes.

    Raises:
        ImageError: as ``read_labels``, or when two segments have one name.
    """
    reading = read_named_labels(path)
    if not reading.segments:
        return StoredSegments.of(reading.image)
    names = [spec.name for spec in reading.segments]
    if len(set(names)) < len(names):
        raise refusal(path, f"each segment has a name of its own, got {', '.join(map(repr, names))}; rename one")
    return StoredSegments(reading.image, reading.segments, strokes_in_header(reading.fields))
