"""One plane of a volume as a picture: grey values, and labels as antialiased coloured outlines."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage

from medseg.imaging.image import Image
from medseg.spec.manifest import IntTriple

_OUTLINE_PX = 2.2  # width of an outline
_FILL = 0.20  # opacity of the colour inside it
_CUBIC_UP_TO = 4_000_000  # voxels; larger volumes are interpolated linearly


@dataclass(frozen=True)
class Plane:
    """An anatomical plane as a radiologist hangs it: axes are RAS directions, letters stand at the edges."""

    name: str
    right: tuple[int, int, int]  # RAS direction that points right on the screen
    up: tuple[int, int, int]
    letters: tuple[str, str, str, str]  # left, right, top, bottom


AXIAL = Plane("axial", (-1, 0, 0), (0, 1, 0), ("R", "L", "A", "P"))
CORONAL = Plane("coronal", (-1, 0, 0), (0, 0, 1), ("R", "L", "S", "I"))
SAGITTAL = Plane("sagittal", (0, -1, 0), (0, 0, 1), ("A", "P", "S", "I"))


def slice_plane(image: Image) -> Plane | None:
    """The plane in which an image of a single slice is seen; None for a volume."""
    if image.flat_axis is None:
        return None
    across = np.abs(image.affine[:3, image.flat_axis])
    return (SAGITTAL, CORONAL, AXIAL)[int(np.argmax(across))]


@dataclass(frozen=True, eq=False)
class Scene:
    """What all planes share: where they meet, how much they show, and which grey values."""

    centre: NDArray[np.float64]  # RAS mm of the middle of the pictures
    cut: NDArray[np.float64]  # RAS mm of the point where the planes meet
    side_mm: float  # edge of the square shown
    window: tuple[float, float]  # grey values shown as black and white


def draw_plane(
    image: Image, labels: Image, colors: Mapping[int, IntTriple], plane: Plane, scene: Scene, pixels: int
) -> Picture.Image:
    """Draw a square cut through the volume.

    Args:
        image: ``(C, I, J, K)``; the first channel is shown, black where it does not reach.
        labels: ``(1, I, J, K)`` on the same grid.
        colors: red, green, blue of each label value.
        plane: which way it faces.
        scene: where it lies.
        pixels: edge of the picture.
    """
    grey = _sample_grey(image, _positions(image, plane, scene, pixels))
    low, high = scene.window
    shown = np.clip((np.nan_to_num(grey, nan=low) - low) / max(high - low, 1e-12), 0, 1) ** 0.9
    canvas = np.repeat(235.0 * shown[..., None], 3, axis=2)
    coarse = max(8, min(pixels, round(scene.side_mm / (0.8 * min(image.spacing)))))
    index = np.rint(_positions(labels, plane, scene, coarse)).astype(np.intp)
    inside = ((index >= 0) & (index < np.array(labels.shape)[:, None, None])).all(axis=0)
    index = np.clip(index, 0, np.array(labels.shape)[:, None, None] - 1)
    flat = np.where(inside, labels.array[0][index[0], index[1], index[2]], 0).astype(np.int32)
    for value, box in enumerate(ndimage.find_objects(flat), start=1):
        if box is not None:
            _paint(canvas, flat == value, box, np.array(colors.get(value, (200, 200, 200)), dtype=np.float64))
    return Picture.fromarray((canvas + 0.5).astype(np.uint8))


def _positions(image: Image, plane: Plane, scene: Scene, pixels: int) -> NDArray[np.float64]:
    """Voxel coordinates ``(3, pixels, pixels)`` of the picture's pixels, rows from the top."""
    right, up = np.array(plane.right, dtype=np.float64), np.array(plane.up, dtype=np.float64)
    normal = np.abs(np.cross(right, up))
    middle = np.where(normal > 0, scene.cut, scene.centre)
    along = ((np.arange(pixels) + 0.5) / pixels - 0.5) * scene.side_mm
    world = (
        middle[:, None, None] + right[:, None, None] * along[None, None, :] - up[:, None, None] * along[None, :, None]
    )
    into = np.linalg.inv(image.affine)
    voxel: NDArray[np.float64] = np.tensordot(into[:3, :3], world, axes=1) + into[:3, 3][:, None, None]
    return voxel


def _sample_grey(image: Image, voxel: NDArray[np.float64]) -> NDArray[np.float32]:
    """Interpolate the first channel; cut to the plane's own voxels first, which keeps large volumes cheap."""
    shape = np.array(image.shape)[:, None, None]
    reached = ((voxel > -0.5) & (voxel < shape - 0.5)).all(axis=0)
    if not reached.any():
        return np.full(voxel.shape[1:], np.nan, dtype=np.float32)
    low = np.maximum(np.floor(voxel[:, reached].min(axis=1)).astype(int) - 4, 0)
    high = np.ceil(voxel[:, reached].max(axis=1)).astype(int) + 5
    part = image.array[0][tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(np.float32)
    order = 3 if part.size <= _CUBIC_UP_TO else 1
    grey = ndimage.map_coordinates(part, voxel - low[:, None, None], order=order, mode="nearest", output=np.float32)
    grey[~reached] = np.nan
    return np.asarray(grey, dtype=np.float32)


def _paint(
    canvas: NDArray[np.float64], mask: NDArray[np.bool_], box: tuple[slice, ...], color: NDArray[np.float64]
) -> None:
    """Blend one label into the picture: faint inside, a solid line where its smoothed mask is one half."""
    coarse, fine = mask.shape[0], canvas.shape[0]
    scale = fine / coarse
    wide = [slice(max(0, s.start - 4), min(coarse, s.stop + 4)) for s in box]
    rows, columns = (slice(round(s.start * scale), round(s.stop * scale)) for s in wide)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    smooth = ndimage.gaussian_filter(mask[tuple(wide)].astype(np.float32), 0.9)
    source = (
        columns.start / scale - wide[1].start,
        rows.start / scale - wide[0].start,
        min(columns.stop / scale - wide[1].start, smooth.shape[1]),
        min(rows.stop / scale - wide[0].start, smooth.shape[0]),
    )
    source = (max(0.0, source[0]), max(0.0, source[1]), source[2], source[3])
    picture = Picture.fromarray(smooth * max(1.0, 0.75 / float(smooth.max())))
    level = np.asarray(picture.resize((width, height), Picture.Resampling.BICUBIC, box=source))
    slope = np.hypot(*np.gradient(level)) if min(level.shape) > 1 else np.ones_like(level)
    distance = np.abs(level - 0.5) / np.maximum(slope, 1e-4)
    line = np.clip(_OUTLINE_PX / 2 + 0.5 - distance, 0, 1)
    inside = np.clip((level - 0.5) / np.maximum(slope, 1e-4) + 0.5, 0, 1)
    opacity = np.maximum(line * 0.95, inside * _FILL)[..., None]
    canvas[rows, columns] += opacity * (color - canvas[rows, columns])
