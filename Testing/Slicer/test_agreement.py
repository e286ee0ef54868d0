"""Dice between two segmentations of the scene is the Dice of their voxels, wherever those lie."""

import math

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import SimpleITK as sitk  # noqa: N813 - its own name for itself

from medseg.imaging.image import Image
from medseg.mrml.agreement import dice_steps
from medseg.mrml.merging import merge_segments
from medseg.mrml.segmentations import add_segmentation
from medseg.spec.errors import ImageError


@pytest.fixture
def other(array):
    """The labels, one voxel off."""
    return np.roll(array, 1, axis=2)


def test_the_score_is_simpleitks(scene, array, other, specs, affines):
    first = add_segmentation(scene, Image(array, affines[-1]), specs, name="a")
    second = add_segmentation(scene, Image(other, affines[-1]), specs, name="b")
    measure = sitk.LabelOverlapMeasuresImageFilter()
    measure.Execute(sitk.GetImageFromArray(array[0]), sitk.GetImageFromArray(other[0]))
    scores = dict(dice_steps(first, second))
    assert scores["Left hippocampus"] == pytest.approx(measure.GetDiceCoefficient(1))
    assert scores["Liver"] == pytest.approx(measure.GetDiceCoefficient(2))


def test_a_segmentation_agrees_with_itself_and_two_empty_segments_have_no_score(scene, array, specs):
    node = add_segmentation(scene, Image(array), specs, name="a")
    scores = dict(dice_steps(node, node))
    assert scores["Left hippocampus"] == scores["Liver"] == 1.0
    assert math.isnan(scores["Spleen"])


def test_a_segment_that_one_of_them_left_empty_scores_nothing(scene, array, specs):
    first = add_segmentation(scene, Image(array), specs, name="a")
    second = add_segmentation(scene, Image(np.where(array == 1, 0, array)), specs, name="b")
    assert dict(dice_steps(first, second))["Left hippocampus"] == 0.0


def test_names_that_only_one_of_them_has_are_listed_without_a_score(scene, array, specs):
    first = add_segmentation(scene, Image(array), specs[:2], name="a")
    second = add_segmentation(scene, Image(array), specs[1:], name="b")
    scores = dict(dice_steps(first, second))
    assert list(scores) == ["Left hippocampus", "Liver", "Spleen"]
    assert math.isnan(scores["Left hippocampus"])
    assert math.isnan(scores["Spleen"])


def test_axes_in_another_order_change_nothing(scene, array, specs, affines):
    affine = affines[-2]
    turned = affine[:, [2, 0, 1, 3]]
    first = add_segmentation(scene, Image(array, affine), specs, name="a")
    second = add_segmentation(scene, Image(array.transpose(0, 3, 1, 2).copy(), turned), specs, name="b")
    assert dict(dice_steps(first, second))["Liver"] == 1.0


def test_a_reference_under_another_transform_is_compared_where_it_lies(scene, array, specs, hang):
    first = add_segmentation(scene, Image(array), specs, name="a")
    second = add_segmentation(scene, Image(array), specs, name="b")
    shift = np.eye(4)
    shift[1, 3] = 1  # one voxel of the two that the segment is wide
    hang(second, shift)
    assert dict(dice_steps(first, second))["Left hippocampus"] == pytest.approx(0.5)
    hang(first, shift)
    assert dict(dice_steps(first, second))["Left hippocampus"] == 1.0


def test_overlapping_segments_are_compared_each_by_itself(scene, array, specs):
    first = add_segmentation(scene, Image(array), specs, name="a")
    merge_segments(first, Image(np.ones_like(array)), [specs[0]])
    first.GetSegmentation().GetSegment("Segment_1").SetName("small")
    first.GetSegmentation().GetNthSegment(3).SetName("whole")
    second = add_segmentation(scene, Image(array), specs, name="b")
    second.GetSegmentation().GetSegment("Segment_1").SetName("small")
    assert dict(dice_steps(first, second))["small"] == 1.0


def test_segments_of_one_name_are_one_structure(scene, array, specs):
    first = add_segmentation(scene, Image(array), specs, name="a")
    second = add_segmentation(scene, Image((array > 0).astype(np.uint8)), specs[:1], name="b")
    for segment_id in ("Segment_1", "Segment_2"):
        first.GetSegmentation().GetSegment(segment_id).SetName("Left hippocampus")
    assert dict(dice_steps(first, second))["Left hippocampus"] == 1.0


def test_a_bent_transform_is_refused_at_once(scene, array, specs, warp):
    first = add_segmentation(scene, Image(array), specs, name="a")
    second = add_segmentation(scene, Image(array), specs, name="b")
    warp(second)
    with pytest.raises(ImageError, match="non-linear transform"):
        dice_steps(first, second)
