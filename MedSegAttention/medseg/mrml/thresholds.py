"""One segment follows a threshold on a probability volume: live, without the network, and with a way back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Affine
from medseg.mrml.cuts import Cut, cut_segment, mask_labelmap
from medseg.mrml.grids import Node, ijk_to_world, matrix_from_affine, world_to_parent
from medseg.mrml.merging import check_target, move_segment
from medseg.mrml.probabilities import mask_digest, note_drawn, note_threshold, noted_drawn, noted_threshold
from medseg.mrml.segmentations import BINARY_LABELMAP, CLOSED_SURFACE, existing_segment, modifying, voxels
from medseg.mrml.views import make_surface
from medseg.mrml.volumes import channel_view
from medseg.spec.errors import JobError

_SMALLEST = float(np.finfo(np.float32).tiny)  # at 0 every voxel of the volume would be in


class ThresholdEdit:
    """A segment that is thresholded again and again, and what it was before.

    With the first threshold the segment leaves the labelmap it shares with others and gets one of its own on the grid
    of the probabilities; the others keep every voxel, and may be overlapped.

    Args:
        segmentation: the node.
        segment_id: which of its segments.
        probability_node: a volume of numbers 0..1; its first component is looked at.
        is_agreed: whether the user knows that the segment was changed since the network drew it, and wants the
            threshold nevertheless; ``restore`` brings those changes back.

    Raises:
        ImageError: if there is no such segment, the segmentation is made of surfaces, the volume has no voxels, or
            one of the two hangs under a non-linear transform.
    """

    def __init__(self, segmentation: Node, segment_id: str, probability_node: Node, *, is_agreed: bool = False) -> None:
        check_target(segmentation)
        existing_segment(segmentation, segment_id)
        self._node, self._segment_id, self.probability_node = segmentation, segment_id, probability_node
        self._probability()
        self._before: Cut | None = None
        self._layer: Any = None  # our own labelmap of the segment, once there was a threshold
        self._stamp = 0
        self._is_agreed = is_agreed
        self._drawn_before, self._threshold_before = noted_drawn(probability_node), noted_threshold(probability_node)

    @property
    def is_possible(self) -> bool:
        """Whether segmentation and probabilities are in the scene."""
        return self._node.GetScene() is not None and self.probability_node.GetScene() is not None

    def apply(self, threshold: float, *, is_final: bool = True) -> None:
        """Make the segment all voxels whose probability is at least a threshold.

        Args:
            threshold: 0..1; 0 means every voxel with a probability above 0.
            is_final: whether a surface that is there follows; False while a slider is being dragged.

        Raises:
            JobError: if the nodes or the segment are gone, or the segment was changed by hand since the last call;
                before the first: since the network drew it, unless that was agreed to.
            ImageError: if a transform has become non-linear, or the volume has no voxels.
        """
        self._check()
        probability, affine = self._probability()
        with _surfaces_kept(self._node, self._segment_id, is_final=is_final), modifying(self._node):
            if self._layer is None or voxels(self._layer).shape != probability.shape:
                if self._layer is None:
                    self._before = self._untouched()
                self._give(mask_labelmap(np.zeros(probability.shape, dtype=bool, order="F"), affine))
            self._layer.SetGeometryFromImageToWorldMatrix(matrix_from_affine(affine))
            lowest = max(float(threshold), _SMALLEST)
            np.greater_equal(probability, lowest, out=voxels(self._layer).view(np.bool_))
            self._written()
        if is_final:
            note_threshold(self.probability_node, threshold)
            note_drawn(self.probability_node, mask_digest(cut_segment(self._node, self._segment_id)))

    def restore(self) -> None:
        """Give the segment the voxels it had before the first threshold; without one nothing happens.

        Raises:
            JobError: if the segmentation or the segment is gone, or the segment was changed by hand since.
        """
        if self._layer is None:
            return
        self._check()
        before = self._before or Cut(np.zeros((1, 1, 1), dtype=bool), np.eye(4))
        with _surfaces_kept(self._node, self._segment_id, is_final=True), modifying(self._node):
            self._give(mask_labelmap(before.mask, before.affine))
            self._written()
        self._before = self._layer = None
        note_threshold(self.probability_node, self._threshold_before)
        if self._drawn_before is not None:
            note_drawn(self.probability_node, self._drawn_before)

    def _untouched(self) -> Cut | None:
        """The segment before the first threshold; refused where it was edited by hand and the user did not agree."""
        cut = cut_segment(self._node, self._segment_id)
        if not self._is_agreed and self._drawn_before not in (None, mask_digest(cut)):
            name = self._node.GetSegmentation().GetSegment(self._segment_id).GetName()
            msg = (
                f"{name!r} was changed by hand or by another run since the network drew it; choose the segment "
                "again to begin from what it is now"
            )
            raise JobError(msg)
        return cut

    def _probability(self) -> tuple[NDArray[Any], Affine]:
        """The values now, ``(I, J, K)``, and where they lie below the transforms of the segmentation."""
        affine = world_to_parent(self._node) @ ijk_to_world(self.probability_node)
        return channel_view(self.probability_node)[0], affine

    def _give(self, labelmap: Any) -> None:
        move_segment(self._node.GetSegmentation(), self._segment_id, labelmap, value=1)
        self._layer = labelmap

    def _written(self) -> None:
        self._layer.GetPointData().GetScalars().Modified()
        self._layer.Modified()
        self._stamp = self._layer.GetMTime()

    def _check(self) -> None:
        segment = self._node.GetSegmentation().GetSegment(self._segment_id)
        if not self.is_possible or segment is None:
            msg = "the segment or its probabilities are no longer in the scene; choose another segment"
            raise JobError(msg)
        if self._layer is not None and (
            segment.GetRepresentation(BINARY_LABELMAP) is not self._layer or self._layer.GetMTime() != self._stamp
        ):
            msg = (
                f"{segment.GetName()!r} was changed by hand since the last threshold, and that work would be lost; "
                "choose the segment again to begin anew from what it is now"
            )
            raise JobError(msg)


@contextmanager
def _surfaces_kept(node: Node, segment_id: str, *, is_final: bool) -> Iterator[None]:
    """Slicer drops every surface when one labelmap changes: those of the others are still true, so they come back."""
    segmentation = node.GetSegmentation()
    surfaces = {
        each: segmentation.GetSegmentRepresentation(each, CLOSED_SURFACE) for each in segmentation.GetSegmentIDs()
    }
    yield
    for each, surface in surfaces.items():
        if surface is not None and not (each == segment_id and is_final):
            segmentation.GetSegment(each).AddRepresentation(CLOSED_SURFACE, surface)
    if is_final and surfaces.get(segment_id) is not None:
        make_surface(node, segment_id)
    if any(surface is not None for surface in surfaces.values()):  # who heard that they went hears that they are back
        segmentation.InvokeEvent(segmentation.ContainedRepresentationNamesModified)
