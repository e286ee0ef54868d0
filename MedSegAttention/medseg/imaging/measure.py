"""What a segmentation says in numbers: voxels, size and mean intensity of every segment, and how well two agree."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medseg.imaging.image import Image
from medseg.spec.manifest import LabelSpec


@dataclass(frozen=True)
class SegmentMeasures:
    """One row of the table a user sees."""

    name: str
    value: int  # in the labelmap
    voxels: int
    volume_ml: float  # nan in a single slice, and where the spacing is unknown
    mean_intensity: float  # of the image's first channel; nan when the segment is empty
    area_cm2: float = math.nan  # nan in a volume, and where the spacing is unknown


def dice(common: float, first: float, second: float) -> float:
    """Dice coefficient of two masks, from the voxels of both together and of each; nan where both are empty."""
    return 2 * common / (first + second) if first + second else math.nan


def measure(labels: Image, image: Image, specs: Sequence[LabelSpec]) -> tuple[SegmentMeasures, ...]:
    """Measure every segment; sums are float64 and taken slab by slab.

    Args:
        labels: integer ``(N, I, J, K)``; no value is in two layers.
        image: ``(C, I, J, K)`` on the same grid; the first channel is measured, and its spacing counts.
        specs: segments to measure, one row each, in this order.

    Raises:
        ValueError: if the two arrays have different shapes.
    """
    if labels.shape != image.shape:
        msg = f"labels and image lie on one grid, got {labels.shape} and {image.shape}"
        raise ValueError(msg)
    top = max((spec.value for spec in specs), default=0)
    counts = np.zeros(top + 1, dtype=np.int64)
    sums = np.zeros(top + 1, dtype=np.float64)
    slabs = ((values, image.array[0, i]) for layer in labels.array for i, values in enumerate(layer))
    for values, intensities in slabs:
        known = np.where((values > 0) & (values <= top), values, 0).ravel().astype(np.intp)
        counts += np.bincount(known, minlength=top + 1)
        sums += np.bincount(known, weights=intensities.ravel().astype(np.float64), minlength=top + 1)
    return tuple(
        SegmentMeasures(
            name=spec.name,
            value=spec.value,
            voxels=int(counts[spec.value]),
            volume_ml=image.size(counts[spec.value]) if image.size_unit == "ml" else math.nan,
            mean_intensity=float(sums[spec.value] / counts[spec.value]) if counts[spec.value] else math.nan,
            area_cm2=image.size(counts[spec.value]) if image.size_unit == "cm2" else math.nan,
        )
        for spec in specs
    )
