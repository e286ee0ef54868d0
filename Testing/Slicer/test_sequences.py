"""Time points are segmented one by one, and the same browser plays what comes out."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import slicer

from medseg.imaging.image import Image
from medseg.mrml.segmentations import add_segmentation, labels_from_segmentation
from medseg.mrml.sequences import (
    add_output_sequence,
    item_count,
    item_image,
    proxy_of,
    put_item,
    put_labels,
    sequence_of,
    volume_item,
)
from medseg.spec.errors import ImageError
from mrb_scenes import opened_scene, save
from mrml_nodes import volume_node_from_image


@pytest.fixture
def play(scene):
    """What Slicer's own timer does: the nodes that are seen follow the browser."""
    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLScene(scene)
    yield logic.UpdateAllProxyNodes
    logic.SetMRMLScene(None)


@pytest.fixture
def sequence(scene, array, affines):
    return make_sequence(scene, array, affines[-1])


def make_sequence(scene, array, affine):
    """Three time points at 0, 10 and 20 ms."""
    node = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "cine")
    node.SetIndexName("time")
    node.SetIndexUnit("ms")
    for number in range(3):
        volume = volume_node_from_image(scene, Image(array.astype(np.int16) + number, affine), "frame")
        node.SetDataNodeAtValue(volume, str(10 * number))
        scene.RemoveNode(volume)
    return node


@pytest.fixture
def browser(scene, sequence, play):
    node = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    node.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    play()
    return node


def test_a_volume_that_is_played_knows_its_sequence(scene, sequence, browser, array):
    shown = browser.GetProxyNode(sequence)
    assert sequence_of(scene, shown) is sequence
    assert proxy_of(scene, sequence) is shown
    assert sequence_of(scene, volume_node_from_image(scene, Image(array), "alone")) is None
    assert sequence_of(scene, None) is None


@pytest.mark.usefixtures("browser")
def test_each_time_point_can_be_read(scene, sequence, array, affines):
    assert item_count(sequence) == 3
    for number in range(3):
        image = item_image(scene, sequence, number)
        np.testing.assert_array_equal(image.array, array + number)
        np.testing.assert_allclose(image.affine, affines[-1], atol=1e-9)
    assert volume_item(sequence, 3) is None
    assert volume_item(sequence, -1) is None
    with pytest.raises(ImageError, match="has 3 time points, got number 4"):
        item_image(scene, sequence, 3)


def test_time_points_lie_where_the_one_that_is_seen_lies(scene, sequence, browser, affines, hang, motion):
    hang(browser.GetProxyNode(sequence), motion)
    np.testing.assert_allclose(item_image(scene, sequence, 2).affine, motion @ affines[-1], atol=1e-9)


@pytest.mark.usefixtures("browser")
def test_the_output_is_numbered_like_the_input_and_empty_at_first(scene, sequence):
    output = add_output_sequence(scene, sequence)
    assert output.GetName() == "cine segmentation"
    assert (output.GetIndexName(), output.GetIndexUnit()) == ("time", "ms")
    assert [output.GetNthIndexValue(n) for n in range(3)] == ["0", "10", "20"]
    assert [output.GetNthDataNode(n).GetSegmentation().GetNumberOfSegments() for n in range(3)] == [0, 0, 0]


def test_the_browser_shows_the_segments_of_its_time_point(scene, sequence, browser, play, array, specs):
    output = add_output_sequence(scene, sequence)
    for number in (0, 2):
        put_labels(scene, output, sequence, number, Image(np.roll(array, number, axis=3)), specs)
    seen = proxy_of(scene, output)
    volume = browser.GetProxyNode(sequence)
    for number in (2, 1, 0):
        browser.SetSelectedItemNumber(number)
        play()
        if number == 1:
            assert seen.GetSegmentation().GetNumberOfSegments() == 0
            continue
        labels, names = labels_from_segmentation(seen, volume)
        np.testing.assert_array_equal(labels.array, np.roll(array, number, axis=3))
        assert names == tuple(spec.name for spec in specs)


@pytest.mark.usefixtures("browser")
def test_the_current_time_point_is_seen_as_soon_as_it_is_there(scene, sequence, array, specs):
    """No play: the browser itself tells the logic."""
    output = add_output_sequence(scene, sequence)
    put_labels(scene, output, sequence, 0, Image(array), specs)
    assert proxy_of(scene, output).GetSegmentation().GetNumberOfSegments() == 3
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_what_is_seen_hangs_under_the_volumes_transform(scene, sequence, browser, play, array, specs, hang, motion):
    transform = hang(browser.GetProxyNode(sequence), motion)
    output = add_output_sequence(scene, sequence)
    put_labels(scene, output, sequence, 0, Image(array), specs)
    play()
    seen = proxy_of(scene, output)
    assert seen.GetParentTransformNode() is transform
    labels, _ = labels_from_segmentation(seen, browser.GetProxyNode(sequence))
    np.testing.assert_array_equal(labels.array, array)


def test_a_correction_by_hand_is_kept_when_the_browser_goes_on(scene, sequence, browser, play, array, specs):
    output = add_output_sequence(scene, sequence)
    for number in range(3):
        put_labels(scene, output, sequence, number, Image(array), specs)
    play()
    proxy_of(scene, output).GetSegmentation().GetSegment("Segment_2").SetName("corrected")
    for number in (1, 2, 0):
        browser.SetSelectedItemNumber(number)
        play()
        name = proxy_of(scene, output).GetSegmentation().GetSegment("Segment_2").GetName()
        assert name == ("corrected" if number == 0 else "Liver")


def test_a_time_point_is_a_copy_of_its_own(scene, sequence, array, specs):
    output = add_output_sequence(scene, sequence)
    node = add_segmentation(scene, Image(array), specs, name="organs")
    item = put_item(scene, output, "10", node)
    node.GetSegmentation().GetSegment("Segment_1").SetName("other")
    assert item_count(output) == 3
    assert output.GetNthDataNode(1) is item
    assert item.GetSegmentation().GetSegment("Segment_1").GetName() == "Left hippocampus"


def test_further_segments_are_drawn_on_the_volumes_grid(scene, sequence, browser, array, specs):
    item = put_labels(scene, add_output_sequence(scene, sequence), sequence, 1, Image(array), specs)
    reference = add_segmentation(scene, Image(array), specs, name="b", reference_node=browser.GetProxyNode(sequence))
    name = "Reference image geometry"
    assert item.GetSegmentation().GetConversionParameter(name)
    assert item.GetSegmentation().GetConversionParameter(name) == reference.GetSegmentation().GetConversionParameter(
        name
    )


def test_without_a_browser_there_is_an_output_all_the_same(scene, sequence, array, specs):
    output = add_output_sequence(scene, sequence)
    item = put_labels(scene, output, sequence, 2, Image(array), specs)
    assert output.GetName() == f"{sequence.GetName()} segmentation"
    assert output.GetNthDataNode(2) is item
    assert proxy_of(scene, output) is None


def test_a_time_point_that_is_gone_is_said(scene, sequence, array, specs):
    output = add_output_sequence(scene, sequence)
    for number, labels in ((3, array), (0, array[:, :-1])):
        with pytest.raises(ImageError, match="time point"):
            put_labels(scene, output, sequence, number, Image(labels), specs)


def test_a_played_sequence_of_segmentations_survives_its_mrb_file(array, affines, specs, tmp_path):
    with opened_scene(tmp_path / "first") as scene:
        sequence = make_sequence(scene, array, affines[-2])  # Slicer turns a left-handed grid round on reading
        browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        output = add_output_sequence(scene, sequence)
        for number in range(3):
            put_labels(scene, output, sequence, number, Image(np.roll(array, number, axis=3)), specs)
        save(scene, tmp_path / "scene.mrb")
    with opened_scene(tmp_path / "second") as scene:
        assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
        again = scene.GetFirstNodeByName("cine segmentation")
        sequence = scene.GetFirstNodeByName("cine")
        assert (again.GetIndexName(), again.GetIndexUnit(), item_count(again)) == ("time", "ms", 3)
        for number in range(3):
            labels, names = labels_from_segmentation(again.GetNthDataNode(number), volume_item(sequence, number))
            np.testing.assert_array_equal(labels.array, np.roll(array, number, axis=3))
            assert names[0] == "Left hippocampus"
        assert proxy_of(scene, again).IsA("vtkMRMLSegmentationNode")
