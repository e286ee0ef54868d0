"""A picture of the segments as solid surfaces: orthographic rays through the smoothed label masks, no OpenGL."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medseg.imaging.image import Image
from medseg.jobs.preview.rays import LEVEL, Field, FloatArray, cast_rays, sample, smooth_labels
from medseg.spec.manifest import IntTriple

_AZIMUTH, _ELEVATION = 32.0, 18.0  # degrees; from the front, turned towards the patient's left and looking down


@dataclass(frozen=True)
class Camera:
    """An orthographic view; the three axes are unit vectors in RAS and right-handed on the screen."""

    right: NDArray[np.float64]
    up: NDArray[np.float64]
    towards: NDArray[np.float64]  # from the patient to the viewer

    @classmethod
    def from_front(cls, azimuth_deg: float = _AZIMUTH, elevation_deg: float = _ELEVATION) -> "Camera":
        """Look at the patient's face, so that the patient's right is on the left of the picture."""
        azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
        towards = np.array(
            [-np.sin(azimuth) * np.cos(elevation), np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
        )
        right = np.cross([0.0, 0.0, 1.0], towards)
        right /= np.linalg.norm(right)
        return cls(right=right, up=np.cross(towards, right), towards=towards)


@dataclass(frozen=True)
class SurfaceView:
    """A rendered surface."""

    rgba: NDArray[np.uint8]  # (height, width, 4), transparent where no ray met a surface
    mm_per_pixel: float
    camera: Camera


def render_surface(
    labels: Image, colors: Mapping[int, IntTriple], *, size: tuple[int, int], camera: Camera | None = None
) -> SurfaceView | None:
    """Render every label of a label map as one opaque, shaded surface.

    Args:
        labels: integer array ``(1, I, J, K)``; 0 is background.
        colors: red, green, blue (0..255) of each label value; labels without one are grey.
        size: width and height of the picture in pixels.
        camera: where to look from; from the front, a little from the left and from above by default.

    Returns:
        The picture with its scale, or None when the label map is empty.
    """
    field = smooth_labels(labels)
    if field is None:
        return None
    view = camera or Camera.from_front()
    width, height = size
    centre, mm_per_pixel, half_depth = _frame(field, view, width, height)
    x = (np.arange(width) - (width - 1) / 2) * mm_per_pixel
    y = ((height - 1) / 2 - np.arange(height)) * mm_per_pixel
    starts = centre + half_depth * view.towards + (y[:, None, None] * view.up + x[None, :, None] * view.right)
    depth = cast_rays(field, starts.reshape(-1, 3), -view.towards, 2 * half_depth)
    hit = np.isfinite(depth)
    points = starts.reshape(-1, 3)[hit] - depth[hit, None] * view.towards
    rgba = np.zeros((height * width, 4), dtype=np.uint8)
    rgba[hit, :3] = _shade(field, points, view, colors, _openness(depth.reshape(height, width), mm_per_pixel)[hit])
    rgba[hit, 3] = 255
    return SurfaceView(rgba.reshape(height, width, 4), mm_per_pixel, view)


def _frame(field: Field, camera: Camera, width: int, height: int) -> tuple[NDArray[np.float64], float, float]:
    """Fit the surface into the picture: centre in RAS mm, mm per pixel, half the depth of the scene in mm."""
    index = np.argwhere(field.occupancy > LEVEL / 2)
    chosen = index[:: max(1, len(index) // 200_000)]
    world = chosen @ field.affine[:3, :3].T + field.affine[:3, 3]
    seen = world @ np.stack([camera.right, camera.up, camera.towards], axis=1)
    low, high = seen.min(axis=0), seen.max(axis=0)
    middle = (low + high) / 2
    centre = middle[0] * camera.right + middle[1] * camera.up + middle[2] * camera.towards
    voxel = float(np.linalg.norm(field.affine[:3, :3], axis=0).max())
    extent = high - low + 2 * voxel
    mm_per_pixel = max(extent[0] / (0.86 * width), extent[1] / (0.86 * height))
    return centre, float(mm_per_pixel), float(extent[2] / 2 + 2 * voxel)


def _shade(
    field: Field,
    points: NDArray[np.float64],
    camera: Camera,
    colors: Mapping[int, IntTriple],
    openness: FloatArray,
) -> NDArray[np.uint8]:
    """Colour the surface points ``(N, 3)`` (RAS mm): soft light from the upper left, a little gloss, dark crevices."""
    into = np.linalg.inv(field.affine)
    voxel = points @ into[:3, :3].T + into[:3, 3]
    slope = np.stack([sample(field.occupancy, voxel - e) - sample(field.occupancy, voxel + e) for e in np.eye(3)], 1)
    normal = slope @ into[:3, :3]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    palette = np.full((int(field.label.max()) + 1, 3), 170.0)
    for value, color in colors.items():
        if value < len(palette):
            palette[value] = color
    nearest = np.clip(np.rint(voxel), 0, np.array(field.label.shape) - 1).astype(np.intp)
    base = (_blended(field.label, voxel, palette, nearest) / 255.0) ** 2.2
    key = _unit(-0.45 * camera.right + 0.65 * camera.up + 0.75 * camera.towards)
    fill = _unit(0.8 * camera.right - 0.2 * camera.up + 0.5 * camera.towards)
    diffuse = 0.72 * np.clip(0.25 + 0.75 * (normal @ key), 0, 1) + 0.18 * np.clip(normal @ fill, 0, 1) + 0.16
    gloss = 0.16 * np.clip(normal @ _unit(key + camera.towards), 0, 1) ** 28
    facing = np.clip(normal @ camera.towards, 0, 1)
    edge = 0.55 + 0.45 * np.minimum(1.0, facing / 0.45)  # surfaces turning away fall off, which draws their outline
    light = base * (diffuse * openness * edge)[:, None] * 1.15 + (gloss * openness)[:, None]
    shaded: NDArray[np.uint8] = (255 * np.clip(light, 0, 1) ** (1 / 2.2) + 0.5).astype(np.uint8)
    return shaded


def _blended(
    label: NDArray[np.int32], voxel: NDArray[np.float64], palette: NDArray[np.float64], nearest: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Mix the colours of the eight voxels around each point, leaving out background, for smooth colour borders."""
    base = np.floor(voxel).astype(np.intp)
    part = voxel - base
    total = np.zeros((len(voxel), 3))
    weight_sum = np.zeros(len(voxel))
    for corner in np.ndindex(2, 2, 2):
        at = np.clip(base + corner, 0, np.array(label.shape) - 1)
        value = label[at[:, 0], at[:, 1], at[:, 2]]
        share = np.prod(np.where(np.array(corner) == 1, part, 1 - part), axis=1) * (value > 0)
        total += share[:, None] * palette[value]
        weight_sum += share
    alone = weight_sum < 1e-6
    total[alone] = palette[label[nearest[alone, 0], nearest[alone, 1], nearest[alone, 2]]]
    return total / np.where(alone, 1.0, weight_sum)[:, None]


def _openness(depth: FloatArray, mm_per_pixel: float) -> FloatArray:
    """Estimate how much sky each pixel ``(height, width)`` sees, flat: pixels behind their surroundings are darker."""
    hit = np.isfinite(depth)
    shown = np.where(hit, depth, 0.0).astype(np.float32)
    result = np.ones(depth.shape, dtype=np.float32)
    for radius in (6.0, 20.0):
        share = ndimage.uniform_filter(hit.astype(np.float32), int(2 * radius + 1))
        mean = ndimage.uniform_filter(shown, int(2 * radius + 1)) / np.maximum(share, 1e-3)
        behind = np.clip((shown - mean) / (radius * mm_per_pixel), 0, 1.5)
        result *= 1 - 0.28 * behind * np.minimum(1.0, share * 1.5)
    return result.reshape(-1)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale a vector to length 1."""
    return np.asarray(vector / np.linalg.norm(vector))
