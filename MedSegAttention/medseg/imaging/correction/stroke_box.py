"""Where a stroke lies on a grid: its voxels, the box that may change, and how far each voxel of it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.correction.distances import Box, distance_to, distance_to_voxels
from medseg.imaging.image import Affine, Shape
from medseg.spec.labels import Triple

MARGIN = 5.0  # mm around the box that are read as well, at the usual reach
_PERPENDICULAR = 1e-5  # cosine between axes that counts as none


@dataclass(frozen=True, eq=False)
class StrokeBox:
    """The box around a stroke.

    Attributes:
        box: what lies within the reach, and may change.
        outer: the same with a margin, which is read.
        inner: ``box`` within ``outer``.
        distance: of each voxel of ``box`` to the stroke's nearest voxel, mm.
    """

    box: Box
    outer: Box
    inner: Box
    distance: NDArray[np.float32]


def paint(points: Sequence[Triple], radius_mm: float, shape: Shape, affine: Affine) -> NDArray[np.int64]:
    """The voxels of a stroke: those that hold a point, and those whose centre is within the radius of one.

    Args:
        points: RAS mm.
        radius_mm: of the brush.
        shape: of the grid; what lies outside is left out.
        affine: ``(4, 4)``, voxel -> RAS mm.

    Returns:
        ``(N, 3)`` indices, sorted, each once.
    """
    inverse = np.linalg.inv(affine)
    exact = np.asarray(points, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]
    holding = np.floor(exact + 0.5).astype(np.int64)
    spread = np.ceil(_extent(affine, radius_mm)).astype(np.int64)
    offsets = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in spread), indexing="ij"), axis=-1).reshape(-1, 3)
    found = [holding]
    if len(offsets) > 1:
        for centre, nearest in zip(exact, holding, strict=True):
            around = nearest + offsets
            far = np.linalg.norm((around - centre) @ affine[:3, :3].T, axis=1)
            found.append(around[far <= radius_mm])
    voxels = np.unique(np.concatenate(found), axis=0)
    inside: NDArray[np.int64] = voxels[((voxels >= 0) & (voxels < shape)).all(axis=1)]
    return inside


def stroke_box(voxels: NDArray[np.int64], reach_mm: float, margin_mm: float, shape: Shape, affine: Affine) -> StrokeBox:
    """The box of what lies within a reach of some voxels.

    Args:
        voxels: ``(N, 3)``, one at least.
        reach_mm: from a centre of a voxel to another.
        margin_mm: that is read around it.
        shape: of the grid.
        affine: ``(4, 4)``, voxel -> RAS mm.
    """
    box = _around(voxels, _extent(affine, reach_mm), shape)
    outer = _around(voxels, _extent(affine, reach_mm + margin_mm), shape)
    i, j, k = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, outer, strict=True))
    matrix = affine[:3, :3]
    spacing = np.linalg.norm(matrix, axis=0)
    cap = reach_mm * 1.01
    unit = matrix / spacing
    if np.abs(unit.T @ unit - np.eye(3)).max() < _PERPENDICULAR:
        mask = np.zeros([part.stop - part.start for part in box], bool)
        mask[tuple((voxels - [part.start for part in box]).T)] = True
        distance = distance_to(mask, [float(mm) for mm in spacing], cap)
    else:
        distance = distance_to_voxels(voxels, box, matrix, cap)
    return StrokeBox(box, outer, (i, j, k), distance)


def _extent(affine: Affine, mm: float) -> NDArray[np.float64]:
    """How many voxels along i, j, k a ball of this radius reaches, also where axes are not perpendicular."""
    reached: NDArray[np.float64] = mm * np.linalg.norm(np.linalg.inv(affine[:3, :3]), axis=1)
    return reached


def _around(voxels: NDArray[np.int64], extent: NDArray[np.float64], shape: Shape) -> Box:
    spread = np.ceil(extent).astype(np.int64)
    low = np.maximum(voxels.min(axis=0) - spread, 0)
    high = np.minimum(voxels.max(axis=0) + spread + 1, shape)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return i, j, k
