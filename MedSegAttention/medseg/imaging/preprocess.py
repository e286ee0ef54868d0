"""From an image as it came to what a network takes, and from its scores back to the image's own grid."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.grids import Grids, plan_grids
from medseg.imaging.image import Affine, Image, Shape
from medseg.imaging.intensity import as_finite, normalise
from medseg.imaging.monai import prepared_as_monai
from medseg.imaging.monai_resample import MonaiResample
from medseg.imaging.nnunet import enclosed, normalised
from medseg.imaging.nnunet_labels import one_hot
from medseg.imaging.overlap import answer_dtype
from medseg.spec.errors import JobError
from medseg.spec.manifest import ModelManifest, OverlapRule


def ignore_step(done: int, total: int) -> None:
    """Listen to nothing."""


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
        dtype = answer_dtype(len(scores), overlap=self.overlapping is not None)
        labels = np.zeros((1, *self.crop.shape), dtype=dtype)
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
        labels = None
        if manifest.nnunet.previous_labels:
            if previous is None:
                msg = f"{manifest.model_id} continues the labels of an earlier stage; run the model that it is part of"
                raise JobError(msg)
            labels = grids.crop.apply(grids.reorient.apply(Image(previous[None], image.affine))).array[0]
        array = normalised(cut, turned, grids.crop, manifest.nnunet, labels)
        ready = grids.resample.apply(Image(array, cut.affine))
        if labels is not None:
            shown = one_hot(labels, enclosed(turned, grids.crop), grids.resample, manifest.nnunet.previous_labels)
            ready = Image(np.concatenate([ready.array, shown]), ready.affine)
        return Prepared(**vars(grids), image=ready, has_logits=True, in_half=True, overlapping=manifest.overlapping)
    if manifest.monai is not None and isinstance(grids.resample, MonaiResample):
        ready = prepared_as_monai(grids.reorient.apply(image), grids.crop, grids.resample, manifest.monai)
        logits = manifest.interpolates_logits
        return Prepared(**vars(grids), image=ready, has_logits=logits, overlapping=manifest.overlapping)
    cropped = grids.crop.apply(grids.reorient.apply(image))
    if not grids.resample.is_identity:  # interpolation would spread what is not finite
        cropped = grids.resample.apply(Image(as_finite(cropped.array), cropped.affine))
    air = None if manifest.air_below is None else _find_air(cropped.array, manifest.air_below)
    ready = Image(normalise(cropped.array, manifest.intensity), cropped.affine)
    return Prepared(**vars(grids), image=ready, air=air, overlapping=manifest.overlapping)


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
