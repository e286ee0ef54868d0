"""Painting: what lands on the input's grid is what pasting and turning the whole would give."""

import itertools

import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.imaging.label_canvas import LabelCanvas
from medseg.imaging.steps import Crop, Reorient

SOURCE = Image(np.broadcast_to(np.uint8(0), (1, 7, 9, 8)), np.diag([-1.0, 2.0, 3.0, 1.0]))


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SLA"])
@pytest.mark.parametrize("region", [None, ((1, 0, 2), (3, 4, 4))])
def test_boxes_painted_one_by_one_equal_undoing_crop_and_turn(orientation, region):
    reorient = Reorient.to_orientation(SOURCE, orientation)
    turned = reorient.apply(SOURCE)
    crop = Crop.to_box(turned, (1, 2, 1), (6, 6, 6))
    inner = None if region is None else Crop.to_box(crop.apply(turned), *region)
    labels = np.random.default_rng(0).integers(1, 250, crop.shape).astype(np.uint8)
    canvas = LabelCanvas(reorient, crop, inner, np.dtype(np.uint8))
    for i, j in itertools.product((slice(0, 2), slice(2, 5)), (slice(0, 3), slice(3, 4))):
        canvas.paint((i, j, slice(0, 5)), labels[i, j])
    whole = Image(labels[None], crop.source_affine)
    if inner is not None:
        whole = inner.undo(inner.apply(whole))
    expected = reorient.undo(crop.undo(whole)).array[0]
    np.testing.assert_array_equal(canvas.labels, expected)
    assert canvas.labels.any()
    assert canvas.labels.flags.c_contiguous
