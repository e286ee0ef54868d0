"""One segment cut out of a labelmap lies where Slicer says it lies, also in the labelmaps the Segment Editor leaves."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import slicer
import vtk

from medseg.imaging.image import Image
from medseg.mrml.cuts import cut_segment, layer_affine, mask_labelmap, value_box
from medseg.mrml.grids import matrix_from_affine
from medseg.mrml.segmentations import BINARY_LABELMAP, add_segmentation, labels_from_segmentation, voxels
from medseg.spec.errors import ImageError
from mrml_nodes import volume_node_from_image


def where(mask, affine):
    """The points of the patient that a mask covers."""
    return {tuple(np.round((affine @ [*at, 1])[:3], 3)) for at in np.argwhere(mask)}


def test_the_cut_covers_the_same_points_with_a_voxel_of_background_around(scene, array, specs, affines):
    for affine in affines[::7]:
        node = add_segmentation(scene, Image(array, affine), specs, name="organs")
        for value in (1, 2):
            cut = cut_segment(node, f"Segment_{value}")
            assert where(cut.mask, cut.affine) == where(array[0] == value, affine)
            assert cut.voxel_count == np.count_nonzero(array == value)
            inner = cut.mask[1:-1, 1:-1, 1:-1]
            assert np.count_nonzero(inner) == cut.voxel_count
            assert all(inner.any(axis=axes).take([0, -1]).all() for axes in ((1, 2), (0, 2), (0, 1)))


def test_a_labelmap_that_starts_at_another_voxel_is_cut_where_it_lies(scene, array, affines):
    """The Segment Editor keeps the extent of what was drawn: its first voxel is not number 0."""
    volume = volume_node_from_image(scene, Image(array, affines[-2]), "volume")
    pixels = slicer.vtkOrientedImageData()
    pixels.SetExtent(2, 5, 1, 4, 3, 4)
    pixels.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    voxels(pixels)[...] = 0
    voxels(pixels)[1:3, 2, 1] = 5
    pixels.SetImageToWorldMatrix(matrix_from_affine(affines[-2]))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segment = slicer.vtkSegment()
    segment.SetLabelValue(5)
    segment.AddRepresentation(BINARY_LABELMAP, pixels)
    node.GetSegmentation().AddSegment(segment, "drawn")
    exported, _ = labels_from_segmentation(node, volume)
    cut = cut_segment(node, "drawn")
    assert where(cut.mask, cut.affine) == where(exported.array[0] == 1, affines[-2])
    assert cut.voxel_count == 2


def test_a_mask_becomes_a_labelmap_and_is_found_again(affines):
    mask = np.random.default_rng(0).random((4, 5, 6)) > 0.5
    layer = mask_labelmap(mask, affines[-1])
    np.testing.assert_array_equal(voxels(layer), mask)
    np.testing.assert_allclose(layer_affine(layer), affines[-1], atol=1e-9)


def test_the_box_is_the_smallest(array):
    values = np.asfortranarray(array[0])
    assert value_box(values, 1) == (slice(1, 4), slice(1, 3), slice(0, 2))
    assert value_box(values, 9) is None


def test_a_segment_without_voxels_has_no_cut_and_a_missing_one_is_named(scene, array, specs):
    node = add_segmentation(scene, Image(array), specs, name="organs")
    assert cut_segment(node, "Segment_3") is None
    with pytest.raises(ImageError, match="no segment 'Segment_9'"):
        cut_segment(node, "Segment_9")


def test_a_segment_made_of_a_surface_is_cut_out_of_the_labelmap_slicer_makes(scene):
    ball = vtk.vtkSphereSource()
    ball.SetRadius(10)
    ball.SetThetaResolution(40)
    ball.SetPhiResolution(40)
    ball.Update()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "ball", (1, 0, 0), "ball")
    cut = cut_segment(node, "ball")
    volume = cut.voxel_count * abs(np.linalg.det(cut.affine[:3, :3]))
    assert volume == pytest.approx(4 / 3 * np.pi * 1000, rel=0.05)
