"""Where grids lie: directions of axes, grids that agree, and samples of one grid on another."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medseg.imaging import _itk
from medseg.imaging._itk import Order
from medseg.imaging.image import Affine, Image, Shape
from medseg.imaging.intensity import as_finite
from medseg.spec.errors import ImageError
from medseg.spec.manifest import is_orientation

_CODES = ("RL", "AP", "SI")  # RAS axis -> letter where it grows, letter where it falls


def closest_axes(affine: Affine) -> tuple[tuple[int, int], ...]:
    """Match every voxel axis with one RAS axis, each used once.

    Of the six ways to pair the axes, the one with the largest sum of absolute cosines wins; where directions are
    equally close (45 degrees) the first in the order of ``itertools.permutations`` is taken, so the answer does not
    depend on rounding.

    Returns:
        For i, j, k: (RAS axis 0..2, sign +1 or -1).
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    pairings = list(itertools.permutations(range(3)))
    totals = [sum(abs(float(directions[row, column])) for column, row in enumerate(rows)) for rows in pairings]
    best = max(totals)
    chosen = next(rows for rows, total in zip(pairings, totals, strict=True) if total > best - 1e-6)
    return tuple((row, -1 if directions[row, column] < -1e-9 else 1) for column, row in enumerate(chosen))


def parse_orientation(orientation: str) -> tuple[tuple[int, int], ...]:
    """Read a code such as ``"RAS"``.

    Returns:
        For i, j, k: (RAS axis 0..2, sign +1 or -1).

    Raises:
        ImageError: if it is not three letters, one of R/L, one of A/P and one of S/I.
    """
    if not is_orientation(orientation):
        msg = f"an orientation is one of R/L, one of A/P and one of S/I in any order, such as RAS; got {orientation!r}"
        raise ImageError(msg)
    return tuple(
        (row, 1 if letter == pair[0] else -1)
        for letter in orientation
        for row, pair in enumerate(_CODES)
        if letter in pair
    )


def voxel_corners(shape: Shape) -> NDArray[np.float64]:
    """Outer corners of a grid, ``(8, 4)`` homogeneous voxel coordinates: half a voxel beyond the outermost centres."""
    ends = [(-0.5, size - 0.5) for size in shape]
    return np.array([(*corner, 1.0) for corner in itertools.product(*ends)])


SAME_PLACE_MM = 0.1
"""How far apart the corners of two grids may lie that are one: programs round what they write to a few digits."""
_OF_A_VOXEL = 0.1  # and never more than this part of one


def same_grid(a: Image, b: Image) -> bool:
    """Tell whether two images have the same voxels: equal shapes, and no corner further apart than rounding explains.

    That is ``SAME_PLACE_MM``, or a tenth of the finest voxel where that is less.
    """
    tolerance_mm = min(SAME_PLACE_MM, _OF_A_VOXEL * min(*a.spacing, *b.spacing))
    return a.shape == b.shape and _same_place(a.shape, a.affine, b.affine, tolerance_mm)


def _same_place(shape: Shape, first: Affine, second: Affine, tolerance_mm: float) -> bool:
    """Compare two affines over a grid; an affine difference is largest at a corner."""
    difference = voxel_corners(shape) @ (first - second).T
    return bool(np.linalg.norm(difference[:, :3], axis=1).max() <= tolerance_mm)


def resample_to(image: Image, shape: Shape, affine: Affine, *, order: Order, outside: float = 0.0) -> Image:
    """Sample an image at the voxel centres of another grid; any invertible affines, sheared and left-handed too.

    A sample within the image's outer half voxel repeats the edge; further out it is ``outside``. Nothing is smoothed.

    Args:
        image: ``(C, I, J, K)``.
        shape: voxels of the result along i, j, k.
        affine: ``(4, 4)`` of the result, voxel -> RAS mm.
        order: ``"linear"`` returns float32, ``"nearest"`` the image's own dtype.
        outside: value where the image does not reach.

    Returns:
        ``(C, *shape)`` on exactly this affine.
    """
    if image.shape == shape and _same_place(shape, image.affine, affine, 1e-6 * min(image.spacing)):
        array = image.array.astype(np.float32, copy=False) if order == "linear" else image.array
        return Image(array, affine)
    to_source = np.linalg.solve(image.affine, affine).astype(np.float64, copy=False)
    dtype = np.dtype(np.float32) if order == "linear" else image.array.dtype
    array = np.empty((image.channel_count, *shape), dtype=dtype)
    for channel, sampled in zip(image.array, array, strict=True):
        sampled[...] = _itk.resample(channel, shape, to_source, order=order, outside=outside)
    return Image(array, affine)


def stack_channels(images: Sequence[Image]) -> Image:
    """Put the channels of a case on one grid, the first image's.

    Images on another grid are resampled linearly; where they do not reach they take their own smallest value, which
    is air or background in every modality. Voxels of theirs that are not finite are replaced as in ``as_finite``
    first, since interpolation would spread them.

    Args:
        images: each ``(1, I, J, K)``, on any grids.

    Returns:
        ``(C, I, J, K)`` on the first grid; the dtype holds every channel.

    Raises:
        ImageError: if there is no image, or one shows no part of what the first shows.
    """
    if not images:
        msg = "a case has at least 1 image, got none"
        raise ImageError(msg)
    first = images[0]
    channels = [first.array]
    for number, image in enumerate(images[1:], start=2):
        if same_grid(first, image):
            channels.append(image.array)
            continue
        _refuse_disjoint(first, image, number)
        finite = Image(as_finite(image.array), image.affine)
        outside = float(finite.array.min())
        channels.append(resample_to(finite, first.shape, first.affine, order="linear", outside=outside).array)
    return first if len(channels) == 1 else replace(first, array=np.concatenate(channels))


def _refuse_disjoint(first: Image, other: Image, number: int) -> None:
    """Refuse a channel that lies elsewhere: it would silently be a constant."""
    inside = (voxel_corners(first.shape) @ np.linalg.solve(other.affine, first.affine).T)[:, :3]
    if (inside.max(axis=0) <= -0.5).any() or (inside.min(axis=0) >= np.array(other.shape) - 0.5).any():
        msg = (
            f"all channels of a case must show the same place, and image {number} (centre {_centre(other)} mm RAS) "
            f"does not overlap image 1 (centre {_centre(first)} mm RAS); register it to image 1 first"
        )
        raise ImageError(msg)


def _centre(image: Image) -> str:
    """Centre of an image in RAS mm, for a message."""
    middle = image.affine @ np.array([*((size - 1) / 2 for size in image.shape), 1.0])
    return ", ".join(f"{value:.1f}" for value in middle[:3])
