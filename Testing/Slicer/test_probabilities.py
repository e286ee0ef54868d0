"""Probabilities and doubt come back as volumes that lie on the scan."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import slicer

from medseg.imaging.image import Image
from medseg.mrml.probabilities import link_probability, linked_probabilities
from medseg.mrml.segmentations import add_segmentation
from medseg.mrml.volumes import image_from_volume_node
from mrml_nodes import add_entropy_volume, add_probability_volumes, normalised_entropy, volume_node_from_image


@pytest.fixture
def probabilities(array, affines):
    """Four labels, background first, that sum to one."""
    scores = np.random.default_rng(5).random((4, *array.shape[1:]), dtype=np.float32)
    return Image(scores / scores.sum(axis=0), affines[-1])


@pytest.fixture
def volume(scene, array, affines):
    return volume_node_from_image(scene, Image(array, affines[-1]), "CT chest")


def test_each_label_has_a_volume_with_its_name_its_voxels_and_its_place(scene, probabilities, specs, volume):
    nodes = add_probability_volumes(scene, probabilities, specs, volume)
    assert [node.GetName() for node in nodes] == [f"CT chest probability of {spec.name}" for spec in specs]
    for node, spec in zip(nodes, specs, strict=True):
        image = image_from_volume_node(node)
        np.testing.assert_array_equal(image.array[0], probabilities.array[spec.value])
        np.testing.assert_allclose(image.affine, probabilities.affine, atol=1e-9)
        assert (node.GetDisplayNode().GetWindowLevelMin(), node.GetDisplayNode().GetWindowLevelMax()) == (0.0, 1.0)
        assert not node.GetDisplayNode().GetAutoWindowLevel()


def test_they_move_with_the_scan(scene, probabilities, specs, volume, motion, hang):
    transform = hang(volume, motion)
    moved = Image(probabilities.array, motion @ probabilities.affine)
    for node in [*add_probability_volumes(scene, moved, specs, volume), add_entropy_volume(scene, moved, volume)]:
        assert node.GetParentTransformNode() is transform
        np.testing.assert_allclose(image_from_volume_node(node).affine, moved.affine, atol=1e-9)


def test_they_come_also_when_the_scan_is_gone(scene, probabilities, specs):
    node = add_probability_volumes(scene, probabilities, specs, None)[0]
    assert node.GetName() == "probability of Left hippocampus"
    np.testing.assert_allclose(image_from_volume_node(node).affine, probabilities.affine, atol=1e-9)


def test_no_view_shows_them_until_somebody_chooses_them(scene, probabilities, specs, volume):
    composite = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetBackgroundVolumeID(volume.GetID())
    add_probability_volumes(scene, probabilities, specs, volume)
    assert composite.GetBackgroundVolumeID() == volume.GetID()
    assert composite.GetForegroundVolumeID() is None


def test_entropy_is_one_where_all_labels_are_alike_and_nought_where_one_is_certain():
    alike = np.full((4, 2, 3, 9), 0.25, dtype=np.float32)
    np.testing.assert_allclose(normalised_entropy(alike), 1.0, atol=1e-6)
    certain = np.zeros((4, 2, 3, 9), dtype=np.float32)
    certain[2] = 1
    np.testing.assert_array_equal(normalised_entropy(certain), 0.0)


def test_entropy_of_two_labels_is_the_binary_entropy_in_bits():
    p = np.linspace(0.01, 0.99, 21, dtype=np.float32)[None, None, :]
    truth = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    np.testing.assert_allclose(normalised_entropy(np.stack([p, 1 - p])), truth, atol=1e-5)


def test_the_entropy_volume_says_its_unit(scene, probabilities, volume):
    node = add_entropy_volume(scene, probabilities, volume)
    assert node.GetName() == "CT chest uncertainty (entropy, 0 to 1)"
    np.testing.assert_array_equal(image_from_volume_node(node).array[0], normalised_entropy(probabilities.array))


def test_a_segment_finds_its_probability_again_in_a_saved_scene(scene, probabilities, specs, volume, array, tmp_path):
    node = add_segmentation(scene, Image(array, probabilities.affine), specs, name="organs", reference_node=volume)
    volumes = add_probability_volumes(scene, probabilities, specs, volume)
    for spec, each in zip(specs[:2], volumes[:2], strict=True):
        link_probability(each, node, f"Segment_{spec.value}")
    assert linked_probabilities(scene, node) == {"Segment_1": volumes[0], "Segment_2": volumes[1]}
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Commit()
    again = slicer.vtkMRMLScene()
    slicer.vtkSlicerSegmentationsModuleLogic().SetMRMLScene(again)
    again.SetURL(str(tmp_path / "scene.mrml"))
    again.Connect()
    organs = again.GetFirstNodeByName("organs")
    if organs.GetSegmentation().GetSegment("Segment_1") is None:  # the voxels are in another file, not written here
        organs.GetSegmentation().AddSegment(slicer.vtkSegment(), "Segment_1")
    found = linked_probabilities(again, organs)
    assert found["Segment_1"].GetName() == volumes[0].GetName()
    again.Clear(True)


def test_a_probability_of_a_segment_that_is_gone_is_nobodys(scene, probabilities, specs, volume, array):
    node = add_segmentation(scene, Image(array), specs, name="organs")
    link_probability(add_probability_volumes(scene, probabilities, specs, volume)[0], node, "Segment_1")
    node.GetSegmentation().RemoveSegment("Segment_1")
    assert linked_probabilities(scene, node) == {}
