"""From an image as it came to what a network takes, and from its scores back to the image's own grid."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.body import body_box
from medseg.imaging.image import Affine, Image, Shape
from medseg.imaging.intensity import as_finite, normalise
from medseg.imaging.steps import Crop, Reorient, Resample
from medseg.spec.errors import JobError
from medseg.spec.manifest import ModelManifest

__all__ = ["Crop", "Prepared", "Reorient", "Resample", "prepare"]

Roi = tuple[float, float, float, float, float, float]  # R-, R+, A-, A+, S-, S+ in mm


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared:
    """An image ready for a network, and the way back.

    ``image`` is float32 and normalised, in the model's orientation and spacing. Scores are probabilities
    ``(L, i, j, k)`` on that grid, label 0 the background; results lie on the input's own grid ``(I, J, K)``, voxel
    for voxel. Outside the crop is background.
    """

    image: Image
    reorient: Reorient
    crop: Crop
    resample: Resample

    @property
    def source_shape(self) -> Shape:
        """Voxels of the input along its own i, j, k."""
        return self.reorient.source_shape

    @property
    def source_affine(self) -> Affine:
        """Affine of the input, voxel -> RAS mm."""
        return self.reorient.source_affine

    def restore_scores(self, scores: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Walk over the labels, each with its scores on the input's grid; one label is in memory at a time.

        Args:
            scores: ``(L, i, j, k)`` probabilities on the grid of ``image``.

        Yields:
            Label value, and float32 ``(I, J, K)``: interpolated linearly, outside the crop 1 for the background and
            0 for every other label.

        Raises:
            ValueError: if the scores lie on another grid.
        """
        for value, score in self._on_cropped_grid(scores):
            whole = self.crop.undo(score, outside=1.0 if value == 0 else 0.0)
            yield value, np.ascontiguousarray(self.reorient.undo(whole).array[0])

    def restore_labels(self, scores: NDArray[np.float32]) -> NDArray[Any]:
        """Give every voxel of the input its best label: scores interpolated linearly, then the largest.

        Args:
            scores: ``(L, i, j, k)`` probabilities on the grid of ``image``.

        Returns:
            ``(I, J, K)``, uint8, or uint16 with more than 255 labels; the lower label where two are equal.

        Raises:
            ValueError: if the scores lie on another grid.
        """
        dtype = np.uint8 if len(scores) <= 256 else np.uint16
        walk = self._on_cropped_grid(scores)
        best = np.array(next(walk)[1].array)
        labels = np.zeros(best.shape, dtype=dtype)
        for value, score in walk:
            better = score.array > best
            labels[better] = value
            np.maximum(best, score.array, out=best)
        whole = self.reorient.undo(self.crop.undo(Image(labels, self.crop.source_affine), outside=0))
        return np.ascontiguousarray(whole.array[0])

    def restore_probabilities(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring all scores to the input's grid.

        Args:
            scores: ``(L, i, j, k)`` probabilities on the grid of ``image``.

        Returns:
            float32 ``(L, I, J, K)``; outside the crop the background has 1.

        Raises:
            ValueError: if the scores lie on another grid.
        """
        whole = np.empty((len(scores), *self.source_shape), dtype=np.float32)
        for value, score in self.restore_scores(scores):
            whole[value] = score
        return whole

    def _on_cropped_grid(self, scores: NDArray[np.float32]) -> Iterator[tuple[int, Image]]:
        """Undo the resampling label by label; turning and pasting are cheaper on the finished labels."""
        if scores.ndim != 4 or len(scores) == 0 or scores.shape[1:] != self.image.shape:
            msg = f"scores are (L, i, j, k) on the prepared grid {self.image.shape}, got shape {scores.shape}"
            raise ValueError(msg)
        for value, score in enumerate(scores):
            yield value, self.resample.undo(Image(score[None], self.resample.affine), order="linear")


def prepare(image: Image, manifest: ModelManifest, roi_ras_mm: Roi | None = None) -> Prepared:
    """Turn, crop, resample and normalise an image for a model, in that order.

    A given region replaces the crop to the body. Intensity statistics are those of the cropped, resampled image.

    Args:
        image: ``(C, I, J, K)``, channels in the model's order.
        manifest: orientation, spacing, intensity rule and crop of the model.
        roi_ras_mm: only this region is segmented: R-, R+, A-, A+, S-, S+ in millimetres.

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
    crop = _plan_crop(turned, manifest, roi_ras_mm)
    cropped = crop.apply(turned)
    resample = Resample.to_spacing(cropped, manifest.spacing_mm or cropped.spacing)
    if not resample.is_identity:  # interpolation would spread what is not finite
        cropped = resample.apply(Image(as_finite(cropped.array), cropped.affine))
    ready = Image(normalise(cropped.array, manifest.intensity), cropped.affine)
    return Prepared(image=ready, reorient=reorient, crop=crop, resample=resample)


def _plan_crop(image: Image, manifest: ModelManifest, roi_ras_mm: Roi | None) -> Crop:
    """Choose the box: the given region, the body, or everything."""
    if roi_ras_mm is not None:
        return Crop.to_roi(image, roi_ras_mm)
    if manifest.crop_to_body:
        return Crop.to_box(image, *body_box(image))
    return Crop.to_box(image, (0, 0, 0), image.shape)
