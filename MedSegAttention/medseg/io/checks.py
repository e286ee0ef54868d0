"""Is this image possible? Geometry a scanner could have made, voxels that are numbers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Affine, Image
from medseg.io.stored import Stored, refusal
from medseg.spec.errors import ImageError

SPACING_MM = (1e-3, 100.0)  # micro-CT .. thick-slab scouts; outside, a unit or a header is wrong
SINGULAR = 1e-4  # |det| over the product of the column lengths; a gantry tilt of 30 degrees gives 0.87
SHEAR_DEGREES = 0.1
HUGE_VALUE = 1e7  # no modality stores such numbers on purpose


def check_stored(path: Path, stored: Stored) -> tuple[Image, tuple[str, ...]]:
    """Turn decoded voxels into an image, or say why not.

    Returns:
        The image, its voxels finite, and the warnings of decoding and checking together.

    Raises:
        ImageError: if the geometry is impossible or no voxel of a channel is a number.
    """
    warnings = [*stored.warnings, *check_affine(path, stored.affine, shear_explained=stored.shear_explained)]
    array, noticed = _finite(path, stored.array)
    warnings += noticed
    warnings += _odd_values(path, array)
    image = Image(array, stored.affine, spacing_known=stored.spacing_known, modality=stored.modality)
    return image, tuple(warnings)


def check_affine(path: Path, affine: Affine, *, shear_explained: bool = False) -> list[str]:
    """Warnings about a voxel -> RAS mm matrix that can be used.

    Raises:
        ImageError: if it is not finite, is singular, or its spacing lies outside ``SPACING_MM``.
    """
    if not np.isfinite(affine).all():
        rule = f"the geometry must be finite numbers, got {_rows(affine)}; export the image again from its source"
        raise refusal(path, rule)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = SPACING_MM
    if spacing.min() < low * (1 - 1e-6) or spacing.max() > high * (1 + 1e-6):
        given = " x ".join(f"{s:g}" for s in spacing)
        rule = f"a voxel spacing lies in {low:g}..{high:g} mm, got {given} mm; correct the header or its unit"
        raise refusal(path, rule)
    product = float(np.prod(spacing))
    if abs(np.linalg.det(affine[:3, :3])) < SINGULAR * product:
        rule = f"the three axes must point in different directions, got {_rows(affine)}; export the image again"
        raise refusal(path, rule)
    shear = shear_degrees(affine)
    if shear > SHEAR_DEGREES and not shear_explained:
        return [f"{path}: its axes are {shear:.1f} degrees off perpendicular; the geometry is used as it is"]
    return []


def shear_degrees(affine: Affine) -> float:
    """How far the axes are from perpendicular: the largest deviation of an angle between two from 90 degrees."""
    units = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosines = (units.T @ units)[np.triu_indices(3, 1)]
    return float(np.degrees(np.arcsin(np.clip(np.abs(cosines), 0, 1))).max())


def _finite(path: Path, array: NDArray[Any]) -> tuple[NDArray[Any], list[str]]:
    """Replace what is not a number, channel by channel: what is lowest in one may be bright in another."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array, []
    repaired, sentences = array.copy(), []
    for where, channel in _channels(path, repaired):
        good = np.isfinite(channel)
        bad = int(channel.size - np.count_nonzero(good))
        if bad == 0:
            continue
        if bad == channel.size:
            msg = f"{where}: voxels must be numbers, and all {bad:,} are NaN or infinite; export the image again"
            raise ImageError(msg)
        lowest = channel[good].min()
        nans = int(np.count_nonzero(np.isnan(channel)))
        channel[~good] = lowest
        replaced = f"{nans:,} NaN and {bad - nans:,} infinite voxels were replaced by the lowest finite value"
        sentences.append(f"{where}: {replaced}, {lowest:g}")
    return repaired, sentences


def _odd_values(path: Path, array: NDArray[Any]) -> list[str]:
    sentences = []
    for where, channel in _channels(path, array):
        lowest, highest = channel.min(), channel.max()
        if lowest == highest:
            sentences.append(f"{where}: every voxel is {lowest:g}; there is nothing to segment in a constant image")
        elif array.dtype.kind == "f" and max(abs(float(lowest)), abs(float(highest))) > HUGE_VALUE:
            rule = f"voxel values reach {lowest:g}..{highest:g}; a few such outliers can spoil the normalisation"
            sentences.append(f"{where}: {rule}")
    return sentences


def _channels(path: Path, array: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Each channel with what to call it: the file, and the channel's number when there are several."""
    count = len(array)
    for number, channel in enumerate(array, start=1):
        yield (f"{path}: channel {number} of {count}" if count > 1 else str(path)), channel


def _rows(affine: Affine) -> str:
    return "; ".join(" ".join(f"{value:g}" for value in row) for row in affine[:3])
