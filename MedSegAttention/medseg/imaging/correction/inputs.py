"""What the corrector sees of each voxel near a stroke: everything relative to the stroke, lengths to its reach."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.correction.distances import distance_to, signed_distance, smooth
from medseg.imaging.correction.rule import logit

Column: TypeAlias = NDArray[Any] | float  # a number a voxel, or one for all

CAP = 12.0  # mm at a reach of ``USUAL_REACH``; distances beyond are all alike
USUAL_REACH = 10.0  # mm; the weights were made for it, and lengths of another reach are scaled to it


@dataclass(frozen=True, eq=False, kw_only=True)
class Surroundings:
    """The box around a stroke, with a margin that is read and never changed.

    Attributes:
        image: ``(I, J, K)`` float32; None where there is none.
        wanted: ``(I, J, K)``, the present segment of the stroke's label.
        replaced: the present segment of the label that lies under most of the stroke.
        p_wanted: probability of the stroke's label.
        p_replaced: of the other one.
        stroke: the stroke's voxels.
        same: voxels of earlier strokes of this label.
        other: voxels of earlier strokes of other labels.
        distance: of the voxels of the inner box to the stroke, mm at the usual reach.
        inner: the box without its margin.
        spacing: mm at the usual reach.
        is_background: whether the stroke's label is the background, and the replaced one.
        is_plain: whether the probabilities were made from a label map.
    """

    image: NDArray[np.float32] | None
    wanted: NDArray[np.bool_]
    replaced: NDArray[np.bool_]
    p_wanted: NDArray[np.float32]
    p_replaced: NDArray[np.float32]
    stroke: NDArray[np.bool_]
    same: NDArray[np.bool_]
    other: NDArray[np.bool_]
    distance: NDArray[np.float32]
    inner: tuple[slice, slice, slice]
    spacing: Sequence[float]
    is_background: tuple[bool, bool]
    is_plain: bool

    @cached_property
    def to_wanted(self) -> NDArray[np.float32]:
        """Signed distance to the wanted segment, mm at the usual reach."""
        return signed_distance(self.wanted, self.spacing, CAP)

    @property
    def depth(self) -> float:
        """How far the wanted label is from the stroke, about half the width of the error; the median over it."""
        return self.at_stroke(self.to_wanted)

    def at_stroke(self, array: NDArray[np.float32]) -> float:
        """The median under the stroke."""
        return float(np.median(array[self.stroke]))


def voxel_inputs(around: Surroundings, near: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The numbers the learned answer is made from.

    Args:
        around: the box.
        near: voxels of the inner box that are asked about.

    Returns:
        ``(voxels of near, inputs)``
    """

    def of(array: NDArray[Any]) -> NDArray[Any]:
        inside: NDArray[Any] = array[around.inner][near]
        return inside

    far = around.distance[near]
    to_replaced = signed_distance(around.replaced, around.spacing, CAP)
    depth, at_stroke = around.depth, around.at_stroke
    columns: list[Column] = [
        far / 5,
        np.exp(-np.square(far / 2)),
        far / (max(depth, 0.0) + 1),
        of(around.to_wanted) / 5,
        of(to_replaced) / 5,
        depth / 5,
        of(logit(around.p_wanted)) / 3,
        of(logit(around.p_replaced)) / 3,
        at_stroke(logit(around.p_wanted)) / 3,
        at_stroke(logit(around.p_replaced)) / 3,
        float(around.is_background[0]),
        float(around.is_background[1]),
        of(distance_to(around.same, around.spacing, CAP)) / 5,
        of(distance_to(around.other, around.spacing, CAP)) / 5,
    ]
    for sigma in (1.5, 3.0):  # the shape of the segment in wider surroundings
        columns.append(of(logit(smooth(around.p_wanted, around.spacing, sigma))) / 3)
    columns += [*_image_columns(around, near), float(around.is_plain)]
    return np.stack([np.broadcast_to(np.float32(column), far.shape) for column in columns], axis=1)


IMAGE_INPUTS = 12


def _image_columns(around: Surroundings, near: NDArray[np.bool_]) -> list[Column]:
    """Grey values against the stroke's and against those of the two segments; zeros where there is no image."""
    if around.image is None:
        return [0.0] * IMAGE_INPUTS
    low, middle, high = np.percentile(around.image, (5, 50, 95))
    image = ((around.image - middle) * (3 / max(high - low, 1e-6))).astype(np.float32)
    columns: list[Column] = []
    for sigma in (0.0, 1.0, 2.0):
        smoothed = smooth(image, around.spacing, sigma) if sigma else image
        difference = np.clip(smoothed[around.inner][near] - around.at_stroke(smoothed), -6, 6)
        columns += [difference, np.abs(difference)]
        if sigma < 2:
            columns += _likelihood(smoothed, around, near)
        if sigma == 1:
            slope = _slope(smoothed, around.spacing)
            columns += [slope[around.inner][near], around.at_stroke(slope)]
    return columns


def _slope(image: NDArray[np.float32], spacing: Sequence[float]) -> NDArray[np.float32]:
    """Length of the gradient, 1 / mm; along an axis of one voxel there is none."""
    total = np.zeros_like(image)
    for axis, mm in enumerate(spacing):
        if image.shape[axis] > 1:
            total += np.square(np.gradient(image, mm, axis=axis))
    return np.sqrt(total)


def _likelihood(image: NDArray[np.float32], around: Surroundings, near: NDArray[np.bool_]) -> list[Column]:
    """How much better a grey value fits the wanted segment than the replaced one, and how far these two are apart."""
    wanted = around.wanted | around.stroke
    replaced = around.replaced & ~around.stroke
    if not replaced.any():
        return [0.0, 0.0]
    ours, theirs = image[wanted], image[replaced]
    spread = np.sqrt((ours.var() + theirs.var()) / 2) + 0.05
    values = image[around.inner][near]
    better = (np.square(values - theirs.mean()) - np.square(values - ours.mean())) / (2 * spread**2)
    return [np.clip(better, -4, 4), float(np.clip((ours.mean() - theirs.mean()) / spread, -4, 4))]
