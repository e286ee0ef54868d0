"""A labelmap that is there already, with the names, colours and codes of its segments and its strokes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from medseg.imaging.image import Image
from medseg.io.nrrd import read_nrrd
from medseg.io.read import read_labels
from medseg.io.segnrrd import UNCODED, read_terminology, segment_layers, segment_numbers
from medseg.io.stored import refusal
from medseg.io.strokes import strokes_in_header
from medseg.spec.labels import LabelSpec
from medseg.spec.stroke import Stroke

_PALETTE = ((128, 174, 128), (241, 214, 145), (177, 122, 101), (111, 184, 210), (216, 101, 79), (221, 130, 101))


@dataclass(frozen=True, eq=False)
class StoredSegments:
    """Labels ``(1, I, J, K)``, one segment for each value, and the strokes that were painted so far."""

    labels: Image
    specs: tuple[LabelSpec, ...]
    strokes: tuple[Stroke, ...] = ()

    @classmethod
    def of(cls, labels: Image) -> Self:
        """Labels of which no names are known: the segment of value 3 is called "label 3"."""
        return cls(labels, tuple(_plain(int(value), f"label {value}") for value in np.unique(labels.array) if value))


def read_segments(path: Path) -> StoredSegments:
    """Read a labelmap of any format with what is known of its segments.

    Args:
        path: .seg.nrrd, or any file ``read_labels`` takes.

    Raises:
        ImageError: as ``read_labels``, or when two segments have one name.
    """
    labels = read_labels(path)
    if not path.name.lower().endswith(".seg.nrrd"):
        return StoredSegments.of(labels)
    stored = read_nrrd(path, layers=True)
    segments = segment_layers(path, stored.fields)
    several = stored.array.shape[0] > 1  # then ``read_labels`` has numbered them in the order of the file
    numbers = segment_numbers(stored.fields)
    specs = tuple(
        _spec(stored.fields, number, place if several else value, name)
        for place, (number, (name, _, value)) in enumerate(zip(numbers, segments, strict=True), start=1)
    )
    names = [spec.name for spec in specs]
    if len(set(names)) < len(names):
        raise refusal(path, f"each segment has a name of its own, got {', '.join(map(repr, names))}; rename one")
    return StoredSegments(labels, specs, strokes_in_header(stored.fields))


def _plain(value: int, name: str) -> LabelSpec:
    color = _PALETTE[(value - 1) % len(_PALETTE)]
    return LabelSpec(value=value, name=name, color=color, category=UNCODED, type=UNCODED)


def _spec(fields: Mapping[str, str], number: int, value: int, name: str) -> LabelSpec:
    """One segment as the header tells of it under its number."""
    tags = dict(tag.partition(":")[::2] for tag in fields.get(f"Segment{number}_Tags", "").split("|"))
    category, kind, modifier, region, region_modifier = read_terminology(tags.get("TerminologyEntry", ""))
    try:
        red, green, blue = (
            min(255, max(0, round(255 * float(part)))) for part in fields.get(f"Segment{number}_Color", "").split()
        )
    except ValueError:  # not three numbers: a colour is no reason to refuse a segmentation
        red, green, blue = _PALETTE[(value - 1) % len(_PALETTE)]
    return LabelSpec(
        value=value,
        name=name,
        color=(red, green, blue),
        category=category or UNCODED,
        type=kind or UNCODED,
        type_modifier=modifier,
        region=region,
        region_modifier=region_modifier,
    )
