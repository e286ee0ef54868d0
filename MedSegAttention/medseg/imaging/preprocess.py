"""From an image as it came to what a network takes, and from its scores back to the image's own grid."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.body import body_box
from medseg.imaging.image import Affine, Image, Shape
from medseg.imaging.intensity import as_finite, normalise
from medseg.imaging.steps import Crop, Reorient, Resample, VoxelBox
from medseg.spec.errors import JobError
from medseg.spec.manifest import ModelManifest

__all__ = ["Crop", "Prepared", "Reorient", "Resample", "prepare"]

Roi = tuple[float, float, float, float, float, float]  # R-, R+, A-, A+, S-, S+ in mm


def _say_nothing(done: int, total: int) -> None:
    """Progress nobody asked for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared:
    """An image ready for a network, and the way back.

    ``image`` is float32 and normalised, in the model's orientation and spacing. Scores are probabilities
    ``(L, i, j, k)`` on that grid, label 0 the background; results lie on the input's own grid ``(I, J, K)``, voxel
    for voxel. Outside the crop is background, and so is outside the region, a box of the crop's voxels, if there is
    one. ``air`` marks the voxels ``(i, j, k)`` of ``image`` that are air where the manifest says what air is.
    """

    image: Image
    reorient: Reorient
    crop: Crop
    resample: Resample
    region: Crop | None = None
    air: NDArray[np.bool_] | None = None

    @property
    def source_shape(self) -> Shape:
        """Voxels of the input along its own i, j, k."""
        return self.reorient.source_shape

    @property
    def source_affine(self) -> Affine:
        """Affine of the input, voxel -> RAS mm."""
        return self.reorient.source_affine

    def restore_labels(
        self,
        scores: NDArray[np.float32],
        *,
        probabilities: NDArray[np.float32] | None = None,
        on_label: Callable[[int, int], None] = _say_nothing,
    ) -> NDArray[Any]:
        """Give every voxel of the input its best label: scores interpolated linearly, then the largest.

        Args:
            scores: ``(L, i, j, k)`` probabilities on the grid of ``image``.
            probabilities: ``(L, I, J, K)``, filled on the way, where they are wanted too.
            on_label: told (labels done, labels in all); whatever it raises stops the work.

        Returns:
            ``(I, J, K)``, uint8, or uint16 with more than 255 labels; the lower label where two are equal.

        Raises:
            ValueError: if the scores lie on another grid.
        """
        dtype = np.uint8 if len(scores) <= 256 else np.uint16
        labels = np.zeros((1, *self.crop.shape), dtype=dtype)
        best = np.full(labels.shape, -np.inf, dtype=np.float32)
        for value, score in self._on_cropped_grid(scores):
            labels[score.array > best] = value
            np.maximum(best, score.array, out=best)
            if probabilities is not None:
                whole = self.crop.undo(score, outside=1.0 if value == 0 else 0.0)
                probabilities[value] = self.reorient.undo(whole).array[0]
            on_label(value + 1, len(scores))
        back = self.reorient.undo(self.crop.undo(Image(labels, self.crop.source_affine), outside=0))
        return np.ascontiguousarray(back.array[0])

    def _on_cropped_grid(self, scores: NDArray[np.float32]) -> Iterator[tuple[int, Image]]:
        """Undo the resampling label by label; turning and pasting are cheaper on the finished labels."""
        if scores.ndim != 4 or len(scores) == 0 or scores.shape[1:] != self.image.shape:
            msg = f"scores are (L, i, j, k) on the prepared grid {self.image.shape}, got shape {scores.shape}"
            raise ValueError(msg)
        for value, score in enumerate(scores):
            whole = self.resample.undo(Image(score[None], self.resample.affine), order="linear")
            if self.region is not None:
                whole = self.region.undo(self.region.apply(whole), outside=1.0 if value == 0 else 0.0)
            yield value, whole


def prepare(
    image: Image,
    manifest: ModelManifest,
    roi_ras_mm: Roi | None = None,
    *,
    roi_voxels: VoxelBox | None = None,
    spacing_factor: float = 1.0,
) -> Prepared:
    """Turn, crop, resample and normalise an image for a model, in that order.

    A given region replaces the crop to the body. Intensity statistics are those of the cropped, resampled image.
    Where slices are resized to the network's size, a region only chooses slices: the network sees them whole, as large
    as it knows them, and its answer is kept inside the region.

    Args:
        image: ``(C, I, J, K)``, channels in the model's order.
        manifest: orientation, spacing, intensity rule and crop of the model.
        roi_ras_mm: only this region is segmented: R-, R+, A-, A+, S-, S+ in millimetres.
        roi_voxels: the same in voxels of the image, i, i stop, j, j stop, k, k stop; goes before ``roi_ras_mm``.
        spacing_factor: voxels this many times larger than the model's along every axis, for a quick preview.

    Raises:
        JobError: if the channels are not the model's or the region misses the volume.
        ImageError: if the image would become absurdly large at the model's spacing.
    """
    if image.channel_count != len(manifest.channels):
        names = ", ".join(channel.name for channel in manifest.channels)
        msg = f"{manifest.model_id} takes {len(manifest.channels)} channels ({names}), got {image.channel_count}"
        raise JobError(msg)
    reorient = Reorient.to_orientation(image, manifest.orientation)
    turned = reorient.apply(image)
    crop, region = _plan_crop(turned, manifest, _find_region(turned, reorient, roi_ras_mm, roi_voxels))
    cropped = crop.apply(turned)
    resample = _plan_resample(cropped, manifest, spacing_factor)
    if not resample.is_identity:  # interpolation would spread what is not finite
        cropped = resample.apply(Image(as_finite(cropped.array), cropped.affine))
    air = None if manifest.air_below is None else _find_air(cropped.array, manifest.air_below)
    ready = Image(normalise(cropped.array, manifest.intensity), cropped.affine)
    return Prepared(image=ready, reorient=reorient, crop=crop, resample=resample, region=region, air=air)


def plan_grids(
    shape: Shape,
    affine: Affine,
    manifest: ModelManifest,
    roi_ras_mm: Roi | None = None,
    *,
    roi_voxels: VoxelBox | None = None,
    spacing_factor: float = 1.0,
) -> tuple[Crop, Resample]:
    """Plan what ``prepare`` does to the grid of an image, without its voxels.

    A crop to the body needs the voxels: the whole image is taken, so that the plan is never too small.

    Args:
        shape: voxels of the image along i, j, k.
        affine: ``(4, 4)``, voxel -> RAS mm.
        manifest: of the model.
        roi_ras_mm: R-, R+, A-, A+, S-, S+ in millimetres; None: the whole volume.
        roi_voxels: as in ``prepare``.
        spacing_factor: as in ``prepare``.

    Returns:
        The box kept and the resampling, both in the model's orientation.

    Raises:
        JobError: if the region misses the volume.
        ImageError: if the image would become absurdly large at the model's spacing.
    """
    empty = Image(np.broadcast_to(np.uint8(0), (len(manifest.channels), *shape)), affine)  # one byte, seen many times
    reorient = Reorient.to_orientation(empty, manifest.orientation)
    turned = reorient.apply(empty)
    wanted = _find_region(turned, reorient, roi_ras_mm, roi_voxels)
    crop, _ = _plan_crop(turned, replace(manifest, crop_to_body=False), wanted)
    return crop, _plan_resample(crop.apply(turned), manifest, spacing_factor)


def _find_air(array: NDArray[Any], limits: tuple[float, ...]) -> NDArray[np.bool_]:
    """Mark the voxels ``(i, j, k)`` that no channel lifts to its limit; what is no number is air."""
    air = np.ones(array.shape[1:], dtype=np.bool_)
    for channel, limit in zip(array, limits, strict=True):
        air &= ~(channel >= limit)
    return air


def _find_region(turned: Image, reorient: Reorient, roi_ras_mm: Roi | None, roi_voxels: VoxelBox | None) -> Crop | None:
    """Find what is asked for in the turned image; None: everything."""
    if roi_voxels is not None:
        return Crop.to_voxels(turned, reorient.turn_box(roi_voxels))
    return None if roi_ras_mm is None else Crop.to_roi(turned, roi_ras_mm)


def _plan_crop(image: Image, manifest: ModelManifest, wanted: Crop | None) -> tuple[Crop, Crop | None]:
    """Choose the box the network sees, and the region inside it that is wanted where that is less."""
    if wanted is None:
        return _plan_whole(image, manifest), None
    if manifest.slices is None or manifest.slices.fit == "windows":
        return wanted, None
    seen = _widen(image, wanted, _plan_whole(image, manifest), manifest.slices.axis)
    i, j, k = (a - b for a, b in zip(wanted.start, seen.start, strict=True))
    high = (i + wanted.shape[0], j + wanted.shape[1], k + wanted.shape[2])
    return seen, Crop.to_box(seen.apply(image), (i, j, k), high)


def _plan_whole(image: Image, manifest: ModelManifest) -> Crop:
    """Choose the box without a region: the body, or everything."""
    if manifest.crop_to_body:
        return Crop.to_box(image, *body_box(image))
    return Crop.to_box(image, (0, 0, 0), image.shape)


def _widen(image: Image, wanted: Crop, whole: Crop, across: int) -> Crop:
    """Keep the wanted slices, but let each hold both boxes."""
    ranges = [
        (a, a + m) if axis == across else (min(a, b), max(a + m, b + n))
        for axis, (a, m, b, n) in enumerate(zip(wanted.start, wanted.shape, whole.start, whole.shape, strict=True))
    ]
    (i, i_stop), (j, j_stop), (k, k_stop) = ranges
    return Crop.to_box(image, (i, j, k), (i_stop, j_stop, k_stop))


def _plan_resample(image: Image, manifest: ModelManifest, spacing_factor: float) -> Resample:
    """Choose the grid: the model's spacing, or the image's own, made coarser; slices may have the network's size."""
    i, j, k = manifest.spacing_mm or image.spacing
    spaced = Resample.to_spacing(image, (i * spacing_factor, j * spacing_factor, k * spacing_factor))
    if manifest.slices is None or manifest.slices.fit == "windows":
        return spaced
    i, j, k = manifest.window_shape
    count = spaced.shape[manifest.slices.axis]
    return Resample.to_shape(image, ((count, j, k), (i, count, k), (i, j, count))[manifest.slices.axis])
