"""From an image as it came to what a network takes, and from its scores back to the image's own grid."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.body import body_box
from medseg.imaging.image import Affine, Image, Shape
from medseg.imaging.intensity import as_finite, normalise
from medseg.imaging.monai import crop_before, cropped_grid, plan_monai_grid, prepared_as_monai, turn_as_monai
from medseg.imaging.monai_resample import MonaiResample
from medseg.imaging.nnunet import crop_to_nonzero, enclosed, normalised, plan_resampling, turn
from medseg.imaging.nnunet_labels import one_hot
from medseg.imaging.steps import Crop, Reorient, Resample, VoxelBox
from medseg.spec.errors import JobError
from medseg.spec.manifest import ModelManifest, OverlapRule

Roi = tuple[float, float, float, float, float, float]  # R-, R+, A-, A+, S-, S+ in mm


def ignore_step(done: int, total: int) -> None:
    """Listen to nothing."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Grids:
    """What happens to the grid of an image before a network sees it: it is turned, cropped and resampled.

    Attributes:
        reorient: to the model's orientation.
        crop: the box that the network sees, of the turned image.
        resample: to the model's spacing, of the cropped image.
        region: the box of the crop's voxels that is wanted, where that is less.
    """

    reorient: Reorient
    crop: Crop
    resample: Resample
    region: Crop | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared(Grids):
    """An image ready for a network, and the way back.

    ``image`` is float32 and normalised, in the model's orientation and spacing. Scores are probabilities
    ``(L, i, j, k)`` on that grid, or logits where ``has_logits``, label 0 the background unless labels are
    ``overlapping``; results lie on the input's own grid ``(I, J, K)``, voxel for voxel. Outside the crop is background,
    and so is outside the region. ``air`` marks the voxels ``(i, j, k)`` of ``image`` that are air where the manifest
    says what air is. ``in_half``: interpolated logits are rounded to half precision.
    """

    image: Image
    air: NDArray[np.bool_] | None = None
    has_logits: bool = False
    in_half: bool = False
    overlapping: OverlapRule | None = None

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
        on_label: Callable[[int, int], None] = ignore_step,
    ) -> NDArray[Any]:
        """Give every voxel of the input its best label: scores interpolated linearly, then the largest.

        Args:
            scores: ``(L, i, j, k)`` probabilities or logits on the grid of ``image``.
            probabilities: ``(L, I, J, K)``, filled on the way, where they are wanted too.
            on_label: called with (labels done, labels in all); whatever it raises stops the work.

        Returns:
            ``(I, J, K)``, uint8, or uint16 with more than 255 labels; the lower label where two are equal. Where labels
            may overlap the bits of all that a voxel belongs to, uint8 or int32.

        Raises:
            ValueError: if the scores lie on another grid.
        """
        labels = np.zeros((1, *self.crop.shape), dtype=self._dtype(len(scores)))
        best = np.full(labels.shape, -np.inf, dtype=np.float32)
        for value, score in self._on_cropped_grid(scores):
            if self.overlapping is not None:
                labels |= (score.array >= self.overlapping.threshold).astype(labels.dtype) << value
            else:
                labels[score.array > best] = value
                np.maximum(best, score.array, out=best)
            if probabilities is not None:
                whole = self.crop.undo(score, outside=self._outside(value))
                probabilities[value] = self.reorient.undo(whole).array[0]
            on_label(value + 1, len(scores))
        if self.has_logits and probabilities is not None and self.overlapping is None:
            _softmax(probabilities)
        back = self.reorient.undo(self.crop.undo(Image(labels, self.crop.source_affine), outside=0))
        return np.ascontiguousarray(back.array[0])

    def _outside(self, value: int) -> float:
        """The score of a label where the network was not asked: there is background."""
        if self.overlapping is not None:
            return 0.0
        probability = float(value == 0)
        return probability if not self.has_logits else 0.0 if probability else -np.inf

    def _dtype(self, count: int) -> type[np.integer[Any]]:
        if self.overlapping is not None:
            return np.uint8 if count <= 8 else np.int32
        return np.uint8 if count <= 256 else np.uint16

    def _on_cropped_grid(self, scores: NDArray[np.float32]) -> Iterator[tuple[int, Image]]:
        """Undo the resampling label by label; turning and pasting are cheaper on the finished labels."""
        if scores.ndim != 4 or len(scores) == 0 or scores.shape[1:] != self.image.shape:
            msg = f"scores are (L, i, j, k) on the prepared grid {self.image.shape}, got shape {scores.shape}"
            raise ValueError(msg)
        for value, score in enumerate(scores):
            whole = self.resample.undo(Image(score[None], self.resample.affine), order="linear")
            if self.in_half:  # nnU-Net stores them so
                whole = Image(whole.array.astype(np.float16).astype(np.float32), whole.affine)
            if self.has_logits and self.overlapping is not None:
                _sigmoid(whole.array)
            if self.region is not None:
                whole = self.region.undo(self.region.apply(whole), outside=self._outside(value))
            yield value, whole


def prepare(
    image: Image, manifest: ModelManifest, grids: Grids | None = None, *, previous: NDArray[Any] | None = None
) -> Prepared:
    """Turn, crop, resample and normalise an image for a model, in that order.

    Intensity statistics are those of the cropped, resampled image.

    Args:
        image: ``(C, I, J, K)``, channels in the model's order.
        manifest: intensity rule of the model, and what air is.
        grids: planned for this image; None: the whole image, or its body where the manifest says so.
        previous: labels ``(I, J, K)`` of an earlier stage, for a model that is shown them.

    Raises:
        JobError: if the channels are not the model's, or labels are missing that it continues.
        ImageError: if the image would become absurdly large at the model's spacing.
    """
    grids = grids or plan_grids(image, manifest)
    if manifest.nnunet is not None:  # it normalises first
        turned = grids.reorient.apply(image)
        cut = grids.crop.apply(turned)
        array = normalised(cut, turned, grids.crop, manifest.nnunet)
        ready = grids.resample.apply(Image(array, cut.affine))
        if manifest.nnunet.previous_labels:
            if previous is None:
                msg = f"{manifest.model_id} continues the labels of an earlier stage; run the model that it is part of"
                raise JobError(msg)
            labels = grids.crop.apply(grids.reorient.apply(Image(previous[None], image.affine))).array[0]
            shown = one_hot(labels, enclosed(turned, grids.crop), grids.resample, manifest.nnunet.previous_labels)
            ready = Image(np.concatenate([ready.array, shown]), ready.affine)
        return Prepared(**vars(grids), image=ready, has_logits=True, in_half=True, overlapping=manifest.overlapping)
    if manifest.monai is not None and isinstance(grids.resample, MonaiResample):
        ready = prepared_as_monai(grids.reorient.apply(image), grids.crop, grids.resample, manifest.monai)
        logits = manifest.monai.answers == "logits"
        return Prepared(**vars(grids), image=ready, has_logits=logits, overlapping=manifest.overlapping)
    cropped = grids.crop.apply(grids.reorient.apply(image))
    if not grids.resample.is_identity:  # interpolation would spread what is not finite
        cropped = grids.resample.apply(Image(as_finite(cropped.array), cropped.affine))
    air = None if manifest.air_below is None else _find_air(cropped.array, manifest.air_below)
    ready = Image(normalise(cropped.array, manifest.intensity), cropped.affine)
    return Prepared(**vars(grids), image=ready, air=air, overlapping=manifest.overlapping)


def plan_grids(
    image: Image,
    manifest: ModelManifest,
    roi_ras_mm: Roi | None = None,
    *,
    roi_voxels: VoxelBox | None = None,
    spacing_factor: float = 1.0,
) -> Grids:
    """Choose the box of an image that a network sees, and the grid on which it does.

    A given region replaces the crop to the body, which alone needs the voxels. Where slices are resized to the
    network's size, a region only chooses slices: the network sees them whole, as large as it knows them, and its
    answer is kept inside the region.

    Args:
        image: ``(C, I, J, K)``, channels in the model's order.
        manifest: orientation, spacing and crop of the model.
        roi_ras_mm: only this region is segmented: R-, R+, A-, A+, S-, S+ in millimetres.
        roi_voxels: the same in voxels of the image, i, i stop, j, j stop, k, k stop; goes before ``roi_ras_mm``.
        spacing_factor: voxels this many times larger than the model's along every axis, for a quick preview.

    Raises:
        JobError: if the channels are not the model's or the region misses the volume.
        ImageError: if the image would become absurdly large at the model's spacing.
    """
    check_channels(image.channel_count, manifest)
    reorient = _turn(image, manifest)
    turned = reorient.apply(image)
    wanted = None
    if roi_voxels is not None:
        wanted = Crop.to_voxels(turned, reorient.turn_box(roi_voxels))
    elif roi_ras_mm is not None:
        wanted = Crop.to_roi(turned, roi_ras_mm)
    crop, region = _plan_crop(turned, manifest, wanted)
    cut = crop.apply(turned)
    resample = _plan_resample(cut, manifest, spacing_factor)
    if isinstance(resample, MonaiResample) and resample.shape != resample.whole_shape:
        region = Crop.to_box(cut, *resample.known())
    return Grids(reorient=reorient, crop=crop, resample=resample, region=region)


def _turn(image: Image, manifest: ModelManifest) -> Reorient:
    if manifest.nnunet is not None:
        return turn(image, manifest.nnunet)
    if manifest.monai is not None:
        return turn_as_monai(image, manifest.orientation, manifest.monai)
    return Reorient.to_orientation(image, manifest.orientation)


def check_channels(count: int, manifest: ModelManifest) -> None:
    """Refuse another number of channels than the model's; raises ``JobError``."""
    if count != len(manifest.channels):
        names = ", ".join(channel.name for channel in manifest.channels)
        rule = f"{manifest.model_id} takes {len(manifest.channels)} channel(s) ({names}), got {count}"
        msg = f"{rule}; give one file a channel"
        raise JobError(msg)


def _softmax(logits: NDArray[np.float32]) -> None:
    """Softmax over the first axis in place, plane by plane."""
    for plane in range(logits.shape[1]):
        part = logits[:, plane]
        part -= part.max(axis=0)
        np.exp(part, out=part)
        part /= part.sum(axis=0)


def _sigmoid(logits: NDArray[np.float32]) -> None:
    """Logistic function in place; far from 0 it is 0 or 1 without an overflow."""
    np.clip(logits, -80, 80, out=logits)
    np.negative(logits, out=logits)
    np.exp(logits, out=logits)
    logits += 1
    np.reciprocal(logits, out=logits)


def _find_air(array: NDArray[Any], limits: tuple[float, ...]) -> NDArray[np.bool_]:
    """Mark the voxels ``(i, j, k)`` that no channel lifts to its limit; what is no number is air."""
    air = np.ones(array.shape[1:], dtype=np.bool_)
    for channel, limit in zip(array, limits, strict=True):
        air &= ~(channel >= limit)
    return air


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
    if manifest.nnunet is not None:
        return crop_to_nonzero(image)
    if manifest.monai is not None:
        return crop_before(image, manifest.monai)
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
    if manifest.nnunet is not None:
        return plan_resampling(image, manifest.nnunet, spacing_factor)
    if manifest.monai is not None:
        whole = plan_monai_grid(image, manifest.spacing_mm, manifest.window_shape, manifest.monai, spacing_factor)
        return cropped_grid(image, whole, manifest.monai)
    i, j, k = manifest.spacing_mm or image.spacing
    spaced = Resample.to_spacing(image, (i * spacing_factor, j * spacing_factor, k * spacing_factor))
    if manifest.slices is None or manifest.slices.fit == "windows":
        return spaced
    i, j, k = manifest.window_shape
    count = spaced.shape[manifest.slices.axis]
    return Resample.to_shape(image, ((count, j, k), (i, count, k), (i, j, count))[manifest.slices.axis])
