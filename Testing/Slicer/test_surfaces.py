"""Surfaces made one at a time are those that Slicer makes all at once."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from vtk.util.numpy_support import vtk_to_numpy

from medseg.imaging.image import Image
from medseg.mrml.merging import merge_segments
from medseg.mrml.segmentations import CLOSED_SURFACE, add_segmentation
from medseg.mrml.views import make_surface, surface_steps


@pytest.fixture
def bodies():
    """Two bodies large enough to have a shape, the third label empty."""
    grid = np.indices((40, 36, 30))
    labels = np.zeros((1, 40, 36, 30), dtype=np.uint8)
    labels[0][((grid - np.array([12, 12, 12])[:, None, None, None]) ** 2).sum(axis=0) < 80] = 1
    labels[0, 30:, 20:, 3:9] = 2
    return labels


def points(node, segment_id):
    return vtk_to_numpy(node.GetClosedSurfaceInternalRepresentation(segment_id).GetPoints().GetData())


@pytest.mark.parametrize(
    ("name", "value"),
    [("Smoothing factor", "0.5"), ("Smoothing factor", "0.0"), ("Conversion method", "1"), ("Joint smoothing", "1")],
)
def test_they_are_slicers_own_point_by_point(scene, bodies, specs, affines, name, value):
    image = Image(bodies, affines[-1])
    whole, stepped = (add_segmentation(scene, image, specs, name=each) for each in "ab")
    for node in (whole, stepped):
        node.GetSegmentation().SetConversionParameter(name, value)
    whole.CreateClosedSurfaceRepresentation()
    assert list(surface_steps(stepped)) == ["Segment_1", "Segment_2", "Segment_3"]
    for segment_id in ("Segment_1", "Segment_2"):
        np.testing.assert_allclose(points(stepped, segment_id), points(whole, segment_id), atol=1e-3)


def test_afterwards_slicer_knows_them_and_draws_them_in_3d(scene, bodies, specs):
    node = add_segmentation(scene, Image(bodies), specs, name="organs")
    node.GetDisplayNode().SetVisibility3D(False)
    list(surface_steps(node))
    assert node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)
    assert node.GetDisplayNode().GetVisibility3D()
    assert node.GetDisplayNode().GetDisplayRepresentationName3D() == CLOSED_SURFACE


def test_an_empty_first_segment_does_not_hide_the_others(scene, bodies, specs):
    node = add_segmentation(scene, Image(np.where(bodies == 1, 0, bodies)), specs, name="organs")
    list(surface_steps(node))
    assert node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)
    assert node.GetClosedSurfaceInternalRepresentation("Segment_1").GetNumberOfPoints() == 0
    assert node.GetClosedSurfaceInternalRepresentation("Segment_2").GetNumberOfPoints() > 0


def test_stopped_half_way_the_rest_can_be_made_later(scene, bodies, specs):
    node = add_segmentation(scene, Image(bodies), specs, name="organs")
    steps = surface_steps(node)
    next(steps)
    steps.close()
    first = node.GetClosedSurfaceInternalRepresentation("Segment_1")
    assert node.GetSegmentation().GetSegmentRepresentation("Segment_2", CLOSED_SURFACE) is None
    list(surface_steps(node))
    assert node.GetClosedSurfaceInternalRepresentation("Segment_1") is first
    assert node.GetClosedSurfaceInternalRepresentation("Segment_2").GetNumberOfPoints() > 0


def test_a_segment_taken_out_between_two_steps_is_passed_over(scene, bodies, specs):
    node = add_segmentation(scene, Image(bodies), specs, name="organs")
    steps = surface_steps(node)
    next(steps)
    node.GetSegmentation().RemoveSegment("Segment_2")
    assert list(steps) == ["Segment_2", "Segment_3"]


def test_one_surface_can_be_made_again_and_the_others_stay(scene, bodies, specs):
    node = add_segmentation(scene, Image(bodies), specs, name="organs")
    list(surface_steps(node))
    first = node.GetClosedSurfaceInternalRepresentation("Segment_1")
    second = node.GetClosedSurfaceInternalRepresentation("Segment_2")
    make_surface(node, "Segment_2")
    assert node.GetClosedSurfaceInternalRepresentation("Segment_1") is first
    assert node.GetClosedSurfaceInternalRepresentation("Segment_2") is not second


def test_segments_of_other_layers_get_theirs(scene, bodies, specs):
    node = add_segmentation(scene, Image(bodies), specs, name="organs")
    merge = merge_segments(node, Image(bodies[:, ::-1].copy()), specs[:1])
    list(surface_steps(node))
    whole = add_segmentation(scene, Image(bodies[:, ::-1].copy()), specs[:1], name="alone")
    whole.CreateClosedSurfaceRepresentation()
    np.testing.assert_allclose(points(node, merge.ids[0]), points(whole, "Segment_1"), atol=1e-3)
