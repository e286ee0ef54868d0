"""The probabilities' section with real nodes: what is asked for, and a threshold that acts at once."""

from types import SimpleNamespace

import numpy as np
import pytest

from medseg.desktop.state.parameters import Parameters
from medseg.imaging.image import Image
from medseg.mrml.merging import merge_segments
from medseg.mrml.probabilities import link_entropy, link_probability
from medseg.mrml.segmentations import add_segmentation, labels_from_segmentation, voxels
from mrml_nodes import add_entropy_volume, add_probability_volumes, volume_node_from_image

AFFINE = np.diag([2.0, 2.0, 2.5, 1.0])


@pytest.fixture
def scene(slicer_scene):
    return slicer_scene


@pytest.fixture
def probabilities():
    """``(3, 7, 6, 5)``, adding up to 1, in which no two voxels are alike."""
    logits = np.random.default_rng(3).normal(size=(3, 7, 6, 5)).astype(np.float32)
    parts = np.exp(logits)
    return parts / parts.sum(axis=0)


@pytest.fixture
def result(scene, probabilities, specs):
    """What a run with probabilities and entropy leaves."""
    image = Image(probabilities, AFFINE)
    volume = volume_node_from_image(scene, Image(np.zeros((1, 7, 6, 5), np.float32), AFFINE), "CT")
    labels = Image(probabilities.argmax(axis=0).astype(np.uint8)[None], AFFINE)
    node = add_segmentation(scene, labels, specs[:2], name="found", reference_node=volume)
    volumes = add_probability_volumes(scene, image, specs[:2], volume)
    for spec, each in zip(specs[:2], volumes, strict=True):
        link_probability(each, node, f"Segment_{spec.value}")
    entropy = add_entropy_volume(scene, image, volume)
    link_entropy(entropy, node)
    return SimpleNamespace(segmentation=node, volume=volume, volumes=volumes, entropy=entropy)


@pytest.fixture
def made(slicer_app, scene):
    from medseg.desktop.panel.sections.probabilities import ProbabilitiesSection

    it = SimpleNamespace(app=slicer_app, result=None, parameters=Parameters(scene))
    it.section = ProbabilitiesSection(it.parameters, lambda: it.result)
    it.widget = it.section.widget
    it.parameters.listen(it.section.refresh)
    return it


@pytest.fixture
def ready(made, result):
    made.result = result.segmentation
    made.section.refresh()
    return made


def child(made, name):
    return made.widget.findChild("QWidget", name)


def drag(made, *values):
    """Move the slider over some values before the event loop turns."""
    for value in values:
        child(made, "thresholdSlider").setValue(value)
    for _ in range(3):
        made.app.processEvents()


def mask(result, segment_id):
    return labels_from_segmentation(result.segmentation, result.volume, [segment_id])[0].array[0].astype(bool)


def test_the_check_boxes_are_parameters(made):
    child(made, "probabilitiesBox").click()
    assert made.parameters.settings.probabilities
    assert made.section.differences() == ["Return probabilities"]
    made.parameters.change(probabilities=False, entropy=True)
    assert not child(made, "probabilitiesBox").checked
    assert child(made, "entropyBox").checked
    assert made.section.differences() == ["Return the entropy map"]


def test_a_run_without_probabilities_offers_no_threshold(made, scene):
    assert child(made, "after").isHidden()
    made.result = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    made.section.refresh()
    assert child(made, "after").isHidden()


def test_a_run_may_bring_the_entropy_alone(made, result, scene):
    for each in result.volumes:
        scene.RemoveNode(each)
    made.result = result.segmentation
    made.section.refresh()
    assert child(made, "thresholdSlider").isHidden()
    assert not child(made, "entropyButton").isHidden()


def test_the_threshold_decides_which_voxels_belong_to_the_segment(ready, result, probabilities):
    assert not child(ready, "after").isHidden()
    child(ready, "segmentBox").setCurrentIndex(1)
    other = mask(result, "Segment_1")
    for value in (0.3, 0.62, 0.05):
        drag(ready, value)
        np.testing.assert_array_equal(mask(result, "Segment_2"), probabilities[2] >= np.float32(value))
    np.testing.assert_array_equal(mask(result, "Segment_1"), other)
    assert "0.05" in child(ready, "statusLabel").text


def test_dragging_applies_only_the_last_value(ready, result, probabilities, monkeypatch):
    from medseg.mrml.thresholds import ThresholdEdit

    applied = []
    apply = ThresholdEdit.apply

    def noting(self, value, **how):
        applied.append(value)
        apply(self, value, **how)

    monkeypatch.setattr(ThresholdEdit, "apply", noting)
    drag(ready, 0.1, 0.2, 0.3, 0.4)
    assert applied == [0.4]
    np.testing.assert_array_equal(mask(result, "Segment_1"), probabilities[1] >= np.float32(0.4))


def test_as_the_network_decided_gives_back_every_voxel(ready, result):
    before = mask(result, "Segment_1")
    assert not child(ready, "restoreButton").enabled
    drag(ready, 0.1)
    assert (mask(result, "Segment_1") != before).any()
    child(ready, "restoreButton").click()
    np.testing.assert_array_equal(mask(result, "Segment_1"), before)
    assert child(ready, "thresholdSlider").value == 0.5
    assert not child(ready, "restoreButton").enabled


def test_each_segment_keeps_its_own_threshold(ready, result, probabilities):
    drag(ready, 0.2)
    child(ready, "segmentBox").setCurrentIndex(1)
    assert child(ready, "thresholdSlider").value == 0.5
    drag(ready, 0.7)
    child(ready, "segmentBox").setCurrentIndex(0)
    assert child(ready, "thresholdSlider").value == pytest.approx(0.2)
    np.testing.assert_array_equal(mask(result, "Segment_1"), probabilities[1] >= np.float32(0.2))
    np.testing.assert_array_equal(mask(result, "Segment_2"), probabilities[2] >= np.float32(0.7))


def test_manual_work_is_not_thresholded_away(ready, result):
    drag(ready, 0.3)
    labelmap = result.segmentation.GetSegmentation().GetSegment("Segment_1").GetRepresentation("Binary labelmap")
    drawn = voxels(labelmap)
    drawn[...] = 0
    drawn[2, 3, 4] = 1
    labelmap.Modified()
    drag(ready, 0.4)
    drag(ready, 0.45)
    assert mask(result, "Segment_1").sum() == 1
    assert "changed by hand" in child(ready, "statusLabel").text


def test_the_surface_follows_when_the_slider_rests(ready, result, spin):
    result.segmentation.CreateClosedSurfaceRepresentation()
    segment = result.segmentation.GetSegmentation().GetSegment("Segment_1")
    before = segment.GetRepresentation("Closed surface").GetNumberOfPoints()
    drag(ready, 0.05)
    assert segment.GetRepresentation("Closed surface").GetNumberOfPoints() == before
    assert spin(lambda: segment.GetRepresentation("Closed surface").GetNumberOfPoints() != before) > 0.1
    settled = segment.GetRepresentation("Closed surface").GetNumberOfPoints()
    drag(ready, 0.6)
    child(ready, "segmentBox").setCurrentIndex(1)  # then there is no waiting
    assert segment.GetRepresentation("Closed surface").GetNumberOfPoints() != settled


def test_the_entropy_map_lies_over_the_scan_until_it_is_taken_off(ready, result, scene):
    views = [scene.AddNode(scene.CreateNodeByClass("vtkMRMLSliceCompositeNode")) for _ in range(2)]
    views[0].SetBackgroundVolumeID(result.volume.GetID())
    views[1].SetForegroundVolumeID(result.volume.GetID())
    views[1].SetForegroundOpacity(0.25)
    child(ready, "entropyButton").click()
    assert {view.GetForegroundVolumeID() for view in views} == {result.entropy.GetID()}
    assert {view.GetForegroundOpacity() for view in views} == {0.5}
    assert views[0].GetBackgroundVolumeID() == result.volume.GetID()
    assert child(ready, "entropyButton").text == "Hide entropy &map"
    assert result.entropy.GetDisplayNode().GetColorNode().GetName() == "Inferno"
    legend = result.entropy.GetNthDisplayNode(1)
    assert legend.IsA("vtkMRMLColorLegendDisplayNode")
    assert legend.GetVisibility()
    child(ready, "entropyButton").click()
    assert views[0].GetForegroundVolumeID() is None
    assert views[1].GetForegroundVolumeID() == result.volume.GetID()
    assert views[1].GetForegroundOpacity() == 0.25
    assert not legend.GetVisibility()


def test_a_threshold_can_be_taken_back_after_other_results_were_looked_at(ready, result, scene):
    before = mask(result, "Segment_1")
    drag(ready, 0.2)
    child(ready, "entropyButton").click()
    ready.result = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    ready.section.refresh()
    assert child(ready, "after").isHidden()
    assert not child(ready, "entropyButton").checked
    ready.result = result.segmentation
    ready.section.refresh()
    assert child(ready, "thresholdSlider").value == pytest.approx(0.2)
    child(ready, "restoreButton").click()
    np.testing.assert_array_equal(mask(result, "Segment_1"), before)


def test_a_segment_that_another_run_drew_begins_anew_and_that_is_said(ready, result, scene, probabilities, specs):
    drag(ready, 0.2)
    shift = Image(np.roll(probabilities, 1, axis=1), AFFINE)
    labels = Image(shift.array.argmax(axis=0).astype(np.uint8)[None], AFFINE)
    merge_segments(result.segmentation, labels, specs[:2], mode="replace")
    newer = add_probability_volumes(scene, shift, specs[:1], result.volume)[0]
    link_probability(newer, result.segmentation, "Segment_1")
    ready.section.refresh()
    assert "drawn anew" in child(ready, "statusLabel").text
    assert not child(ready, "restoreButton").enabled
    drag(ready, 0.3)
    np.testing.assert_array_equal(mask(result, "Segment_1"), shift.array[1] >= np.float32(0.3))


def paint(result, segment_id="Segment_1"):
    """Draw one voxel that the network left out."""
    segment = result.segmentation.GetSegmentation().GetSegment(segment_id)
    labelmap = segment.GetRepresentation("Binary labelmap")
    drawn = voxels(labelmap)
    drawn[tuple(np.argwhere(drawn == 0)[0])] = segment.GetLabelValue()
    labelmap.Modified()


def test_what_was_painted_after_the_run_is_not_thresholded_away_by_the_first_move(ready, result, probabilities):
    paint(result)
    painted = mask(result, "Segment_1")
    drag(ready, 0.4)
    np.testing.assert_array_equal(mask(result, "Segment_1"), painted)
    assert "changed by hand" in child(ready, "statusLabel").text
    ready.section._chosen_again()  # as when the user chooses the same segment in the box
    drag(ready, 0.45)
    np.testing.assert_array_equal(mask(result, "Segment_1"), probabilities[1] >= np.float32(0.45))
    child(ready, "restoreButton").click()
    np.testing.assert_array_equal(mask(result, "Segment_1"), painted)


def test_painting_one_segment_does_not_bar_the_others(ready, result, probabilities):
    paint(result, "Segment_2")
    drag(ready, 0.4)
    np.testing.assert_array_equal(mask(result, "Segment_1"), probabilities[1] >= np.float32(0.4))


def test_probabilities_that_were_deleted_are_a_sentence(ready, result, scene):
    drag(ready, 0.2)
    scene.RemoveNode(result.volumes[0])
    drag(ready, 0.3)
    assert "no longer in the scene" in child(ready, "statusLabel").text


def test_every_control_has_a_name_a_tip_and_a_key(made):
    for name in ("probabilitiesBox", "entropyBox", "restoreButton", "entropyButton"):
        assert "&" in child(made, name).text
    for name in ("probabilitiesBox", "entropyBox", "segmentBox", "thresholdSlider", "restoreButton", "entropyButton"):
        assert child(made, name).accessibleName
        assert child(made, name).toolTip
    for label, field in (("segmentLabel", "segmentBox"), ("thresholdLabel", "thresholdSlider")):
        assert child(made, label).buddy() == child(made, field)


def test_in_a_scene_that_was_opened_again_the_slider_stands_where_the_segment_was_drawn(ready, result, scene):
    from medseg.desktop.panel.sections.probabilities import ProbabilitiesSection

    drag(ready, 0.9)
    ready.section._finish()
    anew = ProbabilitiesSection(Parameters(scene), lambda: result.segmentation)
    slider = anew.widget.findChild("QWidget", "thresholdSlider")
    assert slider.value == 0.9
    box = anew.widget.findChild("QWidget", "segmentBox")
    box.setCurrentIndex(1)
    assert slider.value == 0.5
