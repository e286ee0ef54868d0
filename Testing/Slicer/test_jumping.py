"""Views go to where a segment is."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.imaging.image import Image
from medseg.mrml.segmentations import add_segmentation
from medseg.mrml.views import jump_to_segment
from medseg.spec.errors import ImageError


def test_the_centre_is_the_middle_voxel_in_the_world(scene, specs, affines, hang, motion):
    labels = np.zeros((1, 7, 6, 5), dtype=np.uint8)
    labels[0, 1:4, 2:5, 1:4] = 1
    node = add_segmentation(scene, Image(labels, affines[-1]), specs, name="organs")
    hang(node, motion)
    middle = (motion @ affines[-1] @ [2, 3, 2, 1])[:3]
    np.testing.assert_allclose(jump_to_segment(scene, node, "Segment_1"), middle, atol=1e-6)


def test_a_hollow_segment_is_met_in_its_wall(scene, specs):
    labels = np.ones((1, 7, 7, 7), dtype=np.uint8)
    labels[0, 1:-1, 1:-1, 1:-1] = 0
    node = add_segmentation(scene, Image(labels), specs, name="organs")
    i, j, k = (round(value) for value in jump_to_segment(scene, node, "Segment_1"))
    assert labels[0, i, j, k] == 1


def test_all_slices_and_the_crosshair_go_there(scene, array, specs):
    import slicer

    slices = [scene.AddNewNodeByClass("vtkMRMLSliceNode") for _ in range(3)]
    for node, orientation in zip(slices, ("Axial", "Sagittal", "Coronal"), strict=True):
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        node.SetOrientation(orientation)
    crosshair = scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    segmentation = add_segmentation(scene, Image(array), specs, name="organs")
    centre = jump_to_segment(scene, segmentation, "Segment_2")
    for node in slices:
        matrix = node.GetSliceToRAS()
        np.testing.assert_allclose([matrix.GetElement(row, 3) for row in range(3)], centre, atol=1e-6)
    np.testing.assert_allclose(crosshair.GetCrosshairRAS(), centre)


def test_an_empty_segment_moves_nothing_and_a_missing_one_is_named(scene, array, specs):
    view = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    before = view.GetMTime()
    segmentation = add_segmentation(scene, Image(array), specs, name="organs")
    assert jump_to_segment(scene, segmentation, "Segment_3") is None
    assert view.GetMTime() == before
    with pytest.raises(ImageError, match="no segment 'Segment_9'"):
        jump_to_segment(scene, segmentation, "Segment_9")
