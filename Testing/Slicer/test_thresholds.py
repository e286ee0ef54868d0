"""A threshold changes one segment, at once, and what was there can be brought back."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.imaging.image import Image
from medseg.mrml.probabilities import link_probability, noted_threshold
from medseg.mrml.segmentations import CLOSED_SURFACE, add_segmentation, labels_from_segmentation, voxels
from medseg.mrml.thresholds import ThresholdEdit
from medseg.mrml.views import surface_steps
from medseg.spec.errors import ImageError, JobError
from mrml_nodes import add_probability_volumes, volume_node_from_image


@pytest.fixture
def volume(scene, array, affines):
    return volume_node_from_image(scene, Image(array, affines[-1]), "scan")


@pytest.fixture
def node(scene, array, specs, affines, volume):
    return add_segmentation(scene, Image(array, affines[-1]), specs, name="organs", reference_node=volume)


@pytest.fixture
def values(array):
    return np.random.default_rng(3).random(array.shape, dtype=np.float32)


@pytest.fixture
def probability(scene, values, specs, affines, volume):
    return liver_probability(scene, values, specs, affines[-1], volume)


def liver_probability(scene, values, specs, affine, volume):
    layers = np.concatenate([np.zeros_like(values)] * 2 + [values])
    return add_probability_volumes(scene, Image(layers, affine), specs[1:2], volume)[0]


def mask(node, volume, segment_id):
    return labels_from_segmentation(node, volume, [segment_id])[0].array == 1


def threshold_segment(node, segment_id, probability, threshold):
    ThresholdEdit(node, segment_id, probability, is_agreed=True).apply(threshold)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9, 1.0])
def test_the_segment_is_where_the_probability_is_at_least_the_threshold(node, volume, probability, values, threshold):
    threshold_segment(node, "Segment_2", probability, threshold)
    np.testing.assert_array_equal(mask(node, volume, "Segment_2"), values >= threshold)


def test_a_threshold_of_nothing_leaves_out_what_has_no_probability(scene, node, volume, values, specs, affines):
    values[0, :3] = 0
    probability = liver_probability(scene, values, specs, affines[-1], volume)
    threshold_segment(node, "Segment_2", probability, 0.0)
    np.testing.assert_array_equal(mask(node, volume, "Segment_2"), values > 0)


def test_the_other_segments_keep_every_voxel_also_where_they_overlap_now(node, volume, probability, array):
    edit = ThresholdEdit(node, "Segment_2", probability)
    for threshold in (0.5, 0.1, 0.7):
        edit.apply(threshold)
        np.testing.assert_array_equal(mask(node, volume, "Segment_1"), array == 1)
        assert not mask(node, volume, "Segment_3").any()


def test_no_voxel_of_the_segment_stays_behind_unowned(node, probability):
    shared = node.GetSegmentation().GetSegment("Segment_1").GetRepresentation("Binary labelmap")
    threshold_segment(node, "Segment_2", probability, 0.5)
    assert set(np.unique(voxels(shared))) == {0, 1}


def test_restoring_brings_back_what_the_network_decided(node, volume, probability, array):
    edit = ThresholdEdit(node, "Segment_2", probability)
    edit.apply(0.5)
    edit.apply(0.8)
    edit.restore()
    np.testing.assert_array_equal(mask(node, volume, "Segment_2"), array == 2)
    np.testing.assert_array_equal(mask(node, volume, "Segment_1"), array == 1)


def test_after_restoring_it_can_begin_again(node, volume, probability, values, array):
    edit = ThresholdEdit(node, "Segment_2", probability)
    for _ in range(2):
        edit.apply(0.5)
        np.testing.assert_array_equal(mask(node, volume, "Segment_2"), values >= 0.5)
        edit.restore()
        np.testing.assert_array_equal(mask(node, volume, "Segment_2"), array == 2)


def test_a_segment_that_was_empty_is_empty_again(node, volume, probability):
    edit = ThresholdEdit(node, "Segment_3", probability)
    edit.apply(0.5)
    assert mask(node, volume, "Segment_3").any()
    edit.restore()
    assert not mask(node, volume, "Segment_3").any()


def test_name_colour_and_codes_stay(node, probability):
    segment = node.GetSegmentation().GetSegment("Segment_2")
    before = segment.GetName(), segment.GetColor(), segment.GetTerminology()
    ThresholdEdit(node, "Segment_2", probability).apply(0.5)
    assert (segment.GetName(), segment.GetColor(), segment.GetTerminology()) == before


def test_work_done_by_hand_since_is_not_lost(node, volume, probability):
    edit = ThresholdEdit(node, "Segment_2", probability)
    edit.apply(0.5)
    layer = node.GetSegmentation().GetSegment("Segment_2").GetRepresentation("Binary labelmap")
    voxels(layer)[0, 0, 0] = 1
    layer.Modified()
    before = mask(node, volume, "Segment_2")
    for again in (lambda: edit.apply(0.9), edit.restore):
        with pytest.raises(JobError, match="'Liver' was changed by hand"):
            again()
    np.testing.assert_array_equal(mask(node, volume, "Segment_2"), before)


@pytest.fixture
def linked(node, probability):
    """The probability of a segment as a run leaves it."""
    link_probability(probability, node, "Segment_2")
    return probability


def test_what_was_painted_before_the_first_threshold_is_not_lost(node, volume, linked, values):
    segment = node.GetSegmentation().GetSegment("Segment_2")
    layer = segment.GetRepresentation("Binary labelmap")
    voxels(layer)[0, 0, 0] = segment.GetLabelValue()
    layer.Modified()
    before = mask(node, volume, "Segment_2")
    with pytest.raises(JobError, match="'Liver' was changed by hand or by another run"):
        ThresholdEdit(node, "Segment_2", linked).apply(0.5)
    np.testing.assert_array_equal(mask(node, volume, "Segment_2"), before)
    edit = ThresholdEdit(node, "Segment_2", linked, is_agreed=True)
    edit.apply(0.5)
    np.testing.assert_array_equal(mask(node, volume, "Segment_2"), values >= 0.5)
    edit.restore()
    np.testing.assert_array_equal(mask(node, volume, "Segment_2"), before)
    with pytest.raises(JobError, match="by hand"):
        ThresholdEdit(node, "Segment_2", linked).apply(0.5)


def test_a_threshold_of_before_is_no_work_by_hand(node, volume, linked, values):
    ThresholdEdit(node, "Segment_2", linked).apply(0.5)
    ThresholdEdit(node, "Segment_2", linked).apply(0.8)  # as after the scene was saved and opened
    np.testing.assert_array_equal(mask(node, volume, "Segment_2"), values >= 0.8)


def test_a_scene_that_moved_on_is_said(scene, node, probability):
    edit = ThresholdEdit(node, "Segment_2", probability)
    node.GetSegmentation().RemoveSegment("Segment_2")
    with pytest.raises(JobError, match="no longer in the scene"):
        edit.apply(0.5)
    other = ThresholdEdit(node, "Segment_1", probability)
    scene.RemoveNode(probability)
    with pytest.raises(JobError, match="no longer in the scene"):
        other.apply(0.5)


def test_surfaces_of_the_others_stay_and_the_own_one_follows_when_the_slider_is_let_go(node, probability):
    list(surface_steps(node))
    inside = node.GetSegmentation()
    first, second = (inside.GetSegmentRepresentation(each, CLOSED_SURFACE) for each in ("Segment_1", "Segment_2"))
    edit = ThresholdEdit(node, "Segment_2", probability)
    edit.apply(0.5, is_final=False)
    assert inside.GetSegmentRepresentation("Segment_1", CLOSED_SURFACE) is first
    assert inside.GetSegmentRepresentation("Segment_2", CLOSED_SURFACE) is second
    edit.apply(0.5)
    assert inside.GetSegmentRepresentation("Segment_1", CLOSED_SURFACE) is first
    assert inside.GetSegmentRepresentation("Segment_2", CLOSED_SURFACE) is not second


def test_without_surfaces_none_are_made(node, probability):
    ThresholdEdit(node, "Segment_2", probability).apply(0.5)
    assert not node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)


def test_probabilities_and_segments_may_hang_under_different_transforms(
    scene, array, specs, values, affines, hang, motion
):
    volume = volume_node_from_image(scene, Image(array, affines[-1]), "moved")
    hang(volume, motion)
    node = add_segmentation(scene, Image(array, motion @ affines[-1]), specs, name="organs")
    probability = liver_probability(scene, values, specs, motion @ affines[-1], volume)
    ThresholdEdit(node, "Segment_2", probability).apply(0.5)
    np.testing.assert_array_equal(mask(node, volume, "Segment_2"), values >= 0.5)


def test_what_cannot_be_thresholded_is_refused_before_anything_changes(scene, node, probability, warp):
    with pytest.raises(ImageError, match="no segment 'Segment_9'"):
        ThresholdEdit(node, "Segment_9", probability)
    with pytest.raises(ImageError, match="has no voxels"):
        ThresholdEdit(node, "Segment_1", scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode"))
    warp(probability)
    with pytest.raises(ImageError, match="non-linear transform"):
        ThresholdEdit(node, "Segment_1", probability)


def test_who_hears_that_surfaces_went_hears_that_they_came_back(node, probability):
    for _ in surface_steps(node):
        pass
    inside, heard = node.GetSegmentation(), []
    inside.AddObserver(
        inside.ContainedRepresentationNamesModified,
        lambda *_: heard.append(bool(inside.ContainsRepresentation(CLOSED_SURFACE))),
    )
    edit = ThresholdEdit(node, "Segment_2", probability, is_agreed=True)
    for is_final in (False, True):
        edit.apply(0.5, is_final=is_final)
        assert inside.ContainsRepresentation(CLOSED_SURFACE)
        assert heard[-1]


def test_the_last_threshold_is_written_on_the_volume_and_saved_with_the_scene(node, probability):
    edit = ThresholdEdit(node, "Segment_2", probability, is_agreed=True)
    edit.apply(0.4, is_final=False)
    assert noted_threshold(probability) is None
    edit.apply(0.9)
    assert noted_threshold(probability) == 0.9
    again = ThresholdEdit(node, "Segment_2", probability, is_agreed=True)
    again.apply(0.2)
    again.restore()
    assert noted_threshold(probability) == 0.9
    edit.probability_node.SetAttribute("MedSegAttention.Threshold", "often")
    assert noted_threshold(probability) is None
